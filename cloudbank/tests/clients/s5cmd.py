"""What users of s5cmd do."""

import json
import pathlib

from support import *

PLACE = f"s3://{BUCKET}"
ENV = {"AWS_ACCESS_KEY_ID": ACCESS, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_REGION": REGION, "S3_ENDPOINT_URL": URL}


def s5cmd(*arguments, **more):
    more["env"] = {**ENV, **more.get("env", {})}
    return run(PROGRAM, "--retry-count=0", *arguments, **more)


def case_many_workers_copy_many_files():
    s5cmd("mb", PLACE)
    tree("up", files=400, large=24_000_000)
    s5cmd("--numworkers=64", "cp", "--part-size=5", "--concurrency=4", "up/", f"{PLACE}/up/")
    assert len(s5cmd("ls", f"{PLACE}/up/*").splitlines()) == 401
    s5cmd("--numworkers=64", "cp", "--part-size=5", f"{PLACE}/up/*", "down/")
    same("up", "down")
    assert s5cmd("sync", "up/", f"{PLACE}/up/") == ""
    s5cmd("cp", f"{PLACE}/up/*", f"{PLACE}/copies/")
    s5cmd("mv", f"{PLACE}/copies/many/*", f"{PLACE}/moved/")
    assert "802" in s5cmd("du", f"{PLACE}/*")
    s5cmd("--numworkers=64", "rm", f"{PLACE}/*")
    s5cmd("rb", PLACE)


def case_one_object_is_looked_at_in_all_ways():
    s5cmd("mb", PLACE)
    s5cmd("pipe", f"{PLACE}/a b+c", input=b"from a pipe")
    assert s5cmd("cat", f"{PLACE}/a b+c") == "from a pipe"
    assert json.loads(s5cmd("--json", "head", f"{PLACE}/a b+c"))["size"] == 11
    url = s5cmd("presign", "--expire=1m", f"{PLACE}/a b+c").strip()
    assert plain("GET", url[len(URL) :]).content == b"from a pipe"
    assert "no object found" in s5cmd("cp", f"{PLACE}/none*", ".", fails=True)
    s5cmd("bucket-version", "--set", "Enabled", PLACE)
    s5cmd("pipe", f"{PLACE}/a b+c", input=b"again")
    assert len(s5cmd("ls", "--all-versions", f"{PLACE}/a*").splitlines()) == 2
    s5cmd("rm", "--all-versions", f"{PLACE}/*")
    assert s5cmd("ls", "--all-versions", f"{PLACE}/*", fails=None).count(BUCKET) <= 1


if __name__ == "__main__":
    main(globals())
