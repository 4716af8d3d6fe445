"""What the API shows: money with its currency, times in UTC, absence as null."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from dialplane.domain.dnc import DncEntry
from dialplane.domain.statuses import CallStatus, EndedReason
from dialplane.domain.wallets import Difference, LedgerEntry, LedgerEntryKind, Wallet
from dialplane.runtime.documents import (
    call_document,
    dnc_document,
    ledger_entry_document,
    money,
    reconciliation_document,
    timeline_document,
    wallet_document,
)
from dialplane.usecases.browse_calls import TimelineEntry
from dialplane.usecases.manage_wallet import Reconciliation
from tests.unit.test_calls import a_call

NOW = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
TEXT = "2026-11-20T15:00:00.000Z"
WALLET = Wallet("org_1", "USD", 1_500_000, 940_000, 500_000, 60_000, 2)


def test_money_is_a_decimal_text_with_its_currency() -> None:
    assert money(90_000, "USD") == {"amount": "0.090000", "currency": "USD"}


def test_a_call_that_has_just_begun() -> None:
    document = call_document(a_call())
    assert json.loads(json.dumps(document)) == document
    assert (document["from"], document["to"], document["status"]) == ("+15551234567", "+15559876543", "queued")
    assert document["hold"] == {"amount": "0.300000", "currency": "USD"}
    absent = {"ended_reason", "answered_at", "ended_at", "settled_at", "duration_seconds", "answered_by", "charge"}
    assert {name for name, value in document.items() if value is None} >= absent


def test_a_call_that_has_ended() -> None:
    call = a_call(
        CallStatus.COMPLETED,
        ended_reason=EndedReason.HANG_UP,
        ended_at=NOW,
        duration_seconds=0,
        charge_micros=0,
        carrier_cost="0.0140",
        carrier_cost_currency="USD",
    )
    document = call_document(call)
    assert (document["ended_reason"], document["ended_at"], document["duration_seconds"]) == ("hang_up", TEXT, 0)
    assert document["charge"] == {"amount": "0.000000", "currency": "USD"}
    assert document["carrier_cost"] == {"amount": "0.0140", "currency": "USD"}


@pytest.mark.parametrize("field", ["api_key_id", "variables_json", "organization_id", "carrier_account_id", "version"])
def test_what_is_nobodys_business_does_not_show(field: str) -> None:
    canary: dict[str, Any] = {field: 424_242 if field == "version" else "canary"}
    call = a_call(**canary)
    assert "canary" not in json.dumps(call_document(call))
    assert "424242" not in json.dumps(call_document(call))


def test_a_moment_shows_micro_units_as_money_and_times_as_text() -> None:
    details: dict[str, Any] = {"charge_micros": 60_000, "currency": "USD", "occurred_at": NOW, "sequence": 0, "x": None}
    assert timeline_document(TimelineEntry(NOW, "settled", details)) == {
        "at": TEXT,
        "type": "settled",
        "charge": {"amount": "0.060000", "currency": "USD"},
        "occurred_at": TEXT,
        "sequence": 0,
        "x": None,
    }


def test_a_wallet_shows_its_law() -> None:
    assert wallet_document(WALLET) == {
        "currency": "USD",
        "available": money(940_000, "USD"),
        "held": money(500_000, "USD"),
        "spent": money(60_000, "USD"),
        "deposited": money(1_500_000, "USD"),
        "active_calls": 2,
    }


def test_a_deposit_shows_its_amount_and_a_settlement_how_its_hold_was_split() -> None:
    deposit = LedgerEntry("led_1", LedgerEntryKind.DEPOSIT, NOW, "USD", amount_micros=1)
    assert ledger_entry_document(deposit) == {
        "id": "led_1",
        "kind": "deposit",
        "at": TEXT,
        "amount": money(1, "USD"),
        "note": None,
    }
    settlement = LedgerEntry(
        "led_2",
        LedgerEntryKind.SETTLEMENT,
        NOW,
        "USD",
        hold_micros=300,
        charge_micros=60,
        release_micros=240,
        call_id="call_1",
    )
    assert ledger_entry_document(settlement) == {
        "id": "led_2",
        "kind": "settlement",
        "at": TEXT,
        "call_id": "call_1",
        "hold": money(300, "USD"),
        "charge": money(60, "USD"),
        "release": money(240, "USD"),
    }


def test_a_reconciliation_lists_what_differs() -> None:
    document = reconciliation_document(Reconciliation(WALLET, (Difference("held", 1, 2),)))
    assert document["balanced"] is False
    assert document["differences"] == [{"figure": "held", "recorded": 1, "recomputed": 2}]
    assert reconciliation_document(Reconciliation(WALLET, ()))["balanced"] is True


def test_a_do_not_call_entry() -> None:
    entry = DncEntry(number="+15559876543", source="import", added_at=NOW)
    assert dnc_document(entry) == {"number": "+15559876543", "reason": None, "source": "import", "added_at": TEXT}
