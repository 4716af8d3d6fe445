"""The Klen dialect's list of calls and its single call. A call is shown by the words that it is found by.

Money is a number of currency units, as the seed's is. ``billing`` has what was set aside (``initial_charge``) and what
the call cost in the end (``final_charge``, which is all that is paid), null until that is known.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dialplane.dialects import transcripts
from dialplane.dialects.klen.answers import agent_document
from dialplane.dialects.queries import POSITION_MAX, name, parameters, statuses
from dialplane.domain.calls import Call
from dialplane.domain.conversations import Conversation
from dialplane.domain.errors import ValueInvalid
from dialplane.domain.money import MICROS_PER_UNIT
from dialplane.domain.parameters import integer
from dialplane.domain.statuses import CallStatus
from dialplane.domain.times import to_text
from dialplane.usecases.browse_calls import CallFilters, CallQuery, CallRange

_PAGE_DEFAULT = 10
_PAGE_MAX = 100
_NONE: frozenset[str] = frozenset()
# "queued" is the word of the answer to a call that was asked for; the seed's filters have the other three.
_STATUS_WORDS = {
    CallStatus.DIALING: "queued",
    CallStatus.UNCONFIRMED: "queued",
    CallStatus.QUEUED: "queued",
    CallStatus.INITIATED: "in-progress",
    CallStatus.RINGING: "in-progress",
    CallStatus.IN_PROGRESS: "in-progress",
    CallStatus.COMPLETED: "completed",
    CallStatus.BUSY: "failed",
    CallStatus.NO_ANSWER: "failed",
    CallStatus.REJECTED: "failed",
    CallStatus.FAILED: "failed",
    CallStatus.CANCELED: "failed",
}


def parse_query(query: Mapping[str, str]) -> CallQuery:
    """Filters and a page, the first of which is page 1. Raises ValueInvalid."""
    # A key in the query has been read before; here it is no filter.
    given = parameters(query, "agent_id", "status", "type", "page", "limit", "api_key")
    limit = integer(given, "limit", lowest=1, highest=_PAGE_MAX) or _PAGE_DEFAULT
    page = integer(given, "page", lowest=1, highest=POSITION_MAX // _PAGE_MAX) or 1
    wanted = statuses(given, _STATUS_WORDS)
    match given.get("type"):
        case None | "outbound":
            pass
        case "inbound":  # there are none
            wanted = _NONE
        case _:
            raise ValueInvalid("type must be one of: outbound, inbound.", field="type")
    agent_id = name(given, "agent_id")
    is_public = agent_id is not None and not (agent_id.isascii() and agent_id.isdigit())
    filters = CallFilters(
        statuses=wanted,
        assistant_id=None if is_public else integer(given, "agent_id", lowest=1, highest=2**63 - 1),
        assistant_public_id=agent_id if is_public else None,
    )
    return CallQuery(filters, limit=limit, offset=(page - 1) * limit)


def page_document(page: CallRange, query: CallQuery) -> dict[str, Any]:
    """A page; ``count`` is how many calls there are on all of them."""
    return {
        "count": page.total,
        "page": query.offset // query.limit + 1,
        "limit": query.limit,
        "pages": -(-page.total // query.limit),
        "calls": [
            {
                "id": call.id,
                "agent_id": call.assistant_public_id or call.assistant_id,
                "agent_name": call.assistant_name,
                **_course(call),
            }
            for call in page.calls
        ],
    }


def call_document(call: Call, conversation: Conversation | None = None) -> dict[str, Any]:
    """A single call. What nobody keeps is null: the seed's clients find every name they look for."""
    return {
        "id": call.id,
        "call_id": call.id,
        "agent": agent_document(call),
        **_course(call, conversation),
        "transcript": transcripts.text(conversation) if conversation is not None else None,
        "team": None,
        "billing": _billing(call),
        "created_at": to_text(call.created_at),
    }


def _course(call: Call, conversation: Conversation | None = None) -> dict[str, Any]:
    return {
        "status": _STATUS_WORDS[call.status],
        "type": "outbound",
        "phone_number": call.destination,
        "started_at": to_text(call.answered_at) if call.answered_at is not None else None,
        "ended_at": to_text(call.ended_at) if call.ended_at is not None else None,
        "duration_seconds": call.duration_seconds,
        "summary": conversation.summary if conversation is not None else None,
        "recording_url": call.recording_url if conversation is not None else None,
        "contact": {"id": call.contact_id} if call.contact_id is not None else None,
    }


def _billing(call: Call) -> dict[str, Any]:
    charge = call.charge_micros / MICROS_PER_UNIT if call.charge_micros is not None else None
    return {
        "status": "billed" if charge is not None else "pending",
        "initial_charge": call.hold_micros / MICROS_PER_UNIT,
        "final_charge": charge,
        "total_charge": charge,
        "currency": call.currency,
    }
