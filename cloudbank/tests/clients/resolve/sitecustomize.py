"""On `PYTHONPATH`: names below localhost are this machine, as RFC 6761 §6.3 wants it and not every resolver has it."""

import socket

_resolve = socket.getaddrinfo


def _resolve_localhost(host, *arguments, **more):
    if isinstance(host, str) and host.endswith(".localhost"):
        host = "127.0.0.1"
    return _resolve(host, *arguments, **more)


socket.getaddrinfo = _resolve_localhost
