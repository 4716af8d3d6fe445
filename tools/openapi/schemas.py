"""The shapes of what is answered. Every object is closed and complete, so that a test of an answer finds any drift.

The functions that make these documents are in `runtime.documents` and in each dialect's `answers` and `calls`.
"""

from __future__ import annotations

from typing import Any

from dialplane.carriers.registry import CARRIERS, TRAITS
from dialplane.domain.admission import GateVerdict
from dialplane.domain.commands import CommandType
from dialplane.domain.conversation_settings import EndReason
from dialplane.domain.conversations import Source
from dialplane.domain.resolution import CandidateVerdict, Rule
from dialplane.domain.statuses import CallerNumberReason, CallStatus, EndedReason
from dialplane.domain.wallets import LedgerEntryKind

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
INTEGER: Schema = {"type": "integer"}
NUMBER: Schema = {"type": "number"}
BOOLEAN: Schema = {"type": "boolean"}
ANYTHING: Schema = {}
FREE: Schema = {"type": "object"}
TIME: Schema = {"type": "string", "format": "date-time"}
PHONE_NUMBER: Schema = {"type": "string", "description": "E.164", "pattern": "^\\+[1-9][0-9]{1,14}$"}


def ref(name: str) -> Schema:
    """A component's schema."""
    return {"$ref": f"#/components/schemas/{name}"}


def nullable(schema: Schema) -> Schema:
    """The schema, or null."""
    if set(schema) <= {"type", "format", "description", "pattern"} and isinstance(schema.get("type"), str):
        return schema | {"type": [schema["type"], "null"]}
    return {"anyOf": [schema, {"type": "null"}]}


def array(items: Schema) -> Schema:
    """A list."""
    return {"type": "array", "items": items}


def words(*values: str) -> Schema:
    """One of these texts."""
    return {"type": "string", "enum": sorted(values)}


def closed(description: str = "", /, **properties: Schema) -> Schema:
    """An object with exactly these members."""
    schema: Schema = {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
    return {"description": description, **schema} if description else schema


def partly(schema: Schema, *optional: str) -> Schema:
    """The object, some of whose members may be missing."""
    return schema | {"required": [name for name in schema["required"] if name not in optional]}


_ENGINES = words(*{engine for traits in TRAITS.values() for engine in traits.engines})
_REASON = nullable(words(*CallerNumberReason))

_CALL = closed(
    "A call. What is not known yet is null.",
    id=TEXT,
    status=words(*CallStatus),
    ended_reason=nullable(words(*EndedReason)),
    **{"from": PHONE_NUMBER, "to": PHONE_NUMBER},
    assistant_id=INTEGER | {"description": "0 for an assistant that the request brought along"},
    assistant_public_id=nullable(TEXT),
    assistant_name=TEXT,
    flow_id=nullable(INTEGER),
    contact_id=nullable(INTEGER),
    caller_number_reason=_REASON,
    carrier=words(*CARRIERS),
    carrier_call_id=nullable(TEXT),
    created_at=TIME,
    answered_at=nullable(TIME),
    ended_at=nullable(TIME),
    settled_at=nullable(TIME),
    duration_seconds=nullable(INTEGER),
    time_limit_seconds=INTEGER,
    answered_by=nullable(TEXT),
    sip_response_code=nullable(INTEGER),
    hold=ref("Money"),
    charge=nullable(ref("Money")),
    carrier_cost=nullable(closed("What the carrier says it takes for the call.", amount=TEXT, currency=nullable(TEXT))),
    carrier_error=nullable(TEXT),
    welcome_message=nullable(TEXT | {"description": "What the assistant says first; null once it was erased"}),
    agenda=nullable(TEXT),
)

_CONVERSATION = closed(
    "What was said on a call, as the other side has heard it. It grows while the call is in progress.",
    started_at=TIME,
    ended_at=nullable(TIME),
    end_reason=nullable(words(*EndReason)),
    turns=array(
        closed(
            speaker=words("assistant", "callee"),
            text=TEXT,
            at=TIME,
            source=nullable(words(*Source)),
            interrupted=BOOLEAN | {"description": "Cut by the callee: `text` ends where nobody listened any more"},
            first_token_ms=nullable(INTEGER | {"description": "How long the model took to its first word"}),
        )
    ),
    summary=nullable(TEXT),
    analysis=ANYTHING | {"description": "In the shape of the assistant's `analysis_schema`, or null"},
    opted_out_at=nullable(TIME),
    voicemail=nullable(
        closed(
            "An answering machine: when it was heard, our message was sent, and was played to its end.",
            detected_at=TIME,
            message_sent_at=nullable(TIME),
            message_played_at=nullable(TIME),
        )
    ),
    recording=nullable(closed("At the carrier, by its credentials.", id=nullable(TEXT), url=nullable(TEXT))),
    expires_at=nullable(TIME | {"description": "When none of this is kept any more"}),
)

_TIMELINE_ENTRY: Schema = {
    "oneOf": [
        closed(at=TIME, type={"const": "admitted"}, gates=array(TEXT), hold=ref("Money")),
        closed(
            at=TIME,
            type=words("dial_placed", "dial_rejected", "dial_unknown"),
            carrier=words(*CARRIERS),
            carrier_call_id=nullable(TEXT),
            error=nullable(TEXT),
            error_message=nullable(TEXT),
        ),
        closed(at=TIME, type={"const": "instructions_served"}, engine=_ENGINES),
        closed(
            at=TIME,
            type={"const": "carrier_event"},
            source=words("callback", "reconciler"),
            verdict=words("accepted", "duplicate", "stale", "conflicting", "foreign"),
            carrier_status=TEXT,
            status=nullable(words(*CallStatus)),
            carrier_call_id=TEXT,
            sequence=nullable(INTEGER),
            occurred_at=nullable(TIME),
            duration_seconds=nullable(INTEGER),
            sip_response_code=nullable(INTEGER),
        ),
        closed(
            at=TIME,
            type={"const": "control_command"},
            command_id=TEXT,
            command=words(*CommandType),
            result=TEXT | {"description": "`accepted`, then `applied`, `unsupported` or an error's code"},
            destination=nullable(TEXT | {"description": "masked"}),
        ),
        closed(at=TIME, type={"const": "settled"}, hold=ref("Money"), charge=ref("Money"), release=ref("Money")),
        closed(at=TIME, type={"const": "transcript_erased"}),
    ]
}

_DRY_RUN = closed(
    "What a request would do; nothing was done.",
    dry_run={"const": True},
    allowed=BOOLEAN,
    code=nullable(TEXT),
    gates=array(
        partly(closed(gate=TEXT, verdict=words(*GateVerdict), code=TEXT, detail=TEXT), "code", "detail"),
    ),
    assistant=nullable(closed(id=INTEGER, public_id=nullable(TEXT), name=TEXT)),
    resolution=nullable(
        closed(
            "Who could have spoken, the strongest claim first, and the rule that decided.",
            rule=nullable(words(*Rule)),
            candidates=array(
                closed(rule=words(*Rule), id={"type": ["integer", "string", "null"]}, verdict=words(*CandidateVerdict))
            ),
        )
    ),
    **{"from": nullable(PHONE_NUMBER)},
    caller_number_reason=_REASON,
    to=PHONE_NUMBER,
    carrier=nullable(words(*CARRIERS)),
    disclosure=nullable(TEXT | {"description": "What is said before everything else in a conversation"}),
    welcome_message=nullable(TEXT),
    agenda=nullable(TEXT),
    hold=nullable(ref("Money")),
    time_limit_seconds=nullable(INTEGER),
)

_LEDGER_ENTRY: Schema = {
    "oneOf": [
        closed(id=TEXT, kind=words(*LedgerEntryKind), at=TIME, amount=ref("Money"), note=nullable(TEXT)),
        closed(
            id=TEXT,
            kind=words(*LedgerEntryKind),
            at=TIME,
            call_id=TEXT,
            hold=ref("Money"),
            charge=ref("Money"),
            release=ref("Money"),
        ),
    ]
}

_FIELD_ERRORS = array(closed(type=TEXT, loc=array({"type": ["string", "integer"]}), msg=TEXT, input=ANYTHING))

_PROBLEM: Schema = {
    "description": "A problem document (RFC 9457). Decide by `code`, which does not change. Some have further members.",
    "type": "object",
    "properties": {
        "type": TEXT,
        "title": TEXT,
        "status": INTEGER,
        "detail": {"anyOf": [TEXT, _FIELD_ERRORS]},
        "instance": TEXT,
        "code": TEXT,
        "request_id": TEXT,
        "errors": _FIELD_ERRORS,
    },
    "required": ["type", "title", "status", "detail", "instance", "code", "request_id"],
}

_KLEN_COURSE: dict[str, Schema] = {
    "status": words("queued", "in-progress", "completed", "failed"),
    "type": {"const": "outbound"},
    "phone_number": PHONE_NUMBER,
    "started_at": nullable(TIME),
    "ended_at": nullable(TIME),
    "duration_seconds": nullable(INTEGER),
    "summary": nullable(TEXT),
    "recording_url": nullable(TEXT),
    "contact": nullable(closed(id=INTEGER)),
}
_KLEN_AGENT = closed(id=INTEGER, name=TEXT, assistant_id=nullable(TEXT))
_ANY_ID: Schema = {"type": ["integer", "string"]}

_HMS_CALL = closed(
    id=TEXT,
    direction={"const": "outbound"},
    status=words("connecting", "in-progress", "ended", "failed"),
    end_reason=nullable(TEXT),
    error=nullable(TEXT),
    caller_phone=PHONE_NUMBER,
    assistant_phone=PHONE_NUMBER,
    agent_phone=PHONE_NUMBER,
    phone_number=PHONE_NUMBER,
    number_id=TEXT,
    assistant_id={"type": ["integer", "string", "null"]},
    agent_id={"type": ["integer", "string", "null"]},
    assistant_name=TEXT,
    agent_name=TEXT,
    business_name=nullable(TEXT),
    variables=FREE,
    messages=array(closed(role=TEXT, content=TEXT)),
    transcript=nullable(TEXT),
    summary=nullable(TEXT),
    analysis_result=ANYTHING | {"description": "In the shape of the assistant's `analysis_schema`, or null"},
    recording_url=nullable(TEXT),
    room_name=nullable(TEXT),
    duration_seconds=nullable(INTEGER),
    created_at=TIME,
    started_at=nullable(TIME),
    ended_at=nullable(TIME),
    updated_at=TIME,
)

_BURKI_CALL = closed(
    id=TEXT,
    call_sid=nullable(TEXT),
    assistant_id=INTEGER,
    assistant_name=TEXT,
    flow_name=nullable(TEXT),
    from_phone_number=PHONE_NUMBER,
    to_phone_number=PHONE_NUMBER,
    customer_phone_number=PHONE_NUMBER,
    status=words("ongoing", "completed", "failed"),
    started_at=TIME,
    ended_at=nullable(TIME),
    duration=nullable(INTEGER),
    call_meta=FREE,
    total_cost=nullable(NUMBER),
    llm_cost=nullable(NUMBER),
    tts_cost=nullable(NUMBER),
    stt_cost=nullable(NUMBER),
    telephony_cost=nullable(NUMBER),
    cost_currency=TEXT,
)

_TESTER_CALL = closed(
    ok={"const": True},
    status=TEXT,
    message=TEXT,
    to_number=PHONE_NUMBER,
    scenario=TEXT,
    call_sid=nullable(TEXT),
    conversation_id=nullable(TEXT),
    raw=FREE | {"description": "The carrier's answer, unmodified"},
)

_WORDS: Schema = {"type": "string", "maxLength": 4096}


def _command(name: str, *optional: str, **properties: Schema) -> Schema:
    """A command of this type. An id of the client's own may be with each."""
    command_id: Schema = {"type": "string", "pattern": "^[\\x21-\\x7e]{1,255}$"}
    shape = closed(type={"const": name}, **properties, command_id=nullable(command_id))
    return partly(shape, *optional, "command_id")


_BALANCE = {"balance": TEXT, "required": TEXT, "currency": TEXT}

COMPONENTS: dict[str, Schema] = {
    "Money": closed(amount={"type": "string", "pattern": "^-?[0-9]+\\.[0-9]{6}$"}, currency=TEXT),
    "Problem": _PROBLEM,
    "Call": _CALL,
    "Conversation": _CONVERSATION,
    "CallDetails": closed(
        "A call with what was said on it; null where no conversation was held, and once it is not kept any more.",
        **_CALL["properties"],
        conversation=nullable(ref("Conversation")),
    ),
    "Transcript": closed(call_id=TEXT, **_CONVERSATION["properties"]),
    "CallPage": closed(calls=array(ref("Call")), next_cursor=nullable(TEXT), has_more=BOOLEAN),
    "Timeline": closed(events=array(_TIMELINE_ENTRY)),
    "DryRun": _DRY_RUN,
    "CommandSent": partly(
        closed(
            success=BOOLEAN | {"description": "false for a command that the call's model cannot take in"},
            message=TEXT,
            reliability={"const": "limited", "description": "There when not all of the command may be done"},
            result=words("applied", "unsupported"),
        ),
        "reliability",
        "result",
    ),
    "Wallet": closed(
        "`deposited = available + held + spent`",
        currency=TEXT,
        available=ref("Money"),
        held=ref("Money"),
        spent=ref("Money"),
        deposited=ref("Money"),
        active_calls=INTEGER,
    ),
    "LedgerEntry": _LEDGER_ENTRY,
    "LedgerPage": closed(entries=array(ref("LedgerEntry")), next_cursor=nullable(TEXT), has_more=BOOLEAN),
    "Reconciliation": closed(
        balanced=BOOLEAN,
        differences=array(closed(figure=TEXT, recorded=INTEGER, recomputed=INTEGER)),
        wallet=ref("Wallet"),
    ),
    "DncEntry": closed(number=PHONE_NUMBER, reason=nullable(TEXT), source=TEXT, added_at=TIME),
    "CarrierAccounts": closed(
        carrier_accounts=array(
            closed(
                id=TEXT,
                carrier=words(*CARRIERS),
                carrier_name=TEXT,
                name=TEXT,
                created_at=TIME,
                calls_per_second=nullable(INTEGER),
                engines=array(_ENGINES),
                numbers=array(PHONE_NUMBER),
            )
        )
    ),
    "Numbers": closed(
        numbers=array(
            closed(
                id=TEXT,
                number=PHONE_NUMBER,
                carrier=words(*CARRIERS),
                carrier_account_id=TEXT,
                is_active=BOOLEAN,
                assistant_id=nullable(INTEGER),
                flow_id=nullable(INTEGER),
                engines=array(_ENGINES),
                can_dial_out=BOOLEAN,
                in_pool=BOOLEAN,
            )
        )
    ),
    "BurkiCallPlaced": closed(message={"const": "Call initiated successfully"}, call_sid=TEXT),
    "BurkiCallTerminated": closed(message=TEXT, call_sid=TEXT),
    "BurkiCallUnknown": closed(
        "The carrier was asked and its answer was lost: the call may be ringing, and is never dialled again.",
        status={"const": "unknown"},
        call_id=TEXT,
    ),
    "BurkiCallPage": closed(items=array(_BURKI_CALL), total=INTEGER, skip=INTEGER, limit=INTEGER),
    "KlenCallQueued": closed(
        id=TEXT,
        call_id=TEXT,
        status={"const": "queued"},
        type={"const": "outbound"},
        phone_number=PHONE_NUMBER,
        agent=_KLEN_AGENT,
        created_at=TIME,
        estimated_start=TIME,
    ),
    "KlenCall": closed(
        id=TEXT,
        call_id=TEXT,
        agent=_KLEN_AGENT,
        **_KLEN_COURSE,
        transcript=nullable(TEXT),
        team=nullable(TEXT),
        billing=closed(
            "Of currency units: what was set aside, and what the call cost in the end.",
            status=words("pending", "billed"),
            initial_charge=NUMBER,
            final_charge=nullable(NUMBER),
            total_charge=nullable(NUMBER),
            currency=TEXT,
        ),
        created_at=TIME,
    ),
    "KlenCallPage": closed(
        count=INTEGER,
        page=INTEGER,
        limit=INTEGER,
        pages=INTEGER,
        calls=array(closed(id=TEXT, agent_id=_ANY_ID, agent_name=TEXT, **_KLEN_COURSE)),
    ),
    "KlenError": partly(
        closed(error=TEXT, message=TEXT, balance=TEXT, required_rate=TEXT, currency=TEXT),
        "balance",
        "required_rate",
        "currency",
    ),
    "HmsCallDialing": closed(success={"const": True}, call_id=TEXT, status={"const": "dialing"}),
    "HmsCall": _HMS_CALL,
    "HmsCallPage": closed(calls=array(ref("HmsCall")), pagination=closed(total=INTEGER, limit=INTEGER, offset=INTEGER)),
    "HmsError": partly(closed(error=TEXT, message=TEXT, code=TEXT, param=TEXT, **_BALANCE), "param", *_BALANCE),
    "TesterCallInitiated": _TESTER_CALL,
    "TesterCallUnknown": closed(
        "The carrier was asked and its answer was lost: the call may be ringing, and is never dialled again.",
        **_TESTER_CALL["properties"],
        call_id=TEXT,
    ),
    "TesterContextKept": closed(ok={"const": True}, scenario=TEXT),
    "TesterError": closed(error=TEXT),
    "Deposit": partly(closed(amount=TEXT, currency=TEXT, note=nullable(TEXT)), "note"),
    "DncReason": partly(closed(reason=nullable(TEXT)), "reason"),
    "Command": {
        "oneOf": [
            _command("end-call", "message", message=nullable(_WORDS)),
            _command("transfer", "message", destination=PHONE_NUMBER, message=nullable(_WORDS)),
            _command("inject-context", "trigger_response", content=_WORDS, trigger_response=nullable(BOOLEAN)),
            _command("say", "end_after", content=_WORDS, end_after=nullable(BOOLEAN)),
        ]
    },
}
