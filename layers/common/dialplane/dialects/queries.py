"""The parameters of a dialect's list: days, names and sets of statuses beside what every query string has.

Which parameters there are, and which words a dialect has for a status, is each dialect's own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from dialplane.domain.errors import ValueInvalid
from dialplane.domain.parameters import check_names, to_time
from dialplane.domain.statuses import CallStatus

POSITION_MAX = 1_000_000
_NAME_LENGTH_MAX = 200
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_INSTANT = timedelta(milliseconds=1)


def parameters(query: Mapping[str, str], *names: str) -> dict[str, str]:
    """The parameters that say something. Raises ValueInvalid for unknown ones: a filter must not be lost to a typo."""
    check_names(query, *names)
    return {name: value for name, value in query.items() if value.strip()}


def name(query: Mapping[str, str], parameter: str) -> str | None:
    """A text that something may be stored under, None when it is not there. Raises ValueInvalid."""
    text = query.get(parameter)
    if text is not None and (len(text) > _NAME_LENGTH_MAX or not text.isprintable()):
        raise ValueInvalid(f"{parameter} must be a text of at most {_NAME_LENGTH_MAX} characters.", field=parameter)
    return text


def since(query: Mapping[str, str], name: str) -> datetime | None:
    """The first moment of a time or a day in UTC. Raises ValueInvalid."""
    return _span(query, name)[0]


def until(query: Mapping[str, str], name: str) -> datetime | None:
    """The first moment after a time or a day in UTC, so that both are within. Raises ValueInvalid."""
    return _span(query, name)[1]


def _span(query: Mapping[str, str], name: str) -> tuple[datetime, datetime] | tuple[None, None]:
    text = query.get(name)
    if text is None:
        return None, None
    try:
        if _DAY.fullmatch(text):
            day = datetime.fromisoformat(text).replace(tzinfo=UTC)
            return day, day + timedelta(days=1)
        if (moment := to_time(text)) is not None:
            return moment, moment + _INSTANT
    except (ValueError, OverflowError):
        pass
    raise ValueInvalid(f"{name} must be a day or a time with its offset, such as 2026-11-20T09:00:00Z.", field=name)


def statuses(query: Mapping[str, str], words: Mapping[CallStatus, str]) -> frozenset[str] | None:
    """Every status that the dialect's word in ``status`` stands for. Raises ValueInvalid."""
    word = query.get("status")
    if word is None:
        return None
    found = frozenset(status.value for status, own in words.items() if own == word)
    if not found:
        known = ", ".join(dict.fromkeys(words.values()))
        raise ValueInvalid(f"status must be one of: {known}.", field="status")
    return found
