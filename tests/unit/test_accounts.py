"""Keys: their shape, their proof, their scopes."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialplane.domain.accounts import (
    ApiKey,
    Organization,
    PresentedKey,
    Scope,
    authenticate,
    check_organization_active,
    check_scope,
)
from dialplane.domain.errors import AuthenticationRequired, KeyInvalid, OrganizationSuspended, PermissionDenied
from dialplane.domain.ids import is_id, new_id

NOW = datetime(2026, 11, 20, tzinfo=UTC)
ORGANIZATION = Organization(id="org_01JD00000000000000000KEY01", name="Example")
# Fixed, because texts that are other in every process cannot be names of tests.
PRESENTED = PresentedKey("org_01JD00000000000000000KEY01", "a1b2c3d4", "an-example-and-no-secret".ljust(43, "0"))
KEY = ApiKey(PRESENTED.id, ORGANIZATION.id, "Key", PRESENTED.secret_sha256, frozenset({"can_read_calls"}))


def test_a_key_survives_its_text() -> None:
    assert PresentedKey.parse(PRESENTED.text) == PRESENTED


def test_two_keys_are_never_alike_and_hold_256_bits() -> None:
    keys = {PresentedKey.generate(ORGANIZATION.id).secret for _ in range(100)}
    assert len(keys) == 100
    assert all(len(secret) == 43 for secret in keys)  # 256 bits in base64 without padding


@pytest.mark.parametrize("text", [None, ""])
def test_no_key_is_told_apart_from_a_wrong_one(text: str | None) -> None:
    with pytest.raises(AuthenticationRequired):
        PresentedKey.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        " ",
        "x",
        PRESENTED.text + "\n",
        " " + PRESENTED.text,
        PRESENTED.text[:-1],
        PRESENTED.text + "x",
        PRESENTED.text.upper(),
        PRESENTED.text.replace("dp_", "sk_"),
        PRESENTED.text.replace("org_", "org#"),
        PRESENTED.text[:-1] + "\u00e9",
        "\ud800",
    ],
    ids=ascii,
)
def test_what_has_no_keys_shape_is_invalid(text: str) -> None:
    with pytest.raises(KeyInvalid):
        PresentedKey.parse(text)


@given(text=st.text(max_size=150))
def test_any_text_is_refused_without_another_error(text: str) -> None:
    with pytest.raises((AuthenticationRequired, KeyInvalid)):
        PresentedKey.parse(text)


def test_the_right_key_is_let_in() -> None:
    assert authenticate(PRESENTED, KEY, ORGANIZATION, now=NOW) is KEY


@pytest.mark.parametrize(
    ("key", "organization"),
    [
        (None, ORGANIZATION),
        (KEY, None),
        (None, None),
        (replace(KEY, secret_sha256="0" * 64), ORGANIZATION),
        (replace(KEY, secret_sha256=""), ORGANIZATION),
        (replace(KEY, secret_sha256=PRESENTED.secret), ORGANIZATION),
        (replace(KEY, is_active=False), ORGANIZATION),
        (replace(KEY, expires_at=NOW), ORGANIZATION),
        (replace(KEY, expires_at=NOW - timedelta(days=1)), ORGANIZATION),
    ],
    ids=lambda value: str(value)[:60],
)
def test_everything_else_is_invalid_in_the_same_words(key: ApiKey | None, organization: Organization | None) -> None:
    with pytest.raises(KeyInvalid) as caught:
        authenticate(PRESENTED, key, organization, now=NOW)
    assert caught.value.message == "The API key is invalid or inactive."


def test_a_key_lives_until_its_expiry() -> None:
    key = replace(KEY, expires_at=NOW)
    assert authenticate(PRESENTED, key, ORGANIZATION, now=NOW - timedelta(milliseconds=1)) is key


def test_an_unknown_key_costs_the_same_comparison(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[Any] = []
    monkeypatch.setattr("dialplane.domain.accounts.hmac.compare_digest", lambda *sides: compared.append(sides))
    with pytest.raises(KeyInvalid):
        authenticate(PRESENTED, None, None, now=NOW)
    assert compared == [(b"0" * 64, PRESENTED.secret_sha256.encode())]


def test_only_a_hash_is_kept_and_a_secret_never_shows() -> None:
    assert PRESENTED.secret_sha256 == hashlib.sha256(PRESENTED.secret.encode()).hexdigest()
    assert PRESENTED.secret not in repr(PRESENTED)


@pytest.mark.parametrize("scope", Scope)
def test_a_key_may_do_what_its_scopes_say(scope: Scope) -> None:
    if scope is Scope.READ_CALLS:
        check_scope(KEY, scope)
    else:
        with pytest.raises(PermissionDenied, match=scope.value):
            check_scope(KEY, scope)


def test_a_suspended_organization_is_refused() -> None:
    check_organization_active(ORGANIZATION)
    with pytest.raises(OrganizationSuspended):
        check_organization_active(replace(ORGANIZATION, is_active=False))


@pytest.mark.parametrize("text", ["", "call_", "call_x", "CALL_" + "0" * 26, "call_" + "I" * 26, "call_" + "0" * 27])
def test_what_is_no_id_of_ours(text: str) -> None:
    assert not is_id("call", text)


def test_an_id_has_its_prefix_and_sorts_by_time() -> None:
    assert is_id("call", new_id("call"))
    assert not is_id("led", new_id("call"))
    assert not is_id("call", new_id("call") + "\n")
