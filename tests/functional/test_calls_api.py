"""GET /calls, GET /calls/{id} and its timeline."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from dialplane.domain.carrier import Rejected, Unknown
from dialplane.domain.statuses import CallStatus
from tests.fakes.clock import FakeClock
from tests.fakes.world import ANSWERED_CALL, World
from tests.functional.expectations import (
    SEED2,
    SEED2_CUSTOM,
    a_key,
    a_number,
    an_assistant,
    an_organization,
    assert_problem,
    stored_call,
    unchanged,
)

FROM = ("+15550100950", "+15550100951")
TO = ("+15550150001", "+15550150002")


class Shelf:
    """An organization with twelve calls: two assistants on two numbers, two destinations, one call every minute."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.organization_id = an_organization(world, micros=20_000_000).id
        for number, assistant_id in zip(FROM, (1, 2), strict=True):
            an_assistant(world, self.organization_id, assistant_id)
            a_number(world, self.organization_id, number, assistant_id=assistant_id)
        self.key = a_key(world, self.organization_id)
        self.ids: list[str] = []
        for index in range(12):
            body = {"from_phone_number": FROM[index % 2], "to_phone_number": TO[index // 6]}
            reply = world.initiate(body, key=self.key)
            self.ids.append(reply.headers["location"].removeprefix("/calls/"))
            if index % 3 == 0:
                call = stored_call(world, self.organization_id, self.ids[-1])
                world.live_through(call, "initiated", "busy")
            world.clock.sleep(60)

    def page(self, **query: str) -> dict[str, Any]:
        reply = self.world.manage("GET /calls", "/calls", key=self.key, query=query)
        assert reply.status == 200, reply.body
        document: dict[str, Any] = reply.json
        return document

    def pages(self, limit: int, **query: str) -> Iterator[list[str]]:
        cursor: str | None = None
        while True:
            page = self.page(limit=str(limit), **query, **({"cursor": cursor} if cursor else {}))
            assert page["has_more"] is (page["next_cursor"] is not None)
            yield [call["id"] for call in page["calls"]]
            cursor = page["next_cursor"]
            if cursor is None:
                return


@pytest.fixture(scope="module")
def shelf(world: World) -> Shelf:
    return Shelf(world)


def test_calls_are_listed_newest_first(shelf: Shelf) -> None:
    assert [call["id"] for call in shelf.page()["calls"]] == shelf.ids[::-1]


@pytest.mark.parametrize("limit", [1, 5, 11, 12, 13, 100])
def test_pages_put_together_are_the_whole_list_once(shelf: Shelf, limit: int) -> None:
    pages = list(shelf.pages(limit))
    assert [call_id for page in pages for call_id in page] == shelf.ids[::-1]
    assert all(len(page) == limit for page in pages[:-1])
    assert pages[-1]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"status": "busy"}, [0, 3, 6, 9]),
        ({"status": "queued"}, [1, 2, 4, 5, 7, 8, 10, 11]),
        ({"status": "completed"}, []),
        ({"assistant_id": "1"}, [0, 2, 4, 6, 8, 10]),
        ({"assistant_id": "3"}, []),
        ({"from": FROM[1]}, [1, 3, 5, 7, 9, 11]),
        ({"from": FROM[1].replace("+", " ")}, [1, 3, 5, 7, 9, 11]),
        ({"to": TO[0]}, [0, 1, 2, 3, 4, 5]),
        ({"to": TO[1], "status": "busy"}, [6, 9]),
        ({"to": TO[1], "status": "busy", "assistant_id": "1"}, [6]),
    ],
    ids=str,
)
@pytest.mark.parametrize("limit", [2, 100])
def test_filters_choose_and_combine_on_every_page(
    shelf: Shelf, query: dict[str, str], expected: list[int], limit: int
) -> None:
    found = [call_id for page in shelf.pages(limit, **query) for call_id in page]
    assert found == [shelf.ids[index] for index in reversed(expected)]


def test_the_time_filters_include_their_beginning_and_exclude_their_end(shelf: Shelf) -> None:
    times = [call["created_at"] for call in shelf.page()["calls"]][::-1]
    found = shelf.page(created_after=times[3], created_before=times[6])["calls"]
    assert [call["id"] for call in found] == [shelf.ids[5], shelf.ids[4], shelf.ids[3]]
    offset = times[3].replace("Z", "+00:00")
    assert len(shelf.page(created_after=offset)["calls"]) == 9
    assert len(shelf.page(created_after=offset.replace("+", " "))["calls"]) == 9  # a plus that became a space
    assert len(shelf.page(created_after="0300-01-01T00:00:00Z")["calls"]) == 12
    assert shelf.page(created_before="0300-01-01T00:00:00Z")["calls"] == []


def test_a_cursor_belongs_to_its_filters(shelf: Shelf) -> None:
    cursor = shelf.page(limit="2", status="busy")["next_cursor"]
    reply = shelf.world.manage("GET /calls", "/calls", key=shelf.key, query={"cursor": cursor, "status": "queued"})
    assert_problem(reply, 400, "invalid_cursor")
    again = {"cursor": cursor, "status": "busy"}
    assert shelf.world.manage("GET /calls", "/calls", key=shelf.key, query=again).status == 200


def test_every_status_can_be_asked_for(shelf: Shelf) -> None:
    for status in CallStatus:
        assert {call["status"] for call in shelf.page(status=status)["calls"]} <= {status.value}


def test_reading_changes_nothing(shelf: Shelf) -> None:
    with unchanged(shelf.world):
        shelf.page(status="busy", limit="1")
        shelf.world.get_call(shelf.ids[0], key=shelf.key)


# ---- one call -------------------------------------------------------------------------------------------------------


def test_a_call_is_found_by_our_id_and_by_the_carriers_with_the_same_document(world: World) -> None:
    reply = world.initiate(SEED2)
    by_ours = world.get_call(reply.headers["location"].removeprefix("/calls/"))
    assert by_ours.status == 200
    assert by_ours.json == world.get_call(reply.json["call_sid"]).json


def test_a_document_has_every_field_and_shows_absence_as_null(world: World) -> None:
    world.initiate(SEED2)
    document = world.get_call(world.last_call().id).json
    asked_for = "id status ended_reason from to assistant_id carrier carrier_call_id created_at answered_at ended_at "
    asked_for += "duration_seconds hold charge answered_by"
    assert set(asked_for.split()) <= set(document)
    for name in ("ended_reason", "answered_at", "ended_at", "duration_seconds", "charge", "answered_by"):
        assert document[name] is None
    assert (document["from"], document["to"], document["status"]) == ("+15551234567", "+15559876543", "queued")
    assert document["hold"] == {"amount": "0.150000", "currency": "USD"}
    assert document["created_at"].endswith("Z")


def test_the_list_shows_the_same_document_as_the_call(world: World) -> None:
    world.initiate(SEED2_CUSTOM)
    listed = world.manage("GET /calls", "/calls", query={"limit": "1"}).json["calls"][0]
    assert world.get_call(listed["id"]).json == {**listed, "conversation": None}


# ---- the timeline ---------------------------------------------------------------------------------------------------


def timeline(world: World, call_id: str) -> list[dict[str, Any]]:
    reply = world.manage("GET /calls/{call_id}/events", f"/calls/{call_id}/events")
    events: list[dict[str, Any]] = reply.json["events"]
    assert [event["at"] for event in events] == sorted(event["at"] for event in events)
    return events


def test_the_timeline_tells_the_whole_life_of_a_call_in_order(world: World) -> None:
    world.clock.moment = FakeClock().moment  # the carrier of these tests states fixed times
    world.initiate(SEED2)
    call = world.last_call()
    for sequence, status in enumerate(ANSWERED_CALL):
        world.clock.sleep(1)
        world.drain()
        if status == "in-progress":
            world.fetch_instructions(call)
            world.clock.sleep(1)
        world.callback(call, world.form(status, sequence))
    world.clock.sleep(1)
    world.drain()
    events = timeline(world, call.id)
    assert [(event["type"], event.get("verdict")) for event in events] == [
        ("admitted", None),
        ("dial_placed", None),
        ("carrier_event", "accepted"),
        ("carrier_event", "accepted"),
        ("instructions_served", None),
        ("carrier_event", "accepted"),
        ("carrier_event", "accepted"),
        ("settled", None),
    ]
    admitted, dialled = events[0], events[1]
    assert admitted["gates"] == [
        "caller_number",
        "assistant",
        "configuration",
        "texts",
        "do_not_call",
        "destination",
        "balance",
        "active_calls",
    ]
    assert admitted["hold"] == {"amount": "0.150000", "currency": "USD"}
    assert dialled["carrier_call_id"] == call.carrier_call_id
    assert events[-1] == {
        "at": events[-1]["at"],
        "type": "settled",
        "hold": {"amount": "0.150000", "currency": "USD"},
        "charge": {"amount": "0.060000", "currency": "USD"},
        "release": {"amount": "0.090000", "currency": "USD"},
    }


def test_the_timeline_can_be_asked_for_by_the_carriers_id(world: World) -> None:
    reply = world.initiate(SEED2)
    by_carrier = world.manage("GET /calls/{call_id}/events", f"/calls/{reply.json['call_sid']}/events").json
    assert by_carrier["events"] == timeline(world, world.last_call().id)


def test_a_rejected_dial_is_told_with_the_carriers_words_and_its_release(world: World) -> None:
    world.carrier.outcomes.append(Rejected(cause="invalid_destination", code="21211", message="No such number."))
    call_id = world.initiate(SEED2).json["call_id"]
    types = {event["type"]: event for event in timeline(world, call_id)}
    assert set(types) == {"admitted", "dial_rejected", "settled"}
    assert types["dial_rejected"]["error"] == "invalid_destination:21211"
    assert types["dial_rejected"]["error_message"] == "No such number."
    assert types["settled"]["charge"]["amount"] == "0.000000"
    document = world.get_call(call_id).json
    assert (document["status"], document["ended_reason"]) == ("failed", "carrier_rejected")


def test_an_unknown_dial_is_told_as_such(world: World) -> None:
    world.carrier.outcomes.append(Unknown("timeout"))
    call_id = world.initiate(SEED2).json["call_id"]
    assert [event["type"] for event in timeline(world, call_id)] == ["admitted", "dial_unknown"]
    assert world.get_call(call_id).json["status"] == "unconfirmed"


def test_due_checks_do_not_show_and_do_not_disturb(world: World) -> None:
    world.initiate(SEED2)
    call = world.last_call()
    before = world.get_call(call.id).json
    world.clock.moment += timedelta(minutes=5)
    world.reconcile()
    assert world.get_call(call.id).json == before
