"""Calls over each carrier, as tests of carriers need them: placed, reported, asked about. No fixtures here."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from typing import Any
from unittest.mock import patch

from dialplane.domain.calls import Call
from dialplane.domain.carrier import CreateOutcome, Placed
from dialplane.domain.instructions import Instructions
from dialplane.runtime.callback_urls import CallbackAddress
from dialplane.runtime.entry import serve
from functions.status import webhook, worker
from functions.twiml import app as twiml_app
from sandbox.demo_data import CALLER_NUMBERS, CARRIER_NUMBERS
from tests.fakes.carrier import FakeCarrier
from tests.fakes.carrier_callbacks import (
    Leg,
    Secret,
    content_type_of,
    new_carrier_call_id,
    own_secrets,
    question,
    reports,
    sign,
)
from tests.fakes.world import BASE_URL, Reply, World, a_world

DESTINATION = "+15559876543"
RECEIVED = {"elevenlabs": 200}
"""What each carrier takes for "received"; the others a 204."""
PER_ACCOUNT = ("elevenlabs",)
"""Carriers that call back one address for all calls of an account."""
_NUMBERS = count(1)


class CommandedCarrier(FakeCarrier):
    """A carrier that also takes the commands of calls that are directed step by step."""

    def speak(self, carrier_call_id: str, instructions: Instructions, *, command_id: str) -> None:
        """Remember the command."""
        self.commands.append({"speak": carrier_call_id, "command_id": command_id})

    def hang_up(self, carrier_call_id: str, *, command_id: str) -> None:
        """Remember the command."""
        self.commands.append({"hang_up": carrier_call_id, "command_id": command_id})


@contextlib.contextmanager
def a_world_of_carriers() -> Iterator[World]:
    """A world whose demo organization has an account with every carrier, all of which do what a test says."""
    carrier = CommandedCarrier()
    with (
        a_world(carrier, secrets=own_secrets()) as world,
        patch.object(worker, "open_carrier", lambda *args, **kwargs: carrier),
    ):
        yield world


@dataclass(frozen=True)
class Customer:
    """The demo organization's calls over one carrier."""

    world: World
    carrier: str

    @property
    def secret(self) -> Secret:
        """What its account's secret holds."""
        return own_secrets()[self.carrier]

    @property
    def account_id(self) -> str:
        """Its account with the carrier."""
        return self.world.demo.carrier_accounts[self.carrier]

    def initiates(self, **how: Any) -> Reply:
        """POST /calls/initiate from the carrier's number."""
        number = CALLER_NUMBERS[0] if self.carrier == "twilio" else CARRIER_NUMBERS[self.carrier]
        return self.world.initiate({"from_phone_number": number, "to_phone_number": DESTINATION}, **how)

    def dials(self, outcome: CreateOutcome | None = None) -> tuple[Call, Leg]:
        """A call that was asked for a minute and a half ago, and the carrier's side of it; placed unless told."""
        carrier_call_id = new_carrier_call_id(self.carrier, next(_NUMBERS))
        self.world.carrier.outcomes.append(outcome or Placed(carrier_call_id))
        assert self.initiates().status == (202 if outcome else 200)
        call = self.world.last_call()
        leg = self.leg(call, carrier_call_id)
        self.world.clock.moment += timedelta(seconds=90)
        return call, leg

    def leg(self, call: Call, carrier_call_id: str) -> Leg:
        """A call at the carrier that says it is this one."""
        began_at = self.world.clock.now().replace(microsecond=0)
        return Leg(self.carrier, self.secret, call.id, carrier_call_id, call.caller_number, call.destination, began_at)

    def stored(self, call: Call) -> Call:
        """The call as it is now."""
        return self.world.call(call.id)

    def address(self, call_id: str, kind: str = "status") -> CallbackAddress:
        """Where the carrier calls back."""
        names_call = self.carrier not in PER_ACCOUNT or kind == "twiml"
        return CallbackAddress(
            kind, self.carrier, self.world.demo.organization_id, self.account_id, call_id if names_call else None
        )

    def posts(
        self,
        leg: Leg,
        body: bytes,
        *,
        kind: str = "status",
        address: CallbackAddress | None = None,
        headers: Mapping[str, str] | None = None,
        content_type: str | None = None,
    ) -> Reply:
        """The carrier posts a body, signed by the account unless told other ``headers``."""
        self.world.clock.sleep(0.001)  # by which the timeline is ordered
        address = address or self.address(leg.call_id, kind)
        if headers is None:
            headers = sign(self.carrier, self.secret, address.url(BASE_URL), body, self.world.clock.now())
        names = ("carrier", "organization_id", "carrier_account_id", "call_id")
        event = {
            "version": "2.0",
            "rawPath": "/",
            "headers": {"content-type": content_type or content_type_of(self.carrier), **headers},
            "pathParameters": {name: value for name in names if (value := getattr(address, name)) is not None},
            "requestContext": {"http": {"method": "POST", "path": "/"}, "requestId": "request-carrier"},
            "body": base64.b64encode(body).decode(),
            "isBase64Encoded": True,
        }
        app: Any = twiml_app if address.kind == "twiml" else webhook
        endpoint = app.build(self.world.settings, self.world.aws, now=self.world.clock.now)
        answer = serve(event, endpoint.respond)
        return Reply(answer["statusCode"], answer["headers"], answer["body"])

    def asks(self, leg: Leg, **how: Any) -> Reply:
        """The carrier asks what to say."""
        return self.posts(leg, question(leg), kind="twiml", **how)

    def reports(self, leg: Leg, life: str) -> None:
        """Everything that the carrier has to say about a life, in order, taken in one by one."""
        self.delivers(leg, reports(leg, life), drain_each=True)

    def delivers(self, leg: Leg, bodies: Sequence[bytes], *, drain_each: bool = False) -> None:
        """These reports, in this order; each of them is received."""
        for body in bodies:
            assert self.posts(leg, body).status == RECEIVED.get(self.carrier, 204), body
            if drain_each:
                self.world.drain()
        self.world.drain()

    def verdicts(self, call: Call) -> list[str]:
        """What was done with each report."""
        events = self.world.manage("GET /calls/{call_id}/events", f"/calls/{call.id}/events").json["events"]
        return [event["verdict"] for event in events if event["type"] == "carrier_event"]

    def document(self, call: Call) -> dict[str, Any]:
        """The call as its customer sees it, without what differs from call to call."""
        document: dict[str, Any] = self.world.get_call(call.id).json
        return {name: value for name, value in document.items() if name not in _OF_ONE_CALL}

    def ledger(self, call: Call) -> list[dict[str, Any]]:
        """What moved for a call, without when and under which id."""
        entries = self.world.manage("GET /wallet/ledger", "/wallet/ledger", query={"limit": "100"}).json["entries"]
        return [
            {name: value for name, value in entry.items() if name not in ("id", "at", "call_id")}
            for entry in entries
            if entry.get("call_id") == call.id
        ]


_OF_ONE_CALL = ("id", "call_id", "carrier_call_id", "request_id", "created_at", "updated_at", "settled_at")
