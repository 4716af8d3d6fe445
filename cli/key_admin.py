"""`dialplane admin set-model-key` and `set-tools-key`: keys that an organization's conversations need.

They are read from standard input, because what is written on a command line is seen by others and kept by shells.
"""

from __future__ import annotations

import secrets
import sys
from typing import Annotated

import typer

from cli.documents import organization_document
from cli.output import CommandFailed, JsonOption, StackOption, show
from cli.stack import Stack
from dialplane.domain.language_model import PROVIDERS_WITH_KEY

OrganizationOption = Annotated[str, typer.Option("--organization", help="Id of the organization (org_…).")]


def set_model_key(
    *,
    organization_id: OrganizationOption,
    provider: Annotated[str, typer.Option(help=f"One of {', '.join(sorted(PROVIDERS_WITH_KEY))}.")],
    base_url: Annotated[
        str | None,
        typer.Option(help="Address of an API that speaks as the provider's does, instead of the provider's own."),
    ] = None,
    stack: StackOption = "dialplane",
    as_json: JsonOption = False,
) -> None:
    """Store an organization's key for a provider of language models; it is read from standard input.

    It takes the place of the one before. Functions read it within five minutes.
    """
    keys = Stack.find(stack).keys
    organization = keys.put_model_key(
        organization_id, provider=provider, api_key=_read_key(f"Key for {provider}"), base_url=base_url
    )
    show(organization_document(organization), as_json=as_json)


def set_tools_key(
    *,
    organization_id: OrganizationOption,
    generate: Annotated[
        bool, typer.Option("--generate", help="Make a new key and print it: this once, for the tools' servers.")
    ] = False,
    stack: StackOption = "dialplane",
    as_json: JsonOption = False,
) -> None:
    """Store the key that requests to an organization's own tools are signed with; it is read from standard input.

    A server checks X-Webhook-Signature: "sha256=" and the HMAC-SHA256 of "{X-Webhook-Timestamp}.{body}" in hex.
    """
    keys = Stack.find(stack).keys
    key = f"whsec_{secrets.token_urlsafe(32)}" if generate else _read_key("Signing key")
    keys.put_signing_key(organization_id, key)
    show({"organization_id": organization_id, "signing_key": key if generate else "stored"}, as_json=as_json)


def _read_key(name: str) -> str:
    key = str(typer.prompt(name, hide_input=True)) if sys.stdin.isatty() else sys.stdin.read()
    if not key.strip():
        raise CommandFailed(f"{name}: nothing was given. Write it to standard input.")
    return key.strip()
