"""The `dialplane` command. Commands live in the modules beside this one; here they get their names."""

from __future__ import annotations

import typer

from cli import admin, operations, talk
from cli.output import CommandGroup

app = typer.Typer(
    cls=CommandGroup,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help=(
        "Administer a Dialplane stack. It is found through CloudFormation with your own AWS credentials; AWS_PROFILE, "
        "AWS_REGION and AWS_ENDPOINT_URL are respected."
    ),
)
app.add_typer(admin.app, name="admin")
app.add_typer(operations.dlq, name="dlq")
app.command("reconcile")(operations.reconcile)
app.command("doctor")(operations.doctor)
app.command("talk")(talk.talk)
