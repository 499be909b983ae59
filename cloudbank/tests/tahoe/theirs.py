"""Tahoe's own tests of storage, as the package has them, asked of the server: for the one that they make in their own process
stands one that passes every request on to ours."""

import base64
import http.client
import json
import os
import ssl
import sys
import unittest
import urllib.parse
import urllib.request

from support import cannot, main

NURL = urllib.parse.urlsplit(os.environ.get("TAHOE_NURL", ""))
CONTROL = os.environ.get("TAHOE_CONTROL")


def control(path, body=None):
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(f"{CONTROL}{path}", data) as answer:
        return json.load(answer)


def base32(index):
    return base64.b32encode(index).decode().lower().rstrip("=")


class Lease:
    def __init__(self, said):
        self.time = said["expiration_time"]

    def get_expiration_time(self):
        return self.time


class Storage:
    """What their tests ask of a storage server beside the protocol."""

    def __init__(self, *_arguments, **_more):
        self.reports = []

    def get_leases(self, index):
        return [Lease(said) for said in control(f"/leases/{base32(index)}")]

    get_slot_leases = get_leases

    def advise_corrupt_share(self, *report):
        self.reports.append(report)

    def get_version(self):
        return {}


class Passed:
    """A connection to the server, for one request after the other."""

    def __init__(self):
        context = ssl.create_default_context()
        # It is pinned by its clients, and these are none.
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self.connection = http.client.HTTPSConnection(NURL.hostname, NURL.port, context=context, timeout=100)

    def ask(self, request, swissnum):
        wanted = base64.b64encode(swissnum).decode()
        ours = base64.b64encode(NURL.path.strip("/").encode()).decode()
        self.connection.putrequest(request.method.decode(), request.uri.decode(), skip_host=True, skip_accept_encoding=True)
        body = request.content.read()
        for name, values in request.requestHeaders.getAllRawHeaders():
            if name.lower() in (b"content-length", b"connection"):
                continue
            for value in values:
                # Theirs has a swissnum of its own, where they show the right one.
                if name.lower() == b"authorization" and value == f"Tahoe-LAFS {wanted}".encode():
                    value = f"Tahoe-LAFS {ours}".encode()
                self.connection.putheader(name, value)
        if body or request.method != b"GET":
            self.connection.putheader("Content-Length", str(len(body)))
        self.connection.endheaders(body)
        answer = self.connection.getresponse()
        return answer, answer.read()


def resource(storage, swissnum):
    """What answers requests of their process: the server."""
    from twisted.web.resource import Resource

    passed = Passed()

    class Passing(Resource):
        isLeaf = True

        def render(self, request):
            answer, body = passed.ask(request, swissnum)
            request.setResponseCode(answer.status)
            for name, value in answer.getheaders():
                if name.lower() in ("content-type", "content-range", "content-length"):
                    request.responseHeaders.addRawHeader(name, value)
            if answer.status == 200 and request.uri.endswith(b"/corrupt"):
                told = control("/advisories")[-1]
                index = base64.b32decode(told["storage_index"].upper() + "=" * (-len(told["storage_index"]) % 8))
                storage.advise_corrupt_share(told["type"].encode(), index, told["share_number"], told["reason"].encode())
            return body

    return Passing()


class Server:
    """Stands where their HTTP server does."""

    def __init__(self, _reactor, storage, swissnum):
        self.storage, self.swissnum = storage, swissnum

    def get_resource(self):
        return resource(self.storage, self.swissnum)


def moved(clock):
    """A clock that moves that of the server along, in whole seconds."""
    advance, left = clock.advance, [0.0]

    def both(seconds):
        left[0] += seconds
        whole = int(left[0])
        if whole:
            left[0] -= whole
            control("/advance", {"seconds": whole})
        return advance(seconds)

    clock.advance = both
    return clock


def run(cases, least, without=()):
    """Runs their tests, all of which must pass, and be as many as there were when this was written."""
    if not CONTROL:
        cannot("it has no clock that could be moved")
    suite = unittest.TestSuite()
    for case in cases:
        for test in unittest.defaultTestLoader.loadTestsFromTestCase(case):
            if test.id().rsplit(".", 1)[-1] not in without:
                suite.addTest(test)
    result = unittest.TextTestRunner(stream=sys.stderr, verbosity=2).run(suite)
    passed = result.testsRun - len(result.failures) - len(result.errors) - len(result.skipped)
    assert result.wasSuccessful() and passed >= least, f"{passed} of {result.testsRun} passed, {least} are there"


def case_the_tests_of_the_http_protocol_pass():
    from allmydata.test import test_storage_http as theirs

    theirs.StorageServer, theirs.HTTPServer = Storage, Server
    clock = theirs.Reactor
    theirs.Reactor = lambda: moved(clock())
    cases = [theirs.GenericHTTPAPITests, theirs.ImmutableHTTPAPITests, theirs.MutableHTTPAPIsTests]
    # The one that is left out compares with what a server in the same process says of itself.
    run([*cases, theirs.ImmutableSharedTests, theirs.MutableSharedTests], 42, without=["test_version"])


def case_the_tests_of_the_storage_interface_pass():
    from allmydata.storage.http_client import StorageClientFactory
    from allmydata.storage_client import _HTTPStorageServer
    from allmydata.test import test_istorageserver as theirs
    from allmydata.util.deferredutil import async_to_deferred
    from hyperlink import DecodedURL
    from twisted.internet import reactor
    from twisted.internet.defer import inlineCallbacks
    from twisted.internet.task import Clock

    @async_to_deferred
    async def client(test):
        StorageClientFactory.start_test_mode(test.pools.append)
        made = StorageClientFactory({"tcp": "tcp"}, None)
        nurl = DecodedURL.from_text(os.environ["TAHOE_NURL"])
        return _HTTPStorageServer.from_http_client(await made.create_storage_client(nurl, reactor))

    @inlineCallbacks
    def set_up(test):
        theirs.AsyncTestCase.setUp(test)
        test.pools = []
        test.server, test._clock = Storage(), moved(Clock())
        test._clock.rightNow = control("/now")["now"]
        test.storage_client = yield client(test)

    @inlineCallbacks
    def tear_down(test):
        for pool in test.pools:
            yield pool.closeCachedConnections()
        StorageClientFactory.stop_test_mode()
        yield theirs.AsyncTestCase.tearDown(test)

    cases = [theirs.HTTPSharedAPIsTests, theirs.HTTPImmutableAPIsTests, theirs.HTTPMutableAPIsTests]
    theirs._SharedMixin.setUp, theirs._SharedMixin.tearDown = set_up, tear_down
    run(cases, 34)


if __name__ == "__main__":
    main()
