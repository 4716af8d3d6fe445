"""The order of messages that every model takes: any conversation, however it went, comes into it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dialplane.domain.language_model import Message, ToolCall
from dialplane.models.messages import CALL_ANSWERED, NO_RESULT, NOTHING_SAID, in_order


def user(text: str) -> Message:
    return Message("user", text)


def says(text: str, *calls: str) -> Message:
    return Message("assistant", text, tuple(ToolCall(each, f"tool_{each}") for each in calls))


def result(of: str, text: str = "done") -> Message:
    return Message("tool", text, tool_call_id=of)


def shape(messages: list[Message], *, has_tools: bool = True) -> list[str]:
    """Each message in a word or two."""
    return [
        f"{each.role} {each.text} {each.tool_call_id or ''}{','.join(call.id for call in each.tool_calls)}".strip()
        for each in in_order(messages, has_tools=has_tools)
    ]


def test_a_call_that_we_begin_and_nobody_has_said_anything_yet() -> None:
    assert shape([]) == [f"user {CALL_ANSWERED}"]
    assert shape([says("Hello.")]) == [f"user {CALL_ANSWERED}", "assistant Hello.", f"user {NOTHING_SAID}"]


def test_who_speaks_twice_in_a_row_has_said_one_thing() -> None:
    told = [user("Hello?"), user(" Who is it? "), says("Ada."), says("Here."), user("Ah.")]
    assert shape(told) == ["user Hello?\nWho is it?", "assistant Ada.\nHere.", "user Ah."]


def test_what_says_nothing_is_left_out() -> None:
    assert shape([user("a"), says("  "), user(""), user("b")]) == ["user a\nb"]


def test_tools_have_their_results_and_numbers_of_our_own() -> None:
    told = [
        user("a"),
        says("One moment.", "x", "y"),
        result("y", "2"),
        result("x", "1"),
        says("", "x"),
        result("x", "3"),
    ]
    assert shape(told) == [
        "user a",
        "assistant One moment. 000000001,000000002",
        "tool 2 000000002",
        "tool 1 000000001",
        "assistant  000000003",
        "tool 3 000000003",
    ]


def test_a_tool_without_a_result_gets_one_and_a_result_without_a_tool_is_left_out() -> None:
    told = [user("a"), result("?"), says("", "x"), user("b"), says("c", "y"), result("y"), result("y"), result("z")]
    assert shape(told) == [
        "user a",
        "assistant  000000001",
        f"tool {NO_RESULT} 000000001",
        "user b",
        "assistant c 000000002",
        "tool done 000000002",
    ]
    assert shape([user("a"), says("b", "x"), says("c"), user("d")])[1:] == [
        "assistant b 000000001",
        f"tool {NO_RESULT} 000000001",
        "assistant c",
        "user d",
    ]
    assert shape([user("a"), says("", "x")])[-1] == f"tool {NO_RESULT} 000000001"
    assert shape([user("a"), says("", "x"), result("x", " ")])[-1] == f"tool {NO_RESULT} 000000001"


def test_words_before_a_tool_stand_with_it_and_words_after_it_apart() -> None:
    told = [user("a"), says("One moment."), says("", "x"), result("x"), says("There."), user("b")]
    assert shape(told)[1:] == ["assistant One moment. 000000001", "tool done 000000001", "assistant There.", "user b"]


def test_without_tools_nothing_is_left_of_them() -> None:
    told = [user("a"), says("One moment.", "x"), result("x"), says("", "y"), result("y"), user("b")]
    assert shape(told, has_tools=False) == ["user a", "assistant One moment.", "user b"]


_IDS = st.sampled_from("xyz")
_MESSAGES = st.one_of(
    st.builds(user, st.sampled_from(["", " ", "a"])),
    st.builds(
        lambda text, calls: says(text, *calls), st.sampled_from(["", "b"]), st.lists(_IDS, unique=True, max_size=2)
    ),
    st.builds(result, _IDS, st.sampled_from(["", "c"])),
)


@given(st.lists(_MESSAGES, max_size=12), st.booleans())
def test_any_conversation_comes_into_the_order(told: list[Message], has_tools: bool) -> None:
    ordered = in_order(told, has_tools=has_tools)
    assert ordered[0].role == "user"
    assert ordered[-1].role != "assistant"
    owed: list[str] = []
    ids: set[str] = set()
    for before, each in zip([None, *ordered], ordered, strict=False):
        if each.role == "tool":
            owed.remove(str(each.tool_call_id))
            assert each.text
            continue
        assert not owed, "a tool's results follow it at once"
        assert each.text or each.tool_calls
        assert before is None or before.role in ("tool", {"user": "assistant", "assistant": "user"}[each.role])
        owed = [call.id for call in each.tool_calls]
        assert not ids & set(owed)
        ids |= set(owed)
    assert not owed
    if not has_tools:
        assert not ids
    said = [each for each in told if each.role != "tool" and each.text.strip()]
    assert sum(each.text.count("a") + each.text.count("b") for each in said) <= sum(len(each.text) for each in ordered)
    assert in_order(ordered, has_tools=has_tools) == ordered
