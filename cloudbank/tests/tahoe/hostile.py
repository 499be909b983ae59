"""Requests of those who mean harm, as bytes: each is refused as stated, whoever else asks is served meanwhile, and the server never
has more memory than stated."""

import base64
import concurrent.futures
import os
import pathlib
import random
import socket
import ssl
import threading

import cbor2

from support import STOCK, cannot, main
from wire import (
    ALLOCATE, AUTHORIZED, LEASE, MUTATE, NURL, ROOT, SWISSNUM, allocate, ask, change, context, enabler, encoded, read, renew, secret,
    shares, si, stored, upload, vectors, write,
)

# What the server may have at most, at any time.
MEMORY_BYTES_MAX = 200 << 20
# How long an answer may take. Only a test that fails waits so long.
PATIENCE = 120
# As a server says that it is gone.
CLOSED = 0
# So many uploads one server has under way at most, and a file so many shares.
UPLOADS_MAX, SHARES_MAX = 16_384, 256

# A file, a slot and an upload that are there, for requests that are about one.
FILE, SLOT, UNDER_WAY = si("hostile file"), si("hostile slot"), si("hostile upload")
PIECE = f"{ROOT}/immutable/{UNDER_WAY}/0"
CHANGE = f"{ROOT}/mutable/{SLOT}/read-test-write"
REPORT = f"{ROOT}/immutable/{FILE}/0/corrupt"


def http(method, path, headers=(), body=b"", length=None, authorization=AUTHORIZED[1]):
    """A request as it is sent, with a length that may be a lie."""
    length = len(body) if length is None else length
    lines = [f"{method} {path} HTTP/1.1", "Host: x", "Connection: close", f"Authorization: {authorization}"]
    lines += [f"{name}: {value}" for name, value in headers]
    lines += [f"Content-Length: {length}", "", ""]
    return "\r\n".join(lines).encode() + body


def chunked(method, path, headers, chunks):
    """One whose length nobody knows."""
    head = http(method, path, [*headers, ("Transfer-Encoding", "chunked")]).replace(b"Content-Length: 0\r\n", b"")
    return head + b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)


def text(word):
    return encoded(word)


def map_of(*pairs):
    """A map as bytes, of what need not be whole."""
    return bytes([0xA0 + len(pairs)]) + b"".join(key + value for key, value in pairs)


def a_change(share, reads=b"\x80"):
    return map_of((text("test-write-vectors"), b"\xa1\x00" + share), (text("read-vector"), reads))


def a_share(tests=b"\x80", writes=b"\x80", length=b"\xf6"):
    return map_of((text("test"), tests), (text("write"), writes), (text("new-length"), length))


def a_write(data):
    return map_of((text("offset"), b"\x00"), (text("data"), data))


MILLION = 1_000_000
HUGE = b"\xff" * 8
# What is no message of the protocol, whatever asks for it, and would be large or deep if it were believed.
BOMBS = {
    "arrays in arrays": b"\x81" * MILLION,
    "arrays without an end in arrays": b"\x9f" * MILLION,
    "maps in maps": b"\xa1\x00" * MILLION,
    "maps as keys of maps": b"\xa1" * MILLION,
    "maps without an end in maps": b"\xbf\x00" * MILLION,
    "tags of tags": b"\xc1" * MILLION,
    "sets of sets": b"\xd9\x01\x02\x81" * 250_000,
    "shared values": b"\xd8\x1c" * MILLION,
    "an array of 2^64 - 1": b"\x9b" + HUGE,
    "a map of 2^64 - 1": b"\xbb" + HUGE,
    "bytes of 2^64 - 1": b"\x5b" + HUGE,
    "a text of 2^63": b"\x7b\x80" + b"\x00" * 7,
    "an array of 2^32 - 1, and some of it": b"\x9a\xff\xff\xff\xff" + b"\x00" * MILLION,
    "bytes without an end, in segments of nothing": b"\x5f" + b"\x40" * MILLION,
    "a text without an end, in segments of one": b"\x7f" + b"\x61x" * MILLION,
    "segments within segments": b"\x5f" * MILLION,
    "a key of a megabyte": b"\xa1\x5a\x00\x0f\x42\x40" + b"k" * MILLION + b"\x00",
    "a million keys": b"\xba\x00\x0f\x42\x40" + b"\x61k\x00" * MILLION,
    "the same key again and again": b"\xbf" + (text("read-vector") + b"\x80") * 80_000 + b"\xff",
    "ends of nothing": b"\xff" * MILLION,
    "simple values that there are not": b"\xf8\x1f" * MILLION,
    "a number of a megabyte": b"\xc2\x5a\x00\x0f\x42\x40" + b"\xff" * MILLION,
    "nothing but zeros": b"\x00" * MILLION,
    "noise": random.Random(1).randbytes(MILLION),
    "a text that is none": b"\xa1\x62\xff\xfe\x00",
    "what JSON is": b'{"test-write-vectors": {}, "read-vector": []}',
}
# Changes that are right but for something that there is too much of.
LARGE = {
    "a share whose tests have no end": a_change(a_share(tests=b"\x9f" + b"\xa0" * MILLION)),
    "tests of 2^64 - 1": a_change(a_share(tests=b"\x9b" + HUGE)),
    "writes of 2^64 - 1": a_change(a_share(writes=b"\x9b" + HUGE)),
    "more writes than a request has": a_change(a_share(writes=b"\x9f" + a_write(b"\x40") * 262_145 + b"\xff")),
    "data of 2^63": a_change(a_share(writes=b"\x81" + a_write(b"\x5b\x80" + b"\x00" * 7))),
    "data in two million segments": a_change(a_share(writes=b"\x81" + a_write(b"\x5f" + b"\x41x" * 2 * MILLION + b"\xff"))),
    "data of 60 MiB in one segment": a_change(
        a_share(writes=b"\x81" + a_write(b"\x5f" + cbor2.dumps(bytes(60 << 20)) + b"\xff"))
    ),
    "data that is a list of data": a_change(a_share(writes=b"\x81" + a_write(b"\x81" * MILLION))),
    "a length that is a number of a megabyte": a_change(a_share(length=b"\xc2\x5a\x00\x0f\x42\x40" + b"\xff" * MILLION)),
    "reads of 2^64 - 1": a_change(a_share(), reads=b"\x9b" + HUGE),
    "257 shares": map_of(
        (text("test-write-vectors"), b"\xbf" + b"".join(cbor2.dumps(n) + a_share() for n in range(257)) + b"\xff"),
        (text("read-vector"), b"\x80"),
    ),
}
RANGE = ("Content-Range", "bytes 0-9/*")
WRONG = base64.b64encode(b"x" * len(SWISSNUM)).decode()


def rows():
    """The table: a name, what is sent, and what may be answered."""
    post = "POST"
    for name, bomb in BOMBS.items():
        yield f"change: {name}", http(post, CHANGE, MUTATE, bomb), {400}
        long = len(bomb) > 8192
        yield f"allocation: {name}", http(post, f"{ROOT}/immutable/{UNDER_WAY}", ALLOCATE, bomb), {413 if long else 400}
        yield f"report: {name}", http(post, REPORT, [], bomb), {413 if long else 400}
        # As much of it as is taken.
        yield f"cut allocation: {name}", http(post, f"{ROOT}/immutable/{UNDER_WAY}", ALLOCATE, bomb[:8192]), {400}
        yield f"cut report: {name}", http(post, REPORT, [], bomb[:32_768]), {400}
    for name, body in LARGE.items():
        yield name, http(post, CHANGE, MUTATE, body), {400}

    # Those who do not know the secrets, on every path that has one.
    for name, word in [
        ("none", ""), ("another", f"Tahoe-LAFS {WRONG}"), ("a beginning", AUTHORIZED[1][:-5]), ("more than it", AUTHORIZED[1] + "AAAA"),
        ("a very long one", "Tahoe-LAFS " + "A" * 30_000), ("a scheme of its own", AUTHORIZED[1].replace("Tahoe", "tahoe")),
    ]:
        yield f"swissnum: {name}", http("GET", f"{ROOT}/version", authorization=word), {401}
        yield f"swissnum: {name}, a change", http(post, CHANGE, MUTATE, BOMBS["noise"], authorization=word), {401}
        yield f"swissnum: {name}, a piece", http("PATCH", PIECE, [upload(), RANGE], b"0123456789", authorization=word), {401}
    for name, value in [("another", b"U" * 20), ("a beginning", b"u" * 19), ("more than it", b"u" * 21), ("a zero", b"\x00")]:
        yield f"upload secret: {name}", http("PATCH", PIECE, [upload(value), RANGE], b"0123456789"), {401}
        yield f"upload secret: {name}, to abort", http("PUT", f"{PIECE}/abort", [upload(value)]), {401}
    good = encoded({"test-write-vectors": {0: vectors(writes=[(0, b"evil")])}, "read-vector": [{"offset": 0, "size": 9}]})
    yield "write enabler: another", http(post, CHANGE, [*LEASE, enabler(b"W" * 32)], good), {401}
    yield "write enabler: of zeros", http(post, CHANGE, [*LEASE, enabler(bytes(32))], good), {401}
    yield "ten thousand bytes of a secret", http("PUT", f"{ROOT}/lease/{FILE}", [renew(b"r" * 10_000), LEASE[1]]), {400}
    yield "a hundred secrets", http("PUT", f"{ROOT}/lease/{FILE}", [secret(f"kind-{n}", b"x" * 32) for n in range(100)]), {400}

    # Bodies that say that they are large, and those that are.
    for name, path, headers in [
        ("allocation", f"{ROOT}/immutable/{UNDER_WAY}", ALLOCATE), ("report", REPORT, []), ("change", CHANGE, MUTATE),
    ]:
        for exponent in (30, 48, 50, 62, 63):
            yield f"{name}: 2^{exponent} bytes are announced", http(post, path, headers, b"\xa0", 1 << exponent), {413}
        yield f"{name}: 2^64 bytes are announced", http(post, path, headers, b"\xa0", 1 << 64), {400}
        endless = chunked(post, path, headers, [b"\x5f" + b"\x40" * 65_535] + [b"\x40" * 65_536] * 1200)
        yield f"{name}: one without an end", endless, {413, CLOSED}
    yield "a piece with more than its range", http("PATCH", PIECE, [upload(), ("Content-Range", "bytes 0-0/*")], b"x" * MILLION), {200}
    yield "a piece with less than its range", http("PATCH", PIECE, [upload(), RANGE], b"x"), {400}
    yield "a piece far outside", http("PATCH", PIECE, [upload(), ("Content-Range", f"bytes 0-{(1 << 63) - 1}/*")], b"x"), {416}
    yield "a piece of 2^64 bytes", http("PATCH", PIECE, [upload(), ("Content-Range", f"bytes 0-{1 << 64}/*")], b"x"), {416}
    yield "a request for ten thousand ranges", http("GET", f"{ROOT}/immutable/{FILE}/0", [("Range", "bytes=" + "0-1," * 10_000)]), {416}

    # What is hardly HTTP.
    get = f"GET {ROOT}/version HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: {AUTHORIZED[1]}\r\n".encode()
    put = http("PATCH", PIECE, [upload(), RANGE], b"").replace(b"Content-Length: 0\r\n\r\n", b"")
    yield "headers without an end", get + b"X-Long: " + b"x" * (1 << 20), {431, CLOSED}
    yield "a thousand headers", get + b"X-More: x\r\n" * 1000 + b"\r\n", {431, CLOSED}
    yield "a path of a megabyte", http("GET", f"{ROOT}/" + "x" * (1 << 20)), {414, 431, CLOSED}
    yield "a path of dots", http("GET", f"{ROOT}/immutable/" + "../" * 2000 + "etc/passwd"), {404}
    yield "a path with a nought", http("GET", f"{ROOT}/immutable/%00/0"), {404}
    yield "a header with a nought", get + b"X-Nought: a\x00b\r\n\r\n", {400}
    yield "a header on two lines", get + b"X-Two: a\r\n b\r\n\r\n", {400}
    yield "a method of its own", http("EVIL", f"{ROOT}/version"), {405}
    yield "a version of its own", b"GET / HTTP/7.3\r\n\r\n", {400, 505, CLOSED}
    yield "no HTTP", random.Random(2).randbytes(4096), {400, CLOSED}
    yield "two hosts", get + b"Host: y\r\n\r\n", {400}
    yield "no host", get.replace(b"Host: x\r\n", b"") + b"\r\n", {400}
    yield "two lengths", put + b"Content-Length: 10\r\nContent-Length: 20\r\n\r\n0123456789", {400}
    yield "a length that is none", put + b"Content-Length: ten\r\n\r\n0123456789", {400}
    yield "a negative length", put + b"Content-Length: -1\r\n\r\n0123456789", {400}
    yield "a chunk of 2^64", put + b"Transfer-Encoding: chunked\r\n\r\n10000000000000000\r\n0123456789", {400, CLOSED}
    yield "a chunk of no number", put + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n0123456789", {400, CLOSED}
    yield "a coding that there is not", put + b"Transfer-Encoding: evil\r\n\r\n0123456789", {400, 501, CLOSED}
    yield "a request in a body", http("GET", f"{ROOT}/version", [], http("EVIL", "/")), {200}


def connect(tls=True):
    plain = socket.create_connection((NURL.hostname, NURL.port), PATIENCE)
    return context().wrap_socket(plain) if tls else plain


def send(connection, data):
    """Whether all of it was taken: who is refused need not be."""
    try:
        connection.sendall(data)
    except OSError:
        return False
    return True


def answered(connection):
    """The status that was answered, when there is an answer."""
    head = b""
    try:
        while b"\r\n" not in head and len(head) < 4096:
            some = connection.recv(4096)
            if not some:
                break
            head += some
    except TimeoutError:
        raise AssertionError(f"nothing was answered for {PATIENCE} s, and nobody hung up") from None
    except OSError:
        pass
    words = head.split(None, 2)
    return int(words[1]) if len(words) > 1 and words[0].startswith(b"HTTP/1.") else CLOSED


def is_silent(connection):
    """Whether nothing was answered, and the connection is still there."""
    connection.setblocking(False)
    try:
        connection.recv(1)
    except ssl.SSLWantReadError:
        return True
    except OSError:
        pass
    return False


def memory():
    """The most that the server has had."""
    status = pathlib.Path(f"/proc/{os.environ['TAHOE_PID']}/status")
    if not status.exists():
        cannot("the system does not tell how much memory a process has had")
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) << 10


def begin():
    """What is there before: kept by the server whatever comes."""
    if STOCK:
        cannot("these are bounds that ours has")
    stored(FILE, 0, b"a file")
    change(SLOT, {0: vectors(writes=[(0, b"a slot")])})
    allocate(UNDER_WAY, [0], 10)


def others_are_served():
    """Somebody who means no harm: stores, changes, renews, lists and reads."""
    index, slot = si(), si()
    stored(index, 0, b"x" * 300_000)
    assert change(slot, {0: vectors([(0, 1, b"")], [(0, b"y" * 1000)])}) == (True, {})
    assert shares(index) == {0} and shares(FILE) == {0}
    assert read(index, 0).body == b"x" * 300_000
    assert read(slot, 0, "mutable").body == b"y" * 1000
    assert read(FILE, 0).body == b"a file"


def nothing_has_changed():
    others_are_served()
    assert change(SLOT, reads=[(0, 100)]) == (True, {0: [b"a slot"]})
    assert shares(UNDER_WAY) == set()
    used = memory()
    assert used < MEMORY_BYTES_MAX, f"the server has had {used >> 20} MiB"
    print(f"the server has had {used >> 20} MiB at most")


def check(name, request, wanted):
    """Sends what is in a row of the table, and says what is wrong with what came of it."""
    connection = connect()
    send(connection, request)
    try:
        status = answered(connection)
    except AssertionError as error:
        return f"{name}: {error}"
    connection.close()
    return None if status in wanted else f"{name}: {status} instead of {wanted}"


def case_every_request_of_the_table_is_refused_as_it_says():
    begin()
    table = list(rows())
    # Many at the same time, as those who mean harm would.
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        wrong = list(filter(None, pool.map(lambda row: check(*row), table)))
    assert not wrong, f"{len(wrong)} of {len(table)}:\n" + "\n".join(wrong)
    print(f"{len(table)} requests")
    nothing_has_changed()


# So many of each kind take their time.
CROWD = 20


def slow(number):
    """What those who take their time send at once; they go on byte by byte. Each kind, whether it speaks TLS, and what it has sent."""
    share = f"{ROOT}/immutable/{UNDER_WAY}/{number + 1}"
    small, large = ("Content-Range", "bytes 0-4999/*"), ("Content-Range", f"bytes 5000-{(10 << 20) - 1}/*")
    return [
        ("says nothing", False, b""),
        ("begins to speak TLS", False, b"\x16\x03\x01\x02\x00\x01\x00"),
        ("says nothing over TLS", True, b""),
        ("has half a request", True, b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: "),
        ("has little of a small piece", True, http("PATCH", share, [upload(), small], b"0", 5000)),
        ("has little of a large piece", True, http("PATCH", share, [upload(), large], b"0", (10 << 20) - 5000)),
        ("has little of an allocation", True, http("POST", f"{ROOT}/immutable/{UNDER_WAY}", ALLOCATE, b"\xa2", 5000)),
        ("has little of a small change", True, http("POST", CHANGE, MUTATE, b"\xa2", 5000)),
        ("has little of a large change", True, http("POST", CHANGE, MUTATE, b"\xa2", 60 << 20)),
        ("has little of a change whose size it does not say", True, chunked("POST", CHANGE, MUTATE, [b"\xa2"])),
    ]


def case_who_takes_his_time_keeps_nobody_waiting_and_is_let_go():
    begin()
    allocate(UNDER_WAY, range(1, CROWD + 1), 20 << 20)
    crowd = []
    for number in range(CROWD):
        for name, tls, data in slow(number):
            connection = connect(tls)
            assert send(connection, data), name
            crowd.append((name, connection))
    over = threading.Event()

    def drip():
        while not over.wait(0.3):
            for _, connection in crowd:
                send(connection, b"x")

    dripping = threading.Thread(target=drip)
    dripping.start()
    try:
        for _ in range(3):
            others_are_served()
    finally:
        over.set()
        dripping.join()
    # Together they have announced more than a gigabyte, of which there is room for 68 MiB at a time.
    large = [connection for name, connection in crowd if name.endswith(("a large change", "does not say"))]
    assert any(map(is_silent, large)), "who is served was served after those who are slow"
    for connection in large:
        connection.close()
    for name, connection in crowd:
        if connection in large:
            continue
        status = answered(connection)
        assert status in (400, 408, CLOSED), f"who {name} was answered {status}"
    nothing_has_changed()


def case_ten_thousand_open_uploads_take_little_and_others_are_served():
    begin()
    before = memory()
    files = [si(f"open {n}") for n in range(UPLOADS_MAX // SHARES_MAX)]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        allocated = list(pool.map(lambda index: allocate(index, range(SHARES_MAX), MILLION)["allocated"], files))
        # One is under way already.
        assert sum(map(len, allocated)) == UPLOADS_MAX - 1
        assert allocate(si(), range(SHARES_MAX), MILLION)["allocated"] == set(), "more are not begun"
        written = [(index, number) for index in files[:40] for number in range(SHARES_MAX)][:10_000]
        missing = list(pool.map(lambda place: write(*place, 1000, b"x" * 1000), written))
        assert missing == [[(0, 1000), (2000, MILLION)]] * len(written)
    assert memory() - before < 100 << 20, f"{before >> 20} MiB became {memory() >> 20}"
    # What is under way can be continued, and given up; then there is room again.
    for number in (0, 1):
        write(files[0], number, 0, b"y" * 1000)
    for number in range(2, 12):
        assert ask("PUT", f"{ROOT}/immutable/{files[0]}/{number}/abort", [upload()]).status == 200
    nothing_has_changed()


if __name__ == "__main__":
    main()
