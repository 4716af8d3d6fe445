"""What the API shows: calls, timelines, wallets, ledgers, DNC entries, accounts and dry runs as JSON documents.

Money is ``{"amount": "0.090000", "currency": "USD"}``, times are RFC 3339 in UTC, absent facts are null.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from dialplane.carriers.registry import TRAITS
from dialplane.domain.accounts import Assistant, CallerNumber, CarrierAccount
from dialplane.domain.admission import Decision, GateResult, InitiateCall
from dialplane.domain.calls import Call
from dialplane.domain.money import Money
from dialplane.domain.resolution import Resolution
from dialplane.domain.times import to_text
from dialplane.domain.wallets import LedgerEntry, Wallet

if TYPE_CHECKING:  # who places calls loads this module, and must not load what only management needs
    from dialplane.domain.conversations import Conversation, Utterance
    from dialplane.domain.dnc import DncEntry
    from dialplane.usecases.browse_calls import TimelineEntry
    from dialplane.usecases.manage_wallet import Reconciliation


def money(micros: int, currency: str) -> dict[str, str]:
    """An amount with its currency."""
    return {"amount": Money(micros, currency).amount, "currency": currency}


def _time(moment: datetime | None) -> str | None:
    return to_text(moment) if moment is not None else None


def call_document(call: Call) -> dict[str, Any]:
    """A call; the list and the single call show the same fields."""
    return {
        "id": call.id,
        "status": call.status.value,
        "ended_reason": call.ended_reason.value if call.ended_reason is not None else None,
        "from": call.caller_number,
        "to": call.destination,
        "assistant_id": call.assistant_id,
        "assistant_public_id": call.assistant_public_id,
        "assistant_name": call.assistant_name,
        "flow_id": call.flow_id,
        "contact_id": call.contact_id,
        "caller_number_reason": call.caller_number_reason.value if call.caller_number_reason is not None else None,
        "carrier": call.carrier,
        "carrier_call_id": call.carrier_call_id,
        "created_at": _time(call.created_at),
        "answered_at": _time(call.answered_at),
        "ended_at": _time(call.ended_at),
        "settled_at": _time(call.settled_at),
        "duration_seconds": call.duration_seconds,
        "time_limit_seconds": call.time_limit_seconds,
        "answered_by": call.answered_by,
        "sip_response_code": call.sip_response_code,
        "hold": money(call.hold_micros, call.currency),
        "charge": money(call.charge_micros, call.currency) if call.charge_micros is not None else None,
        "carrier_cost": _carrier_cost(call),
        "carrier_error": call.dial_error,
        "welcome_message": _first_message(call),
        "agenda": call.agenda,
    }


def _first_message(call: Call) -> str | None:
    """What the assistant says first: in a conversation, what follows the disclosure."""
    if call.conversation_json is None:
        return call.instructions.welcome_message if call.transcript_erased_at is None else None
    first_message: str = json.loads(call.conversation_json)["first_message"]
    return first_message


def _carrier_cost(call: Call) -> dict[str, str | None] | None:
    if call.carrier_cost is None:
        return None
    return {"amount": call.carrier_cost, "currency": call.carrier_cost_currency}


def conversation_document(call: Call, conversation: Conversation) -> dict[str, Any]:
    """What was said on a call as the other side has heard it, why it ended, and what was made of it."""
    # Who places calls shows no conversations, and must not load what only those need.
    from dialplane.domain.conversations import transcript  # noqa: PLC0415

    has_recording = call.recording_id is not None or call.recording_url is not None
    expires_at = conversation.expires_at
    return {
        "started_at": to_text(conversation.started_at),
        "ended_at": _time(conversation.ended_at),
        "end_reason": conversation.end_reason.value if conversation.end_reason is not None else None,
        "turns": [_turn_document(utterance) for utterance in transcript(conversation.entries)],
        "summary": conversation.summary,
        "analysis": json.loads(conversation.analysis_json) if conversation.analysis_json is not None else None,
        "opted_out_at": _time(conversation.opted_out_at),
        "voicemail": _voicemail_document(conversation),
        "recording": {"id": call.recording_id, "url": call.recording_url} if has_recording else None,
        "expires_at": to_text(datetime.fromtimestamp(expires_at, UTC)) if expires_at is not None else None,
    }


def _turn_document(utterance: Utterance) -> dict[str, Any]:
    return {
        "speaker": utterance.speaker,
        "text": utterance.text,
        "at": to_text(utterance.at),
        "source": utterance.source.value if utterance.source is not None else None,
        "interrupted": utterance.is_interrupted,
        "first_token_ms": utterance.first_token_ms,
    }


def _voicemail_document(conversation: Conversation) -> dict[str, Any] | None:
    """When an answering machine was heard, and when our message to it was sent and had been played to its end."""
    if conversation.machine_at is None:
        return None
    return {
        "detected_at": to_text(conversation.machine_at),
        "message_sent_at": _time(conversation.voicemail_sent_at),
        "message_played_at": _time(conversation.voicemail_played_at),
    }


def timeline_document(entry: TimelineEntry) -> dict[str, Any]:
    """One moment in the life of a call; amounts in micro-units become money."""
    details = dict(entry.details)
    currency = details.pop("currency", None)
    shown = {
        (name.removesuffix("_micros") if name.endswith("_micros") else name): _detail(name, value, currency)
        for name, value in details.items()
    }
    return {"at": to_text(entry.at), "type": entry.type, **shown}


def _detail(name: str, value: Any, currency: Any) -> Any:
    if name.endswith("_micros") and currency is not None:
        return money(value, currency)
    return to_text(value) if isinstance(value, datetime) else value


def wallet_document(wallet: Wallet) -> dict[str, Any]:
    """A wallet's figures: ``deposited = available + held + spent``."""
    return {
        "currency": wallet.currency,
        "available": money(wallet.available_micros, wallet.currency),
        "held": money(wallet.held_micros, wallet.currency),
        "spent": money(wallet.spent_micros, wallet.currency),
        "deposited": money(wallet.deposited_micros, wallet.currency),
        "active_calls": wallet.active_calls,
    }


def ledger_entry_document(entry: LedgerEntry) -> dict[str, Any]:
    """A ledger entry: a deposit's amount, or how a hold was split."""
    document: dict[str, Any] = {"id": entry.id, "kind": entry.kind.value, "at": to_text(entry.at)}
    if entry.call_id is None:
        return document | {"amount": money(entry.amount_micros, entry.currency), "note": entry.note}
    return document | {
        "call_id": entry.call_id,
        "hold": money(entry.hold_micros, entry.currency),
        "charge": money(entry.charge_micros, entry.currency),
        "release": money(entry.release_micros, entry.currency),
    }


def reconciliation_document(reconciliation: Reconciliation) -> dict[str, Any]:
    """The wallet and where its ledger disagrees; both figures are micro-units, or a count of calls."""
    return {
        "balanced": not reconciliation.differences,
        "differences": [
            {"figure": each.figure, "recorded": each.recorded, "recomputed": each.recomputed}
            for each in reconciliation.differences
        ],
        "wallet": wallet_document(reconciliation.wallet),
    }


def dnc_document(entry: DncEntry) -> dict[str, Any]:
    """A do-not-call entry."""
    return {
        "number": entry.number,
        "reason": entry.reason,
        "source": entry.source,
        "added_at": to_text(entry.added_at),
    }


def carrier_account_document(account: CarrierAccount, numbers: Sequence[CallerNumber]) -> dict[str, Any]:
    """A carrier account and the numbers in it; nothing of its secret."""
    traits = TRAITS[account.carrier]
    return {
        "id": account.id,
        "carrier": account.carrier,
        "carrier_name": traits.display_name,
        "name": account.name,
        "created_at": to_text(account.created_at),
        "calls_per_second": account.calls_per_second,
        "engines": sorted(traits.engines),
        "numbers": [number.number for number in numbers if number.carrier_account_id == account.id],
    }


def number_document(number: CallerNumber) -> dict[str, Any]:
    """A caller number: where it lives, who speaks on it, what it can do. Its flow goes before its assistant."""
    return {
        "id": number.id,
        "number": number.number,
        "carrier": number.carrier,
        "carrier_account_id": number.carrier_account_id,
        "is_active": number.is_active,
        "assistant_id": number.assistant_id,
        "flow_id": number.flow_id,
        "engines": sorted(TRAITS[number.carrier].engines),
        "can_dial_out": number.can_dial_out,
        "in_pool": number.in_pool,
    }


def dry_run_document(command: InitiateCall, decision: Decision) -> dict[str, Any]:
    """What a request would do: every gate's verdict, and the call as far as it is determined."""
    plan, refusal = decision.plan, decision.refusal
    return {
        "dry_run": True,
        "allowed": refusal is None,
        "code": refusal.code if refusal is not None else None,
        "gates": [
            {"gate": "authentication", "verdict": "passed"},
            {"gate": "scope", "verdict": "passed"},
            *(_gate_document(result) for result in decision.gates),
        ],
        "assistant": _assistant_document(plan.assistant) if plan.assistant is not None else None,
        "resolution": _resolution_document(plan.resolution) if plan.resolution is not None else None,
        "from": plan.caller_number.number if plan.caller_number is not None else None,
        "caller_number_reason": plan.caller_number_reason.value if plan.caller_number_reason is not None else None,
        "to": command.destination.e164,
        "carrier": plan.caller_number.carrier if plan.caller_number is not None else None,
        "disclosure": plan.conversation.disclosure if plan.conversation is not None else None,
        "welcome_message": plan.first_message,
        "agenda": plan.agenda,
        "hold": money(plan.hold.micros, plan.hold.currency) if plan.hold is not None else None,
        "time_limit_seconds": plan.assistant.max_duration_seconds if plan.assistant is not None else None,
    }


def _assistant_document(assistant: Assistant) -> dict[str, Any]:
    return {"id": assistant.id, "public_id": assistant.public_id, "name": assistant.name}


def _resolution_document(resolution: Resolution) -> dict[str, Any]:
    """Who could have spoken, the strongest claim first, and the rule that decided."""
    return {
        "rule": resolution.rule.value if resolution.rule is not None else None,
        "candidates": [
            {"rule": each.rule.value, "id": each.id, "verdict": each.verdict.value} for each in resolution.candidates
        ],
    }


def _gate_document(result: GateResult) -> Mapping[str, Any]:
    document = {"gate": result.gate, "verdict": result.verdict.value}
    if result.refusal is None:
        return document
    return document | {"code": result.refusal.code, "detail": result.refusal.message}
