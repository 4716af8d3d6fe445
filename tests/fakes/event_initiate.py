"""The files of `events/` that ask for a call, in every dialect and over every carrier, and those of the queued dials.

The ids, keys and numbers are those of `event_world`.
"""

from __future__ import annotations

from typing import Any

from dialplane.domain.accounts import PresentedKey
from tests.fakes import event_world as world
from tests.fakes.event_builders import api, dial, records
from tests.fakes.event_example import Example


def _initiate(body: Any, **how: Any) -> dict[str, Any]:
    """A request for a call in the older dialects; ``body`` may be a text that is no JSON."""
    return api("POST /calls/initiate", body=body, **how)


def _klen(body: Any, **how: Any) -> dict[str, Any]:
    return api("POST /calls", body=body, key=how.pop("key", world.KLEN_KEY), **how)


def _hms(body: Any, **how: Any) -> dict[str, Any]:
    return api("POST /calls/outbound", body=body, key=how.pop("key", world.HMS_KEY), **how)


def _tester(body: Any, *, route: str = "POST /api/call", **how: Any) -> dict[str, Any]:
    return api(route, body=body, **how)


# ---- Burki ----------------------------------------------------------------------------------------------------------

_REMINDER = {
    "to_phone_number": world.DESTINATION,
    "welcome_message": "Hello {{name}}, this is a reminder about your appointment tomorrow at {{time}}.",
    "agenda": "Remind {{name}} about their upcoming {{appointment_type}} appointment.",
    "variables": {"name": "John Doe", "time": "10 AM", "appointment_type": "dental"},
}
_BASIC = {"from_phone_number": world.CALLER_NUMBER, "to_phone_number": world.DESTINATION}
_OVERRIDE = {**_BASIC, "assistant_id": 456, "welcome_message": "Hi there! I'm calling about your recent inquiry."}
_PLACED = {"message": "Call initiated successfully"}

BURKI = (
    Example("initiate_seed0_example", _initiate({"assistant_id": 123, **_REMINDER}), "the older body", 200, _PLACED),
    Example("initiate_seed2_basic", _initiate(_BASIC), "the number's own assistant", 200, _PLACED),
    Example("initiate_seed2_custom", _initiate({**_BASIC, **_REMINDER}), "own words with variables", 200, _PLACED),
    Example("initiate_seed2_override", _initiate(_OVERRIDE), "another assistant", 200, _PLACED),
    Example(
        "initiate_flow",
        _initiate({**_BASIC, "from_phone_number": world.FLOW_NUMBER}),
        "a conversation flow on the number goes before its assistant",
        200,
        _PLACED,
    ),
    Example(
        "initiate_x_api_key",
        _initiate(_BASIC, key=None, headers={"x-api-key": world.API_KEY.text}),
        "the key in its other header",
        200,
        _PLACED,
    ),
    Example(
        "initiate_idempotency_key",
        _initiate(_BASIC, headers={"idempotency-key": "5f0e8b36-0d2a-4f5e-9a51-3f9f2b1c7d10"}),
        "a request that may be repeated",
        200,
        _PLACED,
    ),
    Example(
        "initiate_dry_run",
        _initiate({**_BASIC, **_REMINDER}, query={"dry_run": "true"}),
        "every gate's verdict, and nothing is changed",
        200,
        {"dry_run": True, "allowed": True, "agenda": "Remind John Doe about their upcoming dental appointment."},
    ),
    Example(
        "initiate_missing_from",
        _initiate({"to_phone_number": world.DESTINATION}),
        "neither a number nor an assistant to call as",
        400,
        {"detail": "from_phone_number is required"},
    ),
    Example(
        "initiate_missing_to",
        _initiate({"from_phone_number": world.CALLER_NUMBER}),
        "nobody to call",
        400,
        {"detail": "to_phone_number is required"},
    ),
    Example(
        "initiate_invalid_number",
        _initiate({**_BASIC, "to_phone_number": "555-987-6543"}),
        "a number that is not E.164",
        400,
        {"detail": "Invalid phone number format. Use E.164 format (e.g., +1234567890)"},
    ),
    Example(
        "initiate_missing_variable",
        _initiate({**_BASIC, "welcome_message": "Hello {{name}}."}),
        "a placeholder that nothing fills",
        400,
        {"code": "missing_variables", "variables": ["name"]},
    ),
    Example("initiate_no_key", _initiate(_BASIC, key=None), "nobody", 401, {"code": "authentication_required"}),
    Example(
        "initiate_wrong_key",
        _initiate(_BASIC, key=PresentedKey(world.ORGANIZATION_ID, world.API_KEY.id, "a-wrong-secret".ljust(43, "0"))),
        "a key with another secret",
        401,
        {"code": "invalid_key"},
    ),
    Example(
        "initiate_insufficient_balance",
        _initiate({**_BASIC, "from_phone_number": world.POOR_CALLER_NUMBER}, key=world.POOR_API_KEY),
        "a wallet that does not cover the hold",
        402,
        {"detail": "Insufficient balance. Please add funds to continue making calls.", "required": "0.150000"},
    ),
    Example(
        "initiate_foreign_number",
        _initiate({**_BASIC, "from_phone_number": world.POOR_CALLER_NUMBER}),
        "another organization's number",
        403,
        {"detail": f"Unauthorized: phone number {world.POOR_CALLER_NUMBER} does not belong to your organization"},
    ),
    Example(
        "initiate_missing_scope",
        _initiate(_BASIC, key=world.READING_KEY),
        "a key that may only read",
        403,
        {"code": "permission_denied"},
    ),
    Example(
        "initiate_dnc",
        _initiate({**_BASIC, "to_phone_number": world.DNC_NUMBER}),
        "somebody who asked not to be called",
        403,
        {"code": "do_not_call"},
    ),
    Example(
        "initiate_no_assistant",
        _initiate({**_BASIC, "from_phone_number": world.UNASSIGNED_NUMBER}),
        "a number without an assistant",
        404,
        {"detail": f"No assistant found for phone number {world.UNASSIGNED_NUMBER}"},
    ),
    Example("initiate_bad_json", _initiate('{"from_phone_number": '), "half a body", 422, {"code": "invalid_json"}),
    Example(
        "initiate_wrong_types",
        _initiate({**_BASIC, "assistant_id": "123", "colour": "red"}),
        "a text for a number, and a field nobody knows",
        422,
        {"code": "invalid_fields"},
    ),
)


CARRIERS = (
    *(
        Example(
            f"initiate_over_{carrier.replace('-', '_')}",
            _initiate({"from_phone_number": number, "to_phone_number": world.QUIET_DESTINATION}),
            f"a number of the account with {carrier}",
            200,
            _PLACED,
        )
        for carrier, number in world.CARRIER_NUMBERS.items()
        if carrier != "elevenlabs"
    ),
    Example(
        "initiate_over_elevenlabs",
        _initiate({"from_phone_number": world.CARRIER_NUMBERS["elevenlabs"], "to_phone_number": world.DESTINATION}),
        "a number of the account with elevenlabs, whose agent speaks",
        200,
        _PLACED,
    ),
    Example(
        "initiate_over_elevenlabs_without_agent",
        _initiate(
            {
                "from_phone_number": world.CARRIER_NUMBERS["elevenlabs"],
                "to_phone_number": world.DESTINATION,
                "assistant_id": 123,
            }
        ),
        "an assistant that speaks words, over a carrier that has agents only",
        422,
        {"code": "engine_unsupported"},
    ),
    Example(
        "initiate_refused_by_the_carrier",
        _initiate({**_BASIC, "to_phone_number": world.REFUSED_DESTINATION}),
        "a number that the carrier does not take: nothing stays held",
        400,
        {"code": "destination_refused"},
    ),
)

# ---- Klen -----------------------------------------------------------------------------------------------------------

_KLEN = {"phone_number": world.DESTINATION, "agent_id": 123, "contact_id": 42, "variables": {"name": "John Doe"}}
_QUEUED = {"status": "queued", "type": "outbound"}
KLEN = (
    Example("initiate_klen", _klen(_KLEN), "by the integer id; queued for its dial", 200, _QUEUED),
    Example(
        "initiate_klen_on_the_shared_route",
        _initiate(_KLEN, key=world.KLEN_KEY),
        "the fields tell it apart",
        200,
        {**_QUEUED, "phone_number": world.DESTINATION},
    ),
    Example(
        "initiate_klen_public_id",
        _klen({**_KLEN, "agent_id": world.ASSISTANT_PUBLIC_ID}),
        "by the public id",
        200,
        {
            "agent": {
                "id": 123,
                "name": "Appointment reminder",
                "assistant_id": world.ASSISTANT_PUBLIC_ID,
            }
        },
    ),
    Example(
        "initiate_klen_netherlands",
        _klen({**_KLEN, "phone_number": "00 31 6 12-34-56-78"}),
        "a number as people write it, in a country that the organization calls",
        200,
        {"phone_number": "+31612345678"},
    ),
    Example(
        "initiate_klen_key_in_query",
        _klen(_KLEN, key=None, query={"api_key": world.KLEN_KEY.text}),
        "the key in the URL, which this organization allows",
        200,
        _QUEUED,
    ),
    Example(
        "initiate_klen_dry_run",
        _klen(_KLEN, query={"dry_run": "true"}),
        "every gate's verdict, and nothing is changed",
        200,
        {"dry_run": True, "allowed": True},
    ),
    Example(
        "initiate_klen_missing_phone_number",
        _klen({"agent_id": 123}),
        "nobody to call",
        400,
        {"error": "missing_phone_number"},
    ),
    Example(
        "initiate_klen_missing_agent",
        _klen({"phone_number": world.DESTINATION}),
        "nobody who speaks",
        400,
        {"error": "missing_agent_id"},
    ),
    Example(
        "initiate_klen_invalid_phone_number",
        _klen({**_KLEN, "phone_number": "(555) 987-6543"}),
        "a number without its country",
        400,
        {"error": "invalid_phone_number"},
    ),
    Example(
        "initiate_klen_bad_json",
        _klen('{"phone_number": '),
        "half a body",
        400,
        {"error": "invalid_json"},
    ),
    Example(
        "initiate_klen_key_in_query_refused",
        _klen(_KLEN, key=None, query={"api_key": world.POOR_API_KEY.text}),
        "the key in the URL, which this organization does not allow",
        401,
        {"error": "authentication_required"},
    ),
    Example(
        "initiate_klen_insufficient_funds",
        _klen({**_KLEN, "agent_id": 789}, key=world.POOR_API_KEY),
        "a wallet that does not cover the hold",
        402,
        {"error": "insufficient_funds", "balance": "0.000000", "required_rate": "0.150000"},
    ),
    Example(
        "initiate_klen_country",
        _klen({**_KLEN, "phone_number": "+447400123456"}),
        "a country that the organization does not call",
        403,
        {"error": "destination_not_allowed"},
    ),
    Example(
        "initiate_klen_dnc",
        _klen({**_KLEN, "phone_number": world.DNC_NUMBER}),
        "somebody who asked not to be called",
        403,
        {"error": "do_not_call"},
    ),
    Example(
        "initiate_klen_agent_not_found",
        _klen({**_KLEN, "agent_id": 789}),
        "another organization's assistant",
        404,
        {"error": "agent_not_found"},
    ),
    Example(
        "initiate_klen_no_phone_number",
        _klen({**_KLEN, "agent_id": 567}),
        "an assistant without a number",
        404,
        {"error": "no_phone_number"},
    ),
)

# ---- HMS Sovereign --------------------------------------------------------------------------------------------------

_DIALING = {"success": True, "status": "dialing"}
_REFERENCE = {"destination": world.DESTINATION, "assistant_id": world.ASSISTANT_PUBLIC_ID}
_MODELS = {
    "llm_config": {
        "provider": "openai",
        "model": "gpt-4o-mini",
        "messages": [{"role": "system", "content": "You remind {{name}} of a dental appointment."}],
    },
    "stt_config": {"provider": "deepgram"},
    "tts_config": {"provider": "elevenlabs", "voice_id": "rachel"},
}
_TRANSIENT = {
    "destination": world.DESTINATION,
    "number_id": f"num_{world.CALLER_NUMBER.removeprefix('+')}",
    "assistant": {"name": "For this call only", "first_message": "Hello {{name}}!", **_MODELS},
    "variables": {"name": "John Doe"},
}
_HYBRID = {
    "destination": world.DESTINATION,
    "assistant_id": world.MODEL_ASSISTANT_PUBLIC_ID,
    "assistant_override": {"first_message": "Good evening.", "llm_config": {"temperature": 0.1}},
}
HMS = (
    Example(
        "initiate_hms_reference", _hms(_REFERENCE), "an assistant that is kept, a number of the pool", 200, _DIALING
    ),
    Example(
        "initiate_hms_transient",
        _hms(_TRANSIENT),
        "an assistant that is brought along, and a number by its id",
        200,
        _DIALING,
    ),
    Example("initiate_hms_hybrid", _hms(_HYBRID), "one that is kept, changed for this call", 200, _DIALING),
    Example(
        "initiate_hms_deprecated_name",
        _hms({"destination": world.DESTINATION, "agent_id": world.ASSISTANT_PUBLIC_ID}),
        "agent_id for assistant_id: the answer has a Deprecation header",
        200,
        _DIALING,
    ),
    Example(
        "initiate_hms_flow",
        _hms({**_REFERENCE, "number_id": world.FLOW_NUMBER}),
        "a number with a flow; the request names somebody all the same, who goes before it",
        200,
        _DIALING,
    ),
    Example(
        "initiate_hms_dry_run",
        _hms({**_TRANSIENT, "dry_run": True}),
        "every gate's verdict, and nothing is changed",
        200,
        {"dry_run": True, "allowed": True},
    ),
    Example(
        "initiate_hms_missing_destination",
        _hms({"assistant_id": 123}),
        "nobody to call",
        422,
        {"code": "missing_field", "param": "destination"},
    ),
    Example(
        "initiate_hms_invalid_destination",
        _hms({**_REFERENCE, "destination": "sip:john@example.com"}),
        "a SIP address",
        422,
        {"code": "invalid_phone_number", "param": "destination"},
    ),
    Example(
        "initiate_hms_two_modes",
        _hms({**_TRANSIENT, "assistant_id": 123}),
        "an assistant that is kept and one that is brought along",
        400,
        {"code": "invalid_value", "param": "assistant"},
    ),
    Example(
        "initiate_hms_names_disagree",
        _hms({**_REFERENCE, "agent_id": 456}),
        "the old name and the new one say different things",
        400,
        {"code": "invalid_value", "param": "agent_id"},
    ),
    Example(
        "initiate_hms_realtime_with_stt",
        _hms({**_HYBRID, "assistant_override": {"llm_config": {"provider": "xai_realtime"}}}),
        "a model that hears by itself, with speech recognition from the assistant that is kept",
        422,
        {"code": "invalid_configuration", "param": "stt_config"},
    ),
    Example(
        "initiate_hms_missing_variable",
        _hms({**_TRANSIENT, "variables": {}}),
        "a placeholder that nothing fills",
        422,
        {"code": "missing_variables"},
    ),
    Example("initiate_hms_no_key", _hms(_REFERENCE, key=None), "nobody", 401, {"code": "authentication_required"}),
    Example(
        "initiate_hms_insufficient_credits",
        _hms({"destination": world.DESTINATION, "assistant_id": 789}, key=world.POOR_API_KEY),
        "a wallet that does not cover the hold",
        402,
        {"error": "Insufficient credits", "required": "0.150000"},
    ),
    Example(
        "initiate_hms_foreign_number",
        _hms({**_REFERENCE, "number_id": world.POOR_CALLER_NUMBER}),
        "another organization's number",
        404,
        {"code": "caller_number_foreign"},
    ),
    Example(
        "initiate_hms_number_cannot_dial_out",
        _hms({**_REFERENCE, "number_id": world.INBOUND_NUMBER}),
        "a number that only takes calls",
        403,
        {"code": "number_cannot_dial_out"},
    ),
    Example(
        "initiate_hms_assistant_not_found",
        _hms({**_REFERENCE, "assistant_id": "asst_nobody"}),
        "an assistant that nobody knows",
        404,
        {"error": "Assistant not found"},
    ),
)

# ---- the tester of ElevenLabs agents --------------------------------------------------------------------------------

_BUSINESS = {"business_description": "A pizzeria that takes orders by telephone", "scenario": "order a pizza"}
_INITIATED = {"ok": True, "message": "Call initiated.", "to_number": world.DESTINATION}
TESTER = (
    Example(
        "initiate_tester_context",
        _tester({"description": "A pizzeria", "scenario": "order a pizza"}, route="POST /api/context"),
        "what the next call is about, kept for a day; the answer sets a cookie",
        200,
        {"ok": True, "scenario": "order a pizza"},
    ),
    Example(
        "initiate_tester_context_without_description",
        _tester({"scenario": "order a pizza"}, route="POST /api/context"),
        "nothing to keep",
        400,
        {"error": "No description provided"},
    ),
    Example(
        "initiate_tester_call",
        _tester({"to_number": world.DESTINATION, **_BUSINESS}),
        "the organization's default assistant calls: ElevenLabs' agent",
        200,
        {**_INITIATED, "scenario": "order a pizza"},
    ),
    Example(
        "initiate_tester_call_after_context",
        _tester({"to_number": world.DESTINATION}, key=world.TESTER_KEY),
        "what it is about has been kept for this key",
        200,
        {**_INITIATED, "scenario": "order a pizza"},
    ),
    Example(
        "initiate_tester_dry_run",
        _tester({"to_number": world.DESTINATION, **_BUSINESS}, query={"dry_run": "true"}),
        "every gate's verdict, and nothing is changed",
        200,
        {"dry_run": True, "allowed": True},
    ),
    Example(
        "initiate_tester_without_description",
        _tester({"to_number": world.DESTINATION}),
        "neither a description nor a context",
        400,
        {"error": "Provide a business description first."},
    ),
    Example(
        "initiate_tester_invalid_number",
        _tester({"to_number": "555-987-6543", **_BUSINESS}),
        "a number that is not E.164",
        400,
        {"error": "Phone number must be in E.164 format, for example +15551234567."},
    ),
    Example(
        "initiate_tester_no_key",
        _tester({"to_number": world.DESTINATION, **_BUSINESS}, key=None),
        "nobody",
        401,
        '{"error":',
    ),
    Example(
        "initiate_tester_without_setup",
        _tester({"to_number": world.DESTINATION, **_BUSINESS}, key=world.POOR_API_KEY),
        "an organization without a default assistant",
        500,
        "Missing required environment variables: ELEVENLABS_API_KEY",
    ),
)

INITIATE = (*BURKI, *CARRIERS, *KLEN, *HMS, *TESTER)

# ---- queued dials ---------------------------------------------------------------------------------------------------

_NOTHING_FAILED: dict[str, Any] = {"batchItemFailures": []}
DIAL = (
    Example("dial_queued", dial(world.DIALS["open"]), "the carrier takes the call", None, _NOTHING_FAILED),
    Example("dial_over_telnyx", dial(world.DIALS["telnyx"]), "the same at another carrier", None, _NOTHING_FAILED),
    Example(
        "dial_duplicate",
        dial(world.DIALS["claimed"]),
        "delivered again while the first delivery dials: nobody is called twice",
        None,
        _NOTHING_FAILED,
    ),
    Example(
        "dial_of_a_dialled_call",
        dial(world.RINGING_CALL_ID),
        "delivered again after the dial",
        None,
        _NOTHING_FAILED,
    ),
    Example(
        "dial_too_late",
        dial(world.DIALS["late"]),
        "its window is over: nobody is called, and the hold is given back",
        None,
        _NOTHING_FAILED,
    ),
    Example(
        "dial_refused_by_the_carrier",
        dial(world.DIALS["refused"]),
        "the call ends with the refusal, and the hold is given back",
        None,
        _NOTHING_FAILED,
    ),
    Example(
        "dial_bad_message",
        records("no dial", queue="DialsQueue"),
        "a message that cannot be understood comes again, and then to the dead-letter queue",
        None,
        {"batchItemFailures": [{"itemIdentifier": "00000001-1111-4222-8333-444444444444"}]},
    ),
)
