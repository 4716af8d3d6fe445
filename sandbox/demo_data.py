"""The sandbox's customers: one that owns the values of the documented example requests, and a second one.

Made through the same code as ``dialplane admin``; nothing in the system knows that this data is a demonstration.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cli.stack import Stack
from dialplane.aws.client import AwsClient
from dialplane.domain.accounts import Assistant, CarrierAccount, Organization
from dialplane.domain.dnc import DncEntry
from dialplane.domain.ids import new_id
from dialplane.dynamodb.destinations import DestinationStore
from dialplane.runtime import clock
from sandbox.models import API_KEY_PREFIX, BASE_PATH

MICROS = 1_000_000
CALLER_NUMBERS = ("+15551234567", "+15551234568", "+15551234569")
SECOND_CALLER_NUMBER = "+15557654321"
DNC_NUMBERS = ("+15550199001", "+15550199002")
# One more number with each of the other carriers.
CARRIER_NUMBERS = {
    "telnyx": "+15552000001",
    "telnyx-texml": "+15552000002",
    "vonage": "+15552000003",
    "sip-twilio": "+15552000004",
    "sip-telnyx": "+15552000005",
    "elevenlabs": "+15552000006",
}
# The numbers of the assistants that hold conversations, by assistant.
CONVERSATION_NUMBERS = {124: "+15551234570", 125: "+15551234571"}
ASSISTANT_PUBLIC_ID = "17a0cb75-fa09-4bdd-9a44-92a70d829c88"
AGENT_ASSISTANT_ID = 321
AGENT_ID, AGENT_NUMBER_ID = "agent_demo", "phnum_demo"

_NO = ["no", "not interested", "neither"]
_DAYS = [{"when": ["monday"], "next": "monday"}, {"when": ["tuesday"], "next": "tuesday"}]
APPOINTMENT_SCRIPT: Mapping[str, Any] = {
    "start": "which_day",
    "note": "I have just been told: {{ note }}",
    "steps": {
        "which_day": {"replies": [*_DAYS, {"when": _NO, "next": "declined"}], "otherwise": "again"},
        "again": {
            "say": "We have time for you on Monday and on Tuesday. Which day would be better?",
            "replies": [*_DAYS, {"when": _NO, "next": "declined"}],
            "otherwise": "unclear",
        },
        "monday": {
            "say": "Monday at ten it is. Shall I send you a reminder on the day before?",
            "replies": [{"when": _NO, "next": "no_reminder"}],
            "otherwise": "reminder",
            "outcome": "monday",
        },
        "tuesday": {
            "say": "Tuesday at ten it is. Shall I send you a reminder on the day before?",
            "replies": [{"when": _NO, "next": "no_reminder"}],
            "otherwise": "reminder",
            "outcome": "tuesday",
        },
        "reminder": {"say": "You will get one. Thank you, and goodbye.", "tool": "end_call"},
        "no_reminder": {"say": "Then I will not. Thank you, and goodbye.", "tool": "end_call"},
        "declined": {
            "say": "I understand. Thank you for your time, and goodbye.",
            "tool": "end_call",
            "outcome": "declined",
        },
        "unclear": {
            "say": "We will call you again another day. Thank you, and goodbye.",
            "tool": "end_call",
            "outcome": "unclear",
        },
    },
}
"""What the appointment assistant says: offers two days, then a reminder."""
APPOINTMENT_ANALYSIS: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "outcome": {"type": "string", "enum": ["none", "monday", "tuesday", "declined", "unclear"]},
    },
    "required": ["outcome"],
}

Secrets = Mapping[str, Mapping[str, str]]
"""The secret of the account with each carrier, without the address of its API."""


@dataclass(frozen=True, slots=True)
class DemoData:
    """The two organizations and a key of each, with every scope."""

    organization_id: str
    api_key: str
    second_organization_id: str
    second_api_key: str
    carrier_accounts: Mapping[str, str]
    """The first organization's account with each carrier."""


def seed(aws: AwsClient, outputs: Mapping[str, str], carrier_url: str, secrets: Secrets) -> DemoData:
    """Fill a freshly deployed stack.

    ``carrier_url`` is the address of every carrier account's API, and of the simulated language model's.
    """
    stack = Stack(aws, outputs)
    secrets = {carrier: _at(carrier_url, secret) for carrier, secret in secrets.items()}
    organization_id, api_key, accounts = _first_organization(stack, carrier_url, secrets)
    second_organization_id, second_api_key = _second_organization(stack, secrets["twilio"])
    return DemoData(organization_id, api_key, second_organization_id, second_api_key, accounts)


def _at(carrier_url: str, secret: Mapping[str, str]) -> dict[str, str]:
    """The secret with the address of the carrier's API, and of Twilio's where the carrier calls over it."""
    over_twilio = {"twilio_api_base_url": carrier_url} if "twilio_account_sid" in secret else {}
    return {**secret, "api_base_url": carrier_url, **over_twilio}


def _first_organization(stack: Stack, carrier_url: str, secrets: Secrets) -> tuple[str, str, dict[str, str]]:
    provision = stack.provision
    organization = provision.create_organization(
        Organization(id=new_id("org"), name="Example Dental", allowed_countries=frozenset({"US", "NL"}))
    )
    # A key that only the sandbox's own model takes, at the address where it is.
    stack.keys.put_model_key(
        organization.id,
        provider="openai",
        api_key=f"{API_KEY_PREFIX}demonstration",
        base_url=f"{carrier_url}{BASE_PATH}",
    )
    provision.put_assistant(
        Assistant(
            id=123,
            public_id=ASSISTANT_PUBLIC_ID,
            organization_id=organization.id,
            name="Appointment reminder",
            welcome_message='Hello {{ name | default: "there" }}, this is Example Dental with a reminder for you.',
            goodbye_message="Thank you, and goodbye.",
            language="en-US",
            caller_number=CALLER_NUMBERS[0],
            max_duration_seconds=300,
        )
    )
    provision.put_assistant(
        Assistant(
            id=456,
            organization_id=organization.id,
            name="Sales follow-up",
            welcome_message="Hello, this is Example Dental calling about your inquiry.",
            goodbye_message="Thank you for your time, and goodbye.",
            language="en-US",
            caller_number=CALLER_NUMBERS[1],
            max_duration_seconds=600,
            machine_detection=True,
        )
    )
    accounts = {
        carrier: provision.create_carrier_account(
            organization.id, carrier=carrier, name="Main account" if carrier == "twilio" else carrier, secret=secret
        )
        for carrier, secret in secrets.items()
    }
    for number, assistant_id in zip(CALLER_NUMBERS, (123, 456, None), strict=True):
        provision.put_number(organization.id, number, accounts["twilio"], assistant_id=assistant_id)
    _add_conversations(stack, organization.id, accounts["twilio"])
    for carrier, account in accounts.items():
        if carrier == "elevenlabs":
            _add_agent(stack, organization.id, account)
        elif carrier in CARRIER_NUMBERS:
            number = CARRIER_NUMBERS[carrier]
            provision.put_number(organization.id, number, account, assistant_id=123, in_pool=False)
    stack.wallets.deposit(organization.id, micros=50 * MICROS, currency="USD", note="Opening balance")
    destinations = DestinationStore(stack.aws, stack.tables)
    for number in DNC_NUMBERS:
        entry = DncEntry(number=number, reason="Asked not to be called", source="import", added_at=clock.now())
        destinations.add_dnc_entry(organization.id, entry)
    key = provision.create_key(organization.id, name="Demo key").text
    return organization.id, key, {carrier: account.id for carrier, account in accounts.items()}


def _add_conversations(stack: Stack, organization_id: str, account: CarrierAccount) -> None:
    """The assistants whose conversations we hold: one follows a script, the other asks a language model."""
    provision = stack.provision
    provision.put_assistant(
        Assistant(
            id=124,
            organization_id=organization_id,
            name="Appointment assistant",
            engine="conversation",
            welcome_message="It is time for your yearly check-up. Would Monday or Tuesday suit you?",
            goodbye_message="Thank you, and goodbye.",
            language="en-US",
            caller_number=CONVERSATION_NUMBERS[124],
            max_duration_seconds=300,
            llm_config={"provider": "scripted", "script": APPOINTMENT_SCRIPT},
            analysis_schema=APPOINTMENT_ANALYSIS,
            end_phrases=("goodbye", "have to go"),
        )
    )
    provision.put_assistant(
        Assistant(
            id=125,
            organization_id=organization_id,
            name="Front desk",
            engine="conversation",
            welcome_message="I am calling about your yearly check-up. Is this a good moment?",
            prompt="You call patients of Example Dental to find a day for their yearly check-up: Monday or Tuesday.",
            language="en-US",
            caller_number=CONVERSATION_NUMBERS[125],
            max_duration_seconds=300,
            llm_config={"provider": "openai", "model": "gpt-4o-mini", "temperature": 0.2},
            stt_config={"provider": "deepgram", "model": "nova-3-general"},
            tts_config={"provider": "elevenlabs", "model": "eleven_flash_v2_5"},
        )
    )
    for assistant_id, number in CONVERSATION_NUMBERS.items():
        provision.put_number(organization_id, number, account, assistant_id=assistant_id, in_pool=False)


def _add_agent(stack: Stack, organization_id: str, account: CarrierAccount) -> None:
    """The assistant whose conversations the carrier's own agent holds; the organization's default."""
    provision = stack.provision
    provision.put_assistant(
        Assistant(
            id=AGENT_ASSISTANT_ID,
            organization_id=organization_id,
            name="Customer tester",
            welcome_message="",
            engine="agent",
            agent_id=AGENT_ID,
            caller_number=CARRIER_NUMBERS["elevenlabs"],
            max_duration_seconds=300,
        )
    )
    provision.put_number(
        organization_id,
        CARRIER_NUMBERS["elevenlabs"],
        account,
        assistant_id=AGENT_ASSISTANT_ID,
        in_pool=False,
        carrier_number_id=AGENT_NUMBER_ID,
    )
    provision.update_organization(organization_id, default_assistant_id=AGENT_ASSISTANT_ID)


def _second_organization(stack: Stack, secret: Mapping[str, str]) -> tuple[str, str]:
    provision = stack.provision
    organization = provision.create_organization(Organization(id=new_id("org"), name="Second Opinion Clinic"))
    provision.put_assistant(
        Assistant(
            id=789,
            organization_id=organization.id,
            name="Receptionist",
            welcome_message="Hello, this is Second Opinion Clinic.",
            goodbye_message="Goodbye.",
            caller_number=SECOND_CALLER_NUMBER,
        )
    )
    account = provision.create_carrier_account(organization.id, carrier="twilio", name="Main account", secret=secret)
    provision.put_number(organization.id, SECOND_CALLER_NUMBER, account, assistant_id=789)
    stack.wallets.deposit(organization.id, micros=10 * MICROS, currency="USD", note="Opening balance")
    return organization.id, provision.create_key(organization.id, name="Demo key").text
