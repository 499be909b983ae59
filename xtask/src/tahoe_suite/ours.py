"""Puts servers of ours where the integration suite of Tahoe starts its own: they announce themselves to its introducer."""

import os
import pathlib
import subprocess
import sys
import time
import types

CLOUDBANK, ANNOUNCE = os.environ["SUITE_CLOUDBANK"], os.environ["SUITE_ANNOUNCE"]
# How long a server may take to start. Only a run that fails waits so long.
PATIENCE = 60


def start(folder, furl):
    """A server, and the program that announces it: both run."""
    folder.mkdir()
    # It finds no configuration of whoever runs this.
    environment = {**os.environ, "HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    log = (folder / "log").open("wb")
    server = subprocess.Popen(
        [CLOUDBANK, "serve", "tahoe", "--dir", folder / "node", "--port", "0"], cwd=folder, stdout=log, stderr=log, env=environment
    )
    until = time.monotonic() + PATIENCE
    while not (folder / "node" / "nurl").exists():
        assert server.poll() is None and time.monotonic() < until, (folder / "log").read_text()
        time.sleep(0.05)
    told = subprocess.run(
        [CLOUDBANK, "tahoe", "announce", "--dir", "node"], cwd=folder, stdout=subprocess.PIPE, check=True, env=environment
    )
    (folder / "servers.yaml").write_bytes(told.stdout)
    announcer = subprocess.Popen(
        [ANNOUNCE, "--servers", folder / "servers.yaml", "--key", folder / "node" / "identity.json", "--introducer", furl],
        cwd=folder, stdout=log, stderr=log, env=environment,
    )
    return [announcer, server]


def stop(processes):
    """Ends them, the server last."""
    for process in processes:
        process.terminate()
    for process in processes:
        process.wait()


def pytest_sessionstart(session):
    """Before any of its fixtures is made."""
    from integration import grid
    from twisted.internet.defer import succeed

    class Server:
        """What stands for a storage node of theirs."""

        def __init__(self, folder):
            self.process = types.SimpleNamespace(node_dir=str(folder))

    def create_storage_server(reactor, request, temp_dir, introducer, flog_gatherer, name, web_port, **_):
        folder = pathlib.Path(temp_dir) / name
        processes = start(folder, introducer.furl)
        request.addfinalizer(lambda: stop(processes))
        print(f"{name} is one of ours", file=sys.stderr)
        return succeed(Server(folder))

    grid.create_storage_server = create_storage_server
