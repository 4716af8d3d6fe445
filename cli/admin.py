"""`dialplane admin`: organizations, keys, assistants, deposits. Every rule is in the use cases; here are only words."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, get_args

import typer

from cli import carrier_admin, dnc_admin
from cli.documents import (
    assistant_document,
    carrier_account_document,
    key_document,
    number_document,
    organization_document,
)
from cli.output import CommandFailed, JsonOption, StackOption, show
from cli.stack import Stack
from dialplane.domain.accounts import ApiKey, Assistant, CallerNumber, CarrierAccount, Organization
from dialplane.domain.idempotency import IdempotencyKey
from dialplane.domain.ids import new_id
from dialplane.domain.instructions import Engine
from dialplane.domain.money import parse_amount
from dialplane.runtime.documents import ledger_entry_document, wallet_document
from dialplane.usecases.provision import CUSTOMER_SCOPES

app = typer.Typer(no_args_is_help=True, help="Set up customers: any stack that your AWS credentials may write to.")
organization = typer.Typer(no_args_is_help=True, help="Customers of the platform.")
key = typer.Typer(no_args_is_help=True, help="API keys.")
assistant = typer.Typer(no_args_is_help=True, help="Who speaks.")
app.add_typer(organization, name="organization")
app.add_typer(key, name="key")
app.add_typer(assistant, name="assistant")
app.add_typer(carrier_admin.carrier_account, name="carrier-account")
app.add_typer(carrier_admin.number, name="number")
app.add_typer(dnc_admin.app, name="dnc")

OrganizationOption = Annotated[str, typer.Option("--organization", help="Id of the organization (org_…).")]


@organization.command("create")
def create_organization(
    *,
    name: Annotated[str, typer.Argument(help="Name of the organization.")],
    currency: Annotated[str, typer.Option(help="ISO 4217 code of its wallet.")] = "USD",
    rate: Annotated[str, typer.Option(help="Price of a minute of connected time, as a decimal.")] = "0.03",
    billing_increment: Annotated[int, typer.Option(help="Seconds that started time is rounded up to.")] = 60,
    active_calls: Annotated[int, typer.Option(help="Calls it may have open at a time.")] = 100,
    country: Annotated[
        list[str] | None, typer.Option(help="ISO 3166 code of a country it may call; repeat for more. Default: US.")
    ] = None,
    number_type: Annotated[
        list[str] | None,
        typer.Option(help="Kind of number that is refused by default and that it may call, such as toll_free; repeat."),
    ] = None,
    stack: StackOption = "dialplane",
    as_json: JsonOption = False,
) -> None:
    """Create a customer with its rate, limits and countries."""
    created = Stack.find(stack).provision.create_organization(
        Organization(
            id=new_id("org"),
            name=name,
            currency=currency,
            rate_micros_per_minute=_micros(rate, "--rate"),
            billing_increment_seconds=billing_increment,
            active_calls_max=active_calls,
            allowed_countries=frozenset(country or ["US"]),
            allowed_number_types=frozenset(number_type or []),
        )
    )
    show(organization_document(created), as_json=as_json)


@organization.command("show")
def show_organization(
    organization_id: Annotated[str, typer.Argument(help="Id of the organization (org_…).")],
    stack: StackOption = "dialplane",
    as_json: JsonOption = False,
) -> None:
    """Show an organization with everything it has. Never shows a secret."""
    found = Stack.find(stack)
    document: dict[str, Any] = {"wallet": wallet_document(found.wallets.wallet(organization_id))}
    document |= {"keys": [], "assistants": [], "numbers": [], "carrier_accounts": []}
    for entity in found.provision.entities(organization_id):
        match entity:
            case Organization():
                document = organization_document(entity) | document
            case ApiKey():
                document["keys"].append(key_document(entity))
            case Assistant():
                document["assistants"].append(assistant_document(entity))
            case CallerNumber():
                document["numbers"].append(number_document(entity))
            case CarrierAccount():
                document["carrier_accounts"].append(carrier_account_document(entity))
    show(document, as_json=as_json)


@organization.command("suspend")
def suspend_organization(
    organization_id: Annotated[str, typer.Argument(help="Id of the organization (org_…).")],
    stack: StackOption = "dialplane",
    as_json: JsonOption = False,
) -> None:
    """Let an organization place no more calls; calls under way are not touched."""
    suspended = Stack.find(stack).provision.suspend_organization(organization_id)
    show(organization_document(suspended), as_json=as_json)


@organization.command("activate")
def activate_organization(
    organization_id: Annotated[str, typer.Argument(help="Id of the organization (org_…).")],
    stack: StackOption = "dialplane",
    as_json: JsonOption = False,
) -> None:
    """Let a suspended organization place calls again."""
    activated = Stack.find(stack).provision.activate_organization(organization_id)
    show(organization_document(activated), as_json=as_json)


@key.command("create")
def create_key(
    *,
    organization_id: OrganizationOption,
    name: Annotated[str, typer.Option(help="What the key is for.")],
    scope: Annotated[
        list[str] | None, typer.Option(help=f"What it may do; repeat. Default: {', '.join(sorted(CUSTOMER_SCOPES))}.")
    ] = None,
    expires_at: Annotated[str | None, typer.Option(help="When it ends, such as 2027-01-31T00:00:00Z.")] = None,
    stack: StackOption = "dialplane",
    as_json: JsonOption = False,
) -> None:
    """Create an API key and print it: this once, because only its hash is kept."""
    scopes = frozenset(scope) if scope else CUSTOMER_SCOPES
    presented = Stack.find(stack).provision.create_key(
        organization_id, name=name, scopes=scopes, expires_at=_moment(expires_at)
    )
    document = {"key": presented.text, "id": presented.id, "name": name, "scopes": sorted(scopes)}
    show(document | {"expires_at": expires_at}, as_json=as_json)


@key.command("revoke")
def revoke_key(
    organization_id: OrganizationOption,
    key_id: Annotated[str, typer.Argument(help="Id of the key: the eight characters before its secret.")],
    stack: StackOption = "dialplane",
    as_json: JsonOption = False,
) -> None:
    """Make an API key useless, for good."""
    show(key_document(Stack.find(stack).provision.revoke_key(organization_id, key_id)), as_json=as_json)


@assistant.command("put")
def put_assistant(
    *,
    assistant_id: Annotated[int, typer.Argument(help="Number of the assistant, unique in its organization.")],
    organization_id: OrganizationOption,
    name: Annotated[str, typer.Option(help="Name of the assistant.")],
    welcome_message: Annotated[str, typer.Option(help="What it says first; {{ name }} stands for a variable.")],
    goodbye_message: Annotated[str | None, typer.Option(help='What the engine "say" says last.')] = None,
    engine: Annotated[str, typer.Option(help=f"One of {', '.join(get_args(Engine))}.")] = "say",
    engine_url: Annotated[str | None, typer.Option(help="wss:// address of the engines relay and stream.")] = None,
    agenda: Annotated[str | None, typer.Option(help="What the call is about.")] = None,
    voice: Annotated[str | None, typer.Option(help="Voice, in the carrier's words.")] = None,
    language: Annotated[str | None, typer.Option(help="Language, such as en-US.")] = None,
    caller_number: Annotated[str | None, typer.Option(help="Number it calls from, in E.164.")] = None,
    max_duration_seconds: Annotated[int, typer.Option(help="Longest call; the hold pays for so much.")] = 600,
    ring_timeout_seconds: Annotated[int, typer.Option(help="How long to let it ring.")] = 30,
    machine_detection: Annotated[bool, typer.Option(help="Ask the carrier who answers.")] = False,
    stack: StackOption = "dialplane",
    as_json: JsonOption = False,
) -> None:
    """Create an assistant, or replace the one with this number."""
    if engine not in get_args(Engine):
        raise CommandFailed(f"--engine is {engine!r}; it must be one of {', '.join(get_args(Engine))}.")
    put = Stack.find(stack).provision.put_assistant(
        Assistant(
            id=assistant_id,
            organization_id=organization_id,
            name=name,
            welcome_message=welcome_message,
            goodbye_message=goodbye_message,
            engine=engine,  # type: ignore[arg-type] # one of them, as was just checked
            engine_url=engine_url,
            agenda=agenda,
            voice=voice,
            language=language,
            caller_number=caller_number,
            max_duration_seconds=max_duration_seconds,
            ring_timeout_seconds=ring_timeout_seconds,
            machine_detection=machine_detection,
        )
    )
    show(assistant_document(put), as_json=as_json)


@app.command("deposit")
def deposit(
    *,
    amount: Annotated[str, typer.Argument(help="Decimal amount in the organization's currency, such as 25.00.")],
    organization_id: OrganizationOption,
    note: Annotated[str | None, typer.Option(help="What the ledger says about it.")] = None,
    idempotency_key: Annotated[
        str | None, typer.Option(help="Pay in once however often the command is repeated with this key.")
    ] = None,
    stack: StackOption = "dialplane",
    as_json: JsonOption = False,
) -> None:
    """Pay money into an organization's wallet."""
    found = Stack.find(stack)
    body = {"amount": amount, "organization_id": organization_id}
    entry, _ = found.wallets.deposit(
        organization_id,
        micros=_micros(amount, "The amount"),
        currency=found.provision.organization(organization_id).currency,
        note=note,
        key=IdempotencyKey.of(idempotency_key, route="admin deposit", body=body) if idempotency_key else None,
    )
    show(ledger_entry_document(entry), as_json=as_json)


def _micros(text: str, name: str) -> int:
    micros = parse_amount(text)
    if micros is None:
        raise CommandFailed(f"{name} is {text!r}; it must be a decimal with at most six places, such as 0.03.")
    return micros


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise CommandFailed(
            f"--expires-at is {text!r}; it must be a time with its offset, such as 2027-01-31T00:00:00Z."
        )
    return moment.astimezone(UTC)
