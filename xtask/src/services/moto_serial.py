"""moto, one request at a time.

moto looks whether a condition holds and then stores, with nothing to keep another thread from storing in between: on a
busy machine two puts on absence of one key were seen to succeed. Behind a lock it does what it models.
"""

import io
import sys
import threading

from moto import server
from moto.moto_server.werkzeug_app import DomainDispatcherApplication

ONE_AT_A_TIME = threading.Lock()
answer = DomainDispatcherApplication.__call__


def answer_alone(self, environ, start_response):
    # Read before the lock is taken, so that a client that is slow to send holds up nobody.
    length = int(environ.get("CONTENT_LENGTH") or 0)
    if length and "HTTP_TRANSFER_ENCODING" not in environ:
        body = environ["wsgi.input"].read(length)
        environ["wsgi.input"] = io.BytesIO(body)
    with ONE_AT_A_TIME:
        return answer(self, environ, start_response)


DomainDispatcherApplication.__call__ = answer_alone
server.main(sys.argv[1:])
