"""The Burki dialect's words for ending a call: ``POST /calls/{call_sid}/terminate``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dialplane.domain.errors import CallNotInProgress, CarrierFailure, Conflict, DialplaneError

if TYPE_CHECKING:
    from dialplane.domain.calls import Call


def terminated(call: Call) -> dict[str, Any]:
    """The answer when the carrier was told to hang up."""
    return {"message": "Call terminated successfully", "call_sid": call.carrier_call_id}


def detail(error: DialplaneError, call: Call) -> str | None:
    """The seed's own words where it has some: for calls that cannot be ended and carriers that could not end one."""
    match error:
        case CallNotInProgress():
            # Statuses in the seed's spelling.
            return f"Cannot terminate call - current status is '{error.status.replace('_', '-')}'"
        case CarrierFailure() | Conflict():
            return f"Failed to terminate call via {call.carrier}"
        case _:
            return None
