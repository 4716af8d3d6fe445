"""The messages of a conversation in the one order that every model takes.

Models want the other side to speak first and last, nobody twice in a row, and each use of a tool followed by its
result; conversations on the phone are not like that: we speak first, callees interrupt, results are lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from dialplane.domain.language_model import Message

# In parentheses, as stage directions are: somebody must have spoken, and nobody has.
CALL_ANSWERED = "(The call was answered.)"
NOTHING_SAID = "(Nothing was said.)"
NO_RESULT = "(There is no result.)"


def in_order(messages: Iterable[Message], *, has_tools: bool) -> list[Message]:
    """Messages that begin and end with the user's or a tool's, alternate, and have a result for each use of a tool.

    Neighbours of one side become one message, and the uses of tools are numbered anew: what one model takes for an id
    another one refuses. Without tools to offer nothing of tools is left, because models refuse what they cannot use.
    """
    ordered: list[Message] = []
    for message in messages:
        _add(ordered, message if has_tools else replace(message, tool_calls=()), has_tools=has_tools)
    _complete(ordered)
    if not ordered or ordered[0].role == "assistant":
        ordered.insert(0, Message("user", CALL_ANSWERED))
    if ordered[-1].role == "assistant":
        ordered.append(Message("user", NOTHING_SAID))
    return list(_numbered(ordered))


def _add(ordered: list[Message], message: Message, *, has_tools: bool) -> None:
    text = message.text.strip()
    if message.role == "tool":
        if has_tools and message.tool_call_id in _open_uses(ordered):
            ordered.append(replace(message, text=text or NO_RESULT))
        return
    if not text and not message.tool_calls:
        return
    last = ordered[-1] if ordered else None
    if last is not None and last.role == message.role and not last.tool_calls:
        text = f"{last.text}\n{text}".strip()
        ordered[-1] = replace(last, text=text, tool_calls=message.tool_calls)
        return
    _complete(ordered)
    ordered.append(replace(message, text=text))


def _complete(ordered: list[Message]) -> None:
    """Give every use of a tool that has no result one that says so."""
    ordered.extend(Message("tool", NO_RESULT, tool_call_id=each) for each in _open_uses(ordered))


def _numbered(ordered: Iterable[Message]) -> Iterator[Message]:
    number = 0
    numbers: dict[str | None, str] = {}
    for message in ordered:
        calls = []
        for call in message.tool_calls:
            number += 1
            numbers[call.id] = f"{number:09d}"  # nine letters or digits: Mistral takes no other
            calls.append(replace(call, id=numbers[call.id]))
        is_result = message.role == "tool"
        identity = numbers[message.tool_call_id] if is_result else None
        yield replace(message, tool_calls=tuple(calls), tool_call_id=identity)


def _open_uses(ordered: list[Message]) -> list[str]:
    """The ids of the last uses of tools that have no result yet."""
    results: set[str | None] = set()
    for message in reversed(ordered):
        if message.role == "tool":
            results.add(message.tool_call_id)
        else:
            return [call.id for call in message.tool_calls if call.id not in results]
    return []
