"""Telnyx's TeXML API for calls: create, read, transfer, end.

One method, one question; nothing is repeated here: TeXML has no request key.
https://developers.telnyx.com/api-reference/texml-rest-commands/initiate-an-outbound-call
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote, urlencode

from dialplane.carriers.contract import CarrierCredentials, InvalidCallback
from dialplane.carriers.http import CarrierHttp, Reply, to_body
from dialplane.carriers.telnyx.rest import error_code, failed, open_http, refusal, telnyx_unavailable
from dialplane.carriers.telnyx.webhooks import CALL_CONTROL_ID
from dialplane.carriers.telnyx_texml.events import call_resource_to_fields, parse_time
from dialplane.domain.carrier import CarrierCall, CreateOutcome, DialRequest, Placed, Unknown
from dialplane.domain.errors import CallNotInProgress

_STATUS_EVENTS = "initiated ringing answered completed"
_RING_TIMEOUT_SECONDS = (5, 120)
_TIME_LIMIT_SECONDS = (30, 14_400)
_PAGE_SIZE = 100
_PAGES_MAX = 25
# Telnyx documents an answer without the call's name and gives one all the same, by either of these.
_NAMES = ("sid", "call_sid")
_OVER = frozenset({"10005", "90015", "90018"})


class TelnyxTexmlApi:
    """The calls of one TeXML application. Safe to share between threads."""

    list_keeps: timedelta | None = None

    def __init__(self, http: CarrierHttp, account_sid: str, application_sid: str) -> None:
        self._http = http
        self._application_sid = application_sid
        self._path = f"/v2/texml/Accounts/{quote(account_sid, safe='')}/Calls"

    def create_call(self, request: DialRequest) -> CreateOutcome:
        """Ask once for a call. TeXML has no request key, so this is never sent twice.

        An answer that accepts the call and does not name it is Unknown: nothing can be done with a call without a
        name. Its first callback, or the reconciler, brings the name.
        """
        reply = self._http.dial(self._path, to_body(self._fields(request)))
        if not isinstance(reply, Reply):
            return reply
        if reply.status not in (200, 201):
            return refusal(reply)
        content = reply.json_object() or {}
        names = (content.get(name) for name in _NAMES)
        name = next((name for name in names if isinstance(name, str) and CALL_CONTROL_ID.fullmatch(name)), None)
        if name is None:
            return Unknown(reason=f"HTTP {reply.status} whose body names no call")
        return Placed(carrier_call_id=name)

    def fetch_call(self, carrier_call_id: str) -> CarrierCall | None:
        """One call, or None when the account has none of this name. Raises CarrierUnavailable."""
        reply = self._http.send("GET", self._call_path(carrier_call_id))
        if reply.status == 404 or error_code(reply) in _OVER:
            return None
        resource = reply.json_object()
        if reply.status != 200 or resource is None:
            raise failed(reply)
        return _to_carrier_call(resource)

    def list_calls(self, *, destination: str, caller_number: str, created_after: datetime) -> Sequence[CarrierCall]:
        """Every call between the two numbers that was created at or after ``created_after``. Raises CarrierUnavailable.

        Telnyx's StartTime filters are not used: they know whole days of an unnamed zone, and whether a call that has
        not started passes is not documented. Times are compared to the second.
        """
        query = urlencode({"From": caller_number, "PageSize": _PAGE_SIZE, "To": destination})
        threshold = created_after.replace(microsecond=0)
        calls = (_to_carrier_call(resource) for resource in self._pages(f"{self._path}?{query}"))
        return [call for call in calls if call.created_at is None or call.created_at >= threshold]

    def requested_urls(self, carrier_call_id: str) -> Sequence[str]:
        """Nothing: TeXML's books show neither the addresses of a call nor anything else that we gave it."""
        return []

    def end_call(self, carrier_call_id: str) -> None:
        """Hang up, whatever the call is doing; one that has ended or is gone is success. Raises CarrierUnavailable."""
        try:
            self._update(carrier_call_id, {"Status": "completed"})
        except CallNotInProgress:
            return

    def transfer_call(
        self, carrier_call_id: str, *, destination: str, caller_number: str, message: str | None, status_url: str
    ) -> None:
        """Say ``message``, then connect the callee with ``destination``.

        Raises CallNotInProgress for a call that has ended or is gone, and CarrierUnavailable.
        """
        from dialplane.carriers.twilio.instructions import transfer  # noqa: PLC0415 - who dials needs no document

        del status_url  # where nobody takes over, the document is done, and the call with it
        document = transfer(destination, caller_number=caller_number, message=message)
        self._update(carrier_call_id, {"Texml": document.text})

    def start_recording(self, carrier_call_id: str, *, status_url: str) -> None:
        """Record both sides, each on a channel of its own, from now to the end of the call.

        Asking twice records twice. Raises CallNotInProgress for a call that has ended or is gone, and
        CarrierUnavailable.
        """
        fields = {
            "RecordingChannels": "dual",
            "RecordingStatusCallback": status_url,
            "RecordingStatusCallbackEvent": "completed",
            "RecordingStatusCallbackMethod": "POST",
            # It would beep into the conversation, and tell an address that opens the recording to anybody.
            "PlayBeep": False,
            "SendRecordingUrl": False,
        }
        self._post(f"{self._call_path(carrier_call_id)}/Recordings.json", fields)

    def _fields(self, request: DialRequest) -> dict[str, Any]:
        shortest_ring, longest_ring = _RING_TIMEOUT_SECONDS
        shortest_limit, longest_limit = _TIME_LIMIT_SECONDS
        fields: dict[str, Any] = {
            "ApplicationSid": self._application_sid,
            "To": request.destination,
            "From": request.caller_number,
            "Url": request.instructions_url,
            "UrlMethod": "POST",
            "StatusCallback": request.status_url,
            "StatusCallbackMethod": "POST",
            "StatusCallbackEvent": _STATUS_EVENTS,
            "Timeout": min(max(request.ring_timeout_seconds, shortest_ring), longest_ring),
            "TimeLimit": min(max(request.time_limit_seconds, shortest_limit), longest_limit),
        }
        if request.machine_detection:
            fields |= _detection(request)
        return fields

    def _update(self, carrier_call_id: str, fields: Mapping[str, str]) -> None:
        self._post(self._call_path(carrier_call_id), fields)

    def _post(self, path: str, fields: Mapping[str, Any]) -> None:
        reply = self._http.send("POST", path, to_body(fields))
        if reply.status == 404 or error_code(reply) in _OVER:
            raise CallNotInProgress("over")
        if reply.status >= 300:
            raise failed(reply)

    def _call_path(self, carrier_call_id: str) -> str:
        return f"{self._path}/{quote(carrier_call_id, safe=':')}"

    def _pages(self, path: str) -> Iterator[Mapping[str, Any]]:
        next_path = path
        for _ in range(_PAGES_MAX):
            reply = self._http.send("GET", next_path)
            content = reply.json_object() or {}
            items = content.get("calls")
            if reply.status != 200 or not isinstance(items, list):
                raise failed(reply)
            yield from (item for item in items if isinstance(item, dict))
            next_path = str(content.get("next_page_uri") or "")
            if not next_path:
                return
            if not next_path.startswith(self._path):
                raise telnyx_unavailable("a next page outside the account")
        # Half a list would be taken for proof that a call is not there.
        raise telnyx_unavailable(f"more than {_PAGES_MAX} pages")


def _detection(request: DialRequest) -> dict[str, Any]:
    """Whether to look for a machine: while a conversation goes on already, before anything else is said."""
    if request.instructions.engine != "conversation":
        return {"MachineDetection": "Enable"}
    return {
        "MachineDetection": "DetectMessageEnd" if request.on_machine == "leave_message" else "Enable",
        "AsyncAmd": True,
        "AsyncAmdStatusCallback": request.status_url,
        "AsyncAmdStatusCallbackMethod": "POST",
        # A verdict is no reason to fall silent in the middle of a sentence, as TeXML otherwise does.
        "CancelPlaybackOnMachineDetection": False,
        "CancelPlaybackOnDetectMessageEnd": False,
    }


def open_api(credentials: CarrierCredentials, *, timeout_seconds: float) -> TelnyxTexmlApi:
    """The API of a TeXML application. Raises ValueError when the secret lacks something."""
    http = open_http(credentials, timeout_seconds)
    return TelnyxTexmlApi(http, credentials["account_sid"], credentials["application_sid"])


def _to_carrier_call(resource: Mapping[str, Any]) -> CarrierCall:
    try:
        fields = call_resource_to_fields(resource)
    except InvalidCallback as error:
        raise telnyx_unavailable(str(error)) from error
    created_at = parse_time(resource.get("date_created")) or parse_time(resource.get("start_time"))
    return CarrierCall(fields["CallSid"], created_at, fields, parse_time(resource.get("end_time")))
