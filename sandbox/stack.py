"""The whole sandbox as one object: start, look at, reset, stop. For `make up` and, in folders of their own, for tests.

Every process listens on 127.0.0.1 only. Everything the sandbox writes is inside its folder.
"""

import contextlib
import fcntl
import json
import os
import shutil
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TypeVar

from dialplane.aws.client import AwsClient, HttpAwsClient
from dialplane.runtime.callback_urls import STATUS, CallbackAddress
from sandbox.carriers.accounts import CarrierAccounts, make_accounts
from sandbox.deployment import REGION, ROOT, STACK_NAME, Deployment, Emulator, warm_up
from sandbox.front_door import SOCKET_PATH
from sandbox.processes import LOOPBACK, Processes, reserved_ports

EMULATOR, CARRIERS, FRONT_DOOR = "ministack", "carriers", "front-door"
START_SECONDS_MAX = 45

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Ports:
    """Loopback ports to prefer; a taken one is chosen around, 0 takes any."""

    emulator: int = 4566
    front_door: int = 8080
    carriers: int = 8090


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast the sandbox lives.

    ``carriers_speed`` is simulated seconds per second; the others are the template's parameters of the same name,
    shorter than in production so that a lost callback is noticed while somebody is watching.
    """

    carriers_speed: float = 4.0
    check_interval_seconds: int = 5
    placement_grace_seconds: int = 5


@dataclass(frozen=True, slots=True)
class SandboxState:
    """What `.sandbox/state.json` says: how to reach everything, with the keys of two demo organizations."""

    api_url: str
    console_url: str | None
    carrier_url: str
    aws_endpoint_url: str
    aws_region: str
    organization_id: str
    api_key: str
    second_organization_id: str
    second_api_key: str
    carrier_secrets: dict[str, dict[str, str]]
    """The secret of the demo organization's account with each carrier."""
    carrier_accounts: dict[str, str]
    """The account's id, by carrier."""
    stack_name: str
    outputs: dict[str, str]


class Sandbox:
    """One sandbox in one folder. Methods may be called by several programs at a time; they wait for one another."""

    def __init__(
        self,
        directory: Path = ROOT / ".sandbox",
        *,
        ports: Ports | None = None,
        pace: Pace | None = None,
        report: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.directory = directory.resolve()
        self.state_path = self.directory / "state.json"
        self._ports = ports or Ports()
        self._pace = pace or Pace()
        self._report = report
        self._logs = self.directory / "logs"
        self._processes = Processes(self.directory / "run", self._logs)

    def state(self) -> SandboxState | None:
        """How to reach the running sandbox, or None when it does not run whole."""
        if not all(self._processes.is_running(name) for name in (EMULATOR, CARRIERS, FRONT_DOOR)):
            return None
        try:
            return SandboxState(**json.loads(self.state_path.read_text()))
        except (FileNotFoundError, ValueError, TypeError):
            return None

    def start(self) -> SandboxState:
        """Start everything, unless it runs already. Raises ProcessFailed, DeploymentFailed and leaves nothing."""
        with self._alone():
            running = self.state()
            return running or self._start()

    def stop(self) -> bool:
        """Stop everything and remove all but the build cache and the logs; tell whether anything was running."""
        if not self.directory.exists():
            return False
        with self._alone():
            return self._stop()

    def reset(self) -> SandboxState:
        """Start over with fresh data, on the same ports where possible."""
        with self._alone():
            self._stop()
            return self._start()

    def aws(self, state: SandboxState) -> AwsClient:
        """A client of the emulated AWS."""
        return _aws_client(Emulator(state.aws_endpoint_url))

    def _start(self) -> SandboxState:
        if self._stop():  # what a crash left behind
            self._report("A part of the sandbox had stopped: starting over, with fresh data and new keys.")
        try:
            return self._start_all()
        except BaseException:
            self._stop()
            raise

    def _start_all(self) -> SandboxState:
        with reserved_ports([self._ports.emulator, self._ports.front_door, self._ports.carriers]) as free:
            emulator_port, front_door_port, carriers_port = free
        emulator = Emulator(f"http://{LOOPBACK}:{emulator_port}")
        api_url = f"http://{LOOPBACK}:{front_door_port}"
        carrier_url = f"http://{LOOPBACK}:{carriers_port}"
        accounts = make_accounts()
        deployment = Deployment(self.directory, self._logs)

        with ThreadPoolExecutor() as pool:
            building = pool.submit(self._timed, "template.yaml built with SAM", deployment.build)
            self._start_emulator(emulator, emulator_port)
            self._start_carriers(carriers_port, accounts)
            building.result()
        parameters = {
            "PublicBaseUrl": api_url,
            "PublicSocketUrl": f"ws://{LOOPBACK}:{front_door_port}{SOCKET_PATH}",
            "AwsEndpointUrl": emulator.url,
            "CheckIntervalSeconds": str(self._pace.check_interval_seconds),
            "PlacementGraceSeconds": str(self._pace.placement_grace_seconds),
            "LogRetentionDays": "1",
        }
        outputs = self._timed("deployed to the emulated AWS with SAM", lambda: deployment.deploy(emulator, parameters))
        self._start_front_door(front_door_port, emulator, outputs)
        # Cold, each would take a second or two, and the first call's callbacks would overtake one another.
        self._timed("functions warmed up", lambda: warm_up(outputs, _aws_client(emulator)))
        state = SandboxState(
            api_url=api_url,
            console_url=None,
            carrier_url=carrier_url,
            aws_endpoint_url=emulator.url,
            aws_region=REGION,
            organization_id="",
            api_key="",
            second_organization_id="",
            second_api_key="",
            carrier_secrets={carrier: dict(secret) for carrier, secret in accounts.secrets.items()},
            carrier_accounts={},
            stack_name=STACK_NAME,
            outputs=outputs,
        )
        state = self._timed("demo organizations created", lambda: _with_demo_data(state, emulator))
        self.state_path.write_text(json.dumps(asdict(state), indent=2) + "\n")
        self.state_path.chmod(0o600)
        return state

    def _start_emulator(self, emulator: Emulator, port: int) -> None:
        scratch = self.directory / "scratch"
        scratch.mkdir(parents=True, exist_ok=True)
        environment = emulator.environment() | {
            "BIND_HOST": LOOPBACK,  # the default is every interface
            "AUTH": "true",  # functions may do what their policies in template.yaml say, and nothing else
            "GATEWAY_PORT": str(port),
            "IOT_MTLS_ENABLED": "0",  # else MQTT listens on every interface whatever BIND_HOST says
            "TMPDIR": str(scratch),
            "STATE_DIR": str(scratch / "state"),
            "S3_DATA_DIR": str(scratch / "s3"),
            "PYTHONUNBUFFERED": "1",
        }
        self._timed(
            f"MiniStack on {LOOPBACK}:{port} (loopback only)",
            lambda: self._run(EMULATOR, [sys.executable, "-m", "ministack"], environment, scratch, port),
        )

    def _start_carriers(self, port: int, accounts: CarrierAccounts) -> None:
        command = [sys.executable, "-m", "sandbox.carriers", "--host", LOOPBACK, "--port", str(port)]
        file = self.directory / "scratch" / "carrier-accounts.json"
        _write_secret(file, {carrier: [dict(each) for each in served] for carrier, served in accounts.served.items()})
        command += ["--speed", str(self._pace.carriers_speed), "--accounts", str(file)]
        self._timed(
            f"simulated carriers on {LOOPBACK}:{port}", lambda: self._run(CARRIERS, command, _environment(), ROOT, port)
        )

    def _start_front_door(self, port: int, emulator: Emulator, outputs: Mapping[str, str]) -> None:
        command = [sys.executable, "-m", "sandbox.front_door", "--port", str(port), "--emulator-url", emulator.url]
        command += ["--api-id", outputs["ApiId"], "--socket-api-id", outputs["SocketApiId"]]
        self._timed(
            f"front door on {LOOPBACK}:{port}", lambda: self._run(FRONT_DOOR, command, _environment(), ROOT, port)
        )

    def _run(self, name: str, command: list[str], environment: dict[str, str], directory: Path, port: int) -> None:
        self._processes.start(name, command, environment=environment, directory=directory)
        self._processes.wait_until_listening(name, port, seconds_max=START_SECONDS_MAX)

    def _stop(self) -> bool:
        stopped = self._processes.stop_all()
        for leftover in ("run", "build", "scratch"):
            shutil.rmtree(self.directory / leftover, ignore_errors=True)
        self.state_path.unlink(missing_ok=True)
        return bool(stopped)

    def _timed(self, what: str, work: Callable[[], Result]) -> Result:
        started = time.monotonic()
        result = work()
        self._report(f"✔ {what:<56}{time.monotonic() - started:5.1f} s")
        return result

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the folder's lock, which the operating system frees even if this program is killed."""
        self.directory.mkdir(parents=True, exist_ok=True)
        with (self.directory / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _environment() -> dict[str, str]:
    """The launcher's environment without what would lead to a real AWS account."""
    return {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}


def _write_secret(path: Path, document: object) -> None:
    """Write JSON that nobody else may read, not even for a moment."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(document, file)


def _aws_client(emulator: Emulator) -> AwsClient:
    return HttpAwsClient(environ=emulator.environment(), read_timeout_seconds=10)


def _with_demo_data(state: SandboxState, emulator: Emulator) -> SandboxState:
    # Only here, because tests of the launcher's other parts need no demo data.
    from sandbox.demo_data import seed  # noqa: PLC0415

    data = seed(_aws_client(emulator), state.outputs, state.carrier_url, state.carrier_secrets)
    _set_elevenlabs_webhook(state, data.organization_id, data.carrier_accounts["elevenlabs"])
    return replace(
        state,
        organization_id=data.organization_id,
        api_key=data.api_key,
        second_organization_id=data.second_organization_id,
        second_api_key=data.second_api_key,
        carrier_accounts=dict(data.carrier_accounts),
    )


def _set_elevenlabs_webhook(state: SandboxState, organization_id: str, carrier_account_id: str) -> None:
    """What an operator does in ElevenLabs' console: one address for the reports of all conversations."""
    address = CallbackAddress(STATUS, "elevenlabs", organization_id, carrier_account_id).url(state.api_url)
    request = urllib.request.Request(  # noqa: S310 - the sandbox's own loopback address
        f"{state.carrier_url}/_elevenlabs/webhook",
        method="PUT",
        data=json.dumps({"url": address}).encode(),
        headers={"xi-api-key": state.carrier_secrets["elevenlabs"]["api_key"], "Content-Type": "application/json"},
    )
    urllib.request.urlopen(request, timeout=10).close()  # noqa: S310
