"""Parameters of a query string: which there are, whole numbers, phone numbers and times.

What is read here is checked for its form only; what it means belongs to whoever asks for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from dialplane.domain.errors import ValueInvalid
from dialplane.domain.phone_numbers import PhoneNumber


def check_names(query: Mapping[str, str], *names: str) -> None:
    """Raise ValueInvalid for a parameter that is not among ``names``: a filter must not be lost to a typo."""
    if unknown := sorted(set(query) - set(names)):
        known = f"Known: {', '.join(names)}." if names else "There are none."
        raise ValueInvalid(f"Unknown query parameters: {', '.join(unknown)}. {known}", field=unknown[0])


def integer(query: Mapping[str, str], name: str, *, lowest: int, highest: int) -> int | None:
    """A whole number within bounds, None when it is not there. Raises ValueInvalid."""
    text = query.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(highest)) and lowest <= int(text) <= highest):
        raise ValueInvalid(f"{name} must be a whole number from {lowest} to {highest}.", field=name)
    return int(text)


def number(query: Mapping[str, str], name: str) -> str | None:
    """A phone number in E.164, None when it is not there. Raises PhoneNumberInvalid."""
    text = query.get(name)
    # In a query string "+" means a space; a number that lost its plus that way is still meant.
    return PhoneNumber.parse(text.replace(" ", "+", 1), field=name).e164 if text is not None else None


def time(query: Mapping[str, str], name: str) -> datetime | None:
    """A time with its offset, in UTC, None when it is not there. Raises ValueInvalid."""
    text = query.get(name)
    if text is None:
        return None
    if (moment := to_time(text)) is None:
        raise ValueInvalid(f"{name} must be a time with its offset, such as 2026-11-20T09:00:00Z.", field=name)
    return moment


def to_time(text: str) -> datetime | None:
    """A time with its offset, in UTC; None when the text is none."""
    try:
        # An offset that lost its plus is still meant, too.
        moment = datetime.fromisoformat(text.replace(" ", "+"))
        return moment.astimezone(UTC) if moment.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None
