"""Following an NCCO: what each action does to the call. Reading NCCOs is `ncco`'s, fetching them `call_runner`'s."""

import json
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import aiohttp

from sandbox.carriers.background import Spawn
from sandbox.carriers.conversations import MEDIA_FRAME_SECONDS, converse
from sandbox.carriers.documents import speaking_seconds
from sandbox.carriers.line import CallEnds, Ending, Line, LineInterrupted
from sandbox.carriers.scenarios import find_scenario
from sandbox.carriers.vonage.calls import Leg, LegStore, iso
from sandbox.carriers.vonage.errors import VonageError
from sandbox.carriers.vonage.events import Address, Webhooks, parties
from sandbox.carriers.vonage.leg_life import NOT_REACHED, LegLife
from sandbox.carriers.vonage.ncco import Action, NccoError, parse_ncco, plain_speech
from sandbox.carriers.vonage.parameters import checked_endpoint, text_of
from sandbox.carriers.vonage.tokens import sign_webhook
from sandbox.carriers.webhooks import WebhookReply

STREAM_SECONDS = 5.0
WAIT_SECONDS_DEFAULT = 10.0
CALLEE_SPEAKS_SECONDS = 2.0
CONNECT_TIMEOUT_SECONDS_DEFAULT = 60
CONNECT_LIMIT_SECONDS_DEFAULT = 7200
_CONTENT_TYPE_DEFAULT = "audio/l16;rate=16000"


@dataclass(frozen=True)
class CallSession:
    """What following a call needs at hand; `spawn` runs work beside it that outlives an action."""

    life: LegLife
    legs: LegStore
    webhooks: Webhooks
    spawn: Spawn

    @property
    def line(self) -> Line:
        """The call's line."""
        return self.life.line

    @property
    def talks_seconds(self) -> float:
        """For how long the callee talks before hanging up."""
        return self.life.leg.scenario.talks_seconds


async def follow(actions: Sequence[Action], session: CallSession) -> tuple[Action, ...] | None:
    """Follow the actions; those that an event URL answered instead, or None when they ran out.

    Raises NccoError, LineInterrupted.
    """
    for action in actions:
        replacement = await _ACTIONS[action["action"]](action, session)
        if replacement is not None:
            return replacement
    return None


async def _talk(action: Action, session: CallSession) -> None:
    words, pauses_seconds = plain_speech(action["text"])
    await _repeat(action, speaking_seconds(words) + pauses_seconds, session)


async def _stream(action: Action, session: CallSession) -> None:
    await _repeat(action, STREAM_SECONDS, session)


async def _repeat(action: Action, seconds: float, session: CallSession) -> None:
    times = action.get("loop", 1)
    while True:
        await session.line.wait(seconds)
        # loop 0 repeats until somebody hangs up.
        times -= 1
        if times == 0:
            return


async def _wait(action: Action, session: CallSession) -> None:
    await session.line.wait(min(max(float(action.get("timeout", WAIT_SECONDS_DEFAULT)), 0.1), 7200.0))


async def _input(action: Action, session: CallSession) -> tuple[Action, ...] | None:
    """The callee enters and says nothing."""
    leg, waits = session.life.leg, []
    body: dict[str, Any] = {**parties(leg), "uuid": leg.uuid}
    if "dtmf" in action["type"]:
        waits.append(float(action.get("dtmf", {}).get("timeOut", 3)))
        body["dtmf"] = {"digits": None, "timed_out": True}
    if "speech" in action["type"]:
        waits.append(float(action.get("speech", {}).get("startTimeout", 10)))
        body["speech"] = {"timeout_reason": "start_timeout", "results": []}
    await session.line.wait(max(waits))
    return await _ask(action, body, session)


async def _notify(action: Action, session: CallSession) -> tuple[Action, ...] | None:
    leg = session.life.leg
    body = {"payload": action["payload"], "uuid": leg.uuid, "conversation_uuid": leg.conversation_uuid}
    return await _ask(action, body, session)


async def _ask(action: Action, body: Mapping[str, Any], session: CallSession) -> tuple[Action, ...] | None:
    """Tell the action's event URL; an NCCO that it answers takes the place of what is left."""
    events, leg = session.life.events, session.life.leg
    address = _event_address(action) or events.address
    if address is None:
        return None
    dated = {**body, "timestamp": iso(leg.timeline.now())}
    sending = session.webhooks.send(events.application, leg, address, dated)
    return replacement_in(await session.line.attend(sending))


def replacement_in(reply: WebhookReply) -> tuple[Action, ...] | None:
    """The NCCO that a reply holds, or None. Raises NccoError."""
    document = _decoded(reply.body) if reply.succeeded else None
    return parse_ncco(document) if isinstance(document, list) and document else None


async def _record(action: Action, session: CallSession) -> None:
    """Record beside the call, or until the callee falls silent when the action has an end of its own."""
    leg, line = session.life.leg, session.life.line
    begun = leg.timeline.now()
    if any(name in action for name in ("endOnSilence", "endOnKey", "timeOut")):
        silent_after = CALLEE_SPEAKS_SECONDS + float(action.get("endOnSilence", 3))
        await line.wait(min(silent_after, float(action.get("timeOut", 7200))))
    address = _event_address(action)
    if address is None:
        return
    recording = str(uuid.uuid4())
    body = {
        "start_time": iso(begun),
        "end_time": iso(leg.timeline.now()),
        "recording_url": f"https://api.nexmo.com/v1/files/{recording}",
        "recording_uuid": recording,
        "size": 12228,
        "conversation_uuid": leg.conversation_uuid,
        "timestamp": iso(leg.timeline.now()),
    }
    session.spawn(_send_and_forget(session, address, body))


async def _send_and_forget(session: CallSession, address: Address, body: Mapping[str, Any]) -> None:
    await session.webhooks.send(session.life.events.application, session.life.leg, address, body)


async def _conversation(_action: Action, session: CallSession) -> None:
    """A conference that nobody else joins: the callee stays for as long as callees talk."""
    await session.line.wait(session.talks_seconds)
    raise CallEnds(Ending.CALLEE_HUNG_UP)


async def _connect(action: Action, session: CallSession) -> None:
    try:
        endpoint = checked_endpoint(action["endpoint"][0], "connect.endpoint")
    except VonageError as error:
        raise NccoError(error.detail) from None
    call = session.life.leg
    from_ = {"type": "phone", "number": str(action["from"])} if "from" in action else call.from_
    other = Leg(
        application_id=call.application_id,
        conversation_uuid=call.conversation_uuid,
        to=endpoint,
        from_=from_,
        scenario=find_scenario(text_of(endpoint)),
        timeline=call.timeline,
    )
    session.legs.add(other)
    life = LegLife(other, session.line, session.life.events.of_leg(other, _event_address(action)))
    try:
        if endpoint["type"] == "websocket":
            await _converse_over_socket(endpoint, life, session)
        else:
            await life.reach(float(action.get("timeout", CONNECT_TIMEOUT_SECONDS_DEFAULT)))
            limit = float(action.get("limit", CONNECT_LIMIT_SECONDS_DEFAULT))
            await session.line.wait(min(other.scenario.talks_seconds, limit))
        life.end(Ending.CALLEE_HUNG_UP)
    except LineInterrupted as interruption:
        if isinstance(interruption, CallEnds) and interruption.ending in NOT_REACHED:
            # Only the other one was not reached: the call goes on.
            life.end(interruption.ending)
            return
        life.end(Ending.CANCELED if other.answered_at_elapsed is None else Ending.CALLEE_HUNG_UP)
        raise


async def _converse_over_socket(endpoint: Mapping[str, Any], life: LegLife, session: CallSession) -> None:
    """Live out a WebSocket leg; returns when the application closed it. Raises LineInterrupted."""
    life.events.raise_status("started")
    headers = _authorization(endpoint, session)
    socket = await session.line.attend(session.webhooks.open_socket(endpoint["uri"], headers, life.leg))
    if socket is None:
        raise CallEnds(Ending.UNREACHABLE)
    life.answer()
    content_type = str(endpoint.get("content-type", _CONTENT_TYPE_DEFAULT))
    await socket.send_json(
        {"event": "websocket:connected", "content-type": content_type, **(endpoint.get("headers") or {})}
    )
    silence = b"\0\0" * int(float(content_type.partition("rate=")[2] or 16000) * MEDIA_FRAME_SECONDS)

    async def on_frame(frame: Any) -> bool:
        await _take_command(frame, socket)
        return False

    async def send_silence() -> None:
        await socket.send_bytes(silence)

    await converse(session, socket, on_frame=on_frame, callee_speaks=send_silence, every=MEDIA_FRAME_SECONDS)
    life.events.raise_other({"uuid": life.leg.uuid, "status": "disconnected"})


async def _take_command(frame: Any, socket: aiohttp.ClientWebSocketResponse) -> None:
    match frame:
        case {"action": "clear"}:
            await socket.send_json({"event": "websocket:cleared"})
        case {"action": "notify"}:
            await socket.send_json({"event": "websocket:notify", "payload": frame.get("payload")})


def _authorization(endpoint: Mapping[str, Any], session: CallSession) -> dict[str, str]:
    match endpoint.get("authorization"):
        case {"type": "vonage"}:
            return {"Authorization": f"Bearer {sign_webhook(session.life.events.application, b'')}"}
        case {"type": "custom", "value": str(value)}:
            return {"Authorization": value}
        case _:
            return {}


def _event_address(action: Action) -> Address | None:
    urls = action.get("eventUrl")
    if not isinstance(urls, list) or not urls:
        return None
    return Address(str(urls[0]), str(action.get("eventMethod", "POST")))


def _decoded(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


_ACTIONS: Final[Mapping[str, Callable[[Action, CallSession], Awaitable[tuple[Action, ...] | None]]]] = {
    "talk": _talk,
    "stream": _stream,
    "input": _input,
    "record": _record,
    "connect": _connect,
    "conversation": _conversation,
    "notify": _notify,
    "wait": _wait,
}
