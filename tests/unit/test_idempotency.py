"""Idempotency keys: syntax, scope, fingerprint and the 24 hours."""

from __future__ import annotations

import copy
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialplane.domain.errors import IdempotencyKeyReused, ValueInvalid
from dialplane.domain.idempotency import RETENTION, IdempotencyKey, IdempotencyRecord

NOW = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
ROUTE = "POST /calls/initiate"
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
bodies = st.dictionaries(st.text(max_size=5), json_values, max_size=4)


def key(text: str = "k", *, route: str = ROUTE, body: Any = None) -> IdempotencyKey:
    return IdempotencyKey.of(text, route=route, body={} if body is None else body)


@pytest.mark.parametrize(
    "text", ["", " ", "a b", "\t", "a\n", "\x7f", "\x1f", "\u00e9", "\ud800", "x" * 256], ids=ascii
)
def test_a_key_is_1_to_255_visible_ascii_characters(text: str) -> None:
    with pytest.raises(ValueInvalid, match="Idempotency-Key must be"):
        key(text)


@given(text=st.text(alphabet=st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=255))
def test_every_other_text_is_a_key(text: str) -> None:
    assert len(key(text).scope_sha256) == 64


def test_the_scope_is_route_and_key() -> None:
    assert key("a") == key("a")
    assert len({key("a").scope_sha256, key("b").scope_sha256, key("a", route="POST /x").scope_sha256}) == 3


@given(body=bodies)
def test_the_order_of_fields_does_not_matter(body: dict[str, Any]) -> None:
    turned = dict(reversed(list(copy.deepcopy(body).items())))
    assert key(body=body).fingerprint == key(body=turned).fingerprint


@given(first=bodies, second=bodies)
def test_different_bodies_have_different_fingerprints(first: dict[str, Any], second: dict[str, Any]) -> None:
    # repr tells 1 from True, as JSON does and Python's == does not.
    is_same = _typed(first) == _typed(second)
    assert (key(body=first).fingerprint == key(body=second).fingerprint) is is_same


def _typed(value: Any) -> Any:
    match value:
        case dict():
            return repr(sorted((name, _typed(entry)) for name, entry in value.items()))
        case list():
            return repr([_typed(entry) for entry in value])
        case _:
            return repr(value)


def test_a_record_ends_by_the_clock_and_not_by_deletion() -> None:
    record = IdempotencyRecord("s", "f", "call_1", expires_at=int((NOW + RETENTION).timestamp()))
    assert timedelta(hours=24) == RETENTION
    assert record.is_live(NOW + RETENTION - timedelta(milliseconds=1))
    assert not record.is_live(NOW + RETENTION)


def test_another_body_is_refused() -> None:
    first = key(body={"a": 1})
    record = IdempotencyRecord(first.scope_sha256, first.fingerprint, "call_1", expires_at=0)
    record.check_fingerprint(first)
    with pytest.raises(IdempotencyKeyReused):
        record.check_fingerprint(key(body={"a": 2}))
