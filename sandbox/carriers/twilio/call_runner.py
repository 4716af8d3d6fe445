"""Living a call out: queued, initiated, ringing, answered or not, followed and ended, priced.

Tells the story of one call in order; waiting is the line's, TwiML's meaning is `documents`', requests are `webhooks`'.
"""

import asyncio

from sandbox.carriers.background import Spawn
from sandbox.carriers.callee import wait_for_answer
from sandbox.carriers.documents import CallRedirected, Instructions, follow_instructions
from sandbox.carriers.line import CallEnds, Ending, Line
from sandbox.carriers.recordings import SAVING_SECONDS, Recording
from sandbox.carriers.scenarios import Callee
from sandbox.carriers.twilio.calls import PRICE_PER_MINUTE_MICROS, Call, new_sid, rfc2822
from sandbox.carriers.twilio.errors import ASYNC_AMD_WITHOUT_CALLBACK, STATUS_CALLBACK_EVENTS_INVALID
from sandbox.carriers.twilio.parameters import RecordingParameters
from sandbox.carriers.twilio.session import TwilioSession
from sandbox.carriers.twilio.status_callbacks import StatusCallbacks
from sandbox.carriers.twilio.webhooks import WebhookSender
from sandbox.carriers.webhooks import Form

# Twilio rings about five seconds longer than Timeout says (docs of the Call resource).
RING_TIMEOUT_BUFFER_SECONDS = 5.0
CONNECTING_SECONDS = 1.0
PRICE_DELAY_SECONDS = 5.0

# The final status and SIP code of each ending. Twilio has no word for a declined call; only the SIP code tells it.
_ENDINGS = {
    Ending.CALLEE_HUNG_UP: ("completed", 200),
    Ending.APPLICATION_HUNG_UP: ("completed", 200),
    Ending.TIME_LIMIT: ("completed", 200),
    Ending.CANCELED: ("canceled", 487),
    Ending.BUSY: ("busy", 486),
    Ending.NO_ANSWER: ("no-answer", 487),
    Ending.DECLINED: ("busy", 603),
    Ending.UNREACHABLE: ("failed", 404),
}

# Machine detection: what each mode finds, and after how many seconds from the answer.
_DETECTION = {
    ("Enable", False): ("human", 3.0),
    ("Enable", True): ("machine_start", 4.0),
    ("DetectMessageEnd", False): ("human", 3.0),
    ("DetectMessageEnd", True): ("machine_end_beep", 9.0),
}


class CallRunner:
    """One call being lived out. `run` is its whole life; `hang_up` and `redirect` break into it."""

    def __init__(self, call: Call, sender: WebhookSender, spawn: Spawn) -> None:
        self._call = call
        self._line = Line(call.timeline)
        self._session = TwilioSession(call, self._line, sender, spawn)
        self._callbacks = StatusCallbacks(call, sender, spawn)
        self.over = asyncio.Event()
        self._detection_begun = False

    async def run(self) -> None:
        """Live the call out, to its price."""
        call = self._call
        self._warn_about_parameters()
        try:
            await self._dial()
            await self._ring()
            await self._talk()
            ending = Ending.APPLICATION_HUNG_UP
        except CallEnds as ended:
            ending = ended.ending
        status, sip_response_code = _ENDINGS[ending]
        # A call that never left the queue met nobody who could give it a SIP code.
        call.end(status, sip_response_code if call.start_time is not None else None)
        self.over.set()
        self._callbacks.raise_event("completed", status)
        await self._save_recordings()
        if call.billed_minutes:
            await call.timeline.sleep(PRICE_DELAY_SECONDS)
            call.price_micros = call.billed_minutes * PRICE_PER_MINUTE_MICROS
            call.updated_at = call.timeline.now()

    def hang_up(self) -> None:
        """End the call: canceled while it waits or rings, completed when it was answered."""
        answered = self._call.answered_at_elapsed is not None
        self._line.interrupt(CallEnds(Ending.APPLICATION_HUNG_UP if answered else Ending.CANCELED))

    def redirect(self, instructions: Instructions) -> None:
        """Give an answered call new instructions."""
        self._line.interrupt(CallRedirected(instructions))

    def record(self, parameters: RecordingParameters) -> Recording:
        """Record an answered call from now to its end."""
        call = self._call
        recording = Recording(
            new_sid("RE"),
            parameters.channels,
            call.timeline,
            callback=parameters.callback,
            callback_method=parameters.callback_method,
            events=parameters.events,
        )
        call.recordings.append(recording)
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
            ("CallSid", call.sid),
            ("RecordingSid", recording.id),
            ("RecordingUrl", f"https://api.twilio.com{call.recording_path(recording)}"),
            ("RecordingStatus", recording.status),
            ("RecordingChannels", str(recording.channels)),
            ("RecordingStartTime", rfc2822(recording.begun_at)),
            ("RecordingSource", "StartCallRecordingAPI"),
            ("RecordingTrack", "both"),
        ]
        if recording.ended_at is not None:
            form.append(("RecordingDuration", str(recording.seconds)))
        self._callbacks.raise_beside("recording", recording.callback, recording.callback_method, tuple(form))

    def limit(self, seconds: int) -> None:
        """Let the call last no longer than seconds from its answer."""
        if self._call.answered_at_elapsed is None:
            self._call.amend(time_limit=seconds)
        else:
            self._line.end_at(self._call.answered_at_elapsed + seconds)

    def _warn_about_parameters(self) -> None:
        parameters = self._call.parameters
        if parameters.status_callback_events is None:
            self._call.notify(
                STATUS_CALLBACK_EVENTS_INVALID,
                "Invalid StatusCallbackEvent: repeat the parameter with initiated, ringing, answered or completed",
            )
        if parameters.machine_detection and parameters.async_amd and not parameters.async_amd_status_callback:
            self._call.notify(ASYNC_AMD_WITHOUT_CALLBACK, "AsyncAmd was asked for without AsyncAmdStatusCallback")

    async def _dial(self) -> None:
        await self._line.wait(self._call.queue_time_ms / 1000)
        self._call.dialed()
        self._callbacks.raise_event("initiated", "initiated")
        await self._line.wait(CONNECTING_SECONDS)

    async def _ring(self) -> None:
        """Ring until somebody answers. Raises CallEnds when nobody does."""

        def ringing() -> None:
            self._call.enter("ringing")
            self._callbacks.raise_event("ringing", "ringing")

        ring_seconds_max = self._call.parameters.timeout + RING_TIMEOUT_BUFFER_SECONDS
        await wait_for_answer(self._line, self._call.scenario, ring_seconds_max=ring_seconds_max, on_ringing=ringing)

    async def _talk(self) -> None:
        """From the answer to the last verb. Raises CallEnds."""
        call, parameters = self._call, self._call.parameters
        call.answered()
        answered_at = call.timeline.elapsed_seconds
        self._line.end_at(answered_at + parameters.time_limit)
        self._line.end_at(answered_at + call.scenario.hangs_up_after_seconds, Ending.CALLEE_HUNG_UP)
        self._callbacks.raise_event("answered", "in-progress")
        await follow_instructions(
            parameters.instructions, self._session, fallback=self._fallback, first=self._detect_machine_once
        )

    def _fallback(self) -> Instructions | None:
        parameters = self._call.parameters
        if parameters.fallback_url is None:
            return None
        return Instructions(url=parameters.fallback_url, method=parameters.fallback_method)

    async def _detect_machine_once(self) -> None:
        mode = self._call.parameters.machine_detection
        if mode and not self._detection_begun:
            self._detection_begun = True
            await self._detect_machine(mode)

    async def _detect_machine(self, mode: str) -> None:
        call, parameters = self._call, self._call.parameters
        answered_by, seconds = _DETECTION[mode, call.scenario.callee is Callee.MACHINE_ANSWERS]
        if seconds > parameters.machine_detection_timeout:
            answered_by, seconds = "unknown", float(parameters.machine_detection_timeout)
        if parameters.async_amd:
            self._session.spawn(self._detect_beside_the_call(answered_by, seconds))
            return
        await self._line.wait(seconds)
        call.answered_by = answered_by
        self._session.detection = _detection_parameters(answered_by, seconds)

    async def _detect_beside_the_call(self, answered_by: str, seconds: float) -> None:
        call, parameters = self._call, self._call.parameters
        if not await self._line.until(call.timeline.elapsed_seconds + seconds, self.over):
            return
        call.answered_by = answered_by
        if parameters.async_amd_status_callback:
            form = (
                ("AccountSid", call.account_sid),
                ("CallSid", call.sid),
                *_detection_parameters(answered_by, seconds),
            )
            self._callbacks.raise_beside(
                "detection", parameters.async_amd_status_callback, parameters.async_amd_status_callback_method, form
            )


def _detection_parameters(answered_by: str, seconds: float) -> Form:
    return (("AnsweredBy", answered_by), ("MachineDetectionDuration", str(round(seconds * 1000))))
