"""What the cases share: the client's web interface, known bytes, the servers' own view.

A case is a function of a script, run as `SCRIPT CASE` in an empty folder. TAHOE_GRID is the line of JSON that `grid.py`
printed: where the client is, and the servers that it keeps shares on.
"""

import hashlib
import http.client
import inspect
import json
import os
import pathlib
import random
import subprocess
import sys
import urllib.parse

GRID = json.loads(os.environ.get("TAHOE_GRID", "{}"))
SERVERS = GRID.get("servers", {})
# Whether the stock server is tried instead of ours.
STOCK = bool(os.environ.get("TAHOE_STOCK"))
# So many shares each file has, one on each server, and so many are needed.
TOTAL = len(SERVERS)
NEEDED = GRID.get("needed", 1)


def noise(size, seed=1):
    return random.Random(f"{size} {seed}").randbytes(size)


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body)

    def text(self):
        return self.body.decode()


def web(method, path, body=b"", status=None, headers=None, base=None, **query):
    """A request to the client; any success will do unless a status is asked for."""
    place = urllib.parse.urlsplit(base or GRID["web"])
    connection = http.client.HTTPConnection(place.hostname, place.port, timeout=220)
    # All but two of its words have a dash.
    word = lambda name: name if name in ("from_name", "to_name") else name.replace("_", "-")
    pairs = {word(name): value for name, value in query.items()}
    target = path + ("?" + urllib.parse.urlencode(pairs) if pairs else "")
    # Else its errors come as pages.
    connection.request(method, target, body, {"Accept": "text/plain, */*;q=0.1", **(headers or {})})
    answer = connection.getresponse()
    answer = Answer(answer.status, answer.headers, answer.read())
    connection.close()
    fine = answer.status // 100 == 2 if status is None else answer.status == status
    assert fine, f"{method} {target} was answered {answer.status}: {answer.body[-3000:].decode(errors='replace')}"
    return answer


def at(cap, *names):
    """The path of a capability, or of what is below it."""
    return "/uri/" + "/".join(urllib.parse.quote(name, safe="") for name in (cap, *names))


def put(data, **query):
    """Stores a file; its capability."""
    return web("PUT", "/uri", data, **query).text().strip()


def get(cap, *names):
    return web("GET", at(cap, *names)).body


def mkdir(**query):
    return web("POST", "/uri", t="mkdir", **query).text().strip()


def storage_index(cap):
    return web("POST", at(cap), t="check", output="JSON").json()["storage-index"]


def check(cap, **query):
    return web("POST", at(cap), t="check", output="JSON", **query).json()


def healthy(cap, **query):
    """Checks a file, and that every server has a good share of it; the report."""
    report = check(cap, **query)
    results = report["results"]
    assert results["healthy"], results
    assert results["count-shares-good"] == TOTAL, results
    assert results["count-corrupt-shares"] == 0, results
    return report


def same(found, wanted):
    if found != wanted:
        first = next((n for n, (a, b) in enumerate(zip(found, wanted)) if a != b), min(len(found), len(wanted)))
        digests = [hashlib.sha256(data).hexdigest()[:16] for data in (found, wanted)]
        raise AssertionError(f"{len(found)} bytes instead of {len(wanted)}, different from byte {first}: {digests}")


def tahoe(*arguments, input=None, node=None):
    """Runs the client's own command, which must succeed; what it printed."""
    program = pathlib.Path(sys.executable).parent / "tahoe"
    command = [program, "--node-directory", node or GRID["node"], *arguments]
    done = subprocess.run([str(word) for word in command], input=input, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    said = done.stdout + done.stderr
    assert done.returncode == 0, f"{arguments} ended with {done.returncode}: {said[-3000:].decode(errors='replace')}"
    return done.stdout


def cloudbank(*arguments, status=0):
    """Runs our command; what it printed, errors too if it is to fail."""
    command = [os.environ["TAHOE_CLOUDBANK"], *arguments]
    done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert done.returncode == status, f"{arguments} ended with {done.returncode}: {done.stderr[-3000:].decode(errors='replace')}"
    return done.stdout if status == 0 else done.stdout + done.stderr


def cannot(why):
    """Ends a case that cannot run here."""
    print(why, file=sys.stderr)
    sys.exit(77)


def main():
    """Runs the case that is named."""
    caller = inspect.getmodule(inspect.stack()[1].frame)
    getattr(caller, f"case_{sys.argv[1]}")()
