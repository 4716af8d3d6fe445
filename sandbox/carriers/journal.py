"""The journal: every request that reached a simulated carrier, every request it sent, and what each callee heard.

Tests and the sandbox's checks read it as the outside truth, so an entry is written at arrival or departure and only
then completed. Nothing here knows what the requests mean, or who speaks in a conversation.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import urlsplit

ENTRIES_MAX = 100_000
CONVERSATIONS_MAX = 10_000
_SECRET_HEADERS = frozenset({"authorization", "proxy-authorization", "cookie"})

FormValues = dict[str, str | list[str]]


@dataclass
class JournalEntry:
    """One HTTP exchange; `status` stays None while, and if, no reply was given. `call_id` is the carrier's."""

    at: str
    carrier: str
    direction: Literal["in", "out"]
    method: str
    url: str
    headers: dict[str, str]
    form: FormValues = field(default_factory=dict)
    json: Any = None
    status: int | None = None
    call_id: str | None = None
    error: str | None = None
    reply_lost: bool = False

    def to_json(self) -> dict[str, Any]:
        """The entry as `GET /_requests` lists it: `json` instead of `form` when the body was JSON."""
        body: dict[str, Any] = {"form": self.form} if self.json is None else {"json": self.json}
        return {
            "at": self.at,
            "carrier": self.carrier,
            "direction": self.direction,
            "method": self.method,
            "url": self.url,
            "path": urlsplit(self.url).path,
            "headers": self.headers,
            **body,
            "status": self.status,
            "call_id": self.call_id,
            "error": self.error,
        }


class Journal:
    """Entries in the order in which they began. Bounded: the oldest go first."""

    def __init__(self) -> None:
        self._entries: deque[JournalEntry] = deque(maxlen=ENTRIES_MAX)

    def add(
        self,
        *,
        carrier: str,
        direction: Literal["in", "out"],
        method: str,
        url: str,
        headers: Mapping[str, str],
        form: Iterable[tuple[str, str]] = (),
        json: Any = None,
        call_id: str | None = None,
    ) -> JournalEntry:
        """Write an entry dated now (real time); secrets in headers are replaced by "[redacted]"."""
        entry = JournalEntry(
            at=_rfc3339_now(),
            carrier=carrier,
            direction=direction,
            method=method,
            url=url,
            headers={
                name: "[redacted]" if name.lower() in _SECRET_HEADERS else value for name, value in headers.items()
            },
            form=group_form(form),
            json=json,
            call_id=call_id,
        )
        self._entries.append(entry)
        return entry

    def to_json(self) -> list[dict[str, Any]]:
        """Every entry, oldest first."""
        return [entry.to_json() for entry in self._entries]

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()


@dataclass
class ConversationRecord:
    """What a callee heard and did in the conversations of one call. `call_id` is the carrier's."""

    call_id: str
    from_number: str
    to_number: str
    scenario: str
    events: list[dict[str, Any]] = field(default_factory=list)

    def note(self, seconds: float, what: str, text: str | None = None, **details: Any) -> None:
        """Write an event down; `seconds` are those of the call's time line, the date is the wall clock's.

        Details that are None are left out.
        """
        about = {"text": text, **details}
        known = {name: value for name, value in about.items() if value is not None}
        self.events.append({"at": _rfc3339_now(), "at_seconds": round(seconds, 2), "event": what, **known})

    def to_json(self) -> dict[str, Any]:
        """The record as `GET /_conversations` lists it."""
        return {
            "call_id": self.call_id,
            "from": self.from_number,
            "to": self.to_number,
            "scenario": self.scenario,
            "events": self.events,
        }


class ConversationJournal:
    """The records of conversations in the order in which they began. Bounded: the oldest go first."""

    def __init__(self) -> None:
        self._records: dict[str, ConversationRecord] = {}

    def add(self, record: ConversationRecord) -> None:
        """Keep a record."""
        self._records[record.call_id] = record
        while len(self._records) > CONVERSATIONS_MAX:
            del self._records[next(iter(self._records))]

    def find(self, call_id: str) -> ConversationRecord | None:
        """The record of a call."""
        return self._records.get(call_id)

    def to_json(self) -> list[dict[str, Any]]:
        """Every record, oldest first."""
        return [record.to_json() for record in self._records.values()]

    def clear(self) -> None:
        """Forget everything."""
        self._records.clear()


def group_form(pairs: Iterable[tuple[str, str]]) -> FormValues:
    """Form pairs as a mapping; a name given more than once has the list of its values."""
    grouped: FormValues = {}
    for name, value in pairs:
        earlier = grouped.get(name)
        if earlier is None:
            grouped[name] = value
        elif isinstance(earlier, list):
            earlier.append(value)
        else:
            grouped[name] = [earlier, value]
    return grouped


def _rfc3339_now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
