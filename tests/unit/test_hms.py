"""The HMS Sovereign dialect: three modes and three deprecated names to a command, its errors, its lists."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialplane.dialects.contract import Reply
from dialplane.dialects.hms import answers, calls, requests
from dialplane.domain import errors
from dialplane.domain.accounts import Assistant
from dialplane.domain.admission import InitiateCall, decide
from dialplane.domain.assistants import with_changes
from dialplane.domain.errors import DialplaneError, FieldMissing, FieldsInvalid, PhoneNumberInvalid, ValueInvalid
from dialplane.domain.money import Money
from dialplane.domain.statuses import CallStatus, EndedReason
from dialplane.runtime.problems import status_of
from dialplane.usecases.browse_calls import CallFilters, CallQuery, CallRange
from tests.fakes.arrivals import ERRORS, JSON, an_arrival, bodies, outcome
from tests.unit.test_admission import FACTS
from tests.unit.test_calls import a_call

UUID = "17a0cb75-fa09-4bdd-9a44-92a70d829c88"
BODY = {"destination": "+31612345678", "assistant_id": UUID}
LLM = {
    "provider": "openai",
    "model": "gpt-4o-mini",
    "temperature": 0.7,
    "messages": [{"role": "system", "content": "Be kind."}],
    "tools": [{"type": "function", "function": {"name": "book"}}],
}
STT = {"provider": "deepgram", "model": "nova-3-general", "keyterms": ["yes", "no"]}
TTS = {"provider": "elevenlabs", "stability": 0.5}


def parse(body: dict[str, Any]) -> InitiateCall:
    return requests.parse(an_arrival(body))


def transient(**settings: Any) -> Assistant:
    assistant = parse({"destination": "+31612345678", "assistant": settings}).assistant
    assert assistant is not None
    return assistant


def override(**settings: Any) -> dict[str, Any]:
    return dict(parse({**BODY, "assistant_override": settings}).override)


def refused(error: DialplaneError) -> Reply:
    return answers.refused(error, status=status_of(error), request_id="request")


def refused_body(body: dict[str, Any]) -> tuple[int, str]:
    with pytest.raises(DialplaneError) as caught:
        parse(body)
    reply = refused(caught.value)
    return reply.status, reply.document["param"]


def test_s3_04_reference_mode_is_the_seeds_own_example() -> None:
    command = parse(BODY)
    assert (command.dialect, command.destination.e164, command.assistant_id) == ("hms", "+31612345678", UUID)
    assert (command.assistant, command.override, command.welcome_message) == (None, {}, None)
    assert parse({**BODY, "assistant_id": "7"}).assistant_id == 7


@pytest.mark.parametrize("absent", [..., None, ""])
def test_s3_02_a_destination_is_required(absent: Any) -> None:
    body = {name: value for name, value in {**BODY, "destination": absent}.items() if value is not ...}
    assert refused_body(body) == (422, "destination")


@pytest.mark.parametrize("text", ["0612345678", "+31 6 12345678", "+3161234567890123", "x"])
def test_s3_02_a_destination_is_a_number_in_e164(text: str) -> None:
    assert refused_body({**BODY, "destination": text}) == (422, "destination")


@pytest.mark.parametrize("text", ["sip:ada@example.com", "SIPS:ada@example.com"])
def test_s3_02_a_sip_uri_is_refused_with_the_reason(text: str) -> None:
    with pytest.raises(PhoneNumberInvalid) as caught:
        parse({**BODY, "destination": text})
    assert "SIP URI" in caught.value.message
    assert refused(caught.value).status == 422


@pytest.mark.parametrize("number_id", ["num_15551234567", "+15551234567"])
def test_s3_03_a_number_pins_the_caller_number(number_id: str) -> None:
    command = parse({**BODY, "number_id": number_id})
    assert command.caller_number is not None
    assert (command.caller_number.e164, command.uses_pool) == ("+15551234567", False)


@pytest.mark.parametrize("body", [BODY, {**BODY, "number_id": None}])
def test_s3_03_without_one_the_pool_is_used(body: dict[str, Any]) -> None:
    command = parse(body)
    assert (command.caller_number, command.uses_pool) == (None, True)


@pytest.mark.parametrize("number_id", ["", "num_", "num_+15551234567", "15551234567", UUID])
def test_s3_03_what_names_no_number_is_refused(number_id: str) -> None:
    assert refused_body({**BODY, "number_id": number_id}) == (422, "number_id")


def test_s3_05_transient_mode_brings_an_assistant_along() -> None:
    assert transient(
        name="Ada",
        first_message="Hello.",
        llm_config=LLM,
        stt_config=STT,
        tts_config=TTS,
        voice="Polly.Joanna",
        language="nl-NL",
        max_duration_seconds=120,
    ) == Assistant(
        id=0,
        organization_id="",
        name="Ada",
        welcome_message="Hello.",
        engine="conversation",
        prompt="Be kind.",
        llm_config=LLM,
        stt_config=STT,
        tts_config=TTS,
        voice="Polly.Joanna",
        language="nl-NL",
        max_duration_seconds=120,
    )


def test_s3_05_null_is_as_good_as_absent_in_it() -> None:
    nothing = dict.fromkeys(requests.AssistantSettings.model_fields)
    assert transient(**nothing) == transient() == Assistant(0, "", "Transient assistant", "")


def test_s3_05_engines_are_asked_for_by_name_or_by_the_carriers_agent() -> None:
    assert (transient().engine, transient(engine="relay", engine_url="wss://x").engine) == ("say", "relay")
    assert (transient(agent_id="agent_1").engine, transient(agent_id="agent_1").agent_id) == ("agent", "agent_1")


@pytest.mark.parametrize(
    ("provider", "engine"),
    [
        *((provider, "conversation") for provider in ("scripted", "bedrock", "openai", "mistral", "xai")),
        ("xai_realtime", "say"),
        ("somebody", "say"),
        (None, "say"),
    ],
)
def test_s3_05_who_names_a_language_model_has_a_conversation_with_it(provider: str | None, engine: str) -> None:
    model = {"llm_config": {"provider": provider}}
    assert transient(**model).engine == engine
    assert (transient(**model, engine="say").engine, transient(**model, agent_id="a").engine) == ("say", "agent")


def test_s3_05_how_the_conversation_is_held_can_be_brought_along() -> None:
    settings: dict[str, Any] = {
        "goodbye_message": "Bye.",
        "end_phrases": ["good bye", "that is all"],
        "turns_max": 20,
        "silence_timeout_seconds": 8,
        "silence_prompts": 2,
        "silence_message": "Hello?",
        "response_timeout_seconds": 4,
        "fallback_message": "Sorry.",
        "on_failure": "transfer",
        "transfer_number": "+15550100300",
        "opt_out_message": "Never again.",
        "on_machine": "leave_message",
        "voicemail_message": "Call us.",
        "analysis_schema": {"type": "object"},
        "is_recorded": True,
    }
    assistant = transient(**settings)
    kept = {name: getattr(assistant, name) for name in settings}
    assert kept == {**settings, "end_phrases": ("good bye", "that is all")}
    assert override(**settings) == kept


def test_s3_05_the_prompt_is_what_the_system_says() -> None:
    messages = [
        {"role": "system", "content": "One."},
        {"role": "user", "content": "Hello?"},
        {"role": "system", "content": "Two, {{name}}."},
    ]
    assert transient(llm_config={"messages": messages}).prompt == "One.\n\nTwo, {{name}}."
    assert transient(llm_config={"provider": "openai"}).prompt is None


def test_s3_06_hybrid_mode_changes_an_assistant_for_one_call() -> None:
    changes = override(first_message="Hi.", llm_config={"messages": [{"role": "system", "content": "Be brief."}]})
    base = Assistant(1, "org_1", "Ada", "Hello.", prompt="Be kind.", llm_config=LLM, stt_config=STT, tts_config=TTS)
    changed = with_changes(base, changes)
    assert (changed.welcome_message, changed.prompt, changed.name) == ("Hi.", "Be brief.", "Ada")
    assert changed.llm_config == {**LLM, "messages": [{"role": "system", "content": "Be brief."}]}
    assert (changed.stt_config, changed.tts_config) == (STT, TTS)


def test_s3_06_messages_without_any_of_the_system_leave_no_prompt() -> None:
    assert override(llm_config={"messages": []})["prompt"] is None
    assert "prompt" not in override(llm_config={"temperature": 1})


def test_s3_06_null_takes_away_what_an_assistant_can_be_without() -> None:
    nothing = dict.fromkeys(requests.AssistantSettings.model_fields)
    changes = override(**nothing)
    assert set(changes) == {
        *("llm_config", "stt_config", "tts_config", "voice", "language", "engine_url", "agent_id"),
        *("goodbye_message", "silence_message", "fallback_message", "transfer_number", "opt_out_message"),
        *("voicemail_message", "analysis_schema"),
    }
    assert set(changes.values()) == {None}


@pytest.mark.parametrize(
    ("old", "new", "value", "other"),
    [
        ("agent_id", "assistant_id", UUID, "another"),
        ("agent", "assistant", {"name": "Ada"}, {"name": "Bob"}),
        ("agent_config", "assistant_override", {"name": "Ada"}, {"name": "Bob"}),
    ],
)
def test_s3_07_a_deprecated_name_means_the_new_one(old: str, new: str, value: Any, other: Any) -> None:
    rest = {"destination": "+31612345678"} | ({"assistant_id": UUID} if new == "assistant_override" else {})
    meant = parse({**rest, new: value})
    assert meant.deprecated_fields == ()
    for body in ({**rest, old: value}, {**rest, old: value, new: value}, {**rest, old: value, new: None}):
        command = parse(body)
        assert command.deprecated_fields == (old,)
        assert (command.assistant_id, command.assistant, command.override) == (
            meant.assistant_id,
            meant.assistant,
            meant.override,
        )
    assert parse({**rest, new: value, old: None}) == meant
    assert refused_body({**rest, old: value, new: other}) == (400, old)


def test_s3_07_the_answer_says_that_a_name_is_deprecated() -> None:
    reply = answers.placed(parse({"destination": "+31612345678", "agent_id": UUID}), a_call())
    assert reply.headers == {"deprecation": f"@{int(datetime(2026, 11, 20, tzinfo=UTC).timestamp())}"}
    assert answers.placed(parse(BODY), a_call()).headers == {}


def test_s3_08_a_first_message_beside_the_assistant_is_what_is_said() -> None:
    body = {**BODY, "first_message": "Hi.", "assistant_override": {"first_message": "Hello."}}
    assert parse(body).welcome_message == "Hi."
    assert parse({**BODY, "first_message": " "}).welcome_message is None
    with pytest.raises(ValueInvalid) as caught:
        parse({**BODY, "first_message": "a\x00b"})
    assert caught.value.details == {"field": "first_message"}


@pytest.mark.parametrize(
    ("provider", "configurations", "code", "param"),
    [
        ("xai_realtime", {}, None, None),
        ("xai_realtime", {"stt_config": STT}, "invalid_configuration", "stt_config"),
        ("xai_realtime", {"tts_config": TTS}, "invalid_configuration", "tts_config"),
        ("openai", {"stt_config": STT, "tts_config": TTS}, None, None),
        ("openai", {"tts_config": TTS}, "invalid_configuration", "stt_config"),
        ("mistral", {"stt_config": STT}, "invalid_configuration", "tts_config"),
    ],
)
def test_s3_09_the_rules_of_providers_hold_for_what_is_brought_along(
    provider: str, configurations: dict[str, Any], code: str | None, param: str | None
) -> None:
    settings = {"first_message": "Hello.", "llm_config": {"provider": provider}, **configurations}
    command = parse({"destination": "+15559876543", "number_id": "+15551234567", "assistant": settings})
    refusal = decide(command, FACTS).refusal
    assert (refusal.code if refusal else None) == code
    if refusal is not None:
        assert (refused(refusal).status, refused(refusal).document["param"]) == (422, param)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({}, "assistant_id"),
        ({"number_id": "+15551234567"}, "assistant_id"),
        ({"assistant": {}, "assistant_id": UUID}, "assistant"),
        ({"agent": {}, "agent_id": UUID}, "assistant"),
        ({"assistant_override": {}}, "assistant_override"),
        ({"assistant": {}, "assistant_override": {}}, "assistant_override"),
        ({"assistant_id": None, "assistant": None}, "assistant_id"),
    ],
)
def test_s3_10_a_combination_that_means_nothing_is_refused(fields: dict[str, Any], param: str) -> None:
    assert refused_body({"destination": "+31612345678", **fields}) == (400, param)


@pytest.mark.parametrize(
    ("body", "param", "hint"),
    [
        ({**BODY, "assistantid": 1}, "assistantid", '"assistant_id"'),
        ({**BODY, "assistant_override": {"firstmessage": "x"}}, "assistant_override.firstmessage", '"first_message"'),
        ({**BODY, "agent_config": {"voices": "x"}}, "agent_config.voices", '"voice"'),
        (
            {**BODY, "assistant_override": {"llm_config": {"messages": [{"role": "system", "contents": "x"}]}}},
            "assistant_override.llm_config.messages.0.content",
            "Field required",
        ),
    ],
)
def test_a_typo_at_any_depth_is_refused_with_the_name_that_was_meant(
    body: dict[str, Any], param: str, hint: str
) -> None:
    with pytest.raises(FieldsInvalid) as caught:
        parse(body)
    reply = refused(caught.value)
    assert (reply.status, reply.document["param"]) == (422, param)
    assert hint in reply.document["message"]


@pytest.mark.parametrize(
    "settings",
    [
        {"engine": "sing"},
        {"max_duration_seconds": "60"},
        {"voice": "a\nb"},
        {"language": ""},
        {"engine_url": "wss://a b"},
        {"llm_config": []},
        {"llm_config": {"messages": [{"role": "developer", "content": "x"}]}},
        {"stt_config": "deepgram"},
    ],
)
def test_settings_of_wrong_types_are_refused(settings: dict[str, Any]) -> None:
    for mode in ({"assistant": settings}, {"assistant_id": UUID, "assistant_override": settings}):
        with pytest.raises(FieldsInvalid):
            parse({"destination": "+31612345678", **mode})


@pytest.mark.parametrize("name", ["llm_config", "stt_config", "tts_config"])
def test_half_a_character_in_a_configuration_is_refused(name: str) -> None:
    assert refused_body({**BODY, "assistant_override": {name: {"provider": "\ud800"}}}) == (400, name)


def test_s3_11_success_is_exactly_the_seeds() -> None:
    expected = Reply(200, {"success": True, "call_id": "call_1", "status": "dialing"})
    for call in (a_call(), a_call(CallStatus.DIALING, carrier_call_id=None)):
        assert answers.placed(parse(BODY), call) == expected


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.code)
def test_s3_12_every_error_is_flat_with_a_short_text_a_message_and_a_code(error: DialplaneError) -> None:
    document = json.loads(json.dumps(refused(error).document))
    assert set(document) - {"param", "balance", "required", "currency"} == {"error", "message", "code"}
    assert all(isinstance(value, str) and value for value in document.values())


@pytest.mark.parametrize(
    ("error", "status", "expected"),
    [
        (errors.KeyInvalid(), 401, {"error": "Invalid API key", "code": "invalid_key"}),
        (errors.JsonInvalid("x"), 400, {"error": "Invalid json"}),
        (FieldMissing("destination"), 422, {"param": "destination"}),
        (errors.PermissionDenied("can_initiate_calls"), 403, {}),
        (errors.CallerNumberForeign("+1"), 404, {"error": "Phone number not found", "param": "number_id"}),
        (errors.AssistantForeign(UUID), 404, {"error": "Assistant not found", "param": "assistant_id"}),
        (errors.AssistantNotFound("x"), 404, {}),
        (errors.CallerNumberMissing(), 404, {"error": "No phone number available"}),
        (errors.NumberCannotDialOut("+1"), 403, {}),
        (errors.IdempotencyInProgress(1), 409, {}),
        (errors.IdempotencyKeyReused(), 422, {}),
        (errors.EngineUnsupported("agent", "twilio", ["say"]), 422, {}),
        (errors.ConfigurationInvalid("x", param="stt_config"), 422, {"param": "stt_config"}),
        (errors.VariablesMissing(["name"]), 422, {}),
        (
            errors.TemplateInvalid("welcome_message is empty.", field="welcome_message"),
            422,
            {"param": "first_message", "message": "first_message is empty."},
        ),
        (ValueInvalid("prompt is too long.", field="prompt"), 400, {"message": "llm_config.messages is too long."}),
        (errors.DestinationOnDnc(), 403, {"error": "Do not call"}),
        (errors.RateLimitExceeded(60, "minute", retry_after_seconds=7), 429, {}),
        (errors.CarrierRejected("x"), 502, {}),
        (errors.CarrierUnavailable("x"), 503, {}),
        (DialplaneError("x"), 500, {"error": "Internal error"}),
        (
            errors.InsufficientBalance(available=Money(0, "USD"), required=Money(300_000, "USD")),
            402,
            {"error": "Insufficient credits", "balance": "0.000000", "required": "0.300000", "currency": "USD"},
        ),
    ],
    ids=lambda value: value.code if isinstance(value, DialplaneError) else "",
)
def test_s3_12_errors_have_the_seeds_statuses(error: DialplaneError, status: int, expected: dict[str, str]) -> None:
    reply = refused(error)
    assert reply.status == status
    assert {name: reply.document[name] for name in expected} == expected


def test_s3_13_a_call_has_every_field_that_the_seeds_clients_know() -> None:
    at = datetime(2026, 11, 20, 15, 1, tzinfo=UTC)
    document = calls.call_document(
        a_call(
            CallStatus.COMPLETED,
            assistant_public_id=UUID,
            answered_at=at,
            ended_at=at + timedelta(seconds=84),
            duration_seconds=84,
            ended_reason=EndedReason.HANG_UP,
            variables_json='{"name":"Ada"}',
        )
    )
    assert document == {
        "id": "call_1",
        "direction": "outbound",
        "status": "ended",
        "end_reason": "hang_up",
        "error": None,
        "caller_phone": "+15559876543",
        "assistant_phone": "+15551234567",
        "agent_phone": "+15551234567",
        "phone_number": "+15551234567",
        "number_id": "num_15551234567",
        "assistant_id": UUID,
        "agent_id": UUID,
        "assistant_name": "Somebody",
        "agent_name": "Somebody",
        "business_name": None,
        "variables": {"name": "Ada"},
        "messages": [],
        "transcript": None,
        "summary": None,
        "analysis_result": None,
        "recording_url": None,
        "room_name": None,
        "duration_seconds": 84,
        "created_at": "2026-11-20T15:00:00.000Z",
        "started_at": "2026-11-20T15:01:00.000Z",
        "ended_at": "2026-11-20T15:02:24.000Z",
        "updated_at": "2026-11-20T15:02:24.000Z",
    }
    assert calls.call_document(a_call(assistant_id=0))["assistant_id"] is None


@pytest.mark.parametrize("status", CallStatus)
def test_s3_14_a_call_is_shown_by_the_word_that_it_is_found_by(status: CallStatus) -> None:
    word = calls.call_document(a_call(status))["status"]
    assert word in ("connecting", "in-progress", "ended", "failed")
    assert status.value in (calls.parse_query({"status": word}).filters.statuses or ())


@pytest.mark.parametrize(
    ("query", "filters", "limit", "offset"),
    [
        ({}, CallFilters(), 50, 0),
        ({"limit": "100", "offset": "200"}, CallFilters(), 100, 200),
        (
            {"start_date": "2026-11-01", "end_date": "2026-11-30"},
            CallFilters(
                created_after=datetime(2026, 11, 1, tzinfo=UTC), created_before=datetime(2026, 12, 1, tzinfo=UTC)
            ),
            50,
            0,
        ),
        (
            {"start_date": "2026-11-01T10:00:00 01:00", "end_date": "2026-11-01T10:00:00Z"},
            CallFilters(
                created_after=datetime(2026, 11, 1, 9, tzinfo=UTC),
                created_before=datetime(2026, 11, 1, 10, 0, 0, 1000, tzinfo=UTC),
            ),
            50,
            0,
        ),
    ],
)
def test_s3_15_filters_and_ranges(query: dict[str, str], filters: CallFilters, limit: int, offset: int) -> None:
    assert calls.parse_query(query) == CallQuery(filters, limit=limit, offset=offset)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"limit": "101"}, "limit"),
        ({"offset": "-1"}, "offset"),
        ({"status": "completed"}, "status"),
        ({"start_date": "yesterday"}, "start_date"),
        ({"start_date": "2026-11-01T10:00:00"}, "start_date"),
        ({"end_date": "9999-12-31"}, "end_date"),
        ({"page": "2"}, "page"),
    ],
)
def test_s3_15_a_parameter_that_cannot_be_meant_is_refused(query: dict[str, str], field: str) -> None:
    with pytest.raises(ValueInvalid) as caught:
        calls.parse_query(query)
    assert caught.value.details == {"field": field}


def test_s3_15_a_range() -> None:
    query = calls.parse_query({"limit": "1", "offset": "2"})
    call = a_call()
    assert calls.page_document(CallRange((call,), 3), query) == {
        "calls": [calls.call_document(call)],
        "pagination": {"total": 3, "limit": 1, "offset": 2},
    }


@given(body=bodies(*requests.InitiateCallRequest.model_fields, destination=st.just("+15559876543")))
def test_any_body_is_a_command_or_an_error(body: dict[str, Any]) -> None:
    command = outcome(lambda: parse(body))
    if isinstance(command, DialplaneError):
        assert refused(command).status in (400, 422)
        json.dumps(refused(command).document)


TEXTS = st.none() | st.text(max_size=20) | st.sampled_from(["{{name}}", "{{", "\x00", "\ud800", "wss://example.com"])
CONFIGURATIONS = st.none() | st.dictionaries(st.text(max_size=5), JSON, max_size=3)
MESSAGES = st.lists(
    st.fixed_dictionaries({"role": st.sampled_from(["system", "user"]), "content": TEXTS.filter(lambda text: text)}),
    max_size=3,
)
SETTINGS = st.fixed_dictionaries(
    {},
    optional={
        "name": TEXTS,
        "first_message": TEXTS,
        "llm_config": CONFIGURATIONS
        | st.fixed_dictionaries({"provider": TEXTS | st.just("openai")}, optional={"messages": MESSAGES}),
        "stt_config": CONFIGURATIONS,
        "tts_config": CONFIGURATIONS,
        "max_duration_seconds": st.none() | st.integers(),
        "engine": st.sampled_from([None, "say", "relay", "stream", "agent"]),
        "engine_url": st.sampled_from([None, "", "wss://example.com", "https://example.com"]),
        "agent_id": st.sampled_from([None, "agent_1"]),
        "voice": st.sampled_from([None, "Polly.Joanna"]),
    },
)
MODES = (
    SETTINGS.map(lambda settings: {"assistant": settings})
    | SETTINGS.map(lambda settings: {"assistant_id": 1, "assistant_override": settings})
    | SETTINGS.map(lambda settings: {"agent_id": "1", "agent_config": settings})
)


@given(mode=MODES)
def test_whatever_the_settings_the_gates_can_decide_about_them(mode: dict[str, Any]) -> None:
    body = {"destination": "+15559876543", "number_id": "+15551234567", **mode}
    command = outcome(lambda: parse(body))
    if isinstance(command, DialplaneError):
        json.dumps(refused(command).document)
        return
    decision = decide(command, FACTS)
    for refusal in (result.refusal for result in decision.gates if result.refusal is not None):
        json.dumps(refused(refusal).document)
    for assistant in filter(None, (command.assistant, decision.plan.assistant)):
        configurations = (assistant.llm_config, assistant.stt_config, assistant.tts_config)
        json.dumps(configurations, ensure_ascii=False).encode()
