"""What users of DuckDB do: queries over files, and results into files."""

import glob

import duckdb
import duckdb_extension_httpfs

from support import *


def connect(style="path", host=HOST):
    c = duckdb.connect()
    # Its packages bring their files along, but put them nowhere.
    [extension] = glob.glob(f"{duckdb_extension_httpfs.__path__[0]}/extensions/*/httpfs.duckdb_extension")
    c.execute(f"LOAD '{extension}'")
    c.execute(
        f"CREATE SECRET (TYPE s3, KEY_ID '{ACCESS}', SECRET '{SECRET}', REGION '{REGION}', ENDPOINT '{host}', URL_STYLE '{style}', USE_SSL false)"
    )
    return c


def case_tables_are_written_and_queried():
    make_bucket()
    c = connect()
    place = f"s3://{BUCKET}"
    c.execute("CREATE TABLE t AS SELECT range AS n, range % 5 AS g, 'row ' || range AS text FROM range(500000)")
    c.execute(f"COPY t TO '{place}/a b/t.parquet' (FORMAT parquet, ROW_GROUP_SIZE 50000)")
    c.execute(f"COPY t TO '{place}/parts' (FORMAT parquet, PARTITION_BY (g), OVERWRITE_OR_IGNORE)")
    c.execute(f"COPY (FROM t LIMIT 1000) TO '{place}/t+1.csv' (HEADER)")
    assert c.execute(f"SELECT text FROM '{place}/a b/t.parquet' WHERE n = 345678").fetchone() == ("row 345678",)
    query = f"SELECT g, count(*) FROM read_parquet('{place}/parts/*/*.parquet', hive_partitioning = true) GROUP BY g ORDER BY g"
    assert [(int(g), count) for g, count in c.execute(query).fetchall()] == [(g, 100_000) for g in range(5)]
    assert c.execute(f"SELECT sum(n) FROM '{place}/t+1.csv'").fetchone() == (499_500,)
    assert len(c.execute(f"FROM glob('{place}/**')").fetchall()) >= 7


if __name__ == "__main__":
    main(globals())
