"""Vonage's Voice API: create, read, end and transfer calls, with the tokens it takes.

One method, one question; nothing is repeated here, because only the caller knows what a repetition would do.
https://developer.vonage.com/en/api/voice
"""

from __future__ import annotations

import base64
import json
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from dialplane.carriers.contract import CarrierCredentials, InvalidCallback
from dialplane.carriers.http import CarrierHttp, Reply, unavailable
from dialplane.carriers.vonage.events import parse_time, record_to_fields, to_call_status
from dialplane.carriers.vonage.instructions import talk
from dialplane.carriers.vonage.webhooks import to_json
from dialplane.domain.carrier import CarrierCall, CreateOutcome, DialRequest, Placed, Rejected, RejectionCause, Unknown
from dialplane.domain.errors import CallNotInProgress, ControlUnsupported

_BASE_URL = "https://api.nexmo.com"
_PATH = "/v1/calls"
_RINGING_SECONDS_MAX = 120
_LENGTH_SECONDS_MAX = 7200
_TOKEN_SECONDS = 15 * 60
_PAGE_SIZE = 100
_PAGES_MAX = 100
# In the order of a call's life: asked in this order, and for ended calls last, no call can slip from one list to the
# next between two questions.
_LIVE_STATUSES = ("started", "ringing", "answered", "machine")
# How long after it was made the latest call that we look for can have ended.
_LIFETIME_MAX = timedelta(seconds=_RINGING_SECONDS_MAX + _LENGTH_SECONDS_MAX, minutes=5)
# Answers to a command that may mean no more than that the call is over.
_MAYBE_OVER = (400, 409, 422)
_unavailable = partial(unavailable, "vonage")

# https://developer.vonage.com/en/api-errors, by the last part of "type"
REJECTION_CAUSES: dict[str, RejectionCause] = {
    "unauthorized": "credentials",
    "forbidden": "credentials",
    "unprovisioned": "credentials",
    "low-balance": "other",
    "out-of-credit": "other",
    "throttled": "rate_limited",
    "rate-limit": "rate_limited",
}
_CAUSES_BY_STATUS: dict[int, RejectionCause] = {401: "credentials", 403: "credentials", 429: "rate_limited"}


class VonageApi:
    """The calls of one Vonage application. Safe to share between threads.

    ``timeout_seconds`` bounds each request: at most two seconds of it to connect, the rest to wait for the answer.
    Raises ValueError when ``private_key`` is no RSA key in PEM.
    """

    list_keeps: timedelta | None = None

    def __init__(
        self, application_id: str, private_key: str, base_url: str = _BASE_URL, timeout_seconds: float = 5.0
    ) -> None:
        self._signer = _Signer(application_id, private_key)
        self._http = CarrierHttp("vonage", base_url, timeout_seconds)

    def create_call(self, request: DialRequest) -> CreateOutcome:
        """Ask once for a call. Vonage has no request key, so this is never sent twice."""
        reply = self._http.dial(_PATH, _to_body(_create_document(request)), headers=self._signer.headers())
        return _to_outcome(reply) if isinstance(reply, Reply) else reply

    def fetch_call(self, carrier_call_id: str) -> CarrierCall | None:
        """One call, or None when the application has none of this id. Raises CarrierUnavailable."""
        record = self._get(_call_path(carrier_call_id))
        return None if record is None else _to_carrier_call(record)

    def list_calls(self, *, destination: str, caller_number: str, created_after: datetime) -> Sequence[CarrierCall]:
        """Every call between the two numbers that was created at or after ``created_after``. Raises CarrierUnavailable.

        Vonage filters by no number, so they are compared here. Its records state a start time only once a call has
        ended, and it does not say which calls without one its date filter lets through: live calls are asked for by
        their status.
        """
        threshold = created_after.replace(microsecond=0)
        dates = {"date_start": _to_text(threshold), "date_end": _to_text(threshold + _LIFETIME_MAX)}
        found: dict[str, CarrierCall] = {}
        for filters in (*({"status": status} for status in _LIVE_STATUSES), dates):
            for record in self._pages(filters):
                started_at = _started_at(record)
                if _is_between(record, destination, caller_number) and not (started_at and started_at < threshold):
                    call = _to_carrier_call(record, created_after=threshold)
                    found[call.carrier_call_id] = call
        return list(found.values())

    def requested_urls(self, carrier_call_id: str) -> Sequence[str]:
        """Nothing: Vonage keeps no record of the addresses it was given or has called, nor any text of ours.

        A call whose answer was lost is recognized by its first webhook, which comes to an address with our call id.
        """
        return ()

    def end_call(self, carrier_call_id: str) -> None:
        """Hang up, whatever the call is doing; one that has ended or is gone is success. Raises CarrierUnavailable."""
        self._command(carrier_call_id, {"action": "hangup"})

    def transfer_call(
        self, carrier_call_id: str, *, destination: str, caller_number: str, message: str | None, status_url: str
    ) -> None:
        """Say ``message``, then connect the callee with ``destination``.

        Raises CallNotInProgress for a call that has ended or is gone, and CarrierUnavailable.
        """
        del status_url  # where nobody takes over, no action is left, and the call ends
        endpoint = {"type": "phone", "number": _digits(destination)}
        connect = {"action": "connect", "from": _digits(caller_number), "endpoint": [endpoint]}
        ncco = [*talk(message or ""), connect]
        transfer = {"action": "transfer", "destination": {"type": "ncco", "ncco": ncco}}
        if not self._command(carrier_call_id, transfer):
            raise CallNotInProgress("over")

    def start_recording(self, carrier_call_id: str, *, status_url: str) -> None:
        """Vonage records what an NCCO tells it to, and no call that is under way. Raises ControlUnsupported."""
        raise ControlUnsupported("Vonage does not record a call that is under way.")

    def _command(self, carrier_call_id: str, command: Mapping[str, Any]) -> bool:
        """Change a live call; False when it is over."""
        path = _call_path(carrier_call_id)
        reply = self._http.send("PUT", path, _to_body(command), headers=self._signer.headers())
        if reply.status < 300:
            return True
        if reply.status == 404:
            return False
        if reply.status in _MAYBE_OVER:
            record = self._get(path)
            known = None if record is None else to_call_status(_fields_of(record))
            if record is None or (known is not None and known.is_terminal):
                return False
        raise _unavailable(f"HTTP {reply.status}, error {_error_code(reply.json_object(to_json))}")

    def _pages(self, filters: Mapping[str, str]) -> Iterator[Mapping[str, Any]]:
        first = {**filters, "page_size": str(_PAGE_SIZE), "order": "asc"}
        query, read = urlencode(first), 0
        for _ in range(_PAGES_MAX):
            page = self._get(f"{_PATH}?{query}") or {}
            embedded, count = page.get("_embedded"), page.get("count")
            records = embedded.get("calls") if isinstance(embedded, dict) else None
            if not isinstance(records, list) or not isinstance(count, str) or not count.isdigit():
                raise _unavailable("no page of calls")
            yield from (record for record in records if isinstance(record, dict))
            read += len(records)
            # Documented is only "record_index"; the SDK also knows a link, whose path lacks the version.
            if next_query := _next_query(page):
                query = next_query
            elif read >= int(count):
                return
            elif records:
                query = urlencode({**first, "record_index": str(read)})
            else:
                break
        # Half a list would be taken for proof that a call is not there.
        raise _unavailable("an incomplete list of calls")

    def _get(self, path: str) -> Mapping[str, Any] | None:
        reply = self._http.send("GET", path, headers=self._signer.headers())
        if reply.status == 404:
            return None
        content = reply.json_object(to_json)
        if reply.status != 200 or content is None:
            raise _unavailable(f"HTTP {reply.status}, error {_error_code(content)}")
        return content


class _Signer:
    """Signs the application's tokens (JWT, RS256): a new one for each request, for Vonage may take each once."""

    def __init__(self, application_id: str, private_key: str) -> None:
        # Only who calls out pays for loading it.
        from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415
        from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey  # noqa: PLC0415
        from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415

        try:
            # Proving that an RSA key is one takes 40 ms of a dial, a hundred times a signature. This one is the
            # operator's own; a broken one earns a 401 from Vonage.
            pem = private_key.strip().encode()
            key = load_pem_private_key(pem, password=None, unsafe_skip_rsa_key_validation=True)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            key = None
        if not isinstance(key, RSAPrivateKey):
            raise ValueError("the carrier account's private_key is no RSA key in PEM without a password") from None
        self._key = key
        self._application_id = application_id

    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._new_token()}"}

    def _new_token(self) -> str:
        from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15  # noqa: PLC0415
        from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415

        now = int(time.time())
        claims = {
            "application_id": self._application_id,
            "iat": now,
            "jti": str(uuid.uuid4()),
            "exp": now + _TOKEN_SECONDS,
        }
        signed = f"{_base64url({'alg': 'RS256', 'typ': 'JWT'})}.{_base64url(claims)}"
        return f"{signed}.{_base64url(self._key.sign(signed.encode(), PKCS1v15(), SHA256()))}"


def open_api(credentials: CarrierCredentials, *, timeout_seconds: float) -> VonageApi:
    """The API of a Vonage application. Raises ValueError when the secret lacks something."""
    return VonageApi(
        credentials["application_id"],
        credentials["private_key"],
        credentials.get("api_base_url") or _BASE_URL,
        timeout_seconds,
    )


def _create_document(request: DialRequest) -> dict[str, Any]:
    """What Vonage's own SDK sends for this call."""
    document: dict[str, Any] = {
        "answer_url": [request.instructions_url],
        "answer_method": "POST",
        "to": [{"type": "phone", "number": _digits(request.destination)}],
        "from": {"type": "phone", "number": _digits(request.caller_number)},
        "event_url": [request.status_url],
        "event_method": "POST",
        "length_timer": min(max(request.time_limit_seconds, 1), _LENGTH_SECONDS_MAX),
        "ringing_timer": min(max(request.ring_timeout_seconds, 1), _RINGING_SECONDS_MAX),
    }
    return {**document, "machine_detection": "continue"} if request.machine_detection else document


def _call_path(carrier_call_id: str) -> str:
    return f"{_PATH}/{quote(carrier_call_id, safe='')}"


def _to_body(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document).encode()


def _to_outcome(reply: Reply) -> CreateOutcome:
    content = reply.json_object(to_json) or {}
    code = _error_code(content)
    if reply.status in (200, 201):
        try:
            return Placed(carrier_call_id=record_to_fields(content)["uuid"])
        except (InvalidCallback, KeyError) as error:
            return Unknown(reason=f"HTTP {reply.status} whose body is not a call: {error}")
    if not reply.proves_rejection:
        return Unknown(reason=f"HTTP {reply.status}, error {code}")
    texts = (content.get(name) for name in ("detail", "title", "error_title"))
    return Rejected(
        cause=_cause(reply.status, code, content),
        code=code or f"HTTP{reply.status}",
        message=next((text for text in texts if isinstance(text, str) and text), ""),
        retry_after_seconds=reply.retry_after_seconds,
    )


def _cause(status: int, code: str | None, content: Mapping[str, Any]) -> RejectionCause:
    if status == 429:
        return "rate_limited"  # Vonage documents: more than the account's calls per second are not placed
    named = _invalid_parameters(content)
    if "to" in named:
        return "destination_not_permitted" if status == 403 else "invalid_destination"
    if "from" in named:
        return "caller_number_not_owned"
    return REJECTION_CAUSES.get(code or "", _CAUSES_BY_STATUS.get(status, "other"))


def _invalid_parameters(content: Mapping[str, Any]) -> set[str]:
    """The fields of the request that Vonage complains about, without what is inside them: ``to[0].number`` is ``to``.

    They come as a list of ``{name, reason}``, and from older parts of the API as an object of reasons by name.
    """
    listed = content.get("invalid_parameters")
    if isinstance(listed, list):
        listed = [entry.get("name") if isinstance(entry, dict) else entry for entry in listed]
    elif not isinstance(listed, dict):
        return set()
    return {name.replace("[", ".").partition(".")[0] for name in listed if isinstance(name, str)}


def _to_carrier_call(record: Mapping[str, Any], *, created_after: datetime | None = None) -> CarrierCall:
    fields = _fields_of(record)
    status = to_call_status(fields)
    rings_at_most = timedelta(seconds=_RINGING_SECONDS_MAX)
    started_at, ended_at = _started_at(record), parse_time(record.get("end_time"))
    if ended_at is None and status is not None and status.is_terminal:
        # Times are promised for completed calls only. Any other has ended when it stopped ringing at the latest.
        began_at = started_at or created_after
        ended_at = began_at + rings_at_most if began_at else None
    # Vonage does not say whether a call starts when it is dialled or when it is answered: the earliest that this one
    # can have been made.
    created_at = started_at - rings_at_most if started_at else None
    return CarrierCall(fields["uuid"], created_at, fields, ended_at)


def _fields_of(record: Mapping[str, Any]) -> dict[str, str]:
    try:
        fields = record_to_fields(record)
    except InvalidCallback as error:
        raise _unavailable(str(error)) from error
    if "uuid" not in fields:
        raise _unavailable("a call without its uuid")
    return fields


def _started_at(record: Mapping[str, Any]) -> datetime | None:
    return parse_time(record.get("start_time"))


def _is_between(record: Mapping[str, Any], destination: str, caller_number: str) -> bool:
    return _number_of(record.get("to")) == _digits(destination) and _number_of(record.get("from")) == _digits(
        caller_number
    )


def _number_of(endpoint: Any) -> str | None:
    if isinstance(endpoint, list) and len(endpoint) == 1:
        endpoint = endpoint[0]
    number = endpoint.get("number") if isinstance(endpoint, dict) else None
    return _digits(number) if isinstance(number, str) else None


def _next_query(page: Mapping[str, Any]) -> str:
    links = page.get("_links")
    link = links.get("next") if isinstance(links, dict) else None
    href = link.get("href") if isinstance(link, dict) else None
    return urlsplit(href).query if isinstance(href, str) else ""


def _digits(number: str) -> str:
    return number.removeprefix("+")


def _to_text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _base64url(content: Mapping[str, Any] | bytes) -> str:
    raw = content if isinstance(content, bytes) else json.dumps(content, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _error_code(content: Mapping[str, Any] | None) -> str | None:
    """The last part of an error's ``type``: a word, or an address that ends in one."""
    stated = (content or {}).get("type")
    return stated.replace("#", "/").rstrip("/").rpartition("/")[2] or None if isinstance(stated, str) else None
