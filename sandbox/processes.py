"""Background processes that outlive the launcher, found again by record files. Knows nothing of what they are for.

A record is `{directory}/{name}.json`: {"pid": int, "born": str}. `born` tells a process from a later one that was given
the same number, so that stopping can never hit a stranger.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

LOOPBACK = "127.0.0.1"


class ProcessFailed(Exception):
    """A process ended, or did not come up in time; the message ends with the last lines of its log."""


class Processes:
    """The processes recorded in one directory, their output in another."""

    def __init__(self, records: Path, logs: Path) -> None:
        self._records = records
        self._logs = logs

    def start(self, name: str, command: Sequence[str], *, environment: Mapping[str, str], directory: Path) -> None:
        """Start the command in a session of its own, so that neither the launcher's end nor its Ctrl-C ends it."""
        self._records.mkdir(parents=True, exist_ok=True)
        self._logs.mkdir(parents=True, exist_ok=True)
        with self.log_path(name).open("wb") as log:
            process = subprocess.Popen(
                command,
                env=dict(environment),
                cwd=directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        record = {"pid": process.pid, "born": _born(process.pid)}
        self._record_path(name).write_text(json.dumps(record))

    def log_path(self, name: str) -> Path:
        """Where the process writes to."""
        return self._logs / f"{name}.log"

    def is_running(self, name: str) -> bool:
        """Whether the recorded process is alive."""
        return self._pid(name) is not None

    def wait_until_listening(self, name: str, port: int, *, seconds_max: float, host: str = LOOPBACK) -> None:
        """Return once the port accepts connections. Raises ProcessFailed when the process ends or takes too long."""
        deadline = time.monotonic() + seconds_max
        while not is_listening(port, host):
            if not self.is_running(name):
                raise ProcessFailed(f"{name} ended while starting.\n{self.log_tail(name)}")
            if time.monotonic() > deadline:
                raise ProcessFailed(f"{name} was not ready after {seconds_max:.0f} s.\n{self.log_tail(name)}")
            time.sleep(0.05)

    def log_tail(self, name: str, lines: int = 20) -> str:
        """The end of the process's log, with the path of the whole."""
        path = self.log_path(name)
        text = path.read_text(errors="replace") if path.exists() else ""
        return "\n".join([*text.splitlines()[-lines:], f"(whole log: {path})"])

    def stop_all(self, *, seconds_max: float = 10) -> list[str]:
        """Stop every recorded process with its children and forget them; return the names of those that ran."""
        pids = {path.stem: self._pid(path.stem) for path in sorted(self._records.glob("*.json"))}
        running = {name: pid for name, pid in pids.items() if pid is not None}
        for pid in running.values():
            _signal_group(pid, signal.SIGTERM)
        deadline = time.monotonic() + seconds_max
        while any(self.is_running(name) for name in running) and time.monotonic() < deadline:
            time.sleep(0.05)
        for pid in running.values():
            _signal_group(pid, signal.SIGKILL)  # children that outlived the leader of their group
        for name in pids:
            self._record_path(name).unlink(missing_ok=True)
        return list(running)

    def _record_path(self, name: str) -> Path:
        return self._records / f"{name}.json"

    def _pid(self, name: str) -> int | None:
        try:
            record = json.loads(self._record_path(name).read_text())
        except (FileNotFoundError, ValueError):
            return None
        pid = int(record["pid"])
        return pid if record["born"] and _born(pid) == record["born"] else None


def _signal_group(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def _born(pid: int) -> str:
    """What tells this process from every other that had or will have its number; '' when there is none alive."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)  # if it is our own child and dead, let it go instead of seeing its shell
    try:
        # After the command, which may contain anything but ends with the last parenthesis: state is field 3, start 22.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        if Path("/proc/self/stat").exists():
            return ""
    else:
        return "" if fields[0] == "Z" else fields[19]
    listing = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return listing.stdout.strip()


def is_listening(port: int, host: str = LOOPBACK) -> bool:
    """Whether something accepts connections on this port."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex((host, port)) == 0


@contextlib.contextmanager
def reserved_ports(preferred: Sequence[int]) -> Iterator[list[int]]:
    """Give a free loopback port for each preferred one: itself, the next free one, or any for 0.

    The ports stay bound inside the block, so that none is given twice; leave it before listening on them.
    """
    with contextlib.ExitStack() as stack:
        ports: list[int] = []
        for wish in preferred:
            candidates = range(wish, wish + 100) if wish else range(1)
            for candidate in candidates:
                probe = socket.socket()
                # Servers set it too, so a port in TIME_WAIT after a restart counts as free here as it does there.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    if candidate and is_listening(candidate):
                        raise OSError
                    probe.bind((LOOPBACK, candidate))
                except OSError:
                    probe.close()
                    continue
                stack.callback(probe.close)
                ports.append(probe.getsockname()[1])
                break
            else:
                raise ProcessFailed(f"no free port on {LOOPBACK} from {wish} to {wish + 99}; free one and try again.")
        yield ports
