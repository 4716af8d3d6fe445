"""Phone numbers: E.164 text to a value, the country and kind of a number, and how it may appear in logs.

Which destinations an organization may call is a gate in ``admission``, not here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumberFormat, PhoneNumberType, ValidationResult

from dialplane.domain.errors import PhoneNumberInvalid

# fullmatch and [0-9] on purpose: "$" lets a trailing newline through and "\d" lets other scripts' digits through.
_E164 = re.compile(r"\+[1-9][0-9]{1,14}")
_NANP = 1
_NANP_AREA_CODE_LENGTH = 3
# A subscriber part that is valid in every assigned North American area code.
_NANP_PROBE_SUBSCRIBER = 2_345_678

REFUSED_NUMBER_TYPES = frozenset(
    {"premium_rate", "shared_cost", "uan", "voicemail", "pager", "toll_free", "personal_number", "unknown"}
)
"""Kinds of numbers that toll fraud aims at, or whose callee pays: refused by default."""

REGIONS = frozenset(phonenumbers.SUPPORTED_REGIONS) | {"001"}
"""Every country a number can be of, in ISO 3166; ``001`` for satellite and other shared codes."""

_TYPE_NAMES = {
    value: name.lower() for name, value in vars(PhoneNumberType).items() if name.isupper() and isinstance(value, int)
}


@dataclass(frozen=True)
class PhoneNumber:
    """A number that is possible in its country, in E.164.

    Possible is not valid: numbers reserved for examples and tests are possible and belong to nobody.
    """

    e164: str

    @classmethod
    def parse(cls, text: str, *, field: str) -> PhoneNumber:
        """Read an E.164 text. Raises PhoneNumberInvalid, which names ``field``."""
        if _E164.fullmatch(text) is None:
            raise PhoneNumberInvalid(field)
        number = cls(text)
        try:
            possibility = phonenumbers.is_possible_number_with_reason(number._parsed)
        except NumberParseException as error:  # a country calling code that nobody has
            raise PhoneNumberInvalid(field) from error
        # Stricter than is_possible_number, which also accepts numbers that lack their area code.
        if possibility != ValidationResult.IS_POSSIBLE:
            raise PhoneNumberInvalid(field)
        # One number, one text: "+44020…" reaches the person of "+4420…", past the entry that says not to call her.
        if phonenumbers.format_number(number._parsed, PhoneNumberFormat.E164) != text:
            raise PhoneNumberInvalid(field, "has digits that are only dialled within its country.")
        return number

    def __str__(self) -> str:
        return self.e164

    @cached_property
    def _parsed(self) -> phonenumbers.PhoneNumber:
        return phonenumbers.parse(self.e164, None)

    @cached_property
    def is_valid(self) -> bool:
        """True when the number lies in a range that its country has assigned."""
        return bool(phonenumbers.is_valid_number(self._parsed))

    @cached_property
    def region(self) -> str:
        """ISO 3166 country, ``001`` for satellite and other shared codes.

        +1 is two dozen countries, some of them costly: a number of an unassigned range is judged by its area code.
        """
        country_code = self._parsed.country_code
        assert country_code is not None
        region = phonenumbers.region_code_for_number(self._parsed)
        if region is None and country_code == _NANP:
            area_code = str(self._parsed.national_number)[:_NANP_AREA_CODE_LENGTH]
            probe = phonenumbers.PhoneNumber(
                country_code=_NANP, national_number=int(area_code) * 10**7 + _NANP_PROBE_SUBSCRIBER
            )
            region = phonenumbers.region_code_for_number(probe)
        return region or str(phonenumbers.region_code_for_country_code(country_code))

    @cached_property
    def area_code(self) -> str | None:
        """The digits that name the number's area within its country; None where a number has none, as mobiles do."""
        national = str(phonenumbers.national_significant_number(self._parsed))
        # Every North American number begins with one, assigned or not.
        is_nanp = self._parsed.country_code == _NANP
        length = _NANP_AREA_CODE_LENGTH if is_nanp else phonenumbers.length_of_geographical_area_code(self._parsed)
        return national[:length] or None

    @cached_property
    def number_type(self) -> str:
        """The kind of number in lower case, such as ``mobile`` or ``premium_rate``; ``unknown`` when not known."""
        return _TYPE_NAMES[phonenumbers.number_type(self._parsed)]


def mask(e164: str) -> str:
    """The number as a log may show it: the country's first digits and the last two."""
    return f"{e164[:5]}***{e164[-2:]}"
