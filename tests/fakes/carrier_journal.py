"""What the simulated carriers' journal says of requests for calls, and which calls they led to: any carrier's words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from sandbox.demo_data import AGENT_NUMBER_ID, CARRIER_NUMBERS

_DIALS = re.compile(
    r"/2010-04-01/Accounts/\w+/Calls\.json|/v2/calls|/v2/texml/Accounts/\w+/Calls|/v1/calls"
    r"|/v1/convai/twilio/outbound-call"
)
Journal = Iterable[Mapping[str, Any]]
_DIGITS = re.compile(r"(?:sip:)?\+?([0-9]+)(?:@.*)?")


def dial_requests(journal: Journal, destination: str, caller_number: str | None = None) -> list[Any]:
    """The requests for a call to a number, from one of our numbers or from any; refused and lost ones included."""
    found = []
    for entry in journal:
        if entry["direction"] == "in" and entry["method"] == "POST" and _DIALS.fullmatch(entry["path"]):
            called, caller = _numbers(entry.get("json") or entry["form"])
            if called == _digits(destination) and caller_number in (None, f"+{caller}"):
                found.append(entry)
    return found


def accepted_dials(journal: Journal, destination: str, caller_number: str | None = None) -> set[str]:
    """The carrier's ids of the calls that those requests led to: each of them rang."""
    return {entry["call_id"] for entry in dial_requests(journal, destination, caller_number) if entry["call_id"]}


def _numbers(body: Mapping[str, Any]) -> tuple[str, str]:
    """Called and calling number, as digits."""
    if "agent_phone_number_id" in body:
        number_id = body["agent_phone_number_id"]
        caller = CARRIER_NUMBERS["elevenlabs"] if number_id == AGENT_NUMBER_ID else number_id
        return _digits(body["to_number"]), _digits(caller)
    if "answer_url" in body:
        return _digits(body["to"][0]["number"]), _digits(body["from"]["number"])
    return _digits(body.get("To") or body.get("to")), _digits(body.get("From") or body.get("from"))


def _digits(number: Any) -> str:
    written = _DIGITS.fullmatch(str(number))
    return written[1] if written else str(number)
