"""A customer's server on loopback, over TLS, that does whatever a test wants: also what no server should."""

from __future__ import annotations

import contextlib
import datetime
import functools
import json
import socket
import ssl
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

HOST = "tools.example.com"
PUBLIC_ADDRESS = "93.184.215.14"

Behaviour = Callable[[ssl.SSLSocket, bytes], None]
"""connection, request -> nothing; the connection is closed afterwards"""


@functools.cache
def certificate() -> bytes:
    """A certificate for the server's name that nobody but its client believes, with its key, in PEM."""
    now = datetime.datetime.now(datetime.UTC)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    return made.public_bytes(pem) + key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


@functools.cache
def client_context() -> ssl.SSLContext:
    """Believes the server's certificate."""
    return ssl.create_default_context(cadata=certificate().decode().partition("-----BEGIN PRIVATE KEY")[0])


@functools.cache
def _server_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as directory:
        chain = Path(directory) / "chain.pem"
        chain.write_bytes(certificate())
        context.load_cert_chain(chain)
    return context


def reply(content: Any = None, status: int = 200, **headers: str) -> Behaviour:
    """Answer with JSON, or with bytes as they are. Header names are written with _ for -."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    named = {"content_type": "application/json", "content_length": str(len(body)), **headers}
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in named.items())
    return raw(f"HTTP/1.1 {status} Whatever\r\n{lines}\r\n".encode() + body)


def raw(answer: bytes) -> Behaviour:
    """Answer with these bytes and nothing else."""

    def answer_so(connection: ssl.SSLSocket, _: bytes) -> None:
        connection.sendall(answer)

    return answer_so


@dataclass
class ToolServer:
    """Does what ``behaviour`` says. Keeps what it received, and by which name it was called."""

    port: int
    behaviour: Behaviour = field(default_factory=reply)
    requests: list[bytes] = field(default_factory=list)
    names: list[str | None] = field(default_factory=list)
    connections: int = 0
    is_over: threading.Event = field(default_factory=threading.Event)
    """Set when the test is over: behaviours that wait end then."""

    def connect(self, address: tuple[str, int], seconds: float) -> socket.socket:
        """A connection with this server, whatever was to be connected with."""
        del address
        return socket.create_connection(("127.0.0.1", self.port), seconds)

    def body(self) -> Any:
        """The body of the one request."""
        (request,) = self.requests
        return json.loads(request.partition(b"\r\n\r\n")[2])

    def headers(self) -> dict[str, str]:
        """The headers of the one request, names in lower case."""
        (request,) = self.requests
        lines = request.partition(b"\r\n\r\n")[0].decode().split("\r\n")[1:]
        return {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}


@contextlib.contextmanager
def tool_server() -> Iterator[ToolServer]:
    """Run a server for the length of a test, or of many."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = ToolServer(listening.getsockname()[1])
    context = _server_context()
    context.sni_callback = lambda _, name, __: server.names.append(name)

    def serve(plain: socket.socket) -> None:
        with contextlib.suppress(OSError), plain, context.wrap_socket(plain, server_side=True) as connection:
            received = b""
            while b"\r\n\r\n" not in received or len(received) < _length(received):
                if not (more := connection.recv(65_536)):
                    return
                received += more
            server.requests.append(received)
            server.behaviour(connection, received)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                plain = listening.accept()[0]
                server.connections += 1
                threading.Thread(target=serve, args=[plain], daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield server
    finally:
        server.is_over.set()
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()


def _length(received: bytes) -> int:
    head = received.partition(b"\r\n\r\n")[0]
    lengths = [line.partition(b":")[2] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")]
    return len(head) + 4 + int(lengths[0] if lengths else 0)
