"""Filling ``{{ name }}`` placeholders in the texts of a call.

Placeholders: ``{{ name }}``, dotted paths ``{{ customer.name }}`` and ``{{ name | default: "there" }}``. One pass, no
code: a value is put in as it is and never read as a template again. Choosing which text to fill belongs to
``admission``; speaking it belongs to ``carriers``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from dialplane.domain.errors import TemplateInvalid, ValueInvalid, VariablesMissing

Scalar = str | int | bool
Variables = Mapping[str, "Scalar | Variables | None"]

TEMPLATE_LENGTH_MAX = 4_096
TEXT_LENGTH_MAX = 4_096
PROMPT_LENGTH_MAX = 32_768
"""A prompt is read by a model, not aloud."""
VARIABLES_MAX = 50
VALUE_LENGTH_MAX = 1_024
NESTING_MAX = 5

_NAME = r"[A-Za-z_][A-Za-z0-9_]{0,63}"
_VARIABLE_NAME = re.compile(_NAME)
_PLACEHOLDER = re.compile(
    rf"""\s*(?P<path>{_NAME}(?:\.{_NAME}){{0,{NESTING_MAX - 1}}})\s*
         (?:\|\s*default\s*:\s*(?:"(?P<double>[^"]*)"|'(?P<single>[^']*)')\s*)?""",
    re.VERBOSE,
)
# Tab, newline and carriage return are the only control characters that speech and XML 1.0 can carry.
_FORBIDDEN_CHARACTERS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def render(template: str, variables: Variables, *, field: str, length_max: int = TEXT_LENGTH_MAX) -> str:
    """Fill the placeholders of one text.

    Raises VariablesMissing with every name that has neither a value nor a default, and TemplateInvalid when a
    placeholder is malformed or the filled text is longer than ``length_max``.
    """
    return _filled(template, variables, _spoken, field=field, length_max=length_max)


def render_references(template: str, variables: Variables, *, field: str, length_max: int = TEXT_LENGTH_MAX) -> str:
    """Fill the placeholders of a text that instructs a model: never with a value, which others wrote, but its name.

    ``{{ customer.name }}`` becomes ``[customer.name]``, or its default when there is no such value. Raises what
    ``render`` raises.
    """
    return _filled(template, variables, _reference, field=field, length_max=length_max)


_Fill = Callable[["Scalar", str], str]
"""value, its path -> what stands in its place"""


def _spoken(value: Scalar, path: str) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _reference(value: Scalar, path: str) -> str:
    return f"[{path}]"


def _filled(template: str, variables: Variables, fill: _Fill, *, field: str, length_max: int) -> str:
    parts: list[str] = []
    missing: list[str] = []
    position = 0
    while (start := template.find("{{", position)) != -1:
        end = template.find("}}", start)
        match = _PLACEHOLDER.fullmatch(template, start + 2, end) if end != -1 else None
        if match is None:
            raise TemplateInvalid(
                f"{field} has a placeholder at character {start + 1} that is not {{{{ name }}}}, {{{{ a.b }}}} or "
                f'{{{{ name | default: "text" }}}}.',
                field=field,
            )
        parts.append(template[position:start])
        value = _value(variables, match["path"])
        default = match["double"] if match["double"] is not None else match["single"]
        if value is not None:
            parts.append(fill(value, match["path"]))
        elif default is not None:
            parts.append(default)
        else:
            missing.append(match["path"])
        position = end + 2
    if missing:
        raise VariablesMissing(list(dict.fromkeys(missing)))
    parts.append(template[position:])
    text = "".join(parts)
    if len(text) > length_max:
        raise TemplateInvalid(
            f"{field} has {len(text)} characters when filled; at most {length_max} are allowed.", field=field
        )
    return text


def _value(variables: Variables, path: str) -> Scalar | None:
    found: Scalar | Variables | None = variables
    for name in path.split("."):
        found = found.get(name) if isinstance(found, Mapping) else None
    # An object is nothing that can be spoken: for a text it is as absent as null.
    return None if isinstance(found, Mapping) else found


def check_text(text: str, *, field: str, length_max: int = TEMPLATE_LENGTH_MAX) -> None:
    """Refuse a template that is too long or has characters that cannot be spoken. Raises ValueInvalid."""
    if len(text) > length_max:
        raise ValueInvalid(f"{field} has {len(text)} characters; at most {length_max} are allowed.", field=field)
    if (found := _FORBIDDEN_CHARACTERS.search(text)) is not None:
        raise ValueInvalid(
            f"{field} has the control character U+{ord(found[0]):04X} at position {found.start() + 1}. Remove it.",
            field=field,
        )


def check_variables(variables: Mapping[str, object], *, field: str = "variables") -> None:
    """Refuse variables that a text cannot use. Raises ValueInvalid with the path of the first offender.

    Values are texts of at most 1,024 characters, integers of at most 38 digits, true or false, null (as if absent), or
    objects of these down to five levels; at most 50 entries in all. Decimal numbers are refused, because how to speak
    them ("12.5", "12.50") is the sender's choice: send them as text.
    """
    count = _check_entries(variables, (field,))
    if count > VARIABLES_MAX:
        raise ValueInvalid(f"{field} has {count} entries; at most {VARIABLES_MAX} are allowed.", field=field)


def _check_entries(variables: Mapping[str, object], path: Sequence[str]) -> int:
    if len(path) > NESTING_MAX:
        raise ValueInvalid(f"{'.'.join(path)} is nested deeper than {NESTING_MAX} levels.", field=path[0])
    count = 0
    for name, value in variables.items():
        here = (*path, name)
        if _VARIABLE_NAME.fullmatch(name) is None:
            raise ValueInvalid(
                f"{'.'.join(path)} has a name that cannot be a placeholder: use letters, digits and _ (at most 64, "
                "no digit first).",
                field=path[0],
            )
        count += 1
        if isinstance(value, Mapping):
            count += _check_entries(value, here)
        else:
            _check_value(value, ".".join(here), field=path[0])
    return count


_INTEGER_BOUND = 10**38


def _check_value(value: object, path: str, *, field: str) -> None:
    match value:
        case None | bool():
            return
        case int():
            if abs(value) >= _INTEGER_BOUND:
                raise ValueInvalid(f"{path} has more than 38 digits. Send it as text.", field=field)
        case str():
            if len(value) > VALUE_LENGTH_MAX:
                raise ValueInvalid(
                    f"{path} has {len(value)} characters; at most {VALUE_LENGTH_MAX} are allowed.", field=field
                )
            check_text(value, field=path)
        case _:
            raise ValueInvalid(
                f"{path} must be a text, an integer, true, false or an object of these. Send other values as text.",
                field=field,
            )
