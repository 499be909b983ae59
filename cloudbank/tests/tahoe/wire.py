"""The storage protocol as bytes: requests that no client would send, too."""

import base64
import http.client
import json
import os
import random
import ssl
import threading
import urllib.parse

import cbor2

NURL = urllib.parse.urlsplit(os.environ["TAHOE_NURL"])
# Whether the stock server is asked. Where it fails, or is laxer, the tables say so.
STOCK = bool(os.environ.get("TAHOE_STOCK"))
# Where a clock of ours can be moved, if there is one.
CONTROL = os.environ.get("TAHOE_CONTROL")
SWISSNUM = NURL.path.lstrip("/")
ROOT = "/storage/v1"
DAY = 86_400

AUTHORIZED = ("Authorization", "Tahoe-LAFS " + base64.b64encode(SWISSNUM.encode()).decode())


def si(name=None):
    """A storage index: of a name always the same, else a new one."""
    bytes = random.Random(name).randbytes(16) if name else os.urandom(16)
    return base64.b32encode(bytes).decode().lower().rstrip("=")


def secret(kind, value):
    if isinstance(value, bytes):
        value = base64.b64encode(value).decode()
    return ("X-Tahoe-Authorization", f"{kind} {value}")


def renew(value=b"r" * 32):
    return secret("lease-renew-secret", value)


def cancel(value=b"c" * 32):
    return secret("lease-cancel-secret", value)


def upload(value=b"u" * 20):
    return secret("upload-secret", value)


def enabler(value=b"w" * 32):
    return secret("write-enabler", value)


LEASE = [renew(), cancel()]
ALLOCATE = [*LEASE, upload()]
MUTATE = [*LEASE, enabler()]


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def cbor(self):
        assert self.headers["Content-Type"] == "application/cbor", self
        return cbor2.loads(self.body)

    def __repr__(self):
        return f"{self.status} {self.headers.get('Content-Type')} {self.body[:300]!r}"


def context():
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class Connection:
    """A connection that is kept, and made anew when the server has closed it."""

    def __init__(self):
        self.connection = None

    def ask(self, method, path, headers=(), body=None, authorized=True):
        """Sends exactly these headers, with a length if there is a body, and the authorization unless it is left out."""
        for attempt in (1, 2):
            fresh = self.connection is None
            if fresh:
                self.connection = http.client.HTTPSConnection(NURL.hostname, NURL.port, context=context(), timeout=120)
            try:
                return self._ask(method, path, headers, body, authorized)
            except (http.client.RemoteDisconnected, ConnectionError, ssl.SSLError):
                self.connection.close()
                self.connection = None
                if fresh or attempt == 2:
                    raise

    def _ask(self, method, path, headers, body, authorized):
        connection = self.connection
        connection.putrequest(method, path, skip_accept_encoding=True)
        if authorized:
            connection.putheader(*AUTHORIZED)
        for name, value in headers:
            connection.putheader(name, value)
        if body is not None or method in ("POST", "PUT", "PATCH"):
            connection.putheader("Content-Length", str(len(body or b"")))
        connection.endheaders(body or None)
        answer = connection.getresponse()
        told = Answer(answer.status, answer.headers, answer.read())
        if answer.will_close:
            connection.close()
            self.connection = None
        # Upstream's own tests insist on it.
        assert STOCK or told.status == 404 or "text/html" not in told.headers.get("Content-Type", ""), told
        return told


HERE = threading.local()


def ask(*arguments, **more):
    """Asks on the connection of this thread."""
    if not hasattr(HERE, "connection"):
        HERE.connection = Connection()
    return HERE.connection.ask(*arguments, **more)


def encoded(value):
    """What is bytes already is sent as it is."""
    return value if isinstance(value, bytes) else cbor2.dumps(value)


def allocate(index, numbers, size, headers=ALLOCATE, status=200):
    body = encoded({"share-numbers": set(numbers), "allocated-size": size})
    answer = ask("POST", f"{ROOT}/immutable/{index}", headers, body)
    assert answer.status == status, answer
    return answer.cbor() if status == 200 else answer


def write(index, number, first, data, headers=(upload(),), content_range=None, status=None):
    """Writes a piece; what is still wanted, as pairs, once it was taken."""
    content_range = content_range or f"bytes {first}-{first + len(data) - 1}/*"
    headers = [*headers, ("Content-Range", content_range)]
    answer = ask("PATCH", f"{ROOT}/immutable/{index}/{number}", headers, data)
    assert answer.status in ([status] if status else (200, 201)), answer
    if answer.status >= 400:
        return answer
    required = [(part["begin"], part["end"]) for part in answer.cbor()["required"]]
    assert (answer.status == 201) == (not required), answer
    return required


def stored(index, number, data):
    """A finished immutable share."""
    allocate(index, [number], len(data))
    assert write(index, number, 0, data, status=201) == []


def shares(index, kind="immutable"):
    answer = ask("GET", f"{ROOT}/{kind}/{index}/shares")
    assert answer.status == 200, answer
    found = answer.cbor()
    assert isinstance(found, (set, frozenset)), found
    return found


def read(index, number, kind="immutable", range=None):
    headers = [("Range", range)] if range else []
    answer = ask("GET", f"{ROOT}/{kind}/{index}/{number}", headers)
    if answer.status != 204:
        assert answer.headers["Content-Type"] == "application/octet-stream", answer
    return answer


def vectors(tests=(), writes=(), length=None):
    """What is to happen to one share."""
    return {
        "test": [{"offset": offset, "size": size, "specimen": specimen} for offset, size, specimen in tests],
        "write": [{"offset": offset, "data": data} for offset, data in writes],
        "new-length": length,
    }


def change(index, changes=None, reads=(), headers=MUTATE, status=200):
    """A read-test-write; whether it succeeded, and what was read."""
    body = {
        "test-write-vectors": changes or {},
        "read-vector": [{"offset": offset, "size": size} for offset, size in reads],
    }
    answer = ask("POST", f"{ROOT}/mutable/{index}/read-test-write", headers, encoded(body))
    assert answer.status == status, answer
    if status != 200:
        return answer
    told = answer.cbor()
    return told["success"], told["data"]


def control(method, path, value=None):
    """A word to the clock of a server that is tested."""
    place = urllib.parse.urlsplit(CONTROL)
    connection = http.client.HTTPConnection(place.hostname, place.port, timeout=60)
    connection.request(method, path, json.dumps(value) if value is not None else None)
    answer = connection.getresponse()
    told = Answer(answer.status, answer.headers, answer.read())
    connection.close()
    assert told.status // 100 == 2, told
    return json.loads(told.body) if told.body else None


def each(rows, check):
    """Checks every row, and says at the end which did not hold."""
    wrong = []
    for row in rows:
        try:
            check(*row)
        except AssertionError as error:
            wrong.append(f"{row!r:.300}: {error}")
    assert not wrong, f"{len(wrong)} of {len(rows)}:\n" + "\n".join(wrong)


def expect(answer, status, stock=None):
    """Whether that is the status, or one of them; where the stock server differs, what it says."""
    wanted = stock if STOCK and stock is not None else status
    wanted = wanted if isinstance(wanted, tuple) else (wanted,)
    assert answer.status in wanted, f"{answer} instead of {wanted}"
