"""Entities to DynamoDB items and back.

A dataclass is stored under its own field names; None is stored by absence (as NULL where absence means something
else), a field of ``Mapping[str, Any]`` as JSON text, because it may hold what DynamoDB has no exact value for. boto3's
serializer would do, but importing it costs more than everything else that a function loads.
"""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from functools import cache
from typing import Any, TypeVar

from dialplane.domain.times import from_text, to_text

AttributeValue = dict[str, Any]
Item = Mapping[str, AttributeValue]
T = TypeVar("T")


def encode(value: Any) -> AttributeValue:  # noqa: PLR0911 - one return for each type
    """One value as an attribute value. Raises TypeError for types that no entity has (floats among them)."""
    match value:
        case bool():
            return {"BOOL": value}
        case str():
            return {"S": str(value)}
        case int():
            return {"N": str(value)}
        case datetime():
            return {"S": to_text(value)}
        case Mapping():
            return {"M": {name: encode(entry) for name, entry in value.items() if entry is not None}}
        case frozenset() if value:
            return {"SS": sorted(value)}
        case list() | tuple():
            return {"L": [encode(entry) for entry in value]}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {"M": encode_fields(value)}
    raise TypeError(f"no attribute value for {type(value).__name__}")


def encode_fields(entity: Any) -> dict[str, AttributeValue]:
    """All fields of a dataclass but those that are None or an empty set, unless their default is something else."""
    hints = _hints(type(entity))  # type: ignore[arg-type] # every class is hashable
    emptied = _with_a_default(type(entity))  # type: ignore[arg-type]
    fields: dict[str, AttributeValue] = {}
    for name, hint in hints.items():
        value = getattr(entity, name)
        if value is not None and value != frozenset():
            fields[name] = encode(_json(value) if hint == _JSON else value)
        elif name in emptied:
            fields[name] = {"NULL": True}
    return fields


_JSON = Mapping[str, Any]


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def plain(value: AttributeValue) -> Any:
    """An attribute value as text, int, bool, set, list, dict or None."""
    ((kind, content),) = value.items()
    match kind:
        case "NULL":
            return None
        case "N":
            return int(content)
        case "SS":
            return frozenset(content)
        case "L":
            return [plain(entry) for entry in content]
        case "M":
            return {name: plain(entry) for name, entry in content.items()}
        case _:
            return content


def decode(entity_type: type[T], item: Item) -> T:
    """Rebuild a dataclass from an item; attributes that are no fields of it (keys, newer fields) are left out."""
    hints = _hints(entity_type)  # type: ignore[arg-type] # every class is hashable
    return entity_type(
        **{name: _typed(hint, plain(item[name])) for name, hint in hints.items() if name in item},
    )


@cache
def _hints(entity_type: type) -> dict[str, Any]:
    return {name: _unwrap(hint) for name, hint in typing.get_type_hints(entity_type).items()}


@cache
def _with_a_default(entity_type: type) -> frozenset[str]:
    """The fields that are something when nothing is said about them: for them nothing has to be said."""
    return frozenset(
        field.name
        for field in dataclasses.fields(entity_type)
        if field.default is not dataclasses.MISSING and field.default is not None and field.default != frozenset()
    )


def _unwrap(hint: Any) -> Any:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        (hint,) = (option for option in typing.get_args(hint) if option is not types.NoneType)
    return hint


def _typed(hint: Any, value: Any) -> Any:  # noqa: PLR0911 - one return for each type
    if value is None:
        return frozenset() if typing.get_origin(hint) is frozenset else None
    if hint == _JSON:
        return json.loads(value)
    if hint is datetime:
        return from_text(value)
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return hint(value)
    if typing.get_origin(hint) is tuple:
        return tuple(value)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        hints = _hints(hint)
        return hint(**{name: _typed(hints[name], entry) for name, entry in value.items() if name in hints})
    return value
