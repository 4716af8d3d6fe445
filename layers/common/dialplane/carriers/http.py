"""How a carrier is asked over HTTP: a dial on a connection of its own, everything else over connections that are kept.

Nothing is repeated and no redirect is followed. What is asked and what an answer means belongs to each carrier's
``api``; only when an answer proves that nothing was placed is the same for all.
"""

from __future__ import annotations

import http.client
import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, cast

import urllib3
from urllib3.connection import HTTPConnection
from urllib3.exceptions import HTTPError

from dialplane.carriers.registry import TRAITS
from dialplane.domain.carrier import Rejected, Unknown
from dialplane.domain.errors import CarrierUnavailable
from dialplane.tls import default_context

JSON = "application/json"
# Longer than anybody here waits, and no more: a date as a number of seconds would be beyond every calendar.
_RETRY_AFTER_SECONDS_MAX = 3_600.0
# At its level DEBUG every line has an address with its query, and in those are phone numbers.
logging.getLogger("urllib3").setLevel(logging.INFO)
_NO_HEADERS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Reply:
    """What a carrier answered, whole. ``reason`` is the text beside the status."""

    status: int
    reason: str
    body: bytes
    retry_after_seconds: float | None

    @property
    def proves_rejection(self) -> bool:
        """Whether it proves that a dial placed no call.

        408 is a proxy that stopped waiting; a redirect or a 5xx says nothing about what was done before it was sent.
        """
        return 400 <= self.status < 500 and self.status != 408

    def json_object(self, parse: Callable[[bytes], Any] = json.loads) -> dict[str, Any] | None:
        """The body; None when it is no JSON object."""
        try:
            content = parse(self.body)
        except (ValueError, RecursionError):
            return None
        return content if isinstance(content, dict) else None


class CarrierHttp:
    """A carrier's API at ``base_url``, whose path precedes every other. Safe to share between threads.

    ``timeout_seconds`` bounds each request: at most two seconds of it to connect, the rest to wait for the answer.
    ``headers`` go with every request, ``content_type`` with those that have a body.
    """

    def __init__(
        self,
        carrier: str,
        base_url: str,
        timeout_seconds: float,
        headers: Mapping[str, str] = _NO_HEADERS,
        content_type: str = JSON,
    ) -> None:
        self.timeout_seconds = timeout_seconds
        self._carrier = carrier
        self._tls: dict[str, Any] = {"ssl_context": default_context()} if base_url.startswith("https:") else {}
        self._pool = urllib3.connection_from_url(
            base_url,
            retries=False,
            timeout=urllib3.Timeout(connect=_connect_timeout(timeout_seconds), total=timeout_seconds),
            **self._tls,
        )
        self._path = (urllib3.util.parse_url(base_url).path or "").rstrip("/")
        self._headers = headers
        self._content_type = content_type

    def dial(
        self,
        path: str,
        body: bytes,
        *,
        headers: Mapping[str, str] = _NO_HEADERS,
        timeout_seconds: float | None = None,
    ) -> Reply | Rejected | Unknown:
        """POST once: Rejected when certainly nothing was sent, Unknown when no answer came.

        Until the first byte of the request is sent a failure proves that nothing was placed; from then on only an
        answer proves anything.
        """
        # A connection of its own: one kept alive may be closed by the other side while the request is under way, and
        # a lost answer costs the caller minutes of uncertainty, a handshake a tenth of a second.
        started = time.monotonic()
        allowed_seconds = self.timeout_seconds if timeout_seconds is None else timeout_seconds
        new_connection = cast(type[HTTPConnection], self._pool.ConnectionCls)
        connection = new_connection(
            self._pool.host, self._pool.port, timeout=_connect_timeout(allowed_seconds), **self._tls
        )
        try:
            try:
                connection.connect()
            except (HTTPError, OSError) as error:
                # urllib3's own text is about the object that failed, its cause's about what went wrong.
                return Rejected("unreachable", type(error).__name__, str(error.__cause__ or error))
            connection.timeout = allowed_seconds - (time.monotonic() - started)
            if connection.timeout <= 0:
                # Looking up the name has no time limit of its own. Whoever waits for this dial has stopped waiting.
                return Rejected("unreachable", "ConnectTimeout", "It took too long to connect.")
            try:
                connection.request("POST", self._path + path, body=body, headers=self._headers_of(headers, body))
                return _to_reply(connection.getresponse())
            except (HTTPError, http.client.HTTPException, OSError, ValueError) as error:
                return Unknown(reason=f"{type(error).__name__}: {error}")
        finally:
            connection.close()

    def send(
        self, method: str, path: str, body: bytes | None = None, *, headers: Mapping[str, str] = _NO_HEADERS
    ) -> Reply:
        """Ask anything else, once. Raises CarrierUnavailable when no answer comes."""
        try:
            response = self._pool.urlopen(
                method, self._path + path, body=body, headers=self._headers_of(headers, body), redirect=False
            )
        except (HTTPError, OSError) as error:
            raise unavailable(self._carrier, type(error).__name__) from error
        return _to_reply(response)

    def _headers_of(self, headers: Mapping[str, str], body: bytes | None) -> dict[str, str]:
        common = {**self._headers, **headers, "Accept": JSON, "User-Agent": "dialplane"}
        return common if body is None else {**common, "Content-Type": self._content_type}


def to_body(content: Mapping[str, Any]) -> bytes:
    """Word a body as JSON, without spaces."""
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


def unavailable(carrier: str, detail: str) -> CarrierUnavailable:
    """The error for a question that a carrier did not answer. ``carrier`` is its name in the registry."""
    name = TRAITS[carrier].display_name
    return CarrierUnavailable(
        f"{name} could not be asked about its calls ({detail}). Ask again later.", carrier=carrier
    )


def _to_reply(response: urllib3.BaseHTTPResponse) -> Reply:
    wait = response.headers.get("Retry-After")
    seconds = min(float(wait), _RETRY_AFTER_SECONDS_MAX) if wait and wait.isascii() and wait.isdigit() else None
    return Reply(response.status, response.reason or "", response.data, seconds)


def _connect_timeout(timeout_seconds: float) -> float:
    return min(2.0, timeout_seconds / 2)
