"""The pool: the number the destination knows, then one from nearby, then the least used."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialplane.domain.accounts import CallerNumber
from dialplane.domain.number_pool import choose
from dialplane.domain.phone_numbers import PhoneNumber


def a_number(number: str, **changes: Any) -> CallerNumber:
    return replace(CallerNumber(number, "org_1", "twilio", "acct_1"), **changes)


NEW_YORK, BOSTON, AMSTERDAM, UTRECHT = "+12125550100", "+16175550100", "+31201234567", "+31301234567"
POOL = [a_number(number) for number in (AMSTERDAM, BOSTON, NEW_YORK, UTRECHT)]


def chosen(destination: str, pool: list[CallerNumber] = POOL, **how: Any) -> tuple[str | None, str]:
    defaults: dict[str, Any] = {"last_used": None, "calls_made": {}, "carriers": ["twilio"]}
    choice = choose(pool, PhoneNumber(destination), **{**defaults, **how})
    return choice.number, choice.reason.value


@pytest.mark.parametrize(
    ("destination", "how", "expected"),
    [
        ("+12125550199", {}, (NEW_YORK, "local_area")),
        ("+31209999999", {}, (AMSTERDAM, "local_area")),
        ("+13105550199", {}, (NEW_YORK, "local_country")),
        ("+13105550199", {"calls_made": {NEW_YORK: 1}}, (BOSTON, "local_country")),
        ("+31612345678", {}, (AMSTERDAM, "local_country")),  # a mobile has no area
        ("+442079460123", {}, (NEW_YORK, "least_used")),
        ("+442079460123", {"calls_made": {NEW_YORK: 2, BOSTON: 1, AMSTERDAM: 3}}, (UTRECHT, "least_used")),
        ("+12125550199", {"last_used": UTRECHT}, (UTRECHT, "sticky")),
        ("+12125550199", {"last_used": "+19175550100"}, (NEW_YORK, "local_area")),  # given up since
        ("+12125550199", {"carriers": ["vonage"]}, (None, "least_used")),
    ],
)
def test_s3_3_the_rule_that_chooses(destination: str, how: dict[str, Any], expected: tuple[str, str]) -> None:
    assert chosen(destination, **how) == expected


@pytest.mark.parametrize("fault", [{"is_active": False}, {"in_pool": False}, {"can_dial_out": False}])
def test_a_number_that_cannot_be_called_from_is_no_choice_even_where_it_is_known(fault: dict[str, bool]) -> None:
    pool = [a_number(NEW_YORK, **fault), a_number(BOSTON)]
    assert chosen("+12125550199", pool, last_used=NEW_YORK) == (BOSTON, "local_country")
    assert chosen("+12125550199", pool[:1])[0] is None


@given(st.permutations(POOL), st.dictionaries(st.sampled_from([each.number for each in POOL]), st.integers(0, 5)))
def test_the_choice_does_not_depend_on_the_order_of_reading(pool: list[CallerNumber], made: dict[str, int]) -> None:
    assert chosen("+442079460123", pool, calls_made=made) == chosen("+442079460123", POOL, calls_made=made)
