"""Entities survive DynamoDB: what is written is what is read."""

from __future__ import annotations

from dataclasses import MISSING, dataclass, field, fields, replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialplane.domain.accounts import ApiKey, Assistant, CallerNumber, CarrierAccount, Organization
from dialplane.domain.dnc import DncEntry
from dialplane.domain.idempotency import IdempotencyRecord
from dialplane.domain.instructions import Instructions
from dialplane.domain.statuses import CallStatus, DialOutcome, EndedReason, Verdict
from dialplane.domain.times import from_text, to_text
from dialplane.domain.wallets import Hold, LedgerEntry, LedgerEntryKind, Wallet
from dialplane.dynamodb.codec import decode, encode, encode_fields, plain
from dialplane.usecases.apply_carrier_event import RecordedEvent
from tests.unit.test_calls import a_call

NOW = datetime(2026, 11, 20, 15, 0, 0, 123_000, tzinfo=UTC)
ENTITIES: list[Any] = [
    Organization("org_1", "Example"),
    Organization("org_1", "Example", allowed_countries=frozenset({"US", "GB"}), is_active=False),
    Organization("org_1", "Silent", discloses=False, opt_out_digit=None, model_providers=frozenset({"openai"})),
    Organization("org_1", "Nowhere", allowed_countries=frozenset()),
    Organization("org_1", "\u00e9\U0001f600", allowed_number_types=frozenset({"premium_rate"})),
    ApiKey("k", "org_1", "Key", "0" * 64, frozenset({"a", "b"}), expires_at=NOW),
    Assistant(1, "org_1", "A", "Hello."),
    Assistant(
        3, "org_1", "A", "Hi", end_phrases=("goodbye", "tot ziens"), analysis_schema={"type": "object", "x": 0.5}
    ),
    Assistant(2**63 - 1, "org_1", "A", "", engine="relay", engine_url="wss://x", machine_detection=True),
    CallerNumber("+15551234567", "org_1", "twilio", "acct_1", assistant_id=1),
    CarrierAccount("acct_1", "org_1", "twilio", "Main", NOW),
    IdempotencyRecord("s", "f", "call_1", 1_790_000_000),
    Wallet("org_1", "USD", 10**18, 5, 4, 3, 2),
    Hold("call_1", 300_000, NOW),
    LedgerEntry("led_1", LedgerEntryKind.DEPOSIT, NOW, "USD", amount_micros=1),
    DncEntry(number="+15559876543", source="api", added_at=NOW),
    RecordedEvent(NOW, "callback", Verdict.STALE, "ringing", "CA1", sequence=0, duration_seconds=0),
    a_call(),
    a_call(
        CallStatus.FAILED,
        dial_outcome=DialOutcome.REJECTED,
        ended_reason=EndedReason.CARRIER_REJECTED,
        ended_at=NOW,
        gates=("a", "b"),
        seen_event_keys=frozenset({"x", "y"}),
        duration_seconds=0,
        charge_micros=0,
        instructions=Instructions("stream", "Hi", url="wss://x", parameters={"call_id": "c", "empty": ""}),
    ),
]


@pytest.mark.parametrize("entity", ENTITIES, ids=lambda entity: type(entity).__name__)
def test_an_entity_survives_its_item(entity: Any) -> None:
    item = {"pk": {"S": "p"}, "sk": {"S": "s"}, "newer_field": {"N": "1"}, **encode_fields(entity)}
    assert decode(type(entity), item) == entity


@pytest.mark.parametrize("entity", ENTITIES, ids=lambda entity: type(entity).__name__)
def test_none_and_empty_sets_are_stored_by_absence_where_that_is_what_absence_means(entity: Any) -> None:
    item = encode_fields(entity)
    assert all(value != {"SS": []} for value in item.values())
    defaults = {each.name: each.default for each in fields(entity)}
    assert all(defaults[name] not in (MISSING, None, frozenset()) for name, value in item.items() if "NULL" in value)


@pytest.mark.parametrize(
    ("value", "attribute"),
    [
        (True, {"BOOL": True}),
        (0, {"N": "0"}),
        (-(10**37), {"N": "-1" + "0" * 37}),
        ("", {"S": ""}),
        (CallStatus.BUSY, {"S": "busy"}),
        (NOW, {"S": "2026-11-20T15:00:00.123Z"}),
        (frozenset({"b", "a"}), {"SS": ["a", "b"]}),
        (["a", 1], {"L": [{"S": "a"}, {"N": "1"}]}),
        ((), {"L": []}),
        ({"a": None, "b": 1}, {"M": {"b": {"N": "1"}}}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_each_type_has_its_attribute(value: Any, attribute: dict[str, Any]) -> None:
    assert encode(value) == attribute
    assert type(encode(CallStatus.BUSY)["S"]) is str


@pytest.mark.parametrize(
    "value", [1.5, float("nan"), None, frozenset(), {1}, b"x", object(), Wallet], ids=lambda value: type(value).__name__
)
def test_a_type_that_no_entity_has_is_a_programming_error(value: Any) -> None:
    with pytest.raises(TypeError):
        encode(value)


@given(
    value=st.recursive(
        st.booleans() | st.integers(-(10**37), 10**37) | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=8,
    )
)
def test_plain_values_survive(value: Any) -> None:
    assert plain(encode(value)) == value


def test_a_field_with_a_default_may_be_missing_in_an_older_item() -> None:
    @dataclass(frozen=True)
    class Newer:
        name: str
        tags: frozenset[str] = frozenset()
        notes: tuple[str, ...] = field(default=())

    globals()["Newer"] = Newer
    assert decode(Newer, {"name": {"S": "x"}}) == Newer("x")


# ---- times ----------------------------------------------------------------------------------------------------------

moments = st.datetimes(
    min_value=datetime(1, 1, 2),  # noqa: DTZ001
    max_value=datetime(9999, 12, 30),  # noqa: DTZ001
    timezones=st.just(UTC) | st.integers(-1_439, 1_439).map(lambda minutes: timezone(timedelta(minutes=minutes))),
)


@given(moment=moments)
def test_a_time_has_a_fixed_width_and_survives_to_the_millisecond(moment: datetime) -> None:
    text = to_text(moment)
    assert len(text) == len("2026-11-20T15:00:00.000Z")
    assert from_text(text) == moment.astimezone(UTC).replace(microsecond=moment.microsecond // 1_000 * 1_000)


@given(first=moments, second=moments)
def test_texts_sort_as_times_do(first: datetime, second: datetime) -> None:
    def floored(moment: datetime) -> datetime:
        return moment.replace(microsecond=moment.microsecond // 1_000 * 1_000)

    assert (to_text(first) < to_text(second)) is (floored(first) < floored(second))


def test_a_moment_in_another_offset_is_the_same_text() -> None:
    assert to_text(NOW.astimezone(timezone(timedelta(hours=-8)))) == to_text(NOW)


def test_two_calls_that_differ_are_not_equal_after_the_codec() -> None:
    call = a_call()
    other = replace(call, seen_event_keys=frozenset({"x"}))
    assert decode(type(call), encode_fields(call)) != decode(type(call), encode_fields(other))
