"""The sandbox's customers: one that owns the values of the documented example requests, and a second one.

Made through the same code as ``dialplane admin``; nothing in the system knows that this data is a demonstration.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cli.stack import Stack
from dialplane.aws.client import AwsClient
from dialplane.domain.accounts import Assistant, Organization
from dialplane.domain.ids import new_id
from dialplane.dynamodb.destinations import DestinationStore
from dialplane.runtime import clock
from dialplane.usecases.manage_dnc import DncEntry

MICROS = 1_000_000
CALLER_NUMBERS = ("+15551234567", "+15551234568", "+15551234569")
SECOND_CALLER_NUMBER = "+15557654321"
DNC_NUMBERS = ("+15550199001", "+15550199002")


@dataclass(frozen=True, slots=True)
class DemoData:
    """The two organizations and a key of each, with every scope."""

    organization_id: str
    api_key: str
    second_organization_id: str
    second_api_key: str


def seed(aws: AwsClient, outputs: Mapping[str, str], carrier_url: str, account_sid: str, auth_token: str) -> DemoData:
    """Fill a freshly deployed stack. ``carrier_url`` is the address of the carrier account's API."""
    stack = Stack(aws, outputs)
    secret = {"account_sid": account_sid, "auth_token": auth_token, "api_base_url": carrier_url}
    organization_id, api_key = _first_organization(stack, secret)
    second_organization_id, second_api_key = _second_organization(stack, secret)
    return DemoData(organization_id, api_key, second_organization_id, second_api_key)


def _first_organization(stack: Stack, secret: Mapping[str, str]) -> tuple[str, str]:
    provision = stack.provision
    organization = provision.create_organization(Organization(id=new_id("org"), name="Example Dental"))
    provision.put_assistant(
        Assistant(
            id=123,
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
    account = provision.create_carrier_account(organization.id, carrier="twilio", name="Main account", secret=secret)
    for number, assistant_id in zip(CALLER_NUMBERS, (123, 456, None), strict=True):
        provision.put_number(organization.id, number, account, assistant_id=assistant_id)
    stack.wallets.deposit(organization.id, micros=50 * MICROS, currency="USD", note="Opening balance")
    destinations = DestinationStore(stack.aws, stack.tables)
    for number in DNC_NUMBERS:
        entry = DncEntry(number=number, reason="Asked not to be called", source="import", added_at=clock.now())
        destinations.add_dnc_entry(organization.id, entry)
    return organization.id, provision.create_key(organization.id, name="Demo key").text


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
