"""Tell the carrier what to say: the callee has answered and the carrier asks.

The request also proves that the carrier placed the call, so it binds the call when the dial's own answer was lost. A
conversation is told where its WebSocket is, by an address that opens it once; when that breaks off the carrier asks
again. Wording the instructions for a carrier belongs to ``carriers``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from dialplane.domain.ids import new_socket_token
from dialplane.domain.instructions import Instructions
from dialplane.domain.statuses import AnsweredBy

logger = logging.getLogger(__name__)

SERVED_MAX = 3
"""How often a conversation's instructions are served: to begin, and twice more when its WebSocket has broken off."""


@dataclass(frozen=True, slots=True)
class InstructionsRequest:
    """An authentic request for instructions, with the ids that its path and its body carried."""

    organization_id: str
    carrier_account_id: str
    call_id: str
    carrier_call_id: str
    answered_by: AnsweredBy | None = None
    answered_by_raw: str | None = None


class AnswerStore(Protocol):
    """Where an answered call is kept."""

    def answer(self, request: InstructionsRequest, *, at: datetime, next_check_at: datetime) -> Instructions | None:
        """Mark the call answered and bound, in one conditional write; returns what to say.

        None when the call is unknown, has ended, belongs to another carrier account, or is bound to another carrier
        call already.
        """


@dataclass(frozen=True, slots=True)
class Served:
    """What to say. ``has_begun`` says that the call's conversation has been going on before."""

    instructions: Instructions
    has_begun: bool = False


class InstructionsStore(Protocol):
    """Where calls are kept whose carrier asks what to say."""

    def serve(
        self,
        request: InstructionsRequest,
        *,
        socket_token: str,
        is_resumption: bool,
        at: datetime,
        next_check_at: datetime,
    ) -> Served | None:
        """The same as ``answer``, and give the call's conversation a new token in the same write; the old one is gone.

        None also for a conversation whose instructions were served ``SERVED_MAX`` times, for one that we have ended,
        and for one that has begun unless this ``is_resumption``.
        """


SocketUrl = Callable[[str], str]
"""The address of the WebSocket of the call that is asked about, with this token."""


@dataclass(frozen=True, slots=True)
class ServeInstructionsUseCase:
    """Answers a carrier that asks what to say."""

    calls: InstructionsStore
    now: Callable[[], datetime]
    check_interval: timedelta

    def serve(
        self, request: InstructionsRequest, *, socket_url: SocketUrl, is_resumption: bool = False
    ) -> Instructions | None:
        """The call's instructions, or None when the carrier must hang up.

        ``is_resumption`` is for a conversation whose WebSocket has failed. Nobody is greeted in the middle of one.
        """
        at, token = self.now(), new_socket_token()
        served = self.calls.serve(
            request,
            socket_token=token,
            is_resumption=is_resumption,
            at=at,
            next_check_at=at + self.check_interval,
        )
        if served is None:
            logger.warning("instructions_refused", extra={"call_id": request.call_id})
            return None
        instructions = served.instructions
        if instructions.engine != "conversation":
            return instructions
        if served.has_begun:
            logger.warning("conversation_resumed", extra={"call_id": request.call_id})
            instructions = replace(instructions, welcome_message="")
        return replace(instructions, url=socket_url(token))
