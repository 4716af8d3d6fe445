"""`dialplane admin carrier-account` and `number`: what calls are placed with.

Credentials come from the environment, a prompt or standard input, never from the command line: arguments are seen by
every process of the machine and kept in the shell's history.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Annotated

import typer

from cli.documents import carrier_account_document, number_document
from cli.output import CommandFailed, JsonOption, StackOption, show
from cli.stack import Stack

carrier_account = typer.Typer(no_args_is_help=True, help="Accounts with carriers.")
number = typer.Typer(no_args_is_help=True, help="Numbers to call from.")

_VARIABLES = {"account_sid": "TWILIO_ACCOUNT_SID", "auth_token": "TWILIO_AUTH_TOKEN"}  # as Twilio's own tools name them
OrganizationOption = Annotated[str, typer.Option("--organization", help="Id of the organization (org_…).")]


@carrier_account.command("create")
def create_carrier_account(
    *,
    organization_id: OrganizationOption,
    name: Annotated[str, typer.Option(help="Name of the account.")] = "Main account",
    carrier: Annotated[str, typer.Option(help="The carrier.")] = "twilio",
    api_base_url: Annotated[
        str | None, typer.Option(help="Address of the carrier's API if it is not the usual one: a region, a simulator.")
    ] = None,
    stack: StackOption = "dialplane",
    as_json: JsonOption = False,
) -> None:
    """Create an account with a carrier and store its credentials.

    They are taken from TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN, asked for on a terminal, or else read from standard
    input as {"account_sid": "AC…", "auth_token": "…"}.
    """
    found = Stack.find(stack)
    secret = _credentials() | ({"api_base_url": api_base_url} if api_base_url else {})
    created = found.provision.create_carrier_account(organization_id, carrier=carrier, name=name, secret=secret)
    show(carrier_account_document(created), as_json=as_json)


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
    stack: StackOption = "dialplane",
    as_json: JsonOption = False,
) -> None:
    """Create a number to call from, or replace it."""
    provision = Stack.find(stack).provision
    account = provision.carrier_account(organization_id, carrier_account_id)
    put = provision.put_number(organization_id, number, account, assistant_id=assistant_id)
    show(number_document(put), as_json=as_json)


def _credentials() -> dict[str, str]:
    from_environment = {name: os.environ.get(variable, "") for name, variable in _VARIABLES.items()}
    if all(from_environment.values()):
        return from_environment
    if sys.stdin.isatty():
        return {
            "account_sid": from_environment["account_sid"] or typer.prompt("Account SID"),
            "auth_token": from_environment["auth_token"] or typer.prompt("Auth token", hide_input=True),
        }
    try:
        given = json.loads(sys.stdin.read())
        return {name: str(given[name]) for name in _VARIABLES}
    except (ValueError, KeyError, TypeError) as error:
        raise CommandFailed(
            f"No credentials. Set {' and '.join(_VARIABLES.values())}, or give standard input "
            '{"account_sid": "AC…", "auth_token": "…"}.'
        ) from error
