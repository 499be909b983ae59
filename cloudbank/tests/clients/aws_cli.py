"""What users of aws-cli do."""

import json
import pathlib
import urllib.request

from support import *

PLACE = f"s3://{BUCKET}"
SETTINGS = """[default]
region = {region}
s3 =
    multipart_threshold = 8MB
    multipart_chunksize = 5MB
    addressing_style = {style}
    signature_version = s3v4
"""
ENV = {
    "AWS_ACCESS_KEY_ID": ACCESS,
    "AWS_SECRET_ACCESS_KEY": SECRET,
    "AWS_CONFIG_FILE": "config",
    "AWS_SHARED_CREDENTIALS_FILE": "none",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_PAGER": "",
}


def aws(*arguments, url=URL, style="path", **more):
    pathlib.Path("config").write_text(SETTINGS.format(region=REGION, style=style))
    more["env"] = {**ENV, **more.get("env", {})}
    return run(PROGRAM, "--endpoint-url", url, *arguments, **more)


def s3(*arguments, **more):
    return aws("s3", *arguments, **more)


def api(operation, *arguments, **more):
    said = aws("s3api", operation, "--bucket", BUCKET, *arguments, **more)
    return said if more.get("fails") else json.loads(said or "{}")


def case_files_of_all_sizes_go_both_ways():
    assert "make_bucket" in s3("mb", PLACE)
    assert BUCKET in s3("ls")
    tree("up", files=10, large=24_000_000)
    s3("cp", "--recursive", "--quiet", "up", f"{PLACE}/up/")
    s3("cp", "--recursive", "--quiet", f"{PLACE}/up/", "down")
    same("up", "down")
    listed = s3("ls", "--recursive", "--summarize", PLACE)
    assert "24000000 up/large.bin" in listed and "Total Objects: 11" in listed, listed
    assert s3("ls", f"{PLACE}/up/").count("PRE") == 4, s3("ls", f"{PLACE}/up/")
    s3("cp", "-", f"{PLACE}/piped", input=b"from a pipe")
    assert s3("cp", f"{PLACE}/piped", "-") == "from a pipe"
    # A copy of what is large is made of parts that the server copies.
    s3("cp", "--quiet", f"{PLACE}/up/large.bin", f"{PLACE}/copy")
    assert stored("copy") == pathlib.Path("up/large.bin").read_bytes()
    assert "404" in s3("cp", f"{PLACE}/none", "none", fails=True)
    assert "NoSuchBucket" in s3("ls", f"{PLACE}-none", fails=True)
    assert "BucketNotEmpty" in s3("rb", PLACE, fails=True)
    s3("rb", "--force", PLACE)
    assert BUCKET not in s3("ls")


def case_folders_are_kept_in_step():
    s3("mb", PLACE)
    up = tree("up", files=12, large=9_000_000)
    assert s3("sync", "up", PLACE).count("upload:") == 13
    assert s3("sync", "up", PLACE) == ""
    (up / "a b.txt").write_bytes(b"changed, and longer than before")
    (up / "x&y=z").unlink()
    said = s3("sync", "--delete", "up", PLACE)
    assert said.count("upload:") == 1 and said.count("delete:") == 1, said
    s3("sync", "--quiet", PLACE, "down")
    same("up", "down")
    s3("mb", f"{PLACE}-2")
    assert s3("sync", PLACE, f"{PLACE}-2").count("copy:") == 12
    assert s3("sync", PLACE, f"{PLACE}-2") == ""
    s3("mv", "--quiet", "--recursive", f"{PLACE}-2/sub/", f"{PLACE}-2/moved/")
    s3("rm", "--quiet", "--recursive", "--exclude", "*", "--include", "many/*", f"{PLACE}-2")
    listed = s3("ls", "--recursive", f"{PLACE}-2")
    assert "moved/deep/er/100%" in listed and "sub/" not in listed and "many/" not in listed, listed
    s3("mv", "--quiet", f"{PLACE}-2/large.bin", "moved.bin")
    assert pathlib.Path("moved.bin").read_bytes() == (up / "large.bin").read_bytes()
    assert "large.bin" not in s3("ls", f"{PLACE}-2")


def case_odd_keys_are_what_they_are():
    s3("mb", PLACE)
    for number, key in enumerate(ODD_KEYS):
        answer = ask("PUT", key, body=key.encode())
        assert answer.status == 200, (key, answer.status, answer.content)
    listed = api("list-objects-v2", "--page-size", "3")["Contents"]
    assert sorted(entry["Key"] for entry in listed) == sorted(ODD_KEYS)
    for key in ["a b+%20&ü", "a//b", "x" * 1024]:
        api("put-object", "--key", key, "--metadata", "key=odd", "--body", "config")
        assert api("head-object", "--key", key)["Metadata"] == {"key": "odd"}
        s3("cp", f"{PLACE}/{key}", "got")
        assert pathlib.Path("got").read_bytes() == pathlib.Path("config").read_bytes()
    api("put-object", "--key", "folder/")
    assert "PRE folder/" in s3("ls", PLACE)
    assert "KeyTooLongError" in api("put-object", "--key", "x" * 1025, fails=True)
    s3("rm", "--quiet", "--recursive", PLACE)
    assert api("list-objects-v2").get("KeyCount", 0) == 0


def case_versions_tags_and_conditions():
    s3("mb", PLACE)
    api("put-bucket-versioning", "--versioning-configuration", "Status=Enabled")
    pathlib.Path("one").write_text("one")
    pathlib.Path("two").write_text("two, which is longer")
    first = api("put-object", "--key", "k", "--body", "one", "--tagging", "a=1&b=2", "--if-none-match", "*")
    assert "PreconditionFailed" in api("put-object", "--key", "k", "--body", "two", "--if-none-match", "*", fails=True)
    assert "PreconditionFailed" in api("put-object", "--key", "k", "--body", "two", "--if-match", '"0"', fails=True)
    api("put-object", "--key", "k", "--body", "two", "--if-match", first["ETag"])
    assert api("get-object", "--key", "k", "--range", "bytes=5-9", "got")["ContentRange"] == "bytes 5-9/20"
    assert pathlib.Path("got").read_text() == "which"
    api("get-object", "--key", "k", "--version-id", first["VersionId"], "got")
    assert pathlib.Path("got").read_text() == "one"
    tags = api("get-object-tagging", "--key", "k", "--version-id", first["VersionId"])["TagSet"]
    assert tags == [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}]
    api("put-object-tagging", "--key", "k", "--tagging", "TagSet=[{Key=c,Value=3}]")
    assert api("get-object-tagging", "--key", "k")["TagSet"] == [{"Key": "c", "Value": "3"}]
    api("delete-object", "--key", "k")
    assert "404" in api("head-object", "--key", "k", fails=True)
    versions = api("list-object-versions")
    assert len(versions["Versions"]) == 2 and versions["DeleteMarkers"][0]["IsLatest"]
    api("delete-object", "--key", "k", "--version-id", versions["DeleteMarkers"][0]["VersionId"])
    aws("s3api", "wait", "object-exists", "--bucket", BUCKET, "--key", "k")
    attributes = api("get-object-attributes", "--key", "k", "--object-attributes", "ETag", "ObjectSize", "Checksum")
    assert attributes["ObjectSize"] == 20 and attributes["Checksum"]["ChecksumType"] == "FULL_OBJECT", attributes
    # What large uploads leave behind.
    upload = api("create-multipart-upload", "--key", "m")["UploadId"]
    api("upload-part", "--key", "m", "--part-number", "1", "--upload-id", upload, "--body", "one")
    assert api("list-multipart-uploads")["Uploads"][0]["UploadId"] == upload
    assert api("list-parts", "--key", "m", "--upload-id", upload)["Parts"][0]["Size"] == 3
    api("abort-multipart-upload", "--key", "m", "--upload-id", upload)
    assert "Uploads" not in api("list-multipart-uploads")


def case_what_is_said_of_objects_and_buckets_is_kept():
    s3("mb", PLACE)
    pathlib.Path("page.html").write_text("<p>a page")
    s3("cp", "page.html", PLACE, "--acl", "public-read", "--cache-control", "max-age=5", "--metadata", "colour=green",
       "--content-disposition", "inline", "--sse", "AES256")
    head = api("head-object", "--key", "page.html")
    assert (head["ContentType"], head["CacheControl"]) == ("text/html", "max-age=5"), head
    assert (head["Metadata"], head["ContentDisposition"]) == ({"colour": "green"}, "inline"), head
    assert urllib.request.urlopen(f"{URL}/{BUCKET}/page.html").read() == b"<p>a page"
    # A copy keeps it all, unless it is told something else.
    s3("cp", f"{PLACE}/page.html", f"{PLACE}/same")
    assert api("head-object", "--key", "same")["Metadata"] == {"colour": "green"}
    s3("cp", f"{PLACE}/page.html", f"{PLACE}/other", "--metadata-directive", "REPLACE", "--content-type", "text/plain")
    head = api("head-object", "--key", "other")
    assert (head["ContentType"], head["Metadata"]) == ("text/plain", {}), head
    grants = api("get-object-acl", "--key", "page.html")["Grants"]
    assert {grant["Permission"] for grant in grants} == {"FULL_CONTROL", "READ"}
    rule = {"AllowedOrigins": ["https://a.example"], "AllowedMethods": ["GET"], "AllowedHeaders": ["*"]}
    api("put-bucket-cors", "--cors-configuration", json.dumps({"CORSRules": [rule]}))
    assert api("get-bucket-cors")["CORSRules"] == [rule]
    api("put-bucket-tagging", "--tagging", "TagSet=[{Key=team,Value=a b}]")
    assert api("get-bucket-tagging")["TagSet"] == [{"Key": "team", "Value": "a b"}]
    assert api("get-bucket-location") == {"LocationConstraint": None}
    api("head-bucket")
    for asked, code in [
        ("get-bucket-policy", "NoSuchBucketPolicy"),
        ("get-bucket-lifecycle-configuration", "NoSuchLifecycleConfiguration"),
        ("get-bucket-website", "NoSuchWebsiteConfiguration"),
        ("get-object-lock-configuration", "ObjectLockConfigurationNotFoundError"),
    ]:
        assert code in api(asked, fails=True), asked


def case_presigned_urls_let_in_whoever_has_them():
    s3("mb", PLACE)
    s3("cp", "-", f"{PLACE}/a b+ü", input="shared")
    url = s3("presign", f"{PLACE}/a b+ü", "--expires-in", "60").strip()
    assert urllib.request.urlopen(url).read() == b"shared"
    try:
        urllib.request.urlopen(url.replace("Expires=60", "Expires=61"))
        raise AssertionError("it was let in with another time")
    except urllib.error.HTTPError as refused:
        assert refused.code == 403 and b"SignatureDoesNotMatch" in refused.read()


def case_tls_and_a_host_for_each_bucket():
    here = pathlib.Path(__file__).resolve().parent
    env = {"AWS_CA_BUNDLE": CERTIFICATE, "PYTHONPATH": str(here / "resolve")}
    port = TLS_HOST.rsplit(":", 1)[1]
    place = {"url": f"https://{DOMAIN}:{port}", "style": "virtual", "env": env}
    tree("up", files=9, large=9_000_000)
    s3("mb", PLACE, **place)
    s3("sync", "--quiet", "up", PLACE, **place)
    s3("sync", "--quiet", PLACE, "down", **place)
    same("up", "down")
    # The other server has it, too.
    assert "large.bin" in s3("ls", PLACE)
    assert "certificate verify failed" in s3("ls", url=TLS_URL, fails=True).lower()


def survive_a_sync():
    s3("mb", PLACE)
    tree("up", files=150, large=40_000_000)
    s3("sync", "--quiet", "up", PLACE, env={"AWS_RETRY_MODE": "standard", "AWS_MAX_ATTEMPTS": "10"})
    s3("sync", "--quiet", PLACE, "down")
    same("up", "down")


def survive_a_server_that_stays_away():
    s3("mb", PLACE)
    tree("up", files=150, large=40_000_000)
    # It is killed meanwhile, so this may fail; the other server goes on with what this one has taken.
    s3("sync", "--quiet", "up", PLACE, env={"AWS_MAX_ATTEMPTS": "1"}, fails=None)
    other = {"url": TLS_URL, "env": {"AWS_CA_BUNDLE": CERTIFICATE}}
    assert 0 < s3("sync", "up", PLACE, **other).count("upload:") < 151
    s3("sync", "--quiet", PLACE, "down", **other)
    same("up", "down")


if __name__ == "__main__":
    main(globals())
