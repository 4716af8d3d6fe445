"""The world that the files of `events/` are about: fixed ids, two organizations, three calls, money that adds up.

Everything is written under ids that never change, so that a file can name them and its signature can be checked. What
the sandbox makes has ids of its own; this is for events that are run one by one, by the tests and by `sam local`.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
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
    Organization,
    PresentedKey,
)
from dialplane.domain.calls import Call
from dialplane.domain.instructions import Instructions
from dialplane.domain.statuses import CallStatus, DialOutcome, EndedReason
from dialplane.domain.wallets import Hold, LedgerEntry, LedgerEntryKind, Wallet
from dialplane.dynamodb.accounts import AccountStore
from dialplane.dynamodb.calls import call_item
from dialplane.dynamodb.codec import encode_fields
from dialplane.dynamodb.destinations import DestinationStore
from dialplane.dynamodb.tables import HOLD_PREFIX, LEDGER_PREFIX, Key, Tables, wallet_key
from dialplane.runtime.carrier_accounts import CarrierSecrets
from dialplane.usecases.manage_dnc import DncEntry
from dialplane.usecases.provision import ALL_SCOPES

PUBLIC_BASE_URL = "https://calls.example.com"
SECRETS_PREFIX = "dialplane/carriers"
ACCOUNT_SID = "AC" + "0123456789abcdef" * 2
AUTH_TOKEN = "fedcba9876543210" * 2

ORGANIZATION_ID = "org_01JD00000000000000000DEM01"
POOR_ORGANIZATION_ID = "org_01JD00000000000000000DEM02"
CARRIER_ACCOUNT_ID = "acct_01JD0000000000000000ACC001"
POOR_CARRIER_ACCOUNT_ID = "acct_01JD0000000000000000ACC002"
# Keys of a world that exists nowhere else: their secrets are words, not secrets.
API_KEY = PresentedKey(ORGANIZATION_ID, "DEMOKEY1", "an-example-and-no-secret".ljust(43, "0"))
READING_KEY = PresentedKey(ORGANIZATION_ID, "DEMOKEY2", "an-example-and-no-secret".ljust(43, "1"))
POOR_API_KEY = PresentedKey(POOR_ORGANIZATION_ID, "DEMOKEY3", "an-example-and-no-secret".ljust(43, "2"))

CALLER_NUMBER, SECOND_CALLER_NUMBER, UNASSIGNED_NUMBER = "+15551234567", "+15551234568", "+15551234569"
POOR_CALLER_NUMBER = "+15557654321"
DESTINATION = "+15559876543"
DNC_NUMBER = "+15550199001"

RINGING_CALL_ID = "call_01JD0000000000000000RNG001"
ENDED_CALL_ID = "call_01JD0000000000000000END001"
SETTLED_CALL_ID = "call_01JD0000000000000000SET001"
CARRIER_CALL_IDS = {RINGING_CALL_ID: f"CA{1:032x}", ENDED_CALL_ID: f"CA{2:032x}", SETTLED_CALL_ID: f"CA{3:032x}"}

CREATED_AT = datetime(2024, 11, 20, 9, 0, tzinfo=UTC)
_MICROS = 1_000_000
_HOLD_MICROS, _CHARGE_MICROS, _DEPOSIT_MICROS = 300_000, 60_000, 50 * _MICROS


def fill(aws: AwsClient, tables: Tables, *, secrets_prefix: str = SECRETS_PREFIX, carrier_url: str) -> None:
    """Write the world. ``carrier_url`` is the address of the API of the organizations' carrier accounts."""
    accounts = AccountStore(aws, tables)
    for entity in _entities():
        accounts.put(entity)
    secrets = CarrierSecrets(aws, secrets_prefix)
    secret = {"account_sid": ACCOUNT_SID, "auth_token": AUTH_TOKEN, "api_base_url": carrier_url}
    secrets.put(ORGANIZATION_ID, CARRIER_ACCOUNT_ID, secret)
    secrets.put(POOR_ORGANIZATION_ID, POOR_CARRIER_ACCOUNT_ID, secret)
    entry = DncEntry(number=DNC_NUMBER, reason="Asked not to be called", source="import", added_at=CREATED_AT)
    DestinationStore(aws, tables).add_dnc_entry(ORGANIZATION_ID, entry)
    for call in calls():
        _put(aws, tables.calls, call_item(call))
    for key, entity in _money():
        _put(aws, tables.wallets, {**encode_fields(entity), **key.attributes})


def empty(aws: AwsClient, tables: Tables) -> None:
    """Take out every item of every table."""
    for name in Tables.__dataclass_fields__:
        table = getattr(tables, name)
        for item in aws.call("dynamodb", "Scan", {"TableName": table})["Items"]:
            aws.call("dynamodb", "DeleteItem", {"TableName": table, "Key": Key.of(item).attributes})


def calls() -> tuple[Call, Call, Call]:
    """One call that is ringing, one that has ended and is not yet settled, and one that is settled."""
    ringing = Call(
        id=RINGING_CALL_ID,
        organization_id=ORGANIZATION_ID,
        dialect="burki",
        request_id="example-request",
        api_key_id=API_KEY.id,
        assistant_id=123,
        assistant_name="Appointment reminder",
        caller_number=CALLER_NUMBER,
        destination=DESTINATION,
        carrier="twilio",
        carrier_account_id=CARRIER_ACCOUNT_ID,
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
        hold_micros=_HOLD_MICROS // 2,
        carrier_call_id=CARRIER_CALL_IDS[RINGING_CALL_ID],
        dial_outcome=DialOutcome.PLACED,
        dial_replied_at=CREATED_AT + timedelta(seconds=1),
    )
    ended = replace(
        ringing,
        id=ENDED_CALL_ID,
        carrier_call_id=CARRIER_CALL_IDS[ENDED_CALL_ID],
        status=CallStatus.COMPLETED,
        answered_at=CREATED_AT + timedelta(seconds=5),
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
    return ringing, ended, settled


def _entities() -> Iterator[Organization | ApiKey | Assistant | CallerNumber | CarrierAccount]:
    for organization_id, name in ((ORGANIZATION_ID, "Example Dental"), (POOR_ORGANIZATION_ID, "Second Opinion Clinic")):
        yield Organization(id=organization_id, name=name)
    for presented, scopes in (
        (API_KEY, ALL_SCOPES),
        (READING_KEY, frozenset({"can_read_calls"})),
        (POOR_API_KEY, ALL_SCOPES),
    ):
        yield ApiKey(
            id=presented.id,
            organization_id=presented.organization_id,
            name="Example key",
            secret_sha256=presented.secret_sha256,
            scopes=scopes,
        )
    own = (ORGANIZATION_ID, CARRIER_ACCOUNT_ID)
    poor = (POOR_ORGANIZATION_ID, POOR_CARRIER_ACCOUNT_ID)
    for organization_id, account_id in (own, poor):
        yield CarrierAccount(account_id, organization_id, "twilio", "Main account", CREATED_AT)
    for (organization_id, account_id), number, assistant_id in (
        (own, CALLER_NUMBER, 123),
        (own, SECOND_CALLER_NUMBER, 456),
        (own, UNASSIGNED_NUMBER, None),
        (poor, POOR_CALLER_NUMBER, 789),
    ):
        yield CallerNumber(number, organization_id, "twilio", account_id, assistant_id)
        if assistant_id is not None:
            yield Assistant(
                id=assistant_id,
                organization_id=organization_id,
                name="Appointment reminder",
                welcome_message='Hello {{ name | default: "there" }}, this is Example Dental.',
                caller_number=number,
                max_duration_seconds=300,
            )


def _money() -> Iterator[tuple[Key, Any]]:
    """A deposit, a settled call and two open holds; the second organization has nothing."""
    ringing, ended, settled = calls()
    for call in (ringing, ended):
        hold = Hold(call_id=call.id, amount_micros=call.hold_micros, created_at=CREATED_AT)
        yield wallet_key(ORGANIZATION_ID, f"{HOLD_PREFIX}{call.id}"), hold
    entries = (
        LedgerEntry("led_01JD0000000000000000DEP001", LedgerEntryKind.DEPOSIT, CREATED_AT, "USD", _DEPOSIT_MICROS),
        LedgerEntry(
            "led_01JD0000000000000000SET001",
            LedgerEntryKind.SETTLEMENT,
            CREATED_AT + timedelta(seconds=70),
            "USD",
            hold_micros=settled.hold_micros,
            charge_micros=_CHARGE_MICROS,
            release_micros=settled.hold_micros - _CHARGE_MICROS,
            call_id=settled.id,
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
            available_micros=_DEPOSIT_MICROS - _HOLD_MICROS - _CHARGE_MICROS,
            held_micros=_HOLD_MICROS,
            spent_micros=_CHARGE_MICROS,
            active_calls=2,
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
