"""Living a call out: reached, answered, its NCCO fetched and followed, ended. Tells the story of one call in order."""

import asyncio
import json
from typing import Any

from sandbox.carriers.clock import SimulatedClock
from sandbox.carriers.line import CallEnds, Ending, LineInterrupted
from sandbox.carriers.scenarios import Callee
from sandbox.carriers.vonage.actions import CallSession, follow
from sandbox.carriers.vonage.events import ANSWER_TIMEOUTS, Address, parties
from sandbox.carriers.vonage.ncco import Action, NccoError, parse_ncco
from sandbox.carriers.vonage.parameters import CallParameters, Instructions, MachineDetection

DETECTION_SECONDS = 3.0
BEEP_SECONDS = 6.0


class CallTransferred(LineInterrupted):
    """The API gave the call another NCCO."""

    def __init__(self, instructions: Instructions) -> None:
        super().__init__("transferred")
        self.instructions = instructions


class CallRunner:
    """One call being lived out. `run` is its whole life; `hang_up` and `transfer` break into it."""

    def __init__(self, parameters: CallParameters, session: CallSession, clock: SimulatedClock) -> None:
        self._parameters = parameters
        self._session = session
        self._life = session.life
        self._line = session.line
        self._clock = clock
        self.over = asyncio.Event()

    async def run(self) -> None:
        """Live the call out."""
        try:
            await self._life.reach(self._parameters.ringing_timer)
            await self._talk()
            ending = Ending.APPLICATION_HUNG_UP
        except CallEnds as ended:
            ending = ended.ending
        self._life.end(ending)
        self.over.set()

    def hang_up(self) -> None:
        """End the call: cancelled until it was answered, completed from then on."""
        is_answered = self._life.leg.answered_at_elapsed is not None
        self._line.interrupt(CallEnds(Ending.APPLICATION_HUNG_UP if is_answered else Ending.CANCELED))

    def transfer(self, instructions: Instructions) -> None:
        """Give an answered call another NCCO."""
        self._line.interrupt(CallTransferred(instructions))

    async def _talk(self) -> None:
        """From the answer to the last action. Raises CallEnds."""
        leg, parameters = self._life.leg, self._parameters
        now = leg.timeline.elapsed_seconds
        self._line.end_at(now + parameters.length_timer)
        self._line.end_at(now + leg.scenario.hangs_up_after_seconds, Ending.CALLEE_HUNG_UP)
        if parameters.machine_detection is not None:
            self._session.spawn(self._detect_machine(parameters.machine_detection))
        instructions: Instructions | None = parameters.instructions
        while instructions is not None:
            try:
                replacement = await follow(await self._obtain(instructions), self._session)
                instructions = Instructions(actions=replacement) if replacement is not None else None
            except CallTransferred as transferred:
                instructions = transferred.instructions
                self._life.events.raise_other({"uuid": leg.uuid, "status": "transfer"})
            except NccoError as error:
                # Vonage reports the error and hangs up.
                self._life.events.raise_other({"uuid": leg.uuid, "reason": str(error)})
                return

    async def _detect_machine(self, asked: MachineDetection) -> None:
        """Find out beside the call who answered."""
        leg, events = self._life.leg, self._life.events
        is_machine = leg.scenario.callee is Callee.MACHINE_ANSWERS
        await self._clock.sleep(DETECTION_SECONDS)
        if leg.ended:
            return
        events.raise_detection("machine" if is_machine else "human")
        if not is_machine:
            return
        if asked.behavior == "hangup":
            self.hang_up()
        elif asked.mode == "detect_beep":
            await self._clock.sleep(BEEP_SECONDS)
            if not leg.ended:
                events.raise_detection("machine", "beep_start")

    async def _obtain(self, instructions: Instructions) -> tuple[Action, ...]:
        """The actions to follow. Raises NccoError, LineInterrupted."""
        if instructions.url is None:
            return instructions.actions
        leg = self._life.leg
        sending = self._session.webhooks.send(
            self._life.events.application,
            leg,
            Address(instructions.url, instructions.method),
            {**parties(leg), "uuid": leg.uuid},
            timeouts=ANSWER_TIMEOUTS,
        )
        reply = await self._line.attend(sending)
        if not reply.succeeded:
            raise NccoError(f"the answer URL gave {reply.status or 'no reply'}")
        return parse_ncco(_decoded(reply.body))


def _decoded(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None
