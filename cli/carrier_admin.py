"""`dialplane admin carrier-account` and `number`: what calls are placed with.

Credentials come from the environment, a prompt or standard input, never from the command line: arguments are seen by
every process of the machine and kept in the shell's history.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from cli.documents import carrier_account_document, number_document
from cli.output import CommandFailed, JsonOption, StackOption, show, show_all
from cli.stack import Stack
from dialplane.carriers.contract import Credential
from dialplane.carriers.registry import CARRIERS, DEFAULT_CARRIER, TRAITS, credentials_of
from dialplane.domain.accounts import CarrierAccount
from dialplane.runtime.callback_urls import STATUS, CallbackAddress
from dialplane.runtime.carrier_accounts import CarrierAccounts

carrier_account = typer.Typer(no_args_is_help=True, help="Accounts with carriers.")
number = typer.Typer(no_args_is_help=True, help="Numbers to call from.")

OrganizationOption = Annotated[str, typer.Option("--organization", help="Id of the organization (org_…).")]


class _CreateCommand(TyperCommand):
    """A command whose help ends with what each carrier's secret holds, as the carriers' packages say."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        self.help = "\n\n".join([self.help or "", *(_needs(carrier) for carrier in TRAITS)])
        super().format_help(ctx, formatter)


@carrier_account.command("create", cls=_CreateCommand)
def create_carrier_account(
    *,
    organization_id: OrganizationOption,
    name: Annotated[str, typer.Option(help="Name of the account.")] = "Main account",
    carrier: Annotated[str, typer.Option(help=f"One of {', '.join(TRAITS)}.")] = DEFAULT_CARRIER,
    credential_file: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME=PATH of a credential that lies in a file, such as private_key=private.key; repeat for more."
        ),
    ] = None,
    api_base_url: Annotated[
        str | None, typer.Option(help="Address of the carrier's API if it is not the usual one: a region, a simulator.")
    ] = None,
    calls_per_second: Annotated[
        int | None, typer.Option(help="How many dials a second the carrier takes; left to the carrier by default.")
    ] = None,
    stack: StackOption = "dialplane",
    as_json: JsonOption = False,
) -> None:
    """Create an account with a carrier and store its credentials.

    They are taken from environment variables and --credential-file; what is missing then is asked for on a terminal,
    or else read from standard input as a JSON object such as {"account_sid": "AC…", "auth_token": "…"}.
    """
    found = Stack.find(stack)
    secret = _secret(carrier, credential_file or []) | ({"api_base_url": api_base_url} if api_base_url else {})
    created = found.provision.create_carrier_account(
        organization_id, carrier=carrier, name=name, secret=secret, calls_per_second=calls_per_second
    )
    show(_shown(created, found), as_json=as_json)


@carrier_account.command("update")
def update_carrier_account(
    *,
    account_id: Annotated[str, typer.Argument(help="Id of the account (acct_…).")],
    organization_id: OrganizationOption,
    name: Annotated[str | None, typer.Option(help="Name of the account.")] = None,
    calls_per_second: Annotated[
        int | None, typer.Option(help="How many dials a second the carrier takes; 0 leaves that to the carrier.")
    ] = None,
    credential: Annotated[
        list[str] | None,
        typer.Option(help="Name of a credential to replace, such as auth_token; repeat for more. The others stay."),
    ] = None,
    credential_file: Annotated[
        list[str] | None,
        typer.Option(help="NAME=PATH of a credential to replace that lies in a file; repeat for more."),
    ] = None,
    stack: StackOption = "dialplane",
    as_json: JsonOption = False,
) -> None:
    """Change what is given and leave the rest: to rotate a token, say.

    Credentials come from the same places as when the account was created. Functions read new ones within five minutes.
    """
    found = Stack.find(stack)
    account = found.provision.carrier_account(organization_id, account_id)
    given: dict[str, Any] = {"name": name, "calls_per_second": calls_per_second}
    changes = {option: value for option, value in given.items() if value is not None}
    if calls_per_second == 0:
        changes["calls_per_second"] = None
    if credential or credential_file:
        reader = CarrierAccounts(found.aws, found.output("CarrierSecretsPrefix"))
        kept = reader.credentials(organization_id, account_id)
        changes["secret"] = {**(kept or {}), **_replacements(account.carrier, credential or [], credential_file or [])}
    if not changes:
        raise CommandFailed("Nothing to change was given. See --help.")
    show(_shown(found.provision.update_carrier_account(organization_id, account_id, **changes), found), as_json=as_json)


@carrier_account.command("list")
def list_carrier_accounts(
    *,
    organization_id: OrganizationOption,
    stack: StackOption = "dialplane",
    as_json: JsonOption = False,
) -> None:
    """List an organization's accounts with carriers."""
    entities = Stack.find(stack).provision.entities(organization_id)
    accounts = [carrier_account_document(each) for each in entities if isinstance(each, CarrierAccount)]
    show_all("carrier_accounts", accounts, as_json=as_json)


@carrier_account.command("show")
def show_carrier_account(
    *,
    account_id: Annotated[str, typer.Argument(help="Id of the account (acct_…).")],
    organization_id: OrganizationOption,
    stack: StackOption = "dialplane",
    as_json: JsonOption = False,
) -> None:
    """Show an account with a carrier. Never shows a credential."""
    found = Stack.find(stack)
    show(_shown(found.provision.carrier_account(organization_id, account_id), found), as_json=as_json)


@number.command("put")
def put_number(
    *,
    number: Annotated[str, typer.Argument(help="The number, in E.164.")],
    organization_id: OrganizationOption,
    carrier_account_id: Annotated[
        str, typer.Option("--carrier-account", help="Account that the number lives in (acct_…).")
    ],
    assistant_id: Annotated[
        int | None, typer.Option("--assistant", help="Assistant that speaks on calls from this number.")
    ] = None,
    flow_id: Annotated[
        int | None, typer.Option("--flow", help="Conversation flow of its calls; goes before the assistant.")
    ] = None,
    dial_out: Annotated[bool, typer.Option("--dial-out/--no-dial-out", help="Whether it can be called from.")] = True,
    in_pool: Annotated[
        bool, typer.Option("--in-pool/--not-in-pool", help="Whether it may be chosen for calls that name no number.")
    ] = True,
    carrier_number_id: Annotated[
        str | None, typer.Option(help="The number's own id with the carrier; ElevenLabs wants one (phnum_…).")
    ] = None,
    stack: StackOption = "dialplane",
    as_json: JsonOption = False,
) -> None:
    """Create a number to call from, or replace it."""
    provision = Stack.find(stack).provision
    account = provision.carrier_account(organization_id, carrier_account_id)
    put = provision.put_number(
        organization_id,
        number,
        account,
        assistant_id=assistant_id,
        flow_id=flow_id,
        can_dial_out=dial_out,
        in_pool=in_pool,
        carrier_number_id=carrier_number_id,
    )
    show(number_document(put), as_json=as_json)


def _shown(account: CarrierAccount, stack: Stack) -> dict[str, Any]:
    """The account, with the address to enter at a carrier that is not told one with each call."""
    document = carrier_account_document(account)
    if TRAITS[account.carrier].calls_back_per_account:
        address = CallbackAddress(STATUS, account.carrier, account.organization_id, account.id)
        document["callback_url"] = address.url(stack.output("PublicBaseUrl"))
    return document


def _variable(carrier: str, credential: Credential) -> str:
    return f"{carrier}_{credential.name}".upper().replace("-", "_")


def _needs(carrier: str) -> str:
    """One paragraph of the help: a carrier's environment variables."""
    credentials = credentials_of(carrier)
    required = ", ".join(_variable(carrier, each) for each in credentials if each.is_required)
    optional = ", ".join(_variable(carrier, each) for each in credentials if not each.is_required)
    return f"{carrier} ({TRAITS[carrier].display_name}): {required}" + (f"; optional {optional}" if optional else "")


def _secret(carrier: str, files: Sequence[str]) -> dict[str, str]:
    if carrier not in CARRIERS:
        raise CommandFailed(f"--carrier is {carrier!r}; it must be one of {', '.join(TRAITS)}.")
    credentials = credentials_of(carrier)
    return _collected(carrier, credentials, [each for each in credentials if each.is_required], files)


def _replacements(carrier: str, names: Sequence[str], files: Sequence[str]) -> dict[str, str]:
    known = {each.name: each for each in credentials_of(carrier)}
    if unknown := [name for name in names if name not in known]:
        raise CommandFailed(f"--credential is {unknown[0]!r}; for {carrier} it must be one of {', '.join(known)}.")
    wanted = [known[name] for name in names]
    return _collected(carrier, wanted, wanted, files)


def _collected(
    carrier: str, looked_for: Sequence[Credential], needed: Sequence[Credential], files: Sequence[str]
) -> dict[str, str]:
    secret = {each.name: os.environ.get(_variable(carrier, each), "") for each in looked_for}
    secret = {name: value for name, value in secret.items() if value} | _from_files(files)
    missing = [each for each in needed if not secret.get(each.name)]
    if not missing:
        return secret
    if sys.stdin.isatty():
        asked = {each.name: typer.prompt(f"{each.where}\n{each.name}", hide_input=True) for each in missing}
        return secret | asked
    return secret | _from_standard_input(carrier, missing)


def _from_files(files: Sequence[str]) -> dict[str, str]:
    secret = {}
    for file in files:
        name, _, path = file.partition("=")
        try:
            secret[name] = Path(path).read_text("utf-8").strip()
        except (OSError, ValueError) as error:
            raise CommandFailed(
                f"--credential-file is {file!r}; it must be NAME=PATH of a file with text ({type(error).__name__})."
            ) from error
    return secret


def _from_standard_input(carrier: str, missing: Sequence[Credential]) -> dict[str, str]:
    try:
        given = json.loads(sys.stdin.read())
        if all(given[each.name] for each in missing):
            return {str(name): str(value) for name, value in given.items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        pass
    wanted = " ".join(f"Set {_variable(carrier, each)}: {each.where}" for each in missing)
    names = ", ".join(f'"{each.name}": "…"' for each in missing)
    raise CommandFailed(f"Credentials are missing. {wanted} Or give standard input {{{names}}}.")
