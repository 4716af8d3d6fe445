"""Twilio's REST API for calls: create, read, transfer, end.

One method, one question; nothing is repeated here, because only the caller knows what a repetition would do.
https://www.twilio.com/docs/voice/api/call-resource
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import quote, urlencode

from urllib3 import make_headers

from dialplane.carriers.contract import CarrierCredentials, InvalidCallback
from dialplane.carriers.http import CarrierHttp, Reply, unavailable
from dialplane.carriers.twilio.events import call_resource_to_fields, parse_time
from dialplane.domain.carrier import CarrierCall, CreateOutcome, DialRequest, Placed, Rejected, RejectionCause, Unknown
from dialplane.domain.errors import CallNotInProgress

_BASE_URL = "https://api.twilio.com"
_STATUS_EVENTS = ("initiated", "ringing", "answered", "completed")
_PAGE_SIZE = 200
_PAGES_MAX = 25
_FORM = "application/x-www-form-urlencoded"
_unavailable = partial(unavailable, "twilio")

# https://www.twilio.com/docs/api/errors
REJECTION_CAUSES: dict[int, RejectionCause] = {
    13223: "invalid_destination",
    13224: "invalid_destination",
    21201: "invalid_destination",
    21202: "destination_not_permitted",  # premium and x11 numbers
    21211: "invalid_destination",
    21214: "invalid_destination",
    21217: "invalid_destination",
    13227: "destination_not_permitted",  # geographic permissions, like the next and 32205
    21215: "destination_not_permitted",
    32205: "destination_not_permitted",
    21216: "destination_not_permitted",
    14111: "destination_not_permitted",  # trial accounts call verified numbers only, like the next
    21219: "destination_not_permitted",
    21210: "caller_number_not_owned",
    21212: "caller_number_not_owned",
    21213: "caller_number_not_owned",
    10001: "credentials",
    20003: "credentials",
    20005: "credentials",
    20429: "rate_limited",
}
# "Call already initiated": the one refusal that does not prove that no phone rings.
_ALREADY_INITIATED = 21204
_NOT_FOUND = 20404
# "Invalid call state": the call to be ended has ended.
_NOT_IN_PROGRESS = 21220


@dataclass(frozen=True, slots=True)
class Route:
    """How Twilio reaches a phone number: over its own lines, or over a trunk or a SIP host of the customer's.

    With ``byoc_trunk_sid`` the number is dialled as it is, over that trunk; with ``sip_host`` (a name, with a port and
    ``;transport=`` if need be) the number becomes a SIP address there, to which ``sip_username`` and ``sip_password``
    open the door.
    """

    byoc_trunk_sid: str | None = None
    sip_host: str | None = None
    sip_username: str | None = None
    sip_password: str | None = field(default=None, repr=False)

    def address(self, number: str) -> str:
        """What Twilio is to dial for a number in E.164."""
        return f"sip:{number}@{self.sip_host}" if self.sip_host else number

    def recorded_addresses(self, number: str) -> Sequence[str]:
        """What it may then have in its books: whether that keeps ``;transport=tls`` is not documented."""
        address = self.address(number)
        return list(dict.fromkeys((address, address.partition(";")[0])))


class TwilioApi:
    """The calls of one Twilio account that take one route. Safe to share between threads.

    ``timeout_seconds`` bounds each request: at most two seconds of it to connect, the rest to wait for the answer.
    """

    list_keeps: timedelta | None = None

    def __init__(
        self,
        account_sid: str,
        auth_token: str,
        base_url: str = _BASE_URL,
        timeout_seconds: float = 5.0,
        route: Route = Route(),
    ) -> None:
        self._route = route
        self._path = f"/2010-04-01/Accounts/{quote(account_sid, safe='')}"
        key = make_headers(basic_auth=f"{account_sid}:{auth_token}")
        self._http = CarrierHttp("twilio", base_url, timeout_seconds, key, content_type=_FORM)

    def create_call(self, request: DialRequest) -> CreateOutcome:
        """Ask once for a call. Twilio has no request key, so this is never sent twice."""
        form = urlencode(_create_form(request, self._route))
        reply = self._http.dial(f"{self._path}/Calls.json", form.encode())
        return _to_outcome(reply) if isinstance(reply, Reply) else reply

    def fetch_call(self, carrier_call_id: str) -> CarrierCall | None:
        """One call, or None when the account has none of this id. Raises CarrierUnavailable."""
        resource = self._get(self._call_path(carrier_call_id))
        return None if resource is None else _to_carrier_call(resource)

    def list_calls(self, *, destination: str, caller_number: str, created_after: datetime) -> Sequence[CarrierCall]:
        """Every call between the two numbers that was created at or after ``created_after``. Raises CarrierUnavailable.

        Twilio's StartTime filter is not used: a queued call has no start time and would be missing. Twilio states
        times to the second; ``created_after`` is compared as such.
        """
        threshold = created_after.replace(microsecond=0)
        found: dict[str, CarrierCall] = {}
        for address in self._route.recorded_addresses(destination):
            query = urlencode({"To": address, "From": caller_number, "PageSize": _PAGE_SIZE})
            calls = map(_to_carrier_call, self._pages(f"{self._path}/Calls.json?{query}", "calls"))
            found |= {call.carrier_call_id: call for call in calls}
        return [call for call in found.values() if call.created_at is None or call.created_at >= threshold]

    def requested_urls(self, carrier_call_id: str) -> Sequence[str]:
        """The addresses in Twilio's record of a call: those it was given and those it requested.

        Twilio promises this record only 15 minutes after the call has ended; until then it may be empty.
        https://www.twilio.com/docs/voice/api/call-event-resource. Raises CarrierUnavailable.
        """
        urls: list[str] = []
        path = f"{self._call_path(carrier_call_id, '/Events')}?PageSize={_PAGE_SIZE}"
        for event in self._pages(path, "events", absent_is_empty=True):
            sent = event.get("request")
            request: Mapping[str, Any] = sent if isinstance(sent, Mapping) else {}
            given = request.get("parameters")
            parameters: Mapping[str, Any] = given if isinstance(given, Mapping) else {}
            found = (request.get("url"), parameters.get("url"), parameters.get("status_callback"))
            # The record begins with our own request to Twilio's API; its address says nothing about the call.
            urls += [url for url in found if isinstance(url, str) and f"{self._path}/Calls" not in url]
        return list(dict.fromkeys(urls))

    def end_call(self, carrier_call_id: str) -> None:
        """Hang up, whatever the call is doing; one that has ended or is gone is success. Raises CarrierUnavailable."""
        try:
            self._update(carrier_call_id, Status="completed")
        except CallNotInProgress:
            return

    def transfer_call(
        self, carrier_call_id: str, *, destination: str, caller_number: str, message: str | None, status_url: str
    ) -> None:
        """Say ``message``, then connect the callee with ``destination``, over the route of the account's calls.

        Raises CallNotInProgress for a call that has ended or is gone, and CarrierUnavailable.
        """
        from dialplane.carriers.twilio.instructions import transfer  # noqa: PLC0415 - who dials needs no TwiML

        del status_url  # where nobody takes over, the document is done, and the call with it
        route = self._route
        document = transfer(
            route.address(destination),
            caller_number=caller_number,
            message=message,
            byoc_trunk_sid=route.byoc_trunk_sid,
            sip_username=route.sip_username,
            sip_password=route.sip_password,
        )
        self._update(carrier_call_id, Twiml=document.text)

    def start_recording(self, carrier_call_id: str, *, status_url: str) -> None:
        """Record both sides, each on a channel of its own, from now to the end of the call.

        Asking twice records twice. Raises CallNotInProgress for a call that has ended or is gone, and
        CarrierUnavailable.
        """
        form = {
            "RecordingStatusCallbackEvent": "completed",
            "RecordingStatusCallback": status_url,
            "RecordingStatusCallbackMethod": "POST",
            "RecordingChannels": "dual",
        }
        self._post(self._call_path(carrier_call_id, "/Recordings"), form)

    def _update(self, carrier_call_id: str, **form: str) -> None:
        self._post(self._call_path(carrier_call_id), form)

    def _post(self, path: str, form: Mapping[str, str]) -> None:
        reply = self._http.send("POST", path, urlencode(form).encode())
        code = _error_code(reply)
        if reply.status == 404 or code in (_NOT_FOUND, _NOT_IN_PROGRESS):
            raise CallNotInProgress("over")
        if reply.status >= 300:
            raise _unavailable(f"HTTP {reply.status}, error {code}")

    def _call_path(self, carrier_call_id: str, suffix: str = "") -> str:
        return f"{self._path}/Calls/{quote(carrier_call_id, safe='')}{suffix}.json"

    def _pages(self, path: str, key: str, *, absent_is_empty: bool = False) -> Iterator[Mapping[str, Any]]:
        next_path = path
        for _ in range(_PAGES_MAX):
            page = self._get(next_path)
            if page is None and absent_is_empty:
                return
            items = page.get(key) if page is not None else None
            if page is None or not isinstance(items, list):
                raise _unavailable(f"no page of {key}")
            yield from (item for item in items if isinstance(item, dict))
            next_path = str(page.get("next_page_uri") or "")
            if not next_path:
                return
            if not next_path.startswith(f"{self._path}/"):
                raise _unavailable("a next page outside the account")
        # Half a list would be taken for proof that a call is not there.
        raise _unavailable(f"more than {_PAGES_MAX} pages")

    def _get(self, path: str) -> Mapping[str, Any] | None:
        reply = self._http.send("GET", path)
        if reply.status == 404:
            return None
        content = reply.json_object()
        if reply.status != 200 or content is None:
            raise _unavailable(f"HTTP {reply.status}, error {_error_code(reply)}")
        return content


def open_api(
    credentials: CarrierCredentials,
    *,
    timeout_seconds: float,
    route: Route = Route(),
) -> TwilioApi:
    """The API of a Twilio account. Raises ValueError when the secret lacks something."""
    return TwilioApi(
        credentials["account_sid"],
        credentials["auth_token"],
        credentials.get("api_base_url") or _BASE_URL,
        timeout_seconds,
        route,
    )


def _create_form(request: DialRequest, route: Route) -> list[tuple[str, str]]:
    """The form of Twilio's own SDK for this call, field for field and in its order."""
    form = [
        ("To", route.address(request.destination)),
        ("From", request.caller_number),
        ("Method", "POST"),
        ("StatusCallback", request.status_url),
        *(("StatusCallbackEvent", event) for event in _STATUS_EVENTS),
        ("StatusCallbackMethod", "POST"),
        ("Timeout", str(request.ring_timeout_seconds)),
        ("SipAuthUsername", route.sip_username),
        ("SipAuthPassword", route.sip_password),
        *_detection(request),
        ("Byoc", route.byoc_trunk_sid),
        ("TimeLimit", str(request.time_limit_seconds)),
        ("Url", request.instructions_url),
    ]
    return [(name, value) for name, value in form if value is not None]


def _detection(request: DialRequest) -> list[tuple[str, str]]:
    """Whether to look for a machine: while a conversation goes on already, before anything else is said.

    The form's order is that of Twilio's SDK.
    """
    if not request.machine_detection:
        return []
    if request.instructions.engine != "conversation":
        return [("MachineDetection", "Enable")]
    return [
        ("MachineDetection", "DetectMessageEnd" if request.on_machine == "leave_message" else "Enable"),
        ("AsyncAmd", "true"),
        ("AsyncAmdStatusCallback", request.status_url),
        ("AsyncAmdStatusCallbackMethod", "POST"),
    ]


def _to_outcome(reply: Reply) -> CreateOutcome:
    content = reply.json_object() or {}
    code = _error_code(reply)
    if reply.status in (200, 201):
        try:
            return Placed(carrier_call_id=call_resource_to_fields(content)["CallSid"])
        except InvalidCallback as error:
            return Unknown(reason=f"HTTP {reply.status} whose body is not a call: {error}")
    if not reply.proves_rejection or code == _ALREADY_INITIATED:
        return Unknown(reason=f"HTTP {reply.status}, error {code}")
    cause: RejectionCause = REJECTION_CAUSES.get(code or 0, "other")
    if reply.status == 429:
        cause = "rate_limited"  # Twilio documents: not processed
    elif reply.status == 401:
        cause = "credentials"
    return Rejected(
        cause=cause,
        code=str(code) if code is not None else f"HTTP{reply.status}",
        message=str(content.get("message") or ""),
        retry_after_seconds=reply.retry_after_seconds,
    )


def _to_carrier_call(resource: Mapping[str, Any]) -> CarrierCall:
    try:
        fields = call_resource_to_fields(resource)
    except InvalidCallback as error:
        raise _unavailable(str(error)) from error
    created_at, ended_at = parse_time(resource.get("date_created")), parse_time(resource.get("end_time"))
    return CarrierCall(fields["CallSid"], created_at, fields, ended_at)


def _error_code(reply: Reply) -> int | None:
    code = (reply.json_object() or {}).get("code")
    return code if isinstance(code, int) else None
