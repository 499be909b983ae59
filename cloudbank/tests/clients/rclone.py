"""What users of rclone do."""

import os
import pathlib
import subprocess
import time

from support import *

ENV = {
    "RCLONE_CONFIG": "rclone.conf",
    "RCLONE_CONFIG_R_TYPE": "s3",
    "RCLONE_CONFIG_R_PROVIDER": "Other",
    "RCLONE_CONFIG_R_REGION": REGION,
    "RCLONE_CONFIG_R_ACCESS_KEY_ID": ACCESS,
    "RCLONE_CONFIG_R_SECRET_ACCESS_KEY": SECRET,
    "RCLONE_CONFIG_R_ENDPOINT": URL,
    "RCLONE_CONFIG_R_UPLOAD_CUTOFF": "8Mi",
    "RCLONE_CONFIG_R_CHUNK_SIZE": "5Mi",
    "RCLONE_CONFIG_R_COPY_CUTOFF": "6Mi",
}
PLACE = f"R:{BUCKET}"


def rclone(*arguments, **more):
    pathlib.Path("rclone.conf").touch()
    more["env"] = {**ENV, **more.get("env", {})}
    return run(PROGRAM, "--retries=1", "--low-level-retries=1", *arguments, **more)


def case_folders_are_kept_in_step_and_checked():
    up = tree("up", files=25, large=17_000_000)
    rclone("mkdir", PLACE)
    rclone("copy", "up", f"{PLACE}/up")
    rclone("check", "--download", "up", f"{PLACE}/up")
    rclone("check", "up", f"{PLACE}/up")
    assert rclone("sync", "--combined=-", "up", f"{PLACE}/up").count("= ") == 26
    listed = rclone("lsf", "-R", "--files-only", f"{PLACE}/up").splitlines()
    assert sorted(listed) == sorted(contents("up")), listed
    os.utime(up / "a b.txt", (1e9, 1e9))
    (up / "x&y=z").unlink()
    (up / "many/new").write_bytes(b"new")
    rclone("sync", "up", f"{PLACE}/up")
    rclone("check", "up", f"{PLACE}/up")
    # The time of a file is in its metadata.
    assert rclone("lsf", "--format=tp", f"{PLACE}/up/a b.txt").startswith("2001-09-09")
    rclone("copy", f"{PLACE}/up", "down")
    same("up", "down")
    rclone("delete", "--include=/many/**", f"{PLACE}/up")
    assert "many" not in rclone("lsf", "-R", "--files-only", f"{PLACE}/up")
    rclone("purge", PLACE)
    assert BUCKET not in rclone("lsd", "R:")


def case_the_server_copies_and_moves():
    tree("up", files=8, large=14_000_000)
    rclone("mkdir", PLACE)
    rclone("copy", "up", f"{PLACE}/one")
    rclone("copy", f"{PLACE}/one", f"{PLACE}/two")
    rclone("check", "--download", "up", f"{PLACE}/two")
    rclone("move", f"{PLACE}/two", f"{PLACE}/three")
    assert rclone("size", "--json", f"{PLACE}/two").startswith('{"count":0')
    rclone("copyto", f"{PLACE}/one/large.bin", f"{PLACE}/touched")
    rclone("touch", "--timestamp=2020-01-02T03:04:05", f"{PLACE}/touched")
    assert rclone("lsf", "--format=t", f"{PLACE}/touched").startswith("2020-01-02 03:04:05")
    rclone("check", "--download", "up", f"{PLACE}/three")
    link = rclone("link", "--expire=1m", f"{PLACE}/one/a b.txt").strip()
    assert plain("GET", link[len(URL):]).status == 200, link
    rclone("purge", PLACE)


def case_odd_keys_are_what_they_are():
    make_bucket()
    # rclone knows no empty names, no names of dots, and has names of its own for what is not UTF-8 or no file name.
    # A file has a name of 255 bytes at most.
    keys = [key for key in ODD_KEYS if not {"", ".", ".."} & set(key.split("/")) and len(key) < 200]
    for key in keys:
        ask("PUT", key, body=key.encode())
    rclone("copy", PLACE, "down")
    rclone("copy", "down", f"{PLACE}-2")
    rclone("check", "--download", PLACE, f"{PLACE}-2")
    for key in keys:
        assert stored(key, f"{BUCKET}-2") == key.encode(), key
    rclone("purge", f"{PLACE}-2")


def case_streams_and_parts_of_files():
    rclone("mkdir", PLACE)
    data = noise(12_000_000)
    rclone("rcat", f"{PLACE}/piped", input=data)
    assert stored("piped") == data
    for first in [0, 4_999_999, 11_999_900]:
        part = rclone("cat", f"--offset={first}", "--count=100", f"{PLACE}/piped")
        assert part.encode(errors="surrogateescape") == data[first : first + 100]
    assert hashlib.md5(data).hexdigest() in rclone("hashsum", "md5", "--download", f"{PLACE}/piped")
    rclone("purge", PLACE)


def case_versions_are_seen_and_restored():
    rclone("mkdir", PLACE)
    rclone("backend", "versioning", PLACE, "Enabled")
    assert "Enabled" in rclone("backend", "versioning", PLACE)
    for text in ["one", "two"]:
        rclone("rcat", f"{PLACE}/file.txt", input=text)
    rclone("deletefile", f"{PLACE}/file.txt")
    assert rclone("lsf", PLACE) == ""
    shown = rclone("lsf", "--s3-versions", PLACE).split()
    assert len(shown) == 2 and all(name.startswith("file-v") for name in shown), shown
    assert {rclone("cat", "--s3-versions", f"{PLACE}/{name}") for name in shown} == {"one", "two"}
    rclone("backend", "cleanup-hidden", PLACE)
    assert rclone("lsf", "--s3-versions", PLACE) == ""
    rclone("purge", PLACE)


def case_tls_and_a_host_for_each_bucket():
    tree("up", files=9, large=9_000_000)
    env = {"RCLONE_CONFIG_R_ENDPOINT": TLS_URL, "RCLONE_CA_CERT": CERTIFICATE}
    rclone("mkdir", PLACE, env=env)
    rclone("sync", "up", PLACE, env=env)
    rclone("check", "--download", "up", PLACE, env=env)
    rclone("check", "--download", "up", PLACE)
    assert "certificate" in rclone("lsd", "R:", env={"RCLONE_CONFIG_R_ENDPOINT": TLS_URL}, fails=True)


def case_other_protocols_are_served_from_it():
    """rclone as the client of its own server, with this one below: two more ways to read ranges and lists."""
    tree("up", files=9)
    rclone("copy", "up", PLACE)
    [port] = free_ports(1)
    server = subprocess.Popen(
        [PROGRAM, "serve", "webdav", "--addr", f"127.0.0.1:{port}", PLACE], env={**os.environ, **ENV}, stderr=subprocess.DEVNULL
    )
    try:
        wait_for(lambda: listens(port), server)
        rclone("check", "--download", "up", f":webdav,url='http://127.0.0.1:{port}':")
        rclone("copyto", "rclone.conf", f":webdav,url='http://127.0.0.1:{port}':from/webdav")
        assert stored("from/webdav") == b""
    finally:
        server.kill()
        server.wait()


def case_a_folder_is_mounted():
    need_fuse()
    make_bucket()
    folder = pathlib.Path("mounted")
    folder.mkdir()
    up = tree("up", files=15, large=9_000_000)
    server = subprocess.Popen(
        [PROGRAM, "mount", PLACE, "mounted", "--vfs-cache-mode=writes", "--vfs-write-back=0s", "--cache-dir=cache"],
        env={**os.environ, **ENV},
    )
    try:
        wait_for(lambda: os.path.ismount(folder), server)
        run("cp", "-r", "up/.", "mounted/")
        same("up", "mounted")
        with open(folder / "a b.txt", "ab") as file:
            file.write(b"and more")
        (folder / "x&y=z").rename(folder / "renamed")
        (folder / "sub/deep/er/100%").unlink()
        (folder / "new folder").mkdir()
        with open(folder / "large.bin", "rb") as file:
            file.seek(8_000_000)
            assert file.read(1000) == (up / "large.bin").read_bytes()[8_000_000:8_001_000]
        run("sync", "-f", "mounted")
    finally:
        unmount(folder, server)
    assert stored("a b.txt").endswith(b"and more")
    assert stored("renamed") == (up / "x&y=z").read_bytes()
    assert ask("GET", "x&y=z").status == 404 and ask("GET", "sub/deep/er/100%").status == 404


def survive_a_copy():
    tree("up", files=150, large=40_000_000)
    # Nothing but what rclone does of its own: it tries again.
    run(PROGRAM, "copy", "--transfers=2", "up", PLACE, env=ENV)
    rclone("check", "--download", "up", PLACE)


if __name__ == "__main__":
    main(globals())
