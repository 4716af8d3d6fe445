"""Lists and single calls in the dialect of the key, and Burki's own list: positions, totals, filters, refusals."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any
from unittest.mock import patch

import pytest

from dialplane.domain.calls import Call
from dialplane.domain.ids import new_id
from dialplane.domain.statuses import CallStatus
from dialplane.dynamodb import call_log
from dialplane.dynamodb.call_log import CallLog
from dialplane.dynamodb.calls import call_item
from dialplane.usecases.browse_calls import CallFilters, CallQuery
from tests.fakes import event_world
from tests.fakes.world import Reply, World
from tests.functional.expectations import (
    an_organization,
    assert_problem,
    unchanged,
)

_STATUSES = (CallStatus.COMPLETED, CallStatus.BUSY, CallStatus.IN_PROGRESS)
_NAMES = ("Dental reminder", "Survey", "dental recall")


class Shelf:
    """An organization with a key in each dialect and twelve calls, one a minute, of three kinds in turn."""

    def __init__(self, world: World) -> None:
        self.world = world
        organization = an_organization(world, allows_key_in_query=True)
        self.organization_id = organization.id
        provision = world.stack.provision
        self.keys = {
            dialect: provision.create_key(organization.id, name="Key", dialect=dialect).text
            for dialect in (None, "klen", "hms")
        }
        self.calls = [self._put(world, index) for index in range(12)]
        self.ids = [call.id for call in self.calls]

    def _put(self, world: World, index: int) -> Call:
        kind = index % 3
        base_id = event_world.SETTLED_CALL_ID if kind == 0 else event_world.RINGING_CALL_ID
        (base,) = (call for call in event_world.calls() if call.id == base_id)
        world.clock.sleep(60)
        call = replace(
            base,
            id=new_id("call"),
            organization_id=self.organization_id,
            status=_STATUSES[kind],
            created_at=world.clock.now(),
            answered_at=world.clock.now() + timedelta(seconds=5) if kind == 0 else None,
            ended_at=world.clock.now() + timedelta(seconds=5 + index) if kind == 0 else None,
            duration_seconds=index if kind == 0 else None,
            assistant_id=kind + 1,
            assistant_name=_NAMES[kind],
            assistant_public_id=f"agent-{kind}",
            destination=f"+1555015000{index % 2}",
            carrier_call_id=f"CA{index:032x}",
        )
        world.aws.call("dynamodb", "PutItem", {"TableName": world.tables.calls, "Item": call_item(call)})
        return call

    def get(self, dialect: str | None, path: str = "/calls", route: str = "GET /calls", **query: str) -> Reply:
        return self.world.manage(route, path, key=self.keys[dialect], query=query or None)

    def one(self, dialect: str | None, call_id: str) -> Reply:
        return self.get(dialect, f"/calls/{call_id}", "GET /calls/{call_id}")

    def burki(self, **query: str) -> Reply:
        return self.get(None, "/api/v1/calls", "GET /api/v1/calls", **query)


@pytest.fixture(scope="module")
def shelf(world: World) -> Shelf:
    return Shelf(world)


def ids(calls: list[dict[str, Any]]) -> list[str]:
    return [call["id"] for call in calls]


# ---- shapes ---------------------------------------------------------------------------------------------------------


def test_s1_22_a_klen_key_gets_pages_with_their_count(shelf: Shelf) -> None:
    document = shelf.get("klen", page="2", limit="5").json
    assert {name: document[name] for name in ("count", "page", "limit", "pages")} == {
        "count": 12,
        "page": 2,
        "limit": 5,
        "pages": 3,
    }
    assert ids(document["calls"]) == shelf.ids[::-1][5:10]


def test_s1_22_klens_page_has_ten_calls_when_nothing_is_said(shelf: Shelf) -> None:
    assert len(shelf.get("klen").json["calls"]) == 10


def test_s1_23_a_single_klen_call_has_both_charges(shelf: Shelf) -> None:
    document = shelf.one("klen", shelf.ids[0]).json
    assert document["billing"]["initial_charge"] == 0.15
    assert document["billing"]["final_charge"] == 0.06


def test_s3_15_an_hms_key_gets_a_range_with_its_total(shelf: Shelf) -> None:
    document = shelf.get("hms", limit="5", offset="10").json
    assert document["pagination"] == {"total": 12, "limit": 5, "offset": 10}
    assert ids(document["calls"]) == shelf.ids[::-1][10:]


def test_s3_13_a_single_hms_call_has_the_seeds_names(shelf: Shelf) -> None:
    document = shelf.one("hms", shelf.ids[2]).json
    assert (document["id"], document["status"], document["agent_id"]) == (shelf.ids[2], "in-progress", "agent-2")


def test_s2_32_burkis_list_has_items_and_a_total(shelf: Shelf) -> None:
    document = shelf.burki(skip="2", limit="3").json
    assert {name: document[name] for name in ("total", "skip", "limit")} == {"total": 12, "skip": 2, "limit": 3}
    assert ids(document["items"]) == shelf.ids[::-1][2:5]


@pytest.mark.parametrize("dialect", ["klen", "hms"])
def test_s2_32_burkis_list_is_the_same_for_every_key(shelf: Shelf, dialect: str) -> None:
    reply = shelf.get(dialect, "/api/v1/calls", "GET /api/v1/calls")
    assert reply.json == shelf.burki().json


def test_a_key_without_a_dialect_gets_dialplanes_own_shape(shelf: Shelf) -> None:
    assert set(shelf.get(None).json) == {"calls", "next_cursor", "has_more"}
    assert shelf.one(None, shelf.ids[0]).json["hold"] == {"amount": "0.150000", "currency": "USD"}


def test_the_timeline_has_one_shape_for_every_key(shelf: Shelf) -> None:
    path, route = f"/calls/{shelf.ids[0]}/events", "GET /calls/{call_id}/events"
    documents = [shelf.get(dialect, path, route).json for dialect in shelf.keys]
    assert documents == [documents[0]] * 3


# ---- positions ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [1, 5, 12, 100])
def test_ranges_put_together_are_the_whole_list_once(shelf: Shelf, limit: int) -> None:
    found: list[str] = []
    for offset in range(0, 12, limit):
        document = shelf.get("hms", limit=str(limit), offset=str(offset)).json
        assert document["pagination"]["total"] == 12
        found += ids(document["calls"])
    assert found == shelf.ids[::-1]


@pytest.mark.parametrize("offset", ["12", "13", "1000000"])
def test_beyond_the_end_there_is_nothing_and_the_total_stays(shelf: Shelf, offset: str) -> None:
    document = shelf.burki(skip=offset).json
    assert (document["items"], document["total"]) == ([], 12)


def test_no_more_than_so_many_calls_are_counted_and_the_total_says_at_least(shelf: Shelf) -> None:
    with patch.object(call_log, "_COUNTED_MAX", 7):
        first, beyond = shelf.burki(limit="5").json, shelf.burki(skip="7").json
    assert (first["total"], len(first["items"])) == (7, 5)
    assert (beyond["total"], beyond["items"]) == (7, [])


def test_no_more_than_so_many_pages_are_read_for_one_request(shelf: Shelf, world: World) -> None:
    store = CallLog(world.aws, world.tables)
    query = CallQuery(CallFilters(statuses=frozenset({"nothing"})), limit=1)
    asked: list[Any] = []
    endless = {"Items": [], "LastEvaluatedKey": {"pk": {"S": "more"}}}

    def call(service: str, operation: str, params: Any) -> Any:
        asked.append(operation)
        return endless

    with patch.object(type(world.aws), "call", staticmethod(call)):
        found = store.range(shelf.organization_id, query)
    assert (found.calls, found.total) == ((), 0)
    assert asked == ["Query"] * 40


# ---- filters --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"status": "completed"}, [0, 3, 6, 9]),
        ({"status": "failed"}, [1, 4, 7, 10]),
        ({"agent_id": "2"}, [1, 4, 7, 10]),
        ({"agent_id": "agent-2"}, [2, 5, 8, 11]),
        ({"agent_id": "agent-2", "status": "completed"}, []),
        ({"type": "outbound"}, list(range(12))),
        ({"type": "inbound"}, []),
    ],
    ids=str,
)
def test_s1_22_klens_filters(shelf: Shelf, query: dict[str, str], expected: list[int]) -> None:
    document = shelf.get("klen", limit="100", **query).json
    assert ids(document["calls"]) == [shelf.ids[index] for index in reversed(expected)]
    assert document["count"] == len(expected)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"status": "ongoing"}, [2, 5, 8, 11]),
        ({"assistant_id": "1"}, [0, 3, 6, 9]),
        ({"assistant_name": "DENTAL"}, [0, 2, 3, 5, 6, 8, 9, 11]),
        ({"assistant_name": "urve"}, [1, 4, 7, 10]),
        ({"assistant_name": "nobody"}, []),
        ({"customer_phone": "+15550150001"}, [1, 3, 5, 7, 9, 11]),
        ({"call_sid": f"CA{4:032x}"}, [4]),
        ({"min_duration": "3", "max_duration": "6"}, [3, 6]),
        ({"max_duration": "0"}, [0]),
        ({"min_duration": "7", "assistant_name": "dental"}, [9]),
    ],
    ids=str,
)
def test_s2_32_burkis_filters(shelf: Shelf, query: dict[str, str], expected: list[int]) -> None:
    document = shelf.burki(**query).json
    assert ids(document["items"]) == [shelf.ids[index] for index in reversed(expected)]
    assert document["total"] == len(expected)


def test_s2_32_burkis_dates_are_both_within(shelf: Shelf) -> None:
    listed = shelf.burki().json["items"][::-1]
    document = shelf.burki(date_from=listed[3]["started_at"], date_to=listed[5]["started_at"]).json
    assert ids(document["items"]) == shelf.ids[3:6][::-1]


# ---- refusals -------------------------------------------------------------------------------------------------------


def test_s1_errors_of_these_routes_are_in_klens_envelope(shelf: Shelf) -> None:
    unknown = shelf.one("klen", "call_01JD0000000000000000NNN001")
    assert unknown.status == 404
    assert set(unknown.json) >= {"error", "message"}
    wrong = shelf.get("klen", limit="1000")
    assert (wrong.status, isinstance(wrong.json["error"], str)) == (400, True)


def test_s3_12_errors_of_these_routes_are_in_hmss_envelope(shelf: Shelf) -> None:
    for reply in (shelf.one("hms", "nonsense"), _control(shelf, "nonsense")):
        assert reply.status == 404
        assert reply.headers["content-type"] == "application/json"
        assert reply.json["error"] == "Call not found"


def _control(shelf: Shelf, call_id: str) -> Reply:
    path = f"/calls/{call_id}/control"
    return shelf.world.manage("POST /calls/{call_id}/control", path, key=shelf.keys["hms"], body={"type": "end-call"})


def test_burkis_errors_are_problem_documents(shelf: Shelf) -> None:
    assert_problem(shelf.burki(limit="1001"), 400, "invalid_value")
    assert_problem(shelf.burki(nonsense="1"), 400, "invalid_value")


def test_s1_13_a_stranger_is_told_the_same_whatever_the_dialect(world: World) -> None:
    assert_problem(world.manage("GET /calls", "/calls", key=None), 401, "authentication_required")


def test_one_organizations_lists_never_show_anothers_calls(shelf: Shelf, world: World) -> None:
    key = world.stack.provision.create_key(an_organization(world).id, name="Stranger", dialect="hms").text
    document = world.manage("GET /calls", "/calls", key=key).json
    assert document["pagination"]["total"] == 0
    reply = world.manage("GET /calls/{call_id}", f"/calls/{shelf.ids[0]}", key=key)
    assert reply.status == 404


# ---- the key in the URL ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", ["klen", None])
def test_s1_6_the_key_may_come_in_the_url_where_the_organization_allows_it(shelf: Shelf, dialect: str | None) -> None:
    query = {"api_key": shelf.keys[dialect], "status": "completed"}
    reply = shelf.world.manage("GET /calls", "/calls", key=None, query=query)
    assert reply.status == 200
    assert len(reply.json["calls"]) == 4


def test_s1_6_and_nowhere_else(world: World) -> None:
    organization = an_organization(world)
    key = world.stack.provision.create_key(organization.id, name="Key", dialect="klen").text
    reply = world.manage("GET /calls", "/calls", key=None, query={"api_key": key})
    assert_problem(reply, 401, "authentication_required")


def test_s1_6_a_key_in_the_url_opens_only_the_shared_routes(shelf: Shelf) -> None:
    query = {"api_key": str(shelf.keys[None])}
    assert_problem(shelf.world.manage("GET /wallet", "/wallet", key=None, query=query), 401, "authentication_required")


def test_reading_changes_nothing(shelf: Shelf) -> None:
    with unchanged(shelf.world):
        shelf.burki(assistant_name="dental")
        shelf.get("klen", page="3")
        shelf.one("hms", shelf.ids[0])
