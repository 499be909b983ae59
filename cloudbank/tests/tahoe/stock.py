"""The stock storage server, over HTTP only: the peer that ours is put beside.

`stock.py --dir D --port P` keeps shares in D/storage and writes D/nurl once it listens, as `cloudbank serve tahoe` does.
"""

import argparse
import base64
import datetime
import os
import pathlib
import sys

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from twisted.internet import reactor
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.python.filepath import FilePath

from allmydata.storage.http_server import HTTPServer, listen_tls
from allmydata.storage.server import StorageServer


def identity(folder):
    """A key with its certificate, made at the first start."""
    key_path, certificate_path = folder / "key.pem", folder / "certificate.pem"
    if not key_path.exists():
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "stock")])
        now = datetime.datetime.now(datetime.timezone.utc)
        builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        builder = builder.serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(now).not_valid_after(now + datetime.timedelta(days=365))
        certificate = builder.sign(key, hashes.SHA256())
        certificate_path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        form = serialization.PrivateFormat.TraditionalOpenSSL
        key_path.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
    swissnum_path = folder / "swissnum"
    if not swissnum_path.exists():
        swissnum_path.write_bytes(base64.b32encode(os.urandom(20)).lower())
    return FilePath(str(key_path)), FilePath(str(certificate_path)), swissnum_path.read_bytes()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--dir", type=pathlib.Path, required=True)
    parser.add_argument("--port", type=int, default=0)
    arguments = parser.parse_args()
    arguments.dir.mkdir(parents=True, exist_ok=True)
    key, certificate, swissnum = identity(arguments.dir)
    # It keeps its node id in mutable shares, so that must stay the same.
    storage = StorageServer(str(arguments.dir / "storage"), b"\x01" * 20)
    storage.startService()
    listening = listen_tls(
        HTTPServer(reactor, storage, swissnum),
        "127.0.0.1",
        TCP4ServerEndpoint(reactor, arguments.port, interface="127.0.0.1"),
        key,
        certificate,
    )

    def listens(result):
        nurl, _port = result
        new = arguments.dir / "nurl.new"
        new.write_text(nurl.to_text() + "\n")
        new.rename(arguments.dir / "nurl")

    def fails(failure):
        print(failure, file=sys.stderr)
        reactor.stop()

    listening.addCallbacks(listens, fails)
    reactor.run()


main()
