"""Every numbered line of the seeds' contract has a test with its number in its name, or a reason why it has none."""

from __future__ import annotations

import ast
import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
# How many lines each seed's checklist has.
LINES = {0: 13, 1: 25, 2: 35, 3: 25, 4: 18}
WEBHOOKS = "Belongs to the webhooks to customers: there are none yet."
CAMPAIGNS = "Belongs to campaigns: there are none yet."
NOT_TESTED = {
    (1, 25): WEBHOOKS,
    (2, 29): "Tells the faults of the seed's own Telnyx code; what Telnyx' events do here is in test_telnyx_events.",
    (2, 31): WEBHOOKS,
    (2, 35): CAMPAIGNS,
    (3, 24): WEBHOOKS,
    (3, 25): CAMPAIGNS,
    (4, 16): "A setting of ElevenLabs' agents; a call that fails for it is told as any refusal (S4.9).",
}


def numbers_in_names() -> set[tuple[int, int]]:
    """The numbers in the names of all tests: ``test_s1_08_s1_09_…`` has two."""
    names = [
        node.name
        for path in TESTS.rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    ]
    found = (re.findall(r"(?<=_)s([0-9])_([0-9]{1,2})(?=_)", name) for name in names)
    return {(int(seed), int(line)) for numbers in found for seed, line in numbers}


def test_every_number_has_a_test_or_a_reason() -> None:
    lines = {(seed, line) for seed, count in LINES.items() for line in range(1, count + 1)}
    assert lines - numbers_in_names() - set(NOT_TESTED) == set()


def test_no_number_has_both() -> None:
    assert numbers_in_names() & set(NOT_TESTED) == set()


def test_every_number_is_one_of_the_contract() -> None:
    assert {
        (seed, line) for seed, line in numbers_in_names() | set(NOT_TESTED) if not 1 <= line <= LINES.get(seed, 0)
    } == set()
