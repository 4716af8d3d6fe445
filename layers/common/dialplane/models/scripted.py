"""The model that follows a script: the same answers to the same words, for demonstrations, tests and simple calls.

A script has steps, and a call is always at one of them. It begins at ``start``, whose words are the assistant's first
message. Whenever the callee has said something, the first of the step's ``replies`` with a phrase of it (``when``, in
whole words, in any case) says which step is ``next``; when none has, ``otherwise`` does, or the call stays where it is.
The new step is what is answered: it may ``say`` a line, use a ``tool`` with ``arguments``, and be the ``outcome`` of
the call. With ``then`` the call moves on once the tool has a result. ``note``, beside the steps, is the line for what
the customer's software tells during the call; ``{{ note }}`` in it is what was told.

Nothing is remembered: the place is found anew each time by walking from the start through all that was said. What a
script may be is checked in ``domain.llm_config``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from dialplane.domain.conversations import ends_call
from dialplane.domain.errors import DialplaneError
from dialplane.domain.language_model import ModelFailed, ModelRequest, ToolCall
from dialplane.domain.prompting import is_note
from dialplane.domain.templates import render

_YES = ("yes", "yeah", "yep", "sure", "okay", "ok", "of course", "certainly", "gladly", "please do", "go ahead")
_NO = ("no", "nope", "not interested", "not now", "never", "rather not")
POLITE: Mapping[str, Any] = {
    "start": "greeting",
    "note": "I have just been told: {{ note }}",
    "steps": {
        "greeting": {
            "replies": [{"when": _NO, "next": "declined"}, {"when": _YES, "next": "agreed"}],
            "otherwise": "question",
        },
        "question": {
            "say": "Thank you for telling me. May I take that as a yes?",
            "replies": [{"when": _NO, "next": "declined"}, {"when": _YES, "next": "agreed"}],
            "otherwise": "unclear",
        },
        "agreed": {"say": "Wonderful, thank you. Goodbye.", "tool": "end_call", "outcome": "agreed"},
        "declined": {
            "say": "I understand. Thank you for your time. Goodbye.",
            "tool": "end_call",
            "outcome": "declined",
        },
        "unclear": {"say": "Thank you, I have noted that. Goodbye.", "tool": "end_call", "outcome": "unclear"},
    },
}
"""The script of an assistant that has none: one question, and a farewell."""

_SENTENCE = re.compile(r".+?(?:[.!?]\s+|$)", re.DOTALL)


class ScriptedModel:
    """Follows one script; ``variables`` fill its lines."""

    def __init__(self, script: Mapping[str, Any] | None, variables: Mapping[str, Any]) -> None:
        self._script = POLITE if script is None else script
        self._variables = variables

    def stream(self, request: ModelRequest) -> Iterator[str | ToolCall]:
        """The answer, sentence by sentence; ``LanguageModel`` says more.

        Asked for a form (``response_schema``) it fills in what ``_filled`` can tell.
        """
        try:
            if request.response_schema is None:
                answer = self._answer(request)
            else:
                answer = [json.dumps(_filled(request.response_schema, "", self._facts(request)), ensure_ascii=False)]
        except (LookupError, TypeError, ValueError, AttributeError):
            raise ModelFailed("its script is none") from None
        except DialplaneError as error:
            raise ModelFailed(f"a line of its script cannot be filled ({error.code})") from None
        yield from answer

    def _answer(self, request: ModelRequest) -> list[str | ToolCall]:
        walk = _Walk(self._script)
        has_moved, note = False, ""
        for message in request.messages:
            note = ""
            if message.role == "tool":
                has_moved = walk.go_on()
            elif message.role == "user" and is_note(message):
                note = message.text.partition(">")[2].rpartition("<")[0]
            elif message.role == "user":
                walk.hear(message.text)
                has_moved = True
        if note and (line := self._script.get("note") or (None if walk.step.get("say") else POLITE["note"])):
            return [*_sentences(line, {"note": note})]
        if request.messages and request.messages[-1].role == "tool" and not has_moved:
            return []  # it said all that it has to say when it used the tool
        said = _sentences(walk.step.get("say") or "", self._variables)
        if (tool := walk.step.get("tool")) is None:
            return [*said]
        return [*said, ToolCall(f"step_{walk.moves}", tool, walk.step.get("arguments") or {})]

    def _facts(self, request: ModelRequest) -> Mapping[str, Any]:
        from dialplane.domain.analysis import spoken_in  # noqa: PLC0415 - no callee waits for an analysis

        walk = _Walk(self._script)
        heard = [text for speaker, text in spoken_in(request) if speaker == "callee"]
        for text in heard:
            walk.hear(text)
        while walk.go_on():  # a tool's results are in no transcript
            pass
        times = "once" if len(heard) == 1 else f"{len(heard)} times"
        summary = f"The callee spoke {times}."
        if walk.outcome is not None:
            summary += f" The outcome: {walk.outcome}."
        return {"summary": summary, "outcome": walk.outcome, "turns": len(heard)}


class _Walk:
    """Where in a script a call is."""

    def __init__(self, script: Mapping[str, Any]) -> None:
        self._steps: Mapping[str, Any] = script["steps"]
        self.step: Mapping[str, Any] = self._steps[script["start"]]
        self.outcome: str | None = self.step.get("outcome")
        self.moves = 0
        self._went_on = 0

    def hear(self, text: str) -> None:
        """The callee has said something."""
        while self.go_on():  # whose result was lost
            pass
        self._went_on = 0
        ways = [reply["next"] for reply in self.step.get("replies") or () if ends_call(text, reply["when"])]
        way = ways[0] if ways else self.step.get("otherwise")
        self._move(self.step if way is None else self._steps[way])

    def go_on(self) -> bool:
        """The step's tool has a result. False when that leads nowhere."""
        way = self.step.get("then") if self.step.get("tool") is not None else None
        # Steps that lead round in a circle by themselves end somewhere.
        if way is None or self._went_on == len(self._steps):
            return False
        self._went_on += 1
        self._move(self._steps[way])
        return True

    def _move(self, step: Mapping[str, Any]) -> None:
        self.step = step
        self.moves += 1
        self.outcome = step.get("outcome") or self.outcome


def _sentences(line: str, variables: Mapping[str, Any]) -> list[str]:
    return _SENTENCE.findall(render(line, variables, field="script").strip())


def _filled(schema: Mapping[str, Any], name: str, facts: Mapping[str, Any]) -> Any:  # noqa: PLR0911 - one for each type
    """An instance of a schema that claims nothing that a script cannot tell.

    It tells ``summary``, ``outcome`` and ``turns`` under these names, the outcome where an enum has it, and yes where
    a boolean is named like it. Everything else is null where it may be, and otherwise empty, zero or no.
    """
    from dialplane.domain.json_schema import problem_with  # noqa: PLC0415 - no callee waits for an analysis

    if facts.get(name) is not None and problem_with(facts[name], schema, name=name) is None:
        return facts[name]
    if "const" in schema:
        return schema["const"]
    values = schema.get("enum")
    if values:
        return next((each for each in (facts["outcome"], None) if each in values), values[0])
    if "anyOf" in schema:
        return _filled(schema["anyOf"][0], name, facts)
    types = schema.get("type", [])
    types = [types] if isinstance(types, str) else types
    if "object" in types:
        return {each: _filled(inner, each, facts) for each, inner in schema.get("properties", {}).items()}
    if "boolean" in types:
        return name == facts["outcome"]
    if "null" in types or not types:
        return None
    if "array" in types:
        return []
    return "" if "string" in types else max(0, schema.get("minimum", 0))
