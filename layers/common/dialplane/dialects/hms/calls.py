"""The HMS dialect's list of calls and its single call. A call is shown by the words that it is found by.

The person is ``caller_phone`` whichever side has called, as in the seed; the assistant's number has its three names.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from dialplane.dialects import transcripts
from dialplane.dialects.queries import POSITION_MAX, parameters, since, statuses, until
from dialplane.domain.accounts import NUMBER_ID_PREFIX
from dialplane.domain.calls import Call
from dialplane.domain.conversations import Conversation
from dialplane.domain.parameters import integer
from dialplane.domain.statuses import CallStatus
from dialplane.domain.times import to_text
from dialplane.usecases.browse_calls import CallFilters, CallQuery, CallRange

_PAGE_DEFAULT = 50
_PAGE_MAX = 100
# A call that nobody took has ended all the same, and ``end_reason`` says how; it failed when it could not be made.
_STATUS_WORDS = {
    CallStatus.DIALING: "connecting",
    CallStatus.UNCONFIRMED: "connecting",
    CallStatus.QUEUED: "connecting",
    CallStatus.INITIATED: "connecting",
    CallStatus.RINGING: "connecting",
    CallStatus.IN_PROGRESS: "in-progress",
    CallStatus.COMPLETED: "ended",
    CallStatus.BUSY: "ended",
    CallStatus.NO_ANSWER: "ended",
    CallStatus.REJECTED: "ended",
    CallStatus.CANCELED: "ended",
    CallStatus.FAILED: "failed",
}


def parse_query(query: Mapping[str, str]) -> CallQuery:
    """Filters and a range; both dates are within. Raises ValueInvalid."""
    given = parameters(query, "limit", "offset", "status", "start_date", "end_date")
    filters = CallFilters(
        statuses=statuses(given, _STATUS_WORDS),
        created_after=since(given, "start_date"),
        created_before=until(given, "end_date"),
    )
    return CallQuery(
        filters,
        limit=integer(given, "limit", lowest=1, highest=_PAGE_MAX) or _PAGE_DEFAULT,
        offset=integer(given, "offset", lowest=0, highest=POSITION_MAX) or 0,
    )


def page_document(page: CallRange, query: CallQuery) -> dict[str, Any]:
    """A range of calls."""
    return {
        "calls": [call_document(call) for call in page.calls],
        "pagination": {"total": page.total, "limit": query.limit, "offset": query.offset},
    }


def call_document(call: Call, conversation: Conversation | None = None) -> dict[str, Any]:
    """A call; only the single one has what was said. What nobody keeps is null: clients find every name they look for.

    ``analysis_result`` is an object in the shape that the assistant's ``analysis_schema`` asks for.
    """
    assistant_id = call.assistant_public_id or call.assistant_id or None  # none for one that the request brought along
    moments = (call.created_at, call.dial_replied_at, call.answered_at, call.ended_at, call.settled_at)
    return {
        "id": call.id,
        "direction": "outbound",
        "status": _STATUS_WORDS[call.status],
        "end_reason": call.ended_reason.value if call.ended_reason is not None else None,
        "error": call.dial_error,
        "caller_phone": call.destination,
        "assistant_phone": call.caller_number,
        "agent_phone": call.caller_number,
        "phone_number": call.caller_number,
        "number_id": f"{NUMBER_ID_PREFIX}{call.caller_number.removeprefix('+')}",
        "assistant_id": assistant_id,
        "agent_id": assistant_id,
        "assistant_name": call.assistant_name,
        "agent_name": call.assistant_name,
        "business_name": None,
        "variables": json.loads(call.variables_json),
        "messages": transcripts.messages(conversation) if conversation is not None else [],
        "transcript": transcripts.text(conversation) if conversation is not None else None,
        "summary": conversation.summary if conversation is not None else None,
        "analysis_result": _analysis(conversation),
        "recording_url": call.recording_url if conversation is not None else None,
        "room_name": None,
        "duration_seconds": call.duration_seconds,
        "created_at": to_text(call.created_at),
        "started_at": _time(call.answered_at),
        "ended_at": _time(call.ended_at),
        "updated_at": to_text(max(moment for moment in moments if moment is not None)),
    }


def _analysis(conversation: Conversation | None) -> Any:
    if conversation is None or conversation.analysis_json is None:
        return None
    return json.loads(conversation.analysis_json)


def _time(moment: datetime | None) -> str | None:
    return to_text(moment) if moment is not None else None
