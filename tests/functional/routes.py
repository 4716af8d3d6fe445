"""Every route of the API behind a key, with the scope it asks for. Ids in a path are filled in by the test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.fakes.world import Reply, World
from tests.functional.expectations import SEED2

INITIATE = "POST /calls/initiate"


@dataclass(frozen=True)
class Route:
    """One operation and a body it accepts."""

    name: str
    scope: str
    body: Any = None

    def send(self, world: World, *, key: str | None = "", call_id: str = "x", number: str = "x", **how: Any) -> Reply:
        """Ask for it."""
        how = {"body": self.body, **how}
        if self.name == INITIATE:
            return world.initiate(how.pop("body"), key=key, **how)
        path = self.name.split(" ")[1].replace("{call_id}", call_id).replace("{number}", number)
        return world.manage(self.name, path, key=key, **how)


ROUTES = (
    Route(INITIATE, "can_initiate_calls", SEED2),
    Route("GET /calls", "can_read_calls"),
    Route("GET /calls/{call_id}", "can_read_calls"),
    Route("GET /calls/{call_id}/events", "can_read_calls"),
    Route("GET /calls/{call_id}/transcript", "can_read_calls"),
    Route("DELETE /calls/{call_id}/transcript", "can_erase_transcripts"),
    Route("POST /calls/{call_id}/control", "can_control_calls", {"type": "end-call"}),
    Route("POST /calls/{call_id}/terminate", "can_control_calls"),
    Route("GET /api/v1/calls", "can_read_calls"),
    Route("GET /wallet", "can_read_wallet"),
    Route("GET /wallet/ledger", "can_read_wallet"),
    Route("GET /wallet/reconcile", "can_read_wallet"),
    Route("POST /wallet/deposits", "can_deposit", {"amount": "1.00", "currency": "USD"}),
    Route("PUT /dnc/{number}", "can_write_dnc", {"reason": "asked"}),
    Route("GET /dnc/{number}", "can_read_dnc"),
    Route("DELETE /dnc/{number}", "can_write_dnc"),
    Route("GET /carrier-accounts", "can_read_accounts"),
    Route("GET /numbers", "can_read_accounts"),
)
