"""Reading single fields of a request without a model: query parameters, and flat bodies of texts.

What is read here is checked for its form only; what it means belongs to the use cases.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from dialplane.domain.errors import FieldsInvalid, ValueInvalid
from dialplane.domain.phone_numbers import PhoneNumber
from dialplane.domain.templates import check_text

REASON_LENGTH_MAX = 500
_ERRORS_SHOWN_MAX = 20


def known_query(query: Mapping[str, str], *names: str) -> dict[str, str]:
    """The query parameters. Raises ValueInvalid for one that is not among ``names``."""
    if unknown := sorted(set(query) - set(names)):
        known = f" Known: {', '.join(names)}." if names else " There are none."
        raise ValueInvalid(f"Unknown query parameters: {', '.join(unknown)}.{known}")
    return dict(query)


def integer(text: str | None, field: str, *, lowest: int, highest: int) -> int | None:
    """A whole number within bounds."""
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(highest)) and lowest <= int(text) <= highest):
        raise ValueInvalid(f"{field} must be a whole number from {lowest} to {highest}.", field=field)
    return int(text)


def number(text: str | None, field: str) -> str | None:
    """A phone number in E.164."""
    # In a query string "+" means a space; a number that lost its plus that way is still meant.
    return PhoneNumber.parse(text.replace(" ", "+", 1), field=field).e164 if text is not None else None


def time(text: str | None, field: str) -> datetime | None:
    """A time with its offset, in UTC."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text.replace(" ", "+"))
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise ValueInvalid(f"{field} must be a time with its offset, such as 2026-11-20T09:00:00Z.", field=field)


def text_fields(
    body: Mapping[str, Any], *, required: tuple[str, ...] = (), optional: tuple[str, ...] = ()
) -> dict[str, str]:
    """The fields of a flat body of texts; null counts as absent where a field is optional. Raises FieldsInvalid."""
    errors = [_error("missing", name, "Field required", None) for name in required if name not in body]
    for name, value in body.items():
        if name not in (*required, *optional):
            known = ", ".join((*required, *optional))
            errors.append(_error("extra_forbidden", name, f"Unknown field. Known fields: {known}.", value))
        elif not isinstance(value, str) and not (value is None and name in optional):
            errors.append(_error("string_type", name, "Input should be a valid string", value))
    if errors:
        raise FieldsInvalid(errors[:_ERRORS_SHOWN_MAX])
    return {name: value for name, value in body.items() if value is not None}


def _error(kind: str, name: str, message: str, value: Any) -> dict[str, Any]:
    return {"type": kind, "loc": ["body", name], "msg": message, "input": value}


def sentence(text: str | None, field: str) -> str | None:
    """A short text that people read. Raises ValueInvalid."""
    if text is None:
        return None
    if len(text) > REASON_LENGTH_MAX:
        raise ValueInvalid(f"{field} is too long: at most {REASON_LENGTH_MAX} characters are allowed.", field=field)
    check_text(text, field=field)
    return text
