"""Living a call out: queued, initiated, ringing, answered or not, followed and ended, priced.

Tells the story of one call in order; waiting is the line's, TwiML's meaning is `twiml`'s, requests are `webhooks`'.
"""

import asyncio

from sandbox.carriers.clock import SimulatedClock
from sandbox.carriers.scenarios import Callee
from sandbox.carriers.twilio.calls import PRICE_PER_MINUTE_MICROS, Call
from sandbox.carriers.twilio.errors import ASYNC_AMD_WITHOUT_CALLBACK, STATUS_CALLBACK_EVENTS_INVALID
from sandbox.carriers.twilio.line import CallEnds, CallRedirected, Line
from sandbox.carriers.twilio.parameters import Instructions
from sandbox.carriers.twilio.session import CallSession
from sandbox.carriers.twilio.status_callbacks import Spawn, StatusCallbacks
from sandbox.carriers.twilio.twiml import Document, TwimlError, document_from_reply, follow, parse_document
from sandbox.carriers.twilio.webhooks import Form, WebhookSender, standard_parameters

# Twilio rings about five seconds longer than Timeout says (docs of the Call resource).
RING_TIMEOUT_BUFFER_SECONDS = 5.0
CONNECTING_SECONDS = 1.0
APOLOGY_SECONDS = 4.0
PRICE_DELAY_SECONDS = 5.0

# Machine detection: what each mode finds, and after how many seconds from the answer.
_DETECTION = {
    ("Enable", False): ("human", 3.0),
    ("Enable", True): ("machine_start", 4.0),
    ("DetectMessageEnd", False): ("human", 3.0),
    ("DetectMessageEnd", True): ("machine_end_beep", 9.0),
}


class CallRunner:
    """One call being lived out. `run` is its whole life; `hang_up` and `redirect` break into it."""

    def __init__(self, call: Call, clock: SimulatedClock, sender: WebhookSender, spawn: Spawn) -> None:
        self._call = call
        self._line = Line(call.timeline)
        self._session = CallSession(call, self._line, sender, spawn)
        self._callbacks = StatusCallbacks(call, sender, spawn)
        self._clock = clock
        self.over = asyncio.Event()
        self._detection: Form = ()
        self._detection_begun = False

    async def run(self) -> None:
        """Live the call out, to its price."""
        call = self._call
        self._warn_about_parameters()
        try:
            await self._dial()
            await self._ring()
            await self._talk()
            ending = CallEnds()
        except CallEnds as ended:
            ending = ended
        call.end(ending.status, ending.sip_response_code)
        self.over.set()
        self._callbacks.raise_event("completed", ending.status)
        if call.billed_minutes:
            await call.timeline.sleep(PRICE_DELAY_SECONDS)
            call.price_micros = call.billed_minutes * PRICE_PER_MINUTE_MICROS
            call.updated_at = call.timeline.now()

    def hang_up(self) -> None:
        """End the call: canceled while it waits or rings, completed when it was answered."""
        match self._call.status:
            case "queued":
                self._line.interrupt(CallEnds("canceled", None if self._call.start_time is None else 487))
            case "ringing":
                self._line.interrupt(CallEnds("canceled", 487))
            case _:
                self._line.interrupt(CallEnds())

    def redirect(self, instructions: Instructions) -> None:
        """Give an answered call new instructions."""
        self._line.interrupt(CallRedirected(instructions))

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
        call, scenario = self._call, self._call.scenario
        if scenario.callee is Callee.BUSY:
            raise CallEnds("busy", 486)
        if scenario.callee is Callee.UNREACHABLE:
            raise CallEnds("failed", 404)
        call.enter("ringing")
        self._callbacks.raise_event("ringing", "ringing")
        ring_timeout = call.parameters.timeout + RING_TIMEOUT_BUFFER_SECONDS
        if scenario.callee is Callee.NO_ANSWER or scenario.rings_seconds > ring_timeout:
            await self._line.wait(ring_timeout)
            raise CallEnds("no-answer", 487)
        await self._line.wait(scenario.rings_seconds)
        if scenario.callee is Callee.REJECTS:
            # Twilio has no word for a declined call; only the SIP code tells it from a busy one.
            raise CallEnds("busy", 603)

    async def _talk(self) -> None:
        """From the answer to the last verb. Raises CallEnds."""
        call, parameters = self._call, self._call.parameters
        call.answered()
        for seconds in (parameters.time_limit, call.scenario.hangs_up_after_seconds):
            self._line.end_at(call.timeline.elapsed_seconds + seconds)
        self._callbacks.raise_event("answered", "in-progress")
        instructions: Instructions | None = parameters.instructions
        while instructions is not None:
            try:
                if parameters.machine_detection and not self._detection_begun:
                    self._detection_begun = True
                    await self._detect_machine(parameters.machine_detection)
                instructions = await self._follow(instructions)
            except CallRedirected as redirected:
                instructions = redirected.instructions

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
        self._detection = _detection_parameters(answered_by, seconds)

    async def _detect_beside_the_call(self, answered_by: str, seconds: float) -> None:
        call, parameters = self._call, self._call.parameters
        await self._clock.sleep(seconds)
        if call.ended:
            return
        call.answered_by = answered_by
        if parameters.async_amd_status_callback:
            form = (
                ("AccountSid", call.account_sid),
                ("CallSid", call.sid),
                *_detection_parameters(answered_by, seconds),
            )
            await self._session.sender.send(
                call, parameters.async_amd_status_callback, parameters.async_amd_status_callback_method, form
            )

    async def _follow(self, instructions: Instructions) -> Instructions | None:
        """Obtain and follow one document; the next instructions. Raises LineInterrupted."""
        try:
            return await follow(await self._obtain(instructions), self._session)
        except TwimlError as failure:
            self._call.notify(failure.code, failure.text, url=failure.url, method=failure.method, body=failure.body)
            parameters = self._call.parameters
            if instructions.is_fallback or parameters.fallback_url is None:
                # Twilio tells the callee that an application error has occurred, and hangs up.
                await self._line.wait(APOLOGY_SECONDS)
                raise CallEnds from None
            return Instructions(
                url=parameters.fallback_url,
                method=parameters.fallback_method,
                extra_parameters=(("ErrorCode", str(failure.code)), ("ErrorUrl", failure.url)),
                is_fallback=True,
            )

    async def _obtain(self, instructions: Instructions) -> Document:
        if instructions.url is None:
            return parse_document(instructions.twiml or "", instructions)
        form = (*standard_parameters(self._call), *self._detection, *instructions.extra_parameters)
        sending = self._session.sender.send(self._call, instructions.url, instructions.method, form)
        return document_from_reply(await self._line.attend(sending), instructions)


def _detection_parameters(answered_by: str, seconds: float) -> Form:
    return (("AnsweredBy", answered_by), ("MachineDetectionDuration", str(round(seconds * 1000))))
