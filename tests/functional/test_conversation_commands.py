"""Commands to a call whose conversation we hold: taken once, carried out there, told in the timeline."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import pytest

from dialplane.aws.client import AwsError
from dialplane.domain.errors import CarrierUnavailable
from dialplane.domain.statuses import CallStatus
from dialplane.dynamodb.commands import CommandStore
from dialplane.runtime.conversation_tasks import ConversationTasks
from dialplane.usecases.control_call import ControlCallUseCase
from tests.fakes.moto_dynamodb import empty_table
from tests.fakes.phones import Exchange, Phone, an_exchange
from tests.fakes.world import Reply, World
from tests.functional.expectations import assert_problem, unchanged

SENT = {"success": True, "message": "Command sent successfully"}
COLLEAGUE = "+15550150777"
SAY = {"type": "say", "content": "Your table is ready."}
CONTEXT = {"type": "inject-context", "content": "The code is 1234."}
END = {"type": "end-call"}
TRANSFER = {"type": "transfer", "destination": COLLEAGUE}


@pytest.fixture
def exchange(world: World) -> Iterator[Exchange]:
    with an_exchange(world) as made:
        world.carrier.commands.clear()
        world.clock.sleep(61)  # a new minute for each test
        yield made
        made.take_queued()  # what nobody has done is not another test's
    empty_table(world.tables.calls)


@pytest.fixture
def phone(exchange: Exchange) -> Phone:
    """A call in progress whose callee is being talked with."""
    answered: Phone = exchange.phone().answer()
    return answered


def control(phone: Phone, body: Any, *, idempotency_key: str | None = None, **how: Any) -> Reply:
    headers = {"idempotency-key": idempotency_key} if idempotency_key is not None else {}
    path = f"/calls/{phone.call_id}/control"
    return phone.exchange.world.manage("POST /calls/{call_id}/control", path, body=body, headers=headers, **how)


def told(phone: Phone) -> list[tuple[str, str]]:
    """The commands in the timeline: each with its result."""
    reply = phone.exchange.world.manage("GET /calls/{call_id}/events", f"/calls/{phone.call_id}/events")
    return [(event["command"], event["result"]) for event in reply.json["events"] if "command" in event]


def queued(phone: Phone) -> list[dict[str, Any]]:
    """The commands that wait on the queue."""
    phone.exchange.take_queued()
    return [task for _, task in phone.exchange.waiting if task["kind"] == "command"]


def hang_up(phone: Phone) -> None:
    """The callee hangs up, and the carrier has reported it."""
    phone.hang_up()
    world = phone.exchange.world
    world.live_through(phone.call, "completed", Timestamp=f"{world.clock.now():%a, %d %b %Y %H:%M:%S} +0000")


# ---- what is done ---------------------------------------------------------------------------------------------------


def test_s3_18_say_speaks_to_the_callee_and_the_transcript_has_it(phone: Phone) -> None:
    reply = control(phone, SAY)
    assert (reply.status, reply.json) == (200, SENT)
    assert told(phone) == [("say", "accepted")]
    phone.exchange.pass_time(1)
    assert phone.heard.endswith("Your table is ready.")
    assert phone.lines[-1].text == "Your table is ready."
    assert phone.lines[-1].source == "command"
    assert told(phone) == [("say", "applied")]
    assert not phone.is_ended


def test_s3_18_say_with_end_after_ends_the_call_when_it_was_said(phone: Phone) -> None:
    assert control(phone, {**SAY, "end_after": True}).status == 200
    phone.exchange.pass_time(60)
    assert phone.heard.endswith("Your table is ready.")
    assert phone.is_ended
    assert phone.conversation.end_reason == "command"


def test_s3_17_context_is_known_to_the_model_and_said_to_nobody(phone: Phone) -> None:
    before = phone.heard
    assert control(phone, CONTEXT).json == SENT
    phone.exchange.pass_time(1)
    assert phone.heard == before
    assert [entry.text for entry in phone.conversation.entries if entry.kind == "context"] == ["The code is 1234."]
    assert told(phone) == [("inject-context", "applied")]


def test_s3_17_context_that_is_to_be_answered_is_answered_at_once(phone: Phone) -> None:
    before = phone.heard
    assert control(phone, {**CONTEXT, "trigger_response": True}).status == 200
    phone.exchange.pass_time(1)
    assert len(phone.heard) > len(before)


def test_s3_19_end_call_says_its_message_first(phone: Phone) -> None:
    reply = control(phone, {**END, "message": "We have to stop here."})
    assert reply.json == SENT
    assert "x-command-reliability" not in reply.headers
    phone.exchange.pass_time(60)
    assert phone.heard.endswith("We have to stop here.")
    assert phone.is_ended


def test_s3_20_transfer_says_its_message_first_and_connects(phone: Phone) -> None:
    reply = control(phone, {**TRANSFER, "message": "One moment, please."})
    assert reply.json == SENT
    assert "x-command-reliability" not in reply.headers
    phone.exchange.pass_time(60)
    assert phone.heard.endswith("One moment, please.")
    (command,) = phone.exchange.world.carrier.commands
    assert (command["transfer"], command["to"]) == (phone.carrier_call_id, COLLEAGUE)


def test_what_is_queued_is_all_that_the_conversation_needs(phone: Phone) -> None:
    for body in ({**SAY, "end_after": True, "command_id": "a"}, {**TRANSFER, "message": "Wait.", "command_id": "b"}):
        assert control(phone, body).status == 200
    say, transfer = queued(phone)
    ids = {"kind": "command", "organization_id": phone.call.organization_id, "call_id": phone.call_id}
    assert say == {
        **ids,
        "command_id": "a",
        "recorded_at": say["recorded_at"],
        "type": "say",
        "content": "Your table is ready.",
        "end_after": True,
        "trigger_response": False,
        "destination": None,
    }
    assert (transfer["content"], transfer["destination"]) == ("Wait.", COLLEAGUE)


# ---- once -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [SAY, CONTEXT, {**END, "message": "Bye."}, {**TRANSFER, "message": "Wait."}])
def test_a_command_that_comes_twice_with_its_id_is_answered_twice_and_given_once(
    phone: Phone, body: dict[str, Any]
) -> None:
    first = control(phone, {**body, "command_id": "one"})
    with unchanged(phone.exchange.world):
        again = control(phone, body, idempotency_key="one")
    assert (first.status, first.body) == (again.status, again.body)
    assert first.headers["x-command-id"] == again.headers["x-command-id"] == "one"
    assert (first.headers.get("idempotent-replayed"), again.headers["idempotent-replayed"]) == (None, "true")
    assert len(queued(phone)) == 1
    phone.exchange.pass_time(60)
    assert [result for _, result in told(phone)] == ["applied"]


def test_it_is_answered_again_when_it_was_carried_out_and_when_the_call_is_over(phone: Phone) -> None:
    body = {**END, "message": "Bye.", "command_id": "one"}
    first = control(phone, body)
    phone.exchange.pass_time(60)
    assert phone.is_ended
    hang_up(phone)
    assert phone.call.status is CallStatus.COMPLETED
    with unchanged(phone.exchange.world):
        again = control(phone, body)
    assert (again.status, again.body) == (200, first.body)
    assert_problem(control(phone, {**body, "command_id": "two"}), 400, "call_not_in_progress")


def test_an_id_belongs_to_one_command_and_to_one_call(exchange: Exchange) -> None:
    phone, other = exchange.phone().answer(), exchange.phone().answer()
    assert control(phone, {**SAY, "command_id": "one"}).status == 200
    with unchanged(exchange.world):
        for body in ({**SAY, "content": "Another."}, {**SAY, "end_after": True}, CONTEXT):
            problem = assert_problem(control(phone, {**body, "command_id": "one"}), 422, "idempotency_key_reused")
            assert "command_id" in problem["detail"]
    assert control(other, {**CONTEXT, "command_id": "one"}).status == 200
    assert (len(queued(phone)), told(phone), told(other)) == (
        2,
        [("say", "accepted")],
        [("inject-context", "accepted")],
    )


def test_two_that_come_at_the_same_moment_with_one_id_are_one(phone: Phone) -> None:
    """Each has looked before the other wrote."""
    body = {**SAY, "command_id": "one"}
    with patch.object(CommandStore, "find", lambda *args, **kwargs: (None, 0)):
        replies = [control(phone, body) for _ in range(2)]
        assert_problem(control(phone, {**CONTEXT, "command_id": "one"}), 422, "idempotency_key_reused")
    assert [reply.json for reply in replies] == [SENT, SENT]
    assert [reply.headers.get("idempotent-replayed") for reply in replies] == [None, "true"]
    assert len(queued(phone)) == 1


def test_commands_without_an_id_are_each_a_command(phone: Phone) -> None:
    ids = {control(phone, SAY).headers["x-command-id"] for _ in range(2)}
    assert len(ids) == len(queued(phone)) == 2


def test_a_command_that_could_not_be_queued_is_not_told_to_have_been_sent(phone: Phone) -> None:
    def away(*args: Any, **kwargs: Any) -> None:
        raise AwsError(service="sqs", operation="SendMessage", code="ReplyLost")

    body = {**SAY, "command_id": "one"}
    with patch.object(ConversationTasks, "put", away):
        assert_problem(control(phone, body), 500, "internal_error")
    with unchanged(phone.exchange.world):
        assert_problem(control(phone, body), 500, "internal_error")
    assert (queued(phone), told(phone)) == ([], [("say", "internal_error")])


def test_a_task_that_is_delivered_twice_speaks_once(phone: Phone) -> None:
    control(phone, SAY)
    (task,) = queued(phone)
    for _ in range(2):
        phone.exchange.run_task(task)
    assert phone.heard.count("Your table is ready.") == 1
    assert told(phone) == [("say", "applied")]


def test_commands_that_overtake_one_another_are_each_carried_out(phone: Phone) -> None:
    control(phone, {**SAY, "content": "First."})
    control(phone, {**SAY, "content": "Second."})
    for task in reversed(queued(phone)):
        phone.exchange.run_task(task)
    assert phone.heard.endswith("Second.First.")
    assert told(phone) == [("say", "applied"), ("say", "applied")]


# ---- too late, and where nobody listens -----------------------------------------------------------------------------


@pytest.mark.parametrize("body", [SAY, CONTEXT, END, TRANSFER], ids=lambda body: body["type"])
def test_a_command_that_races_the_hang_up_is_told_to_have_come_too_late(phone: Phone, body: dict[str, Any]) -> None:
    assert control(phone, body).status == 200
    heard = phone.heard
    hang_up(phone)
    phone.exchange.pass_time(60)
    assert phone.heard == heard
    assert [result for _, result in told(phone)] == ["call_not_in_progress"]
    assert {"transfer", "to"} & {name for command in phone.exchange.world.carrier.commands for name in command} == set()
    with unchanged(phone.exchange.world):
        assert_problem(control(phone, body), 400, "call_not_in_progress")


def test_a_hang_up_between_the_look_at_the_call_and_the_command_changes_nothing_else(phone: Phone) -> None:
    """The out-of-order twin: the call was in progress when it was read, and is over when the command is written."""
    begin = CommandStore.begin

    def late(*args: Any, **kwargs: Any) -> Any:
        hang_up(phone)
        return begin(*args, **kwargs)

    with patch.object(CommandStore, "begin", late):
        assert control(phone, SAY).status == 200
    phone.exchange.pass_time(60)
    assert told(phone) == [("say", "call_not_in_progress")]
    assert phone.call.status is CallStatus.COMPLETED


def test_before_the_socket_is_open_only_the_carrier_can_be_told(exchange: Exchange) -> None:
    phone = exchange.phone()
    assert phone.fetch_address() is not None  # answered, and nobody has opened the address
    with unchanged(exchange.world):
        assert_problem(control(phone, SAY), 409, "command_not_available")
    reply = control(phone, {**END, "message": "Bye."})
    assert (reply.headers["x-command-result"], reply.headers["x-command-reliability"]) == ("applied", "limited")
    assert exchange.world.carrier.commands == [{"end": phone.carrier_call_id}]


def test_once_the_callee_is_connected_with_somebody_else_only_the_carrier_can_be_told(phone: Phone) -> None:
    control(phone, TRANSFER)
    phone.exchange.pass_time(60)
    phone.exchange.world.carrier.commands.clear()
    with unchanged(phone.exchange.world):
        assert_problem(control(phone, SAY), 409, "command_not_available")
    assert control(phone, END).headers["x-command-result"] == "applied"
    assert phone.exchange.world.carrier.commands == [{"end": phone.carrier_call_id}]


# ---- how often ------------------------------------------------------------------------------------------------------


def test_s3_22_ten_a_minute_and_every_answer_says_how_many_are_left(phone: Phone) -> None:
    clock = phone.exchange.world.clock
    clock.moment = clock.moment.replace(second=15, microsecond=0)
    replies = [control(phone, {**CONTEXT, "command_id": f"c{number}"}) for number in range(10)]
    assert [reply.headers["x-ratelimit-remaining"] for reply in replies] == [str(left) for left in range(9, -1, -1)]
    assert {reply.headers["x-ratelimit-limit"] for reply in replies} == {"10"}
    assert {reply.headers["x-ratelimit-reset"] for reply in replies} == {"45"}
    with unchanged(phone.exchange.world):
        refused = control(phone, CONTEXT)
        assert_problem(refused, 429, "commands_limit_reached")
        again = control(phone, {**CONTEXT, "command_id": "c3"})
    assert refused.headers["x-ratelimit-limit"] == "10"
    assert refused.headers["x-ratelimit-remaining"] == "0"
    assert refused.headers["x-ratelimit-reset"] == refused.headers["retry-after"]
    assert (again.status, again.headers["x-ratelimit-remaining"]) == (200, "0"), "a repetition is none more"
    clock.sleep(int(refused.headers["retry-after"]))
    assert control(phone, CONTEXT).headers["x-ratelimit-remaining"] == "9"


# ---- bad input ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "status", "code", "named"),
    [
        ({**SAY, "content": ""}, 400, "invalid_value", "content"),
        ({**SAY, "content": " \n"}, 400, "invalid_value", "content"),
        ({**SAY, "content": "x" * 4_097}, 400, "invalid_value", "content"),
        ({**SAY, "content": "a\x07b"}, 400, "invalid_value", "content"),
        ({**CONTEXT, "content": "a\ud800b"}, 400, "invalid_value", "content"),
        ({**CONTEXT, "content": None}, 422, "invalid_fields", "content"),
        ({**CONTEXT, "trigger_response": "yes"}, 422, "invalid_fields", "trigger_response"),
        ({**CONTEXT, "end_after": True}, 422, "invalid_fields", "end_after"),
        ({**END, "message": "x" * 4_097}, 400, "invalid_value", "message"),
        ({**SAY, "command_id": ""}, 400, "invalid_value", "command_id"),
        ({**SAY, "command_id": "two words"}, 400, "invalid_value", "command_id"),
        ({**SAY, "command_id": "x" * 256}, 400, "invalid_value", "command_id"),
        ({**SAY, "command_id": 7}, 400, "invalid_value", "command_id"),
        ({**SAY, "command_id": "é"}, 400, "invalid_value", "command_id"),
    ],
    ids=lambda value: json.dumps(value)[:60] if isinstance(value, dict) else None,
)
def test_what_nobody_could_say_or_name_is_refused(phone: Phone, body: Any, status: int, code: str, named: str) -> None:
    with unchanged(phone.exchange.world):
        assert named in assert_problem(control(phone, body), status, code)["detail"]


def test_the_longest_words_and_the_strangest_id_are_taken(phone: Phone) -> None:
    body = {**SAY, "content": "ü" * 4_095 + "\n", "command_id": "!#$%&'*+-.^_`|~/\\\"" + "x" * 200}
    reply = control(phone, body)
    assert (reply.status, reply.headers["x-command-id"]) == (200, body["command_id"])
    assert queued(phone)[0]["content"] == body["content"]


def test_an_id_and_a_key_that_differ_are_refused_and_equal_ones_are_one(phone: Phone) -> None:
    with unchanged(phone.exchange.world):
        assert_problem(control(phone, {**SAY, "command_id": "a"}, idempotency_key="b"), 400, "invalid_value")
    assert control(phone, {**SAY, "command_id": "a"}, idempotency_key="a").headers["x-command-id"] == "a"


def test_no_words_and_no_number_of_a_command_are_kept_beside_the_conversation(phone: Phone) -> None:
    """The queue has them until they are said."""
    control(phone, {**TRANSFER, "message": "I connect you with Mrs Canary."})
    commands = CommandStore(phone.exchange.world.aws, phone.exchange.world.tables)
    (kept,) = commands.commands(phone.call.organization_id, phone.call_id)
    assert "Canary" not in str(kept)
    assert COLLEAGUE not in str(kept)


# ---- commands that the carrier is asked about, once ----------------------------------------------------------------


@pytest.fixture
def plain(exchange: Exchange) -> Phone:
    """A call in progress that only says a sentence."""
    said: Phone = exchange.phone(engine="say")
    said.exchange.world.fetch_instructions(said.call)
    assert said.call.status is CallStatus.IN_PROGRESS
    return said


@pytest.mark.parametrize("body", [END, TRANSFER], ids=lambda body: body["type"])
def test_the_carrier_is_asked_once_for_a_command_that_comes_twice(plain: Phone, body: dict[str, Any]) -> None:
    first = control(plain, {**body, "command_id": "one"})
    with unchanged(plain.exchange.world):
        again = control(plain, {**body, "command_id": "one"})
    assert (first.status, first.json, again.body) == (200, SENT, first.body)
    assert again.headers["x-command-result"] == "applied"
    assert len(plain.exchange.world.carrier.commands) == 1


def test_a_refusal_of_the_carriers_is_the_answer_to_its_repetition(plain: Phone) -> None:
    world = plain.exchange.world
    world.carrier.command_errors.append(CarrierUnavailable("Busy.", carrier="twilio"))
    body = {**TRANSFER, "command_id": "one"}
    first = control(plain, body)
    with unchanged(world):
        again = control(plain, body)
    assert first.status == again.status == 503
    assert_problem(again, 503, "carrier_unavailable")
    assert again.headers["idempotent-replayed"] == "true"
    assert len(world.carrier.commands) <= 1


def test_a_repetition_while_the_carrier_is_being_asked_waits(plain: Phone) -> None:
    world, body = plain.exchange.world, {**END, "command_id": "one"}
    seen: list[Reply] = []
    ask = ControlCallUseCase._ask_carrier

    def slow(*args: Any, **kwargs: Any) -> None:
        seen.append(control(plain, body))
        ask(*args, **kwargs)

    with patch.object(ControlCallUseCase, "_ask_carrier", slow):
        assert control(plain, body).status == 200
    assert_problem(seen[0], 409, "idempotency_in_progress")
    assert seen[0].headers["retry-after"] == "1"
    assert len(world.carrier.commands) == 1


def test_a_command_whose_function_died_is_not_waited_for_without_end(plain: Phone) -> None:
    world, body = plain.exchange.world, {**TRANSFER, "command_id": "one"}
    world.carrier.command_errors.append(RuntimeError("a bug"))
    assert control(plain, body).status == 500
    assert_problem(control(plain, body), 409, "idempotency_in_progress")
    world.clock.sleep(31)
    assert_problem(control(plain, body), 500, "internal_error")


def test_s3_21_a_realtime_model_takes_no_words_in_and_the_answer_says_so(exchange: Exchange) -> None:
    realtime: Phone = exchange.phone(engine="say", llm_config={"provider": "xai_realtime"})
    exchange.world.fetch_instructions(realtime.call)
    for body in (SAY, CONTEXT):
        reply = control(realtime, body)
        assert reply.status == 200
        assert reply.json["success"] is False
        assert (reply.json["reliability"], reply.json["result"]) == ("limited", "unsupported")
        assert reply.headers["x-command-reliability"] == "limited"
    assert told(realtime) == [("say", "unsupported"), ("inject-context", "unsupported")]
    again = control(realtime, {**SAY, "command_id": "one"}), control(realtime, {**SAY, "command_id": "one"})
    assert again[0].body == again[1].body
    assert exchange.world.carrier.commands == []
