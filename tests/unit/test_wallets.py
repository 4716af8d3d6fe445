"""The books: recomputed from the ledger and the open holds, and every figure that they do not bear out."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialplane.domain.wallets import Difference, Hold, LedgerEntry, LedgerEntryKind, Wallet, reconcile

NOW = datetime(2026, 11, 20, tzinfo=UTC)
HOLDS = [Hold("call_2", 300, NOW), Hold("call_3", 200, NOW)]
LEDGER = [
    LedgerEntry("led_1", LedgerEntryKind.DEPOSIT, NOW, "USD", amount_micros=1_000),
    LedgerEntry("led_2", LedgerEntryKind.DEPOSIT, NOW, "USD", amount_micros=500),
    LedgerEntry("led_3", LedgerEntryKind.SETTLEMENT, NOW, "USD", hold_micros=300, charge_micros=60, release_micros=240),
]
WALLET = Wallet(
    "org_1", "USD", deposited_micros=1_500, available_micros=940, held_micros=500, spent_micros=60, active_calls=2
)


def test_books_that_agree_have_no_difference() -> None:
    assert reconcile(WALLET, HOLDS, LEDGER) == []
    assert reconcile(Wallet("org_1", "USD"), [], []) == []


@pytest.mark.parametrize(
    ("change", "figure"),
    [
        ({"deposited_micros": 1_501}, "deposited"),
        ({"available_micros": 939}, "available"),
        ({"held_micros": 501}, "held"),
        ({"spent_micros": 59}, "spent"),
        ({"active_calls": 3}, "active_calls"),
    ],
)
def test_a_wrong_figure_is_named_with_both_its_values(change: dict[str, Any], figure: str) -> None:
    (difference,) = reconcile(replace(WALLET, **change), HOLDS, LEDGER)
    (recorded,) = change.values()
    (name,) = change
    assert difference == Difference(figure, recorded, getattr(WALLET, name))


@given(
    deposits=st.lists(st.integers(1, 10**9), max_size=5),
    settled=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)), max_size=5),
    held=st.lists(st.integers(0, 10**6), max_size=5),
)
def test_the_law_deposited_is_available_and_held_and_spent(
    deposits: list[int], settled: list[tuple[int, int]], held: list[int]
) -> None:
    ledger = [LedgerEntry("d", LedgerEntryKind.DEPOSIT, NOW, "USD", amount_micros=amount) for amount in deposits]
    ledger += [
        LedgerEntry("s", LedgerEntryKind.SETTLEMENT, NOW, "USD", hold_micros=a + b, charge_micros=a, release_micros=b)
        for a, b in settled
    ]
    spent = sum(charge for charge, _ in settled)
    wallet = Wallet(
        "org_1",
        "USD",
        deposited_micros=sum(deposits),
        available_micros=sum(deposits) - spent - sum(held),
        held_micros=sum(held),
        spent_micros=spent,
        active_calls=len(held),
    )
    assert reconcile(wallet, [Hold("call", amount, NOW) for amount in held], ledger) == []
