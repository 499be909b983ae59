"""A grid: storage servers and one client node, unmodified, that keeps its shares on them.

`grid.py SPECIFICATION` starts what the JSON file says, prints one line of JSON once the client is connected to every
server, and ends everything when its standard input is closed.
"""

import base64
import contextlib
import hashlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time
import urllib.request

# How long a start or an end may take. Only a test that fails waits so long.
PATIENCE = 180

TAC = "# pyutil: this file tells the command that this folder is a client's.\n"
CONFIGURATION = """\
[node]
nickname = client
web.port = tcp:0:interface=127.0.0.1
tub.port = disabled
tub.location = disabled
[client]
shares.needed = {needed}
shares.happy = {happy}
shares.total = {total}
{more}
[storage]
enabled = false
"""


def wait_until(what, condition, patience=PATIENCE):
    """What a condition says, once that is something."""
    until = time.monotonic() + patience
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > until:
            raise AssertionError(f"waited {patience} s: {what}")
        time.sleep(0.05)


def free_port():
    """A port that is free now."""
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        return place.getsockname()[1]


class Process:
    """A program that is always stopped, with a file for what it says."""

    def __init__(self, command, folder, name, keep_stdin=False, environment=None):
        folder.mkdir(parents=True, exist_ok=True)
        self.name = name
        self.log = folder / f"{name}.log"
        with self.log.open("ab") as log:
            self.child = subprocess.Popen(
                command,
                stdin=subprocess.PIPE if keep_stdin else subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=folder,
                env={**os.environ, **(environment or {})},
            )

    def said(self):
        lines = self.log.read_text(errors="replace").splitlines()
        return "\n".join(line for line in lines if "GET /?t=json" not in line)[-6000:]

    def must_live(self):
        if self.child.poll() is not None:
            raise AssertionError(f"{self.name} ended with {self.child.returncode}:\n{self.said()}")

    def kill(self):
        self.child.kill()
        self.child.wait()

    def stop(self):
        if self.child.poll() is None:
            self.child.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.child.wait(PATIENCE)
        if self.child.poll() is None:
            self.kill()
            return f"{self.name} did not end when it was asked to:\n{self.said()}"
        return None


class Server:
    """A storage server: a command that writes `nurl` into its folder once it listens."""

    def __init__(self, name, command, folder):
        self.name, self.command, self.folder = name, command, pathlib.Path(folder)
        self.process = None

    def start(self):
        # One that was killed has left its own.
        (self.folder / "nurl").unlink(missing_ok=True)
        self.control = None
        if "{control}" in self.command:
            self.control = f"http://127.0.0.1:{free_port()}"
        words = {"{dir}": str(self.folder), "{control}": (self.control or "").rsplit(":")[-1]}
        command = [words.get(word, word) for word in self.command]
        self.process = Process(command, self.folder, self.name)
        return self

    def wait(self):
        def nurl():
            self.process.must_live()
            path = self.folder / "nurl"
            return path.exists() and path.read_text().strip()

        self.nurl = wait_until(f"{self.name} listens", nurl)
        # A restart must find the same port.
        port = self.nurl.split("@")[1].split("/")[0].split(":")[1]
        self.command = [port if last == "--port" else word for last, word in zip([""] + self.command, self.command)]
        return self

    def announcement(self):
        """What a client is told. The location of the FURL is never dialled, but secrets are derived from its tub id."""
        digest = hashlib.sha256(self.name.encode()).digest()
        tub = base64.b32encode(digest[:20]).decode().lower()
        key = base64.b32encode(digest).decode().lower().rstrip("=")
        announcement = {
            "nickname": self.name,
            "anonymous-storage-FURL": f"pb://{tub}@tcp:127.0.0.1:1/{'a' * 32}",
            "anonymous-storage-NURLs": [self.nurl],
        }
        return f"v0-{key}", {"ann": announcement}


class Node:
    """The client."""

    def __init__(self, folder, servers, needed, happy, total, more=""):
        self.folder = pathlib.Path(folder)
        (self.folder / "private").mkdir(parents=True)
        (self.folder / "tahoe-client.tac").write_text(TAC)
        text = CONFIGURATION.format(needed=needed, happy=happy, total=total, more=more)
        (self.folder / "tahoe.cfg").write_text(text)
        self.known(servers)
        self.process = None

    def known(self, servers):
        storage = dict(server.announcement() for server in servers)
        # JSON is YAML.
        (self.folder / "private" / "servers.yaml").write_text(json.dumps({"storage": storage}))

    def start(self):
        (self.folder / "node.url").unlink(missing_ok=True)
        tahoe = pathlib.Path(sys.executable).parent / "tahoe"
        self.process = Process([tahoe, "run", self.folder], self.folder.parent, "client", keep_stdin=True)
        return self

    def wait(self):
        def url():
            self.process.must_live()
            path = self.folder / "node.url"
            return path.exists() and path.read_text().strip()

        self.url = wait_until("the client listens", url)
        return self

    def connected(self):
        """The names of the servers that it is connected to."""
        with urllib.request.urlopen(self.url + "?t=json", timeout=PATIENCE) as answer:
            servers = json.load(answer)["servers"]
        return sorted(
            server["nickname"] for server in servers if server["connection_status"] == "connected"
        )

    def wait_for(self, names):
        def all_are():
            self.process.must_live()
            with contextlib.suppress(OSError):
                return self.connected() == sorted(names)

        try:
            wait_until("the client is connected", all_are)
        except AssertionError as error:
            raise AssertionError(f"{error}: to {names}, but to {self.connected()}\n{self.process.said()}") from None
        return self


@contextlib.contextmanager
def running(*things):
    """Ends them all, whatever happens; a failure says what they have said."""
    try:
        yield
    except BaseException:
        for thing in things:
            if thing.process:
                print(f"-- {thing.process.name}:\n{thing.process.said()}", file=sys.stderr)
        raise
    finally:
        problems = [thing.process.stop() for thing in things if thing.process]
        for problem in filter(None, problems):
            print(problem, file=sys.stderr)


def main():
    specification = json.loads(pathlib.Path(sys.argv[1]).read_text())
    folder = pathlib.Path(specification["folder"])
    # Everything is ended, as by the closing of standard input.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    servers = [Server(one["name"], one["command"], folder / one["name"]) for one in specification["servers"]]
    with contextlib.ExitStack() as stack:
        stack.enter_context(running(*servers))
        for server in servers:
            server.start()
        for server in servers:
            server.wait()
        told = {
            "servers": {
                server.name: {
                    "nurl": server.nurl, "folder": str(server.folder), "control": server.control, "pid": server.process.child.pid,
                }
                for server in servers
            }
        }
        things = [*servers]
        # A specification without an encoding has no client.
        if encoding := specification.get("encoding"):
            node = Node(folder / "client", servers, *encoding)
            stack.enter_context(running(node))
            node.start().wait().wait_for([server.name for server in servers])
            told.update(web=node.url, node=str(node.folder), needed=encoding[0])
            things.append(node)
        print(json.dumps(told), flush=True)
        sys.stdin.buffer.read()
        for thing in things:
            thing.process.must_live()


if __name__ == "__main__":
    main()
