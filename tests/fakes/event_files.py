"""What is in `events/`: every file as API Gateway, SQS, Step Functions or the scheduler would send it, and its answer.

`python -m tests.fakes.event_files` writes the files and their README; a test checks that they are what it writes. The
ids, keys and tokens are those of `event_world`. A long file, because it is one table.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dialplane.domain.accounts import PresentedKey
from dialplane.dynamodb.tables import Tables
from tests.fakes import event_world as world
from tests.fakes.event_builders import ENDED, api, completion, initiate, message, progress, records, tick, twilio
from tests.fakes.template import ROOT

FOLDER = ROOT / "events"


@dataclass(frozen=True)
class Example:
    """One file: its name (which begins with its function), the event, what it shows and what is answered.

    ``answer`` is what the answer must hold: members of a JSON object, or a piece of a text. ``status`` is None for
    functions that do not speak HTTP.
    """

    name: str
    event: Mapping[str, Any]
    shows: str
    status: int | None = None
    answer: Mapping[str, Any] | str = ""

    def mismatch(self, given: Any) -> str:
        """What is wrong with this answer of the function's; '' when it is the one documented."""
        if isinstance(given, Mapping) and "errorMessage" in given:
            return f"raised {given.get('errorType')}: {given['errorMessage']}"
        if self.status is not None:
            status = given.get("statusCode") if isinstance(given, Mapping) else None
            if status != self.status:
                return f"expected status {self.status}, got {json.dumps(given)}"
            given = given.get("body", "")
        if isinstance(self.answer, str):
            return "" if self.answer in str(given) else f"expected {self.answer!r} in {given!r}"
        try:
            document = json.loads(given) if isinstance(given, str) else given
        except ValueError:
            document = None
        if not isinstance(document, Mapping):
            return f"expected a JSON object, got {given!r}"
        differing = {name: value for name, value in self.answer.items() if (name, value) not in document.items()}
        return "; ".join(f"{name}: expected {value!r}, got {document.get(name)!r}" for name, value in differing.items())


_REMINDER = {
    "to_phone_number": world.DESTINATION,
    "welcome_message": "Hello {{name}}, this is a reminder about your appointment tomorrow at {{time}}.",
    "agenda": "Remind {{name}} about their upcoming {{appointment_type}} appointment.",
    "variables": {"name": "John Doe", "time": "10 AM", "appointment_type": "dental"},
}
_BASIC = {"from_phone_number": world.CALLER_NUMBER, "to_phone_number": world.DESTINATION}
_OVERRIDE = {**_BASIC, "assistant_id": 456, "welcome_message": "Hi there! I'm calling about your recent inquiry."}
_PLACED = {"message": "Call initiated successfully"}

INITIATE = (
    Example("initiate_seed0_example", initiate({"assistant_id": 123, **_REMINDER}), "the older body", 200, _PLACED),
    Example("initiate_seed2_basic", initiate(_BASIC), "the number's own assistant", 200, _PLACED),
    Example("initiate_seed2_custom", initiate({**_BASIC, **_REMINDER}), "own words with variables", 200, _PLACED),
    Example("initiate_seed2_override", initiate(_OVERRIDE), "another assistant", 200, _PLACED),
    Example(
        "initiate_x_api_key",
        initiate(_BASIC, key=None, headers={"x-api-key": world.API_KEY.text}),
        "the key in its other header",
        200,
        _PLACED,
    ),
    Example(
        "initiate_idempotency_key",
        initiate(_BASIC, headers={"idempotency-key": "5f0e8b36-0d2a-4f5e-9a51-3f9f2b1c7d10"}),
        "a request that may be repeated",
        200,
        _PLACED,
    ),
    Example(
        "initiate_dry_run",
        initiate({**_BASIC, **_REMINDER}, query={"dry_run": "true"}),
        "every gate's verdict, and nothing is changed",
        200,
        {"dry_run": True, "allowed": True, "agenda": "Remind John Doe about their upcoming dental appointment."},
    ),
    Example(
        "initiate_missing_from",
        initiate({"to_phone_number": world.DESTINATION}),
        "neither a number nor an assistant to call as",
        400,
        {"detail": "from_phone_number is required"},
    ),
    Example(
        "initiate_missing_to",
        initiate({"from_phone_number": world.CALLER_NUMBER}),
        "nobody to call",
        400,
        {"detail": "to_phone_number is required"},
    ),
    Example(
        "initiate_invalid_number",
        initiate({**_BASIC, "to_phone_number": "555-987-6543"}),
        "a number that is not E.164",
        400,
        {"detail": "Invalid phone number format. Use E.164 format (e.g., +1234567890)"},
    ),
    Example(
        "initiate_missing_variable",
        initiate({**_BASIC, "welcome_message": "Hello {{name}}."}),
        "a placeholder that nothing fills",
        400,
        {"code": "missing_variables", "variables": ["name"]},
    ),
    Example("initiate_no_key", initiate(_BASIC, key=None), "nobody", 401, {"code": "authentication_required"}),
    Example(
        "initiate_wrong_key",
        initiate(_BASIC, key=PresentedKey(world.ORGANIZATION_ID, world.API_KEY.id, "a-wrong-secret".ljust(43, "0"))),
        "a key with another secret",
        401,
        {"code": "invalid_key"},
    ),
    Example(
        "initiate_insufficient_balance",
        initiate({**_BASIC, "from_phone_number": world.POOR_CALLER_NUMBER}, key=world.POOR_API_KEY),
        "a wallet that does not cover the hold",
        402,
        {"detail": "Insufficient balance. Please add funds to continue making calls.", "required": "0.150000"},
    ),
    Example(
        "initiate_foreign_number",
        initiate({**_BASIC, "from_phone_number": world.POOR_CALLER_NUMBER}),
        "another organization's number",
        403,
        {"detail": f"Unauthorized: phone number {world.POOR_CALLER_NUMBER} does not belong to your organization"},
    ),
    Example(
        "initiate_missing_scope",
        initiate(_BASIC, key=world.READING_KEY),
        "a key that may only read",
        403,
        {"code": "permission_denied"},
    ),
    Example(
        "initiate_dnc",
        initiate({**_BASIC, "to_phone_number": world.DNC_NUMBER}),
        "somebody who asked not to be called",
        403,
        {"code": "do_not_call"},
    ),
    Example(
        "initiate_no_assistant",
        initiate({**_BASIC, "from_phone_number": world.UNASSIGNED_NUMBER}),
        "a number without an assistant",
        404,
        {"detail": f"No assistant found for phone number {world.UNASSIGNED_NUMBER}"},
    ),
    Example("initiate_bad_json", initiate('{"from_phone_number": '), "half a body", 422, {"code": "invalid_json"}),
    Example(
        "initiate_wrong_types",
        initiate({**_BASIC, "assistant_id": "123", "colour": "red"}),
        "a text for a number, and a field nobody knows",
        422,
        {"code": "invalid_fields"},
    ),
)

TWIML = (
    Example("twiml_answered", twilio("twiml", "in-progress"), "the callee answered", 200, "Hello John Doe"),
    Example(
        "twiml_ended_call",
        twilio("twiml", "in-progress", call_id=world.SETTLED_CALL_ID),
        "a call that is over is hung up",
        200,
        "<Hangup",
    ),
    Example(
        "twiml_unknown_call",
        twilio("twiml", "in-progress", call_id="call_01JD0000000000000000NNN001"),
        "a call nobody knows is hung up",
        200,
        "<Hangup",
    ),
    Example(
        "twiml_forged",
        twilio("twiml", "in-progress", token="guessed"),
        "not signed by Twilio",
        403,
        "Invalid webhook signature",
    ),
)

_COMPLETED = twilio("status", "completed", facts=progress(3, **ENDED))
STATUS_WEBHOOK = (
    Example("status_webhook_ringing", twilio("status", "ringing", facts=progress(1)), "progress, queued", 204),
    Example("status_webhook_completed", _COMPLETED, "the end, queued", 204),
    Example("status_webhook_duplicate", _COMPLETED, "the same delivery again: queued, and counted once", 204),
    Example(
        "status_webhook_out_of_order",
        twilio("status", "in-progress", facts=progress(2)),
        "sent before the end and come after it: queued, and found stale",
        204,
    ),
    Example(
        "status_webhook_forged",
        twilio("status", "completed", token="guessed", facts=progress(3, **ENDED)),
        "not signed by Twilio",
        403,
        "Invalid webhook signature",
    ),
    Example(
        "status_webhook_shifted_field",
        twilio("status", "completed", facts=progress(3, CallDurationX="61")),
        "a name grown by a piece of its value, which the signature does not see",
        400,
        "Not a status callback",
    ),
)

_NOTHING_FAILED: dict[str, Any] = {"batchItemFailures": []}
STATUS_WORKER = (
    Example("status_worker_completed", records(message("completed", 3, **ENDED)), "the end", None, _NOTHING_FAILED),
    Example(
        "status_worker_duplicate",
        records(message("completed", 3, **ENDED), message("completed", 3, **ENDED)),
        "one report twice counts once",
        None,
        _NOTHING_FAILED,
    ),
    Example(
        "status_worker_out_of_order",
        records(message("completed", 3, **ENDED), message("in-progress", 2)),
        "a late report does not bring a call back",
        None,
        _NOTHING_FAILED,
    ),
    Example(
        "status_worker_one_bad_message",
        records(message("ringing", 1), "no carrier event", message("completed", 3, **ENDED)),
        "only the message that cannot be understood comes again",
        None,
        {"batchItemFailures": [{"itemIdentifier": "00000002-1111-4222-8333-444444444444"}]},
    ),
)

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

_ONE_CALL = {"call_id": world.SETTLED_CALL_ID}
MANAGE = (
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
        {"active_calls": 2, "available": {"amount": "49.640000", "currency": "USD"}},
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

EXAMPLES = (*INITIATE, *TWIML, *STATUS_WEBHOOK, *STATUS_WORKER, *CALL_COMPLETION, *RECONCILER, *MANAGE)


# ---- writing them ---------------------------------------------------------------------------------------------------

_README = f"""# Events

One file for every way a function can be called, as AWS calls it: HTTP API events (payload format 2.0), SQS batches, the
input of the call-completion task, the scheduler's tick. The name of a file begins with its function in snake case.

They are about one world with fixed ids: organization `{world.ORGANIZATION_ID}` with calls, numbers and money, and
`{world.POOR_ORGANIZATION_ID}` with an empty wallet. `python -m tests.fakes.event_world --carrier-url URL` puts it into
the stack that `AWS_ENDPOINT_URL` and `DIALPLANE_STACK` lead to. Signatures hold for `PUBLIC_BASE_URL`
`{world.PUBLIC_BASE_URL}` and the auth token `{world.AUTH_TOKEN}`. The keys and tokens are good for nothing else.

    sam build
    sam local invoke InitiateFunction --event events/initiate_seed2_basic.json --env-vars events/local/env.json

`make sam-local` runs them all. `local/env.json` names the tables and queues of a world made for single invocations;
point `AWS_ENDPOINT_URL` in it to your emulator. This file, `local/env.json` and the events are written by
`python -m tests.fakes.event_files`.

| file | what it shows | answer |
|---|---|---|
"""

ENVIRONMENT = {
    **{f"{name.upper()}_TABLE_NAME": f"dialplane-events-{name}" for name in Tables.__dataclass_fields__},
    "PUBLIC_BASE_URL": world.PUBLIC_BASE_URL,
    "CARRIER_SECRETS_PREFIX": world.SECRETS_PREFIX,
    "CARRIER_EVENTS_QUEUE_URL": "http://host.docker.internal:4566/000000000000/dialplane-events-carrier-events",
    "CALL_COMPLETION_STATE_MACHINE_ARN": (
        "arn:aws:states:us-east-1:000000000000:stateMachine:dialplane-events-call-completion"
    ),
    "POWERTOOLS_SERVICE_NAME": "dialplane-events",
    "POWERTOOLS_METRICS_NAMESPACE": "Dialplane",
    "CHECK_INTERVAL_SECONDS": "60",
    "PLACEMENT_GRACE_SECONDS": "120",
    "AWS_ENDPOINT_URL": "http://host.docker.internal:4566",
}


def files() -> dict[Path, str]:
    """Every file of the folder, by its path in it."""
    texts = {Path(f"{each.name}.json"): json.dumps(each.event, indent=2) + "\n" for each in EXAMPLES}
    texts[Path("local/env.json")] = json.dumps({"Parameters": ENVIRONMENT}, indent=2) + "\n"
    texts[Path("README.md")] = _README + "".join(f"{_row(each)}\n" for each in EXAMPLES)
    return texts


def _row(example: Example) -> str:
    answer = example.answer if isinstance(example.answer, str) else json.dumps(example.answer)
    parts = [str(example.status) if example.status is not None else "", f"`{answer}`" if answer else ""]
    return f"| {example.name}.json | {example.shows} | {' '.join(part for part in parts if part)} |"


def main() -> None:
    """Write the folder."""
    for path, text in files().items():
        (FOLDER / path).parent.mkdir(parents=True, exist_ok=True)
        (FOLDER / path).write_text(text)


if __name__ == "__main__":
    main()
