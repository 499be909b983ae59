"""What users of curl do: it signs, too."""

import pathlib

from support import *

# Older versions do not say of themselves what S3 wants to know of each body.
AUTH = [
    "--silent", "--show-error", "--aws-sigv4", f"aws:amz:{REGION}:s3", "--user", f"{ACCESS}:{SECRET}",
    "-H", "x-amz-content-sha256: UNSIGNED-PAYLOAD",
]


def curl(*arguments, **more):
    return run(PROGRAM, "--noproxy", "*", *arguments, **more)


def case_objects_are_put_and_got():
    curl(*AUTH, "--fail", "-X", "PUT", f"{URL}/{BUCKET}")
    pathlib.Path("file").write_bytes(noise(3_000_000))
    curl(*AUTH, "--fail", "-T", "file", f"{URL}/{BUCKET}/a%20b")
    assert stored("a b") == noise(3_000_000)
    curl(*AUTH, "--fail", "-r", "5-9", "-o", "part", f"{URL}/{BUCKET}/a%20b")
    assert pathlib.Path("part").read_bytes() == noise(3_000_000)[5:10]
    said = curl("--silent", f"{URL}/{BUCKET}/a%20b")
    assert "<Code>AccessDenied</Code>" in said


def case_a_host_for_each_bucket_and_tls():
    port = TLS_HOST.rsplit(":", 1)[1]
    host = f"https://{BUCKET}.{DOMAIN}:{port}"
    curl(*AUTH, "--fail", "--cacert", CERTIFICATE, "-X", "PUT", f"{host}/")
    curl(*AUTH, "--fail", "--cacert", CERTIFICATE, "-d", "a body", "-X", "PUT", f"{host}/key")
    assert stored("key") == b"a body"
    for version in ["--http1.1", "--http2"]:
        said = curl(*AUTH, version, "--fail", "--cacert", CERTIFICATE, f"{host}/key")
        assert said == "a body"


def case_a_form_is_posted():
    make_bucket()
    fields = form_policy({"acl": "private"}, size=1000)
    flags = [flag for name, value in fields.items() for flag in ("-F", f"{name}={value}")]
    pathlib.Path("photo.png").write_bytes(b"no photo")
    said = curl("-sS", "-i", *flags, "-F", "key=up/${filename}", "-F", "file=@photo.png;type=image/png", f"{URL}/{BUCKET}")
    assert "204 No Content" in said, said
    assert stored("up/photo.png") == b"no photo" and ask("HEAD", "up/photo.png").status == 200


if __name__ == "__main__":
    main(globals())
