"""What becomes of a file when servers are lost: killed in the middle of a transfer, or emptied, or when their bytes change.

Each case has a grid of its own, made with the command in TAHOE_SERVER.
"""

import contextlib
import http.client
import json
import os
import pathlib
import shutil
import threading
import urllib.parse

import support
from grid import Node, Server, running, wait_until
from support import STOCK, at, check, cloudbank, get, healthy, main, noise, put, same, storage_index, web

COMMAND = json.loads(os.environ["TAHOE_SERVER"])


@contextlib.contextmanager
def grid(count=3, needed=1, happy=2):
    """Servers of that command, with a client; they end with the case."""
    servers = [Server(f"server{number}", COMMAND, pathlib.Path.cwd() / f"server{number}") for number in range(count)]
    with contextlib.ExitStack() as stack:
        stack.enter_context(running(*servers))
        for server in servers:
            server.start()
        for server in servers:
            server.wait()
        node = Node(pathlib.Path.cwd() / "client", servers, needed, happy, count)
        stack.enter_context(running(node))
        node.start().wait().wait_for([server.name for server in servers])
        support.GRID.update(web=node.url, node=str(node.folder))
        support.TOTAL, support.NEEDED = count, needed
        yield node, servers


def progress():
    """How far the uploads under way have come: the share of the bytes that is sent."""
    active = web("GET", "/status", t="json").json()["active"]
    return max((one["progress-encode-push"] for one in active if one["type"] == "upload"), default=0.0)


def restarted(node, servers, server):
    # A client that has not noticed that it was away would ask it on a connection that is gone, and take that for its answer.
    node.wait_for([other.name for other in servers if other is not server])
    server.start().wait()
    node.wait_for([server.name for server in servers])


def case_a_file_outlives_a_server_killed_in_the_middle_of_its_upload_and_of_its_reading():
    data = noise(40_000_000, "killed")
    with grid(count=3, needed=2) as (node, servers):
        uploaded = []
        upload = threading.Thread(target=lambda: uploaded.append(put(data)), daemon=True)
        upload.start()
        wait_until("a part of the upload is sent", lambda: progress() > 0.1 or not upload.is_alive())
        assert upload.is_alive(), "the upload ended too early"
        servers[0].process.kill()
        upload.join(200)
        assert uploaded, "the upload failed"
        cap = uploaded[0]
        node.wait_for([server.name for server in servers[1:]])
        same(get(cap), data)
        # The server that was killed comes back, and has none of it or all.
        restarted(node, servers, servers[0])
        results = check(cap, verify="true")["results"]
        assert results["count-corrupt-shares"] == 0 and results["count-shares-good"] >= 2, results
        report = web("POST", at(cap), t="check", output="JSON", repair="true", verify="true").json()
        results = report["post-repair-results"]["results"]
        assert results["count-shares-good"] == 3 and results["healthy"], report
        # Killed while it is read from.
        place = urllib.parse.urlsplit(node.url)
        connection = http.client.HTTPConnection(place.hostname, place.port, timeout=220)
        connection.request("GET", at(cap))
        answer = connection.getresponse()
        read = answer.read(1_000_000)
        servers[1].process.kill()
        same(read + answer.read(), data)
        connection.close()
        restarted(node, servers, servers[1])
        # What was promised is there, after both have been killed.
        healthy(cap, verify="true")


def case_mutable_files_outlive_a_server_killed_between_their_versions():
    with grid(count=3, needed=1) as (node, servers):
        caps = {format: put(b"first", format=format) for format in ("SDMF", "MDMF")}
        servers[2].process.kill()
        node.wait_for([server.name for server in servers[:2]])
        for cap in caps.values():
            web("PUT", at(cap), b"second")
            same(get(cap), b"second")
        restarted(node, servers, servers[2])
        for cap in caps.values():
            # It has the version before, and is brought up to date.
            results = check(cap, verify="true")["results"]
            assert results["recoverable"] and not results["healthy"], results
            report = web("POST", at(cap), t="check", output="JSON", repair="true", verify="true").json()
            assert report["repair-successful"], report
            same(get(cap), b"second")
            healthy(cap, verify="true")


def case_files_are_repaired_after_a_server_has_lost_everything():
    with grid(count=3, needed=1) as (node, servers):
        caps = [put(noise(200_000, "lost")), put(noise(90_000), format="SDMF"), put(noise(300_000), format="MDMF")]
        for cap in caps:
            healthy(cap)
        # A new server, without anything, in the place of one that is gone.
        servers[1].process.stop()
        replaced = Server("replaced", COMMAND, pathlib.Path.cwd() / "replaced").start().wait()
        servers[1].process.kill()
        servers[1] = replaced
        with running(replaced):
            node.process.stop()
            node.known(servers)
            node.start().wait().wait_for([server.name for server in servers])
            support.GRID.update(web=node.url)
            for cap in caps:
                results = check(cap, verify="true")["results"]
                assert not results["healthy"] and results["count-shares-good"] == 2, results
                report = web("POST", at(cap), t="check", output="JSON", repair="true", verify="true").json()
                assert report["repair-attempted"] and report["repair-successful"], report
                healthy(cap, verify="true")


@contextlib.contextmanager
def shares_of(node, servers, server):
    """The containers of a server, which is stopped meanwhile and has afterwards what is left of them."""
    problem = server.process.stop()
    assert not problem, problem
    folder = server.folder / "storage"
    if not STOCK:
        cloudbank("tahoe", "export", folder, "--dir", server.folder)
        shutil.rmtree(server.folder / "store")
    yield folder / "shares"
    if not STOCK:
        cloudbank("tahoe", "import", folder, "--dir", server.folder)
    restarted(node, servers, server)


def case_shares_that_are_deleted_and_damaged_are_found_and_repaired():
    with grid(count=3, needed=1) as (node, servers):
        kinds = {"deleted": noise(200_000, "deleted"), "damaged": noise(300_000, "damaged")}
        files = {(what, "CHK"): put(data) for what, data in kinds.items()}
        files |= {(what, kind): put(data, format=kind) for what, data in kinds.items() for kind in ("SDMF", "MDMF")}
        indexes = {cap: storage_index(cap) for cap in files.values()}
        with shares_of(node, servers, servers[1]) as shares:
            for (what, kind), cap in files.items():
                (found,) = (shares / indexes[cap][:2] / indexes[cap]).iterdir()
                if what == "deleted":
                    found.unlink()
                    found.parent.rmdir()
                    continue
                # In the middle of what is encrypted, where only verifying finds it.
                changed = bytearray(found.read_bytes())
                changed[len(changed) // 2] ^= 1
                found.write_bytes(changed)
        for (what, kind), cap in files.items():
            results = check(cap, verify="true")["results"]
            assert results["recoverable"] and not results["healthy"], (what, kind, results)
            assert results["count-shares-good"] == 2, (what, kind, results)
            assert results["count-corrupt-shares"] == int(what == "damaged"), (what, kind, results)
            # The others are read instead.
            same(get(cap), kinds[what])
            report = web("POST", at(cap), t="check", output="JSON", repair="true", verify="true").json()
            # An immutable share that is damaged stays where it is, since nothing is ever written over it: only on one more
            # server there would be room for another.
            stays = (what, kind) == ("damaged", "CHK")
            assert report["repair-attempted"] and report["repair-successful"] != stays, (what, kind, report)
            same(get(cap), kinds[what])
            if not stays:
                healthy(cap, verify="true")


def case_what_was_answered_outlives_the_end_of_the_server_under_load():
    server = Server("server", COMMAND, pathlib.Path.cwd() / "server").start()
    with running(server):
        server.wait()
        os.environ["TAHOE_NURL"] = server.nurl
        import wire

        data = noise(30_000, "load")
        slots = [wire.si() for _ in range(3)]
        finished, counts = [], [0] * len(slots)
        stop = threading.Event()

        def uploads():
            while not stop.is_set():
                index = wire.si()
                # What was begun before may be unknown after.
                with contextlib.suppress(OSError, http.client.HTTPException, AssertionError):
                    wire.allocate(index, [0, 1], len(data))
                    for number in (0, 1):
                        wire.write(index, number, 0, data[:20_000])
                        if wire.write(index, number, 20_000, data[20_000:]) == []:
                            finished.append((index, number))

        def counting(at):
            while not stop.is_set():
                with contextlib.suppress(OSError, http.client.HTTPException):
                    text = b"%09d" % (counts[at] + 1)
                    # Both shares are written in one, so both are of one version ever after.
                    if wire.change(slots[at], {n: wire.vectors(writes=[(0, text)]) for n in (0, 1)})[0]:
                        counts[at] += 1

        threads = [threading.Thread(target=uploads, daemon=True) for _ in range(3)]
        threads += [threading.Thread(target=counting, args=(at,), daemon=True) for at in range(len(slots))]
        for thread in threads:
            thread.start()
        for _ in range(3):
            before = len(finished) + sum(counts)
            wait_until("some is done", lambda: len(finished) + sum(counts) > before + 30)
            server.process.kill()
            server.start().wait()
        stop.set()
        for thread in threads:
            thread.join(120)
        assert len(finished) > 10 and min(counts) > 3, (len(finished), counts)
        for index, number in finished:
            same(wire.read(index, number).body, data)
        for slot, count in zip(slots, counts):
            _, found = wire.change(slot, reads=[(0, 9)])
            assert found[0] == found[1], found
            # What was answered is there; one more may be, whose answer was lost.
            assert int(found[0][0]) in (count, count + 1), (found, count)


if __name__ == "__main__":
    main()
