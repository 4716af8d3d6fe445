"""What no client should send: each its clear 4xx, a problem document, and everything stored as it was before."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from dialplane.runtime.entry import serve
from functions.initiate import app as initiate_app
from tests.fakes.world import Reply, World
from tests.functional.expectations import SEED2, assert_problem, everything

NUMBER_FORMAT = "Invalid phone number format. Use E.164 format (e.g., +1234567890)"


def _short(value: Any) -> str:
    return ascii(value)[:60]


@pytest.fixture(scope="module")
def untouched(world: World) -> Any:
    """Everything stored before the first bad request."""
    return everything(world)


@pytest.fixture(autouse=True)
def _nothing_changes(world: World, untouched: Any) -> Iterator[None]:
    yield
    assert everything(world) == untouched
    assert world.carrier.requests == []


def raw_body(**fields: bytes) -> bytes:
    """The seed's body with raw JSON values in some fields."""
    texts: dict[str, bytes] = {name: json.dumps(value).encode() for name, value in SEED2.items()}
    return b"{" + b",".join(b'"%s":%s' % (name.encode(), value) for name, value in (texts | fields).items()) + b"}"


def strict_json(reply: Reply) -> Any:
    """The body as a reader takes it that knows no NaN and no Infinity."""

    def refuse(name: str) -> Any:
        raise AssertionError(f"{name} in an answer: {reply.body[:200]}")

    return json.loads(reply.body, parse_constant=refuse)


# ---- bodies that are no JSON object ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"null",
        b"true",
        b"5",
        b'"text"',
        b"[]",
        b'[{"from_phone_number":"+15551234567"}]',
        b"{",
        b'{"a":1,}',
        b"{'a':1}",
        b'{"a":1}{"b":2}',
        b'{"a":01}',
        b"from_phone_number=%2B15551234567",
        b"<call/>",
        b"\xff\xfe{}",
        b'{"agenda":"\xff"}',
        b'{"agenda":"\xed\xa0\x80"}',  # a surrogate in UTF-8
        b"\xef\xbb\xbf{}",  # a byte order mark
        "{}".encode("utf-16"),
        b'{"agenda":"line\nbreak"}',
        b'{"agenda":"\x00"}',
        b"\x00",
    ],
    ids=ascii,
)
def test_a_body_that_is_not_one_json_object_is_422(world: World, body: bytes) -> None:
    assert_problem(world.initiate(body), 422, "invalid_json")


@pytest.mark.parametrize("value", [b"NaN", b"Infinity", b"-Infinity", b"1e400", b"-1e400", b"9" * 4_000 + b".0"])
@pytest.mark.parametrize("field", ["variables", "assistant_id", "agenda"])
def test_a_number_that_is_none_is_no_json(world: World, field: str, value: bytes) -> None:
    body = raw_body(**{field: b'{"n":' + value + b"}" if field == "variables" else value})
    reply = world.initiate(body, headers={"idempotency-key": "numbers"})
    assert_problem(reply, 422, "invalid_json")
    strict_json(reply)


@pytest.mark.parametrize(
    "body",
    [
        b'{"to_phone_number":"+15559876543","to_phone_number":"+15559876544","from_phone_number":"+15551234567"}',
        raw_body(variables=b'{"name":"a","name":"b"}'),
        raw_body(variables=b'{"a":{"b":{"c":1,"c":1}}}'),
        rb'{"agenda":"x","\u0061genda":"y"}',
    ],
)
def test_a_name_that_is_there_twice_is_422_and_named(world: World, body: bytes) -> None:
    problem = assert_problem(world.initiate(body), 422, "invalid_json")
    assert "is there twice" in problem["detail"]


@pytest.mark.parametrize(
    "bomb",
    [
        b"[" * 60_000,
        b'{"a":' * 12_000,
        b"[" * 30_000 + b"]" * 30_000,
        raw_body(variables=b'{"a":' * 9_000 + b"1" + b"}" * 9_000),
        raw_body(variables=b'{"a":' * 150 + b"1" + b"}" * 150),
        raw_body(agenda=b"[" * 200 + b"]" * 200),
    ],
    ids=["brackets", "objects", "closed", "in a field", "shallow", "shallow list"],
)
def test_a_depth_bomb_within_the_size_limit_is_422(world: World, bomb: bytes) -> None:
    assert_problem(world.initiate(bomb), 422, "invalid_json")


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"a":' * 100_000,
        raw_body(agenda=b'"' + b"x" * 1_000_000 + b'"'),
        b" " * 1_000_000,
        b"{}" + b" " * 65_535,
    ],
    ids=["brackets", "objects", "1 MB", "white space", "just over"],
)
def test_a_body_over_64_kb_is_413_whatever_is_in_it(world: World, body: bytes) -> None:
    assert_problem(world.initiate(body), 413, "body_too_large")


def test_broken_base64_is_no_body(world: World) -> None:
    endpoint = initiate_app.build(world.settings, world.aws)
    for broken in ("%%%", "abc", "ä", "eyJ9*==", "\ud800"):
        event = {"body": broken, "isBase64Encoded": True, "headers": {"authorization": f"Bearer {world.demo.api_key}"}}
        answer = serve(event, endpoint.respond)
        assert (answer["statusCode"], json.loads(answer["body"])["code"]) == (422, "invalid_json")


# ---- fields ---------------------------------------------------------------------------------------------------------

TEXTS = ("from_phone_number", "to_phone_number", "welcome_message", "agenda")


@pytest.mark.parametrize("value", [0, 1, -1, 1.5, True, False, [], ["x"], {}, {"x": 1}], ids=str)
@pytest.mark.parametrize("field", TEXTS)
def test_a_text_that_is_none_is_422(world: World, field: str, value: Any) -> None:
    problem = assert_problem(world.initiate({**SEED2, field: value}), 422, "invalid_fields")
    (entry,) = problem["errors"]
    assert (entry["loc"], entry["input"]) == (["body", field], value)


@pytest.mark.parametrize("value", ["", "1", 1.0, True, [], {}, 0, -1, 2**63, 10**4_000, -(10**4_000)], ids=repr)
def test_an_assistant_id_that_is_no_positive_64_bit_integer_is_422(world: World, value: Any) -> None:
    reply = world.initiate({**SEED2, "assistant_id": value})
    assert_problem(reply, 422, "invalid_fields")
    strict_json(reply)


def test_an_integer_of_5000_digits_is_no_json_we_read(world: World) -> None:
    assert_problem(world.initiate(raw_body(assistant_id=b"9" * 5_000)), 422, "invalid_json")


@pytest.mark.parametrize("value", ["", "name", 1, True, [], [["name", "x"]]], ids=str)
def test_variables_that_are_no_object_are_422(world: World, value: Any) -> None:
    assert_problem(world.initiate({**SEED2, "variables": value}), 422, "invalid_fields")


@pytest.mark.parametrize(
    ("unknown", "meant"),
    [
        ("to_phone_numer", "to_phone_number"),
        ("from_number", "from_phone_number"),
        ("welcomeMessage", "welcome_message"),
        ("assistantId", "assistant_id"),
        ("Agenda", "agenda"),
        ("variable", "variables"),
    ],
)
def test_an_unknown_field_is_422_and_asks_what_was_meant(world: World, unknown: str, meant: str) -> None:
    problem = assert_problem(world.initiate({**SEED2, unknown: "x"}), 422, "invalid_fields")
    (entry,) = problem["errors"]
    assert entry["loc"] == ["body", unknown]
    assert f'Did you mean "{meant}"?' in entry["msg"]


def test_an_unknown_field_like_no_other_lists_the_known_ones(world: World) -> None:
    problem = assert_problem(world.initiate({**SEED2, "zzz": 1}), 422, "invalid_fields")
    assert "Did you mean" not in problem["errors"][0]["msg"]
    assert "from_phone_number, to_phone_number, assistant_id" in problem["errors"][0]["msg"]


def test_at_most_twenty_errors_are_shown(world: World) -> None:
    problem = assert_problem(world.initiate({f"field_{n}": n for n in range(2_000)}), 422, "invalid_fields")
    assert len(problem["errors"]) == 20


@pytest.mark.parametrize("body", [rb'{"\ud800":1}', rb'{"to_phone_number":1,"\udfff":{"\ud800":"\ud800"}}'])
def test_a_field_name_that_no_text_can_have_is_422(world: World, body: bytes) -> None:
    reply = world.initiate(body)
    assert_problem(reply, 422, "invalid_fields")
    reply.body.encode("ascii")


# ---- numbers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "number",
    [
        "15559876543",
        "0015559876543",
        "+05559876543",
        "++15559876543",
        "+1-555-987-6543",
        "+1 (555) 987-6543",
        "+15559876543\n",
        "\n+15559876543",
        " +15559876543",
        "+15559876543 ",
        "+15559876543\x00",
        "+1555\u00a09876543",
        "+١٥٥٥٩٨٧٦٥٤٣",
        "+１５５５９８７６５４３",
        "+1555987654۳",
        "+1800FLOWERS",
        "tel:+15559876543",
        "sip:+15559876543@example.test",
        "client:alice",
        "+15559876543;ext=5",
        "+15559876543,,5",
        "anonymous",
        "+",
        "+1",
        "+15",
        "+1555",
        "+1555987654",
        "+155598765432",
        "+1555987654321",
        "+1234567890123456",
        "+15551234",  # possible within an area, and nowhere else
        "+999123456789",  # no country has 999
        "+210123456789",
        "+" + "9" * 60_000,
        "\ud800",
        "+1555\ud8009876543",
    ],
    ids=ascii,
)
@pytest.mark.parametrize("field", ["from_phone_number", "to_phone_number"])
def test_what_is_no_possible_number_is_400_in_the_seeds_words(world: World, field: str, number: str) -> None:
    reply = world.initiate({**SEED2, field: number})
    if "\ud800" in number:
        assert reply.status in (400, 422)
        assert_problem(reply, reply.status, reply.json["code"])
        return
    problem = assert_problem(reply, 400, "invalid_phone_number", NUMBER_FORMAT)
    assert problem["field"] == field
    # It may be a person's number mistyped, so it is not repeated.
    assert "9876543" not in reply.body


@pytest.mark.parametrize(
    ("number", "why"),
    [
        ("+18765551234", "country"),  # Jamaica hides behind +1
        ("+12685551234", "country"),  # and Antigua
        ("+442079460123", "country"),
        ("+881612345678", "country"),  # satellite
        ("+88312345678901", "country"),
        ("+979123456789", "country"),
        ("+19002345678", "number_type"),
        ("+18002345678", "number_type"),
        ("+15005550006", "number_type"),  # personal numbers
    ],
)
def test_destinations_that_fraud_aims_at_are_403_by_default(world: World, number: str, why: str) -> None:
    problem = assert_problem(world.initiate({**SEED2, "to_phone_number": number}), 403, "destination_not_allowed")
    assert why in problem


# ---- texts and variables --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("character", ["\x00", "\x07", "\x0b", "\x1b", "\x7f", "\x85", "\ud800", "\ufffe"])
@pytest.mark.parametrize("field", ["welcome_message", "agenda", "variables"])
def test_a_character_that_cannot_be_spoken_is_refused(world: World, field: str, character: str) -> None:
    text = f"before {character} after"
    reply = world.initiate({**SEED2, field: {"name": text} if field == "variables" else text})
    assert reply.status in (400, 422), reply.body
    assert_problem(reply, reply.status, "invalid_value" if reply.status == 400 else "invalid_fields")


@pytest.mark.parametrize("field", ["welcome_message", "agenda"])
def test_a_text_beyond_4096_characters_is_400(world: World, field: str) -> None:
    problem = assert_problem(world.initiate({**SEED2, field: "x" * 4_097}), 400, "invalid_value")
    assert "4097" in problem["detail"]


def test_a_text_that_grows_beyond_its_limit_is_400(world: World) -> None:
    body = {**SEED2, "welcome_message": "{{a}}" * 5, "variables": {"a": "x" * 1_024}}
    assert_problem(world.initiate(body), 400, "invalid_template")


MALFORMED = (
    *("{{", "{{}}", "{{ }}", "{{name", "{{ 1a }}", "{{a b}}", "{{a.}}", "{{.a}}", "{{a|upper}}", "{{a | default: x}}"),
    *("{{{name}}}", "{{ name | default: 'x\" }}", "{{a[0]}}", "{{a()}}", "{{ {{a}} }}", "{{a.b.c.d.e.f}}"),
)


@pytest.mark.parametrize("template", MALFORMED)
@pytest.mark.parametrize("field", ["welcome_message", "agenda"])
def test_a_malformed_placeholder_is_400_and_names_its_field(world: World, field: str, template: str) -> None:
    body = {**SEED2, field: template, "variables": {"name": "x", "a": "y"}}
    assert assert_problem(world.initiate(body), 400, "invalid_template")["field"] == field


def test_every_missing_variable_is_named_before_anything_is_held(world: World) -> None:
    body = {**SEED2, "welcome_message": "{{b}} {{a.x}} {{b}} {{c}}", "variables": {"a": {"y": 1}, "c": None}}
    problem = assert_problem(world.initiate(body), 400, "missing_variables")
    assert problem["variables"] == ["b", "a.x", "c"]


@pytest.mark.parametrize(
    "variables",
    [
        {"a": 1.5},
        {"a": [1]},
        {"a": []},
        {"": "x"},
        {"1": "x"},
        {"a-b": "x"},
        {"a.b": "x"},
        {"é": "x"},
        {"a\n": "x"},
        {"x" * 65: "x"},
        {"a": "x" * 1_025},
        {"a": 10**38},
        {"a": -(10**4_000)},
        {f"v{n}": n for n in range(51)},
        {"outer": {f"v{n}": n for n in range(50)}},
        {"a": {"b": {"c": {"d": {"e": {"f": 1}}}}}},
        {"\ud800": 1},
    ],
    ids=_short,
)
def test_variables_that_no_text_can_use_are_400(world: World, variables: dict[str, Any]) -> None:
    problem = assert_problem(world.initiate({**SEED2, "variables": variables}), 400, "invalid_value")
    assert problem["field"] == "variables"


def test_dry_run_must_be_true_or_false(world: World) -> None:
    values: list[Any] = ["true", 1, None, []]
    for value in values:
        assert_problem(world.initiate({**SEED2, "dry_run": value}), 422, "invalid_fields")
    for text in ("1", "yes", "", "\ud800"):
        assert_problem(world.initiate(SEED2, query={"dry_run": text}), 422, "invalid_fields")


# ---- headers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", "Bearer ", "Basic dXNlcjpwYXNz", "Bearer\u00a0x", "dp_live_x", "Token x"],
)
def test_no_key_is_401_and_says_how_to_send_one(world: World, authorization: str) -> None:
    reply = world.initiate(SEED2, key=None, headers={"authorization": authorization})
    assert_problem(reply, 401, "authentication_required")
    assert reply.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize(
    "key",
    ["x", "dp_", "dp_org_x_y_z", "\ud800", "é" * 50, "x" * 100_000, "dp_live_abc", "' OR 1=1 --", "a,b"],
    ids=ascii,
)
def test_what_is_no_key_is_401(world: World, key: str) -> None:
    for headers in ({"authorization": f"Bearer {key}"}, {"x-api-key": key}):
        assert_problem(world.initiate(SEED2, key=None, headers=headers), 401, "invalid_key")


@pytest.mark.parametrize("sent", ["", "a b", "a\r\nset-cookie: x", "x" * 129, "é", "<script>", "\ud800"], ids=ascii)
def test_a_request_id_that_is_none_is_replaced(world: World, sent: str) -> None:
    reply = world.initiate({}, headers={"x-request-id": sent})
    assert reply.headers["x-request-id"] == reply.json["request_id"] == "request-POST"


def test_a_clients_own_request_id_comes_back(world: World) -> None:
    reply = world.initiate({}, headers={"X-Request-Id": "trace:1-2.3_4"})
    assert reply.headers["x-request-id"] == reply.json["request_id"] == "trace:1-2.3_4"


# ---- the other routes -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "query",
    [
        {"status": "done"},
        {"status": ""},
        {"assistant_id": "x"},
        {"assistant_id": "0"},
        {"assistant_id": "1.0"},
        {"assistant_id": "١"},
        {"assistant_id": "9" * 5_000},
        {"from": "5551234"},
        {"to": "+999123456789"},
        {"created_after": "yesterday"},
        {"created_after": "2026-11-20"},
        {"created_after": "2026-11-20T09:00:00"},
        {"created_before": "0001-01-01T00:00:00+14:00"},
        {"limit": "0"},
        {"limit": "101"},
        {"limit": "-1"},
        {"limit": "ten"},
        {"page": "2"},
        {"STATUS": "completed"},
        {"\ud800": "x"},
    ],
    ids=ascii,
)
def test_a_filter_that_is_none_is_400(world: World, query: dict[str, str]) -> None:
    reply = world.manage("GET /calls", "/calls", query=query)
    assert reply.status == 400
    assert_problem(reply, 400, reply.json["code"])


@pytest.mark.parametrize("cursor", ["", "x", "%%%", "AAAA", "\ud800", "e30=", "bGVkXzAx", "x" * 10_000], ids=ascii)
@pytest.mark.parametrize("route", ["GET /calls", "GET /wallet/ledger"])
def test_a_cursor_that_is_none_is_400(world: World, route: str, cursor: str) -> None:
    assert_problem(world.manage(route, route.split(" ")[1], query={"cursor": cursor}), 400, "invalid_cursor")


@pytest.mark.parametrize("call_id", ["x", "", "call_", "call_x", "CA" + "0" * 32, "../x", "a" * 5_000, "\ud800", "%00"])
def test_an_id_of_nothing_is_404(world: World, call_id: str) -> None:
    for suffix in ("", "/events"):
        reply = world.manage("GET /calls/{call_id}" + suffix, f"/calls/{call_id}{suffix}")
        assert_problem(reply, 404, "call_not_found")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 422),
        ({"amount": "1.00"}, 422),
        ({"currency": "USD"}, 422),
        ({"amount": 1, "currency": "USD"}, 422),
        ({"amount": None, "currency": "USD"}, 422),
        ({"amount": "1", "currency": "USD", "to": "x"}, 422),
        ({"amount": "1", "currency": ["USD"]}, 422),
        ({"amount": "-1", "currency": "USD"}, 400),
        ({"amount": "0", "currency": "USD"}, 400),
        ({"amount": "0.0000001", "currency": "USD"}, 400),
        ({"amount": "1e3", "currency": "USD"}, 400),
        ({"amount": "1,00", "currency": "USD"}, 400),
        ({"amount": "١", "currency": "USD"}, 400),
        ({"amount": "1\n", "currency": "USD"}, 400),
        ({"amount": " 1", "currency": "USD"}, 400),
        ({"amount": "NaN", "currency": "USD"}, 400),
        ({"amount": "1000000.000001", "currency": "USD"}, 400),
        ({"amount": "9" * 5_000, "currency": "USD"}, 400),
        ({"amount": "1", "currency": "EUR"}, 400),
        ({"amount": "1", "currency": "usd"}, 400),
        ({"amount": "1", "currency": "\ud800"}, 400),
        ({"amount": "1", "currency": "USD", "note": "x" * 501}, 400),
        ({"amount": "1", "currency": "USD", "note": "\x00"}, 400),
        ({"amount": "1", "currency": "USD", "note": 5}, 422),
    ],
    ids=_short,
)
def test_a_deposit_that_is_none_moves_no_money(world: World, body: dict[str, Any], status: int) -> None:
    reply = world.manage("POST /wallet/deposits", "/wallet/deposits", body=body)
    assert reply.status == status, reply.body
    assert_problem(reply, status, reply.json["code"])


def test_the_errors_of_a_deposit_are_bounded_too(world: World) -> None:
    body = {f"field_{n}": n for n in range(2_000)}
    problem = assert_problem(
        world.manage("POST /wallet/deposits", "/wallet/deposits", body=body), 422, "invalid_fields"
    )
    assert len(problem["errors"]) == 20


@pytest.mark.parametrize(
    "number", ["x", "", "5550100", "+999123456789", "+15559876543\n", "%2B1555", "\ud800"], ids=ascii
)
@pytest.mark.parametrize("method", ["PUT", "GET", "DELETE"])
def test_a_do_not_call_number_that_is_none_is_400(world: World, method: str, number: str) -> None:
    assert_problem(world.manage(f"{method} /dnc/{{number}}", f"/dnc/{number}"), 400, "invalid_phone_number")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"[]", 422),
        (b"{", 422),
        ({"reason": 5}, 422),
        ({"why": "x"}, 422),
        ({"reason": "x" * 501}, 400),
        ({"reason": "\x00"}, 400),
        ({"reason": "\ud800"}, 400),
        (b" " * 70_000, 413),
    ],
    ids=_short,
)
def test_a_do_not_call_body_that_is_none_is_refused(world: World, body: Any, status: int) -> None:
    reply = world.manage("PUT /dnc/{number}", "/dnc/+15550100300", body=body)
    assert_problem(reply, status, reply.json["code"])


@pytest.mark.parametrize("route", ["POST /nothing", "DELETE /calls", "GET /", "PATCH /wallet", "GET /$default"])
def test_a_route_that_is_none_is_404_for_those_who_may_ask(world: World, route: str) -> None:
    assert_problem(world.manage(route, "/nothing"), 404, "route_not_found")
    assert_problem(world.manage(route, "/nothing", key=None), 401, "authentication_required")


def test_the_largest_double_comes_back_as_json(world: World) -> None:
    problem = strict_json(world.initiate(b'{"to_phone_number":1e308,"from_phone_number":-0.0}'))
    assert [entry["input"] for entry in problem["errors"]] == [-0.0, 1e308]
