"""What users of s3fs and smart_open do: files of Python that are objects."""

import io

import boto3
import s3fs
import smart_open

from support import *

OPTIONS = {"endpoint_url": URL, "region_name": REGION}


def case_s3fs_is_a_file_system():
    fs = s3fs.S3FileSystem(key=ACCESS, secret=SECRET, client_kwargs=OPTIONS)
    fs.mkdir(BUCKET)
    data = noise(23_000_000)
    with fs.open(f"{BUCKET}/a b/large+%", "wb", block_size=5 << 20) as file:
        file.write(data)
    with fs.open(f"{BUCKET}/a b/large+%", "rb") as file:
        file.seek(20_000_000)
        assert file.read(1000) == data[20_000_000:20_001_000]
    fs.pipe({f"{BUCKET}/many/{number}": b"x" * number for number in range(50)})
    assert len(fs.find(BUCKET)) == 51 and fs.du(f"{BUCKET}/many") == 1225
    assert sorted(fs.ls(BUCKET, detail=False)) == [f"{BUCKET}/a b", f"{BUCKET}/many"]
    assert fs.glob(f"{BUCKET}/m*/1?") == [f"{BUCKET}/many/{number}" for number in range(10, 20)]
    fs.copy(f"{BUCKET}/a b/large+%", f"{BUCKET}/copy")
    fs.mv(f"{BUCKET}/copy", f"{BUCKET}/moved")
    assert fs.checksum(f"{BUCKET}/moved") and fs.info(f"{BUCKET}/moved")["size"] == len(data)
    fs.get(f"{BUCKET}/many", "down", recursive=True)
    assert len(contents("down")) == 50
    fs.touch(f"{BUCKET}/empty")
    fs.setxattr(f"{BUCKET}/empty", colour="green")
    assert fs.getxattr(f"{BUCKET}/empty", "colour") == "green"
    fs.rm(BUCKET, recursive=True)
    assert not fs.exists(BUCKET)


def case_smart_open_streams_files():
    client = boto3.client("s3", aws_access_key_id=ACCESS, aws_secret_access_key=SECRET, **OPTIONS)
    client.create_bucket(Bucket=BUCKET)
    more = {"transport_params": {"client": client, "min_part_size": 5 << 20}}
    data = noise(12_000_000)
    with smart_open.open(f"s3://{BUCKET}/a b.bin", "wb", **more) as file:
        for piece in range(0, len(data), 1_000_000):
            file.write(data[piece : piece + 1_000_000])
    with smart_open.open(f"s3://{BUCKET}/a b.bin", "rb", **more) as file:
        file.seek(-100, io.SEEK_END)
        assert file.read() == data[-100:]
    with smart_open.open(f"s3://{BUCKET}/lines.txt.gz", "w", **more) as file:
        file.writelines(f"line {number}\n" for number in range(1000))
    with smart_open.open(f"s3://{BUCKET}/lines.txt.gz", **more) as file:
        assert sum(1 for _ in file) == 1000


if __name__ == "__main__":
    main(globals())
