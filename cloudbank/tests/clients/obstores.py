"""What users of obstore do, and of others that stand on Rust's object_store: conditional puts among them."""

import obstore
from deltalake import DeltaTable, write_deltalake
from obstore.store import S3Store
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa

from support import *


def store(url=URL, **more):
    return S3Store(
        BUCKET, endpoint=url, access_key_id=ACCESS, secret_access_key=SECRET, region=REGION,
        client_options={"allow_http": True, **more},
    )


def case_objects_are_put_got_and_listed():
    make_bucket()
    s = store()
    data = noise(23_000_000)
    obstore.put(s, "a b/large+%", data, attributes={"Content-Type": "text/plain", "colour": "green"})
    got = obstore.get(s, "a b/large+%")
    assert got.bytes() == data and got.attributes["colour"] == "green"
    ranges = obstore.get_ranges(s, "a b/large+%", starts=[0, 5_000_000, 22_999_999], lengths=[10, 100_000, 1])
    assert [bytes(part) for part in ranges] == [data[:10], data[5_000_000:5_100_000], data[-1:]]
    obstore.copy(s, "a b/large+%", "copy")
    obstore.rename(s, "copy", "moved")
    for number in range(1100):
        obstore.put(s, f"many/{number:04}", b"x")
    assert sum(len(page) for page in obstore.list(s, prefix="many")) == 1100
    assert [entry["path"] for entry in obstore.list_with_delimiter(s)["objects"]] == ["moved"]
    obstore.delete(s, [f"many/{number:04}" for number in range(1100)])
    assert sum(len(page) for page in obstore.list(s, prefix="many")) == 0


def case_one_of_many_wins_a_conditional_put():
    make_bucket()
    s = store()

    def create(number):
        try:
            obstore.put(s, "lock", str(number).encode(), mode="create", use_multipart=False)
            return number
        except obstore.exceptions.AlreadyExistsError:
            return None

    with ThreadPoolExecutor(16) as pool:
        winners = [number for number in pool.map(create, range(32)) if number is not None]
    assert len(winners) == 1 and stored("lock") == str(winners[0]).encode(), winners

    def add(_):
        while True:
            got = obstore.get(s, "count")
            version, count = {"e_tag": got.meta["e_tag"]}, int(bytes(got.bytes()))
            try:
                return obstore.put(s, "count", str(count + 1).encode(), mode=version, use_multipart=False)
            except obstore.exceptions.PreconditionError:
                continue

    obstore.put(s, "count", b"0")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(24)))
    assert stored("count") == b"24"


def case_delta_tables_have_many_writers():
    make_bucket()
    options = {
        "AWS_ACCESS_KEY_ID": ACCESS, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_REGION": REGION, "AWS_ENDPOINT_URL": URL,
        "AWS_ALLOW_HTTP": "true", "aws_conditional_put": "etag",
    }
    place = f"s3://{BUCKET}/delta table"
    write_deltalake(place, pa.table({"n": [0]}), storage_options=options)

    def append(number):
        write_deltalake(place, pa.table({"n": [number]}), mode="append", storage_options=options)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(append, range(1, 9)))
    table = DeltaTable(place, storage_options=options)
    assert sorted(table.to_pyarrow_table()["n"].to_pylist()) == list(range(9))
    assert table.version() == 8
    table.optimize.compact()
    assert DeltaTable(place, storage_options=options, version=0).to_pyarrow_table()["n"].to_pylist() == [0]


if __name__ == "__main__":
    main(globals())
