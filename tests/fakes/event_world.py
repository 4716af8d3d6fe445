"""The world that the files of `events/` are about: fixed ids, two organizations, calls on every carrier, money that
adds up.

Everything is written under ids that never change, so that a file can name them and its signature can be checked. What
the sandbox makes has ids of its own; this is for events that are run one by one, by the tests and by `sam local`.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3

from dialplane.aws.boto import BotoAwsClient
from dialplane.aws.client import AwsClient
from dialplane.domain.accounts import (
    ApiKey,
    Assistant,
    CallerNumber,
    CarrierAccount,
    ConversationFlow,
    Organization,
    PresentedKey,
)
from dialplane.domain.calls import Call
from dialplane.domain.conversation_settings import ConversationSettings
from dialplane.domain.conversations import Change, Entry, EntryKind, Source
from dialplane.domain.dnc import DncEntry
from dialplane.domain.instructions import Instructions
from dialplane.domain.sessions import Session
from dialplane.domain.statuses import CallStatus, DialOutcome, EndedReason
from dialplane.domain.wallets import Hold, LedgerEntry, LedgerEntryKind, Wallet
from dialplane.dynamodb.accounts import AccountStore, Entity
from dialplane.dynamodb.calls import call_item
from dialplane.dynamodb.codec import encode_fields
from dialplane.dynamodb.conversations import ConversationStore
from dialplane.dynamodb.destinations import DestinationStore
from dialplane.dynamodb.sessions import SessionStore
from dialplane.dynamodb.tables import HOLD_PREFIX, LEDGER_PREFIX, Key, Tables, wallet_key
from dialplane.runtime.carrier_accounts import CarrierSecrets
from dialplane.usecases.provision import ALL_SCOPES
from sandbox.carriers.elevenlabs.secrets import make_secret as make_elevenlabs_secret
from sandbox.carriers.telnyx.keys import fixed_signing_keys
from sandbox.carriers.vonage.secrets import make_secret as make_vonage_secret

PUBLIC_BASE_URL = "https://calls.example.com"
SOCKET_BASE_URL = "wss://talks.example.com/live"
SECRETS_PREFIX = "dialplane/carriers"
ACCOUNT_SID = "AC" + "0123456789abcdef" * 2
AUTH_TOKEN = "fedcba9876543210" * 2

# ---- accounts with carriers: the secrets follow from words, so they are worth nothing anywhere else -----------------

TELNYX_KEYS, FOREIGN_TELNYX_KEYS = fixed_signing_keys(), fixed_signing_keys(64)
_TWILIO = {"account_sid": ACCOUNT_SID, "auth_token": AUTH_TOKEN}
_TELNYX = {"api_key": "KEY" + "0" * 32, "public_key": TELNYX_KEYS.public_key}
_CALL_CONTROL = {**_TELNYX, "connection_id": "1234567890"}
_SIP_HOST = {"sip_host": "pbx.example.test"}
SECRETS: Mapping[str, Mapping[str, str]] = {
    "twilio": _TWILIO,
    "telnyx": _CALL_CONTROL,
    "telnyx-texml": {**_TELNYX, "account_sid": "0" * 32, "application_sid": "9876543210"},
    "vonage": make_vonage_secret("events"),
    "elevenlabs": make_elevenlabs_secret("events"),  # without an account of Twilio's: its calls cannot be ended
    "sip-twilio": {**_TWILIO, **_SIP_HOST},
    "sip-telnyx": {**_CALL_CONTROL, **_SIP_HOST},
}
"""The first organization's secret with each carrier, without the address of its API."""
FOREIGN_SECRETS: Mapping[str, Mapping[str, str]] = {
    "twilio": _TWILIO,
    "telnyx": {"api_key": "KEY" + "1" * 32, "public_key": FOREIGN_TELNYX_KEYS.public_key, "connection_id": "555"},
    "vonage": make_vonage_secret("events of others"),
    "elevenlabs": make_elevenlabs_secret("events of others"),
}
"""The second organization's."""
_SIGNING = {"signing_key": TELNYX_KEYS.signing_key}
SERVED: Mapping[str, Sequence[Mapping[str, str]]] = {
    "twilio": [_TWILIO],
    "telnyx": [{**SECRETS["telnyx"], **_SIGNING}],
    "telnyx-texml": [{**SECRETS["telnyx-texml"], **_SIGNING}],
    "vonage": [SECRETS["vonage"]],
    "elevenlabs": [SECRETS["elevenlabs"]],
}
"""The accounts that the simulated carriers serve."""

ORGANIZATION_ID = "org_01JD00000000000000000DEM01"
POOR_ORGANIZATION_ID = "org_01JD00000000000000000DEM02"
CARRIER_ACCOUNT_IDS = {carrier: f"acct_01JD0000000000000000ACC1{place:02d}" for place, carrier in enumerate(SECRETS)}
FOREIGN_CARRIER_ACCOUNT_IDS = {
    carrier: f"acct_01JD0000000000000000ACC2{place:02d}" for place, carrier in enumerate(FOREIGN_SECRETS)
}

# ---- who calls whom -------------------------------------------------------------------------------------------------


def _key(organization_id: str, place: int) -> PresentedKey:
    """A key of a world that exists nowhere else: its secret is words, and no secret."""
    return PresentedKey(organization_id, f"DEMOKEY{place}", "an-example-and-no-secret".ljust(43, str(place)))


API_KEY, READING_KEY = _key(ORGANIZATION_ID, 1), _key(ORGANIZATION_ID, 2)
KLEN_KEY, HMS_KEY, TESTER_KEY = _key(ORGANIZATION_ID, 4), _key(ORGANIZATION_ID, 5), _key(ORGANIZATION_ID, 6)
POOR_API_KEY = _key(POOR_ORGANIZATION_ID, 3)

CALLER_NUMBER, SECOND_CALLER_NUMBER, UNASSIGNED_NUMBER = "+15551234567", "+15551234568", "+15551234569"
FLOW_NUMBER, INBOUND_NUMBER = "+15551234570", "+15551234571"
POOR_CALLER_NUMBER = "+15557654321"
CARRIER_NUMBERS = {
    "telnyx": "+15552000001",
    "telnyx-texml": "+15552000002",
    "vonage": "+15552000003",
    "sip-twilio": "+15552000004",
    "sip-telnyx": "+15552000005",
    "elevenlabs": "+15552000006",
}
DESTINATION = "+15559876543"
# The simulated carriers report nothing about calls to it, so that nobody is sent to the examples' own, public address.
QUIET_DESTINATION = "+15550100117"
REFUSED_DESTINATION = "+15550100107"  # the simulated carriers do not take it for a number
DNC_NUMBER = "+15550199001"
ASSISTANT_PUBLIC_ID = "17a0cb75-fa09-4bdd-9a44-92a70d829c88"
MODEL_ASSISTANT_PUBLIC_ID = "asst_model"
AGENT_ID = "agent_demo"

# ---- calls ----------------------------------------------------------------------------------------------------------


def _call_id(name: str, place: int = 1) -> str:
    return f"call_01JD0000000000000000{name}{place:03d}"


RINGING_CALL_IDS = {carrier: _call_id("RNG", place) for place, carrier in enumerate(SECRETS, 1)}
RINGING_CALL_ID = RINGING_CALL_IDS["twilio"]
IN_PROGRESS_CALL_ID, ENDED_CALL_ID, SETTLED_CALL_ID = _call_id("PRG"), _call_id("END"), _call_id("SET")
TALKING_CALL_ID = _call_id("TAK")
"""In progress, and we hold the conversation."""
CONNECTION_ID = "L0SM9cOFvHcCIhw="
"""Of the WebSocket over which it is held."""
ANSWERED_CALL_ID = _call_id("ANS")
"""In progress, and its carrier is about to open the WebSocket."""
DIALS = {name: _call_id("DQD", place) for place, name in enumerate(("open", "telnyx", "claimed", "late", "refused"), 1)}
"""Calls that wait for their dial, by what is to become of it."""
CARRIER_CALL_IDS = {
    RINGING_CALL_ID: f"CA{1:032x}",
    ENDED_CALL_ID: f"CA{2:032x}",
    SETTLED_CALL_ID: f"CA{3:032x}",
    IN_PROGRESS_CALL_ID: f"CA{4:032x}",
    RINGING_CALL_IDS["sip-twilio"]: f"CA{5:032x}",
    TALKING_CALL_ID: f"CA{6:032x}",
    ANSWERED_CALL_ID: f"CA{7:032x}",
    RINGING_CALL_IDS["telnyx"]: "v3:ExampleCallControlId-0001",
    RINGING_CALL_IDS["telnyx-texml"]: "v3:ExampleCallControlId-0002",
    RINGING_CALL_IDS["sip-telnyx"]: "v3:ExampleCallControlId-0003",
    RINGING_CALL_IDS["vonage"]: "aaaaaaaa-bbbb-4ccc-8ddd-0123456789ab",
    RINGING_CALL_IDS["elevenlabs"]: "conv_0001k00000000000000000000000",
}

CREATED_AT = datetime(2024, 11, 20, 9, 0, tzinfo=UTC)
# A file waits for years until it is run: what has to be young then is as if it were for ever.
_FOR_EVER = datetime(9000, 1, 1, tzinfo=UTC)
_MICROS = 1_000_000
SOCKET_TOKEN = "an-example-and-no-secret"
_HOLD_MICROS, _CHARGE_MICROS, _DEPOSIT_MICROS = 150_000, 60_000, 50 * _MICROS


def fill(aws: AwsClient, tables: Tables, *, secrets_prefix: str = SECRETS_PREFIX, carrier_url: str) -> None:
    """Write the world. ``carrier_url`` is the address of the API of the organizations' carrier accounts."""
    accounts = AccountStore(aws, tables)
    for entity in (*_entities(), *_poor_entities()):
        accounts.put(entity)
    secrets = CarrierSecrets(aws, secrets_prefix)
    for carrier, secret in SECRETS.items():
        secrets.put(ORGANIZATION_ID, CARRIER_ACCOUNT_IDS[carrier], {**secret, "api_base_url": carrier_url})
    for carrier, secret in FOREIGN_SECRETS.items():
        secrets.put(POOR_ORGANIZATION_ID, FOREIGN_CARRIER_ACCOUNT_IDS[carrier], {**secret, "api_base_url": carrier_url})
    entry = DncEntry(number=DNC_NUMBER, reason="Asked not to be called", source="import", added_at=CREATED_AT)
    DestinationStore(aws, tables).add_dnc_entry(ORGANIZATION_ID, entry)
    session = Session("A pizzeria that takes orders by telephone", "order a pizza")
    SessionStore(aws, tables).put(ORGANIZATION_ID, TESTER_KEY.id, session, now=_FOR_EVER)
    for call in calls():
        _put(aws, tables.calls, call_item(call))
    _talk(ConversationStore(aws, tables))
    for key, entity in _money():
        _put(aws, tables.wallets, {**encode_fields(entity), **key.attributes})


def _talk(conversations: ConversationStore) -> None:
    """What has been said so far on the call whose conversation we hold."""
    ids = (ORGANIZATION_ID, TALKING_CALL_ID)
    assert conversations.open(
        *ids,
        carrier_account_id=CARRIER_ACCOUNT_IDS["twilio"],
        token=SOCKET_TOKEN,
        connection_id=CONNECTION_ID,
        at=CREATED_AT + timedelta(seconds=5),
    )
    opened = conversations.get(*ids)
    assert opened is not None
    said = (
        (EntryKind.ASSISTANT, opened.settings.disclosure or "", Source.DISCLOSURE),
        (EntryKind.ASSISTANT, opened.settings.first_message, Source.FIRST_MESSAGE),
        (EntryKind.CALLEE, "Tuesday, please.", None),
    )
    entries = tuple(
        Entry(kind, CREATED_AT + timedelta(seconds=6 + place), text, turn=place, source=source)
        for place, (kind, text, source) in enumerate(said)
    )
    set_up = {"carrier_call_id": CARRIER_CALL_IDS[TALKING_CALL_ID], "session_id": "VX00000000000000000000000000000001"}
    conversations.change(*ids, Change("example", entries, set_up, takes_turn=True))


def calls() -> tuple[Call, ...]:
    """One ringing at each carrier, one in progress, one whose conversation we hold, one whose conversation begins, one
    ended and not yet settled, one settled, and the dials.
    """
    ringing = Call(
        id=RINGING_CALL_ID,
        organization_id=ORGANIZATION_ID,
        dialect="burki",
        request_id="example-request",
        api_key_id=API_KEY.id,
        assistant_id=123,
        assistant_name="Appointment reminder",
        assistant_public_id=ASSISTANT_PUBLIC_ID,
        caller_number=CALLER_NUMBER,
        destination=DESTINATION,
        carrier="twilio",
        carrier_account_id=CARRIER_ACCOUNT_IDS["twilio"],
        status=CallStatus.RINGING,
        created_at=CREATED_AT,
        dial_deadline=CREATED_AT + timedelta(seconds=10),
        ring_timeout_seconds=30,
        time_limit_seconds=300,
        machine_detection=False,
        instructions=Instructions(
            engine="say",
            welcome_message="Hello John Doe, this is a reminder about your appointment tomorrow at 10 AM.",
            goodbye_message="Thank you, and goodbye.",
            language="en-US",
        ),
        variables_json="{}",
        currency="USD",
        rate_micros_per_minute=30_000,
        billing_increment_seconds=60,
        hold_micros=_HOLD_MICROS,
        carrier_call_id=CARRIER_CALL_IDS[RINGING_CALL_ID],
        dial_outcome=DialOutcome.PLACED,
        dial_replied_at=CREATED_AT + timedelta(seconds=1),
    )
    in_progress = replace(
        ringing,
        id=IN_PROGRESS_CALL_ID,
        carrier_call_id=CARRIER_CALL_IDS[IN_PROGRESS_CALL_ID],
        status=CallStatus.IN_PROGRESS,
        answered_at=CREATED_AT + timedelta(seconds=5),
    )
    ended = replace(
        in_progress,
        id=ENDED_CALL_ID,
        carrier_call_id=CARRIER_CALL_IDS[ENDED_CALL_ID],
        status=CallStatus.COMPLETED,
        ended_at=CREATED_AT + timedelta(seconds=66),
        duration_seconds=61,
        ended_reason=EndedReason.HANG_UP,
        sip_response_code=200,
        next_check_at=CREATED_AT + timedelta(seconds=70),
    )
    settled = replace(
        ended,
        id=SETTLED_CALL_ID,
        carrier_call_id=CARRIER_CALL_IDS[SETTLED_CALL_ID],
        charge_micros=_CHARGE_MICROS,
        settled_at=CREATED_AT + timedelta(seconds=70),
        next_check_at=None,
    )
    talk = ConversationSettings(
        first_message="Hello John Doe, would Monday or Tuesday suit you?",
        disclosure="Hello, this is an automated assistant, an artificial voice, calling on behalf of Example Dental.",
        retention_days=36_500,  # the example is of an old call, and is to be shown at any time
    )
    talking = replace(
        in_progress,
        id=TALKING_CALL_ID,
        carrier_call_id=CARRIER_CALL_IDS[TALKING_CALL_ID],
        instructions=Instructions("conversation", talk.disclosure or "", is_welcome_interruptible=False),
        conversation_json=talk.to_json(),
        socket_token=SOCKET_TOKEN,
    )
    answered = replace(talking, id=ANSWERED_CALL_ID, carrier_call_id=CARRIER_CALL_IDS[ANSWERED_CALL_ID])
    elsewhere = (_on(carrier, ringing) for carrier in CARRIER_NUMBERS)
    return (ringing, *elsewhere, in_progress, talking, answered, ended, settled, *_dials(ringing))


def _on(carrier: str, call: Call) -> Call:
    """The call as it rings at another carrier."""
    there = replace(
        call,
        id=RINGING_CALL_IDS[carrier],
        carrier=carrier,
        carrier_account_id=CARRIER_ACCOUNT_IDS[carrier],
        caller_number=CARRIER_NUMBERS[carrier],
        carrier_call_id=CARRIER_CALL_IDS[RINGING_CALL_IDS[carrier]],
    )
    if carrier != "elevenlabs":
        return there
    agent = Instructions(engine="agent", welcome_message="Hi, I'd like to order a pizza.", agent_id=AGENT_ID)
    return replace(there, dialect="elevenlabs_tester", status=CallStatus.INITIATED, instructions=agent)


def _dials(call: Call) -> Iterator[Call]:
    """Calls that have been admitted and not yet been dialled. Their window is open for ever, but for the late one's."""
    queued = replace(
        call,
        dialect="klen",
        status=CallStatus.DIALING,
        dial_deadline=_FOR_EVER,
        carrier_call_id=None,
        dial_outcome=None,
        dial_replied_at=None,
    )
    yield replace(queued, id=DIALS["open"])
    over_telnyx = replace(_on("telnyx", queued), destination=QUIET_DESTINATION, carrier_call_id=None)
    yield replace(over_telnyx, id=DIALS["telnyx"])
    yield replace(queued, id=DIALS["claimed"], dial_claim="dial_01JD0000000000000000DQD001")
    yield replace(queued, id=DIALS["late"], dial_deadline=call.dial_deadline)
    yield replace(queued, id=DIALS["refused"], destination=REFUSED_DESTINATION)


def _entities() -> Iterator[Entity]:
    yield Organization(
        id=ORGANIZATION_ID,
        name="Example Dental",
        allowed_countries=frozenset({"US", "NL"}),
        allows_key_in_query=True,
        default_assistant_id=321,
        model_providers=frozenset({"openai"}),
    )
    yield from (
        _api_key(API_KEY),
        _api_key(READING_KEY, scopes=frozenset({"can_read_calls"})),
        _api_key(KLEN_KEY, dialect="klen"),
        _api_key(HMS_KEY, dialect="hms"),
        _api_key(TESTER_KEY),
    )
    reminder = Assistant(
        id=123,
        organization_id=ORGANIZATION_ID,
        name="Appointment reminder",
        welcome_message='Hello {{ name | default: "there" }}, this is Example Dental.',
        caller_number=CALLER_NUMBER,
        max_duration_seconds=300,
        public_id=ASSISTANT_PUBLIC_ID,
    )
    yield from (
        reminder,
        replace(reminder, id=456, public_id=None, caller_number=SECOND_CALLER_NUMBER),
        replace(reminder, id=567, public_id=None, name="Without a number", caller_number=None),
        replace(
            reminder,
            id=234,
            name="With a language model",
            public_id=MODEL_ASSISTANT_PUBLIC_ID,
            engine="stream",
            engine_url="wss://media.example.test/calls",
            llm_config={"provider": "openai", "model": "gpt-4o", "temperature": 0.4},
            stt_config={"provider": "deepgram"},
            tts_config={"provider": "elevenlabs", "voice_id": "rachel"},
        ),
        Assistant(
            id=321,
            organization_id=ORGANIZATION_ID,
            name="Customer tester",
            welcome_message="",
            engine="agent",
            agent_id=AGENT_ID,
            caller_number=CARRIER_NUMBERS["elevenlabs"],
            max_duration_seconds=300,
        ),
        ConversationFlow(
            id=77,
            organization_id=ORGANIZATION_ID,
            name="Booking",
            base_assistant_id=123,
            engine="relay",
            engine_url="wss://flows.example.test/booking",
        ),
    )
    for carrier, account_id in CARRIER_ACCOUNT_IDS.items():
        yield CarrierAccount(account_id, ORGANIZATION_ID, carrier, "Main account", CREATED_AT)
    own = CallerNumber(CALLER_NUMBER, ORGANIZATION_ID, "twilio", CARRIER_ACCOUNT_IDS["twilio"], 123)
    yield from (
        own,
        replace(own, number=SECOND_CALLER_NUMBER, assistant_id=456),
        replace(own, number=UNASSIGNED_NUMBER, assistant_id=None),
        replace(own, number=FLOW_NUMBER, flow_id=77, in_pool=False),
        replace(own, number=INBOUND_NUMBER, can_dial_out=False, in_pool=False),
    )
    for carrier, number in CARRIER_NUMBERS.items():
        is_agents = carrier == "elevenlabs"
        yield replace(
            own,
            number=number,
            carrier=carrier,
            carrier_account_id=CARRIER_ACCOUNT_IDS[carrier],
            assistant_id=321 if is_agents else 123,
            in_pool=False,
            carrier_number_id="phnum_demo" if is_agents else None,
        )


def _poor_entities() -> Iterator[Entity]:
    """The second organization: it has no money, no default assistant, and takes no key in a URL."""
    yield Organization(id=POOR_ORGANIZATION_ID, name="Second Opinion Clinic")
    yield _api_key(POOR_API_KEY)
    yield Assistant(
        id=789,
        organization_id=POOR_ORGANIZATION_ID,
        name="Receptionist",
        welcome_message="Hello, this is Second Opinion Clinic.",
        caller_number=POOR_CALLER_NUMBER,
        max_duration_seconds=300,
    )
    for carrier, account_id in FOREIGN_CARRIER_ACCOUNT_IDS.items():
        yield CarrierAccount(account_id, POOR_ORGANIZATION_ID, carrier, "Main account", CREATED_AT)
    twilio = FOREIGN_CARRIER_ACCOUNT_IDS["twilio"]
    yield CallerNumber(POOR_CALLER_NUMBER, POOR_ORGANIZATION_ID, "twilio", twilio, 789)


def _api_key(presented: PresentedKey, *, scopes: frozenset[str] = ALL_SCOPES, dialect: str | None = None) -> ApiKey:
    return ApiKey(
        id=presented.id,
        organization_id=presented.organization_id,
        name="Example key",
        secret_sha256=presented.secret_sha256,
        scopes=scopes,
        dialect=dialect,
    )


def _money() -> Iterator[tuple[Key, Any]]:
    """A deposit, a settled call, and a hold for each other call; the second organization has nothing."""
    holding = [call for call in calls() if call.is_open]
    held_micros = sum(call.hold_micros for call in holding)
    for call in holding:
        hold = Hold(call_id=call.id, amount_micros=call.hold_micros, created_at=CREATED_AT)
        yield wallet_key(ORGANIZATION_ID, f"{HOLD_PREFIX}{call.id}"), hold
    entries = (
        LedgerEntry("led_01JD0000000000000000DEP001", LedgerEntryKind.DEPOSIT, CREATED_AT, "USD", _DEPOSIT_MICROS),
        LedgerEntry(
            "led_01JD0000000000000000SET001",
            LedgerEntryKind.SETTLEMENT,
            CREATED_AT + timedelta(seconds=70),
            "USD",
            hold_micros=_HOLD_MICROS,
            charge_micros=_CHARGE_MICROS,
            release_micros=_HOLD_MICROS - _CHARGE_MICROS,
            call_id=SETTLED_CALL_ID,
        ),
    )
    for entry in entries:
        yield wallet_key(ORGANIZATION_ID, f"{LEDGER_PREFIX}{entry.id}"), entry
    yield (
        wallet_key(ORGANIZATION_ID),
        Wallet(
            organization_id=ORGANIZATION_ID,
            currency="USD",
            deposited_micros=_DEPOSIT_MICROS,
            available_micros=_DEPOSIT_MICROS - held_micros - _CHARGE_MICROS,
            held_micros=held_micros,
            spent_micros=_CHARGE_MICROS,
            active_calls=len(holding),
        ),
    )


def _put(aws: AwsClient, table: str, item: dict[str, Any]) -> None:
    aws.call("dynamodb", "PutItem", {"TableName": table, "Item": item})


def main() -> None:
    """Fill the tables of a deployed stack, found with the caller's AWS credentials (AWS_ENDPOINT_URL)."""
    from cli.stack import Stack  # noqa: PLC0415 - only the command needs a stack

    parser = argparse.ArgumentParser(prog="python -m tests.fakes.event_world", description=main.__doc__)
    parser.add_argument("--stack", default="dialplane")
    parser.add_argument("--carrier-url", required=True, help="address of the (simulated) carrier's API")
    options = parser.parse_args()
    stack = Stack.find(options.stack)
    fill(
        BotoAwsClient(boto3.Session()),
        stack.tables,
        secrets_prefix=stack.output("CarrierSecretsPrefix"),
        carrier_url=options.carrier_url,
    )


if __name__ == "__main__":
    main()
