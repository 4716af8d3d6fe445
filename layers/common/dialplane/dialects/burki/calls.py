"""The Burki dialect's list of calls, ``GET /api/v1/calls``, and its single call.

Money is a number of currency units, as the seed's is. Connected minutes are the only thing with a price here: they are
``telephony_cost`` and the total.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from dialplane.dialects.queries import POSITION_MAX, name, parameters, since, statuses, until
from dialplane.domain.calls import Call
from dialplane.domain.conversations import Conversation
from dialplane.domain.money import MICROS_PER_UNIT
from dialplane.domain.parameters import integer
from dialplane.domain.phone_numbers import PhoneNumber
from dialplane.domain.statuses import CallStatus
from dialplane.domain.times import to_text
from dialplane.usecases.browse_calls import CallFilters, CallQuery, CallRange

_PAGE_DEFAULT = 100
_PAGE_MAX = 1_000
_DURATION_MAX = 86_400
_STATUS_WORDS = {
    status: "completed" if status is CallStatus.COMPLETED else "failed" if status.is_terminal else "ongoing"
    for status in CallStatus
}


def parse_query(query: Mapping[str, str]) -> CallQuery:
    """Filters and a range; dates and durations are within. Raises ValueInvalid and PhoneNumberInvalid.

    ``customer_phone`` and ``call_sid`` are whole; ``assistant_name`` is any part of the name.
    """
    given = parameters(
        query,
        "skip",
        "limit",
        "status",
        "assistant_id",
        "customer_phone",
        "call_sid",
        "assistant_name",
        "date_from",
        "date_to",
        "min_duration",
        "max_duration",
    )
    phone = given.get("customer_phone")
    filters = CallFilters(
        statuses=statuses(given, _STATUS_WORDS),
        assistant_id=integer(given, "assistant_id", lowest=1, highest=2**63 - 1),
        assistant_name=name(given, "assistant_name"),
        # In a query string "+" means a space; a number that lost its plus that way is still meant.
        destination=PhoneNumber.parse(phone.replace(" ", "+", 1), field="customer_phone").e164 if phone else None,
        carrier_call_id=name(given, "call_sid"),
        created_after=since(given, "date_from"),
        created_before=until(given, "date_to"),
        duration_seconds_min=integer(given, "min_duration", lowest=0, highest=_DURATION_MAX),
        duration_seconds_max=integer(given, "max_duration", lowest=0, highest=_DURATION_MAX),
    )
    return CallQuery(
        filters,
        limit=integer(given, "limit", lowest=1, highest=_PAGE_MAX) or _PAGE_DEFAULT,
        offset=integer(given, "skip", lowest=0, highest=POSITION_MAX) or 0,
    )


def page_document(page: CallRange, query: CallQuery) -> dict[str, Any]:
    """A range of calls."""
    return {
        "items": [call_document(call) for call in page.calls],
        "total": page.total,
        "skip": query.offset,
        "limit": query.limit,
    }


def call_document(call: Call, conversation: Conversation | None = None) -> dict[str, Any]:
    """A call; the list and the single call show the same fields. Costs are null until the call is settled."""
    cost = call.charge_micros / MICROS_PER_UNIT if call.charge_micros is not None else None
    return {
        "id": call.id,
        "call_sid": call.carrier_call_id,
        "assistant_id": call.assistant_id,
        "assistant_name": call.assistant_name,
        "flow_name": None,
        "from_phone_number": call.caller_number,
        "to_phone_number": call.destination,
        "customer_phone_number": call.destination,
        "status": _STATUS_WORDS[call.status],
        "started_at": to_text(call.created_at),
        "ended_at": to_text(call.ended_at) if call.ended_at is not None else None,
        "duration": call.duration_seconds,
        "call_meta": json.loads(call.variables_json),
        "total_cost": cost,
        "llm_cost": None,
        "tts_cost": None,
        "stt_cost": None,
        "telephony_cost": cost,
        "cost_currency": call.currency,
    }
