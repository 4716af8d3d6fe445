"""Which number of the organization's pool a call is made from, and the one reason for it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from dialplane.domain.accounts import CallerNumber
from dialplane.domain.phone_numbers import PhoneNumber
from dialplane.domain.statuses import CallerNumberReason


@dataclass(frozen=True, slots=True)
class NumberChoice:
    """A caller number (E.164) and why it is this one; no number when there is none to choose."""

    number: str | None
    reason: CallerNumberReason


def choose(
    pool: Collection[CallerNumber],
    destination: PhoneNumber,
    *,
    last_used: str | None,
    calls_made: Mapping[str, int],
    carriers: Collection[str],
) -> NumberChoice:
    """The number that the destination knows, else one from its area, else from its country, else any.

    Among equals the one that was called from least, then the lowest. ``carriers`` are those whose numbers can speak
    as the assistant does.
    """
    usable = {
        each.number: each
        for each in pool
        if each.is_active and each.in_pool and each.can_dial_out and each.carrier in carriers
    }
    if last_used in usable:
        return NumberChoice(last_used, CallerNumberReason.STICKY)
    ranked = sorted(
        (_nearness(PhoneNumber(number), destination), calls_made.get(number, 0), number) for number in usable
    )
    if not ranked:
        return NumberChoice(None, CallerNumberReason.LEAST_USED)
    nearness, _, number = ranked[0]
    return NumberChoice(number, _NEARNESS[nearness])


_NEARNESS = (CallerNumberReason.LOCAL_AREA, CallerNumberReason.LOCAL_COUNTRY, CallerNumberReason.LEAST_USED)


def _nearness(number: PhoneNumber, destination: PhoneNumber) -> int:
    if number.region != destination.region:
        return 2
    return 0 if number.area_code is not None and number.area_code == destination.area_code else 1
