"""What carriers do around a conversation, and what we make of it: handshakes, verdicts, recordings, broken sessions.

Over every carrier that can converse, each simulated as its documentation has it. The far end of the WebSockets is not
ours here but one that listens or hangs up: what is said is another suite's.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from unittest.mock import patch

import pytest
from aiohttp import web

from dialplane.carriers.contract import CarrierApi, CarrierCredentials, SignedRequest
from dialplane.carriers.registry import ENGINES, TRAITS, open_carrier, webhooks_of
from dialplane.domain.accounts import Assistant
from dialplane.domain.calls import Call
from dialplane.runtime.callback_urls import SOCKET_PARAMETER, SocketAddress, callback_urls
from dialplane.runtime.carrier_accounts import CarrierAccounts
from dialplane.usecases.serve_instructions import SERVED_MAX
from tests.fakes import world as fake_world
from tests.fakes.live_world import LiveWorld, a_live_world
from tests.sandbox.canonical_ends import NUMBERS
from tests.sandbox.voice_application import Received, VoiceApplication

CONVERSING = sorted(carrier for carrier, engines in ENGINES.items() if "conversation" in engines)
# What is called: a machine, which our far end listens to, and somebody whom it hangs up on at once.
MACHINE, LEFT = "+15550100106", "+15550100121"
ASSISTANT = 9300
_GREETING_IS_OVER = ("machine_beep", "machine_silence")
SPEED = 5.0
SECONDS_MAX = 60.0

Lives = Mapping[tuple[str, str], Call]


@pytest.fixture(scope="module")
def application() -> Iterator[VoiceApplication]:
    async def listen_or_leave(socket: web.WebSocketResponse) -> None:
        setup = await socket.receive_json()
        if LEFT in setup["to"]:
            await socket.close()

    with VoiceApplication(socket_handler=listen_or_leave) as running:
        yield running


@pytest.fixture(scope="module")
def world(application: VoiceApplication) -> Iterator[LiveWorld]:
    with (
        patch.object(fake_world, "SOCKET_BASE_URL", application.socket_url()),
        a_live_world(speed=SPEED) as made,
    ):
        made.stack.provision.put_assistant(
            Assistant(
                id=ASSISTANT,
                organization_id=made.demo.organization_id,
                name="Anna",
                welcome_message="Hi.",
                engine="conversation",
                language="en-US",
                machine_detection=True,
                on_machine="leave_message",
                voicemail_message="Please call us back.",
                is_recorded=True,
            )
        )
        yield made


@pytest.fixture(scope="module")
def lives(world: LiveWorld) -> Lives:
    """Over each carrier a call to each of both, lived to its end at the same time."""
    wanted = [(carrier, destination) for destination in (MACHINE, LEFT) for carrier in CONVERSING]
    with ThreadPoolExecutor(len(wanted)) as pool:
        return dict(zip(wanted, pool.map(lambda life: _live(world, *life), wanted), strict=True))


def _live(world: LiveWorld, carrier: str, destination: str) -> Call:
    body = {"from_phone_number": NUMBERS[carrier], "to_phone_number": destination, "assistant_id": ASSISTANT}
    call_id = world.post("/calls/initiate", body).headers["location"].removeprefix("/calls/")
    if destination == LEFT:
        return _when(world, call_id, lambda call: not call.is_open)
    call = _when(world, call_id, lambda call: call.status == "in_progress")
    api, name = _api(world, call), call.carrier_call_id
    assert name is not None
    api.start_recording(name, status_url=callback_urls(world.settings.public_base_url, call)[1])
    _when(world, call_id, lambda call: call.answered_by in _GREETING_IS_OVER)
    api.end_call(name)
    return _when(world, call_id, lambda call: not call.is_open and call.recording_id is not None)


def _api(world: LiveWorld, call: Call) -> CarrierApi:
    return open_carrier(call.carrier, _credentials(world, call), timeout_seconds=5.0)


def _credentials(world: LiveWorld, call: Call) -> CarrierCredentials:
    accounts = CarrierAccounts(world.aws, fake_world.SECRETS_PREFIX)
    found = accounts.credentials(call.organization_id, call.carrier_account_id)
    assert found is not None
    return found


def _when(world: LiveWorld, call_id: str, is_so: Callable[[Call], bool]) -> Call:
    deadline = time.monotonic() + SECONDS_MAX
    while not is_so(call := world.call(call_id)):
        assert time.monotonic() < deadline, call
        time.sleep(0.2)
    return call


def _handshakes(application: VoiceApplication, call: Call) -> list[Received]:
    return [each for each in application.at("/socket") if f".{call.id}." in each.url]


@pytest.mark.parametrize("carrier", CONVERSING)
def test_a_carrier_opens_our_address_and_is_known_by_its_handshake(
    world: LiveWorld, application: VoiceApplication, lives: Lives, carrier: str
) -> None:
    call = lives[carrier, MACHINE]
    (handshake,) = _handshakes(application, call)
    url = handshake.url.replace("http:", "ws:")
    address = SocketAddress.from_query({SOCKET_PARAMETER: url.partition(f"{SOCKET_PARAMETER}=")[2]})
    assert address is not None
    assert (address.call_id, address.token, address.carrier) == (call.id, call.socket_token, carrier)
    headers = {name.lower(): value for name, value in handshake.headers.items()}
    webhooks, credentials = webhooks_of(carrier), _credentials(world, call)
    request = SignedRequest(url, b"", headers, datetime.now(UTC))
    assert webhooks.is_authentic_socket(credentials, request)
    if webhooks.SOCKET_SIGNATURE_HEADER is not None:
        assert not webhooks.is_authentic_socket(credentials, replace(request, url=f"{url}x"))


@pytest.mark.parametrize("carrier", CONVERSING)
def test_the_end_of_a_machines_greeting_is_told_beside_the_call_and_becomes_a_task(
    world: LiveWorld, lives: Lives, carrier: str
) -> None:
    call = lives[carrier, MACHINE]
    assert call.answered_by in _GREETING_IS_OVER
    assert call.answered_by in [task["answered_by"] for task in _tasks(world) if task["call_id"] == call.id]


_KNOWN_TASKS: list[Mapping[str, Any]] = []


def _tasks(world: LiveWorld) -> list[Mapping[str, Any]]:
    sqs, url = world.session.client("sqs"), world.settings.text("CONVERSATION_TASKS_QUEUE_URL")
    while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        _KNOWN_TASKS.extend(json.loads(message["Body"]) for message in messages)
    return _KNOWN_TASKS


@pytest.mark.parametrize("carrier", CONVERSING)
def test_a_recording_is_on_its_call_and_opens_to_nobody(lives: Lives, carrier: str) -> None:
    call = lives[carrier, MACHINE]
    assert call.recording_id is not None
    assert call.recording_id in (call.recording_url or "")
    assert "?X-Amz" not in (call.recording_url or "")
    assert (call.status, call.ended_reason) == ("completed", "hang_up")


@pytest.mark.parametrize("carrier", CONVERSING)
def test_a_session_that_breaks_off_is_taken_up_again_where_the_carrier_asks_and_then_given_up(
    application: VoiceApplication, lives: Lives, carrier: str
) -> None:
    call = lives[carrier, LEFT]
    addresses = [handshake.url for handshake in _handshakes(application, call)]
    sessions = SERVED_MAX if TRAITS[carrier].fetches_instructions else 1
    assert len(addresses) == len(set(addresses)) == sessions
    assert (call.status, call.ended_reason) == ("completed", "hang_up")


def test_after_all_of_it_every_micro_unit_is_accounted_for(world: LiveWorld, lives: Lives) -> None:
    assert len(lives) == 2 * len(CONVERSING)
    assert world.get("GET /wallet/reconcile", "/wallet/reconcile")["differences"] == []
    assert world.failures == []
