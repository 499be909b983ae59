"""A server joins a grid through a stock introducer, told of by the program in `announce/`, installed by pip."""

import json
import os
import pathlib
import subprocess
import sys

import support
from grid import Node, Process, Server, free_port, running, wait_until
from support import STOCK, cannot, cloudbank, get, healthy, main, noise, put, same

COMMAND = json.loads(os.environ["TAHOE_SERVER"])
INTRODUCER = """\
[node]
nickname = introducer
tub.port = tcp:{port}:interface=127.0.0.1
tub.location = tcp:127.0.0.1:{port}
"""


class Introducer:
    """A stock introducer."""

    def __init__(self, folder):
        self.folder = folder
        (folder / "private").mkdir(parents=True)
        (folder / "tahoe-introducer.tac").write_text("# pyutil: this folder is an introducer's.\n")
        (folder / "tahoe.cfg").write_text(INTRODUCER.format(port=free_port()))
        self.process = None

    def start(self):
        tahoe = pathlib.Path(sys.executable).parent / "tahoe"
        self.process = Process([tahoe, "run", self.folder], self.folder.parent, "introducer", keep_stdin=True)
        return self

    def wait(self):
        def furl():
            self.process.must_live()
            path = self.folder / "private" / "introducer.furl"
            return path.exists() and path.read_text().strip()

        self.furl = wait_until("the introducer listens", furl)
        return self


def about(server, folder):
    """What the announcing program is given of a server: a servers.yaml, and the key that signs it."""
    servers, key = folder / "servers.yaml", folder / "key"
    if STOCK:
        from allmydata.crypto import ed25519

        private, public = ed25519.create_signing_keypair()
        _, entry = server.announcement()
        name = ed25519.string_from_verifying_key(public).decode().removeprefix("pub-")
        servers.write_text(json.dumps({"storage": {name: entry}}))
        key.write_bytes(ed25519.string_from_signing_key(private))
    else:
        servers.write_bytes(cloudbank("tahoe", "announce", "--dir", server.folder))
        key = server.folder / "identity.json"
    return servers, key


def announcing(*arguments):
    """The program as pip has installed it, in an environment that is not that of the client."""
    if "TAHOE_ANNOUNCE" not in os.environ:
        cannot(os.environ["TAHOE_ANNOUNCE_MISSING"])
    return [os.environ["TAHOE_ANNOUNCE"], *arguments]


def case_a_client_finds_the_server_through_a_stock_introducer():
    here = pathlib.Path.cwd()
    server = Server("server", COMMAND, here / "server").start()
    introducer = Introducer(here / "introducer").start()
    with running(server, introducer):
        server.wait()
        introducer.wait()
        servers, key = about(server, here)
        announcer = type("Announcer", (), {})()
        told = ["--servers", servers, "--key", key, "--introducer", introducer.furl, "--nickname", "one"]
        announcer.process = Process(announcing(*told), here, "announcer")
        with running(announcer):
            wait_until("it is announced", lambda: announcer.process.must_live() or "announced v0-" in announcer.process.said())
            node = Node(here / "client", [], 1, 1, 1)
            introducers = {"introducers": {"grid": {"furl": introducer.furl}}}
            (node.folder / "private" / "introducers.yaml").write_text(json.dumps(introducers))
            node.start()
            with running(node):
                node.wait().wait_for(["one"])
                support.GRID.update(web=node.url, node=str(node.folder))
                support.TOTAL = 1
                data = noise(100_000, "found")
                cap = put(data)
                same(get(cap), data)
                healthy(cap, verify="true")
                mutable = put(b"changes", format="SDMF")
                same(get(mutable), b"changes")
        # Another run tells it anew, and ends.
        done = subprocess.run(announcing(*told, "--once"), capture_output=True, text=True, timeout=200)
        assert done.returncode == 0 and "to 1 introducer\n" in done.stdout, done


def case_the_announcing_program_says_what_is_wrong():
    here = pathlib.Path.cwd()
    furl = "pb://" + "a" * 32 + "@tcp:127.0.0.1:1/introducer"
    entry = {"ann": {"anonymous-storage-FURL": furl, "anonymous-storage-NURLs": ["pb://x@127.0.0.1:1/y#v=1"]}}
    (here / "servers.yaml").write_text(json.dumps({"storage": {"v0-aaaa": entry}}))
    (here / "odd.yaml").write_text("storage: [")
    from allmydata.crypto import ed25519

    private, _ = ed25519.create_signing_keypair()
    (here / "key").write_bytes(ed25519.string_from_signing_key(private))
    (here / "odd").write_text('{"signing_key": "priv-v0-x"}')
    cases = [
        (["--servers", "nowhere", "--key", "key"], "nowhere: No such file"),
        (["--servers", "odd.yaml", "--key", "key"], "odd.yaml: it is not a servers.yaml"),
        (["--servers", "servers.yaml", "--key", "servers.yaml"], "servers.yaml: it is neither the identity"),
        (["--servers", "servers.yaml", "--key", "odd"], "odd: its signing key is not one"),
        (["--servers", "servers.yaml", "--key", "key"], "key: it is the key of v0-"),
    ]
    for arguments, wanted in cases:
        done = subprocess.run(announcing(*arguments, "--introducer", furl), capture_output=True, text=True, timeout=100)
        assert done.returncode == 2 and wanted in done.stderr, (arguments, done)


if __name__ == "__main__":
    main()
