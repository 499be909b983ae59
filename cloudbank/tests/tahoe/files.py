"""Immutable files, as the client's users meet them."""

import concurrent.futures

from support import NEEDED, TOTAL, at, check, get, healthy, main, noise, put, same, storage_index, tahoe, web

MIB = 1 << 20

# From the least that makes shares at all, over the sizes about a segment, and about the pieces of an upload.
SIZES = [56, 57, 1000, 4095, 65_537, MIB - 1, MIB, MIB + 1, 3_000_000, 3 * MIB + 1]
# What is asked of a file of 3,000,000 bytes: the header, and which bytes are wanted.
RANGES = [
    ("bytes=0-0", (0, 1)),
    ("bytes=0-99", (0, 100)),
    ("bytes=1048570-1048580", (1048570, 1048581)),
    ("bytes=1048576-2097151", (1048576, 2097152)),
    ("bytes=131071-131073", (131071, 131074)),
    ("bytes=2999999-2999999", (2999999, 3000000)),
    ("bytes=2999990-4000000", (2999990, 3000000)),
    ("bytes=2500000-", (2500000, 3000000)),
    ("bytes=-5", (2999995, 3000000)),
]


def case_what_is_uploaded_is_downloaded():
    for size in SIZES:
        data = noise(size)
        cap = put(data)
        assert cap.startswith("URI:CHK:") and cap.endswith(f":{NEEDED}:{TOTAL}:{size}"), cap
        same(get(cap), data)


def case_every_server_has_a_share_that_verifies():
    for size in (100, MIB + 1, 2_500_000):
        report = healthy(put(noise(size, "verified")), verify="true")
        assert report["results"]["count-good-share-hosts"] == TOTAL, report


def case_a_large_file_goes_there_and_back():
    data = noise(12_000_000)
    cap = put(data)
    same(get(cap), data)
    healthy(cap, verify="true")


def case_ranges_are_what_they_are_of_the_whole():
    data = noise(3_000_000, "ranges")
    cap = put(data)
    for header, wanted in RANGES:
        answer = web("GET", at(cap), headers={"Range": header}, status=206)
        same(answer.body, data[slice(*wanted)])


def case_the_same_file_twice_is_one():
    data = noise(200_000, "twice")
    first, again = put(data), put(data)
    assert first == again
    healthy(first)
    same(get(again), data)


def case_many_small_files_at_the_same_time():
    everything = [noise(1000 + number, "many") for number in range(40)]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        caps = list(pool.map(put, everything))
        for found, data in zip(pool.map(get, caps), everything):
            same(found, data)


def case_a_file_nobody_has_is_not_found():
    cap = put(noise(5000, "lost"))
    kind, key, *rest = cap.split(":")[1:]
    other = "a" * 25 + "a" if key != "a" * 26 else "b" * 26
    lost = ":".join(["URI", kind, other, *rest])
    answer = web("GET", at(lost), status=410)
    assert b"NoSharesError" in answer.body, answer.body
    assert check(lost)["results"]["count-shares-good"] == 0


def case_the_storage_index_is_told():
    cap = put(noise(5000, "index"))
    assert len(storage_index(cap)) == 26


def case_the_command_puts_and_gets():
    data = noise(150_000, "command")
    cap = tahoe("put", "-", input=data).decode().strip()
    same(tahoe("get", cap), data)
    said = tahoe("check", "--verify", cap).decode()
    assert "Healthy" in said, said


if __name__ == "__main__":
    main()
