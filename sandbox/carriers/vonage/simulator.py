"""The simulated Vonage as a whole: its applications, their legs, and whatever runs on their behalf."""

import asyncio
import contextlib
import uuid
from collections import defaultdict
from collections.abc import Sequence

from sandbox.carriers.background import Background
from sandbox.carriers.carrier import Account, Surroundings, keyed
from sandbox.carriers.clock import CallTimeline
from sandbox.carriers.line import Line
from sandbox.carriers.rate_limit import RateLimit
from sandbox.carriers.scenarios import find_scenario
from sandbox.carriers.vonage.actions import CallSession
from sandbox.carriers.vonage.call_runner import CallRunner
from sandbox.carriers.vonage.calls import Leg, LegStore
from sandbox.carriers.vonage.errors import bad_request, not_found, rate_limited
from sandbox.carriers.vonage.events import Address, Events, Webhooks
from sandbox.carriers.vonage.leg_life import LegLife
from sandbox.carriers.vonage.parameters import CallModification, CallParameters, text_of
from sandbox.carriers.vonage.tokens import Application, application_of

# Vonage's own limit is 3 calls per second where Twilio's is 1; the server is told Twilio's.
CALLS_PER_SECOND_FACTOR = 3


class SimulatedVonage:
    """Vonage for a set of applications. Must be made and used within one event loop."""

    def __init__(self, accounts: Sequence[Account], surroundings: Surroundings) -> None:
        """Each account has application_id, private_key, api_key, signature_secret. Raises AccountError."""
        by_id = keyed("vonage", accounts, "application_id", "private_key", "api_key", "signature_secret")
        self.applications = {key: application_of(account) for key, account in by_id.items()}
        self.legs = LegStore()
        self.background = Background()
        self._surroundings = surroundings
        self._webhooks = Webhooks(surroundings)
        self._runners: dict[str, CallRunner] = {}
        self._rates: dict[str, RateLimit] = defaultdict(
            lambda: RateLimit(surroundings.clock, surroundings.calls_per_second * CALLS_PER_SECOND_FACTOR)
        )

    def place(self, application: Application, parameters: CallParameters) -> Leg:
        """Start a call and let it live. Raises VonageError."""
        if not self._rates[application.id].allows():
            raise rate_limited()
        clock, spawn = self._surroundings.clock, self.background.spawn
        leg = Leg(
            application_id=application.id,
            conversation_uuid=f"CON-{uuid.uuid4()}",
            to=parameters.to,
            from_=parameters.from_,
            scenario=find_scenario(text_of(parameters.to)),
            timeline=CallTimeline(clock),
        )
        self.legs.add(leg)
        address = Address(parameters.event_url, parameters.event_method) if parameters.event_url else None
        events = Events(application, leg, address, self._webhooks, spawn)
        session = CallSession(LegLife(leg, Line(leg.timeline), events), self.legs, self._webhooks, spawn)
        runner = self._runners[leg.uuid] = CallRunner(parameters, session, clock)
        spawn(runner.run())
        return leg

    async def modify(self, leg: Leg, modification: CallModification) -> None:
        """Hang up or transfer; muting changes nothing that can be seen. Raises VonageError."""
        runner = self._runners.get(leg.uuid)
        if leg.ended or runner is None:
            # Legs that the call was connected with are ended by what ends the call.
            raise not_found()
        if modification.action == "hangup":
            runner.hang_up()
            # Vonage answers when it is done; a call that lingers does not keep the client waiting.
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(runner.over.wait(), 1)
        elif leg.status != "answered":
            raise bad_request("The call has not been answered")
        elif modification.instructions is not None:
            runner.transfer(modification.instructions)

    async def reset(self) -> None:
        """Stop and forget every call."""
        await self.background.stop()
        self.legs.clear()
        self._runners.clear()
        self._rates.clear()
        for application in self.applications.values():
            application.used_token_ids.clear()
