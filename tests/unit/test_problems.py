"""Every error has its status, and its document says what, which value and what next."""

from __future__ import annotations

import inspect
import json
from typing import Any

import pytest

from dialplane.domain import errors
from dialplane.domain.errors import DialplaneError
from dialplane.domain.money import Money
from dialplane.runtime.http import HttpRequest
from dialplane.runtime.problems import PROBLEM_JSON, problem, refusal, status_of

REQUEST = HttpRequest("POST", "/calls/initiate", {}, {}, {}, b"", "request-1")
CASES: list[tuple[DialplaneError, int]] = [
    (errors.JsonInvalid("x"), 422),
    (errors.BodyTooLarge("x"), 413),
    (errors.FieldsInvalid([{"type": "t", "loc": ["body", "a"], "msg": "m", "input": 1}]), 422),
    (errors.FieldMissing("a"), 400),
    (errors.ValueInvalid("x", field="a"), 400),
    (errors.PhoneNumberInvalid("a"), 400),
    (errors.TemplateInvalid("x", field="a"), 400),
    (errors.VariablesMissing(["a"]), 400),
    (errors.CursorInvalid(), 400),
    (errors.ConfigurationInvalid("x", param="a"), 422),
    (errors.EngineUnsupported("relay", "vonage", ["say"]), 422),
    (errors.CallNotInProgress("completed"), 400),
    (errors.IdempotencyKeyReused(), 422),
    (errors.AuthenticationRequired(), 401),
    (errors.KeyInvalid(), 401),
    (errors.PermissionDenied("s"), 403),
    (errors.OrganizationSuspended(), 403),
    (errors.CallerNumberForeign("+1"), 403),
    (errors.AssistantForeign(1), 403),
    (errors.NumberCannotDialOut("+1"), 403),
    (errors.DestinationOnDnc(), 403),
    (errors.DestinationNotAllowed("x", country="GB"), 403),
    (errors.AssistantNotFound("x"), 404),
    (errors.CallerNumberMissing(), 400),
    (errors.CallNotFound(), 404),
    (errors.TranscriptNotFound("x"), 404),
    (errors.DncEntryNotFound(), 404),
    (errors.RouteNotFound("x"), 404),
    (errors.EntityNotFound("key", "k"), 404),
    (errors.InsufficientBalance(available=Money(1, "USD"), required=Money(2, "USD")), 402),
    (errors.ControlUnsupported("x"), 409),
    (errors.CommandNotAvailable("say"), 409),
    (errors.CallNotSettled("in_progress"), 409),
    (errors.SetupMissing(["agent"]), 500),
    (errors.IdempotencyInProgress(1), 409),
    (errors.ActiveCallsLimitReached(5), 429),
    (errors.RateLimitExceeded(60, "minute", retry_after_seconds=5), 429),
    (errors.CommandsLimitReached(10, retry_after_seconds=5), 429),
    (errors.CarrierRateReached(1), 429),
    (errors.ServiceBusy(), 503),
    (errors.DestinationRefused("x"), 400),
    (errors.CarrierRejected("x"), 502),
    (errors.CarrierUnavailable("x", retry_after_seconds=5), 503),
    (errors.CallNotPlaced("x"), 502),
]


def test_every_error_that_has_a_code_is_in_the_table() -> None:
    with_a_code = {
        each
        for _, each in inspect.getmembers(errors, inspect.isclass)
        if issubclass(each, DialplaneError) and "code" in vars(each) and each is not DialplaneError
    }
    assert with_a_code == {type(error) for error, _ in CASES}


def test_codes_are_unique() -> None:
    codes = [error.code for error, _ in CASES]
    assert len(codes) == len(set(codes))


@pytest.mark.parametrize(("error", "status"), CASES, ids=lambda value: getattr(value, "code", str(value)))
def test_each_error_has_its_status_and_a_document(error: DialplaneError, status: int) -> None:
    assert status_of(error) == status
    response = problem(error, REQUEST)
    document = json.loads(response.body)
    assert (response.status, response.content_type) == (status, PROBLEM_JSON)
    assert document["type"] == f"urn:dialplane:error:{error.code}"
    assert (document["status"], document["code"], document["request_id"]) == (status, error.code, "request-1")
    assert (document["detail"], document["instance"]) == (error.message, "/calls/initiate")
    assert document["title"][0].isupper()
    assert ("www-authenticate" in response.headers) is (status == 401)
    assert "idempotent-replayed" not in response.headers


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (errors.IdempotencyInProgress(1), "1"),
        (errors.ActiveCallsLimitReached(5), "5"),
        (errors.CarrierUnavailable("x", retry_after_seconds=7), "7"),
        (errors.CarrierUnavailable("x"), None),
        (errors.CarrierRejected("x"), None),
    ],
)
def test_whoever_may_come_again_is_told_when(error: DialplaneError, seconds: str | None) -> None:
    response = problem(error, REQUEST)
    assert response.headers.get("retry-after") == seconds
    assert "retry_after_seconds" not in json.loads(response.body)


def test_a_dialect_may_word_the_detail() -> None:
    assert json.loads(problem(errors.CallNotFound(), REQUEST, detail=["x"]).body)["detail"] == ["x"]


@pytest.mark.parametrize(
    ("error", "members"),
    [
        (
            errors.InsufficientBalance(available=Money(1, "USD"), required=Money(2, "USD")),
            {"balance": "0.000001", "required": "0.000002", "currency": "USD"},
        ),
        (errors.VariablesMissing(["b", "a"]), {"variables": ["b", "a"]}),
        (errors.PermissionDenied("can_x"), {"scope": "can_x"}),
        (errors.FieldMissing("a"), {"field": "a"}),
        (errors.DestinationNotAllowed("x", country="GB"), {"country": "GB"}),
    ],
)
def test_the_facts_of_an_error_are_members_of_its_document(error: DialplaneError, members: dict[str, Any]) -> None:
    document = json.loads(problem(error, REQUEST).body)
    assert {name: document[name] for name in members} == members


def test_a_replay_is_marked() -> None:
    error = errors.CarrierRejected("x")
    error.is_replay = True
    assert problem(error, REQUEST).headers["idempotent-replayed"] == "true"


def test_our_own_fault_tells_nothing_but_the_requests_id() -> None:
    response = refusal(RuntimeError("a fault of ours"), REQUEST)
    document = json.loads(response.body)
    assert (response.status, document["code"], document["request_id"]) == (500, "internal_error", "request-1")


def test_an_error_without_a_place_in_the_table_is_ours() -> None:
    assert status_of(DialplaneError("x")) == 500
