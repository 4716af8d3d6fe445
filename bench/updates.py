"""What an UpdateItem makes of an item: DynamoDB's update expressions, as far as the subjects use them.

No condition is looked at. What an expression adds to and the item does not have counts as nothing.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

AttributeMap = dict[str, dict[str, Any]]

_TOKEN = re.compile(r"[#:\w]+|[=+\-(),]")
_CLAUSES = frozenset({"SET", "REMOVE", "ADD", "DELETE"})


@dataclass(frozen=True, slots=True)
class _Scope:
    """What the words of an expression stand for."""

    item: AttributeMap
    names: Mapping[str, str]
    values: AttributeMap

    def name(self, word: str) -> str:
        return self.names.get(word, word)


_Operand = Callable[[_Scope], Any]
"""An attribute value, or None where the item has none."""


def _nothing(scope: _Scope) -> Any:
    """The operand of a clause that has none."""


@dataclass(frozen=True, slots=True)
class _Action:
    clause: str
    target: str
    operand: _Operand = _nothing


def updated(item: AttributeMap, request: Mapping[str, Any]) -> AttributeMap:
    """Return the item as the request's UpdateExpression leaves it. Raises ValueError for one that is not understood."""
    scope = _Scope(item, request.get("ExpressionAttributeNames", {}), request.get("ExpressionAttributeValues", {}))
    after = dict(item)
    for action in _parsed(request.get("UpdateExpression", "")):
        name = scope.name(action.target)
        value = action.operand(scope)
        match action.clause:
            case "SET":
                after[name] = value
            case "REMOVE":
                after.pop(name, None)
            case "ADD":
                after[name] = _sum(item.get(name), value)
            case "DELETE":
                after.pop(name, None)
                if left := _without(item.get(name), value):
                    after[name] = {"SS": left}
    return after


@lru_cache(maxsize=256)
def _parsed(expression: str) -> tuple[_Action, ...]:
    tokens = _TOKEN.findall(expression)
    actions = []
    clause = ""
    while tokens:
        if tokens[0] in _CLAUSES:
            clause = tokens.pop(0)
        target = tokens.pop(0)
        if clause == "SET":
            _expect(tokens, "=")
            actions.append(_Action(clause, target, _read_sum(tokens)))
        else:
            actions.append(_Action(clause, target, _nothing if clause == "REMOVE" else _read_operand(tokens)))
        if tokens and tokens[0] == ",":
            tokens.pop(0)
    return tuple(actions)


def _expect(tokens: list[str], wanted: str) -> None:
    if not tokens or tokens.pop(0) != wanted:
        raise ValueError(f"bench/updates.py expects {wanted} here, before {' '.join(tokens)}")


def _read_sum(tokens: list[str]) -> _Operand:
    left = _read_operand(tokens)
    if not tokens or tokens[0] not in {"+", "-"}:
        return left
    is_added = tokens.pop(0) == "+"
    right = _read_operand(tokens)
    return lambda scope: _sum(left(scope), right(scope), factor=1 if is_added else -1)


def _read_operand(tokens: list[str]) -> _Operand:
    word = tokens.pop(0)
    if word.startswith(":"):
        return lambda scope: scope.values[word]
    if not tokens or tokens[0] != "(":
        return lambda scope: scope.item.get(scope.name(word))
    _expect(tokens, "(")
    first = _read_sum(tokens)
    _expect(tokens, ",")
    second = _read_sum(tokens)
    _expect(tokens, ")")
    if word == "if_not_exists":
        return lambda scope: first(scope) or second(scope)
    if word == "list_append":
        return lambda scope: {"L": [*(first(scope) or {"L": []})["L"], *second(scope)["L"]]}
    raise ValueError(f"bench/updates.py knows no function {word}")


def _sum(one: Mapping[str, Any] | None, other: Mapping[str, Any], *, factor: int = 1) -> dict[str, Any]:
    if "SS" in other:
        return {"SS": sorted({*(one or other)["SS"], *other["SS"]})}
    return {"N": str(int((one or {"N": "0"})["N"]) + factor * int(other["N"]))}


def _without(one: Mapping[str, Any] | None, other: Mapping[str, Any]) -> list[str]:
    return sorted(set((one or {"SS": []})["SS"]) - set(other["SS"]))
