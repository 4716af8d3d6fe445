"""The files of `events/` for everything else: completion, the reconciler's tick, and the API beside placing calls.

The ids, keys and calls are those of `event_world`.
"""

from __future__ import annotations

from typing import Any

from tests.fakes import event_world as world
from tests.fakes.event_builders import api, completion, nowhere, tick
from tests.fakes.event_example import Example

CALL_COMPLETION = (
    Example(
        "call_completion_ended", completion(world.ENDED_CALL_ID), "charge and release", None, {"outcome": "settled"}
    ),
    Example(
        "call_completion_settled",
        completion(world.SETTLED_CALL_ID),
        "done before: nothing moves",
        None,
        {"outcome": "already_settled"},
    ),
    Example("call_completion_ringing", completion(world.RINGING_CALL_ID), "too early", None, {"outcome": "not_ended"}),
)

RECONCILER = (
    Example("reconciler_tick", tick(), "a call that nobody settled is settled", None, {"checked": 1, "settled": 1}),
)

_ONE_CALL, _TALK = {"call_id": world.SETTLED_CALL_ID}, {"call_id": world.TALKING_CALL_ID}
_CALLS_AND_MONEY = (
    Example("manage_list_calls", api("GET /calls"), "newest first", 200, {"has_more": False}),
    Example(
        "manage_list_calls_filtered",
        api("GET /calls", query={"status": "ringing", "to": world.DESTINATION, "limit": "10"}),
        "with filters",
        200,
        {"next_cursor": None},
    ),
    Example(
        "manage_get_call",
        api("GET /calls/{call_id}", parameters=_ONE_CALL),
        "one call",
        200,
        {"id": world.SETTLED_CALL_ID, "status": "completed", "charge": {"amount": "0.060000", "currency": "USD"}},
    ),
    Example(
        "manage_get_call_by_carrier_id",
        api("GET /calls/{call_id}", parameters={"call_id": world.CARRIER_CALL_IDS[world.SETTLED_CALL_ID]}),
        "the same by the carrier's id",
        200,
        {"id": world.SETTLED_CALL_ID},
    ),
    Example(
        "manage_get_foreign_call",
        api("GET /calls/{call_id}", parameters=_ONE_CALL, key=world.POOR_API_KEY),
        "another organization's call does not exist",
        404,
        {"code": "call_not_found"},
    ),
    Example(
        "manage_get_call_conversation",
        api("GET /calls/{call_id}", parameters=_TALK),
        "one call with what has been said on it",
        200,
        "Tuesday, please.",
    ),
    Example(
        "manage_get_transcript",
        api("GET /calls/{call_id}/transcript", parameters=_TALK),
        "what has been said, alone",
        200,
        {"call_id": world.TALKING_CALL_ID, "end_reason": None},
    ),
    Example(
        "manage_get_transcript_none",
        api("GET /calls/{call_id}/transcript", parameters=_ONE_CALL),
        "a call on which no conversation was held",
        404,
        {"code": "transcript_not_found"},
    ),
    Example(
        "manage_erase_transcript",
        api("DELETE /calls/{call_id}/transcript", parameters=_ONE_CALL),
        "the words of a call that is settled",
        204,
    ),
    Example(
        "manage_erase_transcript_in_progress",
        api("DELETE /calls/{call_id}/transcript", parameters=_TALK),
        "a call that is not over",
        409,
        {"code": "call_not_settled", "call_status": "in_progress"},
    ),
    Example("manage_get_call_events", api("GET /calls/{call_id}/events", parameters=_ONE_CALL), "its timeline", 200),
    Example(
        "manage_control_ringing",
        api("POST /calls/{call_id}/control", parameters={"call_id": world.RINGING_CALL_ID}, body={"type": "end-call"}),
        "a command for a call that nobody has answered yet",
        400,
        {"code": "call_not_in_progress", "call_status": "ringing"},
    ),
    Example(
        "manage_terminate",
        api("POST /calls/{call_id}/terminate", parameters={"call_id": world.CARRIER_CALL_IDS[world.RINGING_CALL_ID]}),
        "a call that rings is ended, by the carrier's id",
        200,
        {"message": "Call terminated successfully"},
    ),
    Example(
        "manage_list_calls_burki",
        api("GET /api/v1/calls", query={"status": "completed", "limit": "1"}),
        "Burki's list, with a total",
        200,
        {"total": 2, "skip": 0, "limit": 1},
    ),
    Example(
        "manage_wallet",
        api("GET /wallet"),
        "the balance",
        200,
        {"active_calls": 16, "available": {"amount": "47.540000", "currency": "USD"}},
    ),
    Example("manage_ledger", api("GET /wallet/ledger"), "every movement", 200, {"has_more": False}),
    Example(
        "manage_reconcile",
        api("GET /wallet/reconcile"),
        "the wallet recomputed",
        200,
        {"balanced": True, "differences": []},
    ),
    Example(
        "manage_deposit",
        api(
            "POST /wallet/deposits",
            body={"amount": "25.00", "currency": "USD", "note": "Invoice 17"},
            headers={"idempotency-key": "invoice-17"},
        ),
        "money paid in, once",
        201,
        {"kind": "deposit", "amount": {"amount": "25.000000", "currency": "USD"}},
    ),
    Example(
        "manage_deposit_without_scope",
        api("POST /wallet/deposits", body={"amount": "25.00", "currency": "USD"}, key=world.READING_KEY),
        "a key that may only read",
        403,
        {"code": "permission_denied"},
    ),
    Example(
        "manage_dnc_put",
        api("PUT /dnc/{number}", parameters={"number": world.DESTINATION}, body={"reason": "Asked on the phone"}),
        "no more calls to this number",
        200,
        {"number": world.DESTINATION, "reason": "Asked on the phone"},
    ),
    Example(
        "manage_dnc_get",
        api("GET /dnc/{number}", parameters={"number": world.DNC_NUMBER}),
        "a number on the list",
        200,
        {"number": world.DNC_NUMBER},
    ),
    Example(
        "manage_dnc_delete", api("DELETE /dnc/{number}", parameters={"number": world.DNC_NUMBER}), "off the list", 204
    ),
    Example("manage_carrier_accounts", api("GET /carrier-accounts"), "without their secrets", 200),
    Example("manage_numbers", api("GET /numbers"), "who speaks on which number", 200),
    Example("manage_openapi", api("GET /openapi.json", key=None), "the API's description", 200, {"openapi": "3.1.0"}),
    Example("manage_docs", api("GET /docs", key=None), "the description as a page", 200, "swagger-ui-bundle.js"),
    Example(
        "manage_docs_file",
        api("GET /docs/{file}", parameters={"file": "start.js"}, key=None),
        "a file of that page",
        200,
        "SwaggerUIBundle",
    ),
)


def _control(body: Any, *, call_id: str = world.IN_PROGRESS_CALL_ID, **how: Any) -> dict[str, Any]:
    return api("POST /calls/{call_id}/control", parameters={"call_id": call_id}, body=body, **how)


def _terminate(call_id: str, **how: Any) -> dict[str, Any]:
    return api("POST /calls/{call_id}/terminate", parameters={"call_id": call_id}, **how)


_CONTROL = (
    Example(
        "manage_control_end_call",
        _control({"type": "end-call"}),
        "a call in progress is ended",
        200,
        {"success": True, "message": "Command sent successfully"},
    ),
    Example(
        "manage_control_end_call_with_message",
        _control({"type": "end-call", "message": "Goodbye."}),
        "with words that nobody may hear: X-Command-Reliability says so",
        200,
        {"success": True},
    ),
    Example(
        "manage_control_transfer_over",
        _control({"type": "transfer", "destination": "+15559876544", "message": "One moment."}),
        "the carrier no longer has the call",
        400,
        {"code": "call_not_in_progress"},
    ),
    Example(
        "manage_control_transfer_dnc",
        _control({"type": "transfer", "destination": world.DNC_NUMBER}),
        "nobody is connected with who asked not to be called",
        403,
        {"code": "do_not_call"},
    ),
    Example(
        "manage_control_say",
        _control({"type": "say", "content": "Are you still there?"}),
        "no carrier speaks into a conversation",
        409,
        "command",
    ),
    Example(
        "manage_control_say_conversation",
        _control({"type": "say", "content": "Are you still there?"}, call_id=world.TALKING_CALL_ID),
        "where we hold the conversation it is said",
        200,
        {"success": True, "message": "Command sent successfully"},
    ),
    Example(
        "manage_control_inject_context_once",
        _control(
            {"type": "inject-context", "content": "The code is 1234.", "command_id": "code-1"},
            call_id=world.TALKING_CALL_ID,
        ),
        "with an id of its own: coming again it is answered again and not given",
        200,
        {"success": True},
    ),
    Example(
        "manage_control_unknown_command",
        _control({"type": "sing"}),
        "a command that nobody knows",
        400,
        {"code": "invalid_value"},
    ),
    Example(
        "manage_control_ringing",
        _control({"type": "end-call"}, call_id=world.RINGING_CALL_ID),
        "a call that nobody has answered",
        400,
        {"code": "call_not_in_progress"},
    ),
    Example(
        "manage_control_ringing_hms",
        _control({"type": "end-call"}, call_id=world.RINGING_CALL_ID, key=world.HMS_KEY),
        "the same in the words of the key's dialect",
        400,
        {"code": "call_not_in_progress", "error": "Call not in progress"},
    ),
    Example(
        "manage_control_without_scope",
        _control({"type": "end-call"}, key=world.READING_KEY),
        "a key that may only read",
        403,
        {"code": "permission_denied"},
    ),
    Example(
        "manage_terminate",
        _terminate(world.CARRIER_CALL_IDS[world.RINGING_CALL_ID]),
        "a phone that rings is let be, by the carrier's id",
        200,
        {"message": "Call terminated successfully", "call_sid": world.CARRIER_CALL_IDS[world.RINGING_CALL_ID]},
    ),
    Example(
        "manage_terminate_over_vonage",
        _terminate(world.RINGING_CALL_IDS["vonage"]),
        "the same at another carrier",
        200,
        {"message": "Call terminated successfully"},
    ),
    Example(
        "manage_terminate_ended",
        _terminate(world.ENDED_CALL_ID),
        "a call that is over",
        400,
        {"detail": "Cannot terminate call - current status is 'completed'"},
    ),
    Example(
        "manage_terminate_elevenlabs",
        _terminate(world.RINGING_CALL_IDS["elevenlabs"]),
        "ElevenLabs cannot end a call, and the account has no key to Twilio, which could",
        409,
        {"code": "control_unsupported"},
    ),
)
_DIALECTS = (
    Example(
        "manage_list_calls_klen",
        api("GET /calls", key=world.KLEN_KEY, query={"status": "completed", "limit": "1"}),
        "the list in the key's dialect: a page of two",
        200,
        {"count": 2, "page": 1, "limit": 1, "pages": 2},
    ),
    Example(
        "manage_list_calls_klen_key_in_query",
        api("GET /calls", key=None, query={"api_key": world.KLEN_KEY.text, "agent_id": world.ASSISTANT_PUBLIC_ID}),
        "the key in the URL, which this organization allows",
        200,
        {"page": 1, "limit": 10},
    ),
    Example(
        "manage_list_calls_klen_invalid",
        api("GET /calls", key=world.KLEN_KEY, query={"page": "0"}),
        "there is no page 0",
        400,
        {"error": "invalid_value"},
    ),
    Example(
        "manage_get_call_klen",
        api("GET /calls/{call_id}", parameters=_ONE_CALL, key=world.KLEN_KEY),
        "one call in the key's dialect",
        200,
        {"call_id": world.SETTLED_CALL_ID, "status": "completed", "duration_seconds": 61},
    ),
    Example(
        "manage_list_calls_hms",
        api("GET /calls", key=world.HMS_KEY, query={"status": "ended", "limit": "1"}),
        "the list in the key's dialect",
        200,
        {"pagination": {"total": 2, "limit": 1, "offset": 0}},
    ),
    Example(
        "manage_get_call_hms",
        api("GET /calls/{call_id}", parameters=_ONE_CALL, key=world.HMS_KEY),
        "one call in the key's dialect",
        200,
        {"id": world.SETTLED_CALL_ID, "status": "ended", "end_reason": "hang_up"},
    ),
    Example(
        "manage_get_call_hms_unknown",
        api("GET /calls/{call_id}", parameters={"call_id": "call_01JD0000000000000000NNN001"}, key=world.HMS_KEY),
        "a call that nobody knows",
        404,
        {"code": "call_not_found"},
    ),
    Example(
        "manage_list_calls_burki",
        api("GET /api/v1/calls", query={"status": "completed", "limit": "1"}),
        "the older dialect's own list",
        200,
        {"total": 2, "skip": 0, "limit": 1},
    ),
)
_ACCOUNTS = (
    Example("manage_carrier_accounts", api("GET /carrier-accounts"), "accounts, without a secret", 200, "Telnyx"),
    Example("manage_numbers", api("GET /numbers"), "caller numbers", 200, f"num_{world.CALLER_NUMBER[1:]}"),
)
_DOCUMENTATION = (
    Example(
        "manage_openapi", api("GET /openapi.json", key=None), "what there is, for everybody", 200, {"openapi": "3.1.0"}
    ),
    Example("manage_docs", api("GET /docs", key=None), "Swagger UI", 200, "swagger-ui"),
    Example(
        "manage_docs_file",
        api("GET /docs/{file}", key=None, parameters={"file": "start.js"}),
        "a file of it",
        200,
        "SwaggerUIBundle(",
    ),
    Example(
        "manage_docs_unknown_file",
        api("GET /docs/{file}", key=None, parameters={"file": "secrets.txt"}),
        "no file of it",
        404,
        {"code": "route_not_found"},
    ),
    Example(
        "manage_unknown_route",
        nowhere(),
        "a path that nobody knows",
        404,
        {"code": "route_not_found"},
    ),
)

MANAGE = (*_CALLS_AND_MONEY, *_CONTROL, *_DIALECTS, *_ACCOUNTS, *_DOCUMENTATION)
