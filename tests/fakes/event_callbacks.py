"""The files of `events/` that carriers send, and those of the worker that applies what they report.

What is signed with its time is signed anew when it is invoked; a stale signature is stale for ever. The ids, secrets
and calls are those of `event_world`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from tests.fakes import event_world as world
from tests.fakes.event_builders import records
from tests.fakes.event_carriers import (
    ENDED,
    TELNYX_COST,
    TELNYX_HANGUP,
    TEXML_ENDED,
    VONAGE_ENDED,
    audio_body,
    elevenlabs,
    elevenlabs_signature,
    failure_body,
    progress,
    queued,
    request,
    signed,
    telnyx,
    telnyx_body,
    telnyx_signature,
    texml,
    texml_body,
    transcription_body,
    twilio,
    twilio_report,
    unsigned,
    vonage,
    vonage_answer_body,
    vonage_body,
    vonage_signature,
)
from tests.fakes.event_example import Example

_INVALID = "Invalid webhook signature"
_STALE = world.CREATED_AT
_TELNYX_CALL_ID = world.RINGING_CALL_IDS["telnyx"]

# ---- what a call is to hear -----------------------------------------------------------------------------------------

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
        _INVALID,
    ),
    Example(
        "twiml_sip_twilio_answered",
        twilio("twiml", "in-progress", carrier="sip-twilio"),
        "the same over a SIP host",
        200,
        "Hello John Doe",
    ),
    Example(
        "twiml_telnyx_texml_answered",
        texml("twiml", texml_body("in-progress", 2)),
        "a TeXML application asks",
        200,
        "Hello John Doe",
    ),
    Example(
        "twiml_telnyx_texml_forged",
        texml("twiml", texml_body("in-progress", 2), keys=world.FOREIGN_TELNYX_KEYS),
        "signed with another key",
        403,
        _INVALID,
    ),
    Example(
        "twiml_vonage_answered",
        vonage("twiml", vonage_answer_body()),
        "Vonage asks, and gets an NCCO",
        200,
        '[{"action":"talk","text":"Hello John Doe',
    ),
    Example(
        "twiml_vonage_unsigned",
        vonage("twiml", vonage_answer_body(), unsigned)(_STALE),
        "Vonage's signing failed: it is asked to send again",
        429,
        _INVALID,
    ),
    Example(
        "twiml_telnyx_refused",
        signed("twiml", "telnyx", telnyx_body("call.answered"), telnyx_signature(), call_id=_TELNYX_CALL_ID),
        "Call Control never asks",
        403,
        _INVALID,
    ),
    Example(
        "twiml_elevenlabs_refused",
        elevenlabs(transcription_body(), kind="twiml", call_id=world.RINGING_CALL_IDS["elevenlabs"]),
        "ElevenLabs never asks",
        403,
        _INVALID,
    ),
)

# ---- status callbacks: Twilio ---------------------------------------------------------------------------------------

_COMPLETED = twilio("status", "completed", facts=progress(3, **ENDED))
_TWILIO = (
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
        _INVALID,
    ),
    Example(
        "status_webhook_shifted_field",
        twilio("status", "completed", facts=progress(3, CallDurationX="61")),
        "a name grown by a piece of its value, which the signature does not see",
        400,
        "Not a status callback",
    ),
    Example(
        "status_webhook_sip_twilio_completed",
        twilio("status", "completed", carrier="sip-twilio", facts=progress(3, **ENDED)),
        "the same over a SIP host",
        204,
    ),
)

# ---- status callbacks: Telnyx ---------------------------------------------------------------------------------------

_HANGUP = telnyx_body("call.hangup", **TELNYX_HANGUP)
_TELNYX = (
    Example("status_webhook_telnyx_answered", telnyx(telnyx_body("call.answered")), "the callee answered, queued", 204),
    Example("status_webhook_telnyx_hangup", telnyx(_HANGUP), "the end, queued", 204),
    Example("status_webhook_telnyx_duplicate", telnyx(_HANGUP), "again: queued, and counted once", 204),
    Example(
        "status_webhook_telnyx_out_of_order",
        telnyx(telnyx_body("call.initiated", direction="outgoing", state="bridging")),
        "the beginning after the end: queued, and found stale",
        204,
    ),
    Example(
        "status_webhook_telnyx_cost",
        telnyx(telnyx_body("call.cost", **TELNYX_COST)),
        "how long it was billed, after the end",
        204,
    ),
    Example(
        "status_webhook_telnyx_other",
        telnyx(telnyx_body("call.dtmf.received", digit="1")),
        "an event that says nothing about the call: received, and nothing is queued",
        204,
    ),
    Example(
        "status_webhook_telnyx_forged",
        lambda now: telnyx(_HANGUP)(now) | {"body": telnyx(telnyx_body("call.answered"))(now)["body"]},
        "another body than the one that was signed",
        403,
        _INVALID,
    ),
    Example("status_webhook_telnyx_stale", telnyx(_HANGUP)(_STALE), "signed more than five minutes ago", 403, _INVALID),
    Example(
        "status_webhook_telnyx_foreign_key",
        telnyx(_HANGUP, keys=world.FOREIGN_TELNYX_KEYS),
        "signed by another organization's Telnyx",
        403,
        _INVALID,
    ),
    Example(
        "status_webhook_telnyx_foreign_application",
        telnyx(telnyx_body("call.hangup", connection_id="555", **TELNYX_HANGUP)),
        "Telnyx's signature, about another application",
        403,
        _INVALID,
    ),
    Example(
        "status_webhook_telnyx_unsigned",
        request("status", "telnyx", _HANGUP, {}, call_id=world.RINGING_CALL_IDS["telnyx"]),
        "no signature at all",
        403,
        _INVALID,
    ),
    Example(
        "status_webhook_sip_telnyx_hangup",
        telnyx(telnyx_body("call.hangup", carrier="sip-telnyx", **TELNYX_HANGUP), carrier="sip-telnyx"),
        "the same over a SIP host",
        204,
    ),
)

_TEXML_COMPLETED = texml_body("completed", 3, **TEXML_ENDED)
_TEXML = (
    Example("status_webhook_telnyx_texml_completed", texml("status", _TEXML_COMPLETED), "the end, queued", 204),
    Example(
        "status_webhook_telnyx_texml_duplicate",
        texml("status", _TEXML_COMPLETED),
        "again: queued, and counted once",
        204,
    ),
    Example(
        "status_webhook_telnyx_texml_out_of_order",
        texml("status", texml_body("ringing", 1)),
        "the ringing after the end: queued, and found stale",
        204,
    ),
    Example(
        "status_webhook_telnyx_texml_forged",
        texml("status", _TEXML_COMPLETED, keys=world.FOREIGN_TELNYX_KEYS),
        "signed with another key",
        403,
        _INVALID,
    ),
)

# ---- status callbacks: Vonage ---------------------------------------------------------------------------------------

_VONAGE_COMPLETED = vonage_body("completed", **VONAGE_ENDED)
_VONAGE = (
    Example("status_webhook_vonage_answered", vonage("status", vonage_body("answered")), "progress, queued", 204),
    Example("status_webhook_vonage_completed", vonage("status", _VONAGE_COMPLETED), "the end, queued", 204),
    Example(
        "status_webhook_vonage_duplicate", vonage("status", _VONAGE_COMPLETED), "again: queued, and counted once", 204
    ),
    Example(
        "status_webhook_vonage_out_of_order",
        vonage("status", vonage_body("ringing")),
        "the ringing after the end: queued, and found stale",
        204,
    ),
    Example(
        "status_webhook_vonage_forged",
        vonage(
            "status", _VONAGE_COMPLETED, vonage_signature({**world.SECRETS["vonage"], "signature_secret": "g" * 32})
        ),
        "signed with a secret that was guessed",
        403,
        _INVALID,
    ),
    Example(
        "status_webhook_vonage_foreign",
        vonage("status", _VONAGE_COMPLETED, vonage_signature(world.FOREIGN_SECRETS["vonage"])),
        "signed for another organization's application",
        403,
        _INVALID,
    ),
    Example(
        "status_webhook_vonage_alg_none",
        vonage("status", _VONAGE_COMPLETED, vonage_signature(algorithm="none")),
        "a token that says it needs no signature",
        403,
        _INVALID,
    ),
    Example(
        "status_webhook_vonage_stale",
        vonage("status", _VONAGE_COMPLETED)(_STALE),
        "signed more than five minutes ago",
        403,
        _INVALID,
    ),
    Example(
        "status_webhook_vonage_unsigned",
        vonage("status", _VONAGE_COMPLETED, unsigned)(_STALE),
        "Vonage's signing failed: it is asked to send again",
        429,
        _INVALID,
    ),
)

# ---- status callbacks: ElevenLabs -----------------------------------------------------------------------------------

_ELEVENLABS = (
    Example(
        "status_webhook_elevenlabs_transcription",
        elevenlabs(transcription_body()),
        "the end, at the account's one address: the body names the call; queued without a word that was said",
        200,
    ),
    Example(
        "status_webhook_elevenlabs_duplicate",
        elevenlabs(transcription_body()),
        "again: queued, and counted once",
        200,
    ),
    Example(
        "status_webhook_elevenlabs_failure",
        elevenlabs(failure_body()),
        "a call that became no conversation; it names ElevenLabs' and Twilio's ids only",
        200,
    ),
    Example(
        "status_webhook_elevenlabs_audio",
        elevenlabs(audio_body()),
        "a recording: received, and nothing is queued",
        200,
    ),
    Example(
        "status_webhook_elevenlabs_forged",
        elevenlabs(transcription_body(), elevenlabs_signature({"webhook_secret": "guessed"})),
        "signed with a secret that was guessed",
        403,
        _INVALID,
    ),
    Example(
        "status_webhook_elevenlabs_foreign",
        elevenlabs(transcription_body(), elevenlabs_signature(world.FOREIGN_SECRETS["elevenlabs"])),
        "signed with another organization's secret",
        403,
        _INVALID,
    ),
    Example(
        "status_webhook_elevenlabs_stale",
        elevenlabs(transcription_body())(_STALE),
        "signed more than half an hour ago",
        403,
        _INVALID,
    ),
    Example(
        "status_webhook_elevenlabs_address_of_a_call",
        elevenlabs(transcription_body(), call_id=world.RINGING_CALL_IDS["elevenlabs"]),
        "an address that ElevenLabs was never given",
        403,
        _INVALID,
    ),
)

STATUS_WEBHOOK = (*_TWILIO, *_TELNYX, *_TEXML, *_VONAGE, *_ELEVENLABS)

# ---- the worker -----------------------------------------------------------------------------------------------------

_NOTHING_FAILED: dict[str, Any] = {"batchItemFailures": []}


def _telnyx_report(event_type: str, *, carrier: str = "telnyx", **payload: Any) -> str:
    body = telnyx_body(event_type, carrier=carrier, **payload)
    return queued(carrier, world.RINGING_CALL_IDS[carrier], body)


def _texml_report(body: bytes) -> str:
    return queued("telnyx-texml", world.RINGING_CALL_IDS["telnyx-texml"], body)


def _vonage_report(body: bytes) -> str:
    return queued("vonage", world.RINGING_CALL_IDS["vonage"], body)


def _telnyx_answered(now: datetime) -> dict[str, Any]:
    """The answer of a moment ago: who answered long ago is not spoken to any more."""
    call_id = world.RINGING_CALL_IDS["telnyx"]
    return records(queued("telnyx", call_id, telnyx_body("call.answered"), received_at=now))


_TELNYX_END = (_telnyx_report("call.hangup", **TELNYX_HANGUP), _telnyx_report("call.cost", **TELNYX_COST))
STATUS_WORKER = (
    Example(
        "status_worker_completed", records(twilio_report("completed", 3, **ENDED)), "the end", None, _NOTHING_FAILED
    ),
    Example(
        "status_worker_duplicate",
        records(twilio_report("completed", 3, **ENDED), twilio_report("completed", 3, **ENDED)),
        "one report twice counts once",
        None,
        _NOTHING_FAILED,
    ),
    Example(
        "status_worker_out_of_order",
        records(twilio_report("completed", 3, **ENDED), twilio_report("in-progress", 2)),
        "a late report does not bring a call back",
        None,
        _NOTHING_FAILED,
    ),
    Example(
        "status_worker_one_bad_message",
        records(twilio_report("ringing", 1), "no carrier event", twilio_report("completed", 3, **ENDED)),
        "only the message that cannot be understood comes again",
        None,
        {"batchItemFailures": [{"itemIdentifier": "00000002-1111-4222-8333-444444444444"}]},
    ),
    Example(
        "status_worker_sip_twilio_completed",
        records(twilio_report("completed", 3, carrier="sip-twilio", **ENDED)),
        "the end over a SIP host",
        None,
        _NOTHING_FAILED,
    ),
    Example(
        "status_worker_telnyx_answered",
        _telnyx_answered,
        "the callee answered: Telnyx is told what to say (here it no longer has the call, which is no error)",
        None,
        _NOTHING_FAILED,
    ),
    Example(
        "status_worker_telnyx_answered_late",
        records(_telnyx_report("call.answered")),
        "the callee answered long ago: after so much silence the call is ended",
        None,
        _NOTHING_FAILED,
    ),
    Example("status_worker_telnyx_ended", records(*_TELNYX_END), "the end, and how long it was", None, _NOTHING_FAILED),
    Example(
        "status_worker_telnyx_duplicate",
        records(*_TELNYX_END, *_TELNYX_END),
        "each report twice counts once",
        None,
        _NOTHING_FAILED,
    ),
    Example(
        "status_worker_telnyx_out_of_order",
        records(*reversed(_TELNYX_END), _telnyx_report("call.initiated", direction="outgoing")),
        "the cost before the end, and the beginning after it",
        None,
        _NOTHING_FAILED,
    ),
    Example(
        "status_worker_sip_telnyx_ended",
        records(
            _telnyx_report("call.hangup", carrier="sip-telnyx", **TELNYX_HANGUP),
            _telnyx_report("call.cost", carrier="sip-telnyx", **TELNYX_COST),
        ),
        "the same over a SIP host",
        None,
        _NOTHING_FAILED,
    ),
    Example(
        "status_worker_telnyx_texml_completed",
        records(_texml_report(_TEXML_COMPLETED)),
        "the end",
        None,
        _NOTHING_FAILED,
    ),
    Example(
        "status_worker_telnyx_texml_out_of_order",
        records(_texml_report(_TEXML_COMPLETED), _texml_report(texml_body("ringing", 1))),
        "a late report does not bring a call back",
        None,
        _NOTHING_FAILED,
    ),
    Example(
        "status_worker_vonage_completed",
        records(_vonage_report(_VONAGE_COMPLETED)),
        "the end",
        None,
        _NOTHING_FAILED,
    ),
    Example(
        "status_worker_vonage_duplicate",
        records(_vonage_report(_VONAGE_COMPLETED), _vonage_report(_VONAGE_COMPLETED)),
        "one report twice counts once",
        None,
        _NOTHING_FAILED,
    ),
    Example(
        "status_worker_vonage_out_of_order",
        records(_vonage_report(_VONAGE_COMPLETED), _vonage_report(vonage_body("answered"))),
        "the end before the answer",
        None,
        _NOTHING_FAILED,
    ),
    Example(
        "status_worker_vonage_busy_and_completed",
        records(_vonage_report(vonage_body("completed", duration="0")), _vonage_report(vonage_body("busy"))),
        "Vonage says completed after busy too; here it came first, and the call was busy all the same",
        None,
        _NOTHING_FAILED,
    ),
    Example(
        "status_worker_elevenlabs_transcription",
        records(queued("elevenlabs", None, transcription_body())),
        "the end",
        None,
        _NOTHING_FAILED,
    ),
    Example(
        "status_worker_elevenlabs_duplicate",
        records(*[queued("elevenlabs", None, transcription_body())] * 2),
        "one report twice counts once",
        None,
        _NOTHING_FAILED,
    ),
    Example(
        "status_worker_elevenlabs_failure",
        records(queued("elevenlabs", None, failure_body())),
        "a call that became no conversation, found by ElevenLabs' own id",
        None,
        _NOTHING_FAILED,
    ),
)
