"""Which of Telnyx's Call Control webhooks mean something, and which of their fields may travel on.

No phone numbers, no names, no texts. Loaded by the function that Telnyx waits for, so next to nothing is imported.
What the fields mean belongs to ``events``.
https://developers.telnyx.com/docs/voice/programmable-voice/receiving-webhooks
"""

from __future__ import annotations

import json
import re
from base64 import b64decode
from collections.abc import Iterable, Mapping
from typing import Any

from dialplane.carriers.contract import Answer, CarrierCredentials, ForeignAccount, InvalidCallback, Report
from dialplane.carriers.telnyx.signature import (
    SIGNATURE_HEADER,
    SOCKET_SIGNATURE_HEADER,
    api_url,
    is_authentic,
    is_authentic_socket,
)
from dialplane.domain.ids import is_id

__all__ = [
    "SIGNATURE_HEADER",
    "SOCKET_SIGNATURE_HEADER",
    "UNSIGNED_STATUS",
    "is_authentic",
    "is_authentic_socket",
    "parse_answer",
    "parse_report",
]

UNSIGNED_STATUS = 403

_WORD = r"[A-Za-z][A-Za-z_-]{0,39}"
_TIME = r"[0-9][0-9T:. +Z-]{9,39}"
_ID = r"[A-Za-z0-9-]{1,64}"
CALL_CONTROL_ID = re.compile(r"[A-Za-z0-9_:.=-]{1,200}")
# The allow-list. A value that does not match its pattern is not from Telnyx, whatever the signature says.
_FIELDS = {
    "id": re.compile(_ID),
    "event_type": re.compile(r"(call|streaming)\.[a-z_.]{1,60}"),
    "occurred_at": re.compile(_TIME),
    "call_control_id": CALL_CONTROL_ID,
    "call_leg_id": re.compile(_ID),
    "connection_id": re.compile(_ID),
    "hangup_cause": re.compile(_WORD),
    "hangup_source": re.compile(_WORD),
    "sip_hangup_cause": re.compile(rf"[1-6][0-9]{{2}}|{_WORD}"),
    "result": re.compile(_WORD),
    "reason": re.compile(_WORD),
    "recording_id": re.compile(_ID),
    "status": re.compile(_WORD),
    "billed_duration_secs": re.compile(r"[0-9]{1,9}"),
    "total_cost": re.compile(r"[0-9]{1,9}(\.[0-9]{1,12})?"),
    "currency": re.compile(r"[A-Z]{3}"),
}
INSTRUCTIONS_DONE = frozenset(
    {
        "call.speak.ended",
        "call.conversation.ended",
        "call.conversation.start_failed",
        "streaming.stopped",
        "streaming.failed",
    }
)
"""The events after which Telnyx has nothing left to do on a call and, unlike after a document, does not end it."""
TRANSFERRED_FROM = "transferred-from/"
"""How the state begins of the leg that a call is transferred to; the call's own name at Telnyx follows."""
TRANSFER_OVER = "transfer.over"
"""Our word for the end of that leg, as an event of the call: Telnyx leaves the call as it was if nobody answered."""
RECORDING_SAVED = "call.recording.saved"
_COMMON = ("call_control_id", "call_leg_id", "connection_id")
# The events that say something about a call of ours, each with its own fields and those of them it cannot be without.
_EVENTS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "call.initiated": ((), ()),
    "call.answered": ((), ()),
    "call.hangup": (("hangup_cause", "hangup_source", "sip_hangup_cause"), ("hangup_cause",)),
    "call.machine.detection.ended": (("result",), ("result",)),
    "call.machine.greeting.ended": (("result",), ("result",)),
    "call.machine.premium.detection.ended": (("result",), ("result",)),
    "call.machine.premium.greeting.ended": (("result",), ("result",)),
    **dict.fromkeys(INSTRUCTIONS_DONE, ((), ())),
    "call.conversation.ended": (("reason",), ()),
    RECORDING_SAVED: (("recording_id",), ("call_leg_id",)),
    "call.cost": (("billed_duration_secs",), ("billed_duration_secs",)),
}
_NOTHING_TO_APPLY = Report({})


def parse_report(credentials: CarrierCredentials, body: bytes) -> Report:
    """Read an authentic webhook; without fields when it says nothing about an outbound call.

    Raises InvalidCallback when it is not a Telnyx event, ForeignAccount when it is about another application.
    """
    data = _object(_json(body), "data")
    event_type = data.get("event_type")
    if not isinstance(event_type, str):
        raise InvalidCallback("data.event_type is missing")
    if event_type not in _EVENTS:
        return _NOTHING_TO_APPLY
    payload = _object(data, "payload")
    application = credentials.get("connection_id")  # None where the same key is a TeXML application's
    if application is None or payload.get("connection_id") != application:
        raise ForeignAccount
    if event_type == "call.initiated" and payload.get("direction") != "outgoing":
        return _NOTHING_TO_APPLY
    if event_type == "call.cost" and payload.get("status") == "error":
        return _NOTHING_TO_APPLY  # the cost could not be worked out: no fact about the call
    state = _state_of(payload.get("client_state"))
    if state.startswith(TRANSFERRED_FROM):
        return _of_other_leg(data, event_type, state.removeprefix(TRANSFERRED_FROM))
    call_id = call_id_of(payload.get("client_state"))
    if event_type in INSTRUCTIONS_DONE and call_id is None:
        # Not the call's own instructions: words before a transfer, or an engine that the transfer has put an end to.
        return _NOTHING_TO_APPLY
    optional, required = _EVENTS[event_type]
    fields = _checked(data, ("id", "event_type", "occurred_at")) | _checked(payload, (*_COMMON, *optional))
    if event_type == "call.cost":
        fields = _with_cost(fields, payload)
    # Telnyx documents a saved recording without the name of its call: that is the one of the address.
    names = ("id",) if event_type == RECORDING_SAVED else ("id", "call_control_id")
    if missing := [name for name in (*names, *required) if name not in fields]:
        raise InvalidCallback(f"{', '.join(missing)} missing")
    if event_type == RECORDING_SAVED:
        fields["recording_url"] = _recording_url(credentials, fields)
    return Report(fields, call_id)


def parse_answer(credentials: CarrierCredentials, body: bytes) -> Answer:
    """Call Control asks for no instructions: raises InvalidCallback."""
    raise InvalidCallback("Call Control fetches no instructions")


def call_id_of(client_state: object) -> str | None:
    """Our call id out of the state that a dial gave to Telnyx; None when it is somebody else's state."""
    text = _state_of(client_state)
    return text if is_id("call", text) else None


def _state_of(client_state: object) -> str:
    """The state as it was given to Telnyx; empty when it is none of ours."""
    try:
        return b64decode(client_state, validate=True).decode("ascii") if isinstance(client_state, str) else ""
    except ValueError:
        return ""


def _of_other_leg(data: Mapping[str, Any], event_type: str, call_control_id: str) -> Report:
    """What an event of the leg that a call was transferred to says about the call: nothing but that leg's end."""
    if event_type != "call.hangup" or not CALL_CONTROL_ID.fullmatch(call_control_id):
        return _NOTHING_TO_APPLY
    fields = _checked(data, ("id", "occurred_at"))
    if "id" not in fields:
        raise InvalidCallback("id missing")
    return Report({**fields, "event_type": TRANSFER_OVER, "call_control_id": call_control_id})


def _recording_url(credentials: CarrierCredentials, fields: Mapping[str, str]) -> str:
    """Where Telnyx's books show a recording, to whoever has the account's key.

    The addresses that the event states open it to anybody for ten minutes, or for ever: they do not travel on.
    """
    books = f"{api_url(credentials)}/v2/recordings"
    if "recording_id" in fields:
        return f"{books}/{fields['recording_id']}"
    return f"{books}?filter[call_leg_id]={fields['call_leg_id']}"


def _json(body: bytes) -> Mapping[str, Any]:
    try:
        content = json.loads(body, parse_float=str)  # amounts stay the texts they are
    except (ValueError, RecursionError) as error:
        raise InvalidCallback("the body is not JSON") from error
    if not isinstance(content, dict):
        raise InvalidCallback("the body is not an object")
    return content


def _object(content: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = content.get(name)
    if not isinstance(value, dict):
        raise InvalidCallback(f"{name} is not an object")
    return value


def _checked(content: Mapping[str, Any], names: Iterable[str]) -> dict[str, str]:
    """The named values as texts, null and empty ones left out."""
    fields: dict[str, str] = {}
    for name in names:
        value = content.get(name)
        if value is None or value == "":
            continue
        # Numbers come as numbers or as texts, depending on the event.
        text = str(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else ""
        if not _FIELDS[name].fullmatch(text):
            raise InvalidCallback(f"{name} has a value of an unknown form")  # the value may hold anything: not repeated
        fields[name] = text
    return fields


def _with_cost(fields: dict[str, str], payload: Mapping[str, Any]) -> dict[str, str]:
    """The same with the total. It means something in one currency only, and Telnyx names currencies part by part.

    What it costs is no reason to lose what it lasted: an amount that cannot be read stays behind.
    """
    parts = payload.get("cost_parts")
    stated = [part.get("currency") for part in parts if isinstance(part, dict)] if isinstance(parts, list) else []
    currencies = {currency for currency in stated if isinstance(currency, str)}
    if len(currencies) != 1:
        return fields
    cost = {"total_cost": payload.get("total_cost"), "currency": currencies.pop()}
    try:
        known = _checked(cost, cost)
    except InvalidCallback:
        return fields
    return fields | known if "total_cost" in known else fields
