"""What an assistant must be to speak at all, and what one call may make of it."""

from __future__ import annotations

import contextlib
import json
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialplane.domain.accounts import Assistant
from dialplane.domain.assistants import (
    BOUNDS,
    CHANGEABLE,
    END_PHRASE_LENGTH_MAX,
    END_PHRASES_MAX,
    MAX_DURATION_SECONDS,
    NAME_LENGTH_MAX,
    check_assistant,
    is_realtime,
    with_changes,
)
from dialplane.domain.errors import ConfigurationInvalid, PhoneNumberInvalid, ValueInvalid
from dialplane.domain.templates import PROMPT_LENGTH_MAX, TEMPLATE_LENGTH_MAX

ASSISTANT = Assistant(1, "org_1", "Reminder", "Hello.")
OPENAI = {"provider": "openai", "model": "m", "options": {"temperature": 0.7, "stop": ["a", "b"]}}
SPEECH = {"provider": "deepgram"}
WHOLE = replace(ASSISTANT, llm_config=OPENAI, stt_config=SPEECH, tts_config={"provider": "elevenlabs", "voice": "v"})


# ---- one call's changes ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, OPENAI),
        ({"model": "n"}, {**OPENAI, "model": "n"}),
        ({"seed": 1}, {**OPENAI, "seed": 1}),
        ({"options": {"temperature": 0}}, {**OPENAI, "options": {"temperature": 0, "stop": ["a", "b"]}}),
        ({"options": {"stop": ["c"]}}, {**OPENAI, "options": {"temperature": 0.7, "stop": ["c"]}}),
        ({"options": "none"}, {**OPENAI, "options": "none"}),
        ({"model": {"name": "n"}}, {**OPENAI, "model": {"name": "n"}}),
        ({"model": None}, {"provider": "openai", "options": OPENAI["options"]}),
        ({"options": {"stop": None}}, {**OPENAI, "options": {"temperature": 0.7}}),
        ({"tools": {"a": 1, "b": None}}, {**OPENAI, "tools": {"a": 1}}),
    ],
    ids=[
        "nothing",
        "an entry is replaced",
        "an entry is added",
        "entries of entries merge",
        "lists are replaced",
        "a text in place of an object",
        "an object in place of a text",
        "null removes an entry",
        "null removes an entry of an entry",
        "null in something new is nothing",
    ],
)
def test_s3_6_configurations_merge_entry_by_entry(change: dict[str, Any], expected: dict[str, Any]) -> None:
    before = json.dumps(OPENAI)
    assert with_changes(WHOLE, {"llm_config": change}) == replace(WHOLE, llm_config=expected)
    assert json.dumps(OPENAI) == before, "the assistant itself is as it was"


def test_null_takes_a_whole_setting_away() -> None:
    changed = with_changes(replace(WHOLE, prompt="Be kind."), {"stt_config": None, "prompt": None})
    assert (changed.stt_config, changed.prompt, changed.llm_config) == (None, None, OPENAI)


def test_a_configuration_where_there_was_none_is_the_change() -> None:
    assert with_changes(ASSISTANT, {"tts_config": {"voice": "v", "rate": None}}).tts_config == {"voice": "v"}


def test_s3_6_everything_else_is_replaced() -> None:
    changes = {"welcome_message": "Hi.", "max_duration_seconds": 60, "language": "nl-NL"}
    changed = with_changes(WHOLE, changes)
    assert changed == replace(WHOLE, welcome_message="Hi.", max_duration_seconds=60, language="nl-NL")


@pytest.mark.parametrize("name", [*sorted({field.name for field in fields(Assistant)} - CHANGEABLE), "colour"])
def test_no_call_changes_who_the_assistant_is_or_where_it_calls_from(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        with_changes(ASSISTANT, {name: None, "prompt": "Be kind."})


def test_what_a_call_may_change_are_fields_of_an_assistant() -> None:
    names = {field.name for field in fields(Assistant)}
    assert names >= CHANGEABLE
    assert names - CHANGEABLE == {"id", "organization_id", "caller_number", "is_active", "public_id"}


_JSON = st.recursive(
    st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)
_CONFIGURATIONS = st.dictionaries(st.sampled_from("abc"), _JSON, max_size=3)


@given(_CONFIGURATIONS, _CONFIGURATIONS)
def test_a_change_made_twice_is_made_once(base: dict[str, Any], change: dict[str, Any]) -> None:
    once = with_changes(replace(ASSISTANT, llm_config=base), {"llm_config": change})
    assert with_changes(once, {"llm_config": change}) == once


@given(_CONFIGURATIONS, _CONFIGURATIONS)
def test_what_a_change_does_not_name_stays(base: dict[str, Any], change: dict[str, Any]) -> None:
    merged = with_changes(replace(ASSISTANT, llm_config=base), {"llm_config": change}).llm_config
    assert merged is not None
    assert {name: value for name, value in merged.items() if name not in change} == {
        name: value for name, value in base.items() if name not in change
    }
    assert set(change) <= set(merged)


# ---- providers: S3.9 -------------------------------------------------------------------------------------------------

_SAID = "left out", "required"


@pytest.mark.parametrize("provider", ["openai", "mistral", "xai", "xai_realtime", "another"])
@pytest.mark.parametrize("has_stt", [False, True], ids=["no stt", "stt"])
@pytest.mark.parametrize("has_tts", [False, True], ids=["no tts", "tts"])
def test_s3_9_who_hears_and_speaks_by_itself_and_who_does_not(provider: str, has_stt: bool, has_tts: bool) -> None:
    assistant = replace(
        ASSISTANT,
        llm_config={"provider": provider},
        stt_config=SPEECH if has_stt else None,
        tts_config=SPEECH if has_tts else None,
    )
    present = {"stt_config": has_stt, "tts_config": has_tts}
    if provider == "another":  # what is not known is not judged
        wrong: list[str] = []
    else:
        wrong = [name for name, is_there in present.items() if is_there == (provider == "xai_realtime")]
    if not wrong:
        check_assistant(assistant)
        return
    with pytest.raises(ConfigurationInvalid) as refused:
        check_assistant(assistant)
    assert refused.value.param == wrong[0]
    assert _SAID[provider != "xai_realtime"] in refused.value.message
    assert provider in refused.value.message


@pytest.mark.parametrize("provider", ["", 7, ["openai"]], ids=str)
def test_s3_9_a_provider_is_named_by_a_text(provider: object) -> None:
    with pytest.raises(ConfigurationInvalid) as refused:
        check_assistant(replace(ASSISTANT, llm_config={"provider": provider}))
    assert refused.value.param == "llm_config"


@pytest.mark.parametrize("llm_config", [{}, {"provider": None}, {"model": "m"}], ids=str)
def test_s3_9_without_a_provider_there_is_no_rule_to_break(llm_config: dict[str, Any]) -> None:
    check_assistant(replace(ASSISTANT, llm_config=llm_config))
    check_assistant(replace(ASSISTANT, llm_config=llm_config, stt_config=SPEECH))


def test_s3_9_without_a_language_model_there_is_nothing_to_contradict() -> None:
    check_assistant(replace(ASSISTANT, stt_config=SPEECH))


def test_s3_9_the_rule_is_for_the_assistant_as_the_call_changes_it() -> None:
    check_assistant(WHOLE)
    realtime = {"llm_config": {"provider": "xai_realtime"}}
    with pytest.raises(ConfigurationInvalid):
        check_assistant(with_changes(WHOLE, realtime))
    check_assistant(with_changes(WHOLE, {**realtime, "stt_config": None, "tts_config": None}))


@pytest.mark.parametrize(
    ("llm_config", "expected"),
    [
        ({"provider": "xai_realtime"}, True),
        ({"provider": "xai"}, False),
        ({"provider": "openai"}, False),
        ({"provider": ["xai_realtime"]}, None),
        ({}, False),
        (None, False),
    ],
    ids=str,
)
def test_s3_21_models_that_take_no_text_while_they_speak(
    llm_config: dict[str, Any] | None, expected: bool | None
) -> None:
    if expected is None:  # refused before anybody could ask
        with pytest.raises(ConfigurationInvalid):
            check_assistant(replace(ASSISTANT, llm_config=llm_config))
        return
    assert is_realtime(llm_config) is expected


# ---- everything else that no call could use --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"welcome_message": ""},  # an agent has a greeting of its own; for the others the texts gate looks
        {"welcome_message": "w" * TEMPLATE_LENGTH_MAX, "prompt": "p" * PROMPT_LENGTH_MAX},
        {"engine": "relay", "engine_url": "wss://media.example.test"},
        {"engine": "stream", "engine_url": "wss://media.example.test"},
        {"engine": "agent", "agent_id": "agent_1"},
        {"caller_number": "+15551234567"},
        {"name": "n" * NAME_LENGTH_MAX},
        {"max_duration_seconds": 1, "ring_timeout_seconds": 1},
        {"max_duration_seconds": MAX_DURATION_SECONDS, "ring_timeout_seconds": 600},
        {"silence_timeout_seconds": 3, "silence_prompts": 0, "response_timeout_seconds": 2, "turns_max": 1},
        {"silence_timeout_seconds": 60, "silence_prompts": 3, "response_timeout_seconds": 15, "turns_max": 500},
        {"end_phrases": ("goodbye",) * END_PHRASES_MAX},
        {"end_phrases": ("g" * END_PHRASE_LENGTH_MAX, "tot ziens!")},
        {"transfer_number": "+15551234567"},
        {"on_failure": "transfer", "transfer_number": "+15551234567"},
        {"on_machine": "leave_message", "voicemail_message": "Please call us back, {{ name }}."},
        {"on_machine": "hang_up"},
        {"analysis_schema": {"type": "object", "properties": {"agreed": {"type": "boolean"}}}},
        {"engine": "conversation", "is_recorded": True},
    ],
    ids=lambda changes: ", ".join(changes) or "as it is",
)
def test_an_assistant_that_can_speak(changes: dict[str, Any]) -> None:
    check_assistant(replace(ASSISTANT, **changes))


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"welcome_message": "w" * (TEMPLATE_LENGTH_MAX + 1)}, "welcome_message"),
        ({"goodbye_message": "\x00"}, "goodbye_message"),
        ({"agenda": "a" * (TEMPLATE_LENGTH_MAX + 1)}, "agenda"),
        ({"prompt": "p" * (PROMPT_LENGTH_MAX + 1)}, "prompt"),
        ({"engine_url": "wss://media.example.test"}, "engine_url"),
        ({"engine": "agent", "engine_url": "wss://media.example.test"}, "engine_url"),
        ({"engine": "relay"}, "engine_url"),
        ({"engine": "stream", "engine_url": "ws://media.example.test"}, "engine_url"),
        ({"name": " "}, "name"),
        ({"name": "n" * (NAME_LENGTH_MAX + 1)}, "name"),
        ({"max_duration_seconds": 0}, "max_duration_seconds"),
        ({"max_duration_seconds": MAX_DURATION_SECONDS + 1}, "max_duration_seconds"),
        ({"ring_timeout_seconds": 0}, "ring_timeout_seconds"),
        ({"ring_timeout_seconds": 601}, "ring_timeout_seconds"),
        *(
            ({field: value}, field)
            for field, (lowest, highest) in BOUNDS.items()
            for value in (lowest - 1, highest + 1, -1, 10**20)
        ),
        *(
            ({field: text}, field)
            for field in ("silence_message", "fallback_message", "opt_out_message", "voicemail_message")
            for text in ("\x00", "t" * (TEMPLATE_LENGTH_MAX + 1))
        ),
        ({"end_phrases": ("goodbye",) * (END_PHRASES_MAX + 1)}, "end_phrases"),
        ({"end_phrases": ("g" * (END_PHRASE_LENGTH_MAX + 1),)}, "end_phrases"),
        ({"end_phrases": ("goodbye", "")}, "end_phrases"),
        ({"end_phrases": ("?!",)}, "end_phrases"),
        ({"end_phrases": ("\ud800",)}, "end_phrases"),
        ({"on_failure": "cry"}, "on_failure"),
        ({"on_machine": "wait"}, "on_machine"),
        ({"engine": "conversation", "engine_url": "wss://media.example.test"}, "engine_url"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_what_no_call_could_use_is_refused_by_name(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(ValueInvalid) as refused:
        check_assistant(replace(ASSISTANT, **changes))
    assert refused.value.details["field"] == field
    assert field in refused.value.message


@pytest.mark.parametrize("field", ["caller_number", "transfer_number"])
@pytest.mark.parametrize("number", ["", "5551234567", "+1555", "sip:a@example.test", "+15551234567 "])
def test_a_number_is_one(field: str, number: str) -> None:
    with pytest.raises(PhoneNumberInvalid, match=field):
        check_assistant(replace(ASSISTANT, **{field: number}))


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"on_failure": "transfer"}, "on_failure"),
        ({"on_machine": "leave_message"}, "on_machine"),
        ({"on_machine": "leave_message", "voicemail_message": " "}, "on_machine"),
        ({"analysis_schema": {}}, "analysis_schema"),
        ({"analysis_schema": {"type": "array"}}, "analysis_schema"),
        ({"analysis_schema": {"type": "object", "properties": {"a": {"$ref": "#"}}}}, "analysis_schema.properties.a"),
        ({"analysis_schema": {"type": "object", "description": "d" * 9_000}}, "analysis_schema"),
        ({"analysis_schema": {"type": "object", "description": "\ud800"}}, "analysis_schema"),
        ({"llm_config": {"note": "\ud800"}}, "llm_config"),
        ({"llm_config": {"note": "é" * 33_000}}, "llm_config"),
        ({"stt_config": {"note": "d" * 66_000}}, "stt_config"),
        ({"tts_config": {"note": "d" * 66_000}}, "tts_config"),
        ({"engine": "conversation", "llm_config": {"provider": "xai_realtime"}}, "llm_config"),
        ({"engine": "conversation", "llm_config": {"provider": "another"}}, "llm_config"),
        (
            {"engine": "conversation", "llm_config": {"tools": [{"type": "function", "function": {"name": "a"}}]}},
            "llm_config.tools.0.function.description",
        ),
        (
            {
                "engine": "conversation",
                "llm_config": {
                    "tools": [
                        {
                            "type": "function",
                            "function": {"name": "a", "description": "A."},
                            "server": {"url": "https://169.254.169.254/"},
                        }
                    ]
                },
            },
            "llm_config.tools.0.server.url",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_what_contradicts_itself_is_refused_with_what_to_change(changes: dict[str, Any], param: str) -> None:
    with pytest.raises(ConfigurationInvalid) as refused:
        check_assistant(replace(ASSISTANT, **changes))
    assert refused.value.param == param


def test_what_a_call_changes_is_judged_with_what_it_leaves() -> None:
    base = replace(ASSISTANT, transfer_number="+15551234567", voicemail_message="Please call back.")
    changed = with_changes(base, {"on_failure": "transfer", "on_machine": "leave_message", "end_phrases": ("bye",)})
    check_assistant(changed)
    assert (changed.on_failure, changed.on_machine, changed.end_phrases) == ("transfer", "leave_message", ("bye",))
    with pytest.raises(ConfigurationInvalid):
        check_assistant(with_changes(changed, {"transfer_number": None}))
    with pytest.raises(ConfigurationInvalid):
        check_assistant(with_changes(changed, {"voicemail_message": None}))


@pytest.mark.parametrize("engine", ["say", "agent"])
def test_tools_of_whoever_else_thinks_are_kept_unjudged(engine: str) -> None:
    llm = {"tools": [{"type": "function", "server": {"url": "http://10.0.0.1/"}}]}
    check_assistant(replace(ASSISTANT, engine=engine, llm_config=llm))  # type: ignore[arg-type]


@given(st.dictionaries(st.sampled_from(["provider", "x"]), _JSON | st.none()), st.none() | _CONFIGURATIONS)
def test_any_configuration_ends_in_a_yes_or_in_a_refusal(llm: dict[str, Any], tts: dict[str, Any] | None) -> None:
    with contextlib.suppress(ConfigurationInvalid):
        check_assistant(replace(ASSISTANT, llm_config=llm, tts_config=tts))
        assert is_realtime(llm) == (llm.get("provider") == "xai_realtime")
