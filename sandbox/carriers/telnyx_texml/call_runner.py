"""Living a TeXML call out: initiated, ringing, answered or not, followed and ended, priced."""

import asyncio

from sandbox.carriers.background import Spawn
from sandbox.carriers.callee import wait_for_answer
from sandbox.carriers.documents import CallRedirected, Instructions, follow_instructions
from sandbox.carriers.line import CallEnds, Ending, Line
from sandbox.carriers.recordings import SAVING_SECONDS, Recording
from sandbox.carriers.scenarios import Callee
from sandbox.carriers.telnyx.leg import CONNECTING_SECONDS, COST_DELAY_SECONDS, new_uuid
from sandbox.carriers.telnyx.webhooks import TelnyxSender
from sandbox.carriers.telnyx_texml.calls import STATUSES, TexmlCall
from sandbox.carriers.telnyx_texml.parameters import TexmlRecordingParameters
from sandbox.carriers.telnyx_texml.requests import StatusCallbacks
from sandbox.carriers.telnyx_texml.session import TexmlSession

# Machine detection: what each mode finds, and after how many seconds from the answer.
_DETECTION = {
    ("Enable", False): ("human", 3.0),
    ("Enable", True): ("machine_start", 4.0),
    ("DetectMessageEnd", False): ("human", 3.0),
    ("DetectMessageEnd", True): ("machine_end_beep", 9.0),
}


class TexmlCallRunner:
    """One call being lived out. `run` is its whole life; `hang_up` and `redirect` break into it."""

    def __init__(self, call: TexmlCall, sender: TelnyxSender, spawn: Spawn) -> None:
        self._call = call
        self._spawn = spawn
        self._line = Line(call.timeline)
        self._session = TexmlSession(call, call.account_sid, self._line, sender, spawn)
        self._callbacks = StatusCallbacks(call, sender, spawn)
        self._detection_begun = False
        self.over = asyncio.Event()

    async def run(self) -> None:
        """Live the call out, to its price."""
        call = self._call
        try:
            await self._dial()
            await self._talk()
            ending = Ending.APPLICATION_HUNG_UP
        except CallEnds as ended:
            ending = ended.ending
        call.end(ending)
        call.enter(STATUSES[ending])
        self.over.set()
        self._callbacks.raise_event("completed")
        await self._save_recordings()
        if call.billed_minutes:
            await call.timeline.sleep(COST_DELAY_SECONDS)
            call.add_price()

    def hang_up(self) -> None:
        """End the call, whatever it is doing."""
        answered = self._call.answered_at is not None
        self._line.interrupt(CallEnds(Ending.APPLICATION_HUNG_UP if answered else Ending.CANCELED))

    def redirect(self, instructions: Instructions) -> None:
        """Give an answered call new instructions."""
        self._line.interrupt(CallRedirected(instructions))

    def record(self, parameters: TexmlRecordingParameters) -> Recording:
        """Record an answered call from now to its end."""
        recording = Recording(
            new_uuid(),
            parameters.channels,
            self._call.timeline,
            callback=parameters.callback,
            callback_method=parameters.callback_method,
            events=parameters.events,
            tells_url=parameters.tells_url,
        )
        self._call.recordings.append(recording)
        self._tell_of_recording(recording)
        return recording

    async def _save_recordings(self) -> None:
        recordings = self._call.recordings
        for recording in recordings:
            recording.end()
        if recordings:
            await self._call.timeline.sleep(SAVING_SECONDS)
        for recording in recordings:
            self._tell_of_recording(recording)

    def _tell_of_recording(self, recording: Recording) -> None:
        if recording.callback is None or recording.status not in recording.events:
            return
        call = self._call
        form = [
            ("AccountSid", call.account_sid),
            ("CallSid", call.call_control_id),
            ("CallSidLegacy", call.call_control_id),
            ("ConnectionId", call.application_id),
            ("RecordingChannels", str(recording.channels)),
            ("RecordingSid", recording.id),
            ("RecordingSource", "StartCallRecordingAPI"),
            ("RecordingStatus", recording.status),
        ]
        if recording.ended_at is not None:
            form.append(("RecordingDuration", str(recording.seconds)))
            if recording.tells_url:
                form.append(("RecordingUrl", recording.open_link("mp3")))
        self._callbacks.raise_beside(recording.callback, recording.callback_method, tuple(form))

    async def _dial(self) -> None:
        call = self._call
        await self._line.wait(call.scenario.queued_seconds)
        call.dialed()
        call.enter("initiated")
        self._callbacks.raise_event("initiated")
        await self._line.wait(CONNECTING_SECONDS)

        def ringing() -> None:
            call.rang = True
            call.enter("ringing")
            self._callbacks.raise_event("ringing")

        await wait_for_answer(
            self._line, call.scenario, ring_seconds_max=call.parameters.timeout_seconds, on_ringing=ringing
        )

    async def _talk(self) -> None:
        """From the answer to the last verb. Raises CallEnds."""
        call, parameters = self._call, self._call.parameters
        call.answered()
        call.enter("in-progress")
        answered_at = call.timeline.elapsed_seconds
        self._line.end_at(answered_at + call.time_limit_seconds)
        self._line.end_at(answered_at + call.scenario.hangs_up_after_seconds, Ending.CALLEE_HUNG_UP)
        self._callbacks.raise_event("answered")
        await follow_instructions(
            parameters.instructions,
            self._session,
            fallback=lambda: parameters.fallback,
            first=self._detect_machine_once,
        )

    async def _detect_machine_once(self) -> None:
        mode = self._call.parameters.detection
        if mode is None or self._detection_begun:
            return
        self._detection_begun = True
        answered_by, seconds = _DETECTION[mode, self._call.scenario.callee is Callee.MACHINE_ANSWERS]
        # Milliseconds, where Twilio's parameter of the same name has seconds.
        seconds_max = self._call.parameters.detection_milliseconds / 1000
        if seconds > seconds_max:
            answered_by, seconds = "unknown", seconds_max
        if self._call.parameters.detects_beside_the_call:
            self._spawn(self._detect_beside_the_call(answered_by, seconds))
            return
        await self._line.wait(seconds)
        self._call.answered_by = answered_by
        self._session.detection = (("MachineDetectionDuration", str(round(seconds * 1000))),)

    async def _detect_beside_the_call(self, answered_by: str, seconds: float) -> None:
        call = self._call
        if not await self._line.until(call.timeline.elapsed_seconds + seconds, self.over):
            return
        call.answered_by = answered_by
        if call.parameters.detection_callback:
            form = (
                ("AccountSid", call.account_sid),
                ("AnsweredBy", answered_by),
                ("CallSid", call.call_control_id),
                ("CallSidLegacy", call.call_control_id),
                ("ConnectionId", call.application_id),
                ("MachineDetectionDuration", str(round(seconds * 1000))),
            )
            self._callbacks.raise_beside(call.parameters.detection_callback, "POST", form)
