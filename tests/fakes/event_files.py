"""What is in `events/`: every file as API Gateway, SQS, Step Functions or the scheduler would send it, and its answer.

`python -m tests.fakes.event_files` writes the files and their README; a test checks that they are what it writes.
`python -m tests.fakes.event_files sign NAME` prints an event as it is to be invoked now. The tables are in
`event_initiate`, `event_callbacks`, `event_conversation` and `event_manage`.
"""

from __future__ import annotations

import argparse
import json
import sys
from datetime import UTC, datetime
from pathlib import Path

from dialplane.dynamodb.tables import Tables
from tests.fakes import event_world as world
from tests.fakes.event_builders import SOCKET_API_ID
from tests.fakes.event_callbacks import STATUS_WEBHOOK, STATUS_WORKER, TWIML
from tests.fakes.event_conversation import CALL_ANALYSIS, CONVERSATION, CONVERSATION_TASKS
from tests.fakes.event_example import Example
from tests.fakes.event_initiate import DIAL, INITIATE
from tests.fakes.event_manage import CALL_COMPLETION, MANAGE, RECONCILER
from tests.fakes.template import ROOT

FOLDER = ROOT / "events"
EXAMPLES = (
    *(*INITIATE, *DIAL, *TWIML, *STATUS_WEBHOOK, *STATUS_WORKER, *CALL_COMPLETION, *RECONCILER, *MANAGE),
    *(*CONVERSATION, *CONVERSATION_TASKS, *CALL_ANALYSIS),
)
BY_NAME = {example.name: example for example in EXAMPLES}


_README = f"""# Events

One file for every way a function can be called, as AWS calls it: HTTP API events (payload format 2.0), WebSocket API
events, SQS batches, the input of the call-completion tasks, the scheduler's tick; in every dialect, from every carrier,
with each refusal that is worth seeing. The name of a file begins with its function in snake case.

They are about one world with fixed ids: organization `{world.ORGANIZATION_ID}` with calls, numbers and money and an
account with every carrier, and `{world.POOR_ORGANIZATION_ID}` with an empty wallet. `python -m tests.fakes.event_world
--carrier-url URL` puts it into the stack that `AWS_ENDPOINT_URL` and `DIALPLANE_STACK` lead to. Signatures hold for
`PUBLIC_BASE_URL` `{world.PUBLIC_BASE_URL}` and the secrets of that world: for Twilio the auth token
`{world.AUTH_TOKEN}`. Its keys, secrets and tokens are good for nothing else.

    sam build
    sam local invoke InitiateFunction --event events/initiate_seed2_basic.json --env-vars events/local/env.json

## Files that are made at run time

Telnyx, Vonage and ElevenLabs sign the time along, and minutes later the signature is worth nothing. No file can hold
such a signature for good, and no switch here moves the clock. The files that are marked *at run time* hold what was
signed on {world.CREATED_AT:%d %B %Y}: invoked as they are, they are answered 403 (and what a worker is told of a moment
ago was then). The tests and `make sam-local` make each anew when they invoke it. So does

    python -m tests.fakes.event_files sign status_webhook_telnyx_hangup |
        sam local invoke StatusWebhookFunction --event - --env-vars events/local/env.json

## All of them

`make sam-local` runs them all. `local/env.json` names the tables and queues of a world made for single invocations;
point `AWS_ENDPOINT_URL` in it to your emulator. This file, `local/env.json` and the events are written by
`python -m tests.fakes.event_files`.

| file | what it shows | answer |
|---|---|---|
"""


def socket_api_endpoint(aws_endpoint_url: str) -> str:
    """Where an emulator has the management API of the world's WebSockets, which nobody has opened."""
    return f"{aws_endpoint_url}/_aws/execute-api/{SOCKET_API_ID}/live"


_EMULATOR_URL = "http://host.docker.internal:4566"
ENVIRONMENT = {
    **{f"{name.upper()}_TABLE_NAME": f"dialplane-events-{name}" for name in Tables.__dataclass_fields__},
    "PUBLIC_BASE_URL": world.PUBLIC_BASE_URL,
    "CARRIER_SECRETS_PREFIX": world.SECRETS_PREFIX,
    "CARRIER_EVENTS_QUEUE_URL": "http://host.docker.internal:4566/000000000000/dialplane-events-carrier-events",
    "DIALS_QUEUE_URL": "http://host.docker.internal:4566/000000000000/dialplane-events-dials",
    "CONVERSATION_TASKS_QUEUE_URL": "http://host.docker.internal:4566/000000000000/dialplane-events-conversation-tasks",
    "SOCKET_BASE_URL": world.SOCKET_BASE_URL,
    "SOCKET_API_ENDPOINT": socket_api_endpoint(_EMULATOR_URL),
    "ORGANIZATION_SECRETS_PREFIX": "dialplane/organizations",
    "CALL_COMPLETION_STATE_MACHINE_ARN": (
        "arn:aws:states:us-east-1:000000000000:stateMachine:dialplane-events-call-completion"
    ),
    "POWERTOOLS_SERVICE_NAME": "dialplane-events",
    "POWERTOOLS_METRICS_NAMESPACE": "Dialplane",
    "CHECK_INTERVAL_SECONDS": "60",
    "PLACEMENT_GRACE_SECONDS": "120",
    "AWS_ENDPOINT_URL": _EMULATOR_URL,
}


def files() -> dict[Path, str]:
    """Every file of the folder, by its path in it."""
    texts = {Path(f"{each.name}.json"): json.dumps(each.stored, indent=2) + "\n" for each in EXAMPLES}
    texts[Path("local/env.json")] = json.dumps({"Parameters": ENVIRONMENT}, indent=2) + "\n"
    texts[Path("README.md")] = _README + "".join(f"{_row(each)}\n" for each in EXAMPLES)
    return texts


def _row(example: Example) -> str:
    answer = example.answer if isinstance(example.answer, str) else json.dumps(example.answer)
    parts = [str(example.status) if example.status is not None else "", f"`{answer}`" if answer else ""]
    mark = ", *at run time*" if example.is_made_at_run_time else ""
    return f"| {example.name}.json{mark} | {example.shows} | {' '.join(part for part in parts if part)} |"


def write() -> None:
    """Write the folder."""
    for path, text in files().items():
        (FOLDER / path).parent.mkdir(parents=True, exist_ok=True)
        (FOLDER / path).write_text(text)


def main() -> None:
    """Write every file, or print one event as it is to be invoked now."""
    parser = argparse.ArgumentParser(prog="python -m tests.fakes.event_files", description=main.__doc__)
    sign = parser.add_subparsers(dest="command").add_parser("sign", help="print an event as it is to be invoked now")
    sign.add_argument("name", choices=BY_NAME, metavar="NAME", help="a file's name without .json")
    options = parser.parse_args()
    if options.command is None:
        write()
    else:
        json.dump(BY_NAME[options.name].at(datetime.now(UTC)), sys.stdout)


if __name__ == "__main__":
    main()
