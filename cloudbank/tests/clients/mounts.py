"""What users of s3fs-fuse do: a bucket as a folder."""

import pathlib
import subprocess

from support import *


def case_a_bucket_is_mounted():
    need_fuse()
    make_bucket()
    pathlib.Path("password").write_text(f"{ACCESS}:{SECRET}")
    pathlib.Path("password").chmod(0o600)
    folder = pathlib.Path("mounted")
    folder.mkdir()
    up = tree("up", files=15, large=12_000_000)
    server = subprocess.Popen(
        [
            PROGRAM, BUCKET, "mounted", "-f", "-o", f"url={URL}", "-o", "use_path_request_style", "-o", "passwd_file=password",
            "-o", f"endpoint={REGION}", "-o", "multipart_size=5", "-o", "use_cache=cache", "-o", "sigv4",
        ]
    )
    try:
        wait_for(lambda: os.path.ismount(folder), server)
        run("cp", "-r", "up/.", "mounted/")
        same("up", "mounted")
        with open(folder / "a b.txt", "ab") as file:
            file.write(b"and more")
        (folder / "x&y=z").rename(folder / "renamed")
        (folder / "sub/deep/er/100%").unlink()
        (folder / "new").mkdir()
        (folder / "sub/deep").rename(folder / "new/moved")
        (folder / "renamed").chmod(0o640)
        assert (folder / "renamed").stat().st_mode & 0o777 == 0o640
    finally:
        unmount(folder, server)
    assert stored("a b.txt").endswith(b"and more")
    assert stored("renamed") == (up / "x&y=z").read_bytes()
    assert stored("large.bin") == (up / "large.bin").read_bytes()
    assert ask("GET", "x&y=z").status == 404


if __name__ == "__main__":
    main(globals())
