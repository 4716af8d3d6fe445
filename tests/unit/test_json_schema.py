"""The part of JSON Schema that is understood is judged as a validator of the whole of it judges."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialplane.domain.errors import ConfigurationInvalid
from dialplane.domain.json_schema import DEPTH_MAX, LENGTH_MAX, check_schema, problem_with

ORDER = {
    "type": "object",
    "description": "An order.",
    "properties": {
        "number": {"type": "integer", "minimum": 1, "maximum": 99},
        "state": {"enum": ["open", "closed", 1, None]},
        "lines": {
            "type": "array",
            "minItems": 1,
            "maxItems": 2,
            "items": {
                "type": "object",
                "properties": {"name": {"type": "string", "maxLength": 3}},
                "required": ["name"],
            },
        },
        "note": {"type": ["string", "null"], "minLength": 1},
        "price": {"anyOf": [{"type": "number"}, {"const": "free"}]},
    },
    "required": ["number"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ({"number": 1}, None),
        ({"number": 2.0, "state": None, "lines": [{"name": "abc", "more": 1}], "note": None, "price": "free"}, None),
        ({"number": 99, "state": 1, "price": 0.5}, None),
        ([], "order must be of the type object"),
        (None, "order must be of the type object"),
        ({}, "order.number is missing"),
        ({"number": "SECRET"}, "order.number must be of the type integer"),
        ({"number": True}, "order.number must be of the type integer"),
        ({"number": 1.5}, "order.number must be of the type integer"),
        ({"number": 0}, "order.number is beyond its minimum, 1"),
        ({"number": 100}, "order.number is beyond its maximum, 99"),
        ({"number": 1, "state": "SECRET"}, "order.state is none of the values that it may have"),
        ({"number": 1, "state": True}, "order.state is none of the values that it may have"),
        ({"number": 1, "lines": []}, "order.lines is beyond its minItems, 1"),
        ({"number": 1, "lines": [{"name": "a"}] * 3}, "order.lines is beyond its maxItems, 2"),
        ({"number": 1, "lines": [{"name": "a"}, {}]}, "order.lines.1.name is missing"),
        ({"number": 1, "lines": [{"name": "SECRET"}]}, "order.lines.0.name is beyond its maxLength, 3"),
        ({"number": 1, "note": ""}, "order.note is beyond its minLength, 1"),
        ({"number": 1, "note": 7}, "order.note must be of the type string or null"),
        ({"number": 1, "price": "SECRET"}, "order.price fits none of its schemas"),
        ({"number": 1, "SECRET": 1}, "order has entries that it may not have"),
    ],
    ids=str,
)
def test_a_problem_is_told_by_its_place_and_never_by_the_value(value: Any, problem: str | None) -> None:
    check_schema(ORDER, param="schema")
    assert problem_with(value, ORDER, name="order") == problem
    assert jsonschema.Draft202012Validator(ORDER).is_valid(value) == (problem is None)


_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-2, 3)
    | st.sampled_from([0.5, 1.0, 2.0])
    | st.sampled_from(["", "a", "abc"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=5,
)
_TYPES = st.sampled_from(["string", "integer", "number", "boolean", "object", "array", "null"])
_BOUND = st.integers(0, 2)
_SCHEMAS = st.recursive(
    st.fixed_dictionaries(
        {},
        optional={
            "type": _TYPES | st.lists(_TYPES, min_size=1, max_size=2),
            "enum": st.lists(_VALUES, min_size=1, max_size=2),
            "const": _VALUES,
            "minimum": _BOUND,
            "maxLength": _BOUND,
            "minItems": _BOUND,
            "description": st.just("d"),
            "pattern": st.just("^("),
        },
    ),
    lambda inner: st.fixed_dictionaries(
        {"type": _TYPES},
        optional={
            "properties": st.dictionaries(st.sampled_from("abc"), inner, max_size=2),
            "required": st.lists(st.sampled_from("abc"), unique=True, max_size=2),
            "additionalProperties": st.booleans(),
            "items": inner,
            "anyOf": st.lists(inner, min_size=1, max_size=2),
        },
    ),
    max_leaves=4,
)


@given(_SCHEMAS, _VALUES)
def test_any_value_is_judged_as_a_validator_of_all_of_json_schema_judges_it(schema: dict[str, Any], value: Any) -> None:
    whole = {"type": "object", "properties": {"it": schema}}
    check_schema(whole, param="schema")
    judged = json.loads(json.dumps(whole).replace('"pattern": "^("', '"title": "x"'))
    expected = jsonschema.Draft202012Validator(judged).is_valid({"it": value})
    assert (problem_with({"it": value}, whole, name="it") is None) == expected


def nested(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(depth - 1):
        schema = {"type": "object", "properties": {"a": schema}}
    return schema


@pytest.mark.parametrize(
    ("schema", "param"),
    [
        (None, "s"),
        ([], "s"),
        ("object", "s"),
        ({}, "s"),
        ({"type": "array"}, "s"),
        ({"type": ["object"]}, "s"),
        ({"type": "object", "description": "x" * LENGTH_MAX}, "s"),
        ({"type": "object", "x": {1, 2}}, "s"),
        (nested(DEPTH_MAX + 1), "s" + ".properties.a" * DEPTH_MAX),
        ({"type": "object", "properties": []}, "s"),
        ({"type": "object", "properties": {"a": True}}, "s.properties.a"),
        ({"type": "object", "properties": {"a": {"type": "text"}}}, "s.properties.a"),
        ({"type": "object", "properties": {"a": {"type": ["string", "text"]}}}, "s.properties.a"),
        ({"type": "object", "properties": {"a": {"type": 7}}}, "s.properties.a"),
        ({"type": "object", "properties": {"a": {"type": {}}}}, "s.properties.a"),
        ({"type": "object", "properties": {"a": {"type": [["string"]]}}}, "s.properties.a"),
        ({"type": "object", "properties": {"a": {"$ref": "#/x"}}}, "s.properties.a"),
        ({"type": "object", "properties": {"a": {"enum": []}}}, "s.properties.a"),
        ({"type": "object", "properties": {"a": {"enum": "ab"}}}, "s.properties.a"),
        ({"type": "object", "properties": {"a": {"items": [{}]}}}, "s.properties.a.items"),
        ({"type": "object", "properties": {"a": {"anyOf": []}}}, "s.properties.a"),
        ({"type": "object", "properties": {"a": {"anyOf": [{}, 1]}}}, "s.properties.a.anyOf.1"),
        ({"type": "object", "required": "a"}, "s"),
        ({"type": "object", "required": [1]}, "s"),
        ({"type": "object", "additionalProperties": {}}, "s"),
        ({"type": "object", "properties": {"a": {"minimum": "1"}}}, "s.properties.a"),
        ({"type": "object", "properties": {"a": {"maxLength": True}}}, "s.properties.a"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_is_no_schema_is_refused_with_its_place(schema: Any, param: str) -> None:
    with pytest.raises(ConfigurationInvalid) as refused:
        check_schema(schema, param="s")
    assert refused.value.param == param
    assert refused.value.message.startswith(param)


def test_so_deep_and_no_deeper() -> None:
    check_schema(nested(DEPTH_MAX), param="s")


_ANYTHING = st.sampled_from(["type", "enum", "properties", "required", "items", "anyOf", "minimum"])


@given(st.dictionaries(_ANYTHING, _VALUES | st.dictionaries(_ANYTHING, _VALUES, max_size=2), max_size=3))
def test_anything_ends_in_a_yes_or_in_a_refusal(schema: Any) -> None:
    whole = {"type": "object", "properties": {"a": schema}}
    try:
        check_schema(whole, param="s")
    except ConfigurationInvalid:
        return
    problem_with({"a": {"a": [1, "x", None]}}, whole, name="v")
