"""Puts the stub back end on 127.0.0.1: the least HTTP/1.1 that the SDKs need, with or without TLS.

Its time is part of every sample, so it should be small and even. What it answers belongs to `stub`.
"""

import json
import socketserver
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from bench.stub import Backend, Exchange


class _Handler(socketserver.StreamRequestHandler):
    disable_nagle_algorithm = True
    wbufsize = -1
    server: "_Server"

    def handle(self) -> None:
        while line := self.rfile.readline():
            began_at = time.perf_counter()
            path = line.split(b" ")[1].decode()
            length, target = 0, ""
            while (header := self.rfile.readline().strip()) != b"":
                name, _, value = header.partition(b":")
                if name.lower() == b"content-length":
                    length = int(value)
                elif name.lower() == b"x-amz-target":
                    target = value.strip().decode()
            body = self.rfile.read(length)
            exchange = Exchange(began_at, time.perf_counter(), body=body)
            status, answer = self.server.backend.answer(target, path, exchange)
            content = json.dumps(answer).encode()
            head = f"HTTP/1.1 {status} OK\r\nContent-Type: application/json\r\nx-amzn-RequestId: bench\r\n"
            # Noted before it is sent: afterwards this thread may have to wait while the subject is at work already.
            exchange.answered_at = time.perf_counter()
            self.wfile.write(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content)
            self.wfile.flush()


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    block_on_close = False

    def __init__(self, backend: Backend, tls: ssl.SSLContext | None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.backend = backend
        self.tls = tls

    def finish_request(self, request: Any, client_address: Any) -> None:
        # In the connection's own thread: a handshake in the accepting one would stall every other connection.
        if self.tls is not None:
            request = self.tls.wrap_socket(request, server_side=True)
        super().finish_request(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a subject that is stopped drops its connections."""


# One address for each service, as in AWS: with a single one, all of a subject's clients could share a connection.
AWS_ADDRESSES = (
    "AWS_ENDPOINT_URL_DYNAMODB",
    "AWS_ENDPOINT_URL_SQS",
    "AWS_ENDPOINT_URL_SECRETS_MANAGER",
    "AWS_ENDPOINT_URL_SFN",
)


@dataclass(frozen=True, slots=True)
class Addresses:
    """Base URLs: those of the AWS services by the variable that the SDKs read, the carrier's and the WebSockets'."""

    aws: dict[str, str]
    carrier: str
    sockets: str


@contextmanager
def serve(backend: Backend, tls: ssl.SSLContext | None) -> Iterator[Addresses]:
    """Serve the back end on 127.0.0.1 until the block ends."""
    with ExitStack() as running:
        carrier, sockets, *aws = [_start(running, backend, tls) for _ in ("carrier", "sockets", *AWS_ADDRESSES)]
        yield Addresses(aws=dict(zip(AWS_ADDRESSES, aws, strict=True)), carrier=carrier, sockets=sockets)


def _start(running: ExitStack, backend: Backend, tls: ssl.SSLContext | None) -> str:
    server = running.enter_context(_Server(backend, tls))
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    running.callback(server.shutdown)
    return f"{'https' if tls else 'http'}://127.0.0.1:{server.server_address[1]}"
