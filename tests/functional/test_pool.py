"""The number that a call is made from when the request names none: the rules over HTTP, each with its one reason."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from dialplane.domain.accounts import ConversationFlow
from dialplane.domain.calls import Call
from tests.fakes.world import Reply, World
from tests.functional.dialects import HMS, KLEN, Customer, a_customer, account_of
from tests.functional.expectations import a_number, an_assistant, put_back, stored_call, unchanged

NEW_YORK, BROOKLYN, BOSTON, LONDON, PARIS = (
    *("+12125550121", "+12125550122", "+16175550123"),
    *("+442079460124", "+33123456725"),
)
TO_NEW_YORK, TO_BOSTON, TO_CHICAGO = "+12125550200", "+16175550200", "+13125550200"
TO_LONDON, TO_BERLIN = "+442079460200", "+493012345678"


@pytest.fixture(scope="module")
def customer(world: World) -> Customer:
    """Numbers in five places. Assistant 1's own is the one in Paris, which the pool has to be asked past."""
    made = a_customer(world, PARIS, allowed_countries=frozenset({"US", "GB", "DE", "FR"}), micros=10**9)
    for number in (NEW_YORK, BROOKLYN, BOSTON, LONDON):
        a_number(world, made.organization_id, number)
    return made


@pytest.fixture(autouse=True)
def _unspoilt(world: World, customer: Customer) -> Iterator[None]:
    """Every test begins with numbers that nobody was called from."""
    with put_back(world):
        yield


def ask(world: World, customer: Customer, destination: str, **changes: Any) -> Reply:
    return HMS.send(world, HMS.body(destination, **changes), key=customer.key)


def chosen(world: World, customer: Customer, destination: str, **changes: Any) -> tuple[str, str]:
    """The caller number and the reason, the same in the header, in the stored call and in its document."""
    reply = ask(world, customer, destination, **changes)
    assert reply.status == 200, reply.body
    call: Call = stored_call(world, customer.organization_id, reply.json["call_id"])
    document = world.get_call(call.id, key=customer.key).json
    reason = reply.headers["x-caller-number-reason"]
    assert document["caller_number_reason"] == reason == call.caller_number_reason
    assert document["from"] == call.caller_number
    return call.caller_number, reason


def put(world: World, customer: Customer, number: str, **changes: Any) -> None:
    account = account_of(world, customer.organization_id)
    world.stack.provision.put_number(customer.organization_id, number, account, **changes)


@pytest.mark.parametrize(
    ("destination", "number", "reason"),
    [
        (TO_BOSTON, BOSTON, "local_area"),
        (TO_LONDON, LONDON, "local_area"),
        ("+441614960200", LONDON, "local_country"),
        (TO_CHICAGO, NEW_YORK, "local_country"),
        ("+33612345678", PARIS, "local_country"),
        (TO_BERLIN, NEW_YORK, "least_used"),
    ],
)
def test_a_number_of_the_area_goes_before_one_of_the_country_before_any(
    world: World, customer: Customer, destination: str, number: str, reason: str
) -> None:
    assert chosen(world, customer, destination) == (number, reason)


def test_among_equals_the_one_that_was_called_from_least(world: World, customer: Customer) -> None:
    numbers = [chosen(world, customer, f"+1212555{suffix}") for suffix in range(3000, 3004)]
    assert numbers == [(NEW_YORK, "local_area"), (BROOKLYN, "local_area")] * 2
    everywhere = [chosen(world, customer, f"+49301234{suffix}")[0] for suffix in range(3000, 3003)]
    assert everywhere == [BOSTON, PARIS, LONDON], "by use over all reasons, then by number"


def test_a_destination_is_called_again_from_the_number_that_it_knows(world: World, customer: Customer) -> None:
    assert chosen(world, customer, TO_NEW_YORK) == (NEW_YORK, "local_area")
    for _ in range(2):
        assert chosen(world, customer, TO_NEW_YORK) == (NEW_YORK, "sticky")
    assert chosen(world, customer, TO_BOSTON, number_id=LONDON) == (LONDON, "requested")
    assert chosen(world, customer, TO_BOSTON) == (LONDON, "sticky"), "whoever chose it"


@pytest.mark.parametrize("change", [{"can_dial_out": False}, {"in_pool": False}])
def test_a_number_that_left_the_pool_is_known_in_vain(
    world: World, customer: Customer, change: dict[str, bool]
) -> None:
    assert chosen(world, customer, TO_NEW_YORK) == (NEW_YORK, "local_area")
    put(world, customer, NEW_YORK, **change)
    assert chosen(world, customer, TO_NEW_YORK) == (BROOKLYN, "local_area")


def test_one_destination_of_two_customers_is_known_to_each_alone(world: World, customer: Customer) -> None:
    other = a_customer(world, "+13125550126")
    assert chosen(world, customer, TO_CHICAGO) == (NEW_YORK, "local_country")
    assert chosen(world, other, TO_CHICAGO) == ("+13125550126", "local_area")
    assert chosen(world, customer, TO_CHICAGO) == (NEW_YORK, "sticky")


def test_a_number_that_cannot_dial_out_is_refused_before_anything_is_held(world: World, customer: Customer) -> None:
    put(world, customer, BOSTON, can_dial_out=False)
    with unchanged(world):
        HMS.assert_refused(ask(world, customer, TO_BOSTON, number_id=BOSTON), 403, "number_cannot_dial_out")
    assert chosen(world, customer, TO_BOSTON) == (NEW_YORK, "local_country")


def test_a_pool_of_none_that_can_dial_out_is_told_so(world: World, customer: Customer) -> None:
    for number in (NEW_YORK, BROOKLYN, LONDON):
        put(world, customer, number, in_pool=False)
    for number in (BOSTON, PARIS):
        put(world, customer, number, can_dial_out=False)
    with unchanged(world):
        reply = ask(world, customer, TO_BOSTON)
        assert "number_id" in HMS.assert_refused(reply, 404, "caller_number_missing")["message"]
    assert chosen(world, customer, TO_BOSTON, number_id=NEW_YORK) == (NEW_YORK, "requested"), "it can be asked for"


def test_a_number_whose_carrier_cannot_speak_so_is_not_chosen(world: World, customer: Customer) -> None:
    provision, organization_id = world.stack.provision, customer.organization_id
    secret = {"api_key": "xi", "webhook_secret": "wsec"}
    account = provision.create_carrier_account(organization_id, carrier="elevenlabs", name="Agents", secret=secret)
    provision.put_number(organization_id, "+13125550127", account, carrier_number_id="phnum_1")
    assert chosen(world, customer, TO_CHICAGO) == (NEW_YORK, "local_country")
    assert chosen(world, customer, TO_CHICAGO, assistant_override={"engine": "agent", "agent_id": "a"}) == (
        "+13125550127",
        "local_area",
    )


def test_a_number_of_another_organization_is_404_and_is_not_said_to_be_somebodys(
    world: World, customer: Customer
) -> None:
    other = a_customer(world, "+13125550128")
    with unchanged(world):
        theirs = ask(world, customer, TO_CHICAGO, number_id="num_13125550128")
        nobodys = ask(world, customer, TO_CHICAGO, number_id="num_13125550129")
    HMS.assert_refused(theirs, 404, "caller_number_foreign")
    assert theirs.body == nobodys.body
    assert other.organization_id not in theirs.body


def test_klen_calls_from_the_agents_own_number_and_says_so(world: World, customer: Customer) -> None:
    reply = KLEN.send(world, KLEN.body(TO_BOSTON), key=customer.key)
    assert reply.headers["x-caller-number-reason"] == "assistant"
    assert stored_call(world, customer.organization_id, reply.json["call_id"]).caller_number == PARIS


def test_s2_07_dry_run_shows_every_candidate_and_the_rule_that_won(world: World, customer: Customer) -> None:
    an_assistant(world, customer.organization_id, 2, name="Base")
    flow = ConversationFlow(5, customer.organization_id, "Survey", 2, "relay", "wss://flows.example.test/5")
    world.stack.provision.put_flow(flow)
    put(world, customer, BOSTON, flow_id=5, assistant_id=2)
    of_number = [{"rule": "flow", "id": 5}, {"rule": "number", "id": 2}]

    def resolution(body: dict[str, Any], post: str = "/calls/outbound") -> dict[str, Any]:
        with unchanged(world):
            reply = world.post(post, {**body, "dry_run": True}, key=customer.key)
        assert reply.status == 200, reply.body
        assert reply.json["allowed"] is True, reply.body
        found: dict[str, Any] = reply.json["resolution"]
        return found

    named = {"destination": TO_BOSTON, "number_id": BOSTON}
    by_id = resolution({**named, "assistant_id": "ada"})
    assert by_id == {
        "rule": "override",
        "candidates": [
            {"rule": "override", "id": "ada", "verdict": "chosen"},
            *({**each, "verdict": "outranked"} for each in of_number),
        ],
    }
    brought_along = resolution({**named, "assistant": {"first_message": "Hello."}})
    assert brought_along["rule"] == "transient"
    assert [each["verdict"] for each in brought_along["candidates"]] == ["chosen", "outranked", "outranked"]
    by_flow = resolution({"from_phone_number": BOSTON, "to_phone_number": TO_BOSTON}, "/calls/initiate")
    assert by_flow == {
        "rule": "flow",
        "candidates": [{**of_number[0], "verdict": "chosen"}, {**of_number[1], "verdict": "outranked"}],
    }
    world.stack.provision.accounts.put(
        ConversationFlow(5, customer.organization_id, "Survey", 2, "relay", "wss://flows.example.test/5", False)
    )
    passed_over = resolution({"from_phone_number": BOSTON, "to_phone_number": TO_BOSTON}, "/calls/initiate")
    assert [each["verdict"] for each in passed_over["candidates"]] == ["inactive", "chosen"]


def test_dry_run_shows_the_number_and_its_reason_and_counts_nothing(world: World, customer: Customer) -> None:
    with unchanged(world):
        for _ in range(2):
            document = ask(world, customer, TO_NEW_YORK, dry_run=True).json
            assert (document["from"], document["caller_number_reason"]) == (NEW_YORK, "local_area")
    assert chosen(world, customer, TO_NEW_YORK) == (NEW_YORK, "local_area")


def test_a_refused_request_counts_no_use(world: World, customer: Customer) -> None:
    world.manage("PUT /dnc/{number}", f"/dnc/{TO_NEW_YORK}", key=customer.key)
    with unchanged(world):
        HMS.assert_refused(ask(world, customer, TO_NEW_YORK), 403, "do_not_call")
    assert chosen(world, customer, "+12125550201") == (NEW_YORK, "local_area")
