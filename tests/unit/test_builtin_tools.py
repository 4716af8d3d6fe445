"""The tools that a model is offered, and what they may be used with."""

from __future__ import annotations

from typing import Any

import pytest

from dialplane.domain.builtin_tools import DIGITS, NAMES, customer_tools, offered, transfer_destinations
from dialplane.domain.conversation_settings import ConversationSettings
from dialplane.domain.json_schema import check_schema, problem_with

FUNCTION = {"name": "find_order", "description": "Finds it.", "parameters": {"type": "object", "properties": {"a": {}}}}
FIND_ORDER = {"type": "function", "function": FUNCTION, "server": {"url": "https://tools.example.com/"}}


def settings(*tools: dict[str, Any], **changes: Any) -> ConversationSettings:
    return ConversationSettings("Hello.", llm={"provider": "openai", "tools": list(tools)}, **changes)


def names(of: ConversationSettings) -> list[str]:
    return [tool.name for tool in offered(of)]


def test_a_callee_can_always_be_let_go_and_put_on_the_list() -> None:
    assert names(ConversationSettings("Hello.")) == ["end_call", "opt_out"]
    assert names(ConversationSettings("Hello.", llm={"tools": None})) == ["end_call", "opt_out"]


@pytest.mark.parametrize(
    ("tools", "changes", "expected"),
    [
        ([{"type": "end_call"}, {"type": "opt_out"}], {}, []),
        ([{"type": "press_digits"}], {}, ["press_digits"]),
        ([{"type": "transfer"}], {}, []),
        ([{"type": "transfer"}], {"transfer_number": "+15550001111"}, ["transfer"]),
        ([], {"transfer_number": "+15550001111"}, ["transfer"]),
        ([{"type": "transfer", "destinations": ["+15550001111"]}], {}, ["transfer"]),
        ([FIND_ORDER], {}, ["find_order"]),
        ([FIND_ORDER, {"type": "press_digits"}], {}, ["press_digits", "find_order"]),
    ],
    ids=str,
)
def test_the_others_are_offered_when_they_are_declared_and_can_be_used(
    tools: list[dict[str, Any]], changes: dict[str, Any], expected: list[str]
) -> None:
    assert names(settings(*tools, **changes)) == ["end_call", "opt_out", *expected]


def test_a_customers_tool_is_offered_as_it_is_declared() -> None:
    (tool,) = (each for each in offered(settings(FIND_ORDER)) if each.name == "find_order")
    assert (tool.description, tool.parameters) == ("Finds it.", FUNCTION["parameters"])
    bare = {"type": "function", "function": {"name": "ping"}, "server": {"url": "https://tools.example.com/"}}
    (tool,) = (each for each in offered(settings(bare)) if each.name == "ping")
    assert (tool.description, tool.parameters) == ("", {"type": "object", "properties": {}})


@pytest.mark.parametrize("name", NAMES)
def test_no_customers_tool_takes_the_place_of_one_of_the_platforms(name: str) -> None:
    impostor = {**FIND_ORDER, "function": {**FUNCTION, "name": name}}
    held = settings(impostor, transfer_number="+15550001111")
    assert customer_tools(held) == {}
    assert all(tool.description != "Finds it." for tool in offered(held))


def test_a_call_goes_to_declared_numbers_and_the_usual_one_first() -> None:
    tool = {"type": "transfer", "destinations": ["+15550002222", {"number": "+15550003333", "description": "sales"}]}
    held = settings(tool, transfer_number="+15550001111")
    assert transfer_destinations(held) == {"+15550001111": "", "+15550002222": "", "+15550003333": "sales"}
    transfer = next(each for each in offered(held) if each.name == "transfer")
    assert transfer.parameters["properties"]["destination"]["enum"] == list(transfer_destinations(held))
    assert "+15550003333 (sales)" in transfer.description


def test_every_tool_has_a_schema_that_can_be_checked_and_takes_what_it_describes() -> None:
    held = settings({"type": "press_digits"}, FIND_ORDER, transfer_number="+15550001111")
    arguments: dict[str, dict[str, Any]] = {
        "end_call": {"message": "Goodbye."},
        "transfer": {"destination": "+15550001111", "message": "One moment."},
        "press_digits": {"digits": "12w#"},
    }
    for tool in offered(held):
        check_schema(tool.parameters, param=tool.name)
        assert problem_with(arguments.get(tool.name, {}), tool.parameters, name="arguments") is None
        assert len(tool.description) > 5


@pytest.mark.parametrize(
    ("digits", "is_right"),
    [("1", True), ("0123456789*#w", True), ("w" * 32, True)]
    + [(each, False) for each in ("", "1" * 33, "1 2", "a", "+1", "\u0661", "1\n", "W")],
)
def test_keys_are_those_of_a_telephone(digits: str, *, is_right: bool) -> None:
    assert (DIGITS.fullmatch(digits) is not None) is is_right
