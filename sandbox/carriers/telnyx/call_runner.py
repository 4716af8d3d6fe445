"""Living a Call Control call out: dialled, answered or not, connected or commanded, ended, costed.

Tells the story of one call in order; waiting is the line's, webhooks are `events`'.
"""

import asyncio
import math
from collections import deque
from collections.abc import Mapping
from typing import Any

from sandbox.carriers.background import Spawn
from sandbox.carriers.callee import wait_for_answer
from sandbox.carriers.conversations import begin_report, converse_over_relay, converse_over_stream
from sandbox.carriers.documents import speaking_seconds
from sandbox.carriers.line import CallEnds, Ending, Line
from sandbox.carriers.recordings import SAVING_SECONDS, Recording
from sandbox.carriers.relay import RelaySettings
from sandbox.carriers.scenarios import Callee
from sandbox.carriers.telnyx.calls import Call
from sandbox.carriers.telnyx.events import CallEvents
from sandbox.carriers.telnyx.leg import CONNECTING_SECONDS, COST_DELAY_SECONDS, Hangup, new_uuid
from sandbox.carriers.telnyx.parameters import RecordingParameters, Speech
from sandbox.carriers.telnyx.session import TelnyxSession
from sandbox.carriers.telnyx.webhooks import TelnyxSender

HUMAN_SECONDS, MACHINE_SECONDS, GREETING_SECONDS = 3.0, 4.0, 9.0
# A callee whose conversation is over does not listen to silence for hours. Long enough for an application that has been
# told so to hang up first.
PATIENCE_SECONDS = 30.0
# The modes that go on listening to a machine, and what they then say of its greeting.
_GREETING_RESULTS = {
    "detect_beep": "beep_detected",
    "detect_words": "beep_detected",
    "greeting_end": "ended",
    "premium": "beep_detected",
}


class CallRunner:
    """One call being lived out. `run` is its whole life; the other methods break into it.

    `answered` and `over` tell of its two turns, for the leg of a transfer.
    """

    def __init__(self, call: Call, sender: TelnyxSender, spawn: Spawn, *, is_transfer_target: bool = False) -> None:
        self.call = call
        self.events = CallEvents(call, sender, spawn)
        self.answered, self.over = asyncio.Event(), asyncio.Event()
        self._spawn = spawn
        self._line = Line(call.timeline)
        self._session = TelnyxSession(
            call, call.account.api_key[:8], self._line, sender, spawn, client_state=call.client_state
        )
        self._speeches: deque[Speech] = deque()
        self._commanded = asyncio.get_running_loop().create_future()
        self._is_transfer_target = is_transfer_target

    async def run(self) -> None:
        """Live the call out, to its cost."""
        call = self.call
        try:
            await self._dial()
            await self._talk()
            ending = Ending.APPLICATION_HUNG_UP
        except CallEnds as ended:
            ending = ended.ending
        call.end(ending)
        if ending is Ending.NO_ANSWER and call.parameters.stops_at_timeout:
            call.hangup = Hangup("no_answer", "caller", "487")
        self.over.set()
        self.events.hung_up()
        await self._save_recordings()
        if call.billed_minutes:
            await call.timeline.sleep(COST_DELAY_SECONDS)
            self.events.cost()

    def hang_up(self, ending: Ending = Ending.APPLICATION_HUNG_UP) -> None:
        """End the call, whatever it is doing."""
        self._line.interrupt(CallEnds(ending if self.answered.is_set() else Ending.CANCELED))

    def speak(self, speech: Speech) -> None:
        """Say something, after whatever is being said."""
        self._speeches.append(speech)
        if not self._commanded.done():
            self._commanded.set_result(None)

    def record(self, parameters: RecordingParameters) -> None:
        """Record the call from now to its end."""
        call = self.call
        call.recordings.append((Recording(new_uuid(), parameters.channels, call.timeline), parameters.format))

    async def _save_recordings(self) -> None:
        recordings = self.call.recordings
        for recording, _ in recordings:
            recording.end()
        if recordings:
            await self.call.timeline.sleep(SAVING_SECONDS)
        for recording, file_format in recordings:
            self.events.recording_saved(recording, file_format)

    async def _dial(self) -> None:
        call = self.call
        await self._line.wait(call.scenario.queued_seconds)
        call.dialed()
        self.events.initiated()
        await self._line.wait(CONNECTING_SECONDS)

        def ringing() -> None:
            call.rang = True

        await wait_for_answer(
            self._line, call.scenario, ring_seconds_max=call.parameters.timeout_seconds, on_ringing=ringing
        )

    async def _talk(self) -> None:
        """From the answer to the end. Raises CallEnds."""
        call, parameters = self.call, self.call.parameters
        call.answered()
        answered_at = call.timeline.elapsed_seconds
        self._line.end_at(answered_at + call.time_limit_seconds)
        self._line.end_at(answered_at + call.scenario.hangs_up_after_seconds, Ending.CALLEE_HUNG_UP)
        self.answered.set()
        self.events.answered()
        if parameters.detection is not None:
            self._spawn(self._detect_machine(parameters.detection))
        patience_seconds = call.scenario.talks_seconds if self._is_transfer_target else math.inf
        if parameters.relay is not None:
            await self._converse_over_relay(parameters.relay)
            patience_seconds = PATIENCE_SECONDS
        elif parameters.stream_url is not None:
            await self._converse_over_stream(parameters.stream_url)
            patience_seconds = PATIENCE_SECONDS
        await self._obey(patience_seconds)

    async def _converse_over_relay(self, config: Mapping[str, Any]) -> None:
        report = begin_report(self._session)
        try:
            await converse_over_relay(config["url"], RelaySettings.of_config(config), self._session, report)
        except CallEnds:
            self.events.conversation_ended(report.session_id, "call_hangup")
            raise
        reason = "ended" if report.status == "ended" else "customer_disconnect"
        self.events.conversation_ended(report.session_id, reason)

    async def _converse_over_stream(self, url: str) -> None:
        report = begin_report(self._session)
        # Told as soon as the call is answered; whether the application took the socket shows at the end.
        self.events.streaming("started", url)
        try:
            await converse_over_stream(url, {}, self._session, report)
        except CallEnds:
            self.events.streaming("stopped", url)
            raise
        self.events.streaming("failed" if report.status == "failed" else "stopped", url)

    async def _obey(self, patience_seconds: float) -> None:
        """Say what was commanded; otherwise be silent until somebody ends the call. Raises CallEnds."""
        while True:
            while self._speeches:
                await self._say(self._speeches.popleft())
            self._commanded = asyncio.get_running_loop().create_future()
            if not await self._line.wait(patience_seconds, until=self._commanded):
                raise CallEnds(Ending.CALLEE_HUNG_UP)

    async def _say(self, speech: Speech) -> None:
        seconds = speaking_seconds(speech.text) + speech.pauses_seconds
        self.events.speak("started")
        try:
            await self._line.wait(math.inf if speech.loops is None else seconds * speech.loops)
        except CallEnds:
            self.events.speak("ended", status="call_hangup")
            raise
        self.events.speak("ended", status="completed")

    async def _detect_machine(self, mode: str) -> None:
        is_machine = self.call.scenario.callee is Callee.MACHINE_ANSWERS
        kind = "premium." if mode == "premium" else ""
        human = "human_residence" if mode == "premium" else "human"
        detected_after = MACHINE_SECONDS if is_machine else HUMAN_SECONDS
        answered_at = self.call.timeline.elapsed_seconds
        if not await self._line.until(answered_at + detected_after, self.over):
            return
        self.events.machine(f"{kind}detection.ended", "machine" if is_machine else human)
        if (
            is_machine
            and mode in _GREETING_RESULTS
            and await self._line.until(answered_at + GREETING_SECONDS, self.over)
        ):
            self.events.machine(f"{kind}greeting.ended", _GREETING_RESULTS[mode])


async def bridge(original: CallRunner, target: CallRunner) -> None:
    """Connect a call with the one it is transferred to, as soon as that is answered; they end together."""
    await _first_of(target.answered, target.over, original.over)
    if original.over.is_set():
        target.hang_up()
        return
    if target.over.is_set():
        # Nobody answered there: the call is as it was.
        return
    original.events.bridged()
    target.events.bridged()
    await _first_of(target.over, original.over)
    for runner in (original, target):
        if not runner.over.is_set():
            runner.hang_up(Ending.CALLEE_HUNG_UP)


async def _first_of(*events: asyncio.Event) -> None:
    waiting = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in waiting:
            each.cancel()
