"""The decision: a pure function, every gate run in order, the plan as far as it got."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from dialplane.domain.accounts import (
    ApiKey,
    Assistant,
    CallerNumber,
    CarrierAccount,
    ConversationFlow,
    Organization,
    PresentedKey,
)
from dialplane.domain.admission import Facts, GateVerdict, InitiateCall, admit, check_balance, decide
from dialplane.domain.calls import DIAL_WINDOW
from dialplane.domain.errors import InsufficientBalance
from dialplane.domain.money import Money
from dialplane.domain.phone_numbers import PhoneNumber
from dialplane.domain.statuses import CallStatus
from dialplane.domain.wallets import Wallet

NOW = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
ORGANIZATION = Organization(id="org_1", name="Example", model_providers=frozenset({"openai"}))
KEY = ApiKey("key", "org_1", "Key", "0" * 64, frozenset({"can_initiate_calls"}))
ASSISTANT = Assistant(1, "org_1", "Ada", "Hello {{ name | default: 'there' }}.", caller_number="+15551234567")
NUMBER = CallerNumber("+15551234567", "org_1", "twilio", "acct_1", assistant_id=1)
WALLET = Wallet("org_1", "USD", deposited_micros=10**6, available_micros=10**6)
ENGINES = {"twilio": {"say", "relay", "stream", "conversation"}, "vonage": {"say"}, "elevenlabs": {"agent"}}
FACTS = Facts(
    key=KEY,
    organization=ORGANIZATION,
    numbers={NUMBER.number: NUMBER},
    assistants={1: ASSISTANT},
    wallet=WALLET,
    engines=ENGINES,
)
GATES = [
    "caller_number",
    "assistant",
    "configuration",
    "texts",
    "do_not_call",
    "destination",
    "balance",
    "active_calls",
]


def a_command(**changes: Any) -> InitiateCall:
    defaults: dict[str, Any] = {
        "dialect": "burki",
        "request_id": "request",
        "presented_key": PresentedKey("org_1", "key", "secret"),
        "destination": PhoneNumber("+15559876543"),
        "caller_number": PhoneNumber("+15551234567"),
        "assistant_id": None,
        "welcome_message": None,
        "agenda": None,
        "variables": {},
    }
    return InitiateCall(**{**defaults, **changes})


def outcome(command: InitiateCall, facts: Facts) -> tuple[str | None, list[str]]:
    """The refusal's code and the gates that did not pass."""
    decision = decide(command, facts)
    assert [result.gate for result in decision.gates] == GATES
    refusal = decision.refusal
    return refusal.code if refusal else None, [
        f"{result.gate} {result.verdict.value}" for result in decision.gates if result.verdict is not GateVerdict.PASSED
    ]


def facts_with(**changes: Any) -> Facts:
    """The facts with another ``caller_number`` or ``assistant``, None for none, and anything else by its name."""
    if "caller_number" in changes:
        number = changes.pop("caller_number")
        changes["numbers"] = {number.number: number} if number is not None else {}
    if "assistant" in changes:
        assistant = changes.pop("assistant")
        changes["assistants"] = {assistant.id: assistant} if assistant is not None else {}
    return replace(FACTS, **changes)


RESOLUTION_FAILED = ["configuration skipped", "texts skipped", "balance skipped"]


@pytest.mark.parametrize(
    ("command", "facts", "code", "not_passed"),
    [
        ({}, {}, None, []),
        ({"assistant_id": 1}, {}, None, []),
        ({"caller_number": None, "assistant_id": 1}, {}, None, []),
        (
            {},
            {"caller_number": None, "assistant": None},
            "caller_number_foreign",
            ["caller_number failed", "assistant skipped", *RESOLUTION_FAILED],
        ),
        (
            {},
            {"caller_number": replace(NUMBER, is_active=False)},
            "caller_number_foreign",
            ["caller_number failed", "assistant skipped", *RESOLUTION_FAILED],
        ),
        ({}, {"assistant": None}, "assistant_not_found", ["assistant failed", *RESOLUTION_FAILED]),
        (
            {},
            {"assistant": replace(ASSISTANT, is_active=False)},
            "assistant_not_found",
            ["assistant failed", *RESOLUTION_FAILED],
        ),
        ({"assistant_id": 9}, {"assistant": None}, "assistant_foreign", ["assistant failed", *RESOLUTION_FAILED]),
        (
            {"assistant_id": 1},
            {"assistant": replace(ASSISTANT, is_active=False)},
            "assistant_not_found",
            ["assistant failed", *RESOLUTION_FAILED],
        ),
        (
            {"caller_number": None, "assistant_id": 9},
            {"assistant": None, "caller_number": None},
            "assistant_foreign",
            ["caller_number skipped", "assistant failed", *RESOLUTION_FAILED],
        ),
        (
            {"caller_number": None, "assistant_id": 1},
            {"caller_number": None},
            "caller_number_missing",
            ["caller_number failed"],
        ),
        ({"welcome_message": "{{x}}"}, {}, "missing_variables", ["texts failed"]),
        ({"agenda": "{{"}, {}, "invalid_template", ["texts failed"]),
        ({}, {"is_destination_on_dnc": True}, "do_not_call", ["do_not_call failed"]),
        ({"destination": PhoneNumber("+442079460123")}, {}, "destination_not_allowed", ["destination failed"]),
        ({"destination": PhoneNumber("+19002345678")}, {}, "destination_not_allowed", ["destination failed"]),
        ({}, {"wallet": None}, "insufficient_balance", ["balance failed"]),
        ({}, {"wallet": replace(WALLET, available_micros=299_999)}, "insufficient_balance", ["balance failed"]),
        ({}, {"wallet": replace(WALLET, available_micros=300_000)}, None, []),
        ({}, {"wallet": replace(WALLET, currency="EUR")}, "insufficient_balance", ["balance failed"]),
        ({}, {"wallet": replace(WALLET, active_calls=100)}, "active_calls_limit_reached", ["active_calls failed"]),
        ({}, {"wallet": replace(WALLET, active_calls=99)}, None, []),
    ],
)
def test_the_gates(command: dict[str, Any], facts: dict[str, Any], code: str | None, not_passed: list[str]) -> None:
    assert outcome(a_command(**command), facts_with(**facts)) == (code, not_passed)


def test_every_gate_is_run_whatever_the_earlier_ones_said() -> None:
    facts = facts_with(is_destination_on_dnc=True, wallet=replace(WALLET, available_micros=0, active_calls=100))
    command = a_command(welcome_message="{{x}}", destination=PhoneNumber("+442079460123"))
    code, not_passed = outcome(command, facts)
    assert code == "missing_variables"
    assert not_passed == [f"{gate} failed" for gate in GATES[3:]]


def test_deciding_twice_says_the_same_and_changes_nothing() -> None:
    command, facts = a_command(agenda="{{x}}", variables={"x": 1}), FACTS
    assert decide(command, facts) == decide(command, facts)


@pytest.mark.parametrize(
    ("destination", "allowed", "passes"),
    [
        ("+442079460123", frozenset({"US", "GB"}), True),
        ("+15559876543", frozenset({"GB"}), False),
        ("+18765551234", frozenset({"US"}), False),  # Jamaica
        ("+18765551234", frozenset({"JM"}), True),
        ("+881612345678", frozenset({"US", "001"}), True),
        ("+15559876543", frozenset(), False),
    ],
)
def test_only_allowed_countries_are_called(destination: str, allowed: frozenset[str], passes: bool) -> None:
    organization = replace(ORGANIZATION, allowed_countries=allowed)
    code, _ = outcome(a_command(destination=PhoneNumber(destination)), facts_with(organization=organization))
    assert code == (None if passes else "destination_not_allowed")


@pytest.mark.parametrize(("destination", "kind"), [("+19002345678", "premium_rate"), ("+18002345678", "toll_free")])
def test_a_refused_kind_of_number_can_be_allowed(destination: str, kind: str) -> None:
    command = a_command(destination=PhoneNumber(destination))
    refusal = decide(command, FACTS).refusal
    assert refusal is not None
    assert refusal.details == {"number_type": kind}
    organization = replace(ORGANIZATION, allowed_number_types=frozenset({kind}))
    assert decide(command, facts_with(organization=organization)).refusal is None


def test_the_requests_words_come_before_the_assistants() -> None:
    assistant = replace(ASSISTANT, agenda="Ask {{ name | default: 'them' }}.", goodbye_message="Bye {{name}}.")
    variables = {"name": "Ada"}
    own = decide(a_command(variables=variables), facts_with(assistant=assistant)).plan
    assert own.instructions is not None
    assert (own.instructions.welcome_message, own.agenda) == ("Hello Ada.", "Ask Ada.")
    assert own.instructions.goodbye_message == "Bye Ada."
    command = a_command(welcome_message="Hi {{name}}", agenda="", variables=variables)
    theirs = decide(command, facts_with(assistant=assistant)).plan
    assert theirs.instructions is not None
    assert (theirs.instructions.welcome_message, theirs.agenda) == ("Hi Ada", "")


def test_an_override_speaks_and_the_number_still_calls() -> None:
    other = replace(ASSISTANT, id=2, name="Grace", caller_number="+15550000000")
    plan = decide(a_command(assistant_id=2), facts_with(assistant=other)).plan
    assert plan.assistant == other
    assert plan.caller_number == NUMBER


@pytest.mark.parametrize(
    ("seconds", "rate", "increment", "hold"),
    [(600, 30_000, 60, 300_000), (90, 30_000, 60, 60_000), (90, 30_000, 1, 45_000), (1, 1, 1, 1)],
)
def test_the_hold_is_the_rate_times_the_time_limit(seconds: int, rate: int, increment: int, hold: int) -> None:
    organization = replace(ORGANIZATION, rate_micros_per_minute=rate, billing_increment_seconds=increment)
    assistant = replace(ASSISTANT, max_duration_seconds=seconds)
    plan = decide(a_command(), facts_with(organization=organization, assistant=assistant)).plan
    assert plan.hold == Money(hold, "USD")


def test_a_402_says_what_is_there_and_what_is_needed() -> None:
    with pytest.raises(InsufficientBalance) as caught:
        check_balance(replace(WALLET, available_micros=1), Money(2, "USD"))
    assert (caught.value.available, caught.value.required) == (Money(1, "USD"), Money(2, "USD"))


def test_money_of_another_currency_counts_for_nothing() -> None:
    with pytest.raises(InsufficientBalance) as caught:
        check_balance(replace(WALLET, currency="EUR"), Money(1, "USD"))
    assert caught.value.available == Money(0, "USD")


def test_the_admitted_call_is_the_plan_and_may_be_dialled_for_ten_seconds() -> None:
    command = a_command(agenda="{{x}}", variables={"x": "\u00e9"})
    decision = decide(command, FACTS)
    call = admit(command, FACTS, decision, call_id="call_1", now=NOW)
    assert call.status is CallStatus.DIALING
    assert (call.created_at, call.dial_deadline) == (NOW, NOW + DIAL_WINDOW)
    assert DIAL_WINDOW.total_seconds() == 10
    assert (call.hold_micros, call.currency, call.time_limit_seconds) == (300_000, "USD", 600)
    assert (call.assistant_id, call.caller_number, call.destination) == (1, "+15551234567", "+15559876543")
    assert call.instructions.parameters == {"call_id": "call_1"}
    assert call.gates == tuple(GATES)
    assert call.variables_json == '{"x":"\u00e9"}'
    assert call.is_open


def test_s2_8_an_override_outranks_the_flow_on_the_number() -> None:
    flow = ConversationFlow(7, "org_1", "Booking", 1, "relay", "wss://flows.example.test/7")
    facts = facts_with(caller_number=replace(NUMBER, flow_id=7), flows={7: flow})

    assert decide(a_command(assistant_id=1), facts).plan.assistant == ASSISTANT
    live = decide(a_command(), facts).plan
    assert live.instructions is not None
    assert (live.instructions.engine, live.instructions.url) == ("relay", "wss://flows.example.test/7")
    assert admit(a_command(), facts, decide(a_command(), facts), call_id="call_1", now=NOW).flow_id == 7


def test_s2_9_the_carrier_follows_the_caller_number_and_must_have_words_for_the_engine() -> None:
    agent = replace(ASSISTANT, engine="agent", agent_id="agent_1")
    theirs = replace(NUMBER, carrier="elevenlabs")

    assert outcome(a_command(), facts_with(assistant=agent)) == ("engine_unsupported", ["configuration failed"])
    assert outcome(a_command(), facts_with(caller_number=theirs)) == ("engine_unsupported", ["configuration failed"])
    assert outcome(a_command(), facts_with(assistant=agent, caller_number=theirs)) == (None, [])
    nobody = facts_with(caller_number=replace(NUMBER, carrier="pigeon"))
    assert outcome(a_command(), nobody) == ("engine_unsupported", ["configuration failed"])


def test_an_agent_that_is_not_named_cannot_speak() -> None:
    facts = facts_with(
        assistant=replace(ASSISTANT, engine="agent"), caller_number=replace(NUMBER, carrier="elevenlabs")
    )
    assert outcome(a_command(), facts) == ("invalid_configuration", ["configuration failed"])


@pytest.mark.parametrize(
    ("command", "own_seconds", "code"),
    [
        ({}, 300, None),
        ({"override": {"max_duration_seconds": 300}}, 300, None),
        ({"override": {"max_duration_seconds": 900}}, 300, None),
        ({"override": {"max_duration_seconds": 299}}, 300, "invalid_configuration"),
        ({"assistant": {"max_duration_seconds": 600}}, 300, None),
        ({"assistant": {"max_duration_seconds": 1}}, 300, "invalid_configuration"),
    ],
)
def test_no_request_shortens_the_hold_for_an_agent_that_nobody_can_stop(
    command: dict[str, Any], own_seconds: int, code: str | None
) -> None:
    agent = replace(ASSISTANT, engine="agent", agent_id="agent_1", max_duration_seconds=own_seconds)
    facts = facts_with(assistant=agent, caller_number=replace(NUMBER, carrier="elevenlabs"))
    if "assistant" in command:
        command = {"assistant": replace(agent, id=0, organization_id="", **command["assistant"])}
    else:
        command = {"assistant_id": 1, **command}
    assert outcome(a_command(**command), facts)[0] == code


def test_any_other_engine_keeps_to_a_shorter_limit() -> None:
    command = a_command(assistant_id=1, override={"max_duration_seconds": 1})
    hold = decide(command, FACTS).plan.hold
    assert (outcome(command, FACTS)[0], hold) == (None, Money(30_000, "USD"))


def test_a_number_that_takes_calls_only_is_refused_early() -> None:
    facts = facts_with(caller_number=replace(NUMBER, can_dial_out=False))
    code, not_passed = outcome(a_command(), facts)
    assert (code, not_passed[0]) == ("number_cannot_dial_out", "caller_number failed")


def test_s3_5_a_transient_assistant_speaks_and_is_nobody_elses() -> None:
    transient = Assistant(0, "", "For once", "Hi {{name}}.", llm_config={"provider": "xai_realtime"})
    command = a_command(assistant=transient, variables={"name": "Ada"})
    plan = decide(command, FACTS).plan
    assert plan.assistant == transient
    assert plan.instructions is not None
    assert plan.instructions.welcome_message == "Hi Ada."
    call = admit(command, FACTS, decide(command, FACTS), call_id="call_1", now=NOW)
    assert call.configuration_json == '{"llm_config":{"provider":"xai_realtime"}}'


def test_s3_6_an_override_changes_fields_and_leaves_the_rest() -> None:
    base = replace(
        ASSISTANT,
        llm_config={"provider": "openai", "model": "a", "messages": [{"role": "system", "content": "Old"}]},
        stt_config={"provider": "x"},
        tts_config={"provider": "y"},
    )
    override = {"welcome_message": "Hi.", "llm_config": {"messages": [{"role": "system", "content": "New"}]}}
    plan = decide(a_command(override=override), facts_with(assistant=base)).plan
    assert plan.assistant is not None
    assert plan.assistant.welcome_message == "Hi."
    expected = {"provider": "openai", "model": "a", "messages": [{"role": "system", "content": "New"}]}
    assert plan.assistant.llm_config == expected


def test_s3_9_the_provider_rule_is_about_the_merged_configuration() -> None:
    base = replace(ASSISTANT, llm_config={"provider": "openai"}, stt_config={}, tts_config={})
    realtime = {"llm_config": {"provider": "xai_realtime"}}
    facts = facts_with(assistant=base)

    assert outcome(a_command(), facts) == (None, [])
    assert outcome(a_command(override=realtime), facts)[0] == "invalid_configuration"
    assert outcome(a_command(override=realtime | {"stt_config": None, "tts_config": None}), facts) == (None, [])


def test_s1_5_variables_are_used_in_the_instructions() -> None:
    assistant = replace(ASSISTANT, prompt="Talk to {{ customer.name }} about {{ topic | default: 'teeth' }}.")
    plan = decide(a_command(variables={"customer": {"name": "Ada"}}), facts_with(assistant=assistant)).plan
    assert plan.instructions is not None
    assert plan.instructions.prompt == "Talk to Ada about teeth."


def test_s4_values_are_never_read_as_templates() -> None:
    override = {"prompt": "{{description}}", "welcome_message": ""}
    command = a_command(override=override, welcome_message="Hi {{description}}", variables={"description": "{{name}}"})
    plan = decide(command, FACTS).plan
    assert plan.instructions is not None
    assert (plan.instructions.prompt, plan.instructions.welcome_message) == ("{{name}}", "Hi {{name}}")


def a_default_call(**facts: Any) -> tuple[str | None, Any]:
    agent = replace(ASSISTANT, engine="agent", agent_id="agent_1", caller_number=NUMBER.number)
    number = replace(NUMBER, carrier="elevenlabs", carrier_number_id="phnum_1")
    complete: dict[str, Any] = {
        "organization": replace(ORGANIZATION, default_assistant_id=1),
        "assistant": agent,
        "caller_number": number,
        "carrier_accounts": {"acct_1": CarrierAccount("acct_1", "org_1", "elevenlabs", "Account", NOW)},
    }
    command = a_command(caller_number=None, uses_default_assistant=True)
    refusal = decide(command, facts_with(**{**complete, **facts})).refusal
    return (refusal.code, getattr(refusal, "names", ())) if refusal is not None else (None, ())


@pytest.mark.parametrize(
    ("facts", "missing"),
    [
        ({}, None),
        ({"organization": ORGANIZATION}, ("carrier account", "agent", "caller number")),
        ({"assistant": None}, ("carrier account", "agent", "caller number")),
        ({"caller_number": None}, ("carrier account", "caller number")),
        ({"carrier_accounts": {}}, ("carrier account",)),
        (
            {"assistant": replace(ASSISTANT, engine="agent", agent_id=None)},
            ("agent",),
        ),
        ({"caller_number": replace(NUMBER, carrier="elevenlabs")}, ("caller number",)),
    ],
)
def test_s4_8_what_the_default_assistant_lacks_is_named_in_order(
    facts: dict[str, Any], missing: tuple[str, ...] | None
) -> None:
    assert a_default_call(**facts) == ((None, ()) if missing is None else ("setup_missing", missing))


# ---- conversations of ours ------------------------------------------------------------------------------------------

TALKER = replace(ASSISTANT, engine="conversation", prompt="Be kind to {{ name }}.", goodbye_message="Bye {{ name }}.")
ADA = {"variables": {"name": "Ada"}}


def test_a_conversation_begins_with_the_disclosure_and_goes_on_by_its_settings() -> None:
    speech: dict[str, Any] = {"stt_config": {"provider": "deepgram"}, "tts_config": {"provider": "elevenlabs"}}
    facts = facts_with(assistant=replace(TALKER, agenda="Ask {{ name }}.", voice="v", language="nl-NL", **speech))
    command = a_command(welcome_message="Hi {{ name }}.", **ADA)
    decision = decide(command, facts)
    plan = decision.plan
    assert decision.refusal is None
    assert plan.instructions is not None
    assert plan.conversation is not None
    assert plan.instructions.engine == "conversation"
    assert plan.instructions.welcome_message == plan.conversation.disclosure
    assert not plan.instructions.is_welcome_interruptible
    assert (plan.instructions.voice, plan.instructions.language) == ("v", "nl-NL")
    assert (plan.instructions.stt_config, plan.instructions.tts_config) == tuple(speech.values())
    assert (plan.first_message, plan.conversation.first_message) == ("Hi Ada.", "Hi Ada.")
    assert (plan.agenda, plan.conversation.agenda) == ("Ask Ada.", "Ask [name].")
    assert (plan.conversation.prompt, plan.conversation.goodbye_message) == ("Be kind to [name].", "Bye Ada.")
    call = admit(command, facts, decision, call_id="call_1", now=NOW, socket_token="token")
    assert call.conversation_json == plan.conversation.to_json()
    assert call.socket_token == "token"


def test_without_a_disclosure_the_first_message_is_what_is_heard_first() -> None:
    facts = facts_with(assistant=TALKER, organization=replace(ORGANIZATION, discloses=False))
    instructions = decide(a_command(**ADA), facts).plan.instructions
    assert instructions is not None
    assert instructions.welcome_message == "Hello Ada."
    assert instructions.is_welcome_interruptible


def test_only_a_conversation_has_settings_and_a_token() -> None:
    decision = decide(a_command(), FACTS)
    call = admit(a_command(), FACTS, decision, call_id="call_1", now=NOW, socket_token="token")
    assert (decision.plan.conversation, call.conversation_json, call.socket_token) == (None, None, None)


@pytest.mark.parametrize(("on_machine", "detected"), [("continue", False), ("hang_up", True), ("leave_message", True)])
def test_who_minds_answering_machines_has_them_detected(on_machine: Any, detected: bool) -> None:
    facts = facts_with(assistant=replace(TALKER, on_machine=on_machine, voicemail_message="Call us."))
    decision = decide(a_command(**ADA), facts)
    assert admit(a_command(**ADA), facts, decision, call_id="call_1", now=NOW).machine_detection is detected


@pytest.mark.parametrize(
    ("changes", "code", "not_passed"),
    [
        ({}, None, []),
        ({"llm_config": {"provider": "bedrock"}}, "invalid_configuration", ["configuration failed"]),
        ({"llm_config": {"provider": "openai"}, "stt_config": {}, "tts_config": {}}, None, []),
        (
            {"llm_config": {"provider": "mistral"}, "stt_config": {}, "tts_config": {}},
            "invalid_configuration",
            ["configuration failed"],
        ),
        ({"llm_config": {"provider": "xai_realtime"}}, "invalid_configuration", ["configuration failed"]),
        ({"llm_config": {"provider": "somebody"}}, "invalid_configuration", ["configuration failed"]),
        ({"llm_config": {"messages": 5}}, "invalid_configuration", ["configuration failed"]),
        ({"engine_url": "wss://x.example.test"}, "invalid_value", ["configuration failed"]),
        ({"fallback_message": "{{ nobody }}"}, "missing_variables", ["texts failed"]),
        ({"prompt": "{{"}, "invalid_template", ["texts failed"]),
        ({"welcome_message": " "}, "invalid_template", ["texts failed"]),
    ],
    ids=str,
)
def test_the_gates_of_a_conversation(changes: dict[str, Any], code: str | None, not_passed: list[str]) -> None:
    assert outcome(a_command(**ADA), facts_with(assistant=replace(TALKER, **changes))) == (code, not_passed)


@pytest.mark.parametrize("number", ["+442079460000", "+19002345678"])  # another country; a premium number
@pytest.mark.parametrize("where", ["transfer_number", "tool"])
def test_an_assistant_transfers_only_to_whom_its_organization_may_call(number: str, where: str) -> None:
    def assistant(to: str) -> Assistant:
        tools = {"llm_config": {"tools": [{"type": "transfer", "destinations": [to]}]}}
        changes: dict[str, Any] = tools if where == "tool" else {"transfer_number": to}
        return replace(TALKER, **changes)

    refused = outcome(a_command(**ADA), facts_with(assistant=assistant(number)))
    assert refused == ("destination_not_allowed", ["configuration failed"])
    assert outcome(a_command(**ADA), facts_with(assistant=assistant("+15550100300"))) == (None, [])


@pytest.mark.parametrize("tools", [5, [5], [{"type": "transfer", "destinations": 5}]], ids=str)
def test_tools_that_are_none_are_refused_and_break_nothing(tools: Any) -> None:
    facts = facts_with(assistant=replace(TALKER, llm_config={"tools": tools}, transfer_number="+15550100300"))
    assert outcome(a_command(**ADA), facts) == ("invalid_configuration", ["configuration failed"])


def test_a_carrier_without_words_for_conversations_refuses_them() -> None:
    facts = facts_with(assistant=TALKER, caller_number=replace(NUMBER, carrier="vonage"))
    assert outcome(a_command(**ADA), facts) == ("engine_unsupported", ["configuration failed"])


NAMES_MODEL = {"llm_config": {"provider": "scripted"}}


@pytest.mark.parametrize(
    ("base", "override", "engine"),
    [
        ({}, NAMES_MODEL, "conversation"),
        ({}, {**NAMES_MODEL, "engine": "say"}, "say"),
        ({}, {"llm_config": {"messages": []}}, "say"),
        ({}, {"llm_config": {"provider": "xai_realtime"}}, "say"),
        ({"llm_config": {"provider": "scripted"}}, {"llm_config": {"temperature": 0.5}}, "say"),
        ({"llm_config": {"provider": "scripted"}}, {}, "say"),
        ({"engine": "relay", "engine_url": "wss://x.example.test"}, NAMES_MODEL, "relay"),
        ({"engine": "conversation"}, {"llm_config": {"temperature": 0.5}}, "conversation"),
    ],
    ids=str,
)
def test_s3_06_who_names_a_model_for_one_that_says_a_sentence_has_a_conversation_with_it(
    base: dict[str, Any], override: dict[str, Any], engine: str
) -> None:
    command = a_command(assistant_id=1, override=override)
    plan = decide(command, facts_with(assistant=replace(ASSISTANT, **base))).plan
    assert plan.assistant is not None
    assert plan.assistant.engine == engine
