"""The simulated TeXML as a whole: its calls and whatever runs on their behalf."""

import asyncio
import contextlib

from sandbox.carriers.background import Background
from sandbox.carriers.carrier import Surroundings
from sandbox.carriers.clock import CallTimeline
from sandbox.carriers.rate_limit import RateLimit
from sandbox.carriers.recordings import Recording
from sandbox.carriers.scenarios import find_scenario
from sandbox.carriers.telnyx.accounts import TelnyxAccount
from sandbox.carriers.telnyx.errors import call_ended, call_not_answered, rate_limited
from sandbox.carriers.telnyx.webhooks import TelnyxSender
from sandbox.carriers.telnyx_texml.call_runner import TexmlCallRunner
from sandbox.carriers.telnyx_texml.calls import TexmlCall, TexmlCallStore
from sandbox.carriers.telnyx_texml.parameters import TexmlParameters, TexmlRecordingParameters, TexmlUpdate


class SimulatedTexml:
    """Telnyx for a set of TeXML applications. Must be made and used within one event loop."""

    def __init__(self, carrier: str, surroundings: Surroundings) -> None:
        self.calls = TexmlCallStore()
        self.background = Background()
        self._clock = surroundings.clock
        self._calls_per_second = surroundings.calls_per_second
        self._sender = TelnyxSender(carrier, surroundings)
        self._limits: dict[str, RateLimit] = {}
        self._runners: dict[str, TexmlCallRunner] = {}

    def place(self, account: TelnyxAccount, account_sid: str, parameters: TexmlParameters) -> TexmlCall:
        """Place a call. Raises TelnyxError beyond the account's rate."""
        limit = self._limits.setdefault(account.api_key, RateLimit(self._clock, self._calls_per_second))
        if not limit.allows():
            raise rate_limited()
        call = TexmlCall(
            account=account,
            account_sid=account_sid,
            application_id=parameters.application_sid,
            parameters=parameters,
            to=parameters.to,
            from_=parameters.from_,
            time_limit_seconds=parameters.time_limit_seconds,
            scenario=find_scenario(parameters.to),
            timeline=CallTimeline(self._clock),
        )
        self.calls.add(call)
        runner = TexmlCallRunner(call, self._sender, self.background.spawn)
        self._runners[call.call_control_id] = runner
        self.background.spawn(runner.run())
        return call

    async def update(self, call: TexmlCall, update: TexmlUpdate) -> None:
        """Hang up or redirect a call. Raises TelnyxError."""
        if call.ended:
            raise call_ended()
        runner = self._runners[call.call_control_id]
        if update.status_callback is not None:
            call.report_to(update.status_callback)
        if update.ends:
            runner.hang_up()
            # The reply shows the call as it is then; one that lingers is shown as it still is.
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(runner.over.wait(), 1)
        elif update.instructions is not None:
            if call.answered_at is None:
                raise call_not_answered()
            runner.redirect(update.instructions)

    def record(self, call: TexmlCall, parameters: TexmlRecordingParameters) -> Recording:
        """Record an answered call. Raises TelnyxError."""
        if call.ended:
            raise call_ended()
        if call.answered_at is None:
            raise call_not_answered()
        return self._runners[call.call_control_id].record(parameters)

    async def reset(self) -> None:
        """Stop and forget every call."""
        await self.background.stop()
        self.calls.clear()
        self._limits.clear()
        self._runners.clear()
