"""Placeholders: one pass, no code, values never read as templates again."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialplane.domain.errors import TemplateInvalid, ValueInvalid, VariablesMissing
from dialplane.domain.templates import (
    NESTING_MAX,
    TEMPLATE_LENGTH_MAX,
    TEXT_LENGTH_MAX,
    VALUE_LENGTH_MAX,
    VARIABLES_MAX,
    check_text,
    check_variables,
    render,
    render_references,
)

VARIABLES: dict[str, Any] = {
    "name": "Ada",
    "empty": "",
    "zero": 0,
    "count": 3,
    "minus": -1,
    "yes": True,
    "no": False,
    "nothing": None,
    "customer": {"name": "Grace", "address": {"city": "Paris"}},
    "trap": "{{name}}",
    "half": "{{",
    "other_half": "name}}",
    "_x9": "ok",
}


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("", ""),
        ("no placeholder", "no placeholder"),
        ("{{name}}", "Ada"),
        ("{{ name }}", "Ada"),
        ("{{\tname\n}}", "Ada"),
        ("{{name}}{{name}}", "AdaAda"),
        ("Hi {{name}}, {{count}}!", "Hi Ada, 3!"),
        ("{{empty}}", ""),
        ("{{zero}}", "0"),
        ("{{minus}}", "-1"),
        ("{{yes}}/{{no}}", "true/false"),
        ("{{_x9}}", "ok"),
        ("{{customer.name}}", "Grace"),
        ("{{ customer.address.city }}", "Paris"),
        ('{{gone | default: "there"}}', "there"),
        ("{{gone|default:'there'}}", "there"),
        ('{{gone | default: ""}}', ""),
        ('{{gone | default: "it\'s"}}', "it's"),
        ('{{name | default: "there"}}', "Ada"),
        ('{{empty | default: "there"}}', ""),
        ('{{zero | default: "many"}}', "0"),
        ('{{nothing | default: "there"}}', "there"),
        ('{{customer.gone | default: "there"}}', "there"),
        ('{{name.first | default: "there"}}', "there"),
        ('{{customer | default: "there"}}', "there"),
        ("}} and } and {", "}} and } and {"),
        ("{ {name} }", "{ {name} }"),
        ("{{name}}}}", "Ada}}"),
        ("\u00e9\U0001f600{{name}}\u4e2d", "\u00e9\U0001f600Ada\u4e2d"),
    ],
)
def test_placeholders_are_filled(template: str, expected: str) -> None:
    assert render(template, VARIABLES, field="agenda") == expected


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{{trap}}", "{{name}}"),
        ("{{half}}{{other_half}}", "{{name}}"),
        ("{{half}}name}}", "{{name}}"),
        ('{{gone | default: "{{name"}}', "{{name"),
        ('{{gone | default: "{{"}}name', "{{name"),
    ],
)
def test_a_value_or_default_is_never_read_as_a_template_again(template: str, expected: str) -> None:
    assert render(template, VARIABLES, field="agenda") == expected


@pytest.mark.parametrize(
    "template",
    [
        "{{",
        "{{name",
        "{{}}",
        "{{ }}",
        "{{name}",
        "{{na me}}",
        "{{1name}}",
        "{{na-me}}",
        "{{.name}}",
        "{{name.}}",
        "{{a..b}}",
        "{{name|upper}}",
        "{{name | default}}",
        "{{name | default: there}}",
        "{{name | default: \"there'}}",
        '{{name | default: "a" | default: "b"}}',
        "{{name()}}",
        "{{name[0]}}",
        "{{name.__class__.__mro__}}x{{%}}",
        "{{ 7*7 }}",
        "{{{name}}}",
        "{{ {{name}} }}",
        "{{n\u00e4me}}",
        "{{\u0661}}",
        "{{" + "x" * 65 + "}}",
        "{{" + ".".join("abcdef") + "}}",
        "good {{name}} bad {{",
    ],
)
def test_a_malformed_placeholder_is_refused_with_its_place(template: str) -> None:
    with pytest.raises(TemplateInvalid, match=r"welcome_message has a placeholder at character \d+"):
        render(template, VARIABLES, field="welcome_message")


def test_attributes_of_values_cannot_be_reached() -> None:
    for path in ("name.__class__", "customer.keys", "customer.__len__", "count.real", "name.upper"):
        with pytest.raises(VariablesMissing):
            render("{{" + path + "}}", VARIABLES, field="agenda")


def test_all_missing_variables_are_named_once_and_in_order() -> None:
    with pytest.raises(VariablesMissing) as caught:
        render("{{b}} {{a}} {{name}} {{b}} {{customer}} {{customer.gone}}", VARIABLES, field="agenda")
    assert caught.value.names == ("b", "a", "customer", "customer.gone")
    assert "b, a, customer, customer.gone" in caught.value.message


def test_the_filled_text_has_a_limit_of_its_own() -> None:
    template = "{{v}}" * 4
    assert len(render(template, {"v": "x" * 1_024}, field="agenda")) == TEXT_LENGTH_MAX
    with pytest.raises(TemplateInvalid, match="agenda has 4097 characters"):
        render(template + "!", {"v": "x" * 1_024}, field="agenda")


braces = st.text(alphabet="{}ab |:'\".\\", max_size=20)


@given(values=st.lists(braces, min_size=1, max_size=5), glue=st.text("xyz ", max_size=5))
def test_rendering_is_a_single_pass_whatever_the_values_are(values: list[str], glue: str) -> None:
    """The values come out as they went in, in order, with the text between them: nothing is added, lost or expanded."""
    template = glue + glue.join(f"{{{{v{number}}}}}" for number in range(len(values))) + glue
    variables = {f"v{number}": value for number, value in enumerate(values)}
    assert render(template, variables, field="agenda") == glue + glue.join(values) + glue


@given(text=st.text(alphabet=st.characters(blacklist_characters="{"), max_size=200))
def test_a_text_without_opening_braces_is_itself(text: str) -> None:
    assert render(text, VARIABLES, field="agenda") == text


@given(template=st.text(alphabet="{}name. |:default\"'", max_size=60))
def test_any_template_renders_or_is_refused(template: str) -> None:
    try:
        rendered = render(template, {"name": "VALUE"}, field="agenda")
    except (TemplateInvalid, VariablesMissing):
        return
    assert "{{" not in rendered
    expected = re.sub(r"\{\{\s*name\s*(\|[^}]*)?\}\}", "VALUE", template)
    if "{{" not in expected:
        assert rendered == expected


@given(value=st.text(max_size=50))
def test_a_default_is_text_and_never_a_template(value: str) -> None:
    template = '{{gone | default: "' + value.replace('"', "") + '"}}'
    if "}}" in value or value.endswith("}"):
        return
    assert render(template, VARIABLES, field="agenda") == value.replace('"', "")


# ---- references, for texts that instruct a model ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("no placeholder", "no placeholder"),
        ("Ask {{ name }} for {{customer.name}}.", "Ask [name] for [customer.name]."),
        ("{{zero}}{{no}}{{empty}}", "[zero][no][empty]"),
        ('{{ name | default: "there" }}', "[name]"),
        ('{{ gone | default: "there" }}', "there"),
        ('{{ nothing | default: "" }}', ""),
        ('{{ customer | default: "them" }}', "them"),
        ("{{trap}} {{half}}", "[trap] [half]"),
    ],
)
def test_a_reference_is_the_name_of_a_value_and_never_the_value(template: str, expected: str) -> None:
    assert render_references(template, VARIABLES, field="prompt") == expected


@given(values=st.lists(st.text(max_size=30), min_size=1, max_size=5))
def test_no_value_changes_a_text_of_references(values: list[str]) -> None:
    template = " ".join(f"{{{{ v{number} }}}}" for number in range(len(values)))
    expected = " ".join(f"[v{number}]" for number in range(len(values)))
    variables = {f"v{number}": value for number, value in enumerate(values)}
    assert render_references(template, variables, field="prompt") == expected


def test_references_need_their_values_as_texts_do() -> None:
    with pytest.raises(VariablesMissing) as caught:
        render_references("{{b}} {{name}} {{customer}}", VARIABLES, field="prompt")
    assert caught.value.names == ("b", "customer")
    with pytest.raises(TemplateInvalid, match="prompt has a placeholder at character 3"):
        render_references("a {{ 7*7 }}", VARIABLES, field="prompt")
    with pytest.raises(TemplateInvalid, match="prompt has 6 characters"):
        render_references("{{name}}", VARIABLES, field="prompt", length_max=5)


# ---- texts and variables before they are used -----------------------------------------------------------------------


@pytest.mark.parametrize("character", [chr(code) for code in range(32) if chr(code) not in "\t\n\r"])
def test_control_characters_are_refused_by_name(character: str) -> None:
    with pytest.raises(ValueInvalid, match=rf"agenda has the control character U\+{ord(character):04X} at position 3"):
        check_text(f"ab{character}", field="agenda")


@pytest.mark.parametrize("character", ["\x7f", "\x80", "\x85", "\x9f", "\ud800", "\ufffe", "\uffff"])
def test_what_xml_cannot_carry_is_refused(character: str) -> None:
    with pytest.raises(ValueInvalid):
        check_text(character, field="agenda")


def test_white_space_and_every_script_may_be_spoken() -> None:
    check_text("\t\n\r \u00a0 \u4e2d \u0661 \U0001f600 \u200b <b>&amp;", field="agenda")


def test_the_length_of_a_template_is_limited() -> None:
    check_text("x" * TEMPLATE_LENGTH_MAX, field="agenda")
    with pytest.raises(ValueInvalid, match="agenda has 4097 characters"):
        check_text("x" * (TEMPLATE_LENGTH_MAX + 1), field="agenda")


@pytest.mark.parametrize(
    "variables",
    [
        {},
        VARIABLES,
        {f"v{number}": number for number in range(VARIABLES_MAX)},
        {"v": "x" * VALUE_LENGTH_MAX},
        {"v": 10**38 - 1, "w": -(10**38) + 1},
        {"a": {"b": {"c": {"d": {"e": 1}}}}},
        {"x" * 64: 1},
    ],
    ids=lambda variables: str(variables)[:30],
)
def test_variables_that_a_text_can_use_pass(variables: dict[str, Any]) -> None:
    check_variables(variables)


@pytest.mark.parametrize(
    ("variables", "offender"),
    [
        ({"a": 1.5}, "variables.a must be"),
        ({"a": float("nan")}, "variables.a must be"),
        ({"a": [1]}, "variables.a must be"),
        ({"a": {"b": [1]}}, "variables.a.b must be"),
        ({"a": b"x"}, "variables.a must be"),
        ({"a b": 1}, "variables has a name"),
        ({"a": {"1": 1}}, "variables.a has a name"),
        ({"\u0661": 1}, "variables has a name"),
        ({"a\n": 1}, "variables has a name"),
        ({"x" * 65: 1}, "variables has a name"),
        ({"v": "x" * (VALUE_LENGTH_MAX + 1)}, "variables.v has 1025 characters"),
        ({"v": "a\x00"}, r"variables.v has the control character U\+0000 at position 2"),
        ({"v": 10**38}, "variables.v has more than 38 digits"),
        ({f"v{number}": number for number in range(VARIABLES_MAX + 1)}, "variables has 51 entries"),
        ({"a": {f"v{number}": number for number in range(VARIABLES_MAX)}}, "variables has 51 entries"),
        ({"a": {"b": {"c": {"d": {"e": {"f": 1}}}}}}, "nested deeper than 5 levels"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_variables_that_no_text_can_use_are_refused_with_their_path(variables: dict[str, Any], offender: str) -> None:
    with pytest.raises(ValueInvalid, match=offender) as caught:
        check_variables(variables)
    assert caught.value.details["field"].startswith("variables")


def test_every_path_that_variables_may_have_can_be_written_as_a_placeholder() -> None:
    names = list("abcde")[:NESTING_MAX]
    value: Any = "deep"
    for name in reversed(names):
        value = {name: value}
    check_variables(value)
    assert render("{{" + ".".join(names) + "}}", value, field="agenda") == "deep"
