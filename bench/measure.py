"""Takes the samples: fresh emulators for cold starts, one environment each for the warm path, in shuffled rounds.

Only measuring belongs here; what the numbers are compared with is in `report`.
"""

import json
import random
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from bench.rie import Answer, ExecutionEnvironment
from bench.server import Addresses
from bench.stub import Backend, Tally, UnservedError
from bench.subjects import Step, Subject, verify_frames

# The first invocations after a cold start still fill caches (connections, regular expressions, phone metadata).
DISCARDED_INVOCATIONS = 5

# Counts what an invocation leaves loaded, in the same interpreter and environment but without the emulator.
PROBE = """
import json, sys, time
import awslambdaric.bootstrap, awslambdaric.lambda_context
module, _, name = sys.argv[1].rpartition(".")
sys.path.insert(0, ".")
handler = getattr(__import__(module.replace("/", "."), fromlist=[name]), name)
arn = "arn:aws:lambda:us-east-1:123456789012:function:bench"
context = awslambdaric.lambda_context.LambdaContext("probe", None, None, int(time.time() * 1000) + 20000, arn)
handler(json.load(open(sys.argv[2])), context)
json.dump(sorted(sys.modules), open(sys.argv[3], "w"))
"""


@dataclass(frozen=True, slots=True)
class FirstFrame:
    """When the first frame had arrived at the stub, in seconds from the event, and how many of them the stub took."""

    seconds: float
    stub_seconds: float

    @property
    def own_seconds(self) -> float:
        """What the function took without the calls it waited for; the emulator's share is in it."""
        return self.seconds - self.stub_seconds

    @classmethod
    def of(cls, answer: Answer, tally: Tally) -> "FirstFrame | None":
        """Return that of one invocation, None when it has sent none."""
        if not tally.frames:
            return None
        frame = tally.frames[0]
        before = (exchange for exchange in tally.exchanges if exchange.received_at < frame.began_at)
        return cls(frame.received_at - answer.began_at, sum(exchange.seconds for exchange in before))


@dataclass(frozen=True, slots=True)
class StepSample:
    """One of the events that follow the cold one."""

    name: str
    seconds: float
    first_frame: FirstFrame | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One environment's life: the cold invocation, the warm ones (seconds), and what they asked the back end for.

    `init_seconds` is the part of the cold one that passed before the function had its event.
    """

    cold_seconds: float
    init_seconds: float
    warm_seconds: list[float]
    peak_memory_bytes: int
    cold_tally: Tally
    warm_tally: Tally | None
    following: list[StepSample]
    cold_first_frame: FirstFrame | None
    first_frames: list[FirstFrame]


@dataclass(slots=True)
class Samples:
    """All samples, by subject name, in round order: the n-th samples of two subjects are a pair."""

    rounds: dict[str, list[Sample]] = field(default_factory=dict)
    modules: dict[str, list[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """Where and against what the subjects run."""

    emulator: Path
    runtime_python: Path
    backend: Backend
    addresses: Addresses
    ca_bundle: Path | None
    scratch: Path

    def environment(self, subject: Subject) -> dict[str, str]:
        """Return what Lambda would set, what sends AWS calls to the stub, and the subject's own variables."""
        variables = {
            "PATH": "/usr/bin:/bin",
            "LANG": "en_US.UTF-8",
            "TZ": ":UTC",
            "PYTHONDONTWRITEBYTECODE": "1",  # /var/task and /opt are read-only
            "PYTHONPATH": str(subject.layer or ""),
            "LAMBDA_TASK_ROOT": str(subject.task_root),
            "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13",
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
            "AWS_SESSION_TOKEN": "bench-session-token",
            "AWS_LAMBDA_FUNCTION_NAME": f"bench-{subject.job}",
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(subject.memory_mb),
            "AWS_LAMBDA_FUNCTION_TIMEOUT": "60",
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_XRAY_DAEMON_ADDRESS": "127.0.0.1:2000",
            "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
        } | self.addresses.aws
        if self.ca_bundle is not None:
            trusted = ("SSL_CERT_FILE", "AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE")
            variables |= dict.fromkeys(trusted, str(self.ca_bundle))
        return variables | subject.environment

    def sample(self, subject: Subject, warm_invocations: int) -> Sample:
        """Start an environment, invoke it cold, then warm. Raises WrongAnswerError, UnservedError, EmulatorError."""
        payload = json.dumps(subject.event()).encode()
        self.backend.reset()
        with ExecutionEnvironment(
            emulator=self.emulator,
            python=self.runtime_python,
            handler=subject.handler,
            task_root=subject.task_root,
            environment=self.environment(subject),
            log=self.scratch / "emulator.log",
        ) as function:
            cold = function.invoke(payload)
            cold_tally = self.backend.tally
            if cold_tally.unserved:
                raise UnservedError(f"{subject.name} asked the stub for {cold_tally.unserved}")
            init_seconds = function.init_seconds()
            try:
                subject.verify(cold.payload, cold_tally)
                following = [self._step(function, step) for step in subject.following]
            except RuntimeError as error:
                error.add_note(function.log_tail())
                raise
            warm: list[float] = []
            first_frames: list[FirstFrame] = []
            warm_tally = None
            for index in range(DISCARDED_INVOCATIONS + warm_invocations if warm_invocations else 0):
                self.backend.reset()
                answer = function.invoke(payload)
                warm_tally = self.backend.tally
                subject.verify(answer.payload, warm_tally)
                if index < DISCARDED_INVOCATIONS:
                    continue
                warm.append(answer.seconds)
                if (frame := FirstFrame.of(answer, warm_tally)) is not None:
                    first_frames.append(frame)
            return Sample(
                cold_seconds=cold.seconds,
                init_seconds=init_seconds,
                warm_seconds=warm,
                peak_memory_bytes=function.peak_memory_bytes(),
                cold_tally=cold_tally,
                warm_tally=warm_tally,
                following=following,
                cold_first_frame=FirstFrame.of(cold, cold_tally),
                first_frames=first_frames,
            )

    def _step(self, function: ExecutionEnvironment, step: Step) -> StepSample:
        self.backend.count_anew()
        answer = function.invoke(json.dumps(step.event()).encode())
        tally = self.backend.tally
        if b"errorType" in answer.payload or tally.unserved:
            raise UnservedError(f"{step.name}: {answer.payload[:1500].decode(errors='replace')} {tally.unserved}")
        verify_frames(step.name, step.says, tally)
        return StepSample(step.name, answer.seconds, FirstFrame.of(answer, tally))

    def modules(self, subject: Subject) -> list[str]:
        """Return the names of the modules loaded after one invocation, the runtime's own included."""
        event, found = self.scratch / "event.json", self.scratch / "modules.json"
        event.write_text(json.dumps(subject.event()))
        found.unlink(missing_ok=True)
        self.backend.reset()
        done = subprocess.run(
            [str(self.runtime_python), "-c", PROBE, subject.handler, str(event), str(found)],
            cwd=subject.task_root,
            env=self.environment(subject),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0 or not found.is_file():
            raise RuntimeError(f"the module count of {subject.name} failed:\n{done.stderr[-3000:]}")
        return list(json.loads(found.read_text()))

    def run(
        self, subjects: list[Subject], *, rounds: int, warm: int, seed: int, progress: Callable[[str], None]
    ) -> Samples:
        """Sample every subject once a round, in a new order each round so that drift hits all alike."""
        samples = Samples(rounds={subject.name: [] for subject in subjects})
        order = random.Random(seed)
        for subject in subjects:
            samples.modules[subject.name] = self.modules(subject)
        for number in range(1, rounds + 1):
            shuffled = order.sample(subjects, len(subjects))
            for subject in shuffled:
                samples.rounds[subject.name].append(self.sample(subject, warm))
            cold = samples.rounds[subjects[0].name][-1].cold_seconds * 1000
            progress(f"round {number} of {rounds} ({subjects[0].name} cold {cold:.1f} ms)")
        return samples
