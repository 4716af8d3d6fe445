"""Dialplane's own functions as subjects, with a world that Dialplane's own stores have written.

Nothing here knows how an item looks: entities go through the code that writes them in production.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from bench import events
from bench.artefacts import BuildError
from bench.capacity import Index
from bench.server import Addresses
from bench.socket_events import SOCKET_BASE_URL
from bench.stub import Backend, Table
from bench.subjects import Subject, is_accepted, is_call_initiated, is_connecting_twiml
from bench.tls import Trust
from bench.updates import updated
from dialplane.aws.client import AwsClient
from dialplane.carriers.registry import ENGINES
from dialplane.dialects.registry import DEFAULT_DIALECT
from dialplane.domain.accounts import (
    ApiKey,
    Assistant,
    CallerNumber,
    CarrierAccount,
    Organization,
    PresentedKey,
    Scope,
)
from dialplane.domain.admission import Facts, InitiateCall, admit, decide
from dialplane.domain.calls import Call
from dialplane.domain.phone_numbers import PhoneNumber
from dialplane.domain.wallets import Wallet
from dialplane.dynamodb.accounts import AccountStore
from dialplane.dynamodb.calls import call_item
from dialplane.dynamodb.codec import encode_fields
from dialplane.dynamodb.tables import Tables, wallet_key

ORGANIZATION_ID = "org_01J9ZW3QJ6Y7N8T5V4R3E2D1C0"
CALL_ID = "call_01J9ZW3QJ6Y7N8T5V4R3E2D1C0"
CARRIER_ACCOUNT_ID = "main"
SECRETS_PREFIX = "dialplane/carriers"
KEY = PresentedKey(ORGANIZATION_ID, "bench001", "s" * 43)
CREATED_AT = datetime(2026, 1, 2, 10, tzinfo=UTC)

TABLES = Tables(
    accounts="accounts",
    destinations="destinations",
    wallets="wallets",
    calls="calls",
    idempotency="idempotency",
    usage="usage",
)
# Key attributes of the calls table's indexes, as in template.yaml: each is a write of its own when it changes.
CALL_INDEXES = (
    Index(("organization_id", "id"), projects_all=True),
    Index(("carrier_call_id", "organization_id"), projects_all=False),
    Index(("check_key", "next_check_at"), projects_all=False),
)


class Seeding(AwsClient):
    """Puts what a store writes into the stub for good."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def call(self, service: str, operation: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """Serve what seeding needs; a message to a queue is nobody's."""
        if (service, operation) == ("sqs", "SendMessage"):
            return {}
        if operation == "TransactWriteItems":
            for step in params["TransactItems"]:
                self.call(service, "UpdateItem", step["Update"])
            return {}
        table = self._backend.tables[params["TableName"]]
        match operation:
            case "PutItem":
                table.put(params["Item"])
                return {}
            case "GetItem":
                return {"Item": table.find(params["Key"])}
            case "UpdateItem":
                before = table.find(params["Key"])
                after = updated({**before, **params["Key"]}, params)
                table.put(after)
                return {"Attributes": before if params.get("ReturnValues") == "ALL_OLD" else after}
        raise NotImplementedError(f"seeding the benchmark serves no {service} {operation}")


def find_layer(built: Path) -> Path:
    """Return the python/ directory of the built layer."""
    for package in built.glob("*/python/dialplane"):
        return package.parent
    raise BuildError(f"{built} holds no layer with the package `dialplane`; run `sam build` again.")


@dataclass(frozen=True, slots=True)
class World:
    """What our stores know before the first event."""

    organization: Organization
    key: ApiKey
    assistant: Assistant
    number: CallerNumber
    carrier_account: CarrierAccount
    wallet: Wallet


def our_world() -> World:
    """The one customer of the benchmark."""
    return World(
        organization=Organization(id=ORGANIZATION_ID, name="Bench"),
        key=ApiKey(
            id=KEY.id,
            organization_id=ORGANIZATION_ID,
            name="bench",
            secret_sha256=KEY.secret_sha256,
            scopes=frozenset(Scope),
        ),
        assistant=Assistant(
            id=123,
            organization_id=ORGANIZATION_ID,
            name="Front desk",
            welcome_message="Hello, this is the front desk.",
            engine="relay",
            engine_url="wss://relay.example.com/conversation",
            caller_number=events.CALLER_NUMBER,
        ),
        number=CallerNumber(
            number=events.CALLER_NUMBER,
            organization_id=ORGANIZATION_ID,
            carrier="twilio",
            carrier_account_id=CARRIER_ACCOUNT_ID,
            assistant_id=123,
        ),
        carrier_account=CarrierAccount(
            id=CARRIER_ACCOUNT_ID, organization_id=ORGANIZATION_ID, carrier="twilio", name="Main", created_at=CREATED_AT
        ),
        wallet=Wallet(organization_id=ORGANIZATION_ID, currency="USD", deposited_micros=10**9, available_micros=10**9),
    )


def admitted_call(
    world: World, assistant: Assistant, *, call_id: str = CALL_ID, socket_token: str | None = None
) -> Call:
    """The call that the benchmark's own request for this assistant leads to, admitted by the rules."""
    command = InitiateCall(
        dialect=DEFAULT_DIALECT,
        request_id="req_bench",
        presented_key=KEY,
        destination=PhoneNumber.parse(events.DESTINATION, field="to_phone_number"),
        caller_number=PhoneNumber.parse(events.CALLER_NUMBER, field="from_phone_number"),
        assistant_id=assistant.id,
        welcome_message=events.WELCOME_MESSAGE,
        agenda=events.AGENDA,
        variables=events.VARIABLES,
    )
    facts = Facts(
        key=world.key,
        organization=world.organization,
        numbers={world.number.number: world.number},
        assistants={assistant.id: assistant},
        engines=ENGINES,
        wallet=world.wallet,
    )
    decision = decide(command, facts)
    if decision.refusal is not None:
        raise decision.refusal
    return admit(command, facts, decision, call_id=call_id, now=CREATED_AT, socket_token=socket_token)


def seed(backend: Backend, world: World, carrier_url: str) -> None:
    """Create our tables in the stub and put in what the functions read."""
    for name in (TABLES.accounts, TABLES.destinations, TABLES.wallets, TABLES.usage):
        backend.tables[name] = Table(key_names=("pk", "sk"))
    backend.tables[TABLES.idempotency] = Table(key_names=("pk",))
    backend.tables[TABLES.calls] = Table(key_names=("pk", "sk"), indexes=CALL_INDEXES)
    accounts = AccountStore(Seeding(backend), TABLES)
    for entity in (world.organization, world.key, world.assistant, world.number, world.carrier_account):
        accounts.put(entity)
    backend.tables[TABLES.wallets].put(encode_fields(world.wallet) | wallet_key(ORGANIZATION_ID).attributes)
    backend.tables[TABLES.calls].put(call_item(admitted_call(world, world.assistant)))
    secrets = {
        CARRIER_ACCOUNT_ID: {
            "account_sid": events.ACCOUNT_SID,
            "auth_token": events.AUTH_TOKEN,
            "api_base_url": carrier_url,
        },
        # What the webhooks read; nobody dials with these.
        "telnyx": {"public_key": events.TELNYX_PUBLIC_KEY, "connection_id": events.TELNYX_CONNECTION_ID},
        "vonage": {
            "api_key": events.VONAGE_API_KEY,
            "application_id": events.VONAGE_APPLICATION_ID,
            "signature_secret": events.VONAGE_SIGNATURE_SECRET,
        },
    }
    for account_id, secret in secrets.items():
        backend.secrets[f"{SECRETS_PREFIX}/{ORGANIZATION_ID}/{account_id}"] = json.dumps(secret)


def callback_parameters(carrier: str, carrier_account_id: str, call_id: str = CALL_ID) -> dict[str, str]:
    """The path parameters of a callback."""
    return {
        "carrier": carrier,
        "organization_id": ORGANIZATION_ID,
        "carrier_account_id": carrier_account_id,
        "call_id": call_id,
    }


def our_environment(addresses: Addresses, trust: Trust | None) -> dict[str, str]:
    """The variables that the template sets, the same for all functions."""
    environment = {
        "ACCOUNTS_TABLE_NAME": TABLES.accounts,
        "DESTINATIONS_TABLE_NAME": TABLES.destinations,
        "WALLETS_TABLE_NAME": TABLES.wallets,
        "CALLS_TABLE_NAME": TABLES.calls,
        "IDEMPOTENCY_TABLE_NAME": TABLES.idempotency,
        "USAGE_TABLE_NAME": TABLES.usage,
        "PUBLIC_BASE_URL": events.PUBLIC_BASE_URL,
        "SOCKET_BASE_URL": SOCKET_BASE_URL,
        "SOCKET_API_ENDPOINT": f"{addresses.sockets}/live",
        "CARRIER_SECRETS_PREFIX": SECRETS_PREFIX,
        "ORGANIZATION_SECRETS_PREFIX": "dialplane/organizations",
        "CARRIER_EVENTS_QUEUE_URL": f"{addresses.aws['AWS_ENDPOINT_URL_SQS']}/123456789012/carrier-events",
        "DIALS_QUEUE_URL": f"{addresses.aws['AWS_ENDPOINT_URL_SQS']}/123456789012/dials",
        "CONVERSATION_TASKS_QUEUE_URL": f"{addresses.aws['AWS_ENDPOINT_URL_SQS']}/123456789012/conversation-tasks",
        "CALL_COMPLETION_STATE_MACHINE_ARN": "arn:aws:states:us-east-1:123456789012:stateMachine:call-completion",
        "CHECK_INTERVAL_SECONDS": "60",
        "PLACEMENT_GRACE_SECONDS": "120",
        "POWERTOOLS_SERVICE_NAME": "dialplane",
        "POWERTOOLS_METRICS_NAMESPACE": "Dialplane",
        "AWS_ENDPOINT_URL": "",
    }
    if trust is not None:
        environment["AWS_CA_BUNDLE"] = str(trust.amazon)
    return environment


@dataclass(frozen=True, slots=True)
class Artefact:
    """A finished build of ours, and what its functions run with."""

    built: Path
    variant: str
    environment: dict[str, str]
    layer: Path
    template: Mapping[str, Any]

    @classmethod
    def of(cls, built: Path, variant: str, environment: dict[str, str]) -> "Artefact":
        """Read a build."""
        template = yaml.safe_load((built / "template.yaml").read_text())
        return cls(built, variant, environment, find_layer(built), template)

    def subject(self, job: str, logical_id: str, module: str, **more: Any) -> Subject:
        """Return one of its functions as a subject; `more` are fields of it."""
        own = self.template["Resources"].get(logical_id, {}).get("Properties", {})
        memory_mb = own.get("MemorySize") or self.template["Globals"]["Function"]["MemorySize"]
        return Subject(
            job=job,
            variant=self.variant,
            handler=f"{module}.lambda_handler",
            task_root=self.built / logical_id,
            layer=self.layer,
            environment=self.environment,
            memory_mb=memory_mb,
            **more,
        )


def ours(artefact: Artefact) -> list[Subject]:
    """Return our functions that do what the peers do."""
    callback = "{carrier}/{organization_id}/{carrier_account_id}/{call_id}"
    twiml, status = f"/twiml/{callback}", f"/status/{callback}"
    twilio = callback_parameters("twilio", CARRIER_ACCOUNT_ID)
    telnyx, vonage = (callback_parameters(carrier, carrier) for carrier in ("telnyx", "vonage"))
    webhook = ("StatusWebhookFunction", "status.webhook")
    functions = (
        (
            "initiate",
            ("InitiateFunction", "initiate.app"),
            partial(events.initiate_event, f"Bearer {KEY.text}"),
            is_call_initiated,
        ),
        (
            "twiml",
            ("TwimlFunction", "twiml.app"),
            partial(events.twilio_event, twiml, twilio, events.TWIML_FORM),
            is_connecting_twiml,
        ),
        ("status", webhook, partial(events.twilio_event, status, twilio, events.STATUS_FORM), is_accepted),
        ("status-telnyx", webhook, partial(events.telnyx_event, status, telnyx), is_accepted),
        ("status-vonage", webhook, partial(events.vonage_event, status, vonage), is_accepted),
    )
    return [artefact.subject(job, *function, event=event, check=check) for job, function, event, check in functions]
