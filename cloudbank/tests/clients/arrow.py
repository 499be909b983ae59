"""What users of pyarrow do: tables in Parquet, read by ranges."""

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from pyarrow import fs

from support import *

ROWS = 200_000


def filesystem(url=URL, **more):
    scheme, host = url.split("://")
    return fs.S3FileSystem(
        access_key=ACCESS, secret_key=SECRET, region=REGION, scheme=scheme, endpoint_override=host, allow_bucket_creation=True,
        allow_bucket_deletion=True, **more,
    )


def table(rows=ROWS):
    return pa.table({"n": range(rows), "group": [n % 7 for n in range(rows)], "text": [f"row {n}" for n in range(rows)]})


def case_tables_are_written_and_read_by_ranges():
    s3 = filesystem()
    s3.create_dir(BUCKET)
    pq.write_table(table(), f"{BUCKET}/one table.parquet", filesystem=s3, row_group_size=20_000)
    file = pq.ParquetFile(f"{BUCKET}/one table.parquet", filesystem=s3)
    assert file.num_row_groups == 10
    group = file.read_row_group(7, columns=["n"])
    assert group["n"][0].as_py() == 140_000 and group.num_rows == 20_000
    assert pq.read_table(f"{BUCKET}/one table.parquet", filesystem=s3, filters=[("n", "=", 77_777)])["text"][0].as_py() == "row 77777"


def case_datasets_are_partitioned_listed_and_replaced():
    s3 = filesystem()
    s3.create_dir(BUCKET)
    part = ds.partitioning(pa.schema([("group", pa.int64())]), flavor="hive")
    for _ in range(2):
        ds.write_dataset(
            table(), f"{BUCKET}/set", format="parquet", partitioning=part, filesystem=s3, existing_data_behavior="delete_matching"
        )
    dataset = ds.dataset(f"{BUCKET}/set", format="parquet", partitioning=part, filesystem=s3)
    assert len(dataset.files) == 7
    assert sorted(dataset.to_table(filter=pc.field("group") == 3, columns=["n"])["n"].to_pylist()) == list(range(3, ROWS, 7))
    assert dataset.count_rows() == ROWS


def case_files_and_folders():
    s3 = filesystem()
    s3.create_dir(f"{BUCKET}/a/b")
    data = noise(23_000_000)
    with s3.open_output_stream(f"{BUCKET}/a/large", metadata={"Content-Type": "text/plain", "colour": "green"}) as file:
        file.write(data)
    with s3.open_input_file(f"{BUCKET}/a/large") as file:
        assert file.size() == len(data) and file.read_at(100, 20_000_000) == data[20_000_000:20_000_100]
        assert file.metadata()["Content-Type"] == b"text/plain"
    with s3.open_output_stream(f"{BUCKET}/empty"):
        pass
    s3.copy_file(f"{BUCKET}/a/large", f"{BUCKET}/copy")
    s3.move(f"{BUCKET}/copy", f"{BUCKET}/a/b/moved")
    infos = s3.get_file_info([f"{BUCKET}/a", f"{BUCKET}/a/b/moved", f"{BUCKET}/none", f"{BUCKET}/empty"])
    assert [info.type for info in infos] == [fs.FileType.Directory, fs.FileType.File, fs.FileType.NotFound, fs.FileType.File]
    found = s3.get_file_info(fs.FileSelector(BUCKET, recursive=True))
    assert {info.path[len(BUCKET) + 1 :] for info in found} == {"a", "a/b", "a/b/moved", "a/large", "empty"}
    s3.delete_dir_contents(f"{BUCKET}/a/b")
    assert s3.get_file_info(f"{BUCKET}/a/b").type == fs.FileType.Directory
    s3.delete_dir(f"{BUCKET}/a")
    s3.delete_dir(BUCKET)


def case_tls():
    s3 = filesystem(TLS_URL, tls_ca_file_path=CERTIFICATE)
    s3.create_dir(BUCKET)
    pq.write_table(table(), f"{BUCKET}/t", filesystem=s3)
    assert pq.read_table(f"{BUCKET}/t", filesystem=s3).num_rows == ROWS


if __name__ == "__main__":
    main(globals())
