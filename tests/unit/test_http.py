"""Events to requests and back, and bodies that mean one thing only."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialplane.domain.errors import BodyTooLarge, JsonInvalid
from dialplane.runtime import http
from dialplane.runtime.http import BODY_BYTES_MAX, HttpRequest, HttpResponse, json_response


def a_request(body: bytes = b"{}", **event: Any) -> HttpRequest:
    return HttpRequest.from_event({"body": base64.b64encode(body).decode(), "isBase64Encoded": True, **event})


def test_an_event_becomes_a_request() -> None:
    request = HttpRequest.from_event(
        {
            "version": "2.0",
            "rawPath": "/calls/x",
            "headers": {"X-API-Key": "k", "content-TYPE": "a/b"},
            "queryStringParameters": {"a": "b"},
            "pathParameters": {"call_id": "x"},
            "requestContext": {"http": {"method": "get", "path": "/calls/x"}, "requestId": "own-id"},
            "body": "text",
            "isBase64Encoded": False,
        }
    )
    assert request == HttpRequest(
        "GET", "/calls/x", {"x-api-key": "k", "content-type": "a/b"}, {"a": "b"}, {"call_id": "x"}, b"text", "own-id"
    )


def test_an_event_without_anything_is_a_request_without_anything() -> None:
    assert HttpRequest.from_event({}) == HttpRequest("GET", "/", {}, {}, {}, b"", "unknown")


@pytest.mark.parametrize("body", ["%", "abc", "\u00e4", "a===", "\ud800"], ids=ascii)
def test_broken_base64_is_an_empty_body(body: str) -> None:
    assert HttpRequest.from_event({"body": body, "isBase64Encoded": True}).body == b""


@pytest.mark.parametrize(
    ("headers", "key"),
    [
        ({}, None),
        ({"authorization": "Bearer k"}, "k"),
        ({"authorization": "bearer   k  "}, "k"),
        ({"authorization": "Basic k"}, None),
        ({"authorization": "Bearer"}, None),
        ({"authorization": "Bearer "}, None),
        ({"x-api-key": "k"}, "k"),
        ({"x-api-key": ""}, None),
        ({"authorization": "Bearer a", "x-api-key": "b"}, "a"),
        ({"authorization": "Basic a", "x-api-key": "b"}, "b"),
    ],
)
def test_where_the_key_is_found(headers: dict[str, str], key: str | None) -> None:
    assert a_request(headers=headers).api_key == key


@pytest.mark.parametrize(
    ("sent", "is_kept"),
    [
        *(("a", True), ("A-z_0.9:x", True), ("x" * 128, True)),
        *(("", False), ("x" * 129, False), ("a b", False), ("a\n", False), ("\u00e9", False)),
    ],
)
def test_a_clients_request_id_is_kept_when_it_is_one(sent: str, is_kept: bool) -> None:
    request = a_request(headers={"X-Request-Id": sent}, requestContext={"requestId": "own"})
    assert request.request_id == (sent if is_kept else "own")


# ---- JSON -----------------------------------------------------------------------------------------------------------


def test_a_json_object_is_read() -> None:
    body = '{"a": [1, 2.5, true, null, "\u00e9"], "b": {"c": -1}}'.encode()
    assert a_request(body).json_object() == {"a": [1, 2.5, True, None, "\u00e9"], "b": {"c": -1}}


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "not valid JSON"),
        (b"{", "not valid JSON"),
        (b"[]", "must be a JSON object"),
        (b"null", "must be a JSON object"),
        (b'{"a":NaN}', "NaN is not a JSON value"),
        (b'{"a":-Infinity}', "-Infinity is not a JSON value"),
        (b'{"a":1e400}', "beyond the range"),
        (b'{"a":[{"b":-1e999}]}', "beyond the range"),
        (b'{"a":1,"b":2,"a":3}', "the name 'a' is there twice"),
        (b'{"x":{"b":2,"b":2}}', "the name 'b' is there twice"),
        (b'{"a":' + b"9" * 5_000 + b"}", "not valid JSON: a number has more digits than can be read"),
        (b"\xff", "not valid JSON"),
        (b"\xef\xbb\xbf{}", "not valid JSON"),
        (b"[" * 60_000, "nested too deeply"),
        (b'{"a":' * 101 + b"1" + b"}" * 101, "deeper than 100 levels"),
        (b'{"a":' + b"[" * 100 + b"]" * 100 + b"}", "deeper than 100 levels"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_is_no_json_object_is_refused_and_says_why(body: bytes, says: str) -> None:
    with pytest.raises(JsonInvalid, match=says):
        a_request(body).json_object()


def test_a_hundred_levels_are_read() -> None:
    assert a_request(b'{"a":' * 100 + b"1" + b"}" * 100).json_object()


def test_a_body_may_have_64_kb() -> None:
    body = b'{"a":"' + b"x" * (BODY_BYTES_MAX - 8) + b'"}'
    assert len(body) == BODY_BYTES_MAX
    assert a_request(body).json_object()
    with pytest.raises(BodyTooLarge, match="65537 bytes"):
        a_request(body + b" ").json_object()


def test_a_repeated_name_among_thousands_is_found_in_one_pass() -> None:
    """Counting each name anew took half a second of anybody's unauthenticated request."""

    class Counted(str):
        comparisons = 0

        def __eq__(self, other: object) -> bool:
            Counted.comparisons += 1
            return str.__eq__(self, other)

        __hash__ = str.__hash__

    names = [*range(2_000), 7]
    pairs: list[tuple[str, Any]] = [(Counted(name), 1) for name in names]
    with pytest.raises(ValueError, match="'7' is there twice"):
        http._object_without_duplicates(pairs)
    assert Counted.comparisons < 10 * len(pairs)


# ---- answers --------------------------------------------------------------------------------------------------------


def test_an_answer_carries_the_requests_id() -> None:
    request = a_request(headers={"x-request-id": "r"})
    event = HttpResponse(204, content_type="text/plain", headers={"location": "/x"}).to_event(request)
    assert event == {
        "statusCode": 204,
        "headers": {"content-type": "text/plain", "x-request-id": "r", "location": "/x"},
        "body": "",
        "isBase64Encoded": False,
    }


@given(text=st.text())
def test_any_text_can_be_sent_back(text: str) -> None:
    response = json_response(200, {"text": text}, retry_after="5")
    response.body.encode("ascii")
    assert json.loads(response.body) == {"text": text}
    assert response.headers == {"retry-after": "5"}
