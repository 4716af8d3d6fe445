"""Carrier credentials: rotated without a gap, and not read for requests that nobody signed."""

from __future__ import annotations

import pytest

from dialplane.runtime.carrier_accounts import CarrierAccounts
from dialplane.runtime.secrets import KeptSecrets
from functions.twiml import app as twiml_app
from tests.fakes.world import ACCOUNT_SID, SECRETS_PREFIX, World
from tests.functional.expectations import SEED2


class _Clock:
    def __init__(self) -> None:
        self.seconds = 1_000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def kept(world: World, monkeypatch: pytest.MonkeyPatch) -> _Clock:
    """The endpoint keeps its credentials between requests, as a warm function does."""
    clock = _Clock()
    accounts = CarrierAccounts(world.aws, SECRETS_PREFIX, clock)
    monkeypatch.setattr(twiml_app, "CarrierAccounts", lambda *_: accounts)
    return clock


def _rotate(world: World, account_id: str, token: str) -> None:
    secret = {"account_sid": ACCOUNT_SID, "auth_token": token}
    world.stack.provision.secrets.put(world.demo.organization_id, account_id, secret)


def test_a_rotated_token_is_found_at_the_first_signature_that_does_not_fit(world: World, kept: _Clock) -> None:
    world.initiate(SEED2)
    call = world.last_call()
    assert world.fetch_instructions(call).status == 200
    _rotate(world, call.carrier_account_id, "rotated")
    kept.seconds += 11
    assert world.fetch_instructions(call, token="rotated").status == 200
    _rotate(world, call.carrier_account_id, "12345")
    kept.seconds += 11
    assert world.fetch_instructions(call).status == 200


def test_forged_signatures_cause_at_most_one_read_in_ten_seconds(
    world: World, kept: _Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.initiate(SEED2)
    call = world.last_call()
    world.fetch_instructions(call)
    reads: list[str] = []
    read = KeptSecrets._fetch
    monkeypatch.setattr(KeptSecrets, "_fetch", lambda self, name: (reads.append(name), read(self, name))[1])
    kept.seconds += 11
    assert [world.fetch_instructions(call, token="forged").status for _ in range(20)] == [403] * 20
    assert len(reads) == 1


def test_an_unsigned_request_reads_no_secret(world: World, kept: _Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    world.initiate(SEED2)
    monkeypatch.setattr(KeptSecrets, "_fetch", lambda self, name: pytest.fail("a secret was read"))
    assert world.fetch_instructions(world.last_call(), signature=None).status == 403
