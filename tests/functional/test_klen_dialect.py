"""The numbered contract of ``POST /calls`` in the Klen dialect, seed 1: one test for each line.

Lists and single calls (S1.22, S1.23) are in ``test_dialect_lists``, the order of the errors in ``test_dialect_gates``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from dialplane.aws.client import AwsError
from dialplane.domain.accounts import PresentedKey
from dialplane.domain.calls import Call
from tests.fakes.world import Reply, World
from tests.functional.dialects import KLEN, Customer, a_customer, account_of, change_assistant
from tests.functional.expectations import a_key, an_assistant, put_back, stored_call, unchanged

# The vendor's own example.
SEED1 = {
    "phone_number": "+15551234567",
    "agent_id": 123,
    "contact_id": 456,
    "variables": {
        "customer_name": "John Doe",
        "appointment_time": "3:30 PM tomorrow",
        "custom_context": {"previous_purchase": "Premium Plan", "account_status": "Active"},
    },
}


@pytest.fixture(scope="module")
def customer(world: World) -> Customer:
    return a_customer(world, "+12125550101", allowed_countries=frozenset({"US", "GB", "NL"}))


@pytest.fixture(autouse=True)
def _unspoilt(world: World, customer: Customer) -> Iterator[None]:
    """Every test begins with the customer as it was made."""
    with put_back(world):
        yield


def ask(world: World, customer: Customer, body: Any = None, **how: Any) -> Reply:
    return KLEN.send(world, KLEN.body() if body is None else body, **{"key": customer.key, **how})


def asked(world: World, customer: Customer, body: Any = None, **how: Any) -> Call:
    """The call that the request led to."""
    reply = ask(world, customer, body, **how)
    assert reply.status == 200, reply.body
    return stored_call(world, customer.organization_id, reply.json["call_id"])


def test_s1_01_a_key_with_can_initiate_calls_alone_is_enough(world: World, customer: Customer) -> None:
    key = a_key(world, customer.organization_id, "can_initiate_calls")
    assert ask(world, customer, key=key).status == 200


@pytest.mark.parametrize(
    ("written", "called"),
    [
        ("+15550100200", "+15550100200"),
        ("+1 (555) 010-0200", "+15550100200"),
        ("001.555.010.0200", "+15550100200"),
        ("+44 20 7946 0123", "+442079460123"),
        ("0031 6 12345678", "+31612345678"),
    ],
)
def test_s1_02_e164_is_recommended_and_a_proper_number_is_enough(
    world: World, customer: Customer, written: str, called: str
) -> None:
    reply = ask(world, customer, KLEN.body(written))
    assert reply.json["phone_number"] == called
    world.dial_queued()
    assert world.carrier.requests[-1].destination == called


@pytest.mark.parametrize("agent_id", [1, "1", "ada"])
def test_s1_03_an_agent_is_named_by_its_database_id_or_its_public_one(
    world: World, customer: Customer, agent_id: Any
) -> None:
    assert asked(world, customer, KLEN.body(agent_id=agent_id)).assistant_id == 1


@pytest.mark.parametrize("contact_id", [456, None, ...])
def test_s1_04_a_contact_is_optional_and_kept_with_the_call(world: World, customer: Customer, contact_id: Any) -> None:
    body = KLEN.body() if contact_id is ... else KLEN.body(contact_id=contact_id)
    call = asked(world, customer, body)
    assert call.contact_id == (456 if contact_id == 456 else None)
    key = world.stack.provision.create_key(customer.organization_id, name="Lists", dialect="klen").text
    shown = world.get_call(call.id, key=key).json["contact"]
    assert shown == ({"id": 456} if contact_id == 456 else None)


def test_s1_05_variables_nested_too_fill_the_agents_instructions_and_its_greeting(
    world: World, customer: Customer
) -> None:
    change_assistant(
        world,
        customer,
        welcome_message="Hello {{customer_name}}.",
        prompt="{{ customer_name }} is on the {{custom_context.previous_purchase}}: say {{appointment_time}}.",
    )
    call = asked(world, customer, {**SEED1, "agent_id": 1})
    assert call.instructions.prompt == "John Doe is on the Premium Plan: say 3:30 PM tomorrow."
    assert call.instructions.welcome_message == "Hello John Doe."


def test_s1_05_a_variable_that_the_instructions_need_and_nobody_sent_is_told(world: World, customer: Customer) -> None:
    change_assistant(world, customer, prompt="Ask {{customer_name}} about {{ company.name }}.")
    with unchanged(world):
        document = KLEN.assert_refused(ask(world, customer), 422, "missing_variables")
    assert "customer_name, company.name" in document["message"]


@pytest.mark.parametrize("how", ["bearer", "x-api-key", "query"])
def test_s1_06_the_key_may_come_in_three_places(world: World, how: str) -> None:
    customer = a_customer(world, "+12125550102", allows_key_in_query=True)
    headers = {"bearer": {"authorization": f"Bearer {customer.key}"}, "x-api-key": {"X-API-Key": customer.key}}
    query = {"api_key": customer.key} if how == "query" else None
    assert ask(world, customer, key=None, headers=headers.get(how), query=query).status == 200


@pytest.mark.parametrize("name", ["customer_name", "company", "appointment_time", "appointment_type"])
def test_s1_07_every_suggested_variable_is_a_variable(world: World, customer: Customer, name: str) -> None:
    change_assistant(world, customer, prompt=f"Mention {{{{{name}}}}}.")
    assert asked(world, customer, KLEN.body(variables={name: "this"})).instructions.prompt == "Mention this."


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"agent_id":1,"agent_id":2}', b"phone_number=%2B1", b"\xff"])
def test_s1_08_what_is_not_json_is_400_invalid_json(world: World, customer: Customer, body: bytes) -> None:
    with unchanged(world):
        KLEN.assert_refused(ask(world, customer, body), 400, "invalid_json")


@pytest.mark.parametrize("absent", [None, "", " ", ...])
@pytest.mark.parametrize(
    ("field", "code"), [("phone_number", "missing_phone_number"), ("agent_id", "missing_agent_id")]
)
def test_s1_09_s1_10_what_is_missing_is_named(
    world: World, customer: Customer, field: str, code: str, absent: Any
) -> None:
    body = KLEN.body()
    body.update({field: absent}) if absent is not ... else body.pop(field)
    with unchanged(world):
        KLEN.assert_refused(ask(world, customer, body), 400, code)


@pytest.mark.parametrize(
    "number", ["5550100200", "(555) 010-0200", "+1555", "+999123456789", "nobody", 5, ["+1"], True]
)
def test_s1_11_what_is_no_number_is_400_invalid_phone_number(world: World, customer: Customer, number: Any) -> None:
    with unchanged(world):
        KLEN.assert_refused(ask(world, customer, KLEN.body(number)), 400, "invalid_phone_number")


def test_s1_12_no_key_is_401_authentication_required(world: World, customer: Customer) -> None:
    with unchanged(world):
        reply = ask(world, customer, key=None)
    KLEN.assert_refused(reply, 401, "authentication_required")
    assert reply.headers["www-authenticate"].startswith("Bearer")


def test_s1_13_an_unknown_and_an_inactive_key_are_401_invalid_key(world: World, customer: Customer) -> None:
    revoked = PresentedKey.parse(a_key(world, customer.organization_id))
    world.stack.provision.revoke_key(customer.organization_id, revoked.id)
    with unchanged(world):
        replies = [ask(world, customer, key=key) for key in ("klen_x", revoked.text, customer.key[:-1] + "-")]
    for reply in replies:
        KLEN.assert_refused(reply, 401, "invalid_key")
    assert len({reply.body for reply in replies}) == 1


def test_s1_14_too_little_money_is_402_with_the_balance_and_the_required_rate(world: World) -> None:
    poor = a_customer(world, "+12125550103", micros=299_999)
    with unchanged(world):
        document = KLEN.assert_refused(ask(world, poor), 402, "insufficient_funds")
    money = {name: document[name] for name in ("balance", "required_rate", "currency")}
    assert money == {"balance": "0.299999", "required_rate": "0.300000", "currency": "USD"}
    world.stack.wallets.deposit(poor.organization_id, micros=1, currency="USD", note=None)
    assert ask(world, poor).status == 200


def test_s1_15_a_key_without_the_permission_is_403_permission_denied(world: World, customer: Customer) -> None:
    key = a_key(world, customer.organization_id, "can_read_calls", "can_write_dnc")
    with unchanged(world):
        reply = ask(world, customer, key=key)
    assert "can_initiate_calls" in KLEN.assert_refused(reply, 403, "permission_denied")["message"]


@pytest.mark.parametrize("written", ["+15550100666", "+1 555 010-0666", "001 555 010 0666"])
def test_s1_16_a_number_on_the_do_not_call_list_is_403_however_it_is_written(
    world: World, customer: Customer, written: str
) -> None:
    world.manage("PUT /dnc/{number}", "/dnc/+15550100666", key=customer.key)
    with unchanged(world):
        KLEN.assert_refused(ask(world, customer, KLEN.body(written)), 403, "do_not_call")


def test_s1_17_an_agent_that_is_unknown_or_anothers_or_inactive_is_404_with_one_answer(
    world: World, customer: Customer
) -> None:
    an_assistant(world, customer.organization_id, 7, caller_number=customer.number, is_active=False)
    with unchanged(world):
        replies = [
            ask(world, customer, KLEN.body(agent_id=agent)) for agent in (999, "nobody", 789, 7, 2**62, "ä" * 200)
        ]
    for reply in replies:
        KLEN.assert_refused(reply, 404, "agent_not_found")
    assert len({reply.body for reply in replies}) == 1


def test_s1_18_an_agent_without_a_number_to_call_from_is_404_no_phone_number(world: World, customer: Customer) -> None:
    organization_id, provision = customer.organization_id, world.stack.provision
    an_assistant(world, organization_id, 2)
    an_assistant(world, organization_id, 3, caller_number="+12125550104")
    an_assistant(world, organization_id, 4, caller_number="+12125550105")
    provision.put_number(organization_id, "+12125550105", account_of(world, organization_id), can_dial_out=False)
    with unchanged(world):
        for agent_id in (2, 3, 4):
            KLEN.assert_refused(ask(world, customer, KLEN.body(agent_id=agent_id)), 404, "no_phone_number")


def test_s1_20_a_fault_of_ours_is_500_server_error_and_says_nothing_of_it(
    world: World, customer: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Any, service: str, operation: str, params: Any) -> Any:
        raise AwsError("AccessDeniedException", "canary: no access to table x")

    with unchanged(world):
        with monkeypatch.context() as broken:
            broken.setattr(type(world.aws), "call", fail)
            reply = ask(world, customer)
        document = KLEN.assert_refused(reply, 500, "server_error")
    assert "canary" not in reply.body
    assert "request_id" in document["message"]


def test_s1_21_the_answer_has_exactly_the_vendors_members(world: World, customer: Customer) -> None:
    reply = ask(world, customer)
    call = stored_call(world, customer.organization_id, reply.json["call_id"])
    now = world.clock.now().isoformat(timespec="milliseconds").replace("+00:00", "Z")
    assert (reply.status, reply.headers["content-type"]) == (200, "application/json")
    assert reply.json == {
        "id": call.id,
        "call_id": call.id,
        "status": "queued",
        "type": "outbound",
        "phone_number": "+15550100200",
        "agent": {"id": 1, "name": "Somebody", "assistant_id": "ada"},
        "created_at": reply.json["created_at"],
        "estimated_start": reply.json["created_at"],
    }
    assert reply.json["created_at"][:19] == now[:19]
    assert reply.headers["location"] == f"/calls/{call.id}"


def test_s1_21_it_is_answered_after_the_commit_and_before_the_dial(world: World, customer: Customer) -> None:
    dials = len(world.carrier.requests)
    call = asked(world, customer)
    assert len(world.carrier.requests) == dials
    assert world.wallet(key=customer.key)["held"]["amount"] != "0.000000"
    world.dial_queued()
    assert [request.call_id for request in world.carrier.requests[dials:]].count(call.id) == 1


def test_s1_24_reading_calls_has_a_permission_of_its_own(world: World, customer: Customer) -> None:
    """Agents, contacts and calendars are not kept here, so there are no permissions for them."""
    dialect = {"dialect": "klen", "name": "Lists"}
    provision = world.stack.provision
    reader = provision.create_key(customer.organization_id, scopes=frozenset({"can_read_calls"}), **dialect).text
    dialler = provision.create_key(customer.organization_id, scopes=frozenset({"can_initiate_calls"}), **dialect).text
    assert world.manage("GET /calls", "/calls", key=reader).status == 200
    KLEN.assert_refused(world.manage("GET /calls", "/calls", key=dialler), 403, "permission_denied")


@pytest.mark.parametrize("path", ["/calls", "/calls/initiate"])
def test_the_same_body_on_both_routes_is_answered_alike(world: World, customer: Customer, path: str) -> None:
    reply = world.post(path, KLEN.body(), key=customer.key)
    assert (reply.status, reply.json["status"]) == (200, "queued")
    with unchanged(world):
        for body, status, code in (
            ({"phone_number": "+15550100200"}, 400, "missing_agent_id"),
            ({"agent_id": 1}, 400, "missing_phone_number"),
            (KLEN.body("x"), 400, "invalid_phone_number"),
        ):
            KLEN.assert_refused(world.post(path, body, key=customer.key), status, code)


@pytest.mark.parametrize("other", ["from_phone_number", "to_phone_number", "assistant_id"])
def test_a_field_of_burkis_beside_them_on_the_shared_route_is_answered_in_burkis_words(
    world: World, customer: Customer, other: str
) -> None:
    with unchanged(world):
        reply = world.initiate({**KLEN.body(), other: None}, key=customer.key)
    assert (reply.status, reply.json["code"]) == (422, "invalid_fields")
    assert isinstance(reply.json["detail"], list)
