"""What boto3 sees of a gateway: each case is a function, given a client of alice, one of bob, one of nobody and a bucket.

Run as `boto3_cases.py CASE URL`.
"""

import base64
import datetime
import hashlib
import hmac
import io
import json
import pathlib
import random
import re
import sys
import threading
import urllib.request
import zlib

import boto3
from boto3.s3.transfer import TransferConfig
from botocore import UNSIGNED
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.client import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from botocore.httpsession import URLLib3Session

URL = sys.argv[2]
PART = 5 * 1024 * 1024


def client(user, **options):
    if user is None:
        options["signature_version"] = UNSIGNED
    return boto3.client(
        "s3",
        endpoint_url=URL,
        region_name="us-east-1",
        aws_access_key_id=user,
        aws_secret_access_key="alice-secret" if user == "reader" else f"{user}-secret",
        config=Config(retries={"max_attempts": 1}, s3={"addressing_style": "path"}, **options),
    )


def refused(call, status, code=None):
    try:
        call()
    except ClientError as error:
        said = error.response["ResponseMetadata"]["HTTPStatusCode"], error.response["Error"]["Code"]
        assert said[0] == status and code in (None, said[1]), f"{said}, not {(status, code)}"
        return error.response
    raise AssertionError(f"not refused with {status} {code}")


def fetch(url, method="GET", headers={}, data=None):
    request = urllib.request.Request(url, data=data, headers=headers, method=method)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        answer = opener.open(request)
    except urllib.error.HTTPError as error:
        answer = error
    return answer.status, answer.headers, answer.read()


def as_of(moment):
    """A client of alice that sees everything as it was."""
    past = client("alice")
    past.meta.events.register("before-sign.s3", lambda request, **_: request.headers.add_header("x-cloudbank-at", moment))
    return past


def keys(page):
    return [entry["Key"] for entry in page.get("Contents", [])]


def prefixes(page):
    return [entry["Prefix"] for entry in page.get("CommonPrefixes", [])]


def case_buckets_are_made_listed_and_deleted(alice, bob, nobody, bucket):
    assert [entry["Name"] for entry in alice.list_buckets()["Buckets"]] == [bucket]
    assert bob.list_buckets()["Buckets"] == []
    # So it is in the first region, as long as nothing else is asked for.
    alice.create_bucket(Bucket=bucket)
    refused(lambda: alice.create_bucket(Bucket=bucket, ACL="public-read"), 409, "BucketAlreadyExists")
    refused(lambda: bob.create_bucket(Bucket=bucket), 409, "BucketAlreadyExists")
    refused(lambda: bob.list_objects_v2(Bucket=bucket), 403, "AccessDenied")
    assert nobody.list_buckets()["Buckets"] == []
    refused(lambda: alice.head_bucket(Bucket="not-there"), 404)
    refused(lambda: alice.list_objects(Bucket="not-there"), 404, "NoSuchBucket")
    assert alice.get_bucket_location(Bucket=bucket)["LocationConstraint"] is None
    alice.put_object(Bucket=bucket, Key="a", Body=b"x")
    refused(lambda: alice.delete_bucket(Bucket=bucket), 409, "BucketNotEmpty")
    alice.delete_object(Bucket=bucket, Key="a")
    alice.delete_bucket(Bucket=bucket)
    refused(lambda: alice.delete_bucket(Bucket=bucket), 404, "NoSuchBucket")


def case_objects_of_all_sizes_come_back_whole_and_in_ranges(alice, bob, nobody, bucket):
    for size in [0, 1, 1024, 1025, 65536, 65537, 3_000_000, 20_000_000]:
        body = random.Random(size).randbytes(size)
        put = alice.put_object(Bucket=bucket, Key=f"o{size}", Body=body)
        assert put["ETag"] == f'"{hashlib.md5(body).hexdigest()}"'
        got = alice.get_object(Bucket=bucket, Key=f"o{size}")
        assert got["ContentLength"] == size and got["Body"].read() == body
        for first, last in [(0, 0), (size // 2, size // 2 + 70_000), (max(0, size - 3), size + 9)]:
            if first >= size:
                continue
            got = alice.get_object(Bucket=bucket, Key=f"o{size}", Range=f"bytes={first}-{last}")
            assert got["Body"].read() == body[first : last + 1]
            assert got["ContentRange"] == f"bytes {first}-{min(last, size - 1)}/{size}"
        refused(lambda: alice.get_object(Bucket=bucket, Key=f"o{size}", Range=f"bytes={size}-"), 416, "InvalidRange")


def case_headers_metadata_and_overrides_are_kept(alice, bob, nobody, bucket):
    headers = {
        "ContentType": "text/plain; charset=utf-8",
        "ContentEncoding": "gzip",
        "ContentDisposition": 'attachment; filename="a"',
        "ContentLanguage": "de",
        "CacheControl": "max-age=60",
        "Metadata": {"colour": "green", "empty": ""},
    }
    alice.put_object(Bucket=bucket, Key="a b+c/ä", Body=b"hello", **headers)
    for answer in [alice.head_object(Bucket=bucket, Key="a b+c/ä"), alice.get_object(Bucket=bucket, Key="a b+c/ä")]:
        for name, value in headers.items():
            assert answer[name] == value, (name, answer[name])
        assert answer["ContentLength"] == 5 and answer["AcceptRanges"] == "bytes"
    got = alice.get_object(Bucket=bucket, Key="a b+c/ä", ResponseContentType="a/b", ResponseCacheControl="no-cache")
    assert (got["ContentType"], got["CacheControl"]) == ("a/b", "no-cache")
    refused(lambda: alice.head_object(Bucket=bucket, Key="none"), 404)
    refused(lambda: alice.get_object(Bucket=bucket, Key="none"), 404, "NoSuchKey")
    refused(lambda: alice.put_object(Bucket=bucket, Key="x" * 1025, Body=b""), 400, "KeyTooLongError")


def case_conditions_hold_for_reads_and_writes(alice, bob, nobody, bucket):
    etag = alice.put_object(Bucket=bucket, Key="a", Body=b"1", IfNoneMatch="*")["ETag"]
    refused(lambda: alice.put_object(Bucket=bucket, Key="a", Body=b"2", IfNoneMatch="*"), 412, "PreconditionFailed")
    refused(lambda: alice.put_object(Bucket=bucket, Key="a", Body=b"2", IfMatch='"00"'), 412, "PreconditionFailed")
    refused(lambda: alice.put_object(Bucket=bucket, Key="b", Body=b"2", IfMatch='"00"'), 404, "NoSuchKey")
    refused(lambda: alice.get_object(Bucket=bucket, Key="a", IfMatch='"00"'), 412, "PreconditionFailed")
    refused(lambda: alice.get_object(Bucket=bucket, Key="a", IfNoneMatch=etag), 304)
    soon = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)
    refused(lambda: alice.get_object(Bucket=bucket, Key="a", IfModifiedSince=soon), 304)
    refused(lambda: alice.delete_object(Bucket=bucket, Key="a", IfMatch='"00"'), 412, "PreconditionFailed")
    new = alice.put_object(Bucket=bucket, Key="a", Body=b"22", IfMatch=etag)["ETag"]
    assert alice.get_object(Bucket=bucket, Key="a", IfMatch=new)["Body"].read() == b"22"
    alice.delete_object(Bucket=bucket, Key="a", IfMatch=new)


def case_listings_are_paged_and_grouped(alice, bob, nobody, bucket):
    names = sorted(["a", "b/1", "b/2", "b/c/3", "b0", "c d", "c+d", "d%e", "ä/ö", "z\x0ay"], key=str.encode)
    for name in names:
        alice.put_object(Bucket=bucket, Key=name, Body=b"x")
    assert keys(alice.list_objects_v2(Bucket=bucket)) == names
    assert keys(alice.list_objects(Bucket=bucket)) == names
    page = alice.list_objects_v2(Bucket=bucket, Delimiter="/")
    assert keys(page) == [name for name in names if "/" not in name] and prefixes(page) == ["b/", "ä/"]
    page = alice.list_objects_v2(Bucket=bucket, Prefix="b/", Delimiter="/")
    assert (keys(page), prefixes(page)) == (["b/1", "b/2"], ["b/c/"])
    assert page["KeyCount"] == 3 and not page["IsTruncated"]
    for size in [1, 2, 3]:
        pages = alice.get_paginator("list_objects_v2").paginate(
            Bucket=bucket, Delimiter="/", PaginationConfig={"PageSize": size}
        )
        seen = [entry for page in pages for entry in keys(page) + prefixes(page)]
        assert sorted(seen) == sorted([n for n in names if "/" not in n] + ["b/", "ä/"]), seen
        pages = alice.get_paginator("list_objects").paginate(Bucket=bucket, PaginationConfig={"PageSize": size})
        assert [key for page in pages for key in keys(page)] == names
    assert keys(alice.list_objects_v2(Bucket=bucket, StartAfter="b/2"))[0] == "b/c/3"
    assert keys(alice.list_objects_v2(Bucket=bucket, MaxKeys=0)) == []
    refused(lambda: alice.list_objects_v2(Bucket=bucket, MaxKeys=-1), 400, "InvalidArgument")


def case_versions_are_kept_marked_and_removed(alice, bob, nobody, bucket):
    alice.put_object(Bucket=bucket, Key="a", Body=b"null")
    alice.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    assert alice.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    first = alice.put_object(Bucket=bucket, Key="a", Body=b"1")["VersionId"]
    second = alice.put_object(Bucket=bucket, Key="a", Body=b"2" * 100_000)["VersionId"]
    marker = alice.delete_object(Bucket=bucket, Key="a")
    assert marker["DeleteMarker"]
    refused(lambda: alice.get_object(Bucket=bucket, Key="a"), 404, "NoSuchKey")
    refused(lambda: alice.get_object(Bucket=bucket, Key="a", VersionId=marker["VersionId"]), 405, "MethodNotAllowed")
    assert alice.get_object(Bucket=bucket, Key="a", VersionId=first)["Body"].read() == b"1"
    assert alice.get_object(Bucket=bucket, Key="a", VersionId="null")["Body"].read() == b"null"
    page = alice.list_object_versions(Bucket=bucket)
    assert [v["VersionId"] for v in page["Versions"]] == [second, first, "null"]
    assert [m["IsLatest"] for m in page["DeleteMarkers"]] == [True]
    alice.delete_object(Bucket=bucket, Key="a", VersionId=marker["VersionId"])
    assert alice.get_object(Bucket=bucket, Key="a")["Body"].read() == b"2" * 100_000
    alice.delete_object(Bucket=bucket, Key="a", VersionId=second)
    assert alice.get_object(Bucket=bucket, Key="a")["VersionId"] == first
    alice.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})
    alice.put_object(Bucket=bucket, Key="a", Body=b"new null")
    page = alice.list_object_versions(Bucket=bucket)
    assert [v["VersionId"] for v in page["Versions"]] == ["null", first]
    for size in [1, 2]:
        pages = alice.get_paginator("list_object_versions").paginate(Bucket=bucket, PaginationConfig={"PageSize": size})
        assert [v["VersionId"] for page in pages for v in page.get("Versions", [])] == ["null", first]
    objects = [{"Key": "a", "VersionId": v["VersionId"]} for v in page["Versions"]]
    alice.delete_objects(Bucket=bucket, Delete={"Objects": objects})
    assert "Versions" not in alice.list_object_versions(Bucket=bucket)
    alice.delete_bucket(Bucket=bucket)


def case_multipart_uploads_make_objects(alice, bob, nobody, bucket):
    body = random.Random(7).randbytes(2 * PART + 17)
    upload = alice.create_multipart_upload(Bucket=bucket, Key="m", Metadata={"a": "b"}, ContentType="x/y")["UploadId"]
    parts = []
    for number, start in enumerate(range(0, len(body), PART), 1):
        part = alice.upload_part(
            Bucket=bucket, Key="m", UploadId=upload, PartNumber=number, Body=body[start : start + PART]
        )
        parts.append({"PartNumber": number, "ETag": part["ETag"]})
    listed = alice.list_parts(Bucket=bucket, Key="m", UploadId=upload, MaxParts=2)
    assert [part["PartNumber"] for part in listed["Parts"]] == [1, 2] and listed["IsTruncated"]
    assert alice.list_multipart_uploads(Bucket=bucket)["Uploads"][0]["UploadId"] == upload
    wrong = lambda parts: lambda: alice.complete_multipart_upload(
        Bucket=bucket, Key="m", UploadId=upload, MultipartUpload={"Parts": parts}
    )
    refused(wrong(parts[::-1]), 400, "InvalidPartOrder")
    refused(wrong([{"PartNumber": 9, "ETag": parts[0]["ETag"]}]), 400, "InvalidPart")
    refused(wrong([parts[2], {**parts[2], "PartNumber": 4}]), 400)
    done = wrong(parts)()
    sums = b"".join(hashlib.md5(body[start : start + PART]).digest() for start in range(0, len(body), PART))
    assert done["ETag"] == f'"{hashlib.md5(sums).hexdigest()}-3"'
    assert wrong(parts)()["ETag"] == done["ETag"]
    got = alice.get_object(Bucket=bucket, Key="m")
    assert got["Body"].read() == body and got["Metadata"] == {"a": "b"} and got["ContentType"] == "x/y"
    assert "PartsCount" not in got and "PartsCount" not in alice.head_object(Bucket=bucket, Key="m")
    got = alice.get_object(Bucket=bucket, Key="m", PartNumber=2)
    assert got["Body"].read() == body[PART : 2 * PART] and got["PartsCount"] == 3
    assert alice.get_object(Bucket=bucket, Key="m", Range=f"bytes={PART - 5}-{PART + 4}")["Body"].read() == body[PART - 5 : PART + 5]
    assert "Uploads" not in alice.list_multipart_uploads(Bucket=bucket)
    upload = alice.create_multipart_upload(Bucket=bucket, Key="n")["UploadId"]
    alice.upload_part_copy(Bucket=bucket, Key="n", UploadId=upload, PartNumber=1, CopySource=f"{bucket}/m", CopySourceRange=f"bytes=10-{PART + 20}")
    part = alice.list_parts(Bucket=bucket, Key="n", UploadId=upload)["Parts"][0]
    assert part["ETag"] == f'"{hashlib.md5(body[10 : PART + 21]).hexdigest()}"'
    alice.complete_multipart_upload(
        Bucket=bucket, Key="n", UploadId=upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    )
    alice.delete_object(Bucket=bucket, Key="m")
    assert alice.get_object(Bucket=bucket, Key="n")["Body"].read() == body[10 : PART + 21]
    upload = alice.create_multipart_upload(Bucket=bucket, Key="o")["UploadId"]
    alice.abort_multipart_upload(Bucket=bucket, Key="o", UploadId=upload)
    refused(lambda: alice.list_parts(Bucket=bucket, Key="o", UploadId=upload), 404, "NoSuchUpload")


def case_transfers_of_files_work_as_they_come(alice, bob, nobody, bucket):
    body = random.Random(1).randbytes(3 * PART)
    alice.upload_fileobj(io.BytesIO(body), bucket, "f", Config=TransferConfig(multipart_chunksize=PART))
    into = io.BytesIO()
    alice.download_fileobj(bucket, "f", into, Config=TransferConfig(multipart_chunksize=PART))
    assert into.getvalue() == body


def case_copies_share_bytes_and_outlive_their_source(alice, bob, nobody, bucket):
    for size in [10, 100_000]:
        body = random.Random(size).randbytes(size)
        alice.put_object(Bucket=bucket, Key="from", Body=body, Metadata={"a": "1"})
        alice.copy_object(Bucket=bucket, Key="to", CopySource={"Bucket": bucket, "Key": "from"})
        alice.delete_object(Bucket=bucket, Key="from")
        got = alice.get_object(Bucket=bucket, Key="to")
        assert got["Body"].read() == body and got["Metadata"] == {"a": "1"}
        refused(lambda: alice.copy_object(Bucket=bucket, Key="to", CopySource=f"{bucket}/to"), 400, "InvalidRequest")
        alice.copy_object(
            Bucket=bucket, Key="to", CopySource=f"{bucket}/to", MetadataDirective="REPLACE", Metadata={"b": "2"}
        )
        got = alice.get_object(Bucket=bucket, Key="to")
        assert got["Body"].read() == body and got["Metadata"] == {"b": "2"}
    refused(lambda: alice.copy_object(Bucket=bucket, Key="x", CopySource=f"{bucket}/none"), 404, "NoSuchKey")
    refused(lambda: bob.copy_object(Bucket=bucket, Key="x", CopySource=f"{bucket}/to"), 403, "AccessDenied")


def case_checksums_are_checked_and_told(alice, bob, nobody, bucket):
    body = b"some bytes"
    for algorithm in ["CRC32", "SHA1", "SHA256"]:
        put = alice.put_object(Bucket=bucket, Key="a", Body=body, ChecksumAlgorithm=algorithm)
        got = alice.head_object(Bucket=bucket, Key="a", ChecksumMode="ENABLED")
        assert put[f"Checksum{algorithm}"] == got[f"Checksum{algorithm}"]
    crc = base64.b64encode(zlib.crc32(body).to_bytes(4, "big")).decode()
    assert alice.put_object(Bucket=bucket, Key="a", Body=body, ChecksumCRC32=crc)["ChecksumCRC32"] == crc
    refused(lambda: alice.put_object(Bucket=bucket, Key="a", Body=body, ChecksumCRC32="AAAAAA=="), 400, "BadDigest")
    md5 = base64.b64encode(hashlib.md5(b"other").digest()).decode()
    refused(lambda: alice.put_object(Bucket=bucket, Key="a", Body=body, ContentMD5=md5), 400, "BadDigest")
    refused(lambda: alice.put_object(Bucket=bucket, Key="a", Body=body, ContentMD5="YWJj"), 400, "InvalidDigest")
    attributes = alice.get_object_attributes(Bucket=bucket, Key="a", ObjectAttributes=["ETag", "Checksum", "ObjectSize"])
    assert attributes["Checksum"]["ChecksumCRC32"] == crc and attributes["ObjectSize"] == len(body)
    upload = alice.create_multipart_upload(Bucket=bucket, Key="m", ChecksumAlgorithm="SHA256")["UploadId"]
    part = alice.upload_part(Bucket=bucket, Key="m", UploadId=upload, PartNumber=1, Body=body, ChecksumAlgorithm="SHA256")
    named = {"PartNumber": 1, "ETag": part["ETag"], "ChecksumSHA256": part["ChecksumSHA256"]}
    done = alice.complete_multipart_upload(Bucket=bucket, Key="m", UploadId=upload, MultipartUpload={"Parts": [named]})
    composite = base64.b64encode(hashlib.sha256(hashlib.sha256(body).digest()).digest()).decode()
    assert done["ChecksumSHA256"] == f"{composite}-1", done


def case_many_are_deleted_at_once(alice, bob, nobody, bucket):
    for at in range(20):
        alice.put_object(Bucket=bucket, Key=f"k{at}", Body=b"x")
    answer = alice.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": f"k{at}"} for at in range(25)]})
    assert len(answer["Deleted"]) == 25 and "Errors" not in answer
    assert alice.list_objects_v2(Bucket=bucket)["KeyCount"] == 0
    answer = alice.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "k"}], "Quiet": True})
    assert "Deleted" not in answer
    many = [{"Key": str(at)} for at in range(1001)]
    refused(lambda: alice.delete_objects(Bucket=bucket, Delete={"Objects": many}), 400, "MalformedXML")


def case_tags_are_kept_and_counted(alice, bob, nobody, bucket):
    alice.put_object(Bucket=bucket, Key="a", Body=b"x", Tagging="k=v&l=m%20n")
    tags = [{"Key": "k", "Value": "v"}, {"Key": "l", "Value": "m n"}]
    assert alice.get_object_tagging(Bucket=bucket, Key="a")["TagSet"] == tags
    assert alice.get_object(Bucket=bucket, Key="a")["TagCount"] == 2
    alice.put_object_tagging(Bucket=bucket, Key="a", Tagging={"TagSet": tags[:1]})
    assert alice.get_object_tagging(Bucket=bucket, Key="a")["TagSet"] == tags[:1]
    alice.delete_object_tagging(Bucket=bucket, Key="a")
    assert alice.get_object_tagging(Bucket=bucket, Key="a")["TagSet"] == []
    many = [{"Key": str(at), "Value": ""} for at in range(11)]
    refused(lambda: alice.put_object_tagging(Bucket=bucket, Key="a", Tagging={"TagSet": many}), 400, "InvalidTag")
    refused(lambda: alice.get_bucket_tagging(Bucket=bucket), 404, "NoSuchTagSet")
    alice.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": tags})
    assert alice.get_bucket_tagging(Bucket=bucket)["TagSet"] == tags
    alice.delete_bucket_tagging(Bucket=bucket)


def case_lists_let_others_in(alice, bob, nobody, bucket):
    alice.put_object(Bucket=bucket, Key="private", Body=b"x")
    alice.put_object(Bucket=bucket, Key="public", Body=b"x", ACL="public-read")
    alice.put_object(Bucket=bucket, Key="known", Body=b"x", ACL="authenticated-read")
    refused(lambda: bob.get_object(Bucket=bucket, Key="private"), 403, "AccessDenied")
    refused(lambda: nobody.get_object(Bucket=bucket, Key="known"), 403, "AccessDenied")
    refused(lambda: nobody.get_object(Bucket=bucket, Key="not-there"), 403, "AccessDenied")
    assert nobody.get_object(Bucket=bucket, Key="public")["Body"].read() == b"x"
    assert bob.get_object(Bucket=bucket, Key="known")["Body"].read() == b"x"
    refused(lambda: nobody.list_objects_v2(Bucket=bucket), 403, "AccessDenied")
    alice.put_bucket_acl(Bucket=bucket, ACL="public-read")
    assert len(keys(nobody.list_objects_v2(Bucket=bucket))) == 3
    refused(lambda: nobody.put_object(Bucket=bucket, Key="x", Body=b""), 403, "AccessDenied")
    alice.put_bucket_acl(Bucket=bucket, ACL="public-read-write")
    nobody.put_object(Bucket=bucket, Key="x", Body=b"")
    grants = alice.get_object_acl(Bucket=bucket, Key="public")["Grants"]
    assert grants[-1]["Grantee"]["ID"] == "alice" and grants[-1]["Permission"] == "FULL_CONTROL"
    assert grants[0]["Grantee"]["URI"].endswith("AllUsers") and grants[0]["Permission"] == "READ"
    alice.put_object_acl(Bucket=bucket, Key="private", GrantRead="emailAddress=bob@example.org")
    assert bob.get_object(Bucket=bucket, Key="private")["Body"].read() == b"x"
    refused(lambda: alice.put_object_acl(Bucket=bucket, Key="private", GrantRead="id=carol"), 400, "InvalidArgument")
    block = {"BlockPublicAcls": True, "IgnorePublicAcls": True, "BlockPublicPolicy": False, "RestrictPublicBuckets": False}
    alice.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=block)
    refused(lambda: alice.put_object(Bucket=bucket, Key="y", Body=b"", ACL="public-read"), 403, "AccessDenied")
    refused(lambda: nobody.get_object(Bucket=bucket, Key="public"), 403, "AccessDenied")
    alice.delete_public_access_block(Bucket=bucket)
    assert nobody.get_object(Bucket=bucket, Key="public")["Body"].read() == b"x"
    owner = alice.get_bucket_acl(Bucket=bucket)["Owner"]
    assert owner == {"ID": "alice", "DisplayName": "Alice"}
    reader = client("reader")
    assert reader.get_object(Bucket=bucket, Key="known")["Body"].read() == b"x"
    refused(lambda: reader.delete_bucket(Bucket=bucket), 403, "AccessDenied")
    refused(lambda: reader.create_bucket(Bucket="readers"), 403, "AccessDenied")


def case_signatures_are_asked_for_and_checked(alice, bob, nobody, bucket):
    alice.put_object(Bucket=bucket, Key="a", Body=b"x")
    liar = boto3.client("s3", endpoint_url=URL, region_name="us-east-1", aws_access_key_id="alice", aws_secret_access_key="no")
    refused(lambda: liar.list_buckets(), 403, "SignatureDoesNotMatch")
    stranger = client("stranger")
    refused(lambda: stranger.list_buckets(), 403, "InvalidAccessKeyId")
    url = alice.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "a"}, ExpiresIn=60)
    v4 = client("alice", signature_version="s3v4")
    sign = lambda seconds: v4.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "a"}, ExpiresIn=seconds)
    assert fetch(sign(60))[0::2] == (200, b"x")
    signed = sign(60)
    at = signed.index("X-Amz-Signature=") + len("X-Amz-Signature=")
    assert fetch(signed[:at] + ("1" if signed[at] == "0" else "0") + signed[at + 1 :])[0] == 403
    assert fetch(sign(604801))[0] == 403
    # boto3 signs addresses of this region with version 2, unless it is told otherwise.
    assert fetch(url)[0::2] == (200, b"x")
    if "X-Amz-Signature" not in url:
        for wrong in (url.replace("a?", "b?"), url + "&acl", url + "&retention", re.sub("Expires=1", "Expires=2", url)):
            assert fetch(wrong)[0] == 403, wrong
        assert fetch(url, "PUT", data=b"y")[0] == 403
        late = alice.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "a"}, ExpiresIn=700_000)
        assert fetch(late)[0] == 403
    old = client("alice", signature_version="s3")
    refused(lambda: old.list_buckets(), 403, "AccessDenied")
    put = v4.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "p"}, ExpiresIn=60)
    assert fetch(put, "PUT", data=b"put")[0] == 200
    assert alice.get_object(Bucket=bucket, Key="p")["Body"].read() == b"put"


def form(url, fields, body):
    line = "----cloudbank"
    parts = [
        f'--{line}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in fields.items()
    ]
    head = "".join(parts) + f'--{line}\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n'
    data = head.encode() + body + f"\r\n--{line}--\r\n".encode()
    return fetch(url, "POST", {"Content-Type": f"multipart/form-data; boundary={line}"}, data)


def case_forms_put_what_their_policy_allows(alice, bob, nobody, bucket):
    conditions = [["content-length-range", 0, 100], ["starts-with", "$key", "up/"]]
    v4 = client("alice", signature_version="s3v4")
    post = v4.generate_presigned_post(bucket, "up/${filename}", Conditions=conditions, ExpiresIn=60)
    fields = {**post["fields"], "key": "up/a"}
    assert form(post["url"], fields, b"hello")[0] == 204
    assert alice.get_object(Bucket=bucket, Key="up/a")["Body"].read() == b"hello"
    assert form(post["url"], fields, b"x" * 101)[0] == 400
    assert form(post["url"], {**fields, "key": "down/a"}, b"hello")[0] == 403
    assert form(post["url"], {**fields, "x-amz-signature": "0" * 64}, b"hello")[0] == 403
    assert form(f"{URL}/{bucket}", {"key": "up/b"}, b"hello")[0] == 403
    expiration = (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    policy = {"expiration": expiration, "conditions": [{"bucket": bucket}, ["starts-with", "$key", ""]]}
    policy = base64.b64encode(json.dumps(policy).encode())
    signature = base64.b64encode(hmac.new(b"alice-secret", policy, hashlib.sha1).digest()).decode()
    old = {"key": "old", "AWSAccessKeyId": "alice", "policy": policy.decode(), "signature": signature}
    assert form(f"{URL}/{bucket}", old, b"old")[0] == 204
    assert alice.get_object(Bucket=bucket, Key="old")["Body"].read() == b"old"
    assert form(f"{URL}/{bucket}", {**old, "signature": signature[::-1]}, b"old")[0] in (400, 403)


def case_pages_from_elsewhere_are_let_in_by_rules(alice, bob, nobody, bucket):
    refused(lambda: alice.get_bucket_cors(Bucket=bucket), 404, "NoSuchCORSConfiguration")
    rule = {"AllowedMethods": ["GET", "PUT"], "AllowedOrigins": ["https://*.example.org"], "AllowedHeaders": ["x-amz-*"], "ExposeHeaders": ["ETag"], "MaxAgeSeconds": 60}
    alice.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": [rule]})
    assert alice.get_bucket_cors(Bucket=bucket)["CORSRules"] == [rule]
    alice.put_object(Bucket=bucket, Key="a", Body=b"x", ACL="public-read")
    ask = {"Origin": "https://a.example.org", "Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "X-Amz-Date"}
    status, headers, _ = fetch(f"{URL}/{bucket}/a", "OPTIONS", ask)
    assert status == 200 and headers["Access-Control-Allow-Origin"] == "https://a.example.org"
    assert headers["Access-Control-Allow-Headers"] == "x-amz-date" and headers["Access-Control-Max-Age"] == "60"
    assert fetch(f"{URL}/{bucket}/a", "OPTIONS", {**ask, "Origin": "https://example.com"})[0] == 403
    status, headers, _ = fetch(f"{URL}/{bucket}/a", "GET", {"Origin": "https://a.example.org"})
    assert status == 200 and headers["Access-Control-Expose-Headers"] == "ETag"
    assert fetch(f"{URL}/{bucket}/a")[1]["Access-Control-Allow-Origin"] is None


def case_the_past_is_read_by_suffix_and_header(alice, bob, nobody, bucket):
    alice.put_object(Bucket=bucket, Key="a", Body=b"then")
    then = datetime.datetime.now(datetime.timezone.utc)
    alice.put_object(Bucket=bucket, Key="a", Body=b"now")
    alice.put_object(Bucket=bucket, Key="b", Body=b"new")
    stamp = then.strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    past = as_of(stamp)
    assert past.get_object(Bucket=bucket, Key="a")["Body"].read() == b"then"
    assert keys(past.list_objects_v2(Bucket=bucket)) == ["a"]
    refused(lambda: past.put_object(Bucket=bucket, Key="a", Body=b""), 405, "MethodNotAllowed")
    assert alice.get_object(Bucket=bucket, Key="a")["Body"].read() == b"now"


def examples(**given):
    """Runs the examples of the page on extensions, and returns what they leave."""
    page = pathlib.Path(__file__).parents[3] / "docs" / "s3-extensions.md"
    code = re.findall(r"^```python\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)
    assert len(code) >= 3, code
    left = {"url": URL, "access_key": "alice", "secret_key": "alice-secret", **given}
    exec("\n".join(code), left)
    return left


def case_the_examples_of_the_page_on_extensions_work(alice, bob, nobody, bucket):
    for name in ["shop", "archive"]:
        alice.create_bucket(Bucket=name)
    alice.put_object(Bucket="shop", Key="stock/4711", Body=b"in stock")
    left = examples()
    assert left["place"] != "0" and left["status"] == 200
    version = left["done"]["version"]
    order = alice.get_object(Bucket="shop", Key="orders/1")
    assert order["Body"].read() == b"one 4711" and order["ContentType"] == "text/plain"
    assert order["Metadata"] == {"customer": "alice"} and order["ETag"] == left["done"]["results"][1]["etag"]
    assert alice.get_object_tagging(Bucket="shop", Key="orders/1")["TagSet"] == [{"Key": "state", "Value": "open"}]
    assert alice.get_object(Bucket="archive", Key="4711")["Body"].read() == b"in stock"
    assert keys(alice.list_objects_v2(Bucket="shop")) == ["orders/1"]
    # As of the version all of it is there, as of the one before nothing.
    now, before = as_of(f"v{version}"), as_of(f"v{version - 1}")
    assert [keys(now.list_objects_v2(Bucket=name)) for name in ["shop", "archive"]] == [["orders/1"], ["4711"]]
    assert [keys(before.list_objects_v2(Bucket=name)) for name in ["shop", "archive"]] == [["stock/4711"], []]


def case_a_batch_is_done_once_or_refused_whole(alice, bob, nobody, bucket):
    def ask(user, what, secret=None):
        secret = secret or ("alice-secret" if user == "reader" else f"{user}-secret")
        request = AWSRequest("POST", f"{URL}/?batch", data=json.dumps(what))
        S3SigV4Auth(Credentials(user, secret), "s3", "us-east-1").add_auth(request)
        answer = URLLib3Session().send(request.prepare())
        return answer.status_code, answer.content

    batch = {"token": "t", "operations": [{"op": "put", "bucket": bucket, "key": "a", "text": "1", "if_none_match": "*"}]}
    status, first = ask("alice", batch)
    assert status == 200 and ask("alice", batch) == (status, first)
    assert alice.get_object(Bucket=bucket, Key="a")["Body"].read() == b"1"
    refusals = [
        ("alice", {**batch, "token": None}, 412, "PreconditionFailed"),
        ("alice", {"token": "t", "operations": [{"op": "delete", "bucket": bucket, "key": "a"}]}, 400, "IdempotencyParameterMismatch"),
        ("bob", batch, 403, "AccessDenied"),
        ("reader", {"operations": [{"op": "delete", "bucket": bucket, "key": "a"}]}, 403, "AccessDenied"),
        ("alice", {"operations": []}, 400, "InvalidRequest"),
        ("alice", {"operations": [{"op": "put", "bucket": bucket, "key": "x", "text": ""}] * 1001}, 400, "InvalidRequest"),
        ("alice", {"operations": [{"op": "put", "bucket": bucket, "key": "x", "text": "x" * 9_000_000}]}, 400, "EntityTooLarge"),
        ("alice", {"operation": []}, 400, "MalformedJSON"),
    ]
    for user, what, status, code in refusals:
        said, answer = ask(user, what)
        assert (said, json.loads(answer)["code"]) == (status, code), (user, said, answer)
    assert keys(alice.list_objects_v2(Bucket=bucket)) == ["a"]
    status, _, answer = fetch(f"{URL}/?batch", "POST", {}, json.dumps(batch).encode())
    assert status == 403 and json.loads(answer)["code"] == "AccessDenied"
    status, answer = ask("alice", batch, secret="wrong")
    assert status == 403 and b"SignatureDoesNotMatch" in answer


def case_changes_are_told_as_they_come(alice, bob, nobody, bucket):
    def ask(path, user="alice", method="GET"):
        request = AWSRequest(method, f"{URL}/{path}", data=b"")
        S3SigV4Auth(Credentials(user, f"{user}-secret"), "s3", "us-east-1").add_auth(request)
        answer = URLLib3Session().send(request.prepare())
        return answer.status_code, answer.content

    def feed(query):
        status, answer = ask(f"{bucket}?changes{query}")
        assert status == 200, answer
        *events, last = [json.loads(line) for line in answer.splitlines()]
        assert list(last) == ["next"], last
        return events, last["next"]

    events, start = feed("")
    assert events == []
    put = alice.put_object(Bucket=bucket, Key="a/ä", Body=b"hello")
    alice.put_object(Bucket=bucket, Key="b", Body=b"x")
    alice.delete_object(Bucket=bucket, Key="b")
    events, end = feed(f"&from={start}")
    assert [(event["event"], event["key"]) for event in events] == [("put", "a/ä"), ("put", "b"), ("delete", "b")]
    assert events[0]["etag"] == put["ETag"] and events[0]["size"] == 5 and events[0]["time"].endswith("Z")
    assert [event["next"] for event in events][-1] == end
    # One at a time, and each exactly once.
    place, one_by_one = start, []
    while place != end:
        some, place = feed(f"&from={place}&max=1")
        one_by_one += some
    assert one_by_one == events
    assert [event["key"] for event in feed(f"&from={start}&prefix=a%2F%C3%A4")[0]] == ["a/ä"]
    # Who waits hears of it before the time is over.
    waiting = threading.Thread(target=lambda: found.append(feed(f"&from={end}&wait=20&max=1")))
    found = []
    waiting.start()
    alice.put_object(Bucket=bucket, Key="c", Body=b"")
    waiting.join()
    assert [event["key"] for event in found[0][0]] == ["c"]
    assert ask(f"{bucket}?changes&from=0", "bob")[0] == 403
    assert ask(f"{bucket}?changes&from=x")[0] == 400
    assert ask("none?changes")[0] == 404
    assert fetch(f"{URL}/{bucket}?changes")[0] == 403
    alice.put_bucket_acl(Bucket=bucket, ACL="public-read")
    assert fetch(f"{URL}/{bucket}?changes&from={start}")[0] == 200
    # A cursor is where it was put.
    feed(f"&cursor=m&from={start}")
    assert feed("&cursor=m")[0][: len(events)] == events
    assert ask(f"{bucket}?changes&cursor=m", "bob")[0] == 403
    assert ask(f"{bucket}?changes&cursor=m", method="DELETE")[0] == 204
    assert feed("&cursor=m")[0] == []


def case_what_is_not_there_is_said_cleanly(alice, bob, nobody, bucket):
    refused(lambda: alice.get_bucket_policy(Bucket=bucket), 404, "NoSuchBucketPolicy")
    refused(lambda: alice.get_bucket_lifecycle_configuration(Bucket=bucket), 404, "NoSuchLifecycleConfiguration")
    refused(lambda: alice.get_bucket_website(Bucket=bucket), 404, "NoSuchWebsiteConfiguration")
    refused(lambda: alice.get_object_lock_configuration(Bucket=bucket), 404, "ObjectLockConfigurationNotFoundError")
    refused(lambda: alice.put_bucket_policy(Bucket=bucket, Policy="{}"), 400, "MalformedPolicy")
    refused(lambda: alice.put_bucket_accelerate_configuration(Bucket=bucket, AccelerateConfiguration={"Status": "Enabled"}), 501, "NotImplemented")
    refused(lambda: alice.get_public_access_block(Bucket=bucket), 404, "NoSuchPublicAccessBlockConfiguration")


def statement(bucket, action, effect="Allow", who="*", **more):
    both = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
    return {"Effect": effect, "Principal": who, "Action": action, "Resource": both, **more}


def policy(client, bucket, *statements):
    text = json.dumps({"Version": "2012-10-17", "Statement": statements})
    client.put_bucket_policy(Bucket=bucket, Policy=text)
    assert client.get_bucket_policy(Bucket=bucket)["Policy"] == text


def case_policies_decide_before_lists_do(alice, bob, nobody, bucket):
    refused(lambda: alice.get_bucket_policy(Bucket=bucket), 404, "NoSuchBucketPolicy")
    for key, kind in [("open", "public"), ("closed", "private")]:
        alice.put_object(Bucket=bucket, Key=key, Body=b"x", Tagging=f"kind={kind}")
    tagged = {"StringEquals": {"s3:ExistingObjectTag/kind": "public"}}
    policy(alice, bucket, statement(bucket, "s3:GetObject", Condition=tagged))
    assert nobody.get_object(Bucket=bucket, Key="open")["Body"].read() == b"x"
    refused(lambda: bob.get_object(Bucket=bucket, Key="closed"), 403, "AccessDenied")
    refused(lambda: bob.list_objects_v2(Bucket=bucket), 403, "AccessDenied")
    assert alice.get_bucket_policy_status(Bucket=bucket)["PolicyStatus"]["IsPublic"] is True
    loud = {"StringLike": {"s3:x-amz-acl": "public*"}}
    denied = statement(bucket, "s3:PutObject", effect="Deny", Condition=loud)
    policy(alice, bucket, statement(bucket, "s3:PutObject", who={"AWS": "arn:aws:iam:::user/bob"}), denied)
    bob.put_object(Bucket=bucket, Key="of-bob", Body=b"x")
    refused(lambda: bob.put_object(Bucket=bucket, Key="loud", Body=b"x", ACL="public-read"), 403, "AccessDenied")
    refused(lambda: nobody.put_object(Bucket=bucket, Key="x", Body=b"x"), 403, "AccessDenied")
    below = {"StringLike": {"s3:prefix": "public/*"}}
    policy(alice, bucket, statement(bucket, "s3:ListBucket", Condition=below))
    refused(lambda: bob.head_object(Bucket=bucket, Key="public/none"), 404)
    refused(lambda: bob.head_object(Bucket=bucket, Key="private/none"), 403)
    policy(alice, bucket, statement(bucket, "s3:*", effect="Deny"))
    refused(lambda: alice.list_objects_v2(Bucket=bucket), 403, "AccessDenied")
    alice.delete_bucket_policy(Bucket=bucket)
    alice.list_objects_v2(Bucket=bucket)
    blocked = {"BlockPublicPolicy": True}
    alice.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=blocked)
    refused(lambda: policy(alice, bucket, statement(bucket, "s3:GetObject")), 403, "AccessDenied")


def case_locked_versions_are_kept(alice, bob, nobody, bucket):
    until = datetime.datetime(2140, 1, 1, tzinfo=datetime.timezone.utc)
    alice.create_bucket(Bucket="locks", ObjectLockEnabledForBucket=True)
    assert alice.get_bucket_versioning(Bucket="locks")["Status"] == "Enabled"
    suspend = {"Status": "Suspended"}
    refused(lambda: alice.put_bucket_versioning(Bucket="locks", VersioningConfiguration=suspend), 409, "InvalidBucketState")
    put = alice.put_object(Bucket="locks", Key="a", Body=b"x", ObjectLockMode="GOVERNANCE", ObjectLockRetainUntilDate=until)
    named = {"Bucket": "locks", "Key": "a", "VersionId": put["VersionId"]}
    head = alice.head_object(Bucket="locks", Key="a")
    assert (head["ObjectLockMode"], head["ObjectLockRetainUntilDate"]) == ("GOVERNANCE", until)
    refused(lambda: alice.delete_object(**named), 403, "AccessDenied")
    several = {"Objects": [{"Key": "a", "VersionId": put["VersionId"]}]}
    answer = alice.delete_objects(Bucket="locks", Delete=several)
    assert answer["Errors"][0]["Code"] == "AccessDenied" and "Deleted" not in answer
    alice.put_object_legal_hold(**named, LegalHold={"Status": "ON"})
    assert alice.get_object_legal_hold(**named)["LegalHold"] == {"Status": "ON"}
    refused(lambda: alice.delete_object(**named, BypassGovernanceRetention=True), 403, "AccessDenied")
    alice.put_object_legal_hold(**named, LegalHold={"Status": "OFF"})
    assert alice.get_object_retention(**named)["Retention"] == {"Mode": "GOVERNANCE", "RetainUntilDate": until}
    alice.delete_object(**named, BypassGovernanceRetention=True)
    default = {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 1}}}
    alice.put_object_lock_configuration(Bucket="locks", ObjectLockConfiguration=default)
    assert alice.get_object_lock_configuration(Bucket="locks")["ObjectLockConfiguration"] == default
    version = alice.put_object(Bucket="locks", Key="b", Body=b"x")["VersionId"]
    refused(lambda: alice.delete_object(Bucket="locks", Key="b", VersionId=version, BypassGovernanceRetention=True), 403)
    refused(lambda: alice.put_object_lock_configuration(Bucket=bucket, ObjectLockConfiguration=default), 409, "InvalidBucketState")


def case_a_bucket_can_own_what_others_put(alice, bob, nobody, bucket):
    policy(alice, bucket, statement(bucket, "s3:*"))
    full = "bucket-owner-full-control"
    for ownership, plain, given in [
        ("ObjectWriter", "Bob", "Bob"),
        ("BucketOwnerPreferred", "Bob", "Alice"),
        ("BucketOwnerEnforced", "Alice", "Alice"),
    ]:
        rules = {"Rules": [{"ObjectOwnership": ownership}]}
        alice.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls=rules)
        bob.put_object(Bucket=bucket, Key="plain", Body=b"x")
        bob.put_object(Bucket=bucket, Key="given", Body=b"x", ACL=full)
        for key, owner in [("plain", plain), ("given", given)]:
            assert bob.get_object_acl(Bucket=bucket, Key=key)["Owner"]["DisplayName"] == owner, (ownership, key)
    refused(lambda: bob.put_object(Bucket=bucket, Key="x", Body=b"x", ACL="private"), 400, "AccessControlListNotSupported")
    refused(lambda: alice.put_bucket_acl(Bucket=bucket, ACL="private"), 400, "AccessControlListNotSupported")


def case_errors_and_owners_are_named(alice, bob, nobody, bucket):
    status, headers, body = fetch(f"{URL}/{bucket}/none")
    text = body.decode()
    assert status == 403 and f"<RequestId>{headers['x-amz-request-id']}</RequestId>" in text
    assert f"<Resource>/{bucket}/none</Resource>" in text
    alice.list_objects_v2(Bucket=bucket, ExpectedBucketOwner="alice")
    refused(lambda: alice.list_objects_v2(Bucket=bucket, ExpectedBucketOwner="bob"), 403, "AccessDenied")
    alice.put_object(Bucket=bucket, Key="a", Body=b"x", GrantRead="id=bob")
    alice.put_object_acl(Bucket=bucket, Key="a", ACL="public-read")
    grants = alice.get_object_acl(Bucket=bucket, Key="a")["Grants"]
    assert [grant["Grantee"]["Type"] for grant in grants] == ["Group", "CanonicalUser"]


def case_objects_are_encrypted(alice, bob, nobody, bucket):
    body = random.Random(7).randbytes(100_000)
    own = lambda key: {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": key * 32}
    source = {"CopySourceSSECustomerAlgorithm": "AES256", "CopySourceSSECustomerKey": "a" * 32}
    kms = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "accounts"}
    ways = {"server": {"ServerSideEncryption": "AES256"}, "kms": kms, "own": own("a"), "plain": {}}
    for name, way in ways.items():
        put = alice.put_object(Bucket=bucket, Key=name, Body=body, **way)
        read = own("a") if name == "own" else {}
        got = alice.get_object(Bucket=bucket, Key=name, **read)
        assert got["Body"].read() == body
        part = alice.get_object(Bucket=bucket, Key=name, Range="bytes=65530-65540", **read)
        assert part["Body"].read() == body[65530:65541]
        for field in ("ServerSideEncryption", "SSEKMSKeyId", "SSECustomerAlgorithm"):
            assert put.get(field) == got.get(field) == way.get(field), (name, field)
        for to, other in ways.items():
            said = {"CopySource": {"Bucket": bucket, "Key": name}, **(source if name == "own" else {})}
            copied = alice.copy_object(Bucket=bucket, Key=f"{name}-{to}", **said, **other)
            assert copied.get("SSEKMSKeyId") == other.get("SSEKMSKeyId")
            read = own("a") if to == "own" else {}
            assert alice.get_object(Bucket=bucket, Key=f"{name}-{to}", **read)["Body"].read() == body
    for ask in (alice.get_object, alice.head_object):
        refused(lambda: ask(Bucket=bucket, Key="own"), 400)
        refused(lambda: ask(Bucket=bucket, Key="own", **own("b")), 400)
        refused(lambda: ask(Bucket=bucket, Key="plain", **own("a")), 400)
    refused(lambda: alice.copy_object(Bucket=bucket, Key="x", CopySource=f"{bucket}/own"), 400, "InvalidRequest")
    refused(lambda: alice.put_object(Bucket=bucket, Key="x", ServerSideEncryption="aws:kms"), 400, "InvalidArgument")

    refused(lambda: alice.get_bucket_encryption(Bucket=bucket), 404, "ServerSideEncryptionConfigurationNotFoundError")
    default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "accounts"}
    rules = {"Rules": [{"ApplyServerSideEncryptionByDefault": default}]}
    alice.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration=rules)
    told = alice.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"][0]
    assert told["ApplyServerSideEncryptionByDefault"] == default
    for size in (10, 100_000):
        assert alice.put_object(Bucket=bucket, Key="d", Body=body[:size])["SSEKMSKeyId"] == "accounts"
        assert alice.get_object(Bucket=bucket, Key="d")["Body"].read() == body[:size]
    alice.delete_bucket_encryption(Bucket=bucket)

    for name, way in ways.items():
        said = own("a") if name == "own" else {}
        upload = alice.create_multipart_upload(Bucket=bucket, Key="m", **way)["UploadId"]
        named = {"Bucket": bucket, "Key": "m", "UploadId": upload}
        if name == "own":
            refused(lambda: alice.upload_part(**named, PartNumber=1, Body=b"x", **own("b")), 400)
        first = alice.upload_part(**named, PartNumber=1, Body=body * 60, **said)["ETag"]
        again = alice.upload_part_copy(
            **named, PartNumber=2, CopySource=f"{bucket}/own", CopySourceRange="bytes=10-70000", **source, **said
        )
        parts = [{"PartNumber": 1, "ETag": first}, {"PartNumber": 2, "ETag": again["CopyPartResult"]["ETag"]}]
        alice.complete_multipart_upload(**named, MultipartUpload={"Parts": parts})
        assert alice.get_object(Bucket=bucket, Key="m", **said)["Body"].read() == body * 60 + body[10:70001]
        second = alice.get_object(Bucket=bucket, Key="m", PartNumber=2, **said)
        assert second["Body"].read() == body[10:70001]


def case_rules_of_what_ages_come_back_as_they_were_put_and_are_told_of(alice, bob, nobody, bucket):
    def put(*rules, who=alice):
        who.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": list(rules)})

    def rule(**more):
        return {"ID": "r", "Status": "Enabled", "Filter": {"Prefix": "logs/"}, **more}

    both = {"Prefix": "x", "Tags": [{"Key": "a", "Value": "b"}, {"Key": "c", "Value": "d"}], "ObjectSizeLessThan": 9}
    rules = [
        {"ID": "old", "Prefix": "a/", "Status": "Disabled", "Expiration": {"Days": 3}},
        rule(Filter={}, Expiration={"ExpiredObjectDeleteMarker": True}),
        rule(ID="and", Filter={"And": both}, Expiration={"Days": 90}, Transitions=[{"Days": 30, "StorageClass": "GLACIER"}]),
        rule(ID="tag", Filter={"Tag": {"Key": "a", "Value": "b"}}, NoncurrentVersionExpiration={"NoncurrentDays": 5}),
        rule(ID="end", AbortIncompleteMultipartUpload={"DaysAfterInitiation": 7}),
    ]
    put(*rules)
    assert alice.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"] == rules
    wrong = [
        (rule(Status="enabled", Expiration={"Days": 1}), "MalformedXML"),
        (rule(Expiration={"Days": 0}), "InvalidArgument"),
        (rule(Expiration={"Date": "2030-01-01T10:00:00Z"}), "InvalidArgument"),
        (rule(), "InvalidRequest"),
        (rule(ID="a" * 256, Expiration={"Days": 1}), "InvalidArgument"),
    ]
    for one, code in wrong:
        refused(lambda: put(one), 400, code)
    refused(lambda: put(*rules, who=bob), 403, "AccessDenied")
    assert alice.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"] == rules

    put(rule(ID="two days", Filter={"Prefix": ""}, Expiration={"Days": 2}, AbortIncompleteMultipartUpload={"DaysAfterInitiation": 2}))
    began = datetime.datetime.now(datetime.timezone.utc)
    named = {"Bucket": bucket, "Key": "k"}
    upload = alice.create_multipart_upload(**named)
    part = alice.upload_part(**named, UploadId=upload["UploadId"], PartNumber=1, Body=b"x")["ETag"]
    assert alice.list_parts(**named, UploadId=upload["UploadId"])["AbortDate"] == upload["AbortDate"]
    assert upload["AbortRuleId"] == "two days"
    parts = {"Parts": [{"PartNumber": 1, "ETag": part}]}
    answers = [
        alice.complete_multipart_upload(**named, UploadId=upload["UploadId"], MultipartUpload=parts),
        alice.put_object(**named, Body=b"x"),
        alice.get_object(**named),
        alice.head_object(**named),
        alice.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/k"),
    ]
    for answer in answers:
        date, told = re.fullmatch('expiry-date="(.*)", rule-id="(.*)"', answer["Expiration"]).groups()
        date = datetime.datetime.strptime(date, "%a, %d %b %Y %H:%M:%S %Z").replace(tzinfo=datetime.timezone.utc)
        assert told == "two%20days" and date.hour == date.minute == 0
        assert datetime.timedelta(days=2) <= date - began <= datetime.timedelta(days=3, hours=1), date
    alice.delete_bucket_lifecycle(Bucket=bucket)
    refused(lambda: alice.get_bucket_lifecycle_configuration(Bucket=bucket), 404, "NoSuchLifecycleConfiguration")
    assert "Expiration" not in alice.head_object(**named)


if __name__ == "__main__":
    case = globals()[f"case_{sys.argv[1]}"]
    own = client("alice")
    own.create_bucket(Bucket="photos-1")
    case(own, client("bob"), client(None), "photos-1")
