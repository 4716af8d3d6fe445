"""One Lambda execution environment under the Runtime Interface Emulator that aws-sam-cli ships.

Only starting, invoking and stopping belong here; what is run and what the numbers mean does not.
"""

import contextlib
import http.client
import importlib.util
import os
import platform
import re
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

INVOCATION_PATH = "/2015-03-31/functions/function/invocations"
START_SECONDS = 10.0
INVOKE_SECONDS = 60.0


class EmulatorError(RuntimeError):
    """The emulator is missing, did not start, or did not answer."""


def find_emulator() -> Path:
    """Return the emulator binary for this machine.

    Raises EmulatorError where aws-sam-cli (the project's `sandbox` dependency group) is not installed, or not on Linux.
    """
    if platform.system() != "Linux":
        raise EmulatorError(
            f"the emulator is a Linux program and this is {platform.system()}; run the benchmark on Linux."
        )
    spec = importlib.util.find_spec("samcli")
    if spec is None or spec.origin is None:
        raise EmulatorError("aws-sam-cli is not installed here; it ships the emulator. Run `uv sync`, then try again.")
    architecture = "arm64" if platform.machine() in {"arm64", "aarch64"} else "x86_64"
    binary = Path(spec.origin).parent / "local" / "rapid" / f"aws-lambda-rie-{architecture}"
    if not binary.is_file():
        raise EmulatorError(f"{binary} does not exist; this aws-sam-cli ships no emulator for {architecture}.")
    return binary


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


@dataclass(frozen=True, slots=True)
class Answer:
    """What one invocation gave back: when it began (`time.perf_counter`), its seconds and the raw response."""

    began_at: float
    seconds: float
    payload: bytes


class ExecutionEnvironment:
    """A fresh emulator; the function's process starts with the first `invoke`, which therefore is the cold one."""

    def __init__(
        self, *, emulator: Path, python: Path, handler: str, task_root: Path, environment: dict[str, str], log: Path
    ) -> None:
        # Both addresses are given on purpose: the emulator's defaults listen on every interface.
        self._port, runtime_port = _free_ports(2)
        self._command = [
            str(emulator),
            "--log-level",
            "info",
            "--runtime-interface-emulator-address",
            f"127.0.0.1:{self._port}",
            "--runtime-api-address",
            f"127.0.0.1:{runtime_port}",
            str(python),
            "-m",
            "awslambdaric",
            handler,
        ]
        self._task_root = task_root
        self._environment = environment
        self._log_path = log
        self._process: subprocess.Popen[bytes] | None = None
        self._connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=INVOKE_SECONDS)

    def __enter__(self) -> Self:
        with self._log_path.open("wb") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=self._task_root,
                env=self._environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                self._connection.connect()
                break
            except OSError as error:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    self._stop()
                    raise EmulatorError(f"the emulator did not start: {self.log_tail()}") from error
                time.sleep(0.005)
        # Without this the first POST would race the emulator's own start-up and count it as ours.
        time.sleep(0.02)
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()
        self._stop()

    def invoke(self, payload: bytes) -> Answer:
        """Invoke once and wait for the answer. Raises EmulatorError when none comes."""
        started = time.perf_counter()
        try:
            self._connection.request("POST", INVOCATION_PATH, payload, {"Content-Type": "application/json"})
            body = self._connection.getresponse().read()
        except (OSError, http.client.HTTPException) as error:
            raise EmulatorError(f"no answer from the emulator ({error!r}): {self.log_tail()}") from error
        return Answer(started, time.perf_counter() - started, body)

    def init_seconds(self) -> float:
        """Return how long the function took from its process's start until it asked for its first event."""
        found = re.search(r"INIT REPORT\(durationMs: ([\d.]+)\)", self._log_path.read_text(errors="replace"))
        if found is None:
            raise EmulatorError(f"the emulator did not say how long the start took: {self.log_tail()}")
        return float(found[1]) / 1000

    def peak_memory_bytes(self) -> int:
        """Return the function process's peak resident set, or 0 where the system does not tell (no /proc)."""
        if self._process is None:
            return 0
        for child in _children(self._process.pid):
            with contextlib.suppress(OSError):
                for line in Path(f"/proc/{child}/status").read_text().splitlines():
                    if line.startswith("VmHWM:"):
                        return int(line.split()[1]) * 1024
        return 0

    def log_tail(self) -> str:
        """Return the end of what the function and the emulator printed."""
        return self._log_path.read_text(errors="replace")[-3000:]

    def _stop(self) -> None:
        if self._process is None:
            return
        # The function has a process group of its own and would outlive the emulator.
        for pid in [*_children(self._process.pid), self._process.pid]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        try:
            self._process.wait(2)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._process = None


def _children(pid: int) -> list[int]:
    with contextlib.suppress(OSError):
        found: list[int] = []
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += [int(child) for child in (task / "children").read_text().split()]
        return found
    return []
