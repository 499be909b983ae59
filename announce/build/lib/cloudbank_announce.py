"""Announces a Cloudbank storage server to introducers of Tahoe-LAFS."""

import argparse
import json
import pathlib
import secrets
import sys
import tempfile
import time

import yaml
from foolscap.api import Tub
from twisted.internet import reactor, task
from twisted.python.filepath import FilePath

from allmydata.crypto import ed25519
from allmydata.introducer.client import IntroducerClient

# What introducers call storage servers.
SERVICE = "storage"
# How often it is looked whether all have heard, in seconds.
PAUSE = 0.1
HELP = """\
Announces the server in a servers.yaml, as `cloudbank tahoe announce` prints it, and goes on as long as it runs: an introducer
that comes back is told again. Exit codes: 0 done, 1 failed, 2 wrong usage.

Examples:
  cloudbank tahoe announce | cloudbank-announce --key server/identity.json --introducer pb://...
  cloudbank-announce --servers servers.yaml --key identity.json --introducer introducers.yaml --once
"""


class Wrong(Exception):
    """What a person who runs it can mend."""


def read(path):
    try:
        return sys.stdin.read() if path == "-" else pathlib.Path(path).read_text()
    except OSError as error:
        raise Wrong(f"{path}: {error.strerror}") from None


def announcement(path):
    """The one server of a servers.yaml: its name and what is said of it."""
    try:
        storage = yaml.safe_load(read(path))["storage"]
        ((name, entry),) = storage.items()
        said = entry["ann"]
        if not said["anonymous-storage-NURLs"] or not said["anonymous-storage-FURL"].startswith("pb://"):
            raise ValueError
    except (yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError):
        raise Wrong(f"{path}: it is not a servers.yaml with one server, as `cloudbank tahoe announce` prints it") from None
    return name, said


def signing_key(path):
    """The key of an identity of ours, or that of a stock node."""
    text = read(path).strip()
    if not text.startswith("priv-"):
        try:
            text = json.loads(text)["signing_key"]
        except (ValueError, KeyError, TypeError):
            raise Wrong(f"{path}: it is neither the identity of a server nor the private key of a node") from None
    try:
        return ed25519.signing_keypair_from_string(text.encode())
    except Exception:
        raise Wrong(f"{path}: its signing key is not one") from None


def introducers(given):
    """The FURLs that are given, in files too."""
    for one in given:
        if one.startswith("pb://"):
            yield one
            continue
        try:
            known = yaml.safe_load(read(one))["introducers"]
            yield from (entry["furl"] for entry in known.values())
        except (yaml.YAMLError, KeyError, TypeError, AttributeError):
            raise Wrong(f"{one}: it is neither a pb:// address nor an introducers.yaml") from None


def sequence():
    """Later announcements replace earlier ones, also those of another run."""
    return int(time.time()), secrets.token_hex(16)


class Heard:
    """Counts the introducers that have taken the announcement."""

    def __init__(self, clients):
        self.clients = clients

    def count(self):
        # Sent, and nothing is waited for any more.
        return sum(
            client.connected_to_introducer() and client._debug_counts["outbound_message"] > 0 and not client._debug_outstanding
            for client in self.clients
        )


def start(arguments, folder):
    name, said = announcement(arguments.servers)
    private, public = signing_key(arguments.key)
    own = ed25519.string_from_verifying_key(public).decode().removeprefix("pub-")
    if own != name:
        raise Wrong(f"{arguments.key}: it is the key of {own}, and {arguments.servers} tells of {name}")
    nickname = arguments.nickname or said.get("nickname") or name
    furls = list(introducers(arguments.introducer))
    if not furls:
        raise Wrong("there is no introducer in what --introducer names")
    tub = Tub()
    tub.startService()
    clients = []
    for number, furl in enumerate(furls):
        cache = FilePath(folder).child(f"introducer-{number}.yaml")
        client = IntroducerClient(tub, furl, nickname, "cloudbank", "cloudbank", sequence, cache)
        client.startService()
        client.publish(SERVICE, {key: value for key, value in said.items() if key != "nickname"}, private)
        clients.append(client)
    return name, tub, Heard(clients)


def watch(name, heard, once, patience):
    """Says how many have heard, whenever that changes; with `once` it is done when all have."""
    told = 0
    begun = time.monotonic()
    status = {"code": 0}

    def look():
        nonlocal told
        count = heard.count()
        if count > told:
            word = "introducer" if count == 1 else "introducers"
            print(f"announced {name} to {count} {word}", flush=True)
        told = count
        if once and count == len(heard.clients):
            reactor.stop()
        elif once and time.monotonic() - begun > patience:
            print(f"only {count} of {len(heard.clients)} introducers answered within {patience:.0f} s", file=sys.stderr)
            status["code"] = 1
            reactor.stop()

    task.LoopingCall(look).start(PAUSE)
    return status


def main():
    parser = argparse.ArgumentParser(
        prog="cloudbank-announce", description=HELP, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--servers", default="-", metavar="FILE", help="what `cloudbank tahoe announce` prints [default: -]")
    parser.add_argument("--key", required=True, metavar="FILE", help="the identity of the server")
    parser.add_argument("--introducer", required=True, action="append", metavar="FURL", help="whom to tell; may be given again")
    parser.add_argument("--nickname", help="what clients call it, instead of what the servers.yaml says")
    parser.add_argument("--once", action="store_true", help="end when all introducers have been told")
    parser.add_argument("--patience", type=float, default=120, metavar="SECONDS", help="how long --once waits [default: 120]")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cloudbank-announce-") as folder:
        try:
            name, tub, heard = start(arguments, folder)
        except Wrong as wrong:
            print(f"cloudbank-announce: {wrong}", file=sys.stderr)
            return 2
        status = watch(name, heard, arguments.once, arguments.patience)
        reactor.addSystemEventTrigger("before", "shutdown", tub.stopService)
        reactor.run()
        return status["code"]


if __name__ == "__main__":
    sys.exit(main())
