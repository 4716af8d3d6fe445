"""Who speaks: the precedence as a table, with every candidate and what became of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dialplane.domain.accounts import Assistant, CallerNumber, ConversationFlow
from dialplane.domain.resolution import Directory, Resolution, resolve

BASE = Assistant(1, "org_1", "Base", "Hello.")
ON_NUMBER = Assistant(2, "org_1", "On the number", "Hello.")
ASKED = Assistant(3, "org_1", "Asked for", "Hello.", public_id="asked")
TRANSIENT = Assistant(0, "", "Transient", "Hello.")
FLOW = ConversationFlow(7, "org_1", "Flow", 1, "relay", "wss://flows.example.test")
NUMBER = CallerNumber("+15551234567", "org_1", "twilio", "acct_1", assistant_id=2, flow_id=7)
ALL: dict[str, Any] = {"transient": None, "asked": None, "number": NUMBER, "default": None}
DIRECTORY = Directory({each.id: each for each in (BASE, ON_NUMBER, ASKED)}, {"asked": 3}, {7: FLOW})


def verdicts(resolution: Resolution) -> dict[str, str]:
    return {str(each.rule): str(each.verdict) for each in resolution.candidates}


@pytest.mark.parametrize(
    ("asked_for", "rule", "assistant_id", "expected"),
    [
        (
            {"asked": 3},
            "override",
            3,
            {"override": "chosen", "flow": "outranked", "number": "outranked"},
        ),
        ({"asked": "asked"}, "override", 3, {"override": "chosen", "flow": "outranked", "number": "outranked"}),
        ({}, "flow", 1, {"flow": "chosen", "number": "outranked"}),
        ({"number": replace(NUMBER, flow_id=None)}, "number", 2, {"number": "chosen"}),
        ({"number": None, "default": 1}, "default", 1, {"default": "chosen"}),
        ({"default": 1}, "default", 1, {"default": "chosen", "flow": "outranked", "number": "outranked"}),
        ({"asked": 3, "default": 1, "number": None}, "override", 3, {"override": "chosen", "default": "outranked"}),
        ({"number": None}, None, None, {}),
        ({"asked": 99}, "override", 99, {"override": "not_found", "flow": "outranked", "number": "outranked"}),
        ({"asked": "nobody"}, "override", None, {"override": "not_found", "flow": "outranked", "number": "outranked"}),
        (
            {"transient": TRANSIENT, "asked": 3},
            "transient",
            None,
            {"transient": "chosen", "override": "outranked", "flow": "outranked", "number": "outranked"},
        ),
    ],
)
def test_s2_7_the_precedence(
    asked_for: dict[str, Any], rule: str | None, assistant_id: int | None, expected: dict[str, str]
) -> None:
    resolution = resolve(DIRECTORY, **{**ALL, **asked_for})
    assert (resolution.rule, resolution.assistant_id) == (rule, assistant_id)
    assert verdicts(resolution) == expected


def test_a_flow_speaks_by_its_own_runtime_with_its_base_assistants_voice() -> None:
    resolution = resolve(DIRECTORY, **ALL)
    assert resolution.flow == FLOW
    assert resolution.assistant == replace(BASE, engine="relay", engine_url="wss://flows.example.test")


@pytest.mark.parametrize(("flows", "verdict"), [({}, "not_found"), ({7: replace(FLOW, is_active=False)}, "inactive")])
def test_a_flow_that_does_not_live_leaves_the_number_to_its_assistant(
    flows: dict[int, ConversationFlow], verdict: str
) -> None:
    resolution = resolve(replace(DIRECTORY, flows=flows), **ALL)
    assert resolution.assistant == ON_NUMBER
    assert verdicts(resolution) == {"flow": verdict, "number": "chosen"}


def test_a_flow_without_its_base_assistant_has_nobody_to_speak() -> None:
    resolution = resolve(replace(DIRECTORY, assistants={2: ON_NUMBER}), **ALL)
    assert (resolution.assistant, resolution.assistant_id) == (None, 1)
