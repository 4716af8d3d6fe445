"""What a carrier package provides. Types only; `registry` knows the packages, each package its carrier's words.

A package ``carriers/<name>/`` has these modules, each importable alone:

- ``account``: ``CREDENTIALS``, what its secret holds.
- ``api``: ``open_api``, the carrier's REST API for one account, asked through ``carriers.http``. The only module that
  may need an HTTP client.
- ``webhooks``: what a ``WebhooksModule`` has: is a request authentic, and which of its fields may travel on. Loaded
  while a carrier waits, so it imports next to nothing.
- ``events``: ``to_call_event``, from those fields to canonical words.
- ``instructions``: what an ``InstructionsModule`` has, where the carrier fetches its instructions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:  # webhooks load this module, and must not load what only others need
    from dialplane.domain.calls import CallEvent
    from dialplane.domain.carrier import CarrierCall, CreateOutcome, DialRequest
    from dialplane.domain.instructions import Instructions
    from dialplane.domain.statuses import AnsweredBy


@dataclass(frozen=True, slots=True)
class Credential:
    """One entry of a carrier account's secret: its name, where to find it, and the pattern its value must match.

    ``where`` is shown to operators as it is: one or two sentences with their full stop.
    """

    name: str
    where: str
    is_required: bool = True
    pattern: str = r"[\x21-\x7e]{1,500}"


API_BASE_URL = Credential(
    "api_base_url",
    "The address of the carrier's API where it is not the usual one (a region, a simulator): an http or https URL "
    "without a trailing slash or query string.",
    is_required=False,
    pattern=r"https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[A-Za-z0-9._~-]+)*",
)
"""Every carrier's secret may hold it."""


class CarrierCredentials(Mapping[str, str]):
    """The secret of a carrier account, by name. Never shows its values."""

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, object]) -> None:
        """Keep the texts of a secret; raises ValueError when it holds anything else."""
        if not all(isinstance(value, str) for value in values.values()):
            raise ValueError("a carrier secret holds texts only")
        self._values = {name: str(value) for name, value in values.items() if value}

    def __getitem__(self, name: str) -> str:
        if name not in self._values:
            raise ValueError(f"the carrier account's secret has no {name}")
        return self._values[name]

    def __contains__(self, name: object) -> bool:
        return name in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CarrierCredentials) and self._values == other._values

    __hash__ = None  # type: ignore[assignment] # a secret is no key

    def __repr__(self) -> str:
        return f"CarrierCredentials({', '.join(self._values)})"

    def get(self, name: str, default: str | None = None) -> str | None:  # type: ignore[override]
        """A value that may be absent."""
        return self._values.get(name, default)


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """A carrier's request as it is verified. ``url`` is as we gave it, header names are lower case, ``now`` is UTC."""

    url: str
    body: bytes
    headers: Mapping[str, str]
    now: datetime


@dataclass(frozen=True, slots=True)
class Report:
    """The fields of an authentic callback that may travel on; none of them when there is nothing to apply.

    ``call_id`` is ours, for carriers that call back one address for all calls of an account.
    """

    fields: Mapping[str, str]
    call_id: str | None = None


SessionStatus = Literal["completed", "ended", "failed"]
"""How a session over a WebSocket was over: the callee hung up, we ended it, or it broke off."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An authentic request for instructions: which of the carrier's calls has been answered, and by whom.

    ``session_status`` is None for the first of a call; afterwards the carrier asks because a session is over.
    """

    carrier_call_id: str
    answered_by: AnsweredBy | None = None
    answered_by_raw: str | None = None
    session_status: SessionStatus | None = None


class InvalidCallback(ValueError):
    """An authentic request that is not what this carrier documents. The message repeats no value of it."""


class ForeignAccount(Exception):
    """An authentic request that names another account of the carrier than the one that signed it."""


class WebhooksModule(Protocol):
    """A carrier's ``webhooks`` module."""

    SIGNATURE_HEADER: str
    """Lower case. A request without it is refused before any secret is read."""
    UNSIGNED_STATUS: int
    """What such a request is answered: 403, or 429 for carriers that may send unsigned and then send again."""
    SOCKET_SIGNATURE_HEADER: str | None
    """The same for the handshake of a conversation's WebSocket; None for carriers that sign none."""

    def is_authentic(self, credentials: CarrierCredentials, request: SignedRequest) -> bool:
        """Did the account's carrier sign exactly this request? Never raises for anything in the request."""

    def is_authentic_socket(self, credentials: CarrierCredentials, request: SignedRequest) -> bool:
        """May this be the account's carrier that opens a conversation's WebSocket? Never raises for any request.

        ``url`` is the WebSocket's as it was given to the carrier, ``body`` is empty. Carriers that sign no handshake
        prove nothing here: the token in the address is then all that there is.
        """

    def parse_report(self, credentials: CarrierCredentials, body: bytes) -> Report:
        """Read an authentic callback. Raises InvalidCallback and ForeignAccount."""

    def parse_answer(self, credentials: CarrierCredentials, body: bytes) -> Answer:
        """Read an authentic request for instructions. Raises InvalidCallback and ForeignAccount."""


class EventsModule(Protocol):
    """A carrier's ``events`` module."""

    def to_call_event(self, fields: Mapping[str, str], received_at: datetime) -> CallEvent:
        """Translate the fields of a Report, or of a CarrierCall. Raises ValueError for a status that is not known."""


@dataclass(frozen=True, slots=True)
class Document:
    """Instructions in a carrier's words."""

    content_type: str
    text: str


class InstructionsModule(Protocol):
    """A carrier's ``instructions`` module."""

    def render(self, instructions: Instructions, *, action_url: str | None = None) -> Document:
        """Word the instructions. Raises ValueError for an engine that this carrier has no words for.

        ``action_url`` is where to ask again once a conversation's session is over.
        """

    def hang_up(self) -> Document:
        """The document that ends the call; also the answer to a request that is not served."""


class CarrierApi(Protocol):
    """One account's calls at its carrier. Safe to share between threads; repeats nothing by itself.

    All but ``create_call`` raise CarrierUnavailable when the carrier cannot be asked, and ControlUnsupported when it
    has no such request.
    """

    @property
    def list_keeps(self) -> timedelta | None:
        """How long ``list_calls`` goes on showing a call; None where the carrier names no end."""

    def create_call(self, request: DialRequest) -> CreateOutcome:
        """Ask once for a call. Never raises for what the carrier or the network do."""

    def fetch_call(self, carrier_call_id: str) -> CarrierCall | None:
        """One call as the carrier's books have it now."""

    def list_calls(self, *, destination: str, caller_number: str, created_after: datetime) -> Sequence[CarrierCall]:
        """The account's calls between two numbers, queued ones included."""

    def requested_urls(self, carrier_call_id: str) -> Sequence[str]:
        """The addresses that the carrier has called for a call, or other texts of its books that end in our call id."""

    def end_call(self, carrier_call_id: str) -> None:
        """Hang up; a call that has ended or is gone is success."""

    def transfer_call(
        self, carrier_call_id: str, *, destination: str, caller_number: str, message: str | None, status_url: str
    ) -> None:
        """Say ``message``, then connect the callee with ``destination`` (E.164); a call that nobody takes over ends.

        ``status_url`` is the call's own: what becomes of ``destination`` may be reported there. Raises
        CallNotInProgress when the carrier's call has ended or is gone.
        """

    def start_recording(self, carrier_call_id: str, *, status_url: str) -> None:
        """Record both sides from now to the end of the call, and report to ``status_url`` when the recording is ready.

        Asking twice may record twice. Raises CallNotInProgress when the carrier's call has ended or is gone.
        """


class ApiModule(Protocol):
    """A carrier's ``api`` module."""

    def open_api(self, credentials: CarrierCredentials, *, timeout_seconds: float) -> CarrierApi:
        """The API of an account; ``api_base_url`` among its credentials replaces the carrier's address.

        ``timeout_seconds`` bounds each request: at most two seconds of it to connect. Raises ValueError when the
        secret lacks something.
        """
