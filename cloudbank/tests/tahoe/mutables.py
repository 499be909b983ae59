"""Mutable files of both kinds, as the client's users meet them."""

from support import at, get, healthy, main, noise, put, same, web

MIB = 1 << 20
SIZES = [0, 1, 100, 131_071, 131_072, 131_073, 700_000]


def overwrite(cap, data, **query):
    web("PUT", at(cap), data, **query)


def goes_there_and_back(format):
    for size in SIZES:
        data = noise(size, format)
        cap = put(data, format=format)
        same(get(cap), data)
        for seed, other in (("more", size + 5000), ("less", size // 2), ("none", 0), ("again", 3000)):
            data = noise(other, seed)
            overwrite(cap, data)
            same(get(cap), data)
    healthy(cap, verify="true")


def case_sdmf_is_created_read_and_overwritten():
    goes_there_and_back("SDMF")


def case_mdmf_is_created_read_and_overwritten():
    goes_there_and_back("MDMF")


def case_mdmf_of_many_segments_verifies_and_is_read_in_ranges():
    data = noise(2 * MIB + 77, "ranges")
    cap = put(data, format="MDMF")
    for first, last in ((0, 0), (131_071, 131_072), (MIB, MIB + 4000), (len(data) - 10, len(data) - 1)):
        answer = web("GET", at(cap), headers={"Range": f"bytes={first}-{last}"}, status=206)
        same(answer.body, data[first : last + 1])
    healthy(cap, verify="true")


def case_mdmf_is_patched_anywhere():
    data = bytearray(noise(600_000, "patched"))
    cap = put(bytes(data), format="MDMF")
    # Within a segment, over an edge, over whole segments, at the end, and on from the end.
    for offset, size in ((10, 1), (131_070, 10), (100_000, 300_000), (599_990, 10), (600_000, 50_000), (649_999, 2)):
        patch = noise(size, offset)
        web("PUT", at(cap), patch, offset=offset)
        data[offset : offset + size] = patch
        same(get(cap), bytes(data))
    healthy(cap, verify="true")


def case_sdmf_is_patched():
    data = bytearray(noise(90_000, "patched"))
    cap = put(bytes(data), format="SDMF")
    for offset, size in ((10, 1), (89_990, 10), (40_000, 10_000)):
        patch = noise(size, offset)
        web("PUT", at(cap), patch, offset=offset)
        data[offset : offset + size] = patch
        same(get(cap), bytes(data))


def case_a_reader_cannot_write():
    for format in ("SDMF", "MDMF"):
        cap = put(b"read only", format=format)
        reader = web("GET", at(cap), t="json").json()[1]["ro_uri"]
        same(get(reader), b"read only")
        answer = web("PUT", at(reader), b"written", status=400)
        assert b"NotWriteableError" in answer.body or b"replace" in answer.body, answer.body
        same(get(cap), b"read only")


def case_twenty_versions_follow_each_other():
    for format in ("SDMF", "MDMF"):
        cap = put(b"0", format=format)
        for number in range(1, 20):
            overwrite(cap, b"%d" % number * number)
        same(get(cap), b"19" * 19)
        report = healthy(cap)
        assert report["results"]["count-recoverable-versions"] == 1, report
        assert report["results"]["count-unrecoverable-versions"] == 0, report


if __name__ == "__main__":
    main()
