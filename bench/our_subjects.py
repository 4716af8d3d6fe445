"""Dialplane's own functions as subjects, with a world that Dialplane's own stores have written.

Nothing here knows how an item looks: entities go through the code that writes them in production.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from bench import events
from bench.artefacts import BuildError
from bench.capacity import Index
from bench.server import Addresses
from bench.stub import Backend, Table
from bench.subjects import Subject, is_accepted, is_call_initiated, is_connecting_twiml
from bench.tls import Trust
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


class _Seeding(AwsClient):
    """Puts what a store writes into the stub for good."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def call(self, service: str, operation: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """Serve PutItem, which is all that seeding needs."""
        if (service, operation) != ("dynamodb", "PutItem"):
            raise NotImplementedError(f"seeding the benchmark serves no {service} {operation}")
        self._backend.tables[params["TableName"]].put(params["Item"])
        return {}


def find_layer(built: Path) -> Path:
    """Return the python/ directory of the built layer."""
    for package in built.glob("*/python/dialplane"):
        return package.parent
    raise BuildError(f"{built} holds no layer with the package `dialplane`; run `sam build` again.")


def _entities() -> tuple[Organization, ApiKey, Assistant, CallerNumber, CarrierAccount]:
    return (
        Organization(id=ORGANIZATION_ID, name="Bench"),
        ApiKey(
            id=KEY.id,
            organization_id=ORGANIZATION_ID,
            name="bench",
            secret_sha256=KEY.secret_sha256,
            scopes=frozenset(Scope),
        ),
        Assistant(
            id=123,
            organization_id=ORGANIZATION_ID,
            name="Front desk",
            welcome_message="Hello, this is the front desk.",
            engine="relay",
            engine_url="wss://relay.example.com/conversation",
            caller_number=events.CALLER_NUMBER,
        ),
        CallerNumber(
            number=events.CALLER_NUMBER,
            organization_id=ORGANIZATION_ID,
            carrier="twilio",
            carrier_account_id=CARRIER_ACCOUNT_ID,
            assistant_id=123,
        ),
        CarrierAccount(
            id=CARRIER_ACCOUNT_ID, organization_id=ORGANIZATION_ID, carrier="twilio", name="Main", created_at=CREATED_AT
        ),
    )


def _admitted_call(
    organization: Organization, key: ApiKey, assistant: Assistant, number: CallerNumber, wallet: Wallet
) -> Call:
    """The call that the benchmark's own request leads to, admitted by the rules."""
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
        key=key,
        organization=organization,
        numbers={number.number: number},
        assistants={assistant.id: assistant},
        engines=ENGINES,
        wallet=wallet,
    )
    decision = decide(command, facts)
    if decision.refusal is not None:
        raise decision.refusal
    return admit(command, facts, decision, call_id=CALL_ID, now=CREATED_AT)


def seed(backend: Backend, carrier_url: str) -> None:
    """Create our tables in the stub and put in what the functions read."""
    for name in (TABLES.accounts, TABLES.destinations, TABLES.wallets, TABLES.usage):
        backend.tables[name] = Table(key_names=("pk", "sk"))
    backend.tables[TABLES.idempotency] = Table(key_names=("pk",))
    backend.tables[TABLES.calls] = Table(key_names=("pk", "sk"), indexes=CALL_INDEXES)
    accounts = AccountStore(_Seeding(backend), TABLES)
    organization, key, assistant, number, carrier_account = _entities()
    for entity in (organization, key, assistant, number, carrier_account):
        accounts.put(entity)
    wallet = Wallet(organization_id=ORGANIZATION_ID, currency="USD", deposited_micros=10**9, available_micros=10**9)
    backend.tables[TABLES.wallets].put(encode_fields(wallet) | wallet_key(ORGANIZATION_ID).attributes)
    backend.tables[TABLES.calls].put(call_item(_admitted_call(organization, key, assistant, number, wallet)))
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


def _callback_parameters(carrier: str, carrier_account_id: str) -> dict[str, str]:
    return {
        "carrier": carrier,
        "organization_id": ORGANIZATION_ID,
        "carrier_account_id": carrier_account_id,
        "call_id": CALL_ID,
    }


def ours(
    built: Path, backend: Backend, addresses: Addresses, trust: Trust | None, *, variant: str = "ours"
) -> list[Subject]:
    """Return our hot functions, out of a finished build, and put the items they read into the back end."""
    seed(backend, addresses.carrier)
    environment = {
        "ACCOUNTS_TABLE_NAME": TABLES.accounts,
        "DESTINATIONS_TABLE_NAME": TABLES.destinations,
        "WALLETS_TABLE_NAME": TABLES.wallets,
        "CALLS_TABLE_NAME": TABLES.calls,
        "IDEMPOTENCY_TABLE_NAME": TABLES.idempotency,
        "USAGE_TABLE_NAME": TABLES.usage,
        "PUBLIC_BASE_URL": events.PUBLIC_BASE_URL,
        "CARRIER_SECRETS_PREFIX": SECRETS_PREFIX,
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
    callback = "{carrier}/{organization_id}/{carrier_account_id}/{call_id}"
    twiml, status = f"/twiml/{callback}", f"/status/{callback}"
    twilio = _callback_parameters("twilio", CARRIER_ACCOUNT_ID)
    telnyx, vonage = (_callback_parameters(carrier, carrier) for carrier in ("telnyx", "vonage"))
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
    return [
        Subject(
            job=job,
            variant=variant,
            handler=f"{module}.lambda_handler",
            task_root=built / logical_id,
            layer=find_layer(built),
            event=event,
            check=check,
            environment=environment,
        )
        for job, (logical_id, module), event, check in functions
    ]
