"""A small AWS client for functions on the hot path: four services, the AWS JSON protocol, SigV4, keep-alive.

boto3 costs a cold start about 200 ms more than this (docs/decisions). Only transport belongs here: what may be repeated
is in ``aws.retries``, what the calls mean is with the callers. Nothing heavier than http.client may be imported.
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
from urllib.parse import SplitResult, urlsplit

from dialplane.aws.retries import AwsClient, AwsError, RetryPolicy, call_with_retries
from dialplane.aws.sigv4 import Credentials, sign_headers
from dialplane.tls import amazon_context, default_context

__all__ = ["AwsClient", "AwsError", "HttpAwsClient", "RetryPolicy"]


@dataclass(frozen=True, slots=True)
class _Service:
    signing_name: str  # also the first label of the host name
    target_prefix: str
    content_type: str
    endpoint_variable: (
        str  # the AWS SDKs' name: https://docs.aws.amazon.com/sdkref/latest/guide/ss-endpoints-table.html
    )


_SERVICES = {
    "dynamodb": _Service("dynamodb", "DynamoDB_20120810", "application/x-amz-json-1.0", "AWS_ENDPOINT_URL_DYNAMODB"),
    "sqs": _Service("sqs", "AmazonSQS", "application/x-amz-json-1.0", "AWS_ENDPOINT_URL_SQS"),
    "secretsmanager": _Service(
        "secretsmanager", "secretsmanager", "application/x-amz-json-1.1", "AWS_ENDPOINT_URL_SECRETS_MANAGER"
    ),
    "stepfunctions": _Service("states", "AWSStepFunctions", "application/x-amz-json-1.0", "AWS_ENDPOINT_URL_SFN"),
}
_AMAZON_DOMAINS = (".amazonaws.com", ".amazonaws.com.cn", ".amazonaws.eu")
_DNS_SUFFIXES = {
    "cn-": "amazonaws.com.cn",
    "us-iso-": "c2s.ic.gov",
    "us-isob-": "sc2s.sgov.gov",
    "eusc-": "amazonaws.eu",
}
_SKEW_CODES = frozenset(
    {"RequestTimeTooSkewed", "InvalidSignatureException", "RequestExpired", "RequestInTheFuture", "AuthFailure"}
)
# AWS tolerates five minutes; a smaller difference means the signature is wrong for another reason.
_SKEW_MIN_SECONDS = 120.0


class HttpAwsClient:
    """``AwsClient`` over http.client. Safe to share between threads; each keeps its own connection per host.

    Reads AWS_REGION, the credentials and the endpoint variables at each call, as the environment may be completed
    after import (tests, SnapStart). ``requests_sent`` counts HTTP requests, retries included.
    """

    def __init__(
        self,
        *,
        connect_timeout_seconds: float = 1.0,
        # Shorter than the budget for retries, so that a reply which never comes leaves time for a second try.
        read_timeout_seconds: float = 1.5,
        retries: RetryPolicy | None = None,
        environ: Mapping[str, str] = os.environ,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.requests_sent = 0
        self._connect_timeout_seconds = connect_timeout_seconds
        self._read_timeout_seconds = read_timeout_seconds
        self._retries = retries or RetryPolicy()
        self._environ = environ
        self._clock = clock
        self._clock_offset_seconds = 0.0
        self._distrusts_amazon_roots = False
        self._lock = threading.Lock()
        self._local = threading.local()

    def call(self, service: str, operation: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """Send one request and return its result. Raises ``AwsError``; the promises are those of ``AwsClient``."""

        def send(current: Mapping[str, Any]) -> dict[str, Any]:
            return self._send(service, operation, current)

        return call_with_retries(send, operation, params, self._retries)

    def _send(self, service: str, operation: str, params: Mapping[str, Any]) -> dict[str, Any]:
        body = json.dumps(params, separators=(",", ":")).encode()
        reply = self._exchange(service, operation, body)
        if reply.status >= 400 and self._corrects_clock(reply):
            reply = self._exchange(service, operation, body)
        if reply.status >= 300:
            raise reply.to_error(service, operation)
        try:
            result = json.loads(reply.body or b"{}")
        except ValueError:
            result = None
        if not isinstance(result, dict):
            raise AwsError(
                service=service,
                operation=operation,
                code="ReplyLost",
                message="the reply was HTTP success without a JSON object; check the endpoint",
                http_status=reply.status,
            )
        return result

    def _exchange(self, service: str, operation: str, body: bytes) -> _Reply:
        """One signed request on a live connection; raises ConnectionFailed or ReplyLost."""

        def failure(code: str, error: Exception) -> AwsError:
            detail = f"{endpoint.geturl()}: {type(error).__name__}: {error}"
            return AwsError(service=service, operation=operation, code=code, message=detail)

        endpoint, path, headers = self._signed(service, operation, body)
        connection = self._live_connection(endpoint)
        reused = connection.sock is not None
        if not reused:
            try:
                connection.timeout = self._connect_timeout_seconds
                connection.connect()
                connection.sock.settimeout(self._read_timeout_seconds)
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
            connection.request("POST", path, body=body, headers=headers)
            response = connection.getresponse()
            return _Reply(response.status, response.read(), response.headers)
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            lost = failure("ReplyLost", error)
            # A server may close an idle connection at the very moment we use it (RemoteDisconnected is a reset too).
            lost.stale_connection = reused and isinstance(error, (ConnectionResetError, BrokenPipeError))
            raise lost from error

    def _signed(self, service: str, operation: str, body: bytes) -> tuple[SplitResult, str, dict[str, str]]:
        spec = _SERVICES[service]

        def setting(*names: str) -> str:
            for name in names:
                if value := self._environ.get(name):
                    return value
            raise AwsError(
                service=service,
                operation=operation,
                code="ConfigurationMissing",
                message=f"{names[0]} is not set; Lambda sets it, elsewhere export it",
            )

        region = setting("AWS_REGION", "AWS_DEFAULT_REGION")
        url = self._environ.get(spec.endpoint_variable) or self._environ.get("AWS_ENDPOINT_URL")
        endpoint = urlsplit(url or f"https://{spec.signing_name}.{region}.{_dns_suffix(region)}")
        path = endpoint.path or "/"
        headers = sign_headers(
            {
                "Content-Type": spec.content_type,
                "Host": _host_header(endpoint),
                "X-Amz-Target": f"{spec.target_prefix}.{operation}",
            },
            body,
            path=path,
            credentials=Credentials(
                access_key_id=setting("AWS_ACCESS_KEY_ID"),
                secret_access_key=setting("AWS_SECRET_ACCESS_KEY"),
                session_token=self._environ.get("AWS_SESSION_TOKEN") or None,
            ),
            region=region,
            signing_name=spec.signing_name,
            timestamp=time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(self._clock() + self._clock_offset_seconds)),
        )
        return endpoint, path, headers

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

    def _corrects_clock(self, reply: _Reply) -> bool:
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


class _Reply:
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

    def to_error(self, service: str, operation: str) -> AwsError:
        return AwsError(
            service=service,
            operation=operation,
            code=self.code,
            message=str(self.fields.get("message") or self.fields.get("Message") or ""),
            http_status=self.status,
            cancellation_reasons=tuple(self.fields.get("CancellationReasons") or ()),
            item=self.fields.get("Item"),
        )


def _dns_suffix(region: str) -> str:
    return next((suffix for prefix, suffix in _DNS_SUFFIXES.items() if region.startswith(prefix)), "amazonaws.com")


def _host_header(endpoint: SplitResult) -> str:
    default_port = 80 if endpoint.scheme == "http" else 443
    host = endpoint.hostname or ""
    host = f"[{host}]" if ":" in host else host
    return host if endpoint.port in (None, default_port) else f"{host}:{endpoint.port}"


def _is_readable(sock: Any) -> bool:
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))
