"""Who speaks: every candidate in the order of their precedence, and the rule that won.

The precedence is the seed's (https://docs.burki.dev, "Assistant Resolution Logic"): what the request names itself, the
flow on the caller number, the assistant on the caller number. Which number a call is made from belongs to
``number_pool`` and ``admission``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from dialplane.domain.accounts import Assistant, CallerNumber, ConversationFlow


class Rule(StrEnum):
    """Why an assistant may speak, the strongest first."""

    TRANSIENT = "transient"
    """The request brings its assistant along."""
    OVERRIDE = "override"
    """The request names it."""
    DEFAULT = "default"
    """It is the organization's own, for formats that name nobody: its number is called from, whoever is on that."""
    FLOW = "flow"
    """A conversation flow lives on the caller number."""
    NUMBER = "number"
    """It is assigned to the caller number."""


class CandidateVerdict(StrEnum):
    """What became of a candidate."""

    CHOSEN = "chosen"
    OUTRANKED = "outranked"
    INACTIVE = "inactive"
    NOT_FOUND = "not_found"


@dataclass(frozen=True, slots=True)
class Candidate:
    """An assistant or, by the rule ``flow``, a conversation flow; ``id`` as the request or the number has it."""

    rule: Rule
    id: int | str | None
    verdict: CandidateVerdict


@dataclass(frozen=True, slots=True)
class Resolution:
    """The candidates and the winner. ``assistant_id`` is set even when no such assistant was found."""

    candidates: tuple[Candidate, ...] = ()
    rule: Rule | None = None
    assistant_id: int | None = None
    assistant: Assistant | None = None
    flow: ConversationFlow | None = None


@dataclass(frozen=True, slots=True)
class Directory:
    """The organization's assistants and flows, as far as they were read; ``ids`` from public id to id."""

    assistants: Mapping[int, Assistant]
    ids: Mapping[str, int]
    flows: Mapping[int, ConversationFlow]


def resolve(
    directory: Directory,
    *,
    transient: Assistant | None,
    asked: int | str | None,
    number: CallerNumber | None,
    default: int | None,
) -> Resolution:
    """Walk the rules in their order. A flow that is missing or inactive is passed over, everything else is final."""
    candidates: list[Candidate] = []
    won: Resolution | None = None
    for rule, candidate_id in _named(transient, asked, number, default):
        if won is not None:
            candidates.append(Candidate(rule, candidate_id, CandidateVerdict.OUTRANKED))
            continue
        result = _claim(directory, rule, candidate_id, transient)
        found = result.flow if rule is Rule.FLOW else result.assistant
        if found is None:
            verdict = CandidateVerdict.NOT_FOUND
        elif not found.is_active:
            verdict = CandidateVerdict.INACTIVE
        else:
            verdict = CandidateVerdict.CHOSEN
        candidates.append(Candidate(rule, candidate_id, verdict))
        if rule is not Rule.FLOW or verdict is CandidateVerdict.CHOSEN:
            won = result
    return replace(won or Resolution(), candidates=tuple(candidates))


def _named(
    transient: Assistant | None, asked: int | str | None, number: CallerNumber | None, default: int | None
) -> list[tuple[Rule, int | str | None]]:
    named: list[tuple[Rule, int | str | None]] = []
    if transient is not None:
        named.append((Rule.TRANSIENT, None))
    if asked is not None:
        named.append((Rule.OVERRIDE, asked))
    if default is not None:
        named.append((Rule.DEFAULT, default))
    if number is not None and number.flow_id is not None:
        named.append((Rule.FLOW, number.flow_id))
    if number is not None and number.assistant_id is not None:
        named.append((Rule.NUMBER, number.assistant_id))
    return named


def _claim(directory: Directory, rule: Rule, candidate_id: int | str | None, transient: Assistant | None) -> Resolution:
    if rule is Rule.TRANSIENT:
        return Resolution(rule=rule, assistant=transient)
    if rule is Rule.FLOW:
        flow = directory.flows.get(candidate_id) if isinstance(candidate_id, int) else None
        if flow is None:
            return Resolution(rule=rule)
        base = directory.assistants.get(flow.base_assistant_id)
        # The flow's runtime holds the conversation; voice, limits and what is said first are its base assistant's.
        live = replace(base, engine=flow.engine, engine_url=flow.engine_url) if base is not None else None
        return Resolution(rule=rule, assistant_id=flow.base_assistant_id, assistant=live, flow=flow)
    assistant_id = directory.ids.get(candidate_id) if isinstance(candidate_id, str) else candidate_id
    assistant = directory.assistants.get(assistant_id) if assistant_id is not None else None
    return Resolution(rule=rule, assistant_id=assistant_id, assistant=assistant)
