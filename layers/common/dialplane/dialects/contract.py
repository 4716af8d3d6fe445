"""What a dialect provides. Types only; `registry` knows the dialects, each dialect its own words.

A package ``dialects/<name>/`` has these modules:

- ``requests``: ``parse``, from a body to the canonical command.
- ``answers``: what is answered; loaded for every request, so it imports next to nothing.
- ``calls``: its lists and single calls, where the dialect has them on routes that several share.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:  # answers load this module, and must not load what only requests need
    from dialplane.domain.accounts import PresentedKey
    from dialplane.domain.admission import InitiateCall
    from dialplane.domain.calls import Call
    from dialplane.domain.conversations import Conversation
    from dialplane.domain.errors import DialplaneError
    from dialplane.domain.idempotency import IdempotencyKey
    from dialplane.domain.sessions import Session
    from dialplane.usecases.browse_calls import CallQuery, CallRange


@dataclass(frozen=True, slots=True)
class Arrival:
    """A request as it is parsed: its body and what came beside it."""

    body: Mapping[str, Any]
    presented_key: PresentedKey
    request_id: str
    idempotency_key: IdempotencyKey | None = None
    session: Session | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer in a dialect's words."""

    status: int
    document: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)


class RequestsModule(Protocol):
    """A dialect's ``requests`` module."""

    def parse(self, arrival: Arrival) -> InitiateCall:
        """Read a request. Raises DialplaneErrors, the first one in the dialect's own order."""


class AnswersModule(Protocol):
    """A dialect's ``answers`` module."""

    NEEDS_CARRIER_CALL_ID: bool
    """Whether its answer names the carrier's call, and so waits for the carrier."""

    def placed(self, command: InitiateCall, call: Call) -> Reply:
        """The answer about a call; ``carrier_call_id`` is None while its placement is unknown."""

    def refused(self, error: DialplaneError, *, status: int, request_id: str) -> Reply | None:
        """The dialect's own words for an error; ``status`` is the canonical one. None: the problem document is sent."""

    def detail(self, error: DialplaneError) -> Any:
        """Where the problem document is sent: its ``detail`` in the dialect's own words, or None for ours."""


class CallsModule(Protocol):
    """A dialect's ``calls`` module."""

    def parse_query(self, query: Mapping[str, str]) -> CallQuery:
        """Read the parameters of its list. Raises DialplaneErrors."""

    def page_document(self, page: CallRange, query: CallQuery) -> Mapping[str, Any]:
        """Its list."""

    def call_document(self, call: Call, conversation: Conversation | None = None) -> Mapping[str, Any]:
        """Its single call, with what was said on it."""
