"""What the protocol keeps: uploads piece by piece, reads, mutable slots, leases; on the wire, beside a model."""

import concurrent.futures
import random

from support import main
from wire import (
    ALLOCATE, LEASE, ROOT, STOCK, allocate, ask, cancel, change, each, enabler, encoded, expect, read, renew, shares, si, stored,
    upload, vectors, write,
)

OTHER = [*LEASE, enabler(b"other enabler, 32 bytes long....")]
# Of a share of 1000 bytes.
RANGES = [
    ("bytes=0-0", 206, (0, 1)), ("bytes=0-999", 206, (0, 1000)), ("bytes=999-999", 206, (999, 1000)), ("bytes=10-19", 206, (10, 20)),
    ("bytes=990-5000", 206, (990, 1000)), ("bytes=0-99999999999999", 206, (0, 1000)), ("bytes=1000-1000", 204, None),
    ("bytes=1000-2000", 204, None), ("bytes=99999999-99999999", 204, None), ("bytes=0-", 416, None), ("bytes=5-", 416, None),
    ("bytes=-5", 416, None), ("bytes=-", 416, None), ("bytes=5-4", 416, None), ("bytes=0-1,3-4", 416, None), ("lines=0-1", 416, None),
    ("bytes", 416, None), ("bytes=", 416, None), ("0-1", 416, None), ("bytes=a-b", 416, None), ("bytes=0-b", 416, None),
    ("bytes=0x0-0x1", 416, None), ("bytes=1.0-2.0", 416, None), ("", 416, None), ("bytes=--1", 416, None), ("bytes=1--2", 416, None),
    ("bytes 0-1", 416, None), ("bytes=0-1-2", 416, None),
]
# What is no range of a piece.
NO_PIECE = [
    None, "", "bytes", "bytes ", "bytes *", "bytes */*", "bytes */10", "bytes 0-1", "bytes 5-4/*", "bytes 5-4/10", "bytes -1/*",
    "bytes 0-/*", "bytes a-b/*", "lines 0-1/*", "bytes=0-1/*", "bytes 0-1/x", "bytes 0-9/5", "bytes 0-9/9", "0-1/*", "bytes 0-1/-5",
    "bytes 1.0-2/*", "bytes 0 - 1 / *x",
]


def case_a_finished_share_is_read_whole_and_in_ranges():
    data = random.Random(1).randbytes(1000)
    immutable, mutable = si(), si()
    stored(immutable, 3, data)
    change(mutable, {3: vectors(writes=[(0, data)])})

    def check(kind, index, header, status, wanted):
        answer = read(index, 3, kind, header)
        expect(answer, status, stock=(status, 500) if status == 416 else None)
        if wanted:
            assert answer.body == data[slice(*wanted)], answer
            shown = answer.headers["Content-Range"]
            assert shown == f"bytes {wanted[0]}-{wanted[1] - 1}/*", shown
        elif status == 204:
            assert answer.body == b"", answer

    # An empty header is none.
    rows = [row for row in RANGES if row[0]]
    each([("immutable", immutable, *row) for row in rows] + [("mutable", mutable, *row) for row in rows], check)
    for kind, index in (("immutable", immutable), ("mutable", mutable)):
        answer = read(index, 3, kind)
        assert (answer.status, answer.body) == (200, data), answer
        for other, number in ((index, 4), (si(), 3), (index, 33333333333)):
            for header in (None, "bytes=0-1", "bytes=0-"):
                expect(read(other, number, kind, header), 404)


def case_a_piece_has_a_range():
    index = si()
    allocate(index, [0], 10)

    def check(header):
        headers = [upload()] + ([("Content-Range", header)] if header is not None else [])
        expect(ask("PATCH", f"{ROOT}/immutable/{index}/0", headers, b"ab"), 416, stock=(416, 500))

    each([(header,) for header in NO_PIECE], check)
    # The stock server fails at some only after it has taken their bytes.
    assert write(index, 0, 0, b"a" if STOCK else b"x") in ([(1, 10)], [(2, 10)] if STOCK else None)


def case_pieces_outside_of_the_share_change_nothing():
    index = si()
    allocate(index, [0], 10)
    rows = [("bytes 5-14/*", b"x" * 10), ("bytes 10-10/*", b"x"), ("bytes 0-10/*", b"x" * 11), ("bytes 0-5/*", b"x" * 3)]
    if not STOCK:
        rows.append(("bytes 18446744073709551615-18446744073709551615/*", b"x"))

    def check(header, data):
        headers = [upload(), ("Content-Range", header)]
        expect(ask("PATCH", f"{ROOT}/immutable/{index}/0", headers, data), (400, 416), stock=(400, 416, 500))

    each(rows, check)
    assert shares(index) == set()
    if not STOCK:
        assert write(index, 0, 0, b"0123456789") == []
        assert read(index, 0).body == b"0123456789"


# Pieces of a share of 10 bytes, each with what is still wanted after it.
UPLOADS = [
    [((0, 10), [])],
    [((0, 5), [(5, 10)]), ((5, 10), [])],
    [((5, 10), [(0, 5)]), ((0, 5), [])],
    [((1, 2), [(0, 1), (2, 10)]), ((8, 9), [(0, 1), (2, 8), (9, 10)]), ((0, 9), [(9, 10)]), ((9, 10), [])],
    [((0, 6), [(6, 10)]), ((3, 8), [(8, 10)]), ((0, 6), [(8, 10)]), ((8, 10), [])],
    [((2, 4), [(0, 2), (4, 10)]), ((6, 8), [(0, 2), (4, 6), (8, 10)]), ((4, 6), [(0, 2), (8, 10)]), ((0, 10), [])],
    [((9, 10), [(0, 9)]), ((0, 1), [(1, 9)]), ((1, 9), [])],
    [((place, place + 1), ([(place + 1, 10)] if place < 9 else [])) for place in range(10)],
    [((place, place + 1), ([(0, place)] if place else [])) for place in range(9, -1, -1)],
]


def case_pieces_come_in_any_order():
    data = b"0123456789"

    def check(pieces):
        index = si()
        allocate(index, [0], 10)
        for (first, end), wanted in pieces:
            assert shares(index) == set()
            found = write(index, 0, first, data[first:end])
            assert found == wanted, f"{found} instead of {wanted} after {first} to {end}"
        assert shares(index) == {0}
        assert read(index, 0).body == data
        expect(write(index, 0, 0, b"0", status=404), 404)

    each([(pieces,) for pieces in UPLOADS], check)


def case_an_overlap_has_the_same_bytes_or_is_refused():
    index = si()
    allocate(index, [0], 20)
    write(index, 0, 5, b"abcde")
    rows = [(5, b"abcdX"), (0, b"01234X"), (9, b"X"), (4, b"4abXde"), (0, b"01234abcdeXXX"[:10] + b"-----" + b"Y" * 5)]
    for first, data in rows[:4]:
        expect(write(index, 0, first, data, status=409), 409)
    # The upload is still open, and nothing of what was refused is there but what a part of it may have said.
    assert write(index, 0, 5, b"abcde") in ([(0, 5), (10, 20)], [(10, 20)])
    expect(write(index, 0, 0, b"01234", headers=[upload(b"another")], status=401), 401)
    write(index, 0, 0, b"01234")
    assert write(index, 0, 8, b"de0123456789") == []
    assert read(index, 0).body == b"01234abcde0123456789"


def case_what_is_longer_than_its_range_is_cut():
    index = si()
    allocate(index, [0], 10)
    headers = [upload(), ("Content-Range", "bytes 0-4/*")]
    answer = ask("PATCH", f"{ROOT}/immutable/{index}/0", headers, b"01234567")
    expect(answer, (200, 400, 416))
    wanted = [(5, 10)] if answer.status == 200 else [(0, 10)]
    if wanted == [(5, 10)]:
        assert answer.cbor() == {"required": [{"begin": 5, "end": 10}]}, answer
        assert write(index, 0, 5, b"56789") == []


def case_a_total_in_the_range_is_not_compared():
    for total in ("*", "10", "11", "100000"):
        index = si()
        allocate(index, [0], 10)
        assert write(index, 0, 0, b"0123456789", content_range=f"bytes 0-9/{total}") == []


def case_allocations_answer_what_is_there_and_what_is_new():
    index, other = si(), [*LEASE, upload(b"another upload")]
    assert allocate(index, [0, 1, 2], 10) == {"already-have": set(), "allocated": {0, 1, 2}}
    # What is in progress is neither, whoever asks.
    assert allocate(index, [0, 1, 3], 10) == {"already-have": set(), "allocated": {3}}
    assert allocate(index, [1, 4], 5, headers=other) == {"already-have": set(), "allocated": {4}}
    write(index, 0, 0, b"0123456789")
    # What is finished is told, whether it was asked for or not.
    assert allocate(index, [0], 10) == {"already-have": {0}, "allocated": set()}
    assert allocate(index, [7], 10) == {"already-have": {0}, "allocated": {7}}
    assert allocate(index, [], 10) == {"already-have": {0}, "allocated": set()}
    # Each is bound to its own secret and size.
    expect(write(index, 4, 0, b"01234", status=401), 401)
    assert write(index, 4, 0, b"01234", headers=[upload(b"another upload")]) == []
    assert shares(index) == {0, 4}
    assert allocate(si(), list(range(256)), 1)["allocated"] == set(range(256))
    # Sizes and numbers that are large, and a number written with zeros before it.
    index = si()
    assert allocate(index, [4_000_000_000], 3)["allocated"] == {4_000_000_000}
    assert write(index, "04000000000", 0, b"abc") == []
    assert shares(index) == {4_000_000_000}


def case_an_upload_is_aborted_by_whoever_has_its_secret():
    index = si()
    allocate(index, [0, 1], 10)
    write(index, 0, 0, b"01234")
    path = f"{ROOT}/immutable/{index}"
    expect(ask("PUT", f"{path}/0/abort", [upload(b"another")]), 401)
    expect(ask("PUT", f"{path}/2/abort", [upload()]), 404)
    answer = ask("PUT", f"{path}/0/abort", [upload()])
    assert (answer.status, answer.body) == (200, b""), answer
    expect(ask("PUT", f"{path}/0/abort", [upload()]), 404)
    expect(write(index, 0, 5, b"56789", status=404), 404)
    # It can be made anew, with another size and other bytes.
    assert allocate(index, [0, 1], 4) == {"already-have": set(), "allocated": {0}}
    assert write(index, 0, 0, b"abcd") == []
    expect(ask("PUT", f"{path}/0/abort", [upload()]), 405)
    expect(ask("PUT", f"{path}/0/abort", [upload(b"another")]), 405)
    assert shares(index) == {0}


def case_tests_decide_about_all_writes_of_a_slot():
    # What is there before; the tests of two shares; whether all of them hold.
    before = {0: vectors(writes=[(0, b"hello")]), 1: vectors(writes=[(0, b"world!")])}
    rows = [
        ([], [], True), ([(0, 5, b"hello")], [(0, 6, b"world!")], True), ([(0, 5, b"hello")], [(0, 6, b"world?")], False),
        ([(0, 4, b"hello")], [], False), ([(0, 6, b"hello")], [], True), ([(0, 100, b"hello")], [], True), ([(1, 3, b"ell")], [], True),
        ([(4, 1, b"o")], [], True), ([(5, 1, b"")], [], True), ([(100, 10, b"")], [], True), ([(0, 0, b"")], [], True),
        ([(0, 0, b"h")], [], False), ([(0, 1, b"")], [], False), ([(0, 1, b"h"), (1, 1, b"e")], [], True),
        ([(0, 1, b"h"), (1, 1, b"x")], [], False), ([(3, 10, b"lo")], [(5, 1, b"!")], True), ([(0, 5, b"hello\x00")], [], False),
        ([], [(0, 1, b"W")], False), ([(1 << 40, 1, b"")], [], True), ([(1 << 40, 1, b"x")], [], False),
    ]

    def check(first, second, holds):
        slot = si()
        change(slot, before)
        changes = {
            0: vectors(first, [(0, b"HELLO")]), 1: vectors(second, [(0, b"WORLD!")]), 2: vectors([(0, 1, b"")], [(0, b"new")]),
        }
        told = change(slot, changes, [(0, 6), (4, 9)])
        # What is read is from before.
        assert told == (holds, {0: [b"hello", b"o"], 1: [b"world!", b"d!"]}), told
        after = {0: [b"HELLO"], 1: [b"WORLD!"], 2: [b"new"]} if holds else {0: [b"hello"], 1: [b"world!"]}
        assert change(slot, reads=[(0, 10)]) == (True, after)

    each(rows, check)


# What is written to a share of these bytes, its new length, and what is then there; None if the share is gone.
WRITES = [
    (b"hello", [], None, b"hello"), (b"hello", [(0, b"J")], None, b"Jello"), (b"hello", [(5, b"!")], None, b"hello!"),
    (b"hello", [(7, b"!")], None, b"hello\0\0!"), (b"hello", [(0, b"a"), (0, b"b")], None, b"bello"),
    (b"hello", [(4, b"abc"), (3, b"xy")], None, b"helxybc"), (b"hello", [], 3, b"hel"), (b"hello", [], 5, b"hello"),
    (b"hello", [], 9, b"hello"), (b"hello", [(5, b" world")], 7, b"hello w"), (b"hello", [], 0, None), (b"hello", [(0, b"x")], 0, None),
    (b"hello", [(0, b"")], None, b"hello"), (b"hello", [(20, b"")], None, (b"hello", b"hello" + bytes(15))), (b"", [(3, b"x")], None, b"\0\0\0x"),
    (b"", [], None, b""), (b"", [], 5, b""), (b"hello", [(0, b"HELLO WORLD")], 5, b"HELLO"), (b"hello", [(100, b"!")], 6, b"hello\0"),
]


def case_writes_are_applied_in_order_and_then_the_length():
    def check(before, writes, length, after):
        slot = si()
        change(slot, {0: vectors(writes=[(0, before)] if before else []), 9: vectors(writes=[(0, b"stays")])})
        assert change(slot, {0: vectors(writes=writes, length=length)}) == (True, {0: [], 9: []})
        success, found = change(slot, reads=[(0, 1000)])
        allowed = after if isinstance(after, tuple) else (after,)
        assert found.get(0, [None])[0] in allowed and found[9] == [b"stays"], found
        assert shares(slot, "mutable") == ({9} if after is None else {0, 9})

    each(WRITES, check)


def case_what_was_cut_off_does_not_come_back():
    slot = si()
    change(slot, {0: vectors(writes=[(0, b"secret" * 100)])})
    change(slot, {0: vectors(length=3)})
    change(slot, {0: vectors(writes=[(10, b"end")])})
    assert change(slot, reads=[(0, 1000)]) == (True, {0: [b"sec" + bytes(7) + b"end"]})


def case_only_the_first_write_enabler_writes():
    slot = si()
    change(slot, {0: vectors(writes=[(0, b"mine")])})
    # Not even to read, nor another share.
    for changes in ({}, {0: vectors(writes=[(0, b"x")])}, {5: vectors(writes=[(0, b"x")])}, {0: vectors([(0, 1, b"no")])}):
        change(slot, changes, [(0, 10)], headers=OTHER, status=401)
    assert change(slot, reads=[(0, 10)]) == (True, {0: [b"mine"]})
    # With the last share the slot is gone, and the next writer is its owner.
    assert change(slot, {0: vectors(length=0)}) == (True, {0: []})
    assert shares(slot, "mutable") == set()
    assert change(slot, {1: vectors(writes=[(0, b"theirs")])}, headers=OTHER) == (True, {})
    change(slot, {}, headers=LEASE + [enabler()], status=401)
    # A test that fails makes no slot.
    slot = si()
    assert change(slot, {0: vectors([(0, 1, b"x")], [(0, b"y")])}, headers=OTHER) == (False, {})
    assert change(slot, {0: vectors(writes=[(0, b"y")])}) == (True, {})


def case_a_share_of_nothing_is_a_share():
    slot = si()
    assert change(slot, {4: vectors()}) == (True, {})
    assert shares(slot, "mutable") == {4}
    assert change(slot, {7: vectors(length=0)}, [(0, 1)]) == (True, {4: [b""]})
    assert shares(slot, "mutable") == {4}
    expect(read(slot, 4, "mutable", "bytes=0-0"), 204)


def case_large_changes_and_reads_go_through():
    slot, data = si(), random.Random(2).randbytes(3_000_000)
    assert change(slot, {n: vectors(writes=[(0, data)]) for n in range(3)}) == (True, {})
    assert change(slot, reads=[(1_000_000, 5)]) == (True, {n: [data[1_000_000:1_000_005]] for n in range(3)})
    assert read(slot, 1, "mutable").body == data
    assert change(slot, {0: vectors(writes=[(2_999_990, b"x" * 20)])}) == (True, {0: [], 1: [], 2: []})
    assert read(slot, 0, "mutable", "bytes=2999980-3000100").body == data[2_999_980:2_999_990] + b"x" * 20


def applied(model, changes, reads):
    """The protocol's words about read-test-write, as a program: the slot is changed; what is answered."""
    found = {n: [bytes(share[offset : offset + size]) for offset, size in reads] for n, share in model.items()}
    for number, (tests, _, _) in changes.items():
        share = model.get(number, b"")
        if any(bytes(share[offset : offset + size]) != specimen for offset, size, specimen in tests):
            return False, found
    for number, (_, writes, length) in changes.items():
        if length == 0:
            model.pop(number, None)
            continue
        share = model.setdefault(number, bytearray())
        for offset, data in writes:
            share.extend(bytes(max(0, offset - len(share))))
            share[offset : offset + len(data)] = data
        if length is not None:
            del share[length:]
    return True, found


def case_random_changes_of_a_slot_are_those_of_the_model():
    seed = random.randrange(1 << 32)
    dice = random.Random(seed)
    slot, model = si(), {}
    for step in range(150):
        changes = {}
        for number in dice.sample(range(4), dice.choice([0, 1, 1, 2, 3])):
            tests = []
            for _ in range(dice.choice([0, 0, 1, 2])):
                offset, size = dice.randrange(60), dice.randrange(30)
                there = bytes(model.get(number, b"")[offset : offset + size])
                tests.append((offset, size, there if dice.random() < 0.9 else b"else"))
            writes = [(dice.randrange(80), dice.randbytes(dice.randrange(1, 40))) for _ in range(dice.choice([0, 1, 2, 3]))]
            changes[number] = (tests, writes, dice.choice([None, None, None, 0, 5, 60, 200]))
        reads = [(dice.randrange(100), dice.randrange(50)) for _ in range(dice.choice([0, 1, 2]))]
        wanted = applied(model, changes, reads)
        found = change(slot, {number: vectors(*one) for number, one in changes.items()}, reads)
        assert found == wanted, f"seed {seed}, step {step}: {changes} {reads}: {found} instead of {wanted}"
        assert shares(slot, "mutable") == set(model), f"seed {seed}, step {step}"
    for number, share in model.items():
        answer = read(slot, number, "mutable")
        assert answer.body == bytes(share), f"seed {seed}: {answer}"


def case_of_many_who_change_a_slot_at_once_one_wins_each_round():
    slot, writers = si(), 8
    change(slot, {n: vectors(writes=[(0, b"%08d" % 0)]) for n in range(3)})
    with concurrent.futures.ThreadPoolExecutor(writers) as pool:
        for round in range(1, 16):
            before, after = b"%08d" % (round - 1), b"%08d" % round

            def attempt(writer):
                changes = {n: vectors([(0, 8, before)], [(0, after), (8, b"%04d" % writer)]) for n in range(3)}
                return change(slot, changes)[0]

            won = list(pool.map(attempt, range(writers)))
            assert sum(won) == 1, f"round {round}: {won}"
            _, found = change(slot, reads=[(0, 12)])
            # All shares are of the one who won.
            assert found == {n: [after + b"%04d" % won.index(True)] for n in range(3)}, found


def case_of_many_who_create_a_slot_at_once_one_wins():
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for _ in range(10):
            slot = si()

            def attempt(writer):
                changes = {n: vectors([(0, 1, b"")], [(0, b"%04d" % writer)]) for n in range(2)}
                return change(slot, changes)[0]

            won = list(pool.map(attempt, range(8)))
            assert sum(won) == 1, won
            assert change(slot, reads=[(0, 9)])[1] == {n: [b"%04d" % won.index(True)] for n in range(2)}


def case_shares_of_one_file_are_uploaded_at_the_same_time():
    index, data = si(), random.Random(3).randbytes(100_000)
    numbers = list(range(10))
    assert allocate(index, numbers, len(data))["allocated"] == set(numbers)

    def send(number):
        left = None
        for first in range(0, len(data), 30_000):
            left = write(index, number, first, data[first : first + 30_000])
        return left

    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        assert list(pool.map(send, numbers)) == [[]] * 10
    assert shares(index) == set(numbers)
    for number in numbers:
        assert read(index, number).body == data


def case_random_uploads_are_those_of_the_model():
    seed = random.randrange(1 << 32)
    dice = random.Random(seed)
    for _ in range(12):
        index, size = si(), dice.randrange(1, 5000)
        data = dice.randbytes(size)
        allocate(index, [0], size)
        missing = set(range(size))
        while missing:
            first = dice.choice([dice.randrange(size), min(missing), max(missing)])
            end = min(size, first + dice.randrange(1, size + 1))
            missing -= set(range(first, end))
            found = write(index, 0, first, data[first:end])
            left = {place for begin, end in found for place in range(begin, end)}
            assert left == missing, f"seed {seed}: after {first} to {end} of {size}: {found}"
            assert found == sorted(found) and all(a[1] < b[0] for a, b in zip(found, found[1:])), f"seed {seed}: {found}"
        assert read(index, 0).body == data, f"seed {seed}"


def case_a_lease_is_renewed_where_there_is_a_finished_share():
    index, slot = si(), si()
    expect(ask("PUT", f"{ROOT}/lease/{index}", LEASE), 404)
    allocate(index, [0, 1], 3)
    expect(ask("PUT", f"{ROOT}/lease/{index}", LEASE), 404)
    write(index, 0, 0, b"abc")
    change(slot, {0: vectors()})
    for place in (index, slot):
        for secrets in (LEASE, LEASE, [renew(b"R" * 32), cancel(b"C" * 32)]):
            answer = ask("PUT", f"{ROOT}/lease/{place}", secrets)
            assert (answer.status, answer.body) == (204, b""), answer


def case_the_two_kinds_do_not_mix():
    index, slot = si(), si()
    stored(index, 0, b"abc")
    change(slot, {0: vectors(writes=[(0, b"abc")])})
    body = encoded({"test-write-vectors": {0: vectors(writes=[(0, b"x")])}, "read-vector": []})
    expect(ask("POST", f"{ROOT}/mutable/{index}/read-test-write", [*LEASE, enabler()], body), (404, 409), stock=(404, 409, 500))
    body = encoded({"share-numbers": {0}, "allocated-size": 3})
    answer = ask("POST", f"{ROOT}/immutable/{slot}", ALLOCATE, body)
    expect(answer, (404, 409), stock=(200, 404, 409, 500))
    assert read(index, 0).body == b"abc"
    assert read(slot, 0, "mutable").body == b"abc"


def case_what_heads_ask_is_answered_without_a_body():
    index = si()
    stored(index, 0, b"abc")
    for path in ("/version", f"/immutable/{index}/shares", f"/immutable/{index}/0"):
        answer = ask("HEAD", ROOT + path)
        assert (answer.status, answer.body) == (200, b""), answer


if __name__ == "__main__":
    main()
