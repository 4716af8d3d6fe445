"""Signed requests to AWS over kept connections: TLS, signatures, a wrong clock. What a request means is the caller's.

Nothing is sent twice here but what a wrong clock has spoiled, and nothing heavier than http.client may be imported.
"""

from __future__ import annotations

import http.client
import json
import os
import select
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult

from dialplane.aws.retries import AwsError
from dialplane.aws.sigv4 import Credentials, sign_headers
from dialplane.tls import amazon_context, default_context

_AMAZON_DOMAINS = (".amazonaws.com", ".amazonaws.com.cn", ".amazonaws.eu")
_SKEW_CODES = frozenset(
    {"RequestTimeTooSkewed", "InvalidSignatureException", "RequestExpired", "RequestInTheFuture", "AuthFailure"}
)
# AWS tolerates five minutes; a smaller difference means the signature is wrong for another reason.
_SKEW_MIN_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class AwsRequest:
    """One request before it is signed. ``service`` and ``operation`` are what errors call it.

    ``path`` is as it is sent, percent-encoded where it must be; no request has a query string.
    """

    service: str
    operation: str
    signing_name: str
    region: str
    endpoint: SplitResult
    path: str
    headers: Mapping[str, str]
    body: bytes
    method: str = "POST"


def setting(environ: Mapping[str, str], service: str, operation: str, *names: str) -> str:
    """The first of these environment variables that is set. Raises AwsError about the operation."""
    for name in names:
        if value := environ.get(name):
            return value
    raise AwsError(
        service=service,
        operation=operation,
        code="ConfigurationMissing",
        message=f"{names[0]} is not set; Lambda sets it, elsewhere export it",
    )


def region_of(environ: Mapping[str, str], service: str, operation: str) -> str:
    """The region to sign for. Raises AwsError about the operation."""
    return setting(environ, service, operation, "AWS_REGION", "AWS_DEFAULT_REGION")


class AwsReply:
    """An HTTP reply and, for a failure, what AWS says in it."""

    def __init__(self, status: int, body: bytes, headers: http.client.HTTPMessage) -> None:
        self.status = status
        self.body = body
        self.date = headers.get("Date")
        self.fields: dict[str, Any] = {}
        self.code = ""
        if status >= 300:
            try:
                fields = json.loads(body or b"{}")
            except ValueError:  # a proxy's HTML page, for one
                fields = {}
            self.fields = fields if isinstance(fields, dict) else {}
            code = str(self.fields.get("__type") or headers.get("x-amzn-ErrorType") or f"HTTP{status}")
            self.code = code.rpartition("#")[2].partition(":")[0]

    def to_error(self, request: AwsRequest) -> AwsError:
        """The failure that the reply tells of."""
        return AwsError(
            service=request.service,
            operation=request.operation,
            code=self.code,
            message=str(self.fields.get("message") or self.fields.get("Message") or ""),
            http_status=self.status,
            cancellation_reasons=tuple(self.fields.get("CancellationReasons") or ()),
            item=self.fields.get("Item"),
        )


class AwsTransport:
    """Sends signed requests. Safe to share between threads; each keeps its own connection per host.

    Reads the credentials at each request, as the environment may be completed after import (tests, SnapStart).
    ``requests_sent`` counts HTTP requests.
    """

    def __init__(
        self,
        *,
        connect_timeout_seconds: float,
        read_timeout_seconds: float,
        environ: Mapping[str, str] = os.environ,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.requests_sent = 0
        self.read_timeout_seconds = read_timeout_seconds
        self._connect_timeout_seconds = connect_timeout_seconds
        self._environ = environ
        self._clock = clock
        self._clock_offset_seconds = 0.0
        self._distrusts_amazon_roots = False
        self._lock = threading.Lock()
        self._local = threading.local()

    def exchange(self, request: AwsRequest) -> AwsReply:
        """Send a request and return whatever is replied; only once more, after a refusal for our clock.

        Raises AwsError ``ConnectionFailed`` (nothing was sent), ``ReplyLost``, ``ConfigurationMissing``.
        """
        reply = self._exchange(request)
        if reply.status >= 400 and self._corrects_clock(reply):
            reply = self._exchange(request)
        return reply

    def signed_headers(self, request: AwsRequest) -> dict[str, str]:
        """The headers to send the request with now."""

        def secret(name: str) -> str:
            return setting(self._environ, request.service, request.operation, name)

        return sign_headers(
            {**request.headers, "Host": _host_header(request.endpoint)},
            request.body,
            method=request.method,
            path=request.path,
            credentials=Credentials(
                access_key_id=secret("AWS_ACCESS_KEY_ID"),
                secret_access_key=secret("AWS_SECRET_ACCESS_KEY"),
                session_token=self._environ.get("AWS_SESSION_TOKEN") or None,
            ),
            region=request.region,
            signing_name=request.signing_name,
            timestamp=time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(self._clock() + self._clock_offset_seconds)),
        )

    def _exchange(self, request: AwsRequest) -> AwsReply:
        """One signed request on a live connection."""

        def failure(code: str, error: Exception) -> AwsError:
            detail = f"{request.endpoint.geturl()}: {type(error).__name__}: {error}"
            return AwsError(service=request.service, operation=request.operation, code=code, message=detail)

        headers = self.signed_headers(request)
        connection = self._live_connection(request.endpoint)
        reused = connection.sock is not None
        if not reused:
            try:
                connection.timeout = self._connect_timeout_seconds
                connection.connect()
                connection.sock.settimeout(self.read_timeout_seconds)
            except OSError as error:
                connection.close()
                if isinstance(error, ssl.SSLCertVerificationError):
                    # A root that the short list does not have: from the next try on the system's whole store decides.
                    self._distrusts_amazon_roots = True
                    self._local.__dict__["pool"].clear()
                raise failure("ConnectionFailed", error) from error
        with self._lock:
            self.requests_sent += 1
        try:
            connection.request(request.method, request.path, body=request.body, headers=headers)
            response = connection.getresponse()
            return AwsReply(response.status, response.read(), response.headers)
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            lost = failure("ReplyLost", error)
            # A server may close an idle connection at the very moment we use it (RemoteDisconnected is a reset too).
            lost.stale_connection = reused and isinstance(error, (ConnectionResetError, BrokenPipeError))
            raise lost from error

    def _live_connection(self, endpoint: SplitResult) -> http.client.HTTPConnection:
        """This thread's connection to the endpoint, closed first if the server has closed it meanwhile."""
        pool: dict[str, http.client.HTTPConnection] = self._local.__dict__.setdefault("pool", {})
        key = f"{endpoint.scheme}://{endpoint.netloc}"
        connection = pool.get(key)
        if connection is None:
            host = endpoint.hostname or ""
            if endpoint.scheme == "http":
                connection = http.client.HTTPConnection(host, endpoint.port)
            else:
                connection = http.client.HTTPSConnection(host, endpoint.port, context=self._tls_context(host))
            pool[key] = connection
        elif connection.sock is not None and _is_readable(connection.sock):
            # Between requests nothing may arrive but the end of the stream: found now, before anything is sent, it
            # costs even a call that must not be repeated nothing.
            connection.close()
        return connection

    def _tls_context(self, host: str) -> ssl.SSLContext:
        bundle = self._environ.get("AWS_CA_BUNDLE") or None
        is_amazon = bundle is None and host.endswith(_AMAZON_DOMAINS) and not self._distrusts_amazon_roots
        return amazon_context() if is_amazon else default_context(bundle)

    def _corrects_clock(self, reply: AwsReply) -> bool:
        """Take over the server's clock if the request was refused because ours is wrong. True: sign and send again."""
        if reply.date is None or reply.code not in _SKEW_CODES:
            return False
        from email.utils import parsedate_to_datetime  # noqa: PLC0415 - only a machine with a wrong clock needs it

        try:
            server_seconds = parsedate_to_datetime(reply.date).timestamp()
        except ValueError:
            return False
        offset = server_seconds - self._clock()
        if abs(offset - self._clock_offset_seconds) < _SKEW_MIN_SECONDS:
            return False
        self._clock_offset_seconds = offset
        return True


def _host_header(endpoint: SplitResult) -> str:
    default_port = 80 if endpoint.scheme == "http" else 443
    host = endpoint.hostname or ""
    host = f"[{host}]" if ":" in host else host
    return host if endpoint.port in (None, default_port) else f"{host}:{endpoint.port}"


def _is_readable(sock: Any) -> bool:
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))
