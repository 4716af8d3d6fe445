"""A carrier that does what the test says, for tests in which no carrier's words matter."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from dialplane.domain.carrier import CarrierCall, CreateOutcome, DialRequest, Placed


@dataclass
class FakeCarrier:
    """Answers dials from ``outcomes`` in turn, then with Placed; remembers every request; shows ``records``.

    Commands to its calls are kept in ``commands``. ``on_create`` runs while the request is under way, before its
    answer: a place for callbacks that are faster.
    """

    outcomes: list[CreateOutcome | BaseException] = field(default_factory=list)
    requests: list[DialRequest] = field(default_factory=list)
    records: dict[str, CarrierCall] = field(default_factory=dict)
    urls: dict[str, Sequence[str]] = field(default_factory=dict)
    commands: list[dict[str, str | None]] = field(default_factory=list)
    command_errors: list[Exception] = field(default_factory=list)
    list_keeps: timedelta | None = None
    on_create: Callable[[DialRequest, str], None] = lambda request, carrier_call_id: None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def create_call(self, request: DialRequest) -> CreateOutcome:
        """Record the request and answer it."""
        with self._lock:
            self.requests.append(request)
            carrier_call_id = f"CA{len(self.requests):032x}"
            outcome = self.outcomes.pop(0) if self.outcomes else Placed(carrier_call_id)
        self.on_create(request, carrier_call_id)
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    def fetch_call(self, carrier_call_id: str) -> CarrierCall | None:
        """What the records say."""
        return self.records.get(carrier_call_id)

    def list_calls(self, *, destination: str, caller_number: str, created_after: datetime) -> Sequence[CarrierCall]:
        """All records: the test puts in those that match."""
        return list(self.records.values())

    def requested_urls(self, carrier_call_id: str) -> Sequence[str]:
        """What the test said was requested."""
        return self.urls.get(carrier_call_id, ())

    def end_call(self, carrier_call_id: str) -> None:
        """Remember the command, and refuse it when ``command_errors`` says so."""
        self._obey({"end": carrier_call_id})

    def transfer_call(
        self, carrier_call_id: str, *, destination: str, caller_number: str, message: str | None, status_url: str
    ) -> None:
        """As ``end_call``."""
        self._obey({"transfer": carrier_call_id, "to": destination, "caller_number": caller_number, "message": message})

    def start_recording(self, carrier_call_id: str, *, status_url: str) -> None:
        """As ``end_call``."""
        self._obey({"record": carrier_call_id, "status_url": status_url})

    def _obey(self, command: dict[str, str | None]) -> None:
        self.commands.append(command)
        if self.command_errors:
            raise self.command_errors.pop(0)

    @property
    def call_ids(self) -> Iterable[str]:
        """Our call ids, in the order in which dials were asked for."""
        return [request.status_url.rsplit("/", 1)[1] for request in self.requests]
