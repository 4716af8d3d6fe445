# ruff: noqa: T201, S603, S607 - tells people what it does, and starts programs on purpose
"""`make sam-local`: run every file of events/ through `sam local invoke`, in containers of Lambda's own image.

Needs a Docker daemon; nothing else in this project does. The functions talk to a MiniStack with the real stack on it,
started here on the address at which containers see this machine (Docker's bridge), and stopped at the end.

A file's name starts with the function it is for, in snake case: `status_webhook_duplicate.json` goes to
StatusWebhookFunction.
"""

from __future__ import annotations

import ipaddress
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from sandbox.deployment import ROOT, Deployment, DeploymentFailed, Emulator, host_architecture
from sandbox.processes import Processes, ProcessFailed, reserved_ports

EMULATOR = "ministack"
FUNCTIONS = [
    "CallCompletionFunction",
    "InitiateFunction",
    "ManageFunction",
    "ReconcilerFunction",
    "StatusWebhookFunction",
    "StatusWorkerFunction",
    "TwimlFunction",
]


class CannotRun(Exception):
    """This machine cannot run the events; the message says why."""


def main() -> int:
    """Run every event; the exit status is 0 when every function answered without an error."""
    try:
        gateway = docker_gateway()
        events = [(path, function_for(path)) for path in sorted((ROOT / "events").glob("*.json"))]
        if not events:
            raise CannotRun("events/ has no JSON files.")
        with tempfile.TemporaryDirectory(prefix="dialplane-sam-local-") as folder:
            return run_all(Path(folder), gateway, events)
    except (CannotRun, DeploymentFailed, ProcessFailed) as error:
        print(f"sam-local: {error}", file=sys.stderr)
        return 1


def docker_gateway() -> str:
    """Return the address of this machine on Docker's bridge. Raises CannotRun without a Docker daemon."""
    if shutil.which("docker") is None:
        raise CannotRun("needs Docker, and there is no `docker` on PATH. `make up` runs everything without it.")
    command = ["docker", "network", "inspect", "bridge", "--format", "{{json (index .IPAM.Config 0)}}"]
    asked = subprocess.run(command, capture_output=True, text=True, check=False)
    if asked.returncode:
        raise CannotRun(f"needs a running Docker daemon. `make up` runs everything without it.\n{asked.stderr.strip()}")
    bridge = json.loads(asked.stdout)
    # Some daemons do not write the gateway down; it is the subnet's first address then.
    gateway = bridge.get("Gateway") or str(next(ipaddress.ip_network(bridge["Subnet"]).hosts()))
    if not ipaddress.ip_address(gateway).is_private:
        raise CannotRun(f"Docker's bridge has the public address {gateway}; the emulator must not listen there.")
    return gateway


def function_for(event: Path) -> str:
    """Return the logical id of the function the event is for. Raises CannotRun when the name says none."""
    for name in FUNCTIONS:
        prefix = re.sub(r"(?<!^)(?=[A-Z])", "_", name.removesuffix("Function")).lower()
        if event.stem == prefix or event.stem.startswith(f"{prefix}_"):
            return name
    raise CannotRun(f"{event.name} starts with the name of no function; known are {', '.join(FUNCTIONS)}.")


def run_all(folder: Path, gateway: str, events: list[tuple[Path, str]]) -> int:
    """Build for Lambda's Python, deploy, and invoke each event in a container; 1 when any function failed."""
    with reserved_ports([0]) as (port,):
        pass
    emulator = Emulator(f"http://{gateway}:{port}")
    processes = Processes(folder / "run", folder / "logs")
    deployment = Deployment(folder, folder / "logs", python_version="3.13")
    environment = emulator.environment() | {
        "BIND_HOST": gateway,  # reachable from containers on this machine, and from nowhere else
        "GATEWAY_PORT": str(port),
        "IOT_MTLS_ENABLED": "0",
        "TMPDIR": str(folder),
    }
    try:
        processes.start(EMULATOR, [sys.executable, "-m", "ministack"], environment=environment, directory=folder)
        deployment.build()
        processes.wait_until_listening(EMULATOR, port, seconds_max=45, host=gateway)
        deployment.deploy(emulator, {"AwsEndpointUrl": emulator.url, "Architecture": host_architecture()})
        variables = folder / "variables.json"
        variables.write_text(json.dumps(deployment.function_variables(emulator)))
        failed = [path.name for path, name in events if not invoke(deployment, emulator, variables, path, name)]
    finally:
        processes.stop_all()
    if failed:
        print(f"\n{len(failed)} of {len(events)} events failed: {', '.join(failed)}", file=sys.stderr)
    else:
        print(f"\nAll {len(events)} events ran.")
    return 1 if failed else 0


def invoke(deployment: Deployment, emulator: Emulator, variables: Path, event: Path, function: str) -> bool:
    """Invoke one event and print what came of it; False when the function raised or did not run."""
    command = [sys.executable, "-m", "samcli", "local", "invoke", function, "--event", str(event)]
    command += ["--template-file", str(deployment.template), "--env-vars", str(variables)]
    command += ["--parameter-overrides", f"Architecture={host_architecture()}"]
    if image_is_here():
        command.append("--skip-pull-image")
    finished = subprocess.run(command, env=emulator.environment(), capture_output=True, text=True, check=False)
    lines = finished.stdout.strip().splitlines() or [""]
    try:
        answer = json.loads(lines[-1])
    except ValueError:
        answer = {"errorMessage": finished.stderr.strip()[-2000:] or lines[-1]}
    broken = finished.returncode != 0 or (isinstance(answer, dict) and "errorMessage" in answer)
    status = answer.get("statusCode", "ok") if isinstance(answer, dict) else "ok"
    print(f"{'✘' if broken else '✔'} {event.name:<44} {function:<24} {answer['errorMessage'] if broken else status}")
    return not broken


def image_is_here() -> bool:
    """Whether Lambda's image is on this machine already, so that sam need not ask a registry."""
    machine = {"arm64": "arm64", "x86_64": "x86_64"}[host_architecture()]
    image = f"public.ecr.aws/lambda/python:3.13-{machine}"
    return subprocess.run(["docker", "image", "inspect", image], capture_output=True, check=False).returncode == 0


if __name__ == "__main__":
    os.chdir(ROOT)
    raise SystemExit(main())
