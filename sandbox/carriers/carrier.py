"""What a simulated carrier is to the server, and what the server gives it. No carrier's own words are here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

import aiohttp
from aiohttp import web

from sandbox.carriers.callee import Callees
from sandbox.carriers.clock import SimulatedClock
from sandbox.carriers.journal import Journal, JournalEntry

# A carrier account's secret as the application under test keeps it, with what only the simulated carrier knows besides.
Account = Mapping[str, str]

# The journal's entry of the request being answered; a handler notes the call in it.
JOURNAL_ENTRY = web.RequestKey("journal_entry", JournalEntry)


class AccountError(ValueError):
    """An account to serve lacks something or is of an unknown carrier."""


class SimulatedCarrier(Protocol):
    """One carrier. Made and used within one event loop."""

    @property
    def name(self) -> str:
        """The carrier's name in the journal and in `accounts`, for example `twilio`."""

    def routes(self) -> list[web.RouteDef]:
        """The carrier's paths, with one that answers everything else it owns in the carrier's own error envelope."""

    def owns(self, path: str) -> bool:
        """Whether a request to the path is this carrier's, for the journal."""

    async def reset(self) -> None:
        """Stop and forget every call."""


OpenCarrier = TypeVar("OpenCarrier")


@dataclass(frozen=True)
class Surroundings:
    """What every carrier shares. `calls_per_second` is in simulated time, per account.

    `owned_numbers` are the caller numbers that any account may use, None for every number. `carriers` are those that
    were opened before: ElevenLabs calls over Twilio.
    """

    clock: SimulatedClock
    journal: Journal
    session: aiohttp.ClientSession
    calls_per_second: float = 1.0
    owned_numbers: frozenset[str] | None = None
    carriers: list[SimulatedCarrier] = field(default_factory=list)
    callees: Callees = field(default_factory=Callees)

    def carrier(self, kind: type[OpenCarrier]) -> OpenCarrier:
        """The carrier of this class that was opened before."""
        return next(each for each in self.carriers if isinstance(each, kind))


def keyed(carrier: str, accounts: Sequence[Account], key: str, *others: str) -> dict[str, Account]:
    """Accounts by one of their texts, each having the others as well. Raises AccountError."""
    for account in accounts:
        lacking = [name for name in (key, *others) if not isinstance(account.get(name), str) or not account[name]]
        if lacking:
            raise AccountError(f"an account of {carrier} lacks {', '.join(lacking)}")
    return {account[key]: account for account in accounts}
