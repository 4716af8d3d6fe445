"""May this call be made, by whom, from where, with which words, and what must be held for it?

``decide`` is a pure function over facts that were read before. Reading the facts and keeping the decision true under
concurrency (the commit's conditions) belong to ``usecases.initiate_call`` and ``dynamodb.admissions``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from dialplane.domain.accounts import (
    TALK_SECONDS,
    ApiKey,
    Assistant,
    CallerNumber,
    CarrierAccount,
    ConversationFlow,
    Organization,
    PresentedKey,
)
from dialplane.domain.assistants import check_assistant, with_changes
from dialplane.domain.calls import DIAL_WINDOW, QUEUE_WINDOW, Call
from dialplane.domain.conversation_planning import check_conversation, names_model, settings_of, transfer_numbers
from dialplane.domain.conversation_settings import ConversationSettings
from dialplane.domain.errors import (
    ActiveCallsLimitReached,
    AssistantForeign,
    AssistantNotFound,
    CallerNumberForeign,
    CallerNumberMissing,
    ConfigurationInvalid,
    DestinationNotAllowed,
    DestinationOnDnc,
    DialplaneError,
    EngineUnsupported,
    InsufficientBalance,
    NumberCannotDialOut,
    SetupMissing,
    TemplateInvalid,
)
from dialplane.domain.idempotency import IdempotencyKey, IdempotencyRecord
from dialplane.domain.instructions import Instructions
from dialplane.domain.money import Money, charge_micros
from dialplane.domain.number_pool import NumberChoice, choose
from dialplane.domain.phone_numbers import REFUSED_NUMBER_TYPES, PhoneNumber
from dialplane.domain.resolution import Directory, Resolution, Rule, resolve
from dialplane.domain.statuses import CallerNumberReason, CallStatus
from dialplane.domain.templates import PROMPT_LENGTH_MAX, Variables, render
from dialplane.domain.wallets import Wallet


@dataclass(frozen=True, slots=True)
class InitiateCall:
    """A request to place a call, in canonical words, whichever dialect it came in.

    An ``assistant_id`` that is a text is a public id. ``assistant`` is one that the request brings along and that is
    not kept; ``override`` changes the fields of the one that speaks. Without a caller number the assistant's own is
    called from, or with ``uses_pool`` one that the organization's pool chooses.
    """

    dialect: str
    request_id: str
    presented_key: PresentedKey
    destination: PhoneNumber
    caller_number: PhoneNumber | None
    assistant_id: int | str | None
    welcome_message: str | None
    agenda: str | None
    variables: Variables
    idempotency_key: IdempotencyKey | None = None
    assistant: Assistant | None = None
    override: Mapping[str, Any] = field(default_factory=dict)
    uses_default_assistant: bool = False
    uses_pool: bool = False
    contact_id: int | None = None
    deprecated_fields: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything the decision needs, as it was when it was read: of each collection what the request may be about.

    ``engines`` says with which engines each carrier's numbers can speak. ``pool`` is None unless the request asks for
    a number of it; then ``calls_made`` says how often each was called from.
    """

    key: ApiKey | None = None
    organization: Organization | None = None
    numbers: Mapping[str, CallerNumber] = field(default_factory=dict)
    assistants: Mapping[int, Assistant] = field(default_factory=dict)
    assistant_ids: Mapping[str, int] = field(default_factory=dict)
    flows: Mapping[int, ConversationFlow] = field(default_factory=dict)
    carrier_accounts: Mapping[str, CarrierAccount] = field(default_factory=dict)
    engines: Mapping[str, Collection[str]] = field(default_factory=dict)
    pool: tuple[CallerNumber, ...] | None = None
    calls_made: Mapping[str, int] = field(default_factory=dict)
    last_caller_number: str | None = None
    """The number that the destination was last called from."""
    wallet: Wallet | None = None
    is_destination_on_dnc: bool = False
    idempotency_record: IdempotencyRecord | None = None


class GateVerdict(StrEnum):
    """How a gate ended; a gate is skipped when an earlier one left it nothing to look at."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class GateResult:
    """One gate's verdict, with its refusal when it failed."""

    gate: str
    verdict: GateVerdict
    refusal: DialplaneError | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What the call would be, as far as the gates got."""

    assistant: Assistant | None = None
    resolution: Resolution | None = None
    caller_number: CallerNumber | None = None
    caller_number_reason: CallerNumberReason | None = None
    instructions: Instructions | None = None
    conversation: ConversationSettings | None = None
    first_message: str | None = None
    """What the assistant says first, after whatever the platform has to say."""
    agenda: str | None = None
    hold: Money | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """Every gate's verdict in order, and the plan. The call may be made when no gate failed."""

    gates: tuple[GateResult, ...]
    plan: Plan

    @property
    def refusal(self) -> DialplaneError | None:
        """The first gate's refusal, which is the one a client is told."""
        return next((result.refusal for result in self.gates if result.refusal is not None), None)


def decide(command: InitiateCall, facts: Facts) -> Decision:
    """Run every gate in order, none left out, whatever the earlier ones said.

    The key and its scope have been checked before: a stranger learns nothing from the other gates.
    """
    assert facts.organization is not None
    plan = Plan()
    results: list[GateResult] = []
    for name, gate in _GATES:
        try:
            outcome = gate(command, facts, facts.organization, plan)
        except DialplaneError as refusal:
            results.append(GateResult(name, GateVerdict.FAILED, refusal))
        else:
            results.append(GateResult(name, GateVerdict.SKIPPED if outcome is None else GateVerdict.PASSED))
            plan = outcome or plan
    return Decision(tuple(results), plan)


def resolution_of(command: InitiateCall, facts: Facts, number: CallerNumber | None) -> Resolution:
    """Who speaks, as far as the facts say."""
    default = facts.organization.default_assistant_id if facts.organization and command.uses_default_assistant else None
    return resolve(
        Directory(facts.assistants, facts.assistant_ids, facts.flows),
        transient=command.assistant,
        asked=command.assistant_id,
        number=number,
        default=default,
    )


def number_choice_of(command: InitiateCall, facts: Facts) -> NumberChoice:
    """The number to call from: the request's, else one of the pool, else the assistant's own."""
    if command.caller_number is not None:
        return NumberChoice(command.caller_number.e164, CallerNumberReason.REQUESTED)
    assistant = resolution_of(command, facts, None).assistant
    if not command.uses_pool:
        return NumberChoice(assistant.caller_number if assistant is not None else None, CallerNumberReason.ASSISTANT)
    engine = _as_asked(assistant, command).engine if assistant is not None else None
    return choose(
        facts.pool or (),
        command.destination,
        last_used=facts.last_caller_number,
        calls_made=facts.calls_made,
        carriers=[carrier for carrier, engines in facts.engines.items() if engine is None or engine in engines],
    )


def _check_caller_number(command: InitiateCall, facts: Facts, organization: Organization, plan: Plan) -> Plan | None:
    if command.uses_default_assistant:
        _check_setup(command, facts)
    choice = number_choice_of(command, facts)
    number = facts.numbers.get(choice.number) if choice.number is not None else None
    is_usable = number is not None and number.is_active
    if command.caller_number is not None:
        if not is_usable:
            raise CallerNumberForeign(command.caller_number.e164)
    elif not command.uses_pool and resolution_of(command, facts, None).assistant is None:
        return None
    elif not is_usable:
        raise CallerNumberMissing
    if number is not None and not number.can_dial_out:
        raise NumberCannotDialOut(number.number)
    return replace(plan, caller_number=number, caller_number_reason=choice.reason)


def _check_setup(command: InitiateCall, facts: Facts) -> None:
    """What a request that names nobody takes for granted. Raises SetupMissing."""
    assistant = resolution_of(command, facts, None).assistant
    number = facts.numbers.get((assistant and assistant.caller_number) or "")
    if missing := missing_setup(assistant, number, facts.carrier_accounts):
        raise SetupMissing(missing)


def missing_setup(
    assistant: Assistant | None, number: CallerNumber | None, carrier_accounts: Collection[str]
) -> list[str]:
    """What a default assistant and its caller number still lack to be called with: an account, an agent, a number."""
    needs_ids = assistant is None or assistant.engine == "agent"
    missing = {
        "carrier account": number is None or number.carrier_account_id not in carrier_accounts,
        "agent": assistant is None or not assistant.is_active or (needs_ids and assistant.agent_id is None),
        "caller number": number is None or (needs_ids and number.carrier_number_id is None),
    }
    return [name for name, is_missing in missing.items() if is_missing]


def _check_assistant(command: InitiateCall, facts: Facts, organization: Organization, plan: Plan) -> Plan | None:
    resolution = resolution_of(command, facts, plan.caller_number)
    assistant = resolution.assistant
    plan = replace(plan, resolution=resolution)
    if resolution.rule is Rule.OVERRIDE:
        if assistant is None:
            raise AssistantForeign(command.assistant_id)
        if not assistant.is_active:
            raise AssistantNotFound(f"Assistant {command.assistant_id} is not active. Activate it or choose another.")
    elif assistant is None or not assistant.is_active:
        if plan.caller_number is None:
            return None
        raise AssistantNotFound(f"No assistant found for phone number {plan.caller_number.number}")
    return replace(plan, assistant=_as_asked(assistant, command))


def _as_asked(assistant: Assistant, command: InitiateCall) -> Assistant:
    """The assistant as this call has it. Who names a model for one that only says a sentence wants it to converse."""
    changed = with_changes(assistant, command.override)
    if changed.engine == "say" and "engine" not in command.override and names_model(command.override.get("llm_config")):
        return replace(changed, engine="conversation")
    return changed


def _check_configuration(command: InitiateCall, facts: Facts, organization: Organization, plan: Plan) -> Plan | None:
    assistant, number = plan.assistant, plan.caller_number
    if assistant is None:
        return None
    check_assistant(assistant)
    if assistant.engine == "agent" and assistant.agent_id is None:
        raise ConfigurationInvalid('The engine "agent" needs the agent_id of the carrier\'s agent.', param="agent_id")
    # The hold pays for the limit and bounds the charge, and nobody can tell the carrier's agent to keep to it.
    if assistant.engine == "agent" and assistant.max_duration_seconds < _agent_seconds(plan):
        raise ConfigurationInvalid(
            f"max_duration_seconds cannot be less than {_agent_seconds(plan)} for this call: how long the carrier's "
            "agent talks is set where it lives.",
            param="max_duration_seconds",
        )
    if assistant.engine == "conversation":
        check_conversation(assistant, organization)
        # Whoever configures an assistant can have it dial: its organization's rules for calls hold there, too.
        for transfer in transfer_numbers(assistant):
            check_destination(transfer, organization, what="transfer destination")
    if number is None:
        return plan
    engines = facts.engines.get(number.carrier, ())
    if assistant.engine not in engines:
        raise EngineUnsupported(assistant.engine, number.carrier, sorted(engines))
    return plan


def _agent_seconds(plan: Plan) -> int:
    """How long an assistant talks by its own settings; one that a request brings along has none of its own."""
    kept = plan.resolution.assistant if plan.resolution is not None and plan.resolution.assistant_id else None
    return kept.max_duration_seconds if kept is not None else TALK_SECONDS


def _check_texts(command: InitiateCall, facts: Facts, organization: Organization, plan: Plan) -> Plan | None:
    assistant = plan.assistant
    if assistant is None:
        return None
    welcome = command.welcome_message if command.welcome_message is not None else assistant.welcome_message
    agenda = command.agenda if command.agenda is not None else assistant.agenda
    first_message = render(welcome, command.variables, field="welcome_message")
    # An agent of the carrier's has a greeting of its own.
    if not first_message.strip() and assistant.engine != "agent":
        raise TemplateInvalid(
            "welcome_message is empty when filled: the callee would hear nothing.", field="welcome_message"
        )
    plan = replace(
        plan,
        first_message=first_message,
        agenda=render(agenda, command.variables, field="agenda") if agenda is not None else None,
    )
    if assistant.engine != "conversation":
        return replace(plan, instructions=_instructions(assistant, first_message, command.variables))
    settings = settings_of(
        assistant, organization, first_message=first_message, agenda=agenda, variables=command.variables
    )
    instructions = Instructions(
        engine="conversation",
        welcome_message=settings.disclosure or first_message,
        is_welcome_interruptible=settings.disclosure is None,
        voice=assistant.voice,
        language=assistant.language,
        stt_config=assistant.stt_config,
        tts_config=assistant.tts_config,
    )
    return replace(plan, conversation=settings, instructions=instructions)


def _instructions(assistant: Assistant, first_message: str, variables: Variables) -> Instructions:
    """What the carrier is told where it speaks itself, or connects with somebody else's server."""
    goodbye, prompt = assistant.goodbye_message, assistant.prompt
    return Instructions(
        engine=assistant.engine,
        url=assistant.engine_url,
        welcome_message=first_message,
        goodbye_message=render(goodbye, variables, field="goodbye_message") if goodbye else None,
        voice=assistant.voice,
        language=assistant.language,
        prompt=render(prompt, variables, field="prompt", length_max=PROMPT_LENGTH_MAX) if prompt else None,
        agent_id=assistant.agent_id if assistant.engine == "agent" else None,
    )


def _check_do_not_call(command: InitiateCall, facts: Facts, organization: Organization, plan: Plan) -> Plan:
    if facts.is_destination_on_dnc:
        raise DestinationOnDnc
    return plan


def _check_destination(command: InitiateCall, facts: Facts, organization: Organization, plan: Plan) -> Plan:
    check_destination(command.destination, organization)
    return plan


def check_destination(destination: PhoneNumber, organization: Organization, *, what: str = "destination") -> None:
    """Raise DestinationNotAllowed unless the organization calls this country and this kind of number."""
    if destination.region not in organization.allowed_countries:
        allowed = ", ".join(sorted(organization.allowed_countries)) or "none"
        raise DestinationNotAllowed(
            f"The {what} belongs to {destination.region}; your organization may call: {allowed}. "
            "Ask the operator to allow the country.",
            country=destination.region,
        )
    # A number outside every assigned range has no kind; refusing those would refuse all test and example numbers.
    kind = destination.number_type
    if destination.is_valid and kind in REFUSED_NUMBER_TYPES - organization.allowed_number_types:
        raise DestinationNotAllowed(
            f"The {what} is a {kind} number, which your organization may not call. "
            "Ask the operator to allow this kind of number.",
            number_type=kind,
        )


def _check_balance(command: InitiateCall, facts: Facts, organization: Organization, plan: Plan) -> Plan | None:
    if plan.assistant is None:
        return None
    required = Money(
        charge_micros(
            seconds=plan.assistant.max_duration_seconds,
            rate_micros_per_minute=organization.rate_micros_per_minute,
            increment_seconds=organization.billing_increment_seconds,
        ),
        organization.currency,
    )
    check_balance(facts.wallet, required)
    return replace(plan, hold=required)


def check_balance(wallet: Wallet | None, required: Money) -> None:
    """Raise InsufficientBalance unless the wallet has the micro-units available in the right currency."""
    is_same_currency = wallet is not None and wallet.currency == required.currency
    available = wallet.available_micros if wallet is not None and is_same_currency else 0
    if available < required.micros or not is_same_currency:
        raise InsufficientBalance(available=Money(available, required.currency), required=required)


def _check_active_calls(command: InitiateCall, facts: Facts, organization: Organization, plan: Plan) -> Plan:
    if facts.wallet is not None and facts.wallet.active_calls >= organization.active_calls_max:
        raise ActiveCallsLimitReached(organization.active_calls_max)
    return plan


_Gate = Callable[[InitiateCall, Facts, Organization, Plan], Plan | None]
_GATES: tuple[tuple[str, _Gate], ...] = (
    ("caller_number", _check_caller_number),
    ("assistant", _check_assistant),
    ("configuration", _check_configuration),
    ("texts", _check_texts),
    ("do_not_call", _check_do_not_call),
    ("destination", _check_destination),
    ("balance", _check_balance),
    ("active_calls", _check_active_calls),
)


def admit(
    command: InitiateCall,
    facts: Facts,
    decision: Decision,
    *,
    call_id: str,
    now: datetime,
    socket_token: str | None = None,
    is_dial_queued: bool = False,
) -> Call:
    """The call that a decision without refusal leads to, not yet committed.

    ``socket_token`` is what will open its conversation, if it has one.
    """
    dial_deadline = now + (QUEUE_WINDOW if is_dial_queued else DIAL_WINDOW)
    plan, organization, key = decision.plan, facts.organization, facts.key
    assert plan.assistant is not None
    assert plan.caller_number is not None
    assert plan.instructions is not None
    assert plan.hold is not None
    assert organization is not None
    assert key is not None
    flow = plan.resolution.flow if plan.resolution is not None else None
    account = facts.carrier_accounts.get(plan.caller_number.carrier_account_id)
    conversation = plan.conversation
    parameters = {"call_id": call_id} | ({"flow_id": str(flow.id)} if flow is not None else {})
    return Call(
        id=call_id,
        organization_id=organization.id,
        dialect=command.dialect,
        request_id=command.request_id,
        api_key_id=key.id,
        assistant_id=plan.assistant.id,
        assistant_name=plan.assistant.name,
        assistant_public_id=plan.assistant.public_id,
        configuration_json=_configuration_json(plan.assistant),
        conversation_json=conversation.to_json() if conversation is not None else None,
        socket_token=socket_token if conversation is not None else None,
        contact_id=command.contact_id,
        flow_id=flow.id if flow is not None else None,
        caller_number=plan.caller_number.number,
        caller_number_reason=plan.caller_number_reason,
        carrier_number_id=plan.caller_number.carrier_number_id,
        carrier_calls_per_second=account.calls_per_second if account is not None else None,
        destination=command.destination.e164,
        carrier=plan.caller_number.carrier,
        carrier_account_id=plan.caller_number.carrier_account_id,
        status=CallStatus.DIALING,
        created_at=now,
        dial_deadline=dial_deadline,
        is_dial_queued=is_dial_queued,
        ring_timeout_seconds=plan.assistant.ring_timeout_seconds,
        time_limit_seconds=plan.assistant.max_duration_seconds,
        machine_detection=plan.assistant.machine_detection or _minds_machines(conversation),
        instructions=replace(plan.instructions, parameters=parameters),
        agenda=plan.agenda,
        variables_json=json.dumps(command.variables, ensure_ascii=False, separators=(",", ":")),
        currency=plan.hold.currency,
        rate_micros_per_minute=organization.rate_micros_per_minute,
        billing_increment_seconds=organization.billing_increment_seconds,
        hold_micros=plan.hold.micros,
        gates=tuple(result.gate for result in decision.gates),
        next_check_at=dial_deadline,
    )


def _minds_machines(conversation: ConversationSettings | None) -> bool:
    """Whether a conversation does something about answering machines, which the carrier then has to detect."""
    return conversation is not None and conversation.on_machine != "continue"


def _configuration_json(assistant: Assistant) -> str | None:
    """The models that hold the conversation, as they were when the call was admitted."""
    names = ("llm_config", "stt_config", "tts_config")
    configuration = {name: value for name in names if (value := getattr(assistant, name)) is not None}
    return json.dumps(configuration, ensure_ascii=False, separators=(",", ":")) if configuration else None
