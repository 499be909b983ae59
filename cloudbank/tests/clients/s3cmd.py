"""What users of s3cmd do."""

import pathlib
import urllib.request

from support import *

PLACE = f"s3://{BUCKET}"


def s3cmd(*arguments, options=(), host=HOST, bucket_host=None, **more):
    return run(
        PROGRAM, "--config=/dev/null", f"--access_key={ACCESS}", f"--secret_key={SECRET}", f"--region={REGION}", f"--host={host}",
        f"--host-bucket={bucket_host or host}", "--no-progress", *(options or ["--no-ssl"]), *arguments, **more,
    )


def case_files_are_put_got_listed_and_deleted():
    s3cmd("mb", PLACE)
    assert PLACE in s3cmd("ls")
    up = tree("up", files=12, large=17_000_000)
    s3cmd("put", "--recursive", "--multipart-chunk-size-mb=5", "up/", f"{PLACE}/up/")
    assert stored("up/large.bin") == (up / "large.bin").read_bytes()
    pathlib.Path("down").mkdir()
    s3cmd("get", "--recursive", f"{PLACE}/up/", "down/")
    same("up", "down")
    said = s3cmd("info", f"{PLACE}/up/a b.txt")
    assert "MD5 sum:   d41d8cd98f00b204e9800998ecf8427e" in said and "ACL:" in said and "FULL_CONTROL" in said, said
    assert "17000000" in s3cmd("ls", f"{PLACE}/up/large.bin")
    assert f"{PLACE}/up/sub/" in s3cmd("ls", f"{PLACE}/up/")
    assert s3cmd("du", PLACE).split()[1] == "13"
    assert "does not exist" in s3cmd("get", f"{PLACE}/none", fails=True)
    assert "BucketNotEmpty" in s3cmd("rb", PLACE, fails=True)
    s3cmd("del", f"{PLACE}/up/large.bin")
    s3cmd("cp", f"{PLACE}/up/a b.txt", f"{PLACE}/copy of it")
    s3cmd("mv", f"{PLACE}/copy of it", f"{PLACE}/moved")
    s3cmd("del", "--recursive", "--force", PLACE)
    s3cmd("rb", PLACE)


def case_folders_are_kept_in_step():
    s3cmd("mb", PLACE)
    up = tree("up", files=14)
    assert s3cmd("sync", "up/", f"{PLACE}/").count("upload:") == 14
    assert s3cmd("sync", "up/", f"{PLACE}/").count("upload:") == 0
    (up / "x&y=z").unlink()
    (up / "~tilde").write_text("changed")
    said = s3cmd("sync", "--delete-removed", "up/", f"{PLACE}/")
    assert said.count("upload:") == 1 and said.count("delete:") == 1, said
    s3cmd("sync", f"{PLACE}/", "down/")
    same("up", "down")
    s3cmd("mb", f"{PLACE}-2")
    s3cmd("sync", f"{PLACE}/", f"{PLACE}-2/")
    assert stored("~tilde", f"{BUCKET}-2") == b"changed"


def case_rights_and_headers_are_changed():
    s3cmd("mb", PLACE)
    pathlib.Path("a b").write_text("text")
    s3cmd("put", "a b", "--add-header=x-amz-meta-colour:green", "--mime-type=text/x-odd", f"{PLACE}/a b")
    s3cmd("setacl", "--acl-public", f"{PLACE}/a b")
    assert "*anon*: READ" in s3cmd("info", f"{PLACE}/a b")
    assert urllib.request.urlopen(f"{URL}/{BUCKET}/a%20b").read() == b"text"
    s3cmd("setacl", "--acl-private", f"{PLACE}/a b")
    assert plain("GET", f"/{BUCKET}/a%20b").status == 403
    s3cmd("modify", "--add-header=Cache-Control: max-age=9", f"{PLACE}/a b")
    head = ask("HEAD", "a b")
    assert head.headers["Cache-Control"] == "max-age=9" and head.headers["x-amz-meta-colour"] == "green", head.headers
    assert head.headers["Content-Type"] == "text/x-odd"
    assert "text" in s3cmd("get", "--force", f"{PLACE}/a b", "-")
    pathlib.Path("cors").write_text(
        "<CORSConfiguration><CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET</AllowedMethod></CORSRule></CORSConfiguration>"
    )
    s3cmd("setcors", "cors", PLACE)
    assert "AllowedOrigin" in s3cmd("info", PLACE)
    s3cmd("delcors", PLACE)
    s3cmd("setversioning", PLACE, "enable")
    signed = s3cmd("signurl", f"{PLACE}/a b", "+60", fails=None).strip()
    assert "text" not in signed


def case_odd_keys_are_what_they_are():
    make_bucket()
    for key in ODD_KEYS:
        assert ask("PUT", key, body=key.encode()).status == 200, key
    listed = s3cmd("ls", "--recursive", PLACE)
    for key in ODD_KEYS:
        assert f"{PLACE}/{key}\n" in listed, key
        if not key.startswith("a" * 9) and len(key) > 3:
            assert s3cmd("get", "--force", f"{PLACE}/{key}", "-") == key, key
    s3cmd("del", "--recursive", "--force", PLACE)
    assert s3cmd("ls", PLACE) == ""


def case_signatures_of_version_2_are_refused():
    s3cmd("mb", PLACE)
    said = s3cmd("ls", options=["--no-ssl", "--signature-v2"], fails=True)
    assert "version 2" in said, said


def case_tls_and_a_host_for_each_bucket():
    port = TLS_HOST.rsplit(":", 1)[1]
    options = ["--ssl", f"--ca-certs={CERTIFICATE}"]
    here = pathlib.Path(__file__).resolve().parent
    at = {"host": f"{DOMAIN}:{port}", "bucket_host": f"%(bucket)s.{DOMAIN}:{port}", "options": options, "env": {"PYTHONPATH": str(here / "resolve")}}
    tree("up", files=10)
    s3cmd("mb", PLACE, **at)
    s3cmd("sync", "up/", f"{PLACE}/", **at)
    s3cmd("sync", f"{PLACE}/", "down/", **at)
    same("up", "down")


if __name__ == "__main__":
    main(globals())
