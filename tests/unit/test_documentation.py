"""The documents say what is so: codes, paths, targets and links are checked against the code and the tree."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from dialplane.dialects.registry import answers_of
from dialplane.domain import errors
from dialplane.domain.errors import DialplaneError
from dialplane.domain.instructions import Engine
from dialplane.domain.statuses import CallerNumberReason, CallStatus
from dialplane.runtime.problems import status_of
from tests.fakes.arrivals import ERRORS

ROOT = Path(__file__).parents[2]
# What a reader of the repository sees; a fresh clone has exactly these.
TRACKED = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
MARKDOWN = [Path(name) for name in TRACKED if name.endswith(".md")]


def _concrete(error_type: type[DialplaneError]) -> Iterator[type[DialplaneError]]:
    for each in error_type.__subclasses__():
        if each.__module__ == errors.__name__:
            if "code" in vars(each):
                yield each
            yield from _concrete(each)


@pytest.mark.parametrize("error_type", list(_concrete(DialplaneError)), ids=lambda each: each.code)
def test_every_error_code_is_in_the_catalogue_with_its_status(error_type: type[DialplaneError]) -> None:
    error = error_type.__new__(error_type)
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \|", (ROOT / "docs/errors.md").read_text(), re.MULTILINE)
    assert (error_type.code, str(status_of(error))) in rows


def test_the_catalogue_has_no_code_that_is_gone() -> None:
    rows = re.findall(r"^\| `(\w+)` \|", (ROOT / "docs/errors.md").read_text(), re.MULTILINE)
    assert set(rows) == {each.code for each in _concrete(DialplaneError)} | {"internal_error"}


_IN_DIALECTS = {
    code: dict(zip(("klen", "hms", "elevenlabs_tester"), cells, strict=True))
    for code, *cells in re.findall(
        r"^\| `(\w+)` \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$",
        (ROOT / "docs/errors.md").read_text().split("## In each dialect's words")[1],
        re.MULTILINE,
    )
}


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.code)
@pytest.mark.parametrize("dialect", ["klen", "hms", "elevenlabs_tester"])
def test_the_catalogue_says_what_a_dialect_makes_of_an_error(dialect: str, error: DialplaneError) -> None:
    said = _IN_DIALECTS.get(error.code, {}).get(dialect, "·").replace("<field>", "x").split()
    canonical = status_of(error)
    reply = answers_of(dialect).refused(error, status=canonical, request_id="request")
    assert reply is not None
    assert reply.status == (canonical if said == ["·"] else int(said[0].rstrip(";")))
    if dialect == "klen":
        code = error.code if said == ["·"] else said[1].strip("`;")
        assert reply.document["error"] == code
    if dialect == "hms":
        assert reply.document["code"] == error.code


def test_the_glossary_has_every_status_and_every_reason_for_a_number() -> None:
    words = set(re.findall(r"`(\w+)`", (ROOT / "docs/glossary.md").read_text()))
    assert {*CallStatus, *CallerNumberReason, *get_args(Engine)} <= words


@pytest.mark.parametrize("document", MARKDOWN, ids=str)
def test_every_link_to_a_file_leads_to_one(document: Path) -> None:
    text = (ROOT / document).read_text()
    for target in re.findall(r"\]\((?!https?:)([^)#\s]+)", text):
        assert (ROOT / document.parent / target).exists(), target


def test_the_tree_in_the_readme_is_the_tree() -> None:
    tree = (ROOT / "README.md").read_text().split("## Where things live")[1].split("```")[1]
    shared = ROOT / "layers/common/dialplane"
    for line in tree.strip().splitlines():
        name = line.split()[0]
        assert ((shared if line.startswith("  ") else ROOT) / name).exists(), name


def test_every_make_target_of_the_documents_is_one_and_there_are_at_most_eight() -> None:
    targets = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert len(targets) <= 8
    for document in MARKDOWN:
        named = set(re.findall(r"`make ([a-z-]+)`", (ROOT / document).read_text()))
        assert named <= targets, document


@pytest.mark.parametrize(
    "decision", sorted(Path(name) for name in TRACKED if name.startswith("docs/decisions/")), ids=str
)
def test_a_decision_says_its_context_and_what_was_decided(decision: Path) -> None:
    text = (ROOT / decision).read_text()
    assert text.startswith(f"# {decision.name[:4]} · ")
    assert "**Context.**" in text
    assert "**Decision.**" in text
