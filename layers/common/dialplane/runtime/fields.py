"""Reading a flat body of texts without a model.

What is read here is checked for its form only; what it means belongs to the use cases.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dialplane.domain.errors import FieldsInvalid, ValueInvalid
from dialplane.domain.templates import check_text

REASON_LENGTH_MAX = 500
_ERRORS_SHOWN_MAX = 20


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
