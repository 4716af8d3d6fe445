"""A body against a dialect's pydantic model: every field that does not fit becomes one entry of a FieldsInvalid.

Which fields there are and in which order they are missed is each dialect's own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Annotated, Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, ValidationError
from pydantic_core import PydanticCustomError

from dialplane.domain.errors import FieldMissing, FieldsInvalid

_ERRORS_SHOWN_MAX = 20
_DIGITS = re.compile("[0-9]{1,18}")
_PUBLIC_ID_LENGTH_MAX = 200

IntegerId = Annotated[int, Field(ge=1, le=2**63 - 1)]


def _assistant_id(value: Any) -> int | str:
    """A text of digits is the integer id, as of a client that keeps all its ids as texts."""
    if isinstance(value, str) and not _DIGITS.fullmatch(value):
        if 1 <= len(value) <= _PUBLIC_ID_LENGTH_MAX and value.isprintable():
            return value
    elif isinstance(value, int | str) and not isinstance(value, bool) and 1 <= int(value) < 2**63:
        return int(value)
    raise PydanticCustomError("assistant_id", "Input should be an integer id, or a public id as text")


AssistantId = Annotated[int | str, PlainValidator(_assistant_id, json_schema_input_type=int | str)]
"""An assistant by its integer id or by its public one."""


class Body(BaseModel):
    """A body or a part of one. Types are strict, ``"123"`` and ``true`` are no integers, and a typo is no new field."""

    model_config = ConfigDict(strict=True, extra="forbid")


_AnyBody = TypeVar("_AnyBody", bound=Body)


def validated(model: type[_AnyBody], body: Mapping[str, Any]) -> _AnyBody:
    """The body as its model. Raises FieldsInvalid with entries as FastAPI words them.

    An entry is ``{type, loc, msg, input}``, with ``loc`` beginning at ``"body"``.
    """
    try:
        return model.model_validate(body)
    except ValidationError as invalid:
        raise FieldsInvalid([_entry(model, error) for error in invalid.errors()[:_ERRORS_SHOWN_MAX]]) from invalid


def require(body: Mapping[str, Any], *fields: str) -> None:
    """Raise FieldMissing for the first of the fields that is absent, null or blank."""
    for field in fields:
        if is_blank(body.get(field)):
            raise FieldMissing(field)


def is_blank(value: object) -> bool:
    """True for what says nothing: null and texts of white space."""
    return value is None or (isinstance(value, str) and not value.strip())


def _entry(model: type[Body], error: Mapping[str, Any]) -> dict[str, Any]:
    entry = {"type": error["type"], "loc": ["body", *error["loc"]], "msg": error["msg"], "input": error["input"]}
    if error["type"] == "extra_forbidden":
        fields = _fields_at(model, error["loc"][:-1])
        similar = get_close_matches(str(error["loc"][-1]), fields, n=1)
        hint = f' Did you mean "{similar[0]}"?' if similar else ""
        return entry | {"msg": f"Unknown field.{hint} Known fields: {', '.join(fields)}."}
    return entry


def _fields_at(model: type[Body], path: Sequence[int | str]) -> list[str]:
    for name in path:
        if isinstance(name, str):  # a position in a list leads to no other model than the list itself
            model = _body_in(model.model_fields[name].annotation) or model
    return list(model.model_fields)


def _body_in(annotation: Any) -> type[Body] | None:
    if isinstance(annotation, type) and issubclass(annotation, Body):
        return annotation
    return next(filter(None, map(_body_in, get_args(annotation))), None)
