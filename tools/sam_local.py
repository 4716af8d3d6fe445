# ruff: noqa: T201, S603, S607 - tells people what it does, and starts programs on purpose
"""`make sam-local`: every file of events/ through `sam local invoke`, each answer compared with the one documented.

Needs a Docker daemon; nothing else in this project does. Each file gets a container of Lambda's own image with the
built artefact in it, and the world of `tests.fakes.event_world` as if nothing had happened before. What is answered
must be what `tests.fakes.event_files` says.

A file's name starts with the function it is for, in snake case: `status_webhook_duplicate.json` goes to
StatusWebhookFunction. Files that are made at run time (events/README.md says why) are made when their turn comes.

Where the emulated AWS and the simulated carriers listen: containers cannot reach this machine's 127.0.0.1, so both bind
to the address that this machine has on Docker's bridge, and to no other. It belongs to an interface with nothing but
containers behind it, for others to reach only by a route they set on purpose; there are no secrets there, for minutes.
The address is checked before anything starts: what is missing, unspecified or public is refused. A container for the
two on a network of its own, published on 127.0.0.1, would need all they import installed a second time, for the
image's Python. Where the daemon runs in a virtual machine (Docker Desktop), the bridge is not this machine's, and
containers reach its 127.0.0.1 as host.docker.internal.

Why not `sam local start-lambda` with warm containers, which takes a tenth of the time: an event would meet what the
event before it left in the process.

The stack is not deployed here, as `make up` does: its schedule and its queue's worker would work on the same calls as
the events. The tables are the template's.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

import boto3

from sandbox.deployment import ROOT, Deployment, DeploymentFailed, Emulator, host_architecture
from sandbox.processes import LOOPBACK, Processes, ProcessFailed
from tests.fakes.event_example import Example
from tests.fakes.event_files import BY_NAME, ENVIRONMENT, socket_api_endpoint
from tests.fakes.event_stack import EventStack, reset_carriers, simulated_carriers
from tests.fakes.template import resources

EMULATOR = "ministack"
PYTHON_VERSION = "3.13"
IMAGE = f"public.ecr.aws/lambda/python:{PYTHON_VERSION}"
WITHOUT_DOCKER = "`make up` runs everything without it."


class CannotRun(Exception):
    """This machine cannot run the events; the message says why."""


@dataclass(frozen=True, slots=True)
class Address:
    """An address of this machine: what servers bind to, and what containers call it."""

    bind: str
    name: str


@dataclass(frozen=True, slots=True)
class Event:
    """A file, the logical id of its function, and what is documented about it."""

    path: Path
    function: str
    example: Example

    def written_to(self, folder: Path) -> Path:
        """The file to invoke now: the folder's own, or one that is made at run time."""
        if not self.example.is_made_at_run_time:
            return self.path
        made = folder / self.path.name
        made.write_text(json.dumps(self.example.at(datetime.now(UTC))))
        return made


def main() -> int:
    """Run every event; the exit status is 0 when every answer is the one documented."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # else nothing would be stopped
    try:
        events = find_events(ROOT / "events")
        address = containers_host()
        image = lambda_image()
        with tempfile.TemporaryDirectory(prefix="dialplane-sam-local-") as folder:
            return run_all(Path(folder), address, image, events)
    except (CannotRun, DeploymentFailed, ProcessFailed) as error:
        print(f"sam-local: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


# ---- before anything starts -----------------------------------------------------------------------------------------


def find_events(folder: Path) -> list[Event]:
    """Return the folder's events by name. Raises CannotRun when one has no function or no documented answer."""
    examples = {f"{name}.json": example for name, example in BY_NAME.items()}
    paths = {path.name: path for path in sorted(folder.glob("*.json"))}
    if paths.keys() != examples.keys():
        differing = ", ".join(sorted(paths.keys() ^ examples.keys()))
        raise CannotRun(f"{folder} and tests/fakes/event_files.py do not have the same events: {differing}.")
    return [Event(path, function_for(path.stem), examples[name]) for name, path in paths.items()]


def function_for(name: str) -> str:
    """Return the logical id of the function an event is for. Raises CannotRun when its name says none."""
    functions = [key for key, resource in resources().items() if resource["Type"] == "AWS::Serverless::Function"]
    for function in sorted(functions, key=len, reverse=True):  # ConversationTasks before Conversation
        prefix = re.sub(r"(?<!^)(?=[A-Z])", "_", function.removesuffix("Function")).lower()
        if name.startswith(f"{prefix}_"):
            return function
    raise CannotRun(f"{name}.json starts with the name of no function; known are {', '.join(functions)}.")


def containers_host() -> Address:
    """Where containers reach this machine, and nobody else does. Raises CannotRun without a Docker daemon."""
    if shutil.which("docker") is None:
        raise CannotRun(f"needs Docker, and there is no `docker` on PATH. {WITHOUT_DOCKER}")
    asked = docker("network", "inspect", "bridge", "--format", "{{json .IPAM.Config}}")
    if asked.returncode:
        raise CannotRun(f"needs a running Docker daemon. {WITHOUT_DOCKER}\n{asked.stderr.strip()}")
    gateway = bridge_gateway(json.loads(asked.stdout) or [])
    try:
        free_port(gateway)
    except OSError:
        return Address(LOOPBACK, "host.docker.internal")
    return Address(gateway, gateway)


def bridge_gateway(networks: list[dict[str, str]]) -> str:
    """Return the IPv4 address of the host in the bridge's IPAM configuration. Raises CannotRun if there is none."""
    for network in networks:
        subnet = ipaddress.ip_network(network.get("Subnet") or "::/0", strict=False)
        if subnet.version != 4:
            continue
        # Some daemons do not write the gateway down; it is the subnet's first address then.
        gateway = ipaddress.ip_address(network.get("Gateway") or next(subnet.hosts()))
        if gateway.is_private and not gateway.is_unspecified and gateway in subnet:
            return str(gateway)
        raise CannotRun(f"Docker's bridge has the address {gateway} on this machine; no emulator may listen there.")
    raise CannotRun(f"Docker's bridge has no IPv4 address on this machine: {json.dumps(networks)}.")


def lambda_image() -> str:
    """Return Lambda's image, which is on this machine then. Raises CannotRun when it cannot be had."""
    image = f"{IMAGE}-{host_architecture()}"
    if docker("image", "inspect", image).returncode == 0:
        return image
    print(f"Pulling {image}", flush=True)
    pulled = docker("pull", "--quiet", image)
    if pulled.returncode:
        raise CannotRun(f"{image} is not on this machine and cannot be pulled.\n{pulled.stderr.strip()}")
    return image


# ---- the world ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class World:
    """The emulated AWS and the simulated carriers while they run, and how functions in containers reach them."""

    emulator: Emulator
    stack: EventStack
    carriers_here: str
    carriers: str
    variables: dict[str, str]

    def refill(self) -> None:
        """Start over, as if nothing had happened."""
        self.stack.refill()
        reset_carriers(self.carriers_here)


@contextlib.contextmanager
def running_world(folder: Path, address: Address) -> Iterator[World]:
    """Start everything that functions talk to; it is stopped at the end. Raises ProcessFailed."""
    port = free_port(address.bind)
    emulator = Emulator(f"http://{address.bind}:{port}")
    environment = emulator.environment() | {
        "BIND_HOST": address.bind,  # the default is every interface
        "GATEWAY_PORT": str(port),
        "MINISTACK_HOST": address.name,
        "IOT_MTLS_ENABLED": "0",  # else MQTT listens on every interface whatever BIND_HOST says
        "TMPDIR": str(folder),
    }
    processes = Processes(folder / "run", folder / "logs")
    try:
        processes.start(EMULATOR, [sys.executable, "-m", "ministack"], environment=environment, directory=folder)
        with simulated_carriers(address.bind) as carriers:
            carrier_url = carriers.url.replace(address.bind, address.name)
            processes.wait_until_listening(EMULATOR, port, seconds_max=45, host=address.bind)
            with patch.dict(os.environ, emulator.environment(), clear=True):  # where boto3 looks for its endpoint
                stack = EventStack.create(boto3.Session(), carrier_url=carrier_url)
                endpoint = f"http://{address.name}:{port}"
                variables = ENVIRONMENT | {
                    "AWS_ENDPOINT_URL": endpoint,
                    "SOCKET_API_ENDPOINT": socket_api_endpoint(endpoint),
                    **stack.queues,
                }
                yield World(emulator, stack, carriers.url, carrier_url, variables)
    finally:
        processes.stop_all()


def check_reachable(image: str, world: World) -> None:
    """Let a container ask the emulator and the carriers once, so that a firewall is one message and not one per event.

    Raises CannotRun.
    """
    addresses = [f"{world.variables['AWS_ENDPOINT_URL']}/_ministack/health", f"{world.carriers}/_scenarios"]
    script = "import sys, urllib.request as r; [r.urlopen(url, timeout=5).read() for url in sys.argv[1:]]"
    asked = docker("run", "--rm", "--entrypoint", "/var/lang/bin/python3", image, "-c", script, *addresses)
    if asked.returncode:
        raise CannotRun(
            f"containers do not reach this machine at {' and '.join(addresses)}; a firewall may refuse what comes from "
            f"Docker's bridge.\n{(asked.stderr.strip().splitlines() or [''])[-1]}"
        )


# ---- the events -----------------------------------------------------------------------------------------------------


def run_all(folder: Path, address: Address, image: str, events: list[Event]) -> int:
    """Build for Lambda's Python and invoke each event in a container; 1 when any answer is not as documented."""
    print(f"Building for Python {PYTHON_VERSION} on {host_architecture()}", flush=True)
    deployment = Deployment(folder, folder / "logs", python_version=PYTHON_VERSION)
    deployment.build()
    begun, wrong = time.monotonic(), list[str]()
    with running_world(folder, address) as world:
        check_reachable(image, world)
        variables = folder / "variables.json"
        variables.write_text(json.dumps({"Parameters": world.variables}))
        print(f"\n  {'event':<47} {'function':<23} seconds  answer", flush=True)
        for event in events:
            world.refill()
            started = time.monotonic()
            answer = invoke(folder, deployment.template, variables, world.emulator, event)
            mismatch = event.example.mismatch(answer)
            seconds = f"{time.monotonic() - started:7.1f}"
            row = f"{event.path.name:<47} {event.function:<23} {seconds}  {mismatch or summary(answer)}"
            print(f"{'✘' if mismatch else '✔'} {row}", flush=True)
            wrong += [event.path.name] if mismatch else []
    print(f"\n{len(events) - len(wrong)} of {len(events)} answers as documented, in {time.monotonic() - begun:.0f} s.")
    if wrong:
        print(f"Not as documented: {', '.join(wrong)}", file=sys.stderr)
    return 1 if wrong else 0


def summary(answer: Any) -> str:
    """Return the status of an HTTP answer, or the whole of another."""
    return str(answer["statusCode"]) if "statusCode" in answer else json.dumps(answer)


def invoke(folder: Path, template: Path, variables: Path, emulator: Emulator, event: Event) -> Any:
    """Invoke one event in a new container; the function's answer, or the end of SAM's log when there is none."""
    command = [
        sys.executable,
        "-m",
        "samcli",
        "local",
        "invoke",
        event.function,
        "--event",
        str(event.written_to(folder)),
    ]
    command += ["--template-file", str(template), "--env-vars", str(variables), "--skip-pull-image"]
    command += ["--parameter-overrides", f"Architecture={host_architecture()}"]
    command += ["--layer-cache-basedir", str(folder / "layers")]  # else in the home directory
    environment = emulator.environment() | {"TMPDIR": str(folder)}
    pipe = subprocess.PIPE
    # In a session of its own, so that Ctrl-C comes to it once, from here.
    sam = subprocess.Popen(
        command, env=environment, cwd=folder, stdout=pipe, stderr=pipe, text=True, start_new_session=True
    )
    try:
        output, log = sam.communicate()
    except BaseException:
        sam.send_signal(signal.SIGINT)  # the one signal after which SAM removes its container at any time
        try:
            sam.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            sam.kill()
        raise
    lines = output.strip().splitlines() or [""]
    try:
        return json.loads(lines[-1])
    except ValueError:
        return log.strip()[-2000:] or lines[-1]


def docker(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command of Docker's to its end."""
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)


def free_port(host: str) -> int:
    """Return a port of this address that is free now. Raises OSError when the address is not this machine's."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    raise SystemExit(main())
