"""What is checked of a request, and in which order: routes, methods, authorization, secrets, bodies."""

import base64

import cbor2

from support import main
from wire import (
    ALLOCATE, AUTHORIZED, LEASE, MUTATE, ROOT, SWISSNUM, allocate, ask, cancel, change, each, enabler, encoded, expect, renew,
    secret, shares, si, stored, upload, vectors, write,
)

# A storage index, and the four kinds of secrets.
S = si("asked")
GOOD_ALLOCATE = encoded({"share-numbers": {0}, "allocated-size": 10})
GOOD_CHANGE = encoded({"test-write-vectors": {}, "read-vector": []})
GOOD_REASON = encoded({"reason": "it is bad"})

# Every endpoint: its method, its path, its secrets, a body that is right, and the status with nothing stored.
ENDPOINTS = [
    ("GET", "/version", [], None, 200),
    ("PUT", f"/lease/{S}", LEASE, None, 404),
    ("POST", f"/immutable/{S}", ALLOCATE, GOOD_ALLOCATE, 200),
    ("PATCH", f"/immutable/{S}/7", [upload()], b"x", 416),
    ("PUT", f"/immutable/{S}/7/abort", [upload()], None, 404),
    ("GET", f"/immutable/{S}/shares", [], None, 200),
    ("GET", f"/immutable/{S}/7", [], None, 404),
    ("POST", f"/immutable/{S}/7/corrupt", [], GOOD_REASON, 404),
    ("POST", f"/mutable/{si('slot')}/read-test-write", MUTATE, GOOD_CHANGE, 200),
    ("GET", f"/mutable/{S}/shares", [], None, 200),
    ("GET", f"/mutable/{S}/7", [], None, 404),
    ("POST", f"/mutable/{S}/7/corrupt", [], GOOD_REASON, 404),
]

# What is no storage index: of the wrong length, alphabet or case, or with bits left over.
NO_INDEX = [
    "a", S[:-1], S + "a", S.upper(), S[:-1] + "1", S[:-1] + "0", S[:-1] + "8", "a" * 25 + "b", "a" * 25 + "z", "a" * 25 + "=",
    "%61" * 25 + "%21", "..", "a" * 24 + "%2f" + "a",
]
NO_NUMBER = ["x", "-1", "1.0", "1e3", "0x1", "%20", "1%20", "+1", "1_0", "one"]
NO_ROUTE = [
    "/", "", "/storage", "/storage/", "/storage/v1", "/storage/v1/", "/storage/v2/version", "/storage/v1/versions",
    "/storage/v1/version/", "/Storage/v1/version", "/storage/V1/version", f"{ROOT}/lease", f"{ROOT}/lease/", f"{ROOT}/immutable",
    f"{ROOT}/immutable/", f"{ROOT}/mutable/{S}", f"{ROOT}/immutable/{S}/0/x", f"{ROOT}/immutable/{S}/0/corrupt/x",
    f"{ROOT}/mutable/{S}/read-test-writ", f"{ROOT}/{S}", "/favicon.ico", "/id/abc", "/metrics", "/-/ready",
]
# Methods that an endpoint does not have.
NO_METHOD = [
    ("POST", "/version"), ("PUT", "/version"), ("DELETE", "/version"), ("GET", f"/lease/{S}"), ("POST", f"/lease/{S}"),
    ("DELETE", f"/lease/{S}"), ("GET", f"/immutable/{S}"), ("PUT", f"/immutable/{S}"), ("DELETE", f"/immutable/{S}"),
    ("PUT", f"/immutable/{S}/1"), ("POST", f"/immutable/{S}/1"), ("DELETE", f"/immutable/{S}/1"),
    ("GET", f"/immutable/{S}/1/abort"), ("POST", f"/immutable/{S}/1/abort"), ("PUT", f"/immutable/{S}/shares"),
    ("POST", f"/immutable/{S}/shares"), ("GET", f"/immutable/{S}/1/corrupt"), ("PUT", f"/immutable/{S}/1/corrupt"),
    ("GET", f"/mutable/{S}/read-test-write"), ("PUT", f"/mutable/{S}/read-test-write"), ("POST", f"/mutable/{S}/shares"),
    ("PATCH", f"/mutable/{S}/1"), ("DELETE", f"/mutable/{S}/1"), ("PUT", f"/mutable/{S}/1/corrupt"),
]


def case_what_is_no_route_is_not_found_before_anything_else():
    rows = [("GET", path, True) for path in NO_ROUTE if path]
    for index in NO_INDEX:
        rows += [(method, f"{ROOT}{path}".replace(S, index), True) for method, path, *_ in ENDPOINTS if S in path]
    for number in NO_NUMBER:
        rows += [(method, f"{ROOT}{path}".replace("/7", "/" + number), True) for method, path, *_ in ENDPOINTS if "/7" in path]
    rows += [(method, path, False) for method, path, _ in rows[:40]]

    def check(method, path, authorized):
        expect(ask(method, path, ALLOCATE, GOOD_ALLOCATE if method != "GET" else None, authorized), 404, stock=(404, 405))

    each(rows, check)


def case_a_method_that_is_not_there_is_refused_before_the_authorization():
    rows = [(method, path, authorized) for method, path in NO_METHOD for authorized in (True, False)]
    each(rows, lambda method, path, authorized: expect(ask(method, ROOT + path, [], None, authorized), 405))


def case_every_endpoint_wants_the_swissnum():
    right = base64.b64encode(SWISSNUM.encode()).decode()
    wrong = base64.b64encode(SWISSNUM.encode()[:-1] + b"!").decode()
    headers = [
        None, "", "Tahoe-LAFS", "Tahoe-LAFS ", f"Tahoe-LAFS {wrong}", f"Tahoe-LAFS {right}x", f"Tahoe-LAFS  {right}",
        f"tahoe-lafs {right}", f"Basic {right}", right, f"Tahoe-LAFS {SWISSNUM}",
        "Tahoe-LAFS " + base64.b64encode(b"").decode(), "Tahoe-LAFS " + "A" * 5000,
    ]
    rows = [(*endpoint[:4], header) for endpoint in ENDPOINTS for header in headers]

    def check(method, path, secrets, body, header):
        given = [] if header is None else [("Authorization", header)]
        answer = ask(method, ROOT + path, [*given, *secrets], body, authorized=False)
        expect(answer, 401)
        assert "WWW-Authenticate" not in answer.headers

    each(rows, check)


def case_the_secrets_are_exactly_those_of_the_endpoint():
    every = {"renew": renew(), "cancel": cancel(), "upload": upload(), "enabler": enabler()}
    nonsense = [
        secret("unknown-secret", b"x" * 32), secret("lease-renew-secret", "!!!"), secret("lease-renew-secret", ""),
        ("X-Tahoe-Authorization", ""), ("X-Tahoe-Authorization", "lease-renew-secret"), ("X-Tahoe-Authorization", "  "),
        secret("Lease-Renew-Secret", b"r" * 32), secret("upload-secret", ""), secret("write-enabler", "="),
    ]
    rows = []
    for method, path, secrets, body, _ in ENDPOINTS:
        # One is missing.
        rows += [(method, path, [s for s in secrets if s != left], body) for left in secrets]
        # One is too much.
        rows += [(method, path, [*secrets, extra], body) for extra in every.values() if extra not in secrets]
        rows += [(method, path, [*secrets, extra], body) for extra in nonsense]
        # One is of another length.
        for length in (0, 1, 31, 33):
            if renew() in secrets:
                rows.append((method, path, [renew(b"r" * length)] + [s for s in secrets if s != renew()], body))
                rows.append((method, path, [cancel(b"c" * length)] + [s for s in secrets if s != cancel()], body))
            if upload() in secrets and length == 0:
                rows.append((method, path, [upload(b"")] + [s for s in secrets if s != upload()], body))
    each(rows, lambda method, path, secrets, body: expect(ask(method, ROOT + path, secrets, body), 400))


def case_a_write_enabler_has_32_bytes():
    path = f"{ROOT}/mutable/{si('enabler')}/read-test-write"
    rows = [(length,) for length in (1, 16, 31, 33, 64)]
    each(rows, lambda length: expect(ask("POST", path, [*LEASE, enabler(b"w" * length)], GOOD_CHANGE), 400, stock=200))


def case_secrets_come_in_any_order():
    index = si()
    body = encoded({"share-numbers": {0}, "allocated-size": 10})
    expect(ask("POST", f"{ROOT}/immutable/{index}", ALLOCATE[::-1], body), 200)
    named = [("x-tahoe-authorization", value) for _, value in ALLOCATE]
    expect(ask("POST", f"{ROOT}/immutable/{si()}", named, body), 200)


def case_one_wrong_thing_hides_those_behind_it():
    index, number = si("order"), 0
    share = f"{ROOT}/immutable/{index}/{number}"
    slot = f"{ROOT}/mutable/{si('order slot')}/read-test-write"
    change(si("order slot"), {0: vectors(writes=[(0, b"x")])})
    allocate(index, [number], 10)
    bad = b"\xff\xff"
    text = ("Content-Type", "text/plain")
    good_range, bad_range = ("Content-Range", "bytes 0-0/*"), ("Content-Range", "lines 1-2/*")
    other = upload(b"other")
    rows = [
        # The authorization before secrets, secrets before the body, the type of the body before its length and content.
        ("POST", f"{ROOT}/immutable/{index}", [], bad, False, 401),
        ("POST", f"{ROOT}/immutable/{index}", [text], bad, True, 400),
        ("POST", f"{ROOT}/immutable/{index}", [*ALLOCATE, text], bad, True, 415),
        ("POST", f"{ROOT}/immutable/{index}", [*ALLOCATE, text], b"x" * 9000, True, 415),
        ("POST", f"{ROOT}/immutable/{index}", ALLOCATE, b"x" * 9000, True, 413),
        ("POST", f"{ROOT}/immutable/{index}", ALLOCATE, bad, True, 400),
        # Of a piece: its range, then whose it is, whether it is there, and what it says.
        ("PATCH", share, [bad_range], b"x", False, 401),
        ("PATCH", share, [bad_range], b"x", True, 400),
        ("PATCH", share, [other, bad_range], b"x", True, 416),
        ("PATCH", share, [other, good_range], b"x", True, 401),
        ("PATCH", share[:-1] + "1", [other, bad_range], b"x", True, 416),
        ("PATCH", share[:-1] + "1", [other, good_range], b"x", True, 404),
        # Whether there is a share comes before what is said of it.
        ("POST", f"{share}/corrupt", [text], bad, True, 404),
        ("POST", f"{share}/corrupt", [upload(), text], bad, True, 400),
        # The write enabler comes last.
        ("POST", slot, [*LEASE, enabler(b"e" * 32)], bad, True, 400),
        ("POST", slot, [*LEASE, enabler(b"e" * 32), text], bad, True, 415),
        ("POST", slot, [*LEASE, enabler(b"e" * 32)], GOOD_CHANGE, True, 401),
        ("POST", slot, [*LEASE], GOOD_CHANGE, True, 400),
        ("POST", slot, [], bad, False, 401),
    ]
    each(rows, lambda method, path, headers, body, authorized, status: expect(ask(method, path, headers, body, authorized), status))
    assert shares(index) == set()


def case_what_is_answered_in_is_cbor_or_nothing():
    stored(si("accept"), 0, b"x")
    listing = f"{ROOT}/immutable/{si('accept')}/shares"
    rows = [
        (None, 200), ("application/cbor", 200), ("application/cbor;q=0.5", 200), ("text/html;q=0.1, application/cbor", 200),
        ("application/json", 406), ("text/html", 406), ("text/plain, text/html", 406), ("application/json, application/cbor;q=0.1", 406),
    ]

    def check(accept, status):
        headers = [("Accept", accept)] if accept else []
        for path in (f"{ROOT}/version", listing):
            expect(ask("GET", path, headers), status)
        # Bytes are bytes, whatever is asked for.
        expect(ask("GET", f"{ROOT}/immutable/{si('accept')}/0", headers), 200)

    each(rows, check)


def case_the_version_has_exactly_what_the_client_knows():
    told = ask("GET", f"{ROOT}/version").cbor()
    name = b"http://allmydata.org/tahoe/protocols/storage/v1"
    assert set(told) == {name, b"application-version"}, told
    assert isinstance(told[b"application-version"], bytes), told
    assert set(told[name]) == {b"maximum-immutable-share-size", b"maximum-mutable-share-size", b"available-space"}, told
    for value in told[name].values():
        assert isinstance(value, int) and 0 < value < 1 << 64, told


def case_a_body_has_a_type():
    rows = [
        (None, 200), ("application/cbor", 200), ("application/cbor; charset=utf-8", 200), ("APPLICATION/CBOR", (200, 415)),
        ("application/json", 415), ("text/plain", 415), ("application/octet-stream", 415), ("application/x-www-form-urlencoded", 415),
        ("multipart/form-data; boundary=x", (400, 415)), ("cbor", 415),
    ]
    places = [
        (f"{ROOT}/immutable/{si()}", ALLOCATE, GOOD_ALLOCATE), (f"{ROOT}/mutable/{si()}/read-test-write", MUTATE, GOOD_CHANGE),
    ]

    def check(kind, status):
        for path, secrets, body in places:
            headers = [*secrets, ("Content-Type", kind)] if kind else secrets
            expect(ask("POST", path, headers, body), status)

    each(rows, check)


def tagged(value):
    return cbor2.CBORTag(258, value)


# What is no CBOR, or none that anybody asked for.
NONSENSE = [
    b"", b"\x00", b"\xff", b"\xa1", b"\x9f", b"\xbf", b"{}", b"null", b"\xf6", b"\x80", b"\xa0", b"\x1c", b"\xc1\xff", b"\x5f\x41",
    b"\x7f", b"\x62\xff\xff", b"\xa1\x61", b"\x9b" + b"\xff" * 8, b"\xbb" + b"\xff" * 8, b"\x5b" + b"\xff" * 8, b"\x81" * 1000,
    b"\xa1\x00" * 500, b"\xd9\x01\x02" * 500, b"\x9f" * 4000, b"\xd8\x1c" * 100, b"\xfb", b"\xf9\x7e\x00", b"\xc2\x49" + b"\x01" * 9,
]
NO_ALLOCATION = NONSENSE + [encoded(value) for value in [
    {}, [], 5, "text", {"share-numbers": {0}}, {"allocated-size": 5}, {"share-numbers": {0}, "allocated-size": 5, "more": 1},
    {"share-numbers": [0], "allocated-size": 5}, {"share-numbers": {"0"}, "allocated-size": 5},
    {"share-numbers": {-1}, "allocated-size": 5}, {"share-numbers": {0.5}, "allocated-size": 5},
    {"share-numbers": {0}, "allocated-size": -1}, {"share-numbers": {0}, "allocated-size": "5"},
    {"share-numbers": {0}, "allocated-size": 5.0}, {"share-numbers": {0}, "allocated-size": None},
    {"share-numbers": {0}, "allocated-size": True}, {"share-numbers": None, "allocated-size": 5},
    {"share-numbers": tagged({}), "allocated-size": 5}, {"share-numbers": tagged(5), "allocated-size": 5},
    {"share-numbers": cbor2.CBORTag(259, [0]), "allocated-size": 5}, {b"share-numbers": {0}, b"allocated-size": 5},
    {"share-numbers": tagged(list(range(257))), "allocated-size": 5}, {"Share-numbers": {0}, "allocated-size": 5},
    {"share-numbers": {0}, "allocated-size": 1 << 64}, {"share-numbers": {None}, "allocated-size": 5}, [["share-numbers", {0}]],
    {"share-numbers": tagged([b"0"]), "allocated-size": 5}, {"share-numbers": {0}, "allocated-size": {"n": 5}},
]]
A_CHANGE = {"test-write-vectors": {0: vectors(tests=[(0, 1, b"")], writes=[(0, b"x")])}, "read-vector": [{"offset": 0, "size": 1}]}


# What a place has that is left out.
GONE = object()


def changed(path, value):
    """A change that is right but for one place in it."""
    copy = cbor2.loads(encoded(A_CHANGE))
    place = copy
    for step in path[:-1]:
        place = place[step]
    if value is GONE:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return encoded(copy)


SHARE = ("test-write-vectors", 0)
NO_CHANGE = NONSENSE + [encoded(value) for value in [{}, [], 5, {"read-vector": []}, {"test-write-vectors": {}}]] + [
    changed(path, value)
    for path, value in [
        (("more",), 1), (("read-vector",), {}), (("read-vector",), None), (("read-vector",), tagged([])), (("read-vector",), [5]),
        (("read-vector", 0, "size"), GONE), (("read-vector", 0, "size"), -1), (("read-vector", 0, "size"), "1"),
        (("read-vector", 0, "offset"), -1), (("read-vector", 0, "offset"), 0.0), 
        (("read-vector",), [{"offset": 0, "size": 1}] * 31), (("test-write-vectors",), []), (("test-write-vectors",), None),
        (SHARE, None), (SHARE, []), (SHARE, {}), ((*SHARE, "test"), GONE), ((*SHARE, "write"), GONE), ((*SHARE, "new-length"), GONE),
        ((*SHARE, "more"), 1), ((*SHARE, "new-length"), -1), ((*SHARE, "new-length"), "5"), ((*SHARE, "new-length"), 1.5),
        ((*SHARE, "test"), None), ((*SHARE, "test"), {}), ((*SHARE, "test"), [None]), ((*SHARE, "test", 0, "offset"), GONE),
        ((*SHARE, "test", 0, "size"), GONE), ((*SHARE, "test", 0, "specimen"), GONE), ((*SHARE, "test", 0, "specimen"), "text"),
        ((*SHARE, "test", 0, "specimen"), None), ((*SHARE, "test", 0, "offset"), -1), ((*SHARE, "test", 0, "size"), None),
        ((*SHARE, "test"), [{"offset": 0, "size": 0, "specimen": b""}] * 31), ((*SHARE, "write"), None),
        ((*SHARE, "write", 0, "data"), "text"), ((*SHARE, "write", 0, "data"), GONE), ((*SHARE, "write", 0, "offset"), GONE),
        ((*SHARE, "write", 0, "offset"), -1), ((*SHARE, "write", 0, "offset"), "0"),
        (("test-write-vectors",), {number: vectors() for number in range(257)}),
    ]
]
# The stock server overlooks these; a server may mind.
ODD_CHANGE = [
    changed(path, value)
    for path, value in [
        (("read-vector", 0, "more"), 1), ((*SHARE, "write", 0, "more"), 1), (("test-write-vectors", "0"), vectors()),
        (("test-write-vectors", -1), vectors()), (("test-write-vectors", b"0"), vectors()),
    ]
]
NO_REASON = NONSENSE + [encoded(value) for value in [
    {}, [], "text", {"reason": ""}, {"reason": b"bytes"}, {"reason": None}, {"reason": 5}, {"reason": ["x"]}, {"reason": "x", "more": 1},
    {"Reason": "x"}, {"reason": "x" * 32_766},
]]


def case_an_allocation_that_makes_no_sense_is_refused_and_changes_nothing():
    index = si()
    path = f"{ROOT}/immutable/{index}"
    each([(body,) for body in NO_ALLOCATION], lambda body: expect(ask("POST", path, ALLOCATE, body), 400, stock=(400, 500)))
    # Nothing is in progress.
    assert allocate(index, [0, 1], 5) == {"already-have": set(), "allocated": {0, 1}}


def case_a_change_that_makes_no_sense_is_refused_and_changes_nothing():
    index = si()
    change(index, {0: vectors(writes=[(0, b"before")])})
    path = f"{ROOT}/mutable/{index}/read-test-write"
    each([(body,) for body in NO_CHANGE], lambda body: expect(ask("POST", path, MUTATE, body), 400))
    each([(body,) for body in ODD_CHANGE], lambda body: expect(ask("POST", path, MUTATE, body), (200, 400)))
    assert change(index, reads=[(0, 100)]) == (True, {0: [b"before"]})


def case_an_advisory_that_makes_no_sense_is_refused():
    for kind in ("immutable", "mutable"):
        index = si()
        if kind == "immutable":
            stored(index, 0, b"x")
        else:
            change(index, {0: vectors(writes=[(0, b"x")])})
        path = f"{ROOT}/{kind}/{index}/0/corrupt"
        each([(body,) for body in NO_REASON], lambda body: expect(ask("POST", path, [], body), (400, 413), stock=(400, 413, 500)))
        for reason in ("x", "why it is bad", "\u00e4\U0001f600\n", "x" * 32_000):
            answer = ask("POST", path, [], encoded({"reason": reason}))
            assert (answer.status, answer.body) == (200, b""), answer
        expect(ask("POST", path[:-9] + "1/corrupt", [], GOOD_REASON), 404)


def case_bodies_that_are_too_long_are_refused():
    index = si()
    stored(index, 0, b"x")
    rows = [
        (f"/immutable/{si()}", ALLOCATE, 8193, 413), (f"/immutable/{si()}", ALLOCATE, 100_000, 413),
        (f"/immutable/{index}/0/corrupt", [], 32_769, 413), (f"/immutable/{index}/0/corrupt", [], 1_000_000, 413),
    ]
    each(rows, lambda path, headers, size, status: expect(ask("POST", ROOT + path, headers, b"\x00" * size), status))


def case_cbor_may_be_written_in_many_ways():
    open_ended = bytes.fromhex("bf 6d73686172652d6e756d62657273 d90102 9f 00 01 ff 6e616c6c6f63617465642d73697a65 0a ff")
    wide = bytes.fromhex("a2 780d 73686172652d6e756d62657273 d90102 9a00000002 1800 1b0000000000000001 6e616c6c6f63617465642d73697a65 19000a")
    swapped = bytes.fromhex("a2 6e616c6c6f63617465642d73697a65 0a 6d73686172652d6e756d62657273 d90102 82 01 00")
    golden = bytes.fromhex("a2 6d73686172652d6e756d62657273 d90102 82 00 01 6e616c6c6f63617465642d73697a65 0a")
    rows = [(body,) for body in (open_ended, wide, swapped, golden, golden + b"behind it")]

    def check(body):
        answer = ask("POST", f"{ROOT}/immutable/{si()}", ALLOCATE, body)
        expect(answer, 200)
        assert answer.cbor() == {"already-have": set(), "allocated": {0, 1}}, answer

    each(rows, check)


def case_answers_are_the_bytes_that_are_known():
    index, slot = si(), si()
    body = bytes.fromhex("a26d73686172652d6e756d62657273d901028200016e616c6c6f63617465642d73697a651907bf")
    answer = ask("POST", f"{ROOT}/immutable/{index}", ALLOCATE, body)
    assert answer.body.hex() == "a26c616c72656164792d68617665d90102806961 6c6c6f6361746564d90102820001".replace(" ", ""), answer
    assert write(index, 0, 100, b"x" * (1983 - 100)) == [(0, 100)]
    headers = [upload(), ("Content-Range", "bytes 0-98/*")]
    answer = ask("PATCH", f"{ROOT}/immutable/{index}/0", headers, b"y" * 99)
    assert answer.body.hex() == "a168726571756972656481a265626567696e186363656e641864", answer
    headers = [upload(), ("Content-Range", "bytes 99-99/*")]
    answer = ask("PATCH", f"{ROOT}/immutable/{index}/0", headers, b"z")
    assert (answer.status, answer.body.hex()) == (201, "a168726571756972656480"), answer
    for number in (1, 5):
        stored(slot, number, b"x")
    assert ask("GET", f"{ROOT}/immutable/{slot}/shares").body.hex() == "d90102820105"
    assert ask("GET", f"{ROOT}/immutable/{si()}/shares").body.hex() == "d9010280"
    slot = si()
    change(slot, {1: vectors(writes=[(0, b"Hello")]), 3: vectors()})
    body = encoded({"test-write-vectors": {}, "read-vector": [{"offset": 0, "size": 41}]})
    answer = ask("POST", f"{ROOT}/mutable/{slot}/read-test-write", MUTATE, body)
    # The shares may come in any order.
    assert sorted(answer.body) == sorted(bytes.fromhex("a26773756363657373f56464617461a201814548656c6c6f038140")), answer
    assert answer.cbor() == {"success": True, "data": {1: [b"Hello"], 3: [b""]}}, answer


if __name__ == "__main__":
    main()
