"""What users of minio-py do."""

import io
from datetime import timedelta

import minio
from minio.commonconfig import ENABLED, ComposeSource, CopySource, Tags
from minio.deleteobjects import DeleteObject
from minio.error import S3Error
from minio.versioningconfig import VersioningConfig

from support import *


def client(**more):
    return minio.Minio(endpoint=HOST, access_key=ACCESS, secret_key=SECRET, secure=False, **more)


def case_objects_are_put_composed_and_deleted():
    m = client()
    assert not m.bucket_exists(bucket_name=BUCKET)
    m.make_bucket(bucket_name=BUCKET)
    assert m.bucket_exists(bucket_name=BUCKET)
    assert BUCKET in [bucket.name for bucket in m.list_buckets()]
    large = noise(12_000_000)
    m.put_object(bucket_name=BUCKET, object_name="large ä+b", data=io.BytesIO(large), length=-1, part_size=5 << 20, metadata={"colour": "green"})
    answer = m.get_object(bucket_name=BUCKET, object_name="large ä+b", offset=5_000_000, length=1_000_000)
    assert answer.read() == large[5_000_000:6_000_000]
    answer.close()
    stat = m.stat_object(bucket_name=BUCKET, object_name="large ä+b")
    assert stat.size == len(large) and stat.metadata["x-amz-meta-colour"] == "green"
    sources = [ComposeSource(bucket_name=BUCKET, object_name="large ä+b", offset=0, length=6_000_000), ComposeSource(bucket_name=BUCKET, object_name="large ä+b")]
    m.compose_object(bucket_name=BUCKET, object_name="composed", sources=sources)
    assert stored("composed") == large[:6_000_000] + large
    m.copy_object(bucket_name=BUCKET, object_name="copy", source=CopySource(bucket_name=BUCKET, object_name="large ä+b"))
    assert stored("copy") == large
    for number in range(30):
        m.put_object(bucket_name=BUCKET, object_name=f"many/{number:02}", data=io.BytesIO(b"x"), length=1)
    names = [entry.object_name for entry in m.list_objects(bucket_name=BUCKET, prefix="many/")]
    assert names == [f"many/{number:02}" for number in range(30)], names
    assert {entry.object_name for entry in m.list_objects(bucket_name=BUCKET)} == {"large ä+b", "composed", "copy", "many/"}
    try:
        m.stat_object(bucket_name=BUCKET, object_name="none")
        raise AssertionError("there is none")
    except S3Error as refused:
        assert refused.code == "NoSuchKey"
    everything = m.list_objects(bucket_name=BUCKET, recursive=True)
    assert not list(m.remove_objects(bucket_name=BUCKET, delete_object_list=[DeleteObject(e.object_name) for e in everything]))
    m.remove_bucket(bucket_name=BUCKET)


def case_versions_and_tags():
    m = client()
    m.make_bucket(bucket_name=BUCKET)
    m.set_bucket_versioning(bucket_name=BUCKET, config=VersioningConfig(ENABLED))
    assert m.get_bucket_versioning(bucket_name=BUCKET).status == "Enabled"
    for text in [b"one", b"two"]:
        m.put_object(bucket_name=BUCKET, object_name="k", data=io.BytesIO(text), length=3)
    m.remove_object(bucket_name=BUCKET, object_name="k")
    found = list(m.list_objects(bucket_name=BUCKET, include_version=True))
    assert [entry.is_delete_marker for entry in found] == [False, False, True]
    assert m.get_object(bucket_name=BUCKET, object_name="k", version_id=found[1].version_id).read() == b"one"
    tags = Tags.new_object_tags()
    tags["a"] = "ä b"
    m.set_object_tags(bucket_name=BUCKET, object_name="k", tags=tags, version_id=found[0].version_id)
    assert m.get_object_tags(bucket_name=BUCKET, object_name="k", version_id=found[0].version_id) == {"a": "ä b"}


def case_whoever_has_a_presigned_url_or_form_is_let_in():
    m = client()
    m.make_bucket(bucket_name=BUCKET)
    put = m.presigned_put_object(bucket_name=BUCKET, object_name="a b", expires=timedelta(minutes=1))
    assert plain("PUT", put[len(URL) :], body=b"shared").status == 200
    get = m.presigned_get_object(bucket_name=BUCKET, object_name="a b", expires=timedelta(minutes=1))
    assert plain("GET", get[len(URL) :]).content == b"shared"
    policy = minio.datatypes.PostPolicy(BUCKET, datetime.datetime.now(datetime.timezone.utc) + timedelta(minutes=5))
    policy.add_starts_with_condition("key", "up/")
    policy.add_content_length_range_condition(1, 100)
    fields = {**m.presigned_post_policy(policy=policy), "key": "up/form"}
    parts = "".join(f'--x\r\nContent-Disposition: form-data; name="{n}"\r\n\r\n{v}\r\n' for n, v in fields.items())
    parts += '--x\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\nposted\r\n--x--\r\n'
    answer = plain("POST", f"/{BUCKET}", {"Content-Type": "multipart/form-data; boundary=x"}, parts.encode())
    assert answer.status == 204, answer.content
    assert stored("up/form") == b"posted"


if __name__ == "__main__":
    main(globals())
