"""What the protocol keeps for how long: each case moves the clock of a server of its own."""

from support import cannot, main
from wire import (
    CONTROL, DAY, LEASE, ROOT, allocate, ask, cancel, change, control, expect, renew, si, stored, vectors, write,
)


def clock():
    """Moves the clock of a server that has one for tests."""
    if not CONTROL:
        cannot("the server has no clock that could be moved")
    return lambda seconds: control("POST", "/advance", {"seconds": seconds})


def leases(index):
    """When the leases of all shares of a storage index end."""
    told = control("GET", f"/leases/{index}")
    return sorted(lease["expiration_time"] for lease in told)


def case_a_lease_lasts_31_days_and_is_never_shortened():
    advance = clock()
    index, slot = si(), si()
    stored(index, 0, b"abc")
    change(slot, {0: vectors()})
    for place in (index, slot):
        assert leases(place) == [control("GET", "/now")["now"] + 31 * DAY], leases(place)
    advance(DAY)
    begun = control("GET", "/now")["now"]
    for place in (index, slot):
        expect(ask("PUT", f"{ROOT}/lease/{place}", LEASE), 204)
        assert leases(place) == [begun + 31 * DAY]
        # Another secret is another lease.
        expect(ask("PUT", f"{ROOT}/lease/{place}", [renew(b"R" * 32), cancel(b"C" * 32)]), 204)
        assert leases(place) == [begun + 31 * DAY] * 2
    advance(10)
    # An allocation renews those of what is there; so does a write, but no read and no failed test.
    allocate(index, [1], 3)
    assert leases(index)[-1] == begun + 10 + 31 * DAY
    change(slot, {}, [(0, 1)])
    change(slot, {0: vectors([(0, 1, b"no")])})
    assert leases(slot) == [begun + 31 * DAY] * 2
    change(slot, {0: vectors(writes=[(0, b"x")])})
    assert leases(slot)[-1] == begun + 10 + 31 * DAY


def case_an_upload_ends_half_an_hour_after_its_last_piece():
    advance = clock()
    index = si()
    allocate(index, [0, 1], 3)
    advance(29 * 60)
    assert write(index, 0, 0, b"a") == [(1, 3)]
    advance(2 * 60)
    # The other had no piece for 31 minutes.
    expect(write(index, 1, 0, b"a", status=404), 404)
    assert write(index, 0, 1, b"b") == [(2, 3)]
    advance(31 * 60)
    expect(write(index, 0, 2, b"c", status=404), 404)
    assert allocate(index, [0], 3) == {"already-have": set(), "allocated": {0}}
    assert write(index, 0, 0, b"xyz") == []


if __name__ == "__main__":
    main()
