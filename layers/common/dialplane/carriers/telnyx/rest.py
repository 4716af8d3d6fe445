"""How Telnyx is asked over HTTP: one bearer key, JSON both ways, one form of error. What is asked is not known here.

Call Control and TeXML share it. Nothing is repeated by itself.
https://developers.telnyx.com/development/api-fundamentals/api-errors
"""

from __future__ import annotations

import http.client
import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import urllib3
from urllib3.connection import HTTPConnection
from urllib3.exceptions import HTTPError

from dialplane.domain.carrier import Rejected, RejectionCause, Unknown
from dialplane.domain.errors import CarrierUnavailable
from dialplane.tls import default_context

BASE_URL = "https://api.telnyx.com"
_JSON = "application/json"

# A refusal for reasons of telephony has the general code 10010; which reason it is stands in its text.
# https://developers.telnyx.com/docs/voice/sip-trunking/troubleshooting/response-codes
REASON_CAUSES: Mapping[str, RejectionCause] = {
    "D1": "rate_limited",  # too many calls at once: of the account, the profile, the connection, their channels
    "D2": "rate_limited",
    "D3": "rate_limited",
    "D22": "rate_limited",
    "D11": "invalid_destination",
    "D50": "invalid_destination",
    "D12": "destination_not_permitted",
    "D13": "destination_not_permitted",  # a country that the outbound voice profile has not been opened to
    "D24": "destination_not_permitted",  # dearer than the profile allows
    "D35": "caller_number_not_owned",
    "D36": "caller_number_not_owned",
    "D51": "caller_number_not_owned",
}
CODE_CAUSES: Mapping[str, RejectionCause] = {
    "10009": "credentials",
    "10010": "credentials",
    "10011": "rate_limited",
}
# Something is wrong with a number; which of the two stands in the error's source.
_NUMBER_CODES = frozenset({"10001", "10002", "10015", "10016"})
_NUMBER_CAUSES: Mapping[str, RejectionCause] = {"to": "invalid_destination", "from": "caller_number_not_owned"}
_STATUS_CAUSES: Mapping[int, RejectionCause] = {401: "credentials", 403: "credentials", 429: "rate_limited"}
_REASON = re.compile(r"\b(D[0-9]{1,2})\b")


@dataclass(frozen=True, slots=True)
class Reply:
    """What Telnyx answered; ``content`` is None when that is no JSON object."""

    status: int
    content: Mapping[str, Any] | None
    retry_after: str | None = None

    @property
    def error_code(self) -> str | None:
        """The code of the first error it states."""
        return _text(_first_error(self.content).get("code"))


class TelnyxRest:
    """Telnyx's REST API with one key. Safe to share between threads.

    ``timeout_seconds`` bounds each request: at most two seconds of it to connect, the rest to wait for the answer.
    """

    def __init__(self, api_key: str, base_url: str = BASE_URL, timeout_seconds: float = 5.0) -> None:
        self.timeout_seconds = timeout_seconds
        tls = {"ssl_context": default_context()} if base_url.startswith("https:") else {}
        self._pool = urllib3.connection_from_url(
            base_url,
            retries=False,
            timeout=urllib3.Timeout(connect=_connect_timeout(timeout_seconds), total=timeout_seconds),
            **tls,
        )
        self._tls: dict[str, Any] = tls
        self._path = urllib3.util.parse_url(base_url).path or ""
        self._headers = {"Authorization": f"Bearer {api_key}", "Accept": _JSON, "User-Agent": "dialplane"}

    def dial(self, path: str, content: Mapping[str, Any], *, timeout_seconds: float) -> Reply | Rejected | Unknown:
        """POST once over a connection of its own; Rejected when nothing was sent, Unknown when no answer came.

        One that is kept alive may be closed by the other side while the request is under way, and a lost answer costs
        the caller minutes of uncertainty, a handshake a tenth of a second.
        """
        started = time.monotonic()
        new_connection = cast(type[HTTPConnection], self._pool.ConnectionCls)
        connection = new_connection(
            self._pool.host, self._pool.port, timeout=_connect_timeout(timeout_seconds), **self._tls
        )
        try:
            try:
                connection.connect()
            except (HTTPError, OSError) as error:
                return Rejected(cause="unreachable", code=type(error).__name__, message=str(error))
            connection.timeout = timeout_seconds - (time.monotonic() - started)
            if connection.timeout <= 0:
                # Looking up the name has no time limit of its own. Whoever waits for this dial has stopped waiting.
                return Rejected(cause="unreachable", code="ConnectTimeout", message="It took too long to connect.")
            connection.request("POST", self._path + path, body=_encode(content), headers=self._sending_headers())
            response = connection.getresponse()
            return Reply(response.status, _json_object(response.data), response.headers.get("Retry-After"))
        except (HTTPError, http.client.HTTPException, OSError, ValueError) as error:
            return Unknown(reason=f"{type(error).__name__}: {error}")
        finally:
            connection.close()

    def send(self, method: str, path: str, content: Mapping[str, Any] | None = None) -> Reply:
        """Ask anything else, once. Raises CarrierUnavailable when no answer comes."""
        body = None if content is None else _encode(content)
        headers = self._headers if content is None else self._sending_headers()
        try:
            response = self._pool.urlopen(method, self._path + path, body=body, headers=headers, redirect=False)
        except (HTTPError, OSError) as error:
            raise unavailable(type(error).__name__) from error
        return Reply(response.status, _json_object(response.data))

    def _sending_headers(self) -> dict[str, str]:
        return {**self._headers, "Content-Type": _JSON}


def refusal(reply: Reply) -> Rejected | Unknown:
    """What an answer that is no success says about a dial: certainly refused, or nothing."""
    # 408 is a proxy that stopped waiting; a redirect or a 5xx says nothing about what was done before it was sent.
    if not 400 <= reply.status < 500 or reply.status == 408:
        return Unknown(reason=f"HTTP {reply.status}, error {reply.error_code}")
    error = _first_error(reply.content)
    words = ": ".join(text for text in (_text(error.get("title")), _text(error.get("detail"))) if text)
    return Rejected(
        cause=_cause(reply, error, words),
        code=reply.error_code or f"HTTP{reply.status}",
        message=words,
        retry_after_seconds=_seconds(reply.retry_after),
    )


def unavailable(detail: str) -> CarrierUnavailable:
    """The error for a question that Telnyx did not answer."""
    return CarrierUnavailable(
        f"Telnyx could not be asked about its calls ({detail}). Ask again later.", carrier="telnyx"
    )


def _cause(reply: Reply, error: Mapping[str, Any], words: str) -> RejectionCause:
    reasons = (REASON_CAUSES[reason] for reason in _REASON.findall(words) if reason in REASON_CAUSES)
    if cause := next(reasons, None):
        return cause
    if reply.status == 429:
        return "rate_limited"  # refused before it was looked at
    code = reply.error_code or ""
    if code in _NUMBER_CODES and (cause := _NUMBER_CAUSES.get(_parameter(error))):
        return cause
    return CODE_CAUSES.get(code) or _STATUS_CAUSES.get(reply.status, "other")


def _parameter(error: Mapping[str, Any]) -> str:
    """Which parameter of the request an error is about."""
    source = error.get("source")
    pointer = _text(source.get("pointer")) if isinstance(source, Mapping) else None
    return (pointer or "").rsplit("/", 1)[-1].lower()


def _first_error(content: Mapping[str, Any] | None) -> Mapping[str, Any]:
    errors = (content or {}).get("errors")
    first = errors[0] if isinstance(errors, list) and errors else None
    return first if isinstance(first, dict) else {}


def _text(value: object) -> str | None:
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) and value != "" else None


def _encode(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


def _json_object(body: bytes) -> dict[str, Any] | None:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def _seconds(text: str | None) -> float | None:
    return float(text) if text and text.isascii() and text.isdigit() else None


def _connect_timeout(timeout_seconds: float) -> float:
    return min(2.0, timeout_seconds / 2)
