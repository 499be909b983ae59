"""A stock server is taken over, and its storage folder written back: containers of the real package on both sides."""

import json
import os
import pathlib
import shutil
import subprocess
import sys

import support
from grid import Node, Process, Server, free_port, running, wait_until
from joining import Introducer, announcing
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


class StockNode:
    """A node with storage, as `tahoe create-node` makes it."""

    def __init__(self, folder, introducer):
        self.folder, self.process = folder, None
        port = free_port()
        self.program = pathlib.Path(sys.executable).parent / "tahoe"
        words = ["create-node", f"--port=tcp:{port}:interface=127.0.0.1", f"--location=tcp:127.0.0.1:{port}", "--webport=none"]
        words += [f"--introducer={introducer.furl}", "--nickname=node", folder]
        done = subprocess.run([self.program, *words], capture_output=True, text=True)
        assert done.returncode == 0, done

    def start(self):
        self.process = Process([self.program, "run", self.folder], self.folder.parent, "node", keep_stdin=True)
        return self


def case_a_stock_node_moves_in_and_its_clients_notice_nothing():
    needs_ours()
    here = pathlib.Path.cwd()
    introducer = Introducer(here / "introducer").start()
    with running(introducer):
        introducer.wait()
        node = StockNode(here / "node", introducer).start()
        client = Node(here / "client", [], 1, 1, 1)
        known = {"introducers": {"grid": {"furl": introducer.furl}}}
        (client.folder / "private" / "introducers.yaml").write_text(json.dumps(known))
        client.start()
        with running(client):
            with running(node):
                client.wait().wait_for(["node"])
                in_use(client)
                files = {put(noise(size)): noise(size) for size in (100, 2_500_000)}
                slots = {put(noise(9000, kind), format=kind): noise(9000, kind) for kind in ("SDMF", "MDMF")}
                root = mkdir()
                web("PUT", at(root, "child"), noise(80_000, "child"))
            client.wait_for([])
            ours = Server("ours", OURS, here / "ours")
            furl = (here / "node" / "private" / "storage.furl").read_text().strip()
            tub = furl.removeprefix("pb://").split("@")[0]
            said = cloudbank("tahoe", "import", here / "node", "--dir", ours.folder).decode()
            assert f"the server is {tub} from its next start on" in said and "6 shares" in said, said
            with running(ours):
                ours.start().wait()
                told = json.loads(cloudbank("--json", "tahoe", "announce", "--dir", ours.folder))
                # What clients know it by has stayed: secrets come from the tub id, the order of servers from the seed.
                assert told["anonymous-storage-FURL"].startswith(f"pb://{tub}@"), told
                assert told["permutation-seed-base32"] == (here / "node" / "permutation-seed").read_text().strip(), told
                assert told["anonymous-storage-NURLs"][0].split("/")[-1] == furl.split("/")[-1] + "#v=1", told
                servers = here / "servers.yaml"
                servers.write_bytes(cloudbank("tahoe", "announce", "--dir", ours.folder))
                # The node's own key signs for it.
                words = ["--servers", servers, "--key", here / "node" / "private" / "node.privkey", "--nickname", "node"]
                announcer = type("Announcer", (), {})()
                announcer.process = Process(announcing(*words, "--introducer", introducer.furl), here, "announcer")
                with running(announcer):
                    client.wait_for(["node"])
                    for cap, data in {**files, **slots}.items():
                        same(get(cap), data)
                        healthy(cap, verify="true", add_lease="true")
                    for cap in slots:
                        web("PUT", at(cap), b"changed here")
                        same(get(cap), b"changed here")
                    web("PUT", at(root, "second"), noise(60_000, "second"))
                    same(get(root, "second"), noise(60_000, "second"))
                    same(get(root, "child"), noise(80_000, "child"))


def case_a_nodes_identity_is_whole_and_replaces_no_other():
    needs_ours()
    from allmydata.crypto import ed25519
    from cryptography.hazmat.primitives import serialization
    from foolscap.api import Tub

    here = pathlib.Path.cwd()

    def node(name):
        folder = here / name
        (folder / "private").mkdir(parents=True)
        tub = Tub()
        (folder / "private" / "node.pem").write_bytes(tub.getCertData())
        (folder / "private" / "storage.furl").write_text(f"pb://{tub.getTubID()}@tcp:127.0.0.1:1,tcp:[::1]:2/swissnum{name}\n")
        private, _ = ed25519.create_signing_keypair()
        (folder / "private" / "node.privkey").write_bytes(ed25519.string_from_signing_key(private) + b"\n")
        return folder, tub.getTubID()

    def identity(*words, status=0):
        return cloudbank("tahoe", "identity", *words, "--dir", here / "ours", status=status).decode()

    (one, tub), (other, other_tub) = node("one"), node("other")
    assert tub in identity("import", one)
    kept = json.loads(identity("export", "-"))
    # There was no permutation seed, so it is the tub id.
    assert kept["tub_id"] == kept["permutation_seed"] == tub and kept["swissnum"] == "swissnumone", kept
    # Once more is nothing new; with another form of the same key, too.
    path = one / "private" / "node.pem"
    text = path.read_bytes()
    key = serialization.load_pem_private_key(text[text.index(b"-----BEGIN PRIVATE") :], None)
    form = serialization.PrivateFormat.TraditionalOpenSSL
    old = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    assert b"BEGIN RSA PRIVATE KEY" in old
    path.write_bytes(text[: text.index(b"-----BEGIN PRIVATE")] + old)
    assert tub in identity("import", one)
    said = identity("import", other, status=4)
    assert tub in said and other_tub in said and "--replace" in said, said
    # Nor does it come along with shares.
    (other / "storage" / "shares").mkdir(parents=True)
    said = cloudbank("tahoe", "import", other, "--dir", here / "ours", status=4).decode()
    assert tub in said, said
    said = cloudbank("tahoe", "import", other, "--no-identity", "--dir", here / "ours").decode()
    assert "0 shares" in said and tub not in said, said
    assert json.loads(identity("export", "-")) == kept
    assert other_tub in identity("import", other, "--replace")
    assert json.loads(identity("export", "-"))["tub_id"] == other_tub
    # Files of two nodes are not one identity.
    shutil.copy(one / "private" / "node.pem", other / "private" / "node.pem")
    said = identity("import", other, "--replace", status=1)
    assert "storage.furl: it is of another node than private/node.pem" in said, said
    (one / "private" / "node.privkey").unlink()
    said = identity("import", one, "--replace", status=1)
    assert "node.privkey: it is not there" in said, said
    assert "no folder of a node" in identity("import", here, "--replace", status=3)


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
