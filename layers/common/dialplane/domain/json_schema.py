"""The part of JSON Schema that tools' arguments and analyses are described with, and what a value breaks of it.

Understood are type, enum, const, properties, required, additionalProperties (true or false), items (one schema), anyOf
and the bounds of numbers, lengths and counts. What else a schema says (title, description, format, pattern, …) is for
whoever reads it and judges nothing: a pattern of a customer's would be code that runs here. ``$ref`` is refused,
because nothing would be checked behind it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from dialplane.domain.errors import ConfigurationInvalid

DEPTH_MAX = 10
LENGTH_MAX = 8_192
"""Of a schema as JSON text: a model reads it again with every request."""


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_TYPES: Mapping[str, Callable[[Any], bool]] = {
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: _is_number(value) and value == value // 1,  # 2.0 is an integer in JSON
    "number": _is_number,
    "boolean": lambda value: isinstance(value, bool),
    "object": lambda value: isinstance(value, Mapping),
    "array": lambda value: isinstance(value, list | tuple),
    "null": lambda value: value is None,
}
# Which values a bound is about, what of them is measured, and on which side of the bound they must be.
_BOUNDS: Mapping[str, tuple[str, Callable[[Any], Any], bool]] = {
    "minimum": ("number", lambda value: value, True),
    "maximum": ("number", lambda value: value, False),
    "minLength": ("string", len, True),
    "maxLength": ("string", len, False),
    "minItems": ("array", len, True),
    "maxItems": ("array", len, False),
}


def check_schema(schema: object, *, param: str) -> None:
    """Refuse what is no schema of an object in the part that is understood. Raises ConfigurationInvalid.

    ``param`` names the setting it is in, and what is within it with dots.
    """
    try:
        length = len(json.dumps(schema, ensure_ascii=False))
    except (TypeError, ValueError, RecursionError):
        length = None
    if length is None or length > LENGTH_MAX:
        raise ConfigurationInvalid(
            f"{param} must be a JSON schema of at most {LENGTH_MAX:,} characters as JSON.", param=param
        )
    if not isinstance(schema, Mapping) or schema.get("type") != "object":
        raise ConfigurationInvalid(f'{param} must be a JSON schema of the type "object".', param=param)
    _check(schema, param, 1)


def _check(schema: object, param: str, depth: int) -> None:
    def refuse(what: str) -> ConfigurationInvalid:
        return ConfigurationInvalid(f"{param} {what}.", param=param)

    if depth > DEPTH_MAX:
        raise refuse(f"is nested deeper than {DEPTH_MAX} levels")
    if not isinstance(schema, Mapping):
        raise refuse("must be a JSON schema, which is an object")
    if "$ref" in schema:
        raise refuse("has a $ref. Write out what it refers to")
    types = schema.get("type", [])
    if any(each not in _TYPES for each in ([types] if not isinstance(types, list) else types) if _is_hashable(each)):
        raise refuse(f"has a type that is not one of {', '.join(_TYPES)}")
    if not (isinstance(types, str) or (isinstance(types, list) and all(isinstance(each, str) for each in types))):
        raise refuse("has a type that is neither a text nor a list of texts")
    if not isinstance(schema.get("enum", [None]), list) or schema.get("enum") == []:
        raise refuse("has an enum that is no list of values")
    required = schema.get("required", [])
    if not isinstance(required, list) or not all(isinstance(name, str) for name in required):
        raise refuse("has a required that is no list of names")
    if not isinstance(schema.get("additionalProperties", True), bool):
        raise refuse("has an additionalProperties that is neither true nor false")
    for bound in _BOUNDS:
        if not _is_number(schema.get(bound, 0)):
            raise refuse(f"has a {bound} that is no number")
    for where, inner in _inner_schemas(schema, refuse):
        _check(inner, f"{param}.{where}", depth + 1)


def _is_hashable(value: object) -> bool:
    return not isinstance(value, list | dict)


def _inner_schemas(
    schema: Mapping[str, Any], refuse: Callable[[str], ConfigurationInvalid]
) -> Iterator[tuple[str, object]]:
    properties = schema.get("properties", {})
    if not isinstance(properties, Mapping):
        raise refuse("has properties that are no object")
    for name, inner in properties.items():
        yield f"properties.{name}", inner
    if "items" in schema:
        yield "items", schema["items"]
    options = schema.get("anyOf", [{}])
    if not isinstance(options, list) or not options:
        raise refuse("has an anyOf that is no list of schemas")
    if "anyOf" in schema:
        for index, inner in enumerate(options):
            yield f"anyOf.{index}", inner


def problem_with(value: Any, schema: Mapping[str, Any], *, name: str) -> str | None:
    """What is wrong with a value, in words that name the place and never the value; None when nothing is.

    The schema is one that ``check_schema`` has let through; ``name`` is what the whole value is called.
    """
    return next(_problems(value, schema, name), None)


def _problems(value: Any, schema: Mapping[str, Any], name: str) -> Iterator[str]:
    types = schema.get("type", [])
    types = [types] if isinstance(types, str) else types
    if types and not any(_TYPES[each](value) for each in types):
        yield f"{name} must be of the type {' or '.join(types)}"
        return
    if "enum" in schema and not any(_is_same(value, each) for each in schema["enum"]):
        yield f"{name} is none of the values that it may have"
    if "const" in schema and not _is_same(value, schema["const"]):
        yield f"{name} is not the one value that it may have"
    if "anyOf" in schema and all(problem_with(value, each, name=name) for each in schema["anyOf"]):
        yield f"{name} fits none of its schemas"
    for bound, (of_type, measure, is_least) in _BOUNDS.items():
        if bound in schema and _TYPES[of_type](value):
            measured, limit = measure(value), schema[bound]
            if measured < limit if is_least else measured > limit:
                yield f"{name} is beyond its {bound}, {limit}"
    if isinstance(value, Mapping):
        yield from _object_problems(value, schema, name)
    if "items" in schema and isinstance(value, list | tuple):
        for index, each in enumerate(value):
            yield from _problems(each, schema["items"], f"{name}.{index}")


def _object_problems(value: Mapping[str, Any], schema: Mapping[str, Any], name: str) -> Iterator[str]:
    properties: Mapping[str, Any] = schema.get("properties", {})
    for required in schema.get("required", []):
        if required not in value:
            yield f"{name}.{required} is missing"
    for each, inner in properties.items():
        if each in value:
            yield from _problems(value[each], inner, f"{name}.{each}")
    if schema.get("additionalProperties", True) is False and set(value) - set(properties):
        yield f"{name} has entries that it may not have"


def _is_same(left: Any, right: Any) -> bool:
    # In Python true is 1; in JSON it is not.
    return isinstance(left, bool) == isinstance(right, bool) and bool(left == right)
