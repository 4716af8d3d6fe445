"""Money is integers; time is rounded up to the increment, money to the micro-unit."""

from __future__ import annotations

from fractions import Fraction
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialplane.domain.money import Money, charge_micros, parse_amount


@pytest.mark.parametrize(
    ("micros", "text"),
    [
        (0, "0.000000"),
        (1, "0.000001"),
        (90_000, "0.090000"),
        (1_000_000, "1.000000"),
        (1_234_567_890, "1234.567890"),
        (-1, "-0.000001"),
        (-1_500_000, "-1.500000"),
        (10**24, "1" + "0" * 18 + ".000000"),
    ],
)
def test_an_amount_has_six_places_and_is_exact(micros: int, text: str) -> None:
    assert Money(micros, "USD").amount == text


@pytest.mark.parametrize(
    ("text", "micros"),
    [
        ("0", 0),
        ("1", 1_000_000),
        ("25.00", 25_000_000),
        ("0.000001", 1),
        ("007.5", 7_500_000),
        ("999999999999.999999", 999_999_999_999_999_999),
    ],
)
def test_an_amount_is_read_exactly(text: str, micros: int) -> None:
    assert parse_amount(text) == micros


@pytest.mark.parametrize(
    "text",
    [
        *("", ".", ".5", "5.", "-1", "+1", " 1", "1 ", "1\n", "1,5", "1e3", "0x1", "1_0", "0.0000001", "NaN", "inf"),
        *("1000000000000", "\u0661", "\uff11", "1.\u0661", "\u00bd"),
    ],
)
def test_what_is_no_amount_is_none(text: str) -> None:
    assert parse_amount(text) is None


@given(micros=st.integers(0, 10**18 - 1))
def test_an_amount_survives_its_text(micros: int) -> None:
    assert parse_amount(Money(micros, "USD").amount) == micros


@pytest.mark.parametrize(
    ("seconds", "rate", "increment", "charge"),
    [
        (0, 30_000, 60, 0),
        (1, 30_000, 60, 30_000),
        (60, 30_000, 60, 30_000),
        (61, 30_000, 60, 60_000),
        (61, 30_000, 1, 30_500),
        (61, 30_000, 6, 33_000),
        (1, 1, 1, 1),  # a sixtieth of a micro-unit is a whole one
        (7, 100, 1, 12),
        (30, 1, 30, 1),
        (600, 30_000, 60, 300_000),
        (14_400, 999_999, 60, 239_999_760),
    ],
)
def test_time_is_rounded_up_to_the_increment_and_money_to_the_micro_unit(
    seconds: int, rate: int, increment: int, charge: int
) -> None:
    assert charge_micros(seconds=seconds, rate_micros_per_minute=rate, increment_seconds=increment) == charge


amounts = st.integers(0, 10**6)
positive = st.integers(1, 10**6)


@given(seconds=amounts, rate=positive, increment=st.integers(1, 3_600))
def test_a_charge_is_the_smallest_whole_amount_that_covers_the_billed_time(
    seconds: int, rate: int, increment: int
) -> None:
    billed = ceil(Fraction(seconds, increment)) * increment
    expected = ceil(Fraction(billed * rate, 60))
    assert charge_micros(seconds=seconds, rate_micros_per_minute=rate, increment_seconds=increment) == expected


@given(limit=amounts, seconds=amounts, rate=positive, increment=st.integers(1, 3_600))
def test_a_call_within_its_limit_never_costs_more_than_its_hold(
    limit: int, seconds: int, rate: int, increment: int
) -> None:
    def cost(duration: int) -> int:
        return charge_micros(seconds=duration, rate_micros_per_minute=rate, increment_seconds=increment)

    assert cost(min(seconds, limit)) <= cost(limit)
