"""What the cases of all clients share: where the servers are, folders of known bytes, programs that must succeed.

A case is a function of a script, run as `SCRIPT CASE` in an empty folder, with the variables below. One that begins with
`survive_` is run while its server is killed.
"""

import base64
import datetime
import hashlib
import hmac
import http.client
import inspect
import json
import os
import pathlib
import random
import shutil
import socket
import stat
import subprocess
import sys
import time
import urllib.parse

# The server, and another on the same store, with TLS.
URL, TLS_URL = os.environ["S3_URL"], os.environ["S3_TLS_URL"]
# The certificate that the other shows, which nobody trusts.
CERTIFICATE = os.environ["S3_CERTIFICATE"]
# Below this domain, with the port of the server, each bucket has a host of its own.
DOMAIN = os.environ["S3_DOMAIN"]
ACCESS, SECRET, REGION = os.environ["S3_ACCESS_KEY"], os.environ["S3_SECRET_KEY"], os.environ["S3_REGION"]
# A name that no other case uses. No bucket has it yet.
BUCKET = os.environ["S3_BUCKET"]
# The client: a program.
PROGRAM = os.environ["S3_PROGRAM"]

HOST = urllib.parse.urlsplit(URL).netloc
TLS_HOST = urllib.parse.urlsplit(TLS_URL).netloc

# Keys that clients, servers and protocols have stumbled over.
ODD_KEYS = [
    "a b", "a+b", "a%20b", "a&b=c;d,e", "a//b", "//a", "a/./b", "a/../b", "..a/b..", "#?x", "ä/ö/日本語", "e\u0301", "\U0001f600",
    "'\"<>|\\^`{}[]", "~!@$*()_-:.", "a" * 1000, "-", "_", "%", "%zz", "+", " ", "a\tb", ".hidden",
]


def run(*arguments, input=None, env=None, fails=False, cwd=None):
    """Runs a program that must succeed, or fail, or may do either; returns what it printed, of a failure the errors too."""
    arguments = [str(argument) for argument in arguments]
    if isinstance(input, str):
        input = input.encode()
    done = subprocess.run(
        arguments, input=input, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, **(env or {})}, cwd=cwd
    )
    said = done.stdout.decode(errors="replace") + done.stderr.decode(errors="replace")
    if fails is not None and (done.returncode != 0) != fails:
        raise AssertionError(f"{arguments} ended with {done.returncode}:\n{said[-3000:]}")
    return said if fails else done.stdout.decode(errors="surrogateescape")


def noise(size, seed=1):
    return random.Random(seed).randbytes(size)


def tree(folder, files=20, large=0, seed=1):
    """Makes a folder with files of all kinds: empty, small, nested, oddly named; and one of so many bytes."""
    folder = pathlib.Path(folder)
    names = ["a b.txt", "sub/a+b", "sub/deep/er/100%", "sub/ä ö", "日本語/#1", "x&y=z", "sub.x/é", "~tilde", "(1) [2] {3}'"]
    for number in range(files):
        name = names[number] if number < len(names) else f"many/{number:04}"
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(noise([0, 1, 100, 5000, 70_000][number % 5], seed + number))
    if large:
        (folder / "large.bin").write_bytes(noise(large, seed))
    return folder


def same(left, right):
    """Whether two folders have the same files with the same bytes."""
    left, right = contents(left), contents(right)
    different = [name for name in {**left, **right} if left.get(name) != right.get(name)]
    assert left and not different, f"these differ: {sorted(different)[:10]} of {len(left)} and {len(right)}"


def contents(folder):
    folder = pathlib.Path(folder)
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def ask(method, key="", query={}, headers={}, body=b"", bucket=None):
    """A request signed as S3 wants it, by nobody's client: for what a case looks at from beside."""
    path = urllib.parse.quote(f"/{bucket or BUCKET}" + (f"/{key}" if key else ""), safe="/~")
    pairs = sorted((urllib.parse.quote(n, safe="~"), urllib.parse.quote(v, safe="~")) for n, v in query.items())
    query_text = "&".join(f"{name}={value}" for name, value in pairs)
    moment = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    digest = hashlib.sha256(body).hexdigest()
    signed = {"host": HOST, "x-amz-content-sha256": digest, "x-amz-date": moment}
    signed.update({name.lower(): value for name, value in headers.items()})
    names = ";".join(sorted(signed))
    lines = "".join(f"{name}:{signed[name].strip()}\n" for name in sorted(signed))
    request = "\n".join([method, path, query_text, lines, names, digest])
    scope = f"{moment[:8]}/{REGION}/s3/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", moment, scope, hashlib.sha256(request.encode()).hexdigest()])
    signature = hmac.new(signing_key(scope), text.encode(), "sha256").hexdigest()
    signed["authorization"] = f"AWS4-HMAC-SHA256 Credential={ACCESS}/{scope}, SignedHeaders={names}, Signature={signature}"
    return plain(method, path + (f"?{query_text}" if query_text else ""), signed, body)


def form_policy(conditions={}, size=1_000_000, prefix="up/"):
    """The fields of a form that may be posted for an hour, to keys that begin with a prefix, signed as S3 wants it."""
    now = datetime.datetime.now(datetime.timezone.utc)
    moment = now.strftime("%Y%m%dT%H%M%SZ")
    scope = f"{moment[:8]}/{REGION}/s3/aws4_request"
    fields = {
        **conditions,
        "x-amz-algorithm": "AWS4-HMAC-SHA256",
        "x-amz-credential": f"{ACCESS}/{scope}",
        "x-amz-date": moment,
    }
    rules = [{"bucket": BUCKET}, ["starts-with", "$key", prefix], ["content-length-range", 0, size]]
    rules += [{name: value} for name, value in fields.items()]
    until = (now + datetime.timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    policy = base64.b64encode(json.dumps({"expiration": until, "conditions": rules}).encode()).decode()
    return {**fields, "policy": policy, "x-amz-signature": hmac.new(signing_key(scope), policy.encode(), "sha256").hexdigest()}


def signing_key(scope):
    key = f"AWS4{SECRET}".encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), "sha256").digest()
    return key


def plain(method, target, headers={}, body=b""):
    """A request as it is given, and its answer."""
    connection = http.client.HTTPConnection(HOST, timeout=120)
    connection.request(method, target, body, headers)
    answer = connection.getresponse()
    answer.content = answer.read()
    connection.close()
    return answer


def make_bucket(*also):
    for name in (BUCKET, *also):
        answer = ask("PUT", bucket=name)
        assert answer.status == 200, (answer.status, answer.content)


def stored(key, bucket=None):
    answer = ask("GET", key, bucket=bucket)
    assert answer.status == 200, (key, answer.status, answer.content)
    return answer.content


def cannot(why):
    """Ends a case that cannot run on this machine."""
    print(why, file=sys.stderr)
    sys.exit(77)


def need_fuse():
    """Mounting needs the kernel's help."""
    try:
        os.close(os.open("/dev/fuse", os.O_RDWR))
    except OSError as problem:
        cannot(f"nothing can be mounted: {problem}")
    program = shutil.which("fusermount3") or shutil.which("fusermount")
    if not program:
        cannot("nothing can be mounted: there is no fusermount3")
    if os.geteuid() != 0 and not os.stat(program).st_mode & stat.S_ISUID:
        cannot(f"nothing can be mounted: {program} is not root's")


def free_ports(count):
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [listener.getsockname()[1] for listener in listeners]
    for listener in listeners:
        listener.close()
    return ports


def listens(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
        return True
    except OSError:
        return False


def wait_for(is_so, process):
    """Waits until something is so, for as long as a process runs that should make it so."""
    until = time.monotonic() + 120
    while not is_so():
        assert process.poll() is None, f"it ended with {process.returncode}"
        assert time.monotonic() < until, "it is not so after two minutes"
        time.sleep(0.02)


def unmount(folder, process):
    """Unmounts what a process has mounted, which then ends by itself; all that was written is stored by then."""
    if os.path.ismount(folder):
        done = subprocess.run(["umount", folder])
        if done.returncode != 0:
            process.terminate()
    else:
        process.terminate()
    try:
        process.wait(120)
    finally:
        process.kill()


def main(cases):
    """Runs the case that is named."""
    case = cases.get(f"case_{sys.argv[1]}") or cases.get(f"survive_{sys.argv[1]}")
    assert inspect.isfunction(case), f"no case {sys.argv[1]}"
    case()
    # How a library ends its threads at the end of the process is not what is tested: pyarrow was seen to abort there.
    os._exit(0)
