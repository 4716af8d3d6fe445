"""The numbered contract of ``POST /calls/outbound`` in the HMS dialect, seed 3: one test for each line.

Single calls and lists (S3.13 to S3.15) are in ``test_dialect_lists``, commands (S3.16 to S3.22) in ``test_control``,
the number pool in ``test_pool``, the order of the errors in ``test_dialect_gates``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from dialplane.aws.client import AwsError
from dialplane.domain.accounts import PresentedKey
from dialplane.domain.calls import Call
from dialplane.domain.carrier import Rejected, Unknown
from dialplane.domain.conversation_settings import ConversationSettings
from tests.fakes.world import Reply, World
from tests.functional.dialects import HMS, Customer, a_customer, change_assistant
from tests.functional.expectations import a_key, a_number, put_back, stored_call, unchanged

LLM = {"provider": "openai", "model": "gpt-4o", "messages": [{"role": "system", "content": "Be kind to {{name}}."}]}
STT = {"provider": "deepgram", "model": "nova-3-general"}
TTS = {"provider": "elevenlabs", "voice_id": "x"}
ADA = {"name": "Ada", "first_message": "Hello {{name}}.", "llm_config": LLM, "stt_config": STT, "tts_config": TTS}
JOHN = {"name": "John"}


@pytest.fixture(scope="module")
def customer(world: World) -> Customer:
    return a_customer(world, "+12125550107", allowed_countries=frozenset({"US", "NL"}))


@pytest.fixture(autouse=True)
def _unspoilt(world: World, customer: Customer) -> Iterator[None]:
    """Every test begins with the customer as it was made."""
    with put_back(world):
        yield


def ask(world: World, customer: Customer, body: Any = None, **how: Any) -> Reply:
    return HMS.send(world, HMS.body() if body is None else body, **{"key": customer.key, **how})


def asked(world: World, customer: Customer, body: Any = None, **how: Any) -> Call:
    """The call that the request led to."""
    reply = ask(world, customer, body, **how)
    assert reply.status == 200, reply.body
    return stored_call(world, customer.organization_id, reply.json["call_id"])


def transient(**settings: Any) -> dict[str, Any]:
    """A body that brings its assistant along."""
    return {"destination": "+15550100200", "assistant": settings}


def override(**settings: Any) -> dict[str, Any]:
    return HMS.body(assistant_override=settings)


def refused(world: World, customer: Customer, body: Any, status: int, code: str) -> str | None:
    """Refuse it, and change nothing; the field at fault."""
    with unchanged(world):
        return HMS.assert_refused(ask(world, customer, body), status, code).get("param")


def configuration_of(call: Call) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(call.configuration_json or "{}")
    return found


def settings_of(call: Call) -> ConversationSettings:
    return ConversationSettings.from_json(call.conversation_json or "")


def test_s3_01_the_key_is_a_bearer_token(world: World, customer: Customer) -> None:
    assert ask(world, customer, key=None, headers={"authorization": f"Bearer {customer.key}"}).status == 200
    with unchanged(world):
        HMS.assert_refused(ask(world, customer, key=None), 401, "authentication_required")
        HMS.assert_refused(
            ask(world, customer, key=None, query={"api_key": customer.key}), 401, "authentication_required"
        )


@pytest.mark.parametrize("absent", [None, "", " ", ...])
def test_s3_02_a_destination_is_required(world: World, customer: Customer, absent: Any) -> None:
    body = HMS.body(absent)
    if absent is ...:
        del body["destination"]
    assert refused(world, customer, body, 422, "missing_field") == "destination"


@pytest.mark.parametrize("text", ["sip:ada@example.test", "SIPS:ada@example.test", "0612345678", "+31 6 12345678", "x"])
def test_s3_02_a_destination_is_a_telephone_number(world: World, customer: Customer, text: str) -> None:
    assert refused(world, customer, HMS.body(text), 422, "invalid_phone_number") == "destination"


@pytest.mark.parametrize("spelling", ["num_12125550108", "+12125550108"])
def test_s3_03_a_number_id_pins_the_caller_number(world: World, customer: Customer, spelling: str) -> None:
    a_number(world, customer.organization_id, "+12125550108")
    reply = ask(world, customer, HMS.body(number_id=spelling))
    assert reply.headers["x-caller-number-reason"] == "requested"
    assert world.dial_queued()
    assert world.carrier.requests[-1].caller_number == "+12125550108"


def test_s3_03_the_id_is_the_one_that_the_list_of_numbers_shows(world: World, customer: Customer) -> None:
    (number,) = world.manage("GET /numbers", "/numbers", key=customer.key).json["numbers"]
    assert ask(world, customer, HMS.body(number_id=number["id"])).status == 200


def test_s3_03_a_number_of_another_organization_and_one_of_nobody_are_404_with_one_answer(
    world: World, customer: Customer
) -> None:
    with unchanged(world):
        replies = [ask(world, customer, HMS.body(number_id=each)) for each in ("num_15551234567", "num_12125550199")]
    for reply in replies:
        HMS.assert_refused(reply, 404, "caller_number_foreign")
    assert replies[0].body == replies[1].body


def test_s3_03_without_one_a_number_of_the_pool_is_picked(world: World, customer: Customer) -> None:
    reply = ask(world, customer)
    assert reply.headers["x-caller-number-reason"] == "local_country"
    assert stored_call(world, customer.organization_id, reply.json["call_id"]).caller_number == customer.number


@pytest.mark.parametrize("assistant_id", ["17a0cb75-fa09-4bdd-9a44-92a70d829c88", 123, "123"])
def test_s3_04_reference_mode_is_the_seeds_own_example(world: World, assistant_id: Any) -> None:
    reply = HMS.send(world, {"destination": "+31612345678", "assistant_id": assistant_id})
    call = world.call(reply.json["call_id"])
    assert (call.destination, call.assistant_id, call.assistant_name) == ("+31612345678", 123, "Appointment reminder")


def test_s3_05_transient_mode_speaks_as_it_says_and_is_not_saved(world: World, customer: Customer) -> None:
    before = world.stack.provision.entities(customer.organization_id)
    call = asked(world, customer, {**transient(**ADA), "variables": JOHN})
    assert (call.assistant_id, call.assistant_name, call.assistant_public_id) == (0, "Ada", None)
    settings = settings_of(call)
    assert (settings.first_message, settings.prompt) == ("Hello John.", "Be kind to [name].")
    assert (settings.variables, settings.llm) == (JOHN, {"provider": "openai", "model": "gpt-4o"})
    assert (call.instructions.engine, call.instructions.stt_config, call.instructions.tts_config) == (
        "conversation",
        STT,
        TTS,
    )
    assert configuration_of(call) == {"llm_config": LLM, "stt_config": STT, "tts_config": TTS}
    assert world.stack.provision.entities(customer.organization_id) == before


def test_s3_06_hybrid_mode_replaces_the_chosen_fields_for_this_call_alone(world: World, customer: Customer) -> None:
    base = {"provider": "openai", "model": "gpt-4o", "temperature": 0.5, "tools": [{"name": "a"}, {"name": "b"}]}
    change_assistant(
        world,
        customer,
        welcome_message="Good day.",
        prompt="Be brief.",
        llm_config=base,
        stt_config=STT,
        tts_config=TTS,
        max_duration_seconds=120,
    )
    messages = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi."}]
    body = override(
        first_message="Hello.", llm_config={"temperature": 0.1, "messages": messages, "tools": [{"name": "c"}]}
    )
    call = asked(world, customer, body)
    assert (call.instructions.welcome_message, call.instructions.prompt) == ("Hello.", "Be kind.")
    assert configuration_of(call)["llm_config"] == {
        "provider": "openai",
        "model": "gpt-4o",
        "temperature": 0.1,
        "tools": [{"name": "c"}],
        "messages": messages,
    }
    assert (call.time_limit_seconds, configuration_of(call)["stt_config"]) == (120, STT)
    again = asked(world, customer)
    assert (again.instructions.welcome_message, again.instructions.prompt) == ("Good day.", "Be brief.")
    assert configuration_of(again)["llm_config"] == base


@pytest.mark.parametrize(
    ("old", "new", "value"),
    [
        ("agent_id", "assistant_id", "ada"),
        ("agent", "assistant", ADA),
        ("agent_config", "assistant_override", {"first_message": "Hello {{name}}."}),
    ],
)
def test_s3_07_a_deprecated_name_does_what_the_new_one_does_and_says_so(
    world: World, customer: Customer, old: str, new: str, value: Any
) -> None:
    rest = {"destination": "+15550100200", "variables": JOHN} | ({"assistant_id": 1} if old == "agent_config" else {})
    replies = [ask(world, customer, {**rest, name: value}) for name in (old, new)]
    both = ask(world, customer, {**rest, old: value, new: value})
    calls = [stored_call(world, customer.organization_id, reply.json["call_id"]) for reply in (*replies, both)]
    words = {(call.instructions.welcome_message, call.conversation_json, call.configuration_json) for call in calls}
    assert len(words) == len({call.assistant_id for call in calls}) == 1
    assert [reply.headers.get("deprecation") for reply in (*replies, both)] == ["@1795132800", None, "@1795132800"]


@pytest.mark.parametrize(
    ("old", "one", "other"),
    [
        ("agent_id", 1, "ada"),
        ("agent", ADA, {**ADA, "name": "Bob"}),
        ("agent", {"llm_config": {"a": 1}}, {"llm_config": {"a": True}}),
        ("agent_config", {"voice": None}, {}),
        ("agent_config", {"first_message": "Hi."}, {"first_message": "Hi!"}),
    ],
)
def test_s3_07_names_that_disagree_are_400_and_the_old_one_is_at_fault(
    world: World, customer: Customer, old: str, one: Any, other: Any
) -> None:
    new = {"agent_id": "assistant_id", "agent": "assistant", "agent_config": "assistant_override"}[old]
    rest = {"destination": "+15550100200"} | ({"assistant_id": 1} if old == "agent_config" else {})
    for body in ({**rest, old: one, new: other}, {**rest, old: other, new: one}):
        assert refused(world, customer, body, 400, "invalid_value") == old


def test_s3_08_a_first_message_at_the_top_is_what_is_said(world: World, customer: Customer) -> None:
    body = {**override(first_message="No."), "first_message": "Hello {{name}}.", "variables": JOHN}
    assert asked(world, customer, body).instructions.welcome_message == "Hello John."


def test_s3_05_s3_06_who_names_a_model_has_a_conversation_that_discloses_itself(
    world: World, customer: Customer
) -> None:
    model = {"llm_config": {"provider": "scripted"}}
    brought = asked(world, customer, transient(first_message="Hello.", end_phrases=["good bye"], **model))
    changed = asked(world, customer, override(silence_timeout_seconds=7, **model))
    for call in (brought, changed):
        assert call.instructions.engine == "conversation"
        assert "an artificial voice, calling on behalf of One more" in call.instructions.welcome_message
        assert not call.instructions.is_welcome_interruptible
        assert call.socket_token
    assert settings_of(brought).end_phrases == ("good bye",)
    assert settings_of(changed).silence_timeout_seconds == 7
    kept = asked(world, customer)
    assert (kept.instructions.engine, kept.conversation_json, kept.socket_token) == ("say", None, None)


def test_a_model_whose_key_nobody_has_stored_is_422_and_says_whom_to_ask(world: World) -> None:
    keyless = a_customer(world, "+12125550106", model_providers=frozenset())
    for body in (
        transient(first_message="Hello.", llm_config=LLM, stt_config=STT, tts_config=TTS),
        override(llm_config=LLM, stt_config=STT, tts_config=TTS),
    ):
        with unchanged(world):
            reply = ask(world, keyless, {**body, "variables": JOHN})
        document = HMS.assert_refused(reply, 422, "invalid_configuration")
        assert document["param"] == "llm_config"
        assert "Ask the operator" in document["message"]


def test_a_realtime_model_holds_no_conversation_of_ours(world: World, customer: Customer) -> None:
    settings = {"llm_config": {"provider": "xai_realtime"}, "engine": "conversation", "first_message": "Hello."}
    assert refused(world, customer, transient(**settings), 422, "invalid_configuration") == "llm_config"


@pytest.mark.parametrize(
    ("provider", "speech", "param"),
    [
        ("xai_realtime", {}, None),
        ("xai_realtime", {"stt_config": STT}, "stt_config"),
        ("xai_realtime", {"tts_config": TTS}, "tts_config"),
        ("xai_realtime", {"stt_config": STT, "tts_config": TTS}, "stt_config"),
        *(
            row
            for provider in ("openai", "mistral", "xai")
            for row in (
                (provider, {"stt_config": STT, "tts_config": TTS}, None),
                (provider, {"tts_config": TTS}, "stt_config"),
                (provider, {"stt_config": STT}, "tts_config"),
                (provider, {}, "stt_config"),
            )
        ),
    ],
)
def test_s3_09_a_realtime_provider_takes_neither_and_the_others_take_both(
    world: World, customer: Customer, provider: str, speech: dict[str, Any], param: str | None
) -> None:
    """Brought along, and merged over an assistant that has none of it."""
    for body in (
        transient(first_message="Hello.", llm_config={"provider": provider}, **speech),
        override(llm_config={"provider": provider}, **speech),
    ):
        if param is None:
            assert ask(world, customer, body).status == 200
        else:
            assert refused(world, customer, body, 422, "invalid_configuration") == param


def test_s3_09_the_rule_is_about_the_merged_configuration(world: World, customer: Customer) -> None:
    change_assistant(world, customer, llm_config=LLM | {"messages": []}, stt_config=STT, tts_config=TTS)
    realtime = {"llm_config": {"provider": "xai_realtime"}}
    assert refused(world, customer, override(**realtime), 422, "invalid_configuration") == "stt_config"
    assert ask(world, customer, override(**realtime, stt_config=None, tts_config=None)).status == 200
    assert refused(world, customer, override(stt_config=None), 422, "invalid_configuration") == "stt_config"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({}, "assistant_id"),
        ({"assistant": ADA, "assistant_id": 1}, "assistant"),
        ({"agent": ADA, "assistant_id": 1}, "assistant"),
        ({"assistant": ADA, "agent_id": 1}, "assistant"),
        ({"assistant_override": {"first_message": "x"}}, "assistant_override"),
        ({"agent_config": {"first_message": "x"}}, "assistant_override"),
        ({"assistant": ADA, "assistant_override": {"first_message": "x"}}, "assistant_override"),
    ],
)
def test_s3_10_combinations_that_nobody_documents_are_400_with_param(
    world: World, customer: Customer, fields: dict[str, Any], param: str
) -> None:
    assert refused(world, customer, {"destination": "+15550100200", **fields}, 400, "invalid_value") == param


def test_s3_11_success_is_exactly_success_call_id_and_dialing(world: World, customer: Customer) -> None:
    reply = ask(world, customer)
    assert (reply.status, reply.headers["content-type"]) == (200, "application/json")
    assert list(reply.json.items()) == [("success", True), ("call_id", reply.json["call_id"]), ("status", "dialing")]
    assert reply.headers["location"] == f"/calls/{reply.json['call_id']}"
    call = stored_call(world, customer.organization_id, reply.json["call_id"])
    assert call.dial_outcome is None, "the dial comes after the answer"


def test_s3_12_an_error_is_flat_as_the_page_shows_it(world: World, customer: Customer) -> None:
    revoked = PresentedKey.parse(a_key(world, customer.organization_id))
    world.stack.provision.revoke_key(customer.organization_id, revoked.id)
    for key in ("x", revoked.text):
        document = HMS.assert_refused(ask(world, customer, key=key), 401, "invalid_key")
        assert document["error"] == "Invalid API key"


def test_s3_12_too_little_money_is_402_and_says_how_much(world: World) -> None:
    poor = a_customer(world, "+12125550109", micros=1)
    with unchanged(world):
        document = HMS.assert_refused(ask(world, poor), 402, "insufficient_balance")
    assert (document["balance"], document["required"], document["currency"]) == ("0.000001", "0.300000", "USD")


def test_s3_13_s3_14_a_call_that_was_dialing_is_connecting_then_in_progress_then_ended(
    world: World, customer: Customer
) -> None:
    call = asked(world, customer)
    key = world.stack.provision.create_key(customer.organization_id, name="Lists", dialect="hms").text
    seen = [world.get_call(call.id, key=key).json["status"]]
    world.dial_queued()
    for sequence, status in enumerate(("initiated", "ringing", "in-progress", "completed")):
        call = stored_call(world, customer.organization_id, call.id)
        world.callback(call, world.form(status, sequence))
        world.drain()
        seen.append(world.get_call(call.id, key=key).json["status"])
    assert seen == ["connecting", "connecting", "connecting", "in-progress", "ended"]


@pytest.mark.parametrize(
    "luck", [Unknown("timeout"), Rejected(cause="other", code="1", message="no"), Rejected("unreachable", "x", "no")]
)
def test_s3_23_what_becomes_of_the_dial_is_no_5xx_that_the_sdk_would_repeat(
    world: World, customer: Customer, luck: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The seed's SDK asks again after a 5xx, without a key; not even a queue that is away makes us answer one."""
    send, dials = world.aws.call, len(world.carrier.requests)

    def queue_is_away(self: Any, service: str, operation: str, params: Any) -> Any:
        if operation == "SendMessage":
            raise AwsError(service="sqs", operation="SendMessage", code="ReplyLost")
        return send(service, operation, params)

    world.carrier.outcomes.append(luck)
    with monkeypatch.context() as broken:
        broken.setattr(type(world.aws), "call", queue_is_away)
        reply = ask(world, customer)
    assert (reply.status, reply.json["status"]) == (200, "dialing")
    assert len(world.carrier.requests) == dials + 1


def test_s3_23_with_a_key_its_repetitions_ring_once(world: World, customer: Customer) -> None:
    dials = len(world.carrier.requests)
    replies = [ask(world, customer, headers={"idempotency-key": "sdk"}) for _ in range(3)]
    world.dial_queued()
    assert len({reply.body for reply in replies}) == 1
    assert len(world.carrier.requests) == dials + 1
