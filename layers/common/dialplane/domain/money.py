"""Money: integer micro-units (a millionth of the currency unit) and the arithmetic of rates.

No floating point anywhere. Currency conversion does not belong here: a wallet has one currency.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MICROS_PER_UNIT = 1_000_000
SECONDS_PER_MINUTE = 60
# Twelve digits before the point keep every sum of amounts far below DynamoDB's 38 digits of precision.
_AMOUNT = re.compile(r"(?P<units>[0-9]{1,12})(?:\.(?P<fraction>[0-9]{1,6}))?")


@dataclass(frozen=True, slots=True)
class Money:
    """An amount of micro-units in one currency (ISO 4217 code)."""

    micros: int
    currency: str

    @property
    def amount(self) -> str:
        """Decimal text with six places, exact: 90000 micro-units are ``0.090000``."""
        sign = "-" if self.micros < 0 else ""
        units, fraction = divmod(abs(self.micros), MICROS_PER_UNIT)
        return f"{sign}{units}.{fraction:06d}"


def parse_amount(text: str) -> int | None:
    """Micro-units of a non-negative decimal text with at most six places; None when it is anything else."""
    match = _AMOUNT.fullmatch(text)
    if match is None:
        return None
    return int(match["units"]) * MICROS_PER_UNIT + int((match["fraction"] or "").ljust(6, "0"))


def charge_micros(*, seconds: int, rate_micros_per_minute: int, increment_seconds: int) -> int:
    """What ``seconds`` cost at a rate per minute, time rounded up to the billing increment and money to the micro-unit.

    The same function sizes a hold (from the time limit) and a charge (from the duration), so a call within its limit
    can never cost more than its hold.
    """
    billed_seconds = -(-seconds // increment_seconds) * increment_seconds
    return -(-billed_seconds * rate_micros_per_minute // SECONDS_PER_MINUTE)
