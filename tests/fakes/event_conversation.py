"""The files of `events/` for conversations: handshakes, frames, what is due later, and what is found out afterwards.

The ids and calls are those of `event_world`. Nobody is at the other end of its WebSocket: what is said there is lost.
"""

from __future__ import annotations

import json
from typing import Any

from twilio.request_validator import RequestValidator

from dialplane.runtime.callback_urls import SOCKET_PARAMETER, SocketAddress
from tests.fakes import event_world as world
from tests.fakes.event_builders import METHOD_ARN, completion, connection, frame, handshake, records
from tests.fakes.event_example import Example


def _handshake(
    call_id: str, *, token: str = world.SOCKET_TOKEN, auth_token: str | None = world.AUTH_TOKEN
) -> dict[str, Any]:
    address = SocketAddress(world.ORGANIZATION_ID, "twilio", world.CARRIER_ACCOUNT_IDS["twilio"], call_id, token).url(
        world.SOCKET_BASE_URL
    )
    query = {SOCKET_PARAMETER: address.partition(f"?{SOCKET_PARAMETER}=")[2]}
    if auth_token is None:
        return handshake(query, {})
    return handshake(query, {"X-Twilio-Signature": RequestValidator(auth_token).compute_signature(address, {})})


def _policy(effect: str) -> dict[str, Any]:
    statement = {"Action": "execute-api:Invoke", "Effect": effect, "Resource": METHOD_ARN}
    return {"policyDocument": {"Version": "2012-10-17", "Statement": [statement]}}


def _prompt(words: str) -> dict[str, Any]:
    return frame({"type": "prompt", "voicePrompt": words, "lang": "en-US", "last": True})


_TALKING = {"organization_id": world.ORGANIZATION_ID, "call_id": world.TALKING_CALL_ID}
_SETUP = {
    "type": "setup",
    "sessionId": f"VX{1:032x}",
    "accountSid": world.ACCOUNT_SID,
    "callSid": world.CARRIER_CALL_IDS[world.TALKING_CALL_ID],
    "from": world.CALLER_NUMBER,
    "to": world.DESTINATION,
    "direction": "outbound-api",
    "customParameters": {},
}
_INTERRUPT = {
    "type": "interrupt",
    "utteranceUntilInterrupt": "Hello John Doe, would",
    "durationUntilInterruptMs": "900",
}

CONVERSATION = (
    Example(
        "conversation_handshake",
        _handshake(world.ANSWERED_CALL_ID),
        "the carrier has signed the address and its token is good: it is let in, once",
        None,
        {**_policy("Allow"), "principalId": world.ANSWERED_CALL_ID},
    ),
    Example(
        "conversation_handshake_used",
        _handshake(world.TALKING_CALL_ID),
        "a token that was used before opens nothing",
        None,
        _policy("Deny"),
    ),
    Example(
        "conversation_handshake_other_token",
        _handshake(world.ANSWERED_CALL_ID, token="another-than-the-calls"),
        "another token than the call's, well signed",
        None,
        _policy("Deny"),
    ),
    Example(
        "conversation_handshake_forged",
        _handshake(world.ANSWERED_CALL_ID, auth_token="0" * 32),
        "a signature by somebody else: the token stays good",
        None,
        _policy("Deny"),
    ),
    Example(
        "conversation_handshake_unsigned",
        _handshake(world.ANSWERED_CALL_ID, auth_token=None),
        "no signature",
        None,
        _policy("Deny"),
    ),
    Example("conversation_connect", connection("$connect", "CONNECT"), "who was let in is connected", 200),
    Example("conversation_setup", frame(_SETUP), "the session's first frame", 200),
    Example("conversation_prompt", _prompt("Tuesday at ten would be fine."), "the callee has spoken", 200),
    Example(
        "conversation_opt_out",
        _prompt("Please stop calling me."),
        "the callee does not want to be called: the number is on the list, and the call ends",
        200,
    ),
    Example("conversation_digit", frame({"type": "dtmf", "digit": "1"}), "the callee has pressed a key", 200),
    Example("conversation_interrupt", frame(_INTERRUPT), "the callee speaks over us", 200),
    Example(
        "conversation_error",
        frame({"type": "error", "description": "Invalid message received: {}"}),
        "the carrier did not understand a frame of ours",
        200,
    ),
    Example("conversation_no_json", frame("{"), "a frame that is no JSON is dropped, and the call goes on", 200),
    Example(
        "conversation_unknown_frame", frame({"type": "hologram"}), "and so is one of a kind that we do not know", 200
    ),
    Example("conversation_disconnect", connection("$disconnect", "DISCONNECT"), "the WebSocket is closed", 200),
)


def _tasks(*bodies: object) -> dict[str, Any]:
    texts = [body if isinstance(body, str) else json.dumps(body) for body in bodies]
    return records(*texts, queue="ConversationTasksQueue")


CONVERSATION_TASKS = (
    Example(
        "conversation_tasks_look",
        _tasks({"kind": "look", **_TALKING}),
        "the callee has been silent: it is asked whether somebody is there",
        None,
        {"batchItemFailures": []},
    ),
    Example(
        "conversation_tasks_without_conversation",
        _tasks({"kind": "look", **_TALKING, "call_id": world.SETTLED_CALL_ID}),
        "a call that is not talked on: nothing is due",
        None,
        {"batchItemFailures": []},
    ),
    Example(
        "conversation_tasks_bad_message",
        _tasks("no task"),
        "a message that cannot be understood comes again, and then to the dead-letter queue",
        None,
        {"batchItemFailures": [{"itemIdentifier": "00000001-1111-4222-8333-444444444444"}]},
    ),
)

CALL_ANALYSIS = (
    Example(
        "call_analysis_talked",
        completion(world.TALKING_CALL_ID),
        "what was said is summed up",
        None,
        {"outcome": "analyzed"},
    ),
    Example(
        "call_analysis_without_conversation",
        completion(world.SETTLED_CALL_ID),
        "nothing was said",
        None,
        {"outcome": "no_conversation"},
    ),
)
