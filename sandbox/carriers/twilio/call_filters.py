"""The filters of Twilio's list of calls."""

from collections.abc import Callable
from datetime import UTC, date, datetime

from sandbox.carriers.twilio.calls import CALL_STATUSES, Call
from sandbox.carriers.twilio.errors import invalid_parameter

CallFilter = Callable[[Call], bool]


def build_filters(query: dict[str, str]) -> list[CallFilter]:
    """The filters of a list request (To, From, ParentCallSid, Status, StartTime, EndTime and their `<` and `>`).

    `<` and `>` include the moment named; a bare date means that day in UTC. A call that has no such time (a queued
    call has no start time) does not match. Raises TwilioError.
    """
    filters: list[CallFilter] = []
    for name, value in query.items():
        match name:
            case "To":
                filters.append(_party_filter(to=value))
            case "From":
                filters.append(_party_filter(from_=value))
            case "ParentCallSid":
                # No simulated call has a parent.
                filters.append(lambda _call: False)
            case "Status":
                filters.append(_status_filter(value))
            case "StartTime" | "StartTime<" | "StartTime>" | "EndTime" | "EndTime<" | "EndTime>":
                filters.append(_time_filter(name, value))
    return filters


def _party_filter(*, to: str | None = None, from_: str | None = None) -> CallFilter:
    return lambda call: (
        call.parameters.to == (to or call.parameters.to) and call.parameters.from_ == (from_ or call.parameters.from_)
    )


def _status_filter(status: str) -> CallFilter:
    if status not in CALL_STATUSES:
        raise invalid_parameter("Status", status, f"one of {', '.join(CALL_STATUSES)}")
    return lambda call: call.status == status


def _time_filter(name: str, value: str) -> CallFilter:
    limit = _parse_time(name, value)

    def matches(call: Call) -> bool:
        moment = call.start_time if name.startswith("StartTime") else call.end_time
        if moment is None:
            return False
        seen: date = moment.replace(microsecond=0) if isinstance(limit, datetime) else moment.date()
        if name.endswith("<"):
            return seen <= limit
        return seen >= limit if name.endswith(">") else seen == limit

    return matches


def _parse_time(name: str, value: str) -> date:
    try:
        if len(value) == len("2022-11-01"):
            return date.fromisoformat(value)
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise invalid_parameter(name, value, "a date or a time like 2022-11-01T01:59:13Z") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
