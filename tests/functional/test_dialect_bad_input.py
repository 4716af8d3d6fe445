"""What no client should send, in each dialect: its clear 4xx in the dialect's envelope, and nothing changed.

``test_bad_input`` has the same of Burki, and of every other route.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.fakes.world import Reply, World
from tests.functional.dialects import (
    HMS,
    KLEN,
    TESTER,
    Customer,
    Dialect,
    a_customer,
    change_assistant,
    every_newer_dialect,
)
from tests.functional.expectations import put_back, stored_call, unchanged

INVALID_JSON = {"tester": "The body "}
NO_NUMBER = {
    "klen": (400, "invalid_phone_number"),
    "hms": (422, "invalid_phone_number"),
    "tester": (400, "Phone number must be in E.164 format, for example +15551234567."),
}
WRONG_FIELD = {"klen": (400, "validation_error"), "hms": (422, "invalid_fields"), "tester": (400, "")}


@pytest.fixture(scope="module")
def customer(world: World) -> Customer:
    return a_customer(world, "+12125550150")


@pytest.fixture
def nothing_changes(world: World, customer: Customer) -> Iterator[None]:
    with unchanged(world):
        yield


refusals = pytest.mark.usefixtures("nothing_changes")


def ask(world: World, customer: Customer, dialect: Dialect, body: Any) -> Reply:
    reply = dialect.send(world, body, key=customer.key)
    reply.body.encode("ascii")
    assert reply.status < 500, reply.body
    return reply


def raw(dialect: Dialect, **fields: bytes) -> bytes:
    """The dialect's body with raw JSON values in some fields."""
    texts = {name: json.dumps(value).encode() for name, value in dialect.body().items()} | fields
    return b"{" + b",".join(b'"%s":%s' % (name.encode(), value) for name, value in texts.items()) + b"}"


def free_field(dialect: Dialect) -> str:
    """A field that takes any JSON, as far as JSON goes."""
    return {"klen": "variables", "hms": "assistant_override", "tester": "scenario"}[dialect.name]


# ---- bodies that are no JSON object ---------------------------------------------------------------------------------

NO_OBJECTS = (
    *(b"", b" ", b"null", b"true", b"5", b'"text"', b"[]", b'[{"a":1}]', b"{", b'{"a":1,}', b"{'a':1}", b'{"a":1}{}'),
    *(b'{"a":01}', b"to_number=%2B1555", b"<call/>", b"\xff\xfe{}", b'{"a":"\xff"}', b'{"a":"\xed\xa0\x80"}'),
    *(b"\xef\xbb\xbf{}", "{}".encode("utf-16"), b'{"a":"line\nbreak"}', b'{"a":"\x00"}', b"\x00"),
)


@refusals
@every_newer_dialect
def test_a_body_that_is_not_one_json_object_is_400(world: World, customer: Customer, dialect: Dialect) -> None:
    for body in NO_OBJECTS:
        dialect.assert_refused(ask(world, customer, dialect, body), 400, INVALID_JSON.get(dialect.name, "invalid_json"))


@refusals
@every_newer_dialect
@pytest.mark.parametrize(
    "value", [b"NaN", b"Infinity", b"-Infinity", b"1e400", b"-1e400", b"9" * 4_000 + b".0", b"9" * 5_000]
)
def test_a_number_that_is_none_is_no_json(world: World, customer: Customer, dialect: Dialect, value: bytes) -> None:
    for text in (value, b'{"n":' + value + b"}", b'{"llm_config":{"x":[' + value + b"]}}"):
        body = raw(dialect, **{free_field(dialect): text})
        dialect.assert_refused(ask(world, customer, dialect, body), 400, INVALID_JSON.get(dialect.name, "invalid_json"))


@refusals
@every_newer_dialect
def test_a_name_that_is_there_twice_is_400_and_named(world: World, customer: Customer, dialect: Dialect) -> None:
    twice = dialect.destination_field.encode()
    for body in (
        raw(dialect)[:-1] + b',"' + twice + b'":"+15550100201"}',
        raw(dialect, **{free_field(dialect): b'{"a":{"b":1,"b":1}}'}),
        rb'{"scenario":"x","\u0073cenario":"y"}',
    ):
        reply = ask(world, customer, dialect, body)
        dialect.assert_refused(reply, 400, INVALID_JSON.get(dialect.name, "invalid_json"))
        assert "is there twice" in reply.body


@refusals
@every_newer_dialect
def test_a_depth_bomb_within_the_size_limit_is_400(world: World, customer: Customer, dialect: Dialect) -> None:
    field = free_field(dialect)
    for body in (
        b"[" * 60_000,
        b'{"a":' * 12_000,
        b"[" * 30_000 + b"]" * 30_000,
        raw(dialect, **{field: b'{"a":' * 9_000 + b"1" + b"}" * 9_000}),
        raw(dialect, **{field: b'{"a":' * 150 + b"1" + b"}" * 150}),
        raw(dialect, **{field: b"[" * 200 + b"]" * 200}),
    ):
        dialect.assert_refused(ask(world, customer, dialect, body), 400, INVALID_JSON.get(dialect.name, "invalid_json"))


@refusals
@every_newer_dialect
def test_a_body_over_64_kb_is_413(world: World, customer: Customer, dialect: Dialect) -> None:
    for body in (b"[" * 100_000, raw(dialect, x=b'"' + b"x" * 1_000_000 + b'"'), b"{}" + b" " * 65_535):
        reply = ask(world, customer, dialect, body)
        dialect.assert_refused(reply, 413, "The body has" if dialect is TESTER else "body_too_large")


# ---- fields ---------------------------------------------------------------------------------------------------------

TYPES: dict[str, dict[str, list[Any]]] = {
    "klen": {
        "agent_id": [
            0,
            -1,
            1.0,
            True,
            [],
            {},
            2**63,
            10**4_000,
            "x" * 201,
            "a\nb",
            "\ud800",
            "0",
            "9" * 18 + "0" * 5 + "x\x00",
        ],
        "contact_id": ["1", "", 1.0, True, [], {}, 0, -1, 2**63, 10**4_000],
        "variables": ["", "name", 1, True, [], [["name", "x"]]],
    },
    "hms": {
        "number_id": [1, True, [], {}],
        "assistant_id": [0, -1, 1.0, True, [], {}, 2**63, 10**4_000, "x" * 201, "", "a\nb", "\ud800"],
        "assistant": ["", 1, True, [], "Ada"],
        "assistant_override": ["", 1, True, [], "Ada"],
        "agent": ["", 1, [], "Ada"],
        "agent_config": ["", 1, [], "Ada"],
        "first_message": [1, True, [], {}],
        "variables": ["", "name", 1, True, [], [["name", "x"]]],
    },
    "tester": {
        "business_description": [1, True, [], {"x": 1}, ["x"]],
        "scenario": [1, True, [], {"x": 1}, ["x"]],
    },
}


@refusals
@every_newer_dialect
def test_a_value_of_another_type_is_refused_and_its_field_named(
    world: World, customer: Customer, dialect: Dialect
) -> None:
    status, word = WRONG_FIELD[dialect.name]
    for field, values in TYPES[dialect.name].items():
        for value in values:
            document = dialect.assert_refused(
                ask(world, customer, dialect, dialect.body(**{field: value})), status, word
            )
            assert document.get("message", document["error"]).startswith(field), document


@refusals
@every_newer_dialect
def test_a_destination_of_another_type_is_refused(world: World, customer: Customer, dialect: Dialect) -> None:
    status, word = NO_NUMBER[dialect.name] if dialect is not HMS else WRONG_FIELD["hms"]
    for value in (15550100200, True, [], ["+15550100200"], {}, 1.5):
        dialect.assert_refused(ask(world, customer, dialect, dialect.body(value)), status, word)


@refusals
@pytest.mark.parametrize(
    ("dialect", "unknown", "meant"),
    [
        (KLEN, "phone_numbr", "phone_number"),
        (KLEN, "agentId", "agent_id"),
        (KLEN, "variable", "variables"),
        (HMS, "destinations", "destination"),
        (HMS, "firstMessage", "first_message"),
        (HMS, "assistant_overide", "assistant_override"),
        (TESTER, "to_numbers", "to_number"),
        (TESTER, "senario", "scenario"),
    ],
)
def test_an_unknown_field_is_refused_and_asks_what_was_meant(
    world: World, customer: Customer, dialect: Dialect, unknown: str, meant: str
) -> None:
    reply = ask(world, customer, dialect, dialect.body(**{unknown: "x"}))
    document = dialect.assert_refused(reply, *WRONG_FIELD[dialect.name])
    assert f'Did you mean "{meant}"?' in document.get("message", document["error"])


@refusals
@every_newer_dialect
def test_however_many_fields_are_unknown_the_answer_is_short(
    world: World, customer: Customer, dialect: Dialect
) -> None:
    reply = ask(world, customer, dialect, dialect.body(**{f"field_{n}": n for n in range(2_000)}))
    dialect.assert_refused(reply, *WRONG_FIELD[dialect.name])
    assert len(reply.body) < 20_000
    surrogates = rb'{"\ud800":1,"\udfff":{"\ud800":"\ud800"},' + raw(dialect)[1:]
    dialect.assert_refused(ask(world, customer, dialect, surrogates), *WRONG_FIELD[dialect.name])


# ---- numbers --------------------------------------------------------------------------------------------------------

NO_NUMBERS = (
    *("5550100200", "+05550100200", "++15550100200", "+15550100200\x00", "+1555\u0660100200", "+1555010020۳"),
    *("+١٥٥٥٠١٠٠٢٠٠", "+１５５５０１００２００", "+1800FLOWERS", "tel:+15550100200", "sip:+15550100200@example.test"),
    *(
        "SIPS:ada@example.test",
        "client:alice",
        "+15550100200;ext=5",
        "+15550100200,,5",
        "anonymous",
        "+",
        "+1",
        "+1555",
    ),
    *("+999123456789", "+210123456789", "+1234567890123456", "+" + "9" * 60_000, "+1555\ud80000200", "{{name}}"),
)


@refusals
@every_newer_dialect
def test_what_is_no_possible_number_is_refused_and_not_repeated(
    world: World, customer: Customer, dialect: Dialect
) -> None:
    for number in NO_NUMBERS:
        reply = ask(world, customer, dialect, dialect.body(number))
        dialect.assert_refused(reply, *NO_NUMBER[dialect.name])
        assert "50100200" not in reply.body


@refusals
def test_a_trailing_newline_is_no_digit_where_nothing_is_stripped(world: World, customer: Customer) -> None:
    for number in ("+15550100200\n", "\n+15550100200", "+15550100200\r\n"):
        for dialect in (KLEN, HMS):
            dialect.assert_refused(ask(world, customer, dialect, dialect.body(number)), *NO_NUMBER[dialect.name])
    HMS.assert_refused(ask(world, customer, HMS, HMS.body(number_id="num_12125550150\n")), *NO_NUMBER["hms"])


@refusals
@every_newer_dialect
@pytest.mark.parametrize("number", ["+18765551234", "+881612345678", "+979123456789", "+19002345678", "+18002345678"])
def test_destinations_that_fraud_aims_at_are_403(
    world: World, customer: Customer, dialect: Dialect, number: str
) -> None:
    word = "The destination " if dialect is TESTER else "destination_not_allowed"
    dialect.assert_refused(ask(world, customer, dialect, dialect.body(number)), 403, word)


# ---- texts and variables --------------------------------------------------------------------------------------------

CONTROLS = ("\x00", "\x07", "\x0b", "\x1b", "\x7f", "\x85", "\ufffe")


@refusals
@pytest.mark.parametrize(
    ("dialect", "field"),
    [
        (KLEN, "variables"),
        (HMS, "variables"),
        (HMS, "first_message"),
        (HMS, "override"),
        (HMS, "prompt"),
        (HMS, "name"),
        (TESTER, "business_description"),
        (TESTER, "scenario"),
    ],
)
def test_a_character_that_cannot_be_spoken_is_refused(
    world: World, customer: Customer, dialect: Dialect, field: str
) -> None:
    for character in (*CONTROLS, "\ud800"):
        text = f"before {character} after"
        speech = {"provider": "openai"}
        messages = [{"role": "system", "content": text}]
        changes: dict[str, Any] = {
            "variables": {"variables": {"name": text}},
            "override": {"assistant_override": {"first_message": text}},
            "name": {"assistant_override": {"name": text}},
            "prompt": {
                "assistant_override": {
                    "llm_config": {"provider": "openai", "messages": messages},
                    "stt_config": speech,
                    "tts_config": speech,
                }
            },
        }.get(field, {field: text})
        reply = ask(world, customer, dialect, dialect.body(**changes))
        assert reply.status in (400, 422)
        dialect.assert_refused(
            reply, reply.status, "" if dialect is TESTER else reply.json.get("code", reply.json["error"])
        )


VARIABLES = (
    *({"a": 1.5}, {"a": [1]}, {"": "x"}, {"1": "x"}, {"a-b": "x"}, {"a.b": "x"}, {"é": "x"}, {"a\n": "x"}),
    *({"x" * 65: "x"}, {"a": "x" * 1_025}, {"a": 10**38}, {"a": -(10**4_000)}, {f"v{n}": n for n in range(51)}),
    *({"outer": {f"v{n}": n for n in range(50)}}, {"a": {"b": {"c": {"d": {"e": {"f": 1}}}}}}, {"\ud800": 1}),
)


@refusals
@pytest.mark.parametrize("dialect", [KLEN, HMS], ids=lambda dialect: dialect.name)
def test_variables_that_no_text_can_use_are_400(world: World, customer: Customer, dialect: Dialect) -> None:
    for variables in VARIABLES:
        reply = ask(world, customer, dialect, dialect.body(variables=variables))
        assert reply.status in (400, 422), variables
        assert "variables" in reply.json["message"]


def test_a_text_at_its_limit_is_spoken_and_one_beyond_is_refused(world: World, customer: Customer) -> None:
    for body in (
        HMS.body(first_message="x" * 4_097),
        HMS.body(assistant_override={"first_message": "x" * 4_097}),
        TESTER.body(business_description="x" * 8_193),
        TESTER.body(scenario="x" * 1_025),
    ):
        dialect = HMS if "destination" in body else TESTER
        with unchanged(world):
            reply = ask(world, customer, dialect, body)
        dialect.assert_refused(reply, 400, "invalid_value" if dialect is HMS else "")
    with put_back(world):
        assert HMS.send(world, HMS.body(first_message="x" * 4_096), key=customer.key).status == 200
        longest = TESTER.body(business_description="ö" * 8_192, scenario="é" * 1_024, dry_run=True)
        assert TESTER.send(world, longest, key=customer.key).json["allowed"] is True


@refusals
def test_a_malformed_placeholder_is_422_and_names_the_field_by_the_dialects_name(
    world: World, customer: Customer
) -> None:
    for text in ("{{", "{{}}", "{{ 1a }}", "{{a b}}", "{{a|upper}}", "{{a[0]}}", "{{ {{a}} }}"):
        document = HMS.assert_refused(
            ask(world, customer, HMS, HMS.body(first_message=text, variables={"a": "x"})), 422, "invalid_template"
        )
        assert document["param"] == "first_message"
        assert "welcome_message" not in document["message"]


def test_a_malformed_prompt_of_the_agents_is_422_in_klen(world: World, customer: Customer) -> None:
    with put_back(world):
        change_assistant(world, customer, prompt="Say {{a|upper}}.")
        with unchanged(world):
            KLEN.assert_refused(ask(world, customer, KLEN, KLEN.body()), 422, "invalid_template")


# ---- assistants that are brought along ------------------------------------------------------------------------------

STT, TTS = {"provider": "deepgram"}, {"provider": "elevenlabs"}


@refusals
@pytest.mark.parametrize(
    ("settings", "status", "param"),
    [
        ({"llm_config": {"provider": "xai_realtime"}, "stt_config": STT}, 422, "stt_config"),
        ({"llm_config": {"provider": "xai_realtime"}, "tts_config": TTS}, 422, "tts_config"),
        ({"llm_config": {"provider": "openai"}}, 422, "stt_config"),
        ({"llm_config": {"provider": ""}}, 422, "llm_config"),
        ({"engine": "relay"}, 400, "engine_url"),
        ({"engine": "stream", "engine_url": "https://x"}, 400, "engine_url"),
        ({"engine": "say", "engine_url": "wss://x"}, 400, "engine_url"),
        ({"engine": "agent"}, 422, "agent_id"),
        ({"name": ""}, 400, "name"),
        ({"name": "x" * 201}, 400, "name"),
        ({"max_duration_seconds": 0}, 400, "max_duration_seconds"),
        ({"max_duration_seconds": 14_401}, 400, "max_duration_seconds"),
        ({"max_duration_seconds": 10**4_000}, 400, "max_duration_seconds"),
        ({"voice": "a\nb"}, 422, "assistant.voice"),
        ({"language": "é"}, 422, "assistant.language"),
        ({"language": "x" * 256}, 422, "assistant.language"),
        ({"voice": "Polly.Joanna\n"}, 422, "assistant.voice"),
        ({"voice": "\ud800"}, 422, "assistant.voice"),
        ({"engine": "sing"}, 422, "assistant.engine"),
        ({"first_mesage": "x"}, 422, "assistant.first_mesage"),
        (
            {"llm_config": {"messages": [{"role": "robot", "content": "x"}]}},
            422,
            "assistant.llm_config.messages.0.role",
        ),
        ({"llm_config": {"messages": {"role": "system"}}}, 422, "assistant.llm_config.messages"),
        ({"llm_config": {"x": "\ud800"}}, 400, "llm_config"),
        ({"llm_config": {"\ud800": 1}}, 422, "assistant.llm_config"),
        ({"stt_config": {"a": ["\ud800"]}}, 400, "stt_config"),
        ({"tts_config": []}, 422, "assistant.tts_config"),
        ({"first_message": "   "}, 422, "first_message"),
        ({"first_message": None}, 422, "first_message"),
    ],
    ids=lambda value: ascii(value)[:50],
)
def test_a_transient_assistant_that_could_not_speak_is_refused_with_param(
    world: World, customer: Customer, settings: dict[str, Any], status: int, param: str
) -> None:
    assistant = {"first_message": "Hello.", **settings}
    body = {"destination": "+15550100200", "number_id": customer.number, "assistant": assistant}
    reply = ask(world, customer, HMS, body)
    assert (reply.status, reply.json.get("param")) == (status, param), reply.body
    HMS.assert_refused(reply, status, reply.json["code"])


def test_a_prompt_of_33_000_characters_is_refused_and_one_of_32_768_is_not(world: World, customer: Customer) -> None:
    def body(length: int, *, parts: int = 1) -> dict[str, Any]:
        messages = [{"role": "system", "content": "x" * (length // parts)}] * parts
        llm = {"provider": "openai", "messages": messages}
        return HMS.body(assistant_override={"llm_config": llm, "stt_config": STT, "tts_config": TTS})

    for each in (body(33_000), body(32_769), body(33_000, parts=3)):
        with unchanged(world):
            document = HMS.assert_refused(ask(world, customer, HMS, each), 400, "invalid_value")
        assert document["param"] == "llm_config.messages"
    with put_back(world):
        assert HMS.send(world, body(32_768), key=customer.key).status == 200


@refusals
def test_a_prompt_that_grows_beyond_its_limit_is_422(world: World, customer: Customer) -> None:
    messages = [{"role": "system", "content": "{{a}}" * 40}]
    llm = {"provider": "openai", "messages": messages}
    settings = {"llm_config": llm, "stt_config": STT, "tts_config": TTS, "engine": "say"}
    body = HMS.body(assistant_override=settings, variables={"a": "x" * 1_024})
    HMS.assert_refused(ask(world, customer, HMS, body), 422, "invalid_template")


def test_the_prompt_of_a_conversation_does_not_grow_by_the_values_it_refers_to(
    world: World, customer: Customer
) -> None:
    llm = {"provider": "openai", "messages": [{"role": "system", "content": "{{a}}" * 6_553}]}
    settings = {"llm_config": llm, "stt_config": STT, "tts_config": TTS}
    with put_back(world):
        body = HMS.body(assistant_override=settings, variables={"a": "x" * 1_024})
        assert HMS.send(world, body, key=customer.key).status == 200


def test_any_configuration_is_kept_exactly_as_it_was_sent(world: World, customer: Customer) -> None:
    """Floats, numbers beyond any float, deep and empty objects, texts of all kinds; compared as JSON text."""
    deep: Any = "end"
    for level in range(90):
        deep = {"a": deep} if level % 2 else [deep, {}]
    odd = {
        "temperature": 0.1 + 0.2,
        "tiny": 5e-324,
        "large": 1.7976931348623157e308,
        "minus_zero": -0.0,
        "one": 1.0,
        "huge": 10**400,
        "negative": -(2**70),
        "yes": True,
        "one_as_integer": 1,
        "nothing": None,
        "empty": {"object": {}, "list": [], "text": ""},
        "deep": deep,
        "": "no name",
        "é\x00\n\u2028😀": "é\x00\n\u2028😀",
        "{{name}}": "{{ not a placeholder",
    }
    settings = {
        "llm_config": {"provider": "openai", "model": "gpt-4o", **odd},
        "stt_config": {"provider": "deepgram", **odd},
        "tts_config": {"provider": "elevenlabs", **odd},
    }
    with put_back(world):
        body = {"destination": "+15550100200", "assistant": {"first_message": "Hello.", **settings}}
        reply = HMS.send(world, body, key=customer.key)
        assert reply.status == 200, reply.body
        call = stored_call(world, customer.organization_id, reply.json["call_id"])
        assert call.configuration_json is not None
        kept = json.loads(call.configuration_json)
        assert json.dumps(kept, sort_keys=True) == json.dumps(settings, sort_keys=True)
        assert world.get_call(call.id, key=customer.key).status == 200
        world.dial_queued()


def test_a_body_of_just_64_kb_is_kept_too(world: World, customer: Customer) -> None:
    body = {"destination": "+15550100200", "assistant": {"first_message": "Hello.", "stt_config": {"x": ""}}}
    body["assistant"]["stt_config"]["x"] = "é" * ((65_536 - len(json.dumps(body))) // 6)  # type: ignore[index]
    with put_back(world):
        reply = HMS.send(world, body, key=customer.key)
        assert reply.status == 200, reply.body
        call = stored_call(world, customer.organization_id, reply.json["call_id"])
        assert json.loads(call.configuration_json or "")["stt_config"] == body["assistant"]["stt_config"]  # type: ignore[index]


@pytest.mark.parametrize("text", ["{{name}}", "{{", "{{ secret | default: 'x' }}", "}}{{", "%s {0} ${x}"])
def test_templates_in_the_testers_texts_are_words_like_any_others(world: World, customer: Customer, text: str) -> None:
    with put_back(world):
        body = TESTER.body(business_description=text, scenario=text)
        assert TESTER.send(world, body, key=customer.key).json["scenario"] == text
        assert world.carrier.requests[-1].instructions.welcome_message.endswith(f"like to {text}.")
        prompt = world.carrier.requests[-1].instructions.prompt
        assert f"\n{text}\n" in str(prompt)
