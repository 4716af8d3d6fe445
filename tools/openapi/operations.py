"""Every operation: its path, what it takes, what it answers, and which errors it can give."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dialplane.domain.accounts import Scope
from dialplane.domain.statuses import CallStatus
from tools.openapi.schemas import BOOLEAN, INTEGER, PHONE_NUMBER, TEXT, TIME, Schema, words

CALLS, ACCOUNT, DNC, DOCUMENTATION, CARRIERS = "Calls", "Account", "Do-not-call list", "Documentation", "Carriers"
BURKI, KLEN, HMS, TESTER = "Burki", "Klen AI", "HMS Sovereign", "ElevenLabs tester"
TAGS = {
    CALLS: "Calls in Dialplane's own format. Keys with a dialect get lists and single calls in that dialect's.",
    BURKI: "Calls in Burki's format. Errors are problem documents, with Burki's words in `detail`.",
    KLEN: 'Calls in Klen AI\'s format. Errors are `{"error": "<code>", "message": "…"}`.',
    HMS: 'Calls in HMS Sovereign\'s format. Errors are `{"error", "message", "code", "param"}`.',
    TESTER: 'Calls in the format of the ElevenLabs and Twilio tester. Errors are `{"error": "<text>"}`.',
    ACCOUNT: "The wallet, carrier accounts and numbers.",
    DNC: "Numbers that must not be called. After an addition is acknowledged no dial to the number is sent.",
    DOCUMENTATION: "This description, for everybody.",
    CARRIERS: "What carriers call. Nothing of a request is believed before its signature is checked.",
}

_KEY_ERRORS = ("authentication_required", "invalid_key", "permission_denied")
_BODY_ERRORS = ("invalid_json", "body_too_large", "invalid_fields", "invalid_value")
_INITIATE_ERRORS = (
    *_KEY_ERRORS,
    *_BODY_ERRORS,
    "missing_field",
    "invalid_phone_number",
    "invalid_template",
    "missing_variables",
    "invalid_configuration",
    "engine_unsupported",
    "insufficient_balance",
    "organization_suspended",
    "caller_number_foreign",
    "assistant_foreign",
    "number_cannot_dial_out",
    "do_not_call",
    "destination_not_allowed",
    "caller_number_missing",
    "assistant_not_found",
    "idempotency_key_reused",
    "idempotency_in_progress",
    "active_calls_limit_reached",
    "rate_limit_exceeded",
    "carrier_rate_reached",
    "service_busy",
)
_DIAL_ERRORS = ("destination_refused", "carrier_rejected", "carrier_unavailable", "call_not_placed")
_CONTROL_ERRORS = (
    *_KEY_ERRORS,
    "call_not_found",
    "call_not_in_progress",
    "control_unsupported",
    "commands_limit_reached",
    "carrier_unavailable",
)

_REMINDER: dict[str, Any] = {
    "to_phone_number": "+15559876543",
    "welcome_message": "Hello {{name}}, this is a reminder about your appointment tomorrow at {{time}}.",
    "agenda": "Remind {{name}} about their upcoming {{appointment_type}} appointment.",
    "variables": {"name": "John Doe", "time": "10 AM", "appointment_type": "dental"},
}
_BASIC: dict[str, Any] = {"from_phone_number": "+15551234567", "to_phone_number": "+15559876543"}
BURKI_EXAMPLES: dict[str, Any] = {
    "number": _BASIC,
    "number_custom": {**_BASIC, **_REMINDER},
    "number_override": {
        **_BASIC,
        "assistant_id": 456,
        "welcome_message": "Hi there! I'm calling about your recent inquiry.",
    },
    "assistant": {"assistant_id": 123, **_REMINDER},
}
KLEN_EXAMPLES: dict[str, Any] = {
    "agent": {
        "phone_number": "+15551234567",
        "agent_id": 123,
        "variables": {"customer_name": "John Smith", "company": "Acme Inc.", "appointment_time": "2:00 PM tomorrow"},
    },
    "agent_by_public_id": {"phone_number": "+15551234567", "agent_id": "reminder", "contact_id": 456},
}
HMS_EXAMPLES: dict[str, Any] = {
    "reference": {"destination": "+31612345678", "assistant_id": "17a0cb75-fa09-4bdd-9a44-92a70d829c88"},
    "transient": {
        "destination": "+31612345678",
        "number_id": "num_15551234567",
        "assistant": {
            "name": "Survey",
            "first_message": "Hello, do you have a minute?",
            "llm_config": {
                "provider": "openai",
                "model": "gpt-4o",
                "messages": [{"role": "system", "content": "Ask three questions about {{product}}."}],
            },
            "stt_config": {"provider": "deepgram", "model": "nova-3-general"},
            "tts_config": {"provider": "elevenlabs"},
        },
        "variables": {"product": "the new timetable"},
    },
    "hybrid": {
        "destination": "+31612345678",
        "assistant_id": "17a0cb75-fa09-4bdd-9a44-92a70d829c88",
        "assistant_override": {"first_message": "Hello again!"},
    },
}
TESTER_EXAMPLES: dict[str, Any] = {
    "call": {
        "to_number": "+15551234567",
        "business_description": "A dental practice with two dentists.",
        "scenario": "book an appointment for next week",
    },
    "call_with_context": {"to_number": "+15551234567"},
}


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter in the query or a header."""

    name: str
    schema: Schema
    description: str = ""
    place: str = "query"


@dataclass(frozen=True, slots=True)
class Operation:
    """One route. ``answers`` are a schema or a content type by status; ``dialects`` those that word its errors."""

    route: str
    tag: str
    summary: str
    description: str = ""
    scope: Scope | None = None
    parameters: tuple[Parameter, ...] = ()
    bodies: tuple[str, ...] = ()
    is_body_required: bool = True
    examples: Mapping[str, Any] = field(default_factory=dict)
    answers: Mapping[int, tuple[str, ...] | str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    errors: tuple[str, ...] = ()
    dialects: tuple[str | None, ...] = (None,)
    takes_key_in_query: bool = False
    is_webhook: bool = False


_IDEMPOTENCY_KEY = Parameter(
    "Idempotency-Key",
    {"type": "string", "minLength": 1, "maxLength": 255},
    "One key, one effect, for 24 hours. A repetition is answered like the first request.",
    "header",
)
_COMMAND_ID = Parameter(
    "Idempotency-Key",
    {"type": "string", "minLength": 1, "maxLength": 255},
    "Another name for `command_id`.",
    "header",
)
_DRY_RUN = Parameter("dry_run", BOOLEAN, "Say what the request would do, and do nothing. May also be in the body.")
_CALL_HEADERS = {
    "Location": "Where the call is shown",
    "X-Caller-Number-Reason": "Why the call is made from its number",
    "Idempotent-Replayed": "`true` for the answer to a repetition",
}
_PAGING = (
    Parameter("limit", {"type": "integer", "minimum": 1, "maximum": 100, "default": 50}),
    Parameter("cursor", TEXT, "`next_cursor` of the page before"),
)
_OF_A_DIALECT = "Keys with a dialect get its shape and its errors, and give its parameters. "


def _initiate(
    route: str, tag: str, dialects: tuple[str, ...], headers: Mapping[str, str] = _CALL_HEADERS, **facts: Any
) -> Operation:
    return Operation(
        route,
        tag,
        "Place a call",
        scope=Scope.INITIATE_CALLS,
        parameters=(_DRY_RUN, _IDEMPOTENCY_KEY),
        headers=headers,
        dialects=dialects,
        **facts,
    )


OPERATIONS: tuple[Operation, ...] = (
    _initiate(
        "POST /calls/initiate",
        BURKI,
        ("burki", "klen"),
        description=(
            "Seed format of Burki, current and older. A body with `phone_number` or `agent_id`, and with none of "
            "`from_phone_number`, `to_phone_number` and `assistant_id`, is Klen AI's."
        ),
        bodies=("BurkiInitiateCallRequest", "KlenInitiateCallRequest"),
        examples=BURKI_EXAMPLES,
        answers={200: ("BurkiCallPlaced", "KlenCallQueued", "DryRun"), 202: ("BurkiCallUnknown",)},
        errors=(*_INITIATE_ERRORS, *_DIAL_ERRORS),
        takes_key_in_query=True,
    ),
    _initiate(
        "POST /calls",
        KLEN,
        ("klen",),
        description="Answered when the call is admitted and its money held; the dial follows at once.",
        bodies=("KlenInitiateCallRequest",),
        examples=KLEN_EXAMPLES,
        answers={200: ("KlenCallQueued", "DryRun")},
        errors=_INITIATE_ERRORS,
        takes_key_in_query=True,
    ),
    _initiate(
        "POST /calls/outbound",
        HMS,
        ("hms",),
        headers={**_CALL_HEADERS, "Deprecation": "Since when a name that was sent is deprecated (RFC 9745)"},
        description=(
            "Three modes: `assistant_id` (reference), `assistant` (transient), `assistant_id` with "
            "`assistant_override` (hybrid). Without `number_id` the organization's pool chooses the caller number. "
            "Answered when the call is admitted and its money held; the dial follows at once."
        ),
        bodies=("HmsInitiateCallRequest",),
        examples=HMS_EXAMPLES,
        answers={200: ("HmsCallDialing", "DryRun")},
        errors=_INITIATE_ERRORS,
    ),
    _initiate(
        "POST /api/call",
        TESTER,
        ("elevenlabs_tester",),
        description="The organization's default assistant calls, as a customer of the business that is described.",
        bodies=("TesterInitiateCallRequest",),
        examples=TESTER_EXAMPLES,
        answers={200: ("TesterCallInitiated", "DryRun"), 202: ("TesterCallUnknown",)},
        errors=(*_INITIATE_ERRORS, *_DIAL_ERRORS, "setup_missing"),
    ),
    Operation(
        "POST /api/context",
        TESTER,
        "Describe the business that the next calls are about",
        "Kept for a day for the client's cookie, and for its key.",
        Scope.INITIATE_CALLS,
        bodies=("TesterContextRequest",),
        examples={"context": {"description": "A dental practice with two dentists.", "scenario": "ask for the prices"}},
        answers={200: ("TesterContextKept",)},
        headers={"Set-Cookie": "The session of this client"},
        errors=(*_KEY_ERRORS, *_BODY_ERRORS, "missing_field"),
        dialects=("elevenlabs_tester",),
    ),
    Operation(
        "GET /calls",
        CALLS,
        "List calls, newest first",
        _OF_A_DIALECT + "Klen AI: `agent_id`, `status`, `type`, `page`, `limit`. HMS Sovereign: `limit`, `offset`, "
        "`status`, `start_date`, `end_date`. Totals count at most 10,000 calls.",
        Scope.READ_CALLS,
        (
            Parameter("status", TEXT, f"Dialplane's: {', '.join(CallStatus)}; a dialect's are its own"),
            Parameter("assistant_id", {"type": "integer", "minimum": 1}),
            Parameter("from", PHONE_NUMBER, "The caller number"),
            Parameter("to", PHONE_NUMBER, "The destination"),
            Parameter("created_after", TIME),
            Parameter("created_before", TIME, "Exclusive"),
            *_PAGING,
            Parameter("agent_id", TEXT, "Klen AI: integer id or public id"),
            Parameter("type", words("outbound", "inbound"), "Klen AI"),
            Parameter("page", {"type": "integer", "minimum": 1}, "Klen AI"),
            Parameter("offset", {"type": "integer", "minimum": 0}, "HMS Sovereign"),
            Parameter("start_date", TEXT, "HMS Sovereign: a day or a time, within"),
            Parameter("end_date", TEXT, "HMS Sovereign: a day or a time, within"),
        ),
        answers={200: ("CallPage", "KlenCallPage", "HmsCallPage")},
        errors=(*_KEY_ERRORS, "invalid_value", "invalid_phone_number", "invalid_cursor"),
        dialects=(None, "klen", "hms"),
        takes_key_in_query=True,
    ),
    Operation(
        "GET /api/v1/calls",
        BURKI,
        "List calls in Burki's format, newest first",
        "For every key. Totals count at most 10,000 calls.",
        Scope.READ_CALLS,
        (
            Parameter("skip", {"type": "integer", "minimum": 0, "default": 0}),
            Parameter("limit", {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100}),
            Parameter("status", words("ongoing", "completed", "failed")),
            Parameter("assistant_id", {"type": "integer", "minimum": 1}),
            Parameter("assistant_name", TEXT, "Any part of the name, in upper or lower case"),
            Parameter("customer_phone", PHONE_NUMBER),
            Parameter("call_sid", TEXT, "The carrier's id of a call"),
            Parameter("date_from", TEXT, "A day or a time, within"),
            Parameter("date_to", TEXT, "A day or a time, within"),
            Parameter("min_duration", INTEGER, "Seconds, inclusive"),
            Parameter("max_duration", INTEGER, "Seconds, inclusive"),
        ),
        answers={200: ("BurkiCallPage",)},
        errors=(*_KEY_ERRORS, "invalid_value", "invalid_phone_number"),
        dialects=("burki",),
    ),
    Operation(
        "GET /calls/{call_id}",
        CALLS,
        "One call, by our id or the carrier's",
        _OF_A_DIALECT,
        Scope.READ_CALLS,
        answers={200: ("CallDetails", "KlenCall", "HmsCall")},
        errors=(*_KEY_ERRORS, "call_not_found"),
        dialects=(None, "klen", "hms"),
        takes_key_in_query=True,
    ),
    Operation(
        "GET /calls/{call_id}/events",
        CALLS,
        "Everything that happened to a call, in order of time",
        scope=Scope.READ_CALLS,
        answers={200: ("Timeline",)},
        errors=(*_KEY_ERRORS, "call_not_found"),
    ),
    Operation(
        "GET /calls/{call_id}/transcript",
        CALLS,
        "What was said on a call",
        "The same as `conversation` of the call.",
        Scope.READ_CALLS,
        answers={200: ("Transcript",)},
        errors=(*_KEY_ERRORS, "call_not_found", "transcript_not_found"),
    ),
    Operation(
        "DELETE /calls/{call_id}/transcript",
        CALLS,
        "Erase what was said on a call",
        "The transcript, its summary and analysis, the reference to the recording, and the texts and variables that "
        "the call began with. That the call took place and what it cost stays. Erasing twice is erasing once.",
        Scope.ERASE_TRANSCRIPTS,
        answers={204: ()},
        errors=(*_KEY_ERRORS, "call_not_found", "call_not_settled"),
    ),
    Operation(
        "POST /calls/{call_id}/control",
        HMS,
        "Give a call in progress a command",
        "Where Dialplane holds the conversation, it takes the command: `say` and `inject-context` reach the callee and "
        "the model, and the message of `end-call` and `transfer` is spoken first. Everywhere else `end-call` and "
        "`transfer` go to the carrier, and the others are refused; a realtime model takes no text in, and the answer "
        "says so. A transfer passes the gates of a call to its destination. A call takes ten commands a minute, and "
        "its timeline tells which, with what became of them. A command that comes again with the same `command_id` or "
        "`Idempotency-Key` is answered again and not given. Keys with a dialect get its errors.",
        Scope.CONTROL_CALLS,
        parameters=(_COMMAND_ID,),
        bodies=("Command",),
        examples={
            "end": {"type": "end-call"},
            "transfer": {"type": "transfer", "destination": "+15551234568", "message": "One moment, please."},
            "inject_context": {"type": "inject-context", "content": "The code is 1234.", "trigger_response": True},
            "say": {"type": "say", "content": "Are you still there?", "end_after": False, "command_id": "ask-1"},
        },
        answers={200: ("CommandSent",)},
        headers={
            "X-Command-Id": "The command's id in the timeline: yours, or one of ours",
            "X-Command-Result": "`accepted` by the conversation, `applied` by the carrier, or `unsupported`",
            "X-Command-Reliability": "`limited` when not all of the command may be done",
            "Idempotent-Replayed": _CALL_HEADERS["Idempotent-Replayed"],
            "X-RateLimit-Limit": "How many commands the call takes in a minute",
            "X-RateLimit-Remaining": "How many more it takes in this one",
            "X-RateLimit-Reset": "In how many seconds the next one begins",
        },
        errors=(
            *_CONTROL_ERRORS,
            *_BODY_ERRORS,
            "invalid_phone_number",
            "organization_suspended",
            "do_not_call",
            "destination_not_allowed",
            "command_not_available",
            "idempotency_key_reused",
            "idempotency_in_progress",
        ),
        dialects=(None, "klen", "hms"),
        takes_key_in_query=True,
    ),
    Operation(
        "POST /calls/{call_id}/terminate",
        BURKI,
        "End a call that rings or is in progress",
        "By the carrier's id, as Burki has it, or by ours.",
        Scope.CONTROL_CALLS,
        answers={200: ("BurkiCallTerminated",)},
        errors=_CONTROL_ERRORS,
        dialects=("burki",),
    ),
    Operation(
        "GET /wallet",
        ACCOUNT,
        "The wallet",
        scope=Scope.READ_WALLET,
        answers={200: ("Wallet",)},
        errors=_KEY_ERRORS,
    ),
    Operation(
        "GET /wallet/ledger",
        ACCOUNT,
        "Every movement of money, newest first",
        scope=Scope.READ_WALLET,
        parameters=_PAGING,
        answers={200: ("LedgerPage",)},
        errors=(*_KEY_ERRORS, "invalid_value", "invalid_cursor"),
    ),
    Operation(
        "GET /wallet/reconcile",
        ACCOUNT,
        "The wallet recomputed from its ledger and holds",
        "Figures of differences are micro-units, or a count of calls.",
        Scope.READ_WALLET,
        answers={200: ("Reconciliation",)},
        errors=_KEY_ERRORS,
    ),
    Operation(
        "POST /wallet/deposits",
        ACCOUNT,
        "Pay money in",
        scope=Scope.DEPOSIT,
        parameters=(_IDEMPOTENCY_KEY,),
        bodies=("Deposit",),
        examples={"deposit": {"amount": "25.00", "currency": "USD", "note": "Invoice 17"}},
        answers={201: ("LedgerEntry",)},
        headers={"Idempotent-Replayed": _CALL_HEADERS["Idempotent-Replayed"]},
        errors=(*_KEY_ERRORS, *_BODY_ERRORS, "idempotency_key_reused"),
    ),
    Operation(
        "GET /carrier-accounts",
        ACCOUNT,
        "Carrier accounts and the numbers in them",
        "Nothing of their secrets.",
        Scope.READ_ACCOUNTS,
        answers={200: ("CarrierAccounts",)},
        errors=(*_KEY_ERRORS, "invalid_value"),
    ),
    Operation(
        "GET /numbers",
        ACCOUNT,
        "Caller numbers, and who speaks on them",
        scope=Scope.READ_ACCOUNTS,
        answers={200: ("Numbers",)},
        errors=(*_KEY_ERRORS, "invalid_value"),
    ),
    Operation(
        "PUT /dnc/{number}",
        DNC,
        "Do not call this number any more",
        "Answered when every dial that was committed before is over.",
        Scope.WRITE_DNC,
        bodies=("DncReason",),
        is_body_required=False,
        examples={"reason": {"reason": "Asked on the phone"}},
        answers={200: ("DncEntry",)},
        errors=(*_KEY_ERRORS, *_BODY_ERRORS, "invalid_phone_number"),
    ),
    Operation(
        "GET /dnc/{number}",
        DNC,
        "Is this number on the list?",
        scope=Scope.READ_DNC,
        answers={200: ("DncEntry",)},
        errors=(*_KEY_ERRORS, "invalid_phone_number", "dnc_entry_not_found"),
    ),
    Operation(
        "DELETE /dnc/{number}",
        DNC,
        "Take a number off the list",
        scope=Scope.WRITE_DNC,
        answers={204: ()},
        errors=(*_KEY_ERRORS, "invalid_phone_number", "dnc_entry_not_found"),
    ),
    Operation("GET /openapi.json", DOCUMENTATION, "This description", answers={200: "application/json"}, dialects=()),
    Operation("GET /docs", DOCUMENTATION, "This description to read and try", answers={200: "text/html"}, dialects=()),
    Operation(
        "GET /docs/{file}",
        DOCUMENTATION,
        "A file of that page",
        answers={200: "text/javascript", 304: ()},
        errors=("route_not_found",),
    ),
    Operation(
        "POST /twiml/{carrier}/{organization_id}/{carrier_account_id}/{call_id}",
        CARRIERS,
        "What to do, now that the callee has answered",
        "The answer is in the carrier's words: TwiML, TeXML or an NCCO. What cannot be served is told to hang up.",
        answers={200: "text/xml", 403: "text/plain", 404: "text/plain", 429: "text/plain"},
        is_webhook=True,
    ),
    Operation(
        "POST /status/{carrier}/{organization_id}/{carrier_account_id}/{call_id}",
        CARRIERS,
        "What has become of a call",
        "Answered when the report is on the queue. Delivered twice or in any order it leads to the same call.",
        answers={200: (), 204: (), 400: "text/plain", 403: "text/plain", 404: "text/plain", 429: "text/plain"},
        is_webhook=True,
    ),
    Operation(
        "POST /status/{carrier}/{organization_id}/{carrier_account_id}",
        CARRIERS,
        "What has become of a call, for carriers that call back one address for all calls of an account",
        answers={200: (), 204: (), 400: "text/plain", 403: "text/plain", 404: "text/plain", 429: "text/plain"},
        is_webhook=True,
    ),
)
