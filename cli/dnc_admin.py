"""`dialplane admin dnc`: an organization's do-not-call list, and the platform's that holds for all."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.output import CommandFailed, JsonOption, StackOption, show
from cli.stack import Stack
from dialplane.domain.phone_numbers import PhoneNumber
from dialplane.runtime.documents import dnc_document

app = typer.Typer(no_args_is_help=True, help="Numbers that must not be called.")

NumberArgument = Annotated[str, typer.Argument(help="The number, in E.164.")]
OrganizationOption = Annotated[str | None, typer.Option("--organization", help="Id of the organization (org_…).")]
PlatformOption = Annotated[bool, typer.Option("--platform", help="The platform's own list, for every organization.")]


@app.command("add")
def add(
    *,
    number: NumberArgument,
    organization_id: OrganizationOption = None,
    is_platform: PlatformOption = False,
    reason: Annotated[str | None, typer.Option(help="Why.")] = None,
    stack: StackOption = "dialplane",
    as_json: JsonOption = False,
) -> None:
    """Put a number on a list. It waits for dials under way: when it returns, none to the number is sent any more."""
    e164 = PhoneNumber.parse(number, field="number").e164
    found = Stack.find(stack)
    if (target := _target(found, organization_id, is_platform=is_platform)) is None:
        entry = found.dnc.add_for_platform(e164, reason=reason, source="admin")
    else:
        entry = found.dnc.add(target, e164, reason=reason, source="admin")
    show(dnc_document(entry), as_json=as_json)


@app.command("remove")
def remove(
    number: NumberArgument,
    organization_id: OrganizationOption = None,
    is_platform: PlatformOption = False,
    stack: StackOption = "dialplane",
    as_json: JsonOption = False,
) -> None:
    """Take a number off a list."""
    e164 = PhoneNumber.parse(number, field="number").e164
    found = Stack.find(stack)
    found.dnc.remove(_target(found, organization_id, is_platform=is_platform), e164)
    show({"number": e164, "removed": True}, as_json=as_json)


def _target(stack: Stack, organization_id: str | None, *, is_platform: bool) -> str | None:
    """The organization, or None for the platform."""
    if is_platform == (organization_id is not None):
        raise CommandFailed("Say whose list: either --organization ORG or --platform.")
    return stack.provision.organization(organization_id).id if organization_id is not None else None
