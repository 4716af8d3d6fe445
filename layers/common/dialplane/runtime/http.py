"""API Gateway's HTTP events to requests, and answers back. No routes and no meaning of fields here."""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dialplane.domain.errors import BodyTooLarge, JsonInvalid

BODY_BYTES_MAX = 64 * 1024
_REQUEST_ID = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
# A hundred levels are far more than any request has, and far fewer than what exhausts a stack.
_NESTING_MAX = 100


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request as a client or a carrier sent it. Header names are lower case, ``body`` is the raw bytes."""

    method: str
    path: str
    headers: Mapping[str, str]
    query: Mapping[str, str]
    path_parameters: Mapping[str, str]
    body: bytes
    request_id: str

    @classmethod
    def from_event(cls, event: Mapping[str, Any]) -> HttpRequest:
        """Read an HTTP API event, payload format 2.0. ``body`` is empty when its base64 is broken."""
        context = event.get("requestContext") or {}
        http = context.get("http") or {}
        headers = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
        if cookies := event.get("cookies"):  # the gateway takes them out of the headers
            headers["cookie"] = "; ".join(cookies)
        return cls(
            method=str(http.get("method", "GET")).upper(),
            path=str(event.get("rawPath", "/")),
            headers=headers,
            query=event.get("queryStringParameters") or {},
            path_parameters=event.get("pathParameters") or {},
            body=_body(event),
            request_id=_request_id(headers.get("x-request-id"), context.get("requestId")),
        )

    @property
    def api_key(self) -> str | None:
        """The key from ``Authorization: Bearer`` or ``X-API-Key``."""
        scheme, _, credentials = self.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and credentials.strip():
            return credentials.strip()
        return self.headers.get("x-api-key") or None

    def json_object(self) -> dict[str, Any]:
        """The body as a JSON object.

        Raises BodyTooLarge over 64 kB, and JsonInvalid for what is no JSON object or says a thing twice: with
        duplicate keys, NaN or an infinity two readers would read two requests.
        """
        if len(self.body) > BODY_BYTES_MAX:
            raise BodyTooLarge(f"The body has {len(self.body)} bytes; at most {BODY_BYTES_MAX} are accepted.")
        try:
            value = json.loads(
                self.body.decode("utf-8"),
                object_pairs_hook=_object_without_duplicates,
                parse_constant=_refuse_constant,
                parse_float=_finite,
                parse_int=_integer,
            )
        except RecursionError as error:
            raise JsonInvalid("The body is nested too deeply.") from error
        except ValueError as error:
            raise JsonInvalid(f"The body is not valid JSON: {error}.") from error
        if not isinstance(value, dict):
            raise JsonInvalid("The body must be a JSON object.")
        _check_nesting(value)
        return value


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """An answer. ``body`` is text already."""

    status: int
    body: str = ""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)

    def to_event(self, request: HttpRequest) -> dict[str, Any]:
        """The answer as API Gateway wants it, with the request's id."""
        return {
            "statusCode": self.status,
            "headers": {"content-type": self.content_type, "x-request-id": request.request_id, **self.headers},
            "body": self.body,
            "isBase64Encoded": False,
        }


def json_response(status: int, document: Mapping[str, Any], **headers: str) -> HttpResponse:
    """A JSON answer, in ASCII so that any text a client sent can be sent back; header names have ``_`` for ``-``."""
    return HttpResponse(
        status,
        json.dumps(document, separators=(",", ":")),
        headers={name.replace("_", "-"): value for name, value in headers.items()},
    )


def _body(event: Mapping[str, Any]) -> bytes:
    text = event.get("body") or ""
    if not event.get("isBase64Encoded"):
        return str(text).encode("utf-8", "surrogatepass")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""


def _request_id(sent: str | None, own: str | None) -> str:
    """The client's own id when it is one, so that its logs and ours can be joined."""
    if sent is not None and _REQUEST_ID.fullmatch(sent):
        return sent
    return str(own or "unknown")


def _object_without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    entries = dict(pairs)
    if len(entries) != len(pairs):
        ((twice, _),) = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"the name {twice[:64]!r} is there twice")
    return entries


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON value")


def _integer(text: str) -> int:
    try:
        return int(text)
    except ValueError:  # Python's own words are advice to whoever runs Python
        raise ValueError("a number has more digits than can be read") from None


def _finite(text: str) -> float:
    # 1e400 is good JSON and an infinity to Python, which no JSON of ours could send back.
    value = float(text)
    if math.isinf(value):
        raise ValueError("a number is beyond the range of a double")
    return value


def _check_nesting(value: Any) -> None:
    level = [value]
    for _ in range(_NESTING_MAX):
        level = [
            entry
            for container in level
            for entry in (container.values() if isinstance(container, dict) else container)
            if isinstance(entry, dict | list)
        ]
        if not level:
            return
    raise JsonInvalid(f"The body is nested deeper than {_NESTING_MAX} levels.")
