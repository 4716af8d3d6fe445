"""What is asked of every carrier, by its real adapter over scripted HTTP: the dial, its books, commands to calls."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import Any
from unittest.mock import patch
from urllib.parse import parse_qs, unquote

import pytest

from dialplane.carriers.registry import open_carrier
from dialplane.domain.calls import Call
from dialplane.domain.statuses import CallStatus, DialOutcome
from dialplane.runtime import dialing
from functions.manage import app as manage_app
from functions.status import reconciler
from tests.fakes.carrier_callbacks import ANSWERED, CARRIERS, TALKED_SECONDS, Leg, new_carrier_call_id, reports
from tests.fakes.elevenlabs import a_conversation
from tests.fakes.moto_dynamodb import empty_table
from tests.fakes.scripted_http import Received, ScriptedServer, scripted_server
from tests.fakes.scripted_http import Reply as Answer
from tests.fakes.world import Reply, World
from tests.functional.carried_calls import DESTINATION, PER_ACCOUNT, Customer, a_world_of_carriers
from tests.functional.expectations import assert_problem

pytestmark = pytest.mark.usefixtures("forgotten_calls")

LOST = Answer(status=0)
BROKEN = Answer(503, {"message": "not now"})
HELD, FREE = "0.150000", "0.000000"
COLLEAGUE = "+15550150777"
# The carriers whose requests differ: a SIP host is another route of Twilio's or Telnyx's.
FAMILIES = ("twilio", "telnyx", "telnyx-texml", "vonage", "elevenlabs")
OVER_TWILIO, OVER_TELNYX = ("twilio", "sip-twilio"), ("telnyx", "sip-telnyx")


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """A customer of every carrier whose dials, checks and commands go over the carriers' real adapters."""
    with (
        a_world_of_carriers() as made,
        patch.object(dialing, "open_carrier", open_carrier),
        patch.object(reconciler, "open_carrier", open_carrier),
        patch.object(manage_app, "open_carrier", open_carrier),
    ):
        yield made


@pytest.fixture
def server(world: World) -> Iterator[ScriptedServer]:
    """Every carrier's API: what it answers, and what it was asked."""
    with scripted_server() as made:
        for carrier in CARRIERS:
            has_its_api_at(world, carrier, made.url)
        yield made


@pytest.fixture(autouse=True)
def _own_money(world: World) -> Iterator[None]:
    """Each test has a wallet that nobody else's open calls hold anything of."""
    yield
    empty_table(world.tables.wallets)
    empty_table(world.tables.destinations)
    world.stack.wallets.deposit(world.demo.organization_id, micros=50_000_000, currency="USD", note=None)


def has_its_api_at(world: World, carrier: str, url: str) -> None:
    customer = Customer(world, carrier)
    addresses = {"api_base_url": url, **({"twilio_api_base_url": url} if carrier == "elevenlabs" else {})}
    world.stack.provision.secrets.put(world.demo.organization_id, customer.account_id, {**customer.secret, **addresses})


# ---- what carriers answer -------------------------------------------------------------------------------------------


def placed(carrier: str) -> Answer:
    """The carrier took the call."""
    name = new_carrier_call_id(carrier, 1)
    match carrier:
        case "telnyx" | "sip-telnyx":
            return Answer(200, {"data": {"record_type": "call", "call_control_id": name, "is_alive": False}})
        case "telnyx-texml":
            return Answer(200, {"sid": name, "status": "queued"})
        case "vonage":
            return Answer(201, {"uuid": name, "status": "started", "direction": "outbound"})
        case "elevenlabs":
            return Answer(200, {"success": True, "message": "ok", "conversation_id": name, "callSid": "CA" + "8" * 32})
        case _:
            return Answer(201, {"sid": name, "account_sid": "AC" + "a" * 32, "status": "queued"})


def refused(carrier: str, why: str) -> Answer:
    """The carrier did not take the call: a number it cannot call, a key it does not know, too many requests."""
    status = {"number": 422, "key": 401, "rate": 429}[why]
    match carrier:
        case "telnyx" | "sip-telnyx" | "telnyx-texml":
            error = {
                "number": {"code": "10016", "title": "Not E.164", "source": {"pointer": "/To"}},
                "key": {"code": "10009", "title": "Authentication failed"},
                "rate": {"code": "10011", "title": "Too many requests"},
            }[why]
            return Answer(status, {"errors": [error]})
        case "vonage":
            parameters = {"invalid_parameters": [{"name": "to[0].number", "reason": "no"}]} if why == "number" else {}
            return Answer(status, {"type": "https://x.test/#unauthorized", "title": "No", "detail": "No", **parameters})
        case "elevenlabs":
            field = [{"loc": ["body", "to_number"], "msg": "no number"}]
            return Answer(status, {"detail": field if why == "number" else "no"})
        case _:
            code = {"number": 21211, "key": 20003, "rate": 20429}[why]
            return Answer(400 if why == "number" else status, {"code": code, "message": "No", "status": status})


def in_the_books(leg: Leg, status: str = "completed") -> dict[str, Any]:
    """The carrier's own record of a call, over after 61 seconds unless it goes on."""
    ended = status == "completed"
    began, ended_at = leg.at(10), leg.at(10 + TALKED_SECONDS)
    match leg.carrier:
        case "telnyx" | "sip-telnyx":
            times = {"start_time": began.isoformat(), "call_duration": TALKED_SECONDS}
            ours = {"client_state": base64.b64encode(leg.call_id.encode()).decode()}
            end = {"end_time": ended_at.isoformat()} if ended else {}
            return {
                "data": {
                    "call_control_id": leg.carrier_call_id,
                    "is_alive": not ended,
                    **(times if ended else {}),
                    **ours,
                    **end,
                }
            }
        case "vonage":
            times = {"start_time": _vonage_time(began), "end_time": _vonage_time(ended_at)}
            facts = {**times, "duration": str(TALKED_SECONDS), "price": "0.01450000", "rate": "0.01400000"}
            return {
                "uuid": leg.carrier_call_id,
                "status": status if ended else "answered",
                "direction": "outbound",
                "to": {"type": "phone", "number": leg.destination.removeprefix("+")},
                "from": {"type": "phone", "number": leg.caller_number.removeprefix("+")},
                **(facts if ended else {}),
            }
        case "elevenlabs":
            conversation = a_conversation(
                "done" if ended else "in-progress",
                start_time_unix_secs=int(began.timestamp()),
                call_duration_secs=TALKED_SECONDS if ended else 0,
            )
            conversation["metadata"]["phone_call"]["call_sid"] = leg.call_sid
            given = {"dynamic_variables": {"call_id": leg.call_id, "system__call_sid": leg.call_sid}}
            ours = {"user_id": leg.call_id, "conversation_initiation_client_data": given}
            return {**conversation, "conversation_id": leg.carrier_call_id, **ours}
        case _:
            as_text = (lambda at: at.isoformat()) if leg.carrier == "telnyx-texml" else format_datetime
            facts = {"duration": str(TALKED_SECONDS), "end_time": as_text(ended_at), "price": "-0.0140"}
            return {
                "sid": leg.carrier_call_id,
                "account_sid": leg.secret["account_sid"],
                "status": status if ended else "in-progress",
                "date_created": as_text(leg.began_at),
                "price_unit": "USD",
                **(facts if ended else {}),
            }


def _vonage_time(at: datetime) -> str:
    return at.strftime("%Y-%m-%d %H:%M:%S")


def lists(leg: Leg, record: dict[str, Any] | None) -> list[Answer]:
    """What the carrier answers when it is asked for its calls between two numbers: this one, or none."""
    found = [record] if record is not None else []
    match leg.carrier:
        case "telnyx" | "sip-telnyx":
            event = {
                "call_leg_id": "leg_1",
                "event_timestamp": leg.began_at.isoformat(),
                "name": "call.initiated",
                "metadata": {"payload": {"call_control_id": leg.carrier_call_id}},
            }
            page = {"data": [event] if found else [], "meta": {"total_pages": 1}}
            return [Answer(200, page), *(Answer(200, each) for each in found)]
        case "vonage":
            pages = [[], [], [], [], found]
            return [Answer(200, {"count": str(len(page)), "_embedded": {"calls": page}}) for page in pages]
        case "elevenlabs":
            summaries = [
                {
                    "conversation_id": each["conversation_id"],
                    "status": each["status"],
                    "direction": "outbound",
                    **{name: each["metadata"][name] for name in ("start_time_unix_secs", "call_duration_secs")},
                }
                for each in found
            ]
            return [Answer(200, {"conversations": summaries, "has_more": False})]
        case _:
            return [Answer(200, {"calls": found, "next_page_uri": None})]


def proof(leg: Leg, record: dict[str, Any]) -> list[Answer]:
    """What the carrier answers when it is asked whose a call is."""
    match leg.carrier:
        case "twilio" | "sip-twilio":
            url = f"https://calls.example.test/twiml/{leg.carrier}/org/acct/{leg.call_id}"
            return [Answer(200, {"events": [{"request": {"url": url}}], "next_page_uri": None})]
        case "telnyx" | "sip-telnyx" | "elevenlabs":
            return [Answer(200, record)]
        case _:
            return []


# ---- the dial -------------------------------------------------------------------------------------------------------


def held(world: World) -> str:
    return str(world.wallet()["held"]["amount"])


def call_of(world: World, reply: Reply) -> Call:
    """The call that an answer is about, be it a success or a problem."""
    call_id = reply.json.get("call_id") or reply.headers["location"].rsplit("/", 1)[1]
    return world.call(call_id)


@pytest.mark.parametrize("carrier", CARRIERS)
def test_a_call_that_the_carrier_takes_is_200_and_bound(world: World, server: ScriptedServer, carrier: str) -> None:
    server.script = [placed(carrier)]
    reply = Customer(world, carrier).initiates()
    assert reply.status == 200, reply.body
    call = call_of(world, reply)
    assert (call.carrier, call.carrier_call_id) == (carrier, new_carrier_call_id(carrier, 1))
    assert (call.status, held(world), len(server.received)) == (CallStatus.QUEUED, HELD, 1)


REFUSALS = {
    "number": (400, "destination_refused"),
    "key": (502, "carrier_rejected"),
    "rate": (503, "carrier_unavailable"),
}


@pytest.mark.parametrize("why", REFUSALS)
@pytest.mark.parametrize("carrier", FAMILIES)
def test_a_refusal_is_told_by_its_kind_and_gives_back_the_hold(
    world: World, server: ScriptedServer, carrier: str, why: str
) -> None:
    answer = refused(carrier, why)
    answer.headers["Retry-After"] = "60"  # longer than a dial may take
    server.script = [answer]
    document = assert_problem(Customer(world, carrier).initiates(), *REFUSALS[why])
    assert (document["carrier"], len(server.received), held(world)) == (carrier, 1, FREE)
    call = world.call(document["call_id"])
    assert (call.status, call.dial_outcome, call.charge_micros) == (CallStatus.FAILED, DialOutcome.REJECTED, 0)
    assert world.differences() == []


@pytest.mark.parametrize("carrier", FAMILIES)
def test_too_many_requests_are_backed_off_as_the_carrier_asks_within_the_dial_window(
    world: World, server: ScriptedServer, carrier: str
) -> None:
    busy = refused(carrier, "rate")
    busy.headers["Retry-After"] = "2"
    server.script = [busy, placed(carrier)]
    before = world.clock.now()
    reply = Customer(world, carrier).initiates()
    assert reply.status == 200, reply.body
    assert world.clock.now() - before == timedelta(seconds=2)
    first, second = server.received
    assert (first.path, first.body) == (second.path, second.body)
    assert call_of(world, reply).carrier_call_id == new_carrier_call_id(carrier, 1)


@pytest.mark.parametrize("carrier", FAMILIES)
def test_a_carrier_that_cannot_be_reached_was_not_asked_and_the_hold_is_given_back(world: World, carrier: str) -> None:
    with scripted_server() as gone:
        url = gone.url
    has_its_api_at(world, carrier, url)
    document = assert_problem(Customer(world, carrier).initiates(), 503, "carrier_unavailable")
    assert held(world) == FREE
    assert world.call(document["call_id"]).dial_error == "unreachable:NewConnectionError"


@pytest.mark.parametrize("failure", [LOST, BROKEN, Answer(200)])
@pytest.mark.parametrize("carrier", FAMILIES)
def test_an_answer_that_is_lost_or_says_nothing_keeps_the_hold_and_is_never_asked_for_again_but_by_telnyxs_command_id(
    world: World, server: ScriptedServer, carrier: str, failure: Answer
) -> None:
    dials = 2 if carrier in OVER_TELNYX else 1
    server.script = [failure] * dials
    key = {"idempotency-key": f"{carrier}-{failure.status}"}
    reply = Customer(world, carrier).initiates(headers=key)
    assert (reply.status, reply.json["status"]) == (202, "unknown"), reply.body
    call = call_of(world, reply)
    assert (call.status, call.carrier_call_id, held(world)) == (CallStatus.UNCONFIRMED, None, HELD)
    assert len(server.received) == dials
    assert {request.body for request in server.received} == {server.received[0].body}
    if carrier in OVER_TELNYX:
        assert server.received[0].json["command_id"] == call.id
    again = Customer(world, carrier).initiates(headers=key)
    assert again.status == 202
    assert (len(server.received), held(world)) == (dials, HELD)


@pytest.mark.parametrize("carrier", OVER_TELNYX)
def test_telnyxs_repeated_dial_may_bring_the_answer_that_was_lost(
    world: World, server: ScriptedServer, carrier: str
) -> None:
    server.script = [LOST, placed(carrier)]
    reply = Customer(world, carrier).initiates()
    assert reply.status == 200
    assert call_of(world, reply).carrier_call_id == new_carrier_call_id(carrier, 1)
    server.script = [LOST, refused(carrier, "number")]  # of the second request: the first may ring
    assert Customer(world, carrier).initiates().status == 202


def test_elevenlabs_success_false_is_a_refusal_with_its_words(world: World, server: ScriptedServer) -> None:
    server.script = [Answer(200, {"success": False, "message": "No credit.", "conversation_id": None, "callSid": None})]
    document = assert_problem(Customer(world, "elevenlabs").initiates(), 502, "carrier_rejected")
    assert (document["carrier_code"], held(world)) == ("200", FREE)


# ---- the books ------------------------------------------------------------------------------------------------------


def a_call(world: World, server: ScriptedServer, carrier: str, answer: Answer | None = None) -> tuple[Call, Leg]:
    """A call that was placed, or whose answer was lost, and the carrier's side of it."""
    server.script = [answer or placed(carrier)] * (2 if answer is LOST and carrier in OVER_TELNYX else 1)
    customer = Customer(world, carrier)
    reply = customer.initiates()
    assert reply.status == (202 if answer is LOST else 200), reply.body
    call = call_of(world, reply)
    server.received.clear()
    return call, customer.leg(call, new_carrier_call_id(carrier, 1))


def tick(world: World, *, after: timedelta = timedelta(minutes=10)) -> dict[str, int]:
    """Let time pass and run the reconciler once; what it did, without zeros."""
    world.clock.moment += after
    summary = world.reconcile()
    world.drain()
    names = ("reported", "not_found", "not_placed", "settled", "failed", "stuck")
    return {name: number for name in names if (number := getattr(summary, name))}


def shown(world: World, call: Call) -> tuple[str, str | None, str | None]:
    document = world.get_call(call.id).json
    return document["status"], document["ended_reason"], document["charge"] and document["charge"]["amount"]


OVER = ("completed", "hang_up", "0.060000")
NOT_PLACED = ("failed", "not_placed", "0.000000")


@pytest.mark.parametrize("carrier", CARRIERS)
def test_a_call_whose_reports_were_all_lost_is_settled_from_the_carriers_books(
    world: World, server: ScriptedServer, carrier: str
) -> None:
    call, leg = a_call(world, server, carrier)
    server.script = [Answer(200, in_the_books(leg))]
    assert tick(world) == {"reported": 1}
    assert shown(world, call) == OVER
    assert (held(world), world.differences(), server.script) == (FREE, [], [])
    cost = world.get_call(call.id).json["carrier_cost"]
    currencies = {"vonage": "EUR", "elevenlabs": "credits"}
    assert (cost["currency"] if cost else None) == (
        None if carrier in OVER_TELNYX else currencies.get(carrier, "USD")
    ), "Telnyx states costs in its reports only"


@pytest.mark.parametrize("carrier", [each for each in CARRIERS if each not in PER_ACCOUNT])
def test_only_the_report_of_the_end_was_lost(world: World, server: ScriptedServer, carrier: str) -> None:
    call, leg = a_call(world, server, carrier)
    world.clock.moment += timedelta(seconds=90)
    ends = 2 if carrier in OVER_TELNYX else 1
    Customer(world, carrier).delivers(leg, reports(leg, ANSWERED)[:-ends])
    assert world.call(call.id).status is CallStatus.IN_PROGRESS
    server.script = [Answer(200, in_the_books(leg))]
    assert tick(world) == {"reported": 1}
    assert shown(world, call) == OVER
    assert world.call(call.id).answered_at == leg.at(10)


@pytest.mark.parametrize("carrier", FAMILIES)
def test_a_call_that_goes_on_is_left_alone_and_one_that_the_carrier_forgot_keeps_its_hold(
    world: World, server: ScriptedServer, carrier: str
) -> None:
    call, leg = a_call(world, server, carrier)
    server.script = [Answer(200, in_the_books(leg, "in-progress"))]
    assert tick(world) == {"reported": 1}
    assert not world.call(call.id).status.is_terminal
    server.script = [Answer(404)] * 3
    assert tick(world) == {}
    assert tick(world, after=timedelta(hours=2)) == {"stuck": 1}
    assert (held(world), world.call(call.id).is_open) == (HELD, True)


@pytest.mark.parametrize("carrier", CARRIERS)
def test_a_call_whose_answer_was_lost_is_found_in_the_carriers_books(
    world: World, server: ScriptedServer, carrier: str
) -> None:
    call, leg = a_call(world, server, carrier, LOST)
    record = in_the_books(leg)
    has_proof = bool(proof(leg, record))
    server.script = [*lists(leg, record), *proof(leg, record)]
    if not has_proof:  # the only call between the two numbers, and nothing says whose: not before its record is overdue
        assert tick(world) == {}
        assert world.call(call.id).status is CallStatus.UNCONFIRMED
        server.script = lists(leg, record)
    assert tick(world) == {"reported": 1}
    bound = world.call(call.id)
    assert (bound.carrier_call_id, bound.dial_outcome) == (leg.carrier_call_id, DialOutcome.PLACED)
    if shown(world, call) != OVER:  # ElevenLabs' lists say too little to settle by
        server.script = [Answer(200, record)]
        tick(world)
    assert shown(world, call) == OVER
    assert world.differences() == []


@pytest.mark.parametrize("carrier", [*OVER_TWILIO, *OVER_TELNYX, "elevenlabs"])
def test_somebody_elses_call_is_not_taken_and_does_not_keep_the_hold(
    world: World, server: ScriptedServer, carrier: str
) -> None:
    """With the carriers whose books tell whose a call is; TeXML's and Vonage's do not."""
    call, leg = a_call(world, server, carrier, LOST)
    record = in_the_books(leg)
    ours = base64.b64encode(call.id.encode()).decode()
    shows = json.dumps([each.fields for each in proof(leg, record)]).replace(call.id, "x" * 8).replace(ours, "eA==")
    their_proof = [Answer(200, each) for each in json.loads(shows)]
    for expected in ({"not_found": 1}, {"not_placed": 1}):
        server.script = [*lists(leg, record), *their_proof]
        assert tick(world) == expected
    assert shown(world, call) == NOT_PLACED


@pytest.mark.parametrize("carrier", CARRIERS)
def test_a_call_that_was_never_placed_is_released_after_two_lists_without_it(
    world: World, server: ScriptedServer, carrier: str
) -> None:
    call, leg = a_call(world, server, carrier, LOST)
    server.script = [BROKEN]
    assert tick(world, after=timedelta(minutes=4)) == {"failed": 1}
    server.script = lists(leg, None)
    assert tick(world, after=timedelta(minutes=4)) == {"not_found": 1}
    assert (held(world), server.script) == (HELD, [])
    server.script = lists(leg, None)
    assert tick(world, after=timedelta(minutes=8)) == {"not_placed": 1}
    assert (shown(world, call), held(world)) == (NOT_PLACED, FREE)
    assert world.differences() == []


@pytest.mark.parametrize("carrier", FAMILIES)
def test_a_list_that_cannot_be_had_releases_nothing_however_often(
    world: World, server: ScriptedServer, carrier: str
) -> None:
    call, _ = a_call(world, server, carrier, LOST)
    for answer in (BROKEN, Answer(200, {}), Answer(404), LOST):
        server.script = [answer]
        assert tick(world, after=timedelta(hours=1)) | {"stuck": 1} == {"failed": 1, "stuck": 1}
    assert (held(world), world.call(call.id).status) == (HELD, CallStatus.UNCONFIRMED)


@pytest.mark.parametrize("carrier", OVER_TELNYX)
def test_telnyxs_list_of_one_day_proves_nothing_about_a_call_of_the_day_before(
    world: World, server: ScriptedServer, carrier: str
) -> None:
    call, leg = a_call(world, server, carrier, LOST)
    for _ in range(3):
        server.script = lists(leg, None)
        assert tick(world, after=timedelta(hours=24)) == {"not_found": 1, "stuck": 1}
    assert (held(world), world.call(call.id).status) == (HELD, CallStatus.UNCONFIRMED)


def test_an_elevenlabs_call_is_looked_for_from_before_it_rang(world: World, server: ScriptedServer) -> None:
    """A conversation may start when the callee answers, which can be half a minute after the dial."""
    call, leg = a_call(world, server, "elevenlabs", LOST)
    record = in_the_books(leg)
    record["metadata"]["start_time_unix_secs"] = int(leg.at(30).timestamp())
    server.script = [*lists(leg, record), Answer(200, record)]
    assert tick(world) == {"reported": 1}
    assert world.call(call.id).carrier_call_id == leg.carrier_call_id


def test_a_conversation_that_shows_nothing_of_ours_any_more_keeps_the_hold(
    world: World, server: ScriptedServer
) -> None:
    call, leg = a_call(world, server, "elevenlabs", LOST)
    record = in_the_books(leg)
    redacted = {**record, "user_id": None, "conversation_initiation_client_data": {"dynamic_variables": {}}}
    for minutes in (4, 4, 8, 60):
        server.script = [*lists(leg, record), Answer(200, redacted)]
        found = tick(world, after=timedelta(minutes=minutes))
        assert found == {"failed": 1, **({"stuck": 1} if minutes == 60 else {})}
    assert (held(world), world.call(call.id).status) == (HELD, CallStatus.UNCONFIRMED)


# ---- commands -------------------------------------------------------------------------------------------------------


def a_conversation_under_way(world: World, server: ScriptedServer, carrier: str) -> tuple[Call, Leg]:
    """A call in progress."""
    call, leg = a_call(world, server, carrier)
    world.clock.moment += timedelta(seconds=61)
    if carrier in PER_ACCOUNT:  # which tells of no answer: its books do
        server.script = [Answer(200, in_the_books(leg, "in-progress"))]
        tick(world)
    else:
        ends = 2 if carrier in OVER_TELNYX else 1
        Customer(world, carrier).delivers(leg, reports(leg, ANSWERED)[:-ends])
    assert world.call(call.id).status is CallStatus.IN_PROGRESS
    server.received.clear()
    return call, leg


def control(world: World, call: Call, command: dict[str, Any]) -> Reply:
    return world.manage("POST /calls/{call_id}/control", f"/calls/{call.id}/control", body=command)


def said(request: Received) -> dict[str, Any]:
    """The body of a request, whichever way it is written."""
    if request.body.startswith(b"{"):
        return request.json
    return {name: values[0] for name, values in parse_qs(request.body.decode()).items()}


ENDED = {
    "telnyx": Answer(422, {"errors": [{"code": "90018", "title": "Call has already ended"}]}),
    "telnyx-texml": Answer(404, {"errors": [{"code": "10005", "title": "Resource not found"}]}),
    "vonage": Answer(404),
    "twilio": Answer(400, {"code": 21220, "message": "Call is not in-progress."}),
}
ENDED |= {"sip-telnyx": ENDED["telnyx"], "sip-twilio": ENDED["twilio"], "elevenlabs": ENDED["twilio"]}


@pytest.mark.parametrize("is_over", [False, True])
@pytest.mark.parametrize("carrier", CARRIERS)
def test_end_call_sends_what_the_carrier_needs_and_is_a_success_also_when_the_call_has_just_ended(
    world: World, server: ScriptedServer, carrier: str, is_over: bool
) -> None:
    call, leg = a_conversation_under_way(world, server, carrier)
    looked_up = [Answer(200, in_the_books(leg, "in-progress"))] if carrier == "elevenlabs" else []
    server.script = [*looked_up, ENDED[carrier] if is_over else Answer(200, {"data": {}})]
    reply = control(world, call, {"type": "end-call"})
    assert reply.status == 200, reply.body
    request = server.received[-1]
    path = unquote(request.path)
    match carrier:
        case "telnyx" | "sip-telnyx":
            assert path == f"/v2/calls/{leg.carrier_call_id}/actions/hangup"
        case "telnyx-texml":
            assert path.endswith(f"/Calls/{leg.carrier_call_id}")
            assert said(request) == {"Status": "completed"}
        case "vonage":
            assert (request.method, path) == ("PUT", f"/v1/calls/{leg.carrier_call_id}")
            assert said(request) == {"action": "hangup"}
        case _:
            name = leg.call_sid if carrier == "elevenlabs" else leg.carrier_call_id
            assert path.endswith(f"/Calls/{name}.json")
            assert said(request) == {"Status": "completed"}
    assert not world.call(call.id).status.is_terminal, "its carrier tells when it is over"


@pytest.mark.parametrize("carrier", [each for each in CARRIERS if each != "elevenlabs"])
def test_transfer_connects_the_callee_over_the_calls_own_route(
    world: World, server: ScriptedServer, carrier: str
) -> None:
    call, leg = a_conversation_under_way(world, server, carrier)
    server.script = [Answer(200, {"data": {}})] * (2 if carrier in OVER_TELNYX else 1)
    reply = control(world, call, {"type": "transfer", "destination": COLLEAGUE, "message": "One moment."})
    assert reply.status == 200, reply.body
    assert server.script == []
    sent = said(server.received[-1])
    address = f"sip:{COLLEAGUE}@pbx.example.test" if carrier.startswith("sip-") else COLLEAGUE
    match carrier:
        case "telnyx" | "sip-telnyx":
            transfer, speech = server.received
            sent = said(transfer)
            assert unquote(transfer.path) == f"/v2/calls/{leg.carrier_call_id}/actions/transfer"
            assert (sent["to"], sent["from"]) == (address, call.caller_number)
            assert "One moment." in said(speech)["payload"]
        case "vonage":
            talk, connect = sent["destination"]["ncco"]
            assert (talk["text"], connect["endpoint"][0]["number"]) == ("One moment.", COLLEAGUE.removeprefix("+"))
        case _:
            document = sent["Texml" if carrier == "telnyx-texml" else "Twiml"]
            assert f">{address}<" in document
            assert "One moment." in document


@pytest.mark.parametrize("carrier", [each for each in CARRIERS if each != "elevenlabs"])
def test_a_transfer_of_a_call_that_has_just_ended_is_400(world: World, server: ScriptedServer, carrier: str) -> None:
    call, _ = a_conversation_under_way(world, server, carrier)
    server.script = [ENDED[carrier]]
    assert_problem(control(world, call, {"type": "transfer", "destination": COLLEAGUE}), 400, "call_not_in_progress")
    assert len(server.received) == 1


def test_elevenlabs_transfers_nothing_and_says_so_without_asking(world: World, server: ScriptedServer) -> None:
    call, _ = a_conversation_under_way(world, server, "elevenlabs")
    reply = control(world, call, {"type": "transfer", "destination": COLLEAGUE})
    assert_problem(reply, 409, "control_unsupported")
    assert server.received == []


@pytest.mark.parametrize("carrier", FAMILIES)
def test_a_command_that_the_carrier_did_not_take_is_told_and_changes_nothing(
    world: World, server: ScriptedServer, carrier: str
) -> None:
    call, _ = a_conversation_under_way(world, server, carrier)
    before = world.call(call.id)
    server.script = [BROKEN]
    assert control(world, call, {"type": "end-call"}).status in (502, 503)
    assert world.call(call.id) == before
    assert call.destination == DESTINATION
