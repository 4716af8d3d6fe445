"""E.164, possible in its country, and judged by its country and kind."""

from __future__ import annotations

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialplane.domain.errors import PhoneNumberInvalid
from dialplane.domain.phone_numbers import PhoneNumber, mask


@pytest.mark.parametrize(
    "text",
    [
        "+15551234567",
        "+15559876543",
        "+15550100101",
        "+442079460123",
        "+4915112345678",
        "+390612345678",
        "+61491570156",
        "+881612345678",
    ],
)
def test_possible_numbers_pass_valid_or_not(text: str) -> None:
    assert PhoneNumber.parse(text, field="to").e164 == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "+",
        "+1",
        "+15",
        "5551234567",
        "+05551234567",
        "+1555123456",
        "+155512345678",
        "+15551234",  # local only: no area code
        "+1234567890123456",
        "+15551234567\n",
        "\t+15551234567",
        "+1 5551234567",
        "+1555123456\u0661",
        "+\uff11\uff15\uff15\uff15\uff11\uff12\uff13\uff14\uff15\uff16\uff17",
        "+1800FLOWERS",
        "tel:+15551234567",
        "+15551234567;ext=1",
        "+210123456789",  # nobody's country code
        "+999123456789",
        "+44",
        "+4402079460123",  # the zero is dialled within the country; it would be a second text for one number
        "+49015112345678",
        "\ud800",
    ],
    ids=ascii,
)
def test_everything_else_is_refused_and_names_the_field_but_not_the_text(text: str) -> None:
    with pytest.raises(PhoneNumberInvalid) as caught:
        PhoneNumber.parse(text, field="to")
    assert caught.value.details == {"field": "to"}
    assert len(text) < 5 or text not in caught.value.message


@given(text=st.from_regex(r"\+[0-9]{1,16}", fullmatch=True) | st.text(max_size=20))
def test_any_text_is_a_number_or_refused(text: str) -> None:
    try:
        number = PhoneNumber.parse(text, field="to")
    except PhoneNumberInvalid:
        return
    parsed = phonenumbers.parse(text, None)
    assert phonenumbers.is_possible_number(parsed)
    assert phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164) == text
    assert number.region
    assert number.number_type
    assert isinstance(number.is_valid, bool)


@pytest.mark.parametrize(
    ("text", "region"),
    [
        ("+15551234567", "US"),
        ("+12125550100", "US"),
        ("+14165550100", "CA"),
        ("+18765551234", "JM"),
        ("+12685551234", "AG"),
        ("+18095551234", "DO"),
        ("+442079460123", "GB"),
        ("+881612345678", "001"),
        ("+88312345678901", "001"),
        ("+979123456789", "001"),
    ],
)
def test_the_region_of_plus_one_is_judged_by_its_area_code(text: str, region: str) -> None:
    assert PhoneNumber.parse(text, field="to").region == region


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("+15551234567", "unknown"),
        ("+19002345678", "premium_rate"),
        ("+18002345678", "toll_free"),
        ("+447400123456", "mobile"),
        ("+442079460123", "fixed_line"),
        ("+447012345678", "personal_number"),
    ],
)
def test_the_kind_of_a_number(text: str, kind: str) -> None:
    assert PhoneNumber.parse(text, field="to").number_type == kind


def test_numbers_for_examples_are_possible_and_not_valid() -> None:
    assert not PhoneNumber.parse("+15551234567", field="to").is_valid
    assert PhoneNumber.parse("+12125550100", field="to").is_valid


@pytest.mark.parametrize(("text", "shown"), [("+15559876543", "+1555***43"), ("+442079460123", "+4420***23")])
def test_a_log_shows_only_the_ends_of_a_number(text: str, shown: str) -> None:
    assert mask(text) == shown
