"""The storage folder of a stock server is taken over, and written back: containers of the real package on both sides."""

import json
import os
import pathlib
import sys

import support
from grid import Node, Server, running
from support import STOCK, at, cannot, cloudbank, get, healthy, main, mkdir, noise, put, same, storage_index, web

OURS = json.loads(os.environ["TAHOE_SERVER"])
THEIRS = [sys.executable, str(pathlib.Path(__file__).parent / "stock.py"), "--dir", "{dir}", "--port", "0"]
DAY = 86_400


def in_use(node):
    support.GRID.update(web=node.url, node=str(node.folder))
    support.TOTAL = support.NEEDED = 1


def needs_ours():
    if STOCK:
        cannot("there is nothing to be moved to")


def case_a_grid_moves_in_with_all_its_files_and_back():
    needs_ours()
    here = pathlib.Path.cwd()
    # One name, so that to clients it is the same server all the time.
    stock = Server("server", THEIRS, here / "stock").start()
    node = None
    with running(stock):
        stock.wait()
        node = Node(here / "client", [stock], 1, 1, 1).start()
        with running(node):
            node.wait().wait_for(["server"])
            in_use(node)
            files = {put(noise(size)): noise(size) for size in (100, 70_000, 2_500_000)}
            slots = {put(noise(9000, kind), format=kind): noise(9000, kind) for kind in ("SDMF", "MDMF")}
            slots[put(noise(1_500_000, "large"), format="MDMF")] = noise(1_500_000, "large")
            root = mkdir()
            web("PUT", at(root, "child"), noise(80_000, "child"))
    stored = here / "stock" / "storage"
    ours = Server("server", OURS, here / "ours")
    said = cloudbank("tahoe", "import", stored, "--dir", ours.folder).decode()
    assert "8 shares" in said, said
    # Once more there is nothing to do, and everything is the same.
    said = cloudbank("tahoe", "import", stored, "--dir", ours.folder).decode()
    assert "0 shares" in said and "8 there already" in said, said
    with running(ours):
        ours.start().wait()
        node.known([ours])
        node.start()
        with running(node):
            node.wait().wait_for(["server"])
            in_use(node)
            for cap, data in {**files, **slots}.items():
                same(get(cap), data)
                healthy(cap, verify="true", add_lease="true")
            same(get(root, "child"), noise(80_000, "child"))
            # The write enablers have come with them.
            for cap in slots:
                web("PUT", at(cap), b"changed here")
                slots[cap] = b"changed here"
            web("PUT", at(root, "second"), noise(60_000, "second"))
    back = here / "back"
    said = cloudbank("tahoe", "export", back / "storage", "--dir", ours.folder).decode()
    assert "9 shares" in said, said
    stock = Server("server", THEIRS, back)
    with running(stock):
        stock.start().wait()
        node.known([stock])
        node.start()
        with running(node):
            node.wait().wait_for(["server"])
            in_use(node)
            for cap, data in {**files, **slots}.items():
                same(get(cap), data)
                healthy(cap, verify="true")
            same(get(root, "second"), noise(60_000, "second"))
            for cap in slots:
                web("PUT", at(cap), b"changed there")
                same(get(cap), b"changed there")


def containers(folder):
    """Containers of every kind that the package writes; what must become of each: its bytes, and the secrets of its leases."""
    from allmydata.storage.common import storage_index_to_dir
    from allmydata.storage.immutable import ShareFile
    from allmydata.storage.immutable_schema import schema_from_version
    from allmydata.storage.lease import LeaseInfo
    from allmydata.storage.mutable import MutableShareFile
    from allmydata.storage.mutable_schema import ALL_SCHEMAS

    class Parent:
        def log(self, *_arguments, **_more):
            pass

    made = {}
    number = 0
    for version in (1, 2):
        for kind in ("immutable", "mutable"):
            for count in (0, 1, 4, 7):
                number += 1
                index = noise(16, f"container {number}")
                data = noise([0, 5, 100_000][number % 3] or 1, number)
                path = folder / "shares" / storage_index_to_dir(index) / str(number)
                path.parent.mkdir(parents=True)
                if kind == "immutable":
                    share = ShareFile(str(path), len(data), create=True, schema=schema_from_version(version))
                    share.write_share_data(0, data)
                else:
                    (schema,) = [schema for schema in ALL_SCHEMAS if schema.version == version]
                    share = MutableShareFile(str(path), Parent(), schema=schema)
                    share.create(b"n" * 20, b"w" * 32)
                    # It once was larger than it is.
                    share.writev([(0, data + b"more" * 10)], None)
                    share.writev([], len(data))
                secrets = [noise(32, f"{number} {lease}") for lease in range(count)]
                for place, secret in enumerate(secrets):
                    lease = LeaseInfo(int(kind == "mutable"), secret, secret[::-1], 2_000_000_000 + place, b"n" * 20)
                    # A mutable one is told how much room there is.
                    share.add_lease(*([1 << 40] if kind == "mutable" else []), lease)
                made[path.relative_to(folder)] = (kind, index, number, data, secrets)
    return made


def case_containers_of_both_schemas_come_and_go_as_they_are():
    needs_ours()
    from allmydata.storage.shares import get_share_file

    here = pathlib.Path.cwd()
    made = containers(here / "stock")
    ours = Server("server", OURS, here / "ours")
    said = cloudbank("tahoe", "import", here / "stock", "--dir", ours.folder).decode()
    assert f"{len(made)} shares" in said, said
    with running(ours):
        ours.start().wait()
        os.environ["TAHOE_NURL"] = ours.nurl
        import base64

        import wire

        for kind, index, number, data, secrets in made.values():
            name = base64.b32encode(index).decode().lower().rstrip("=")
            same(wire.read(name, number, kind).body, data)
            # Whoever has the secret renews the lease, and makes no other.
            for secret in secrets[:1]:
                answer = wire.ask("PUT", f"{wire.ROOT}/lease/{name}", [wire.renew(secret), wire.cancel(secret[::-1])])
                assert answer.status == 204, answer
            if kind == "mutable":
                wire.change(name, reads=[(0, 1)])
    cloudbank("tahoe", "export", here / "back", "--dir", ours.folder)
    for path, (kind, _, _, data, secrets) in made.items():
        share = get_share_file(str(here / "back" / path))
        found = share.read_share_data(0, len(data) + 1) if kind == "immutable" else share.readv([(0, len(data) + 1)])[0]
        same(found, data)
        leases = list(share.get_leases())
        assert len(leases) == len(secrets), (path, leases)
        for place, (lease, secret) in enumerate(zip(leases, secrets)):
            assert lease.is_renew_secret(secret) and lease.is_cancel_secret(secret[::-1])
            assert lease.get_expiration_time() == 2_000_000_000 + place or place == 0


def case_a_container_that_is_damaged_is_named_and_the_rest_moves_in():
    needs_ours()
    here = pathlib.Path.cwd()
    made = containers(here / "stock")
    bad = here / "stock" / sorted(made)[3]
    kept = bad.read_bytes()
    bad.write_bytes(b"\xff" * 50)
    said = cloudbank("tahoe", "import", here / "stock", "--dir", here / "ours", status=1).decode()
    assert str(bad) in said and f"{len(made) - 1} shares" in said, said
    bad.write_bytes(kept)
    said = cloudbank("tahoe", "import", here / "stock", "--dir", here / "ours").decode()
    assert "1 share " in said and f"{len(made) - 1} there already" in said, said
    other = bytearray(kept)
    # Past the head of either kind, in the bytes of the share.
    other[12 if made[bad.relative_to(here / "stock")][0] == "immutable" else 468] ^= 1
    bad.write_bytes(other)
    said = cloudbank("tahoe", "import", here / "stock", "--dir", here / "ours", status=1).decode()
    assert str(bad) in said and "bytes" in said, said
    said = cloudbank("tahoe", "import", here / "nowhere", "--dir", here / "ours", status=1).decode()
    assert "nowhere" in said, said


if __name__ == "__main__":
    main()
