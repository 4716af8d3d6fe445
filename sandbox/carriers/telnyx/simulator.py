"""The simulated Call Control as a whole: its calls, the commands given to them, and whatever runs on their behalf."""

from dataclasses import replace

from sandbox.carriers.background import Background
from sandbox.carriers.carrier import Surroundings
from sandbox.carriers.clock import CallTimeline
from sandbox.carriers.rate_limit import RateLimit
from sandbox.carriers.scenarios import find_scenario
from sandbox.carriers.telnyx.accounts import TelnyxAccount
from sandbox.carriers.telnyx.call_runner import CallRunner, bridge
from sandbox.carriers.telnyx.calls import Call, CallStore
from sandbox.carriers.telnyx.commands import RecentCommands
from sandbox.carriers.telnyx.errors import call_ended, call_not_answered, rate_limited
from sandbox.carriers.telnyx.parameters import Body, DialParameters, parse_recording, parse_speech, parse_transfer
from sandbox.carriers.telnyx.webhooks import TelnyxSender

ACTIONS = frozenset({"hangup", "speak", "transfer", "client_state_update", "record_start"})


class SimulatedTelnyx:
    """Telnyx for a set of Call Control applications. Must be made and used within one event loop."""

    def __init__(self, carrier: str, surroundings: Surroundings) -> None:
        self.calls = CallStore()
        self.background = Background()
        self.dials: RecentCommands[Call] = RecentCommands()
        self._commands: RecentCommands[bool] = RecentCommands()
        self._clock = surroundings.clock
        self._calls_per_second = surroundings.calls_per_second
        self._sender = TelnyxSender(carrier, surroundings)
        self._limits: dict[str, RateLimit] = {}
        self._runners: dict[str, CallRunner] = {}

    def dial(self, account: TelnyxAccount, application_id: str, parameters: DialParameters) -> Call:
        """Place a call. Raises TelnyxError beyond the account's rate."""
        limit = self._limits.setdefault(account.api_key, RateLimit(self._clock, self._calls_per_second))
        if not limit.allows():
            raise rate_limited()
        return self._start(self._new_call(account, application_id, parameters)).call

    def command(self, call: Call, action: str, body: Body) -> None:
        """Carry out one of ACTIONS, unless the same command was given lately. Raises TelnyxError."""
        command_id = body.get("command_id")
        if self._commands.find(call.call_control_id, command_id):
            return
        if call.ended:
            raise call_ended()
        runner = self._runners[call.call_control_id]
        match action:
            case "hangup":
                runner.hang_up()
            case "speak":
                speech = parse_speech(body)
                _require_answer(runner)
                runner.speak(speech)
            case "record_start":
                recording = parse_recording(body)
                _require_answer(runner)
                runner.record(recording)
            case "transfer":
                parameters = parse_transfer(body, call.from_)
                _require_answer(runner)
                self._transfer(runner, parameters)
        if body.get("client_state") is not None:
            call.client_state = body["client_state"]
        self._commands.remember(call.call_control_id, command_id, True)

    async def reset(self) -> None:
        """Stop and forget every call."""
        await self.background.stop()
        self.calls.clear()
        self.dials.clear()
        self._commands.clear()
        self._limits.clear()
        self._runners.clear()

    def _transfer(self, original: CallRunner, parameters: DialParameters) -> None:
        call = original.call
        if not parameters.webhook_url:
            # Without an address of its own the new leg reports where the old one does.
            parameters = replace(
                parameters,
                webhook_url=call.parameters.webhook_url,
                webhook_urls=call.parameters.webhook_urls,
                retries_ms=call.parameters.retries_ms,
            )
        leg = self._new_call(call.account, call.application_id, parameters)
        leg.call_session_id = call.call_session_id
        target = self._start(leg, is_transfer_target=True)
        self.background.spawn(bridge(original, target))

    def _new_call(self, account: TelnyxAccount, application_id: str, parameters: DialParameters) -> Call:
        return Call(
            account=account,
            application_id=application_id,
            parameters=parameters,
            to=parameters.to,
            from_=parameters.from_,
            client_state=parameters.client_state,
            time_limit_seconds=parameters.time_limit_seconds,
            scenario=find_scenario(parameters.to),
            timeline=CallTimeline(self._clock),
        )

    def _start(self, call: Call, *, is_transfer_target: bool = False) -> CallRunner:
        self.calls.add(call)
        runner = self._runners[call.call_control_id] = CallRunner(
            call, self._sender, self.background.spawn, is_transfer_target=is_transfer_target
        )
        self.background.spawn(runner.run())
        return runner


def _require_answer(runner: CallRunner) -> None:
    if not runner.answered.is_set():
        raise call_not_answered()
