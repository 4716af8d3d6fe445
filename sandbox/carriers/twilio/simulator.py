"""The simulated Twilio as a whole: its accounts, its queue, its calls and whatever runs on their behalf."""

import asyncio
import contextlib

from sandbox.carriers.background import Background
from sandbox.carriers.carrier import Surroundings
from sandbox.carriers.clock import CallTimeline, SimulatedClock
from sandbox.carriers.recordings import Recording
from sandbox.carriers.scenarios import Scenario, find_scenario
from sandbox.carriers.twilio.call_runner import CallRunner
from sandbox.carriers.twilio.calls import Call, CallStore
from sandbox.carriers.twilio.errors import call_not_in_progress, not_recordable
from sandbox.carriers.twilio.parameters import CallParameters, CallUpdate, RecordingParameters
from sandbox.carriers.twilio.webhooks import WebhookSender


class CallQueue:
    """An account's calls-per-second queue, in simulated time."""

    def __init__(self, clock: SimulatedClock, calls_per_second: float) -> None:
        self._clock = clock
        self._interval_seconds = 1 / calls_per_second
        self._next_departure = 0.0

    def reserve(self) -> float:
        """Take the next departure; simulated seconds until then."""
        now = self._clock.seconds()
        departure = max(now, self._next_departure)
        self._next_departure = departure + self._interval_seconds
        return departure - now


class SimulatedTwilio:
    """Twilio for a set of accounts. Must be made and used within one event loop."""

    def __init__(self, auth_tokens: dict[str, str], surroundings: Surroundings) -> None:
        """`auth_tokens` are by account SID."""
        self.accounts = auth_tokens
        self.owned_numbers = surroundings.owned_numbers
        self.calls = CallStore()
        self.background = Background()
        self._clock = surroundings.clock
        self._calls_per_second = surroundings.calls_per_second
        self._sender = WebhookSender(surroundings, auth_tokens)
        self._queues: dict[str, CallQueue] = {}
        self._runners: dict[str, CallRunner] = {}

    def place(self, account_sid: str, parameters: CallParameters) -> Call:
        """Queue a call and let it live."""
        scenario: Scenario = find_scenario(parameters.to)
        queue = self._queues.setdefault(account_sid, CallQueue(self._clock, self._calls_per_second))
        queued_seconds = queue.reserve() + scenario.queued_seconds
        call = Call(
            account_sid=account_sid,
            parameters=parameters,
            scenario=scenario,
            timeline=CallTimeline(self._clock),
            queue_time_ms=round(queued_seconds * 1000),
        )
        self.calls.add(call)
        runner = self._runners[call.sid] = CallRunner(call, self._sender, self.background.spawn)
        self.background.spawn(runner.run())
        return call

    async def update(self, call: Call, update: CallUpdate) -> None:
        """Hang up, redirect or amend a call. Raises TwilioError."""
        if call.ended:
            # Also what Twilio answers to hanging up a call that is over.
            raise call_not_in_progress()
        runner = self._runners[call.sid]
        if update.instructions is not None and update.status is None and call.status != "in-progress":
            raise call_not_in_progress()
        amended = {
            "fallback_url": update.fallback_url,
            "fallback_method": update.fallback_method,
            "status_callback": update.status_callback,
            "status_callback_method": update.status_callback_method,
        }
        call.amend(**{name: value for name, value in amended.items() if value is not None})
        if update.time_limit is not None:
            runner.limit(update.time_limit)
        # "canceled" leaves a call that was answered alone; "completed" ends any.
        if update.status == "completed" or (update.status == "canceled" and call.status != "in-progress"):
            runner.hang_up()
            # The reply shows the call as it is then; one that lingers is shown as it still is.
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(runner.over.wait(), 1)
        elif update.instructions is not None:
            runner.redirect(update.instructions)

    def record(self, call: Call, parameters: RecordingParameters) -> Recording:
        """Record an answered call. Raises TwilioError."""
        if call.status != "in-progress":
            raise not_recordable()
        return self._runners[call.sid].record(parameters)

    async def reset(self) -> None:
        """Stop and forget every call."""
        await self.background.stop()
        self.calls.clear()
        self._queues.clear()
        self._runners.clear()
