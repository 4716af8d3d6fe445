"""How every command talks: data as a table or as JSON, failures as one sentence on stderr and exit code 1."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any

import typer
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.table import Table
from rich.text import Text
from typer.core import TyperGroup

from cli.stack import StackNotFound
from dialplane.aws.client import AwsError
from dialplane.domain.errors import DialplaneError

StackOption = Annotated[
    str, typer.Option("--stack", envvar="DIALPLANE_STACK", help="Name of the CloudFormation stack.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


class CommandFailed(Exception):
    """A command cannot do what it was asked; the message says why and what to do."""


_EXPECTED = (CommandFailed, StackNotFound, DialplaneError, AwsError, BotoCoreError, ClientError)


class CommandGroup(TyperGroup):
    """The root of all commands: turns failures that are to be expected into a sentence, and lets bugs be bugs."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except _EXPECTED as error:
            print(f"Error: {error}", file=sys.stderr)
            raise typer.Exit(1) from error


def show(document: Mapping[str, Any], *, as_json: bool) -> None:
    """Print one thing."""
    if as_json:
        print(json.dumps(document, indent=2))
        return
    console = _console()
    width = max(len(name) for name in document)
    for name, value in document.items():
        # A line each and never cut: a key that is broken over two lines cannot be copied.
        lines = [_text(each) for each in value] if _is_list_of_things(value) else [_text(value)]
        for position, line in enumerate(lines):
            label = f"{name if position == 0 else '':<{width}}  "
            console.print(Text.assemble((label, "bold"), line), soft_wrap=True)


def show_all(name: str, documents: Sequence[Mapping[str, Any]], *, as_json: bool) -> None:
    """Print things of one kind, all with the same fields."""
    if as_json:
        print(json.dumps({name: list(documents)}, indent=2))
        return
    if not documents:
        print(f"No {name}.")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in documents[0]:
        table.add_column(column, overflow="fold")
    for document in documents:
        table.add_row(*(_text(value) for value in document.values()))
    _console().print(table)


def _console() -> Console:
    # Texts of customers may hold square brackets, which are not markup here; in a pipe no line is to be cut.
    return Console(markup=False, highlight=False, width=None if sys.stdout.isatty() else 200)


def _is_list_of_things(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(each, Mapping) for each in value)


def _text(value: Any) -> str:  # noqa: PLR0911 - one return for each type
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case {"amount": amount, "currency": currency}:
            return f"{amount} {currency}"
        case str():
            return value
        case Mapping():
            return ", ".join(f"{name} {_text(each)}" for name, each in value.items())
        case Iterable():
            return ", ".join(_text(each) for each in value) or "-"
        case _:
            return str(value)
