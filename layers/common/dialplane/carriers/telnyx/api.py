"""Telnyx's Call Control API: dial, read, find, speak, transfer, hang up.

https://developers.telnyx.com/api-reference/call-commands/dial
"""

from __future__ import annotations

import time
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, urlencode

from dialplane.carriers.contract import CarrierCredentials
from dialplane.carriers.http import CarrierHttp, Reply, to_body
from dialplane.carriers.telnyx.events import RESOURCE, call_resource_to_fields, parse_time
from dialplane.carriers.telnyx.instructions import dial_fields, speech
from dialplane.carriers.telnyx.rest import error_code, failed, open_http, refusal, telnyx_unavailable
from dialplane.carriers.telnyx.webhooks import CALL_CONTROL_ID, TRANSFERRED_FROM, call_id_of
from dialplane.domain.carrier import CarrierCall, CreateOutcome, DialRequest, Placed, Unknown
from dialplane.domain.errors import CallNotInProgress, CarrierUnavailable
from dialplane.domain.instructions import Instructions

# Telnyx takes a second dial with the same command_id for the same one, this long after the first.
_COMMAND_SECONDS = 60.0
# The share of the time for a dial after which its answer counts as lost, so that there is time to ask once more.
_FIRST_ATTEMPT_SHARE = 0.6
_RING_TIMEOUT_SECONDS = (5, 600)
_TIME_LIMIT_SECONDS_MAX = 14_400
_COMMAND_ID_MAX = 255
_PAGE_SIZE = 250
_PAGES_MAX = 20
_NOT_FOUND = frozenset({"10005", "90015"})
_ENDED = "90018"
# A transferred call has another state than ours from then on: neither the end of these words nor that of the engine's
# connection is the end of the call's instructions, after which it would be hung up.
_TRANSFER_STATE = b64encode(b"transfer").decode()


@dataclass(frozen=True, slots=True)
class Route:
    """How Telnyx reaches a phone number: over its own lines, or as a SIP address at a host of the customer's."""

    sip_host: str | None = None
    sip_username: str | None = None
    sip_password: str | None = field(default=None, repr=False)

    def address(self, number: str) -> str:
        """What Telnyx is to dial for a number in E.164, and what it then has in its books."""
        return f"sip:{number}@{self.sip_host}" if self.sip_host else number

    def fields(self, number: str) -> dict[str, str]:
        """The same with what opens the host's door, as a command has it."""
        named = {
            "to": self.address(number),
            "sip_auth_username": self.sip_username,
            "sip_auth_password": self.sip_password,
        }
        return {name: value for name, value in named.items() if value}


class TelnyxApi:
    """The calls of one Call Control application that take one route. Safe to share between threads."""

    # "If filter for leg_id or application_session_id is not present, it only filters events from the last 24 hours."
    # https://developers.telnyx.com/api-reference/debugging/list-call-events
    list_keeps: timedelta | None = timedelta(hours=24)

    def __init__(self, http: CarrierHttp, connection_id: str, route: Route = Route()) -> None:
        self._http = http
        self._connection_id = connection_id
        self._route = route

    def create_call(self, request: DialRequest) -> CreateOutcome:
        """Ask for a call, and once more when the answer is lost: Telnyx takes the same command_id for the same dial.

        Both fit into the time that one request may take. After a repetition only its success is believed: a refusal
        of the second request says nothing about the first. Raises ValueError for an engine that Telnyx cannot speak.
        """
        dial = self._dial_fields(request)
        started = time.monotonic()
        total = self._http.timeout_seconds
        first = self._dial(dial, timeout_seconds=total * _FIRST_ATTEMPT_SHARE)
        elapsed = time.monotonic() - started
        if not isinstance(first, Unknown) or elapsed >= min(total, _COMMAND_SECONDS):
            return first
        second = self._dial(dial, timeout_seconds=total - elapsed)
        return second if isinstance(second, Placed) else first

    def fetch_call(self, carrier_call_id: str) -> CarrierCall | None:
        """One call, or None when Telnyx does not know it; it forgets a call ten minutes after its end.

        Raises CarrierUnavailable.
        """
        resource = self._resource(carrier_call_id)
        return None if resource is None else _to_carrier_call(resource, created_at=None)

    def list_calls(self, *, destination: str, caller_number: str, created_after: datetime) -> Sequence[CarrierCall]:
        """The application's calls between two numbers since ``created_after``, ended ones included.

        Telnyx lists calls only while they last, so they are gathered from its record of the last day's events. An
        event whose call cannot be told from it is an error: it would pass for proof that there is no call. Raises
        CarrierUnavailable.
        """
        filters = {
            "filter[connection_id]": self._connection_id,
            "filter[from]": caller_number,
            "filter[occurred_at][gte]": created_after.astimezone(UTC).isoformat(timespec="seconds"),
            "filter[product]": "call_control",
            "filter[to]": self._route.address(destination),
            "filter[type]": "webhook",
            "page[size]": str(_PAGE_SIZE),
        }
        legs: dict[str, list[Mapping[str, Any]]] = {}
        for event in self._pages("/v2/call_events", filters):
            legs.setdefault(str(event.get("call_leg_id")), []).append(event)
        return [self._listed(events) for events in legs.values()]

    def requested_urls(self, carrier_call_id: str) -> Sequence[str]:
        """The state that the dial gave to the call: it ends in our call id. Raises CarrierUnavailable.

        Nothing for a call without any, though all of ours have it: it is not proof enough that a call is not ours.
        """
        resource = self._resource(carrier_call_id) or {}
        state = resource.get("client_state")
        return [f"client_state/{call_id_of(state) or state}"] if isinstance(state, str) and state else []

    def end_call(self, carrier_call_id: str) -> None:
        """Hang up, whatever the call is doing; one that has ended or is gone is success. Raises CarrierUnavailable."""
        self.hang_up(carrier_call_id)

    def transfer_call(
        self, carrier_call_id: str, *, destination: str, caller_number: str, message: str | None, status_url: str
    ) -> None:
        """Say ``message`` while ``destination`` is dialled, then connect the callee with it.

        Telnyx does not wait for the words before it dials: who answers sooner cuts them short. Where nobody answers
        "the original call will remain active": the end of the other leg is reported to ``status_url``, and ends it.
        Raises CallNotInProgress for a call that has ended or is gone, and CarrierUnavailable: nothing has changed then.
        """
        connect = {
            **self._route.fields(destination),
            "from": caller_number,
            "client_state": _TRANSFER_STATE,
            "target_leg_client_state": b64encode(f"{TRANSFERRED_FROM}{carrier_call_id}".encode()).decode(),
            "webhook_url": status_url,
            "webhook_url_method": "POST",
        }
        self._command(carrier_call_id, "transfer", connect)
        if message:
            words = speech(Instructions(engine="say", welcome_message=message))
            with suppress(CarrierUnavailable):  # somebody's telephone rings: words that are not heard change nothing
                self._command(carrier_call_id, "speak", {**words, "client_state": _TRANSFER_STATE})

    def start_recording(self, carrier_call_id: str, *, status_url: str) -> None:
        """Record both sides, each on a channel of its own, from now to the end of the call; once, however often asked.

        Telnyx reports it with the call's other webhooks. Raises CallNotInProgress for a call that has ended or is
        gone, and CarrierUnavailable.
        """
        del status_url  # that of the dial
        fields = {"format": "mp3", "channels": "dual", "command_id": f"{carrier_call_id}:record"[-_COMMAND_ID_MAX:]}
        self._command(carrier_call_id, "record_start", fields)

    def speak(self, carrier_call_id: str, instructions: Instructions, *, command_id: str) -> None:
        """Say the words of ``instructions`` on a call that has been answered; the same ``command_id`` says them once.

        Raises CallNotInProgress for a call that has ended or is gone, and CarrierUnavailable.
        """
        self._command(carrier_call_id, "speak", {**speech(instructions), "command_id": command_id})

    def hang_up(self, carrier_call_id: str, *, command_id: str | None = None) -> None:
        """End the call; one that has ended or is gone is success. Raises CarrierUnavailable."""
        try:
            self._command(carrier_call_id, "hangup", {"command_id": command_id} if command_id else {})
        except CallNotInProgress:
            return

    def _dial_fields(self, request: DialRequest) -> dict[str, Any]:
        shortest, longest = _RING_TIMEOUT_SECONDS
        fields: dict[str, Any] = {
            "connection_id": self._connection_id,
            **self._route.fields(request.destination),
            "from": request.caller_number,
            "command_id": request.call_id,
            "client_state": b64encode(request.call_id.encode()).decode(),
            "webhook_url": request.status_url,
            "webhook_url_method": "POST",
            "timeout_secs": min(max(request.ring_timeout_seconds, shortest), longest),
            # Without it every route that Telnyx has to the number may ring that long, one after the other.
            "retry_on_timeout": False,
            "time_limit_secs": min(request.time_limit_seconds, _TIME_LIMIT_SECONDS_MAX),
            **dial_fields(request.instructions),
        }
        if request.machine_detection:
            # "greeting_end" goes on listening to a machine, and tells when a message would be recorded.
            waits_for_beep = request.instructions.engine == "conversation" and request.on_machine == "leave_message"
            fields["answering_machine_detection"] = "greeting_end" if waits_for_beep else "detect"
        return fields

    def _dial(self, fields: Mapping[str, Any], *, timeout_seconds: float) -> CreateOutcome:
        reply = self._http.dial("/v2/calls", to_body(fields), timeout_seconds=timeout_seconds)
        if not isinstance(reply, Reply):
            return reply
        if reply.status not in (200, 201):
            return refusal(reply)
        name = _data(reply).get("call_control_id")
        if not isinstance(name, str) or not CALL_CONTROL_ID.fullmatch(name):
            return Unknown(reason=f"HTTP {reply.status} whose body is not a call")
        return Placed(carrier_call_id=name)

    def _resource(self, carrier_call_id: str) -> Mapping[str, Any] | None:
        reply = self._http.send("GET", _call_path(carrier_call_id))
        if reply.status == 404 or error_code(reply) in _NOT_FOUND:
            return None
        resource = _data(reply)
        if reply.status != 200 or resource.get("call_control_id") != carrier_call_id:
            raise failed(reply)
        return resource

    def _command(self, carrier_call_id: str, action: str, fields: Mapping[str, Any]) -> None:
        reply = self._http.send("POST", f"{_call_path(carrier_call_id)}/actions/{action}", to_body(fields))
        if reply.status == 404 or error_code(reply) in {_ENDED, *_NOT_FOUND}:
            raise CallNotInProgress("over")
        if reply.status >= 300:
            raise failed(reply)

    def _pages(self, path: str, filters: Mapping[str, str]) -> Iterator[Mapping[str, Any]]:
        for number in range(1, _PAGES_MAX + 1):
            reply = self._http.send("GET", f"{path}?{urlencode({**filters, 'page[number]': str(number)})}")
            content = reply.json_object() or {}
            items, meta = content.get("data"), content.get("meta")
            total = meta.get("total_pages") if isinstance(meta, dict) else None
            if reply.status != 200 or not isinstance(items, list) or not isinstance(total, int):
                raise failed(reply)
            yield from (item for item in items if isinstance(item, dict))
            if number >= total:
                return
        # Half a list would be taken for proof that a call is not there.
        raise telnyx_unavailable(f"more than {_PAGES_MAX} pages")

    def _listed(self, events: Sequence[Mapping[str, Any]]) -> CarrierCall:
        """The call that all of these events are about, as Telnyx has it now."""
        named = (_find(event.get("metadata"), "call_control_id") for event in events)
        name = next((name for name in named if name is not None and CALL_CONTROL_ID.fullmatch(name)), None)
        if name is None:
            raise telnyx_unavailable("an event that does not say of which call")
        times = [at for at in (parse_time(event.get("event_timestamp")) for event in events) if at is not None]
        created_at = min(times, default=None)
        resource = self._resource(name)
        if resource is None:
            # Forgotten: all that is left is that it was dialled.
            return CarrierCall(name, created_at, {"event_type": RESOURCE, "call_control_id": name, "is_alive": "false"})
        return _to_carrier_call(resource, created_at)


def open_api(credentials: CarrierCredentials, *, timeout_seconds: float, route: Route = Route()) -> TelnyxApi:
    """The API of a Call Control application. Raises ValueError when the secret lacks something."""
    return TelnyxApi(open_http(credentials, timeout_seconds), credentials["connection_id"], route)


def _to_carrier_call(resource: Mapping[str, Any], created_at: datetime | None) -> CarrierCall:
    fields = call_resource_to_fields(resource)
    started_at, ended_at = parse_time(resource.get("start_time")), parse_time(resource.get("end_time"))
    return CarrierCall(fields["call_control_id"], created_at or started_at, fields, ended_at)


def _find(content: object, name: str) -> str | None:
    """The first text of this name anywhere in an event: Telnyx does not document how it nests what it records."""
    if isinstance(content, Mapping):
        value = content.get(name)
        if isinstance(value, str):
            return value
        content = list(content.values())
    if isinstance(content, list):
        return next((found for found in (_find(each, name) for each in content) if found is not None), None)
    return None


def _data(reply: Reply) -> Mapping[str, Any]:
    data = (reply.json_object() or {}).get("data")
    return data if isinstance(data, dict) else {}


def _call_path(carrier_call_id: str) -> str:
    return f"/v2/calls/{quote(carrier_call_id, safe=':')}"
