"""What users of restic do."""

import json
import pathlib
import shutil
from concurrent.futures import ThreadPoolExecutor

from support import *

ENV = {
    "AWS_ACCESS_KEY_ID": ACCESS,
    "AWS_SECRET_ACCESS_KEY": SECRET,
    "AWS_DEFAULT_REGION": REGION,
    "RESTIC_PASSWORD": "correct horse",
    "RESTIC_CACHE_DIR": "cache",
    "RESTIC_REPOSITORY": f"s3:{URL}/{BUCKET}/in/a/folder",
}


def restic(*arguments, **more):
    more["env"] = {**ENV, **more.get("env", {})}
    return run(PROGRAM, *arguments, **more)


def case_backups_are_made_checked_restored_and_pruned():
    # It makes the bucket.
    restic("init")
    assert "already" in restic("init", fails=True)
    up = tree("up", files=40, large=20_000_000)
    restic("backup", "up")
    (up / "large.bin").write_bytes(noise(6_000_000, 2))
    (up / "new").write_text("new")
    restic("backup", "--tag", "second", "up")
    assert len(json.loads(restic("snapshots", "--json"))) == 2
    restic("check", "--read-data")
    restic("restore", "latest", "--target", "restored")
    same("up", "restored/up")
    restic("forget", "--keep-last", "1", "--prune")
    restic("check", "--read-data")
    shutil.rmtree("restored")
    shutil.rmtree("cache")
    restic("restore", "latest", "--target", "restored")
    same("up", "restored/up")
    assert "new" in restic("ls", "latest")
    assert "Total Size" in restic("stats", "--mode", "raw-data")
    restic("key", "list")
    # Its locks are objects, too.
    restic("unlock")
    assert restic("list", "locks") == ""


def case_two_at_once_share_a_repository():
    restic("init")
    for number in range(3):
        tree(f"up{number}", files=20, large=4_000_000, seed=100 * number)
    with ThreadPoolExecutor() as pool:
        def backup(number):
            return restic("backup", f"up{number}", env={"RESTIC_CACHE_DIR": f"cache{number}"})
        list(pool.map(backup, range(3)))
    restic("check", "--read-data")
    snapshots = json.loads(restic("snapshots", "--json"))
    assert len(snapshots) == 3
    for snapshot in snapshots:
        restic("restore", snapshot["id"], "--target", "restored")
    for number in range(3):
        same(f"up{number}", f"restored/up{number}")
    # Who prunes has it for himself: the lock of another is seen.
    restic("forget", "--keep-last", "1", "--group-by", "", "--prune")
    restic("check", "--read-data")


def case_tls():
    env = {"RESTIC_REPOSITORY": f"s3:{TLS_URL}/{BUCKET}"}
    options = ["--cacert", CERTIFICATE]
    tree("up", files=10)
    restic(*options, "init", env=env)
    restic(*options, "backup", "up", env=env)
    restic(*options, "check", "--read-data", env=env)


def survive_a_backup():
    restic("init")
    tree("up", files=150, large=60_000_000)
    restic("backup", "up")
    restic("check", "--read-data")
    restic("restore", "latest", "--target", "restored")
    same("up", "restored/up")


if __name__ == "__main__":
    main(globals())
