"""What was said on a call: shown with the call in every dialect, alone, for as long as it is kept, and erased."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from unittest.mock import patch

import pytest

from dialplane.domain.calls import Call
from dialplane.domain.conversation_settings import ConversationSettings, EndReason
from dialplane.domain.conversations import Change, Entry, EntryKind, Source
from dialplane.domain.ids import new_id
from dialplane.domain.instructions import Instructions
from dialplane.domain.statuses import CallStatus, EndedReason
from dialplane.dynamodb.calls import CallStore, call_item
from dialplane.dynamodb.conversations import ConversationStore, retention_end
from tests.fakes import event_world
from tests.fakes.world import Reply, World
from tests.functional.expectations import (
    a_key,
    an_organization,
    assert_problem,
    everything,
    stored_call,
    unchanged,
)

HEARD = "Hello, this is an automated assistant, an artificial voice, calling on behalf of Acme Dental."
SECRET = "Mr Canary has the mumps"
SETTINGS = ConversationSettings(
    first_message=f"Hi, can you come on Monday? {SECRET}.",
    disclosure=HEARD,
    prompt="Be kind to [name].",
    variables={"name": SECRET},
    retention_days=7,
)
SPOKEN = [
    ("assistant", HEARD),
    ("assistant", "Hi, can"),
    ("callee", "Who is that?"),
    ("callee", "[pressed 1]"),
    ("assistant", f"It is about this: {SECRET}."),
]


def a_conversation(world: World, status: CallStatus = CallStatus.COMPLETED, **facts: Any) -> Call:
    """A call of the demo organization with a conversation of five turns; settled when its status is a last one."""
    (base,) = (call for call in event_world.calls() if call.id == event_world.SETTLED_CALL_ID)
    at, token = world.clock.now(), new_id("token")
    call = replace(
        base,
        id=new_id("call"),
        organization_id=world.demo.organization_id,
        carrier_call_id=new_id("ca"),
        status=CallStatus.IN_PROGRESS,
        settled_at=None,
        created_at=at,
        variables_json=json.dumps({"name": SECRET}),
        agenda=f"Say it: {SECRET}.",
        configuration_json=json.dumps({"llm_config": {"messages": [{"role": "user", "content": SECRET}]}}),
        conversation_json=SETTINGS.to_json(),
        instructions=Instructions("conversation", HEARD),
        socket_token=token,
        recording_id="RE1",
        recording_url="https://api.carrier.test/Recordings/RE1",
        **facts,
    )
    world.aws.call("dynamodb", "PutItem", {"TableName": world.tables.calls, "Item": call_item(call)})
    _converse(ConversationStore(world.aws, world.tables), call, at, token)
    call = stored_call(world, call.organization_id, call.id)
    if status.is_terminal:
        ended = replace(call, status=status, settled_at=at, charge_micros=0, ended_reason=EndedReason.OPT_OUT)
        assert CallStore(world.aws, world.tables).replace(call, ended)
    return stored_call(world, call.organization_id, call.id)


def _converse(store: ConversationStore, call: Call, at: datetime, token: str) -> None:
    ids = (call.organization_id, call.id)
    account = call.carrier_account_id
    assert store.open(*ids, carrier_account_id=account, token=token, connection_id="connection", at=at)

    def entry(kind: EntryKind, text: str, turn: int, source: Source | None = None, **more: Any) -> Entry:
        return Entry(kind, at + timedelta(seconds=turn), text, turn=turn, source=source, **more)

    entries = (
        entry(EntryKind.ASSISTANT, HEARD, 0, Source.DISCLOSURE),
        entry(EntryKind.ASSISTANT, SETTINGS.first_message, 1, Source.FIRST_MESSAGE),
        entry(EntryKind.INTERRUPTION, "Hi, can", 1),
        entry(EntryKind.CALLEE, "Who is that?", 2),
        entry(EntryKind.CONTEXT, f"The customer is known: {SECRET}.", 2),
        entry(EntryKind.DIGITS, "1", 3),
        entry(EntryKind.ASSISTANT, SPOKEN[-1][1], 4, Source.MODEL, first_token_ms=412),
    )
    values = {
        "end_reason": EndReason.OPT_OUT,
        "opted_out_at": at + timedelta(seconds=5),
        "machine_at": at + timedelta(seconds=1),
    }
    assert store.change(*ids, Change("said", entries, values)) is not None


def conclude(world: World, call: Call) -> None:
    """What the analysis finds."""
    store = ConversationStore(world.aws, world.tables)
    conversation = store.get(call.organization_id, call.id)
    if conversation is not None:
        store.conclude(
            conversation,
            summary=f"They talked about this: {SECRET}.",
            analysis_json=json.dumps({"is_coming": False, "reason": SECRET}),
            at=world.clock.now(),
        )


def transcript(world: World, call_id: str, **how: Any) -> Reply:
    return world.manage("GET /calls/{call_id}/transcript", f"/calls/{call_id}/transcript", **how)


def erase(world: World, call_id: str, **how: Any) -> Reply:
    return world.manage("DELETE /calls/{call_id}/transcript", f"/calls/{call_id}/transcript", **how)


def said(document: dict[str, Any]) -> list[tuple[str, str]]:
    return [(turn["speaker"], turn["text"]) for turn in document["turns"]]


# ---- what is shown --------------------------------------------------------------------------------------------------


def test_a_call_shows_what_was_said_as_it_was_heard(world: World) -> None:
    call = a_conversation(world)
    conclude(world, call)
    document = world.get_call(call.id).json
    assert document["welcome_message"] == SETTINGS.first_message
    shown = document["conversation"]
    assert said(shown) == SPOKEN
    disclosure, first, callee, _, last = shown["turns"]
    assert (disclosure["source"], first["source"], callee["source"]) == ("disclosure", "first_message", None)
    assert [turn["interrupted"] for turn in shown["turns"]] == [False, True, False, False, False]
    assert (callee["first_token_ms"], last["first_token_ms"], last["source"]) == (None, 412, "model")
    assert (shown["end_reason"], shown["summary"]) == ("opt_out", f"They talked about this: {SECRET}.")
    assert shown["analysis"] == {"is_coming": False, "reason": SECRET}
    assert shown["opted_out_at"] > shown["started_at"]
    assert (shown["voicemail"]["message_sent_at"], shown["voicemail"]["message_played_at"]) == (None, None)
    assert shown["recording"] == {"id": "RE1", "url": "https://api.carrier.test/Recordings/RE1"}


def test_the_transcript_alone_is_the_same_by_either_id(world: World) -> None:
    call = a_conversation(world)
    conclude(world, call)
    replies = [transcript(world, call_id) for call_id in (call.id, str(call.carrier_call_id))]
    assert [reply.status for reply in replies] == [200, 200]
    assert replies[0].json == {"call_id": call.id, **world.get_call(call.id).json["conversation"]}
    assert replies[0].body == replies[1].body


def test_a_call_in_progress_shows_what_has_been_said_so_far(world: World) -> None:
    call = a_conversation(world, CallStatus.IN_PROGRESS)
    shown = transcript(world, call.id).json
    assert said(shown) == SPOKEN
    assert (shown["summary"], shown["analysis"], shown["ended_at"]) == (None, None, None)
    assert shown["expires_at"] is not None, "it is kept for so long even if nobody ever concludes it"


def test_s3_13_hms_shows_messages_transcript_summary_analysis_and_recording(world: World) -> None:
    call = a_conversation(world)
    conclude(world, call)
    key = world.stack.provision.create_key(call.organization_id, name="HMS", dialect="hms").text
    document = world.get_call(call.id, key=key).json
    assert document["messages"] == [
        {"role": "assistant" if speaker == "assistant" else "user", "content": text} for speaker, text in SPOKEN
    ]
    lines = document["transcript"].split("\n")
    assert (lines[0], lines[2]) == (f"Assistant: {HEARD}", "User: Who is that?")
    assert document["summary"] == f"They talked about this: {SECRET}."
    assert document["analysis_result"] == {"is_coming": False, "reason": SECRET}
    assert (document["recording_url"], document["end_reason"]) == (call.recording_url, "opt_out")


def test_s1_23_klen_shows_transcript_summary_and_recording(world: World) -> None:
    call = a_conversation(world)
    conclude(world, call)
    key = world.stack.provision.create_key(call.organization_id, name="Klen", dialect="klen").text
    document = world.get_call(call.id, key=key).json
    assert document["transcript"].split("\n")[2] == "User: Who is that?"
    assert document["summary"] == f"They talked about this: {SECRET}."
    assert document["recording_url"] == call.recording_url


@pytest.mark.parametrize("dialect", [None, "klen", "hms"])
def test_lists_tell_that_there_was_a_call_and_nothing_that_was_said(world: World, dialect: str | None) -> None:
    call = a_conversation(world)
    conclude(world, call)
    key = world.stack.provision.create_key(call.organization_id, name="Key", dialect=dialect).text
    (listed,) = world.manage("GET /calls", "/calls", query={"limit": "1"}, key=key).json["calls"]
    assert listed["id"] == call.id
    assert "conversation" not in listed
    assert "They talked" not in json.dumps(listed)
    assert "Who is that?" not in json.dumps(listed)


# ---- what is not ----------------------------------------------------------------------------------------------------


def test_a_call_without_a_conversation_has_no_transcript(world: World) -> None:
    call = a_conversation(world)
    plain = replace(call, id=new_id("call"), carrier_call_id=new_id("ca"), conversation_json=None)
    world.aws.call("dynamodb", "PutItem", {"TableName": world.tables.calls, "Item": call_item(plain)})
    assert world.get_call(plain.id).json["conversation"] is None
    assert_problem(transcript(world, plain.id), 404, "transcript_not_found")


def test_a_call_whose_socket_nobody_opened_has_none_yet(world: World) -> None:
    call = a_conversation(world)
    unopened = replace(call, id=new_id("call"), carrier_call_id=new_id("ca"))
    world.aws.call("dynamodb", "PutItem", {"TableName": world.tables.calls, "Item": call_item(unopened)})
    assert world.get_call(unopened.id).json["conversation"] is None
    assert_problem(transcript(world, unopened.id), 404, "transcript_not_found")


def test_what_is_kept_no_longer_is_not_shown_although_it_still_lies_there(world: World) -> None:
    call = a_conversation(world)
    conclude(world, call)
    ends = retention_end(world.clock.now(), SETTINGS.retention_days)
    key = world.stack.provision.create_key(call.organization_id, name="HMS", dialect="hms").text
    moment = world.clock.moment
    try:
        world.clock.moment = datetime.fromtimestamp(ends, moment.tzinfo) - timedelta(seconds=1)
        assert transcript(world, call.id).status == 200
        world.clock.moment = datetime.fromtimestamp(ends, moment.tzinfo)
        assert_problem(transcript(world, call.id), 404, "transcript_not_found")
        assert world.get_call(call.id).json["conversation"] is None
        document = world.get_call(call.id, key=key).json
    finally:
        world.clock.moment = moment
    shown = [document[name] for name in ("messages", "transcript", "summary", "analysis_result", "recording_url")]
    assert shown == [[], None, None, None, None]


def test_another_organization_sees_and_erases_nothing(world: World) -> None:
    call = a_conversation(world)
    stranger = a_key(world, an_organization(world).id)
    with unchanged(world):
        for call_id in (call.id, str(call.carrier_call_id), "call_01JD0000000000000000NNN001"):
            assert_problem(transcript(world, call_id, key=stranger), 404, "call_not_found")
            assert_problem(erase(world, call_id, key=stranger), 404, "call_not_found")


def test_reading_and_erasing_each_need_their_scope(world: World) -> None:
    call = a_conversation(world)
    reader = a_key(world, call.organization_id, "can_read_calls", "can_control_calls")
    eraser = a_key(world, call.organization_id, "can_erase_transcripts")
    with unchanged(world):
        assert assert_problem(erase(world, call.id, key=reader), 403, "permission_denied")["scope"] == (
            "can_erase_transcripts"
        )
        assert_problem(transcript(world, call.id, key=eraser), 403, "permission_denied")
        assert_problem(erase(world, call.id, key=None), 401, "authentication_required")
    assert transcript(world, call.id, key=reader).status == 200
    assert erase(world, call.id, key=eraser).status == 204


# ---- erasing --------------------------------------------------------------------------------------------------------


def words_of(world: World, call_id: str) -> str:
    """Everything that is stored about a call."""
    tables, _ = everything(world)
    return "\n".join(item for table in tables for item in table if call_id in item)


def test_erasing_leaves_no_word_and_the_call_itself(world: World) -> None:
    call = a_conversation(world)
    conclude(world, call)
    assert "canary" in words_of(world, call.id).lower()
    reply = erase(world, call.id)
    assert (reply.status, reply.body) == (204, "")
    left = words_of(world, call.id)
    for word in ("Canary", "Who is that", "artificial voice", "is_coming", "RE1"):
        assert word not in left
    document = world.get_call(call.id).json
    assert (document["conversation"], document["welcome_message"], document["agenda"]) == (None, None, None)
    assert (document["status"], document["ended_reason"], document["to"]) == ("completed", "opt_out", call.destination)
    problem = assert_problem(transcript(world, call.id), 404, "transcript_not_found")
    assert "erased at 2026-" in problem["detail"]
    events = world.manage("GET /calls/{call_id}/events", f"/calls/{call.id}/events").json["events"]
    assert [event["type"] for event in events].count("transcript_erased") == 1


def test_erasing_twice_is_erasing_once(world: World) -> None:
    call = a_conversation(world)
    assert erase(world, call.id).status == 204
    world.clock.sleep(60)
    with unchanged(world):
        assert erase(world, str(call.carrier_call_id)).status == 204


def test_a_call_without_a_conversation_has_its_texts_and_values_erased(world: World) -> None:
    call = a_conversation(world)
    words = {"welcome_message": SECRET, "goodbye_message": SECRET, "prompt": SECRET, "engine": "say"}
    plain = replace(
        call,
        id=new_id("call"),
        carrier_call_id=new_id("ca"),
        conversation_json=None,
        instructions=replace(call.instructions, **words),  # type: ignore[arg-type]
    )
    world.aws.call("dynamodb", "PutItem", {"TableName": world.tables.calls, "Item": call_item(plain)})
    assert erase(world, plain.id).status == 204
    assert SECRET not in words_of(world, plain.id)
    assert world.get_call(plain.id).json["welcome_message"] is None


@pytest.mark.parametrize("status", [CallStatus.IN_PROGRESS, CallStatus.RINGING])
def test_nothing_is_erased_of_a_call_that_is_not_over(world: World, status: CallStatus) -> None:
    call = a_conversation(world, CallStatus.IN_PROGRESS)
    other = replace(call, status=status)
    assert status is call.status or CallStore(world.aws, world.tables).replace(call, other)
    with unchanged(world):
        problem = assert_problem(erase(world, call.id), 409, "call_not_settled")
    assert problem["call_status"] == status.value


def test_nothing_is_erased_before_the_books_are_closed(world: World) -> None:
    call = a_conversation(world, CallStatus.IN_PROGRESS)
    assert CallStore(world.aws, world.tables).replace(call, replace(call, status=CallStatus.COMPLETED))
    with unchanged(world):
        assert_problem(erase(world, call.id), 409, "call_not_settled")


def test_an_analysis_that_comes_after_the_erasure_brings_nothing_back(world: World) -> None:
    """The out-of-order twin: the model was asked before, and answers afterwards."""
    call = a_conversation(world)
    store = ConversationStore(world.aws, world.tables)
    read_before = store.get(call.organization_id, call.id)
    assert read_before is not None
    assert erase(world, call.id).status == 204
    with unchanged(world):
        store.conclude(read_before, summary=SECRET, analysis_json="{}", at=world.clock.now())
    assert SECRET not in words_of(world, call.id)


def test_a_report_that_comes_while_it_is_erased_is_not_lost_and_stops_nothing(world: World) -> None:
    call = a_conversation(world)
    store = CallStore(world.aws, world.tables)
    replace_call: Callable[..., bool] = CallStore.replace
    costs = iter(["0.013"])

    def late(self: CallStore, before: Call, after: Call) -> bool:
        for cost in costs:  # the carrier's price arrives between the read and the write
            assert replace_call(store, before, replace(before, carrier_cost=cost, carrier_cost_currency="USD"))
        return replace_call(self, before, after)

    with patch.object(CallStore, "replace", late):
        assert erase(world, call.id).status == 204
    kept = stored_call(world, call.organization_id, call.id)
    assert (kept.carrier_cost, kept.transcript_erased_at is not None) == ("0.013", True)
