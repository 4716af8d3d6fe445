"""`python -m bench`: build, measure, print, and on request write the tables into a document."""

import argparse
import datetime
import os
import platform
import sys
import tempfile
from pathlib import Path

from bench import conversation_report, peer_subjects, report
from bench.artefacts import ROOT, BuildError, NaivePeer, Workshop, find_python, run, size_unzipped, size_zipped
from bench.conversation_subjects import conversing, seed_conversations
from bench.measure import Bench, Samples
from bench.our_subjects import Artefact, find_layer, our_environment, our_world, ours, seed
from bench.report import BEFORE, COMPILED, NAIVE, OURS, Size
from bench.rie import EmulatorError, find_emulator
from bench.server import Addresses, serve
from bench.stub import Backend, UnservedError
from bench.subjects import CONVERSATION_JOBS, JOBS, Subject, WrongAnswerError
from bench.tls import Trust, make_server_tls

QUICK = {"rounds": 3, "warm": 20}
FULL = {"rounds": 11, "warm": 100}
TLS_CAPTION = "TLS (the peers read the whole store of roots; ours does towards Twilio, and Amazon's towards AWS)"


def _absolute(text: str) -> Path:
    return Path(text).absolute()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--rounds", type=int, help=f"cold starts per subject (default {FULL['rounds']})")
    parser.add_argument("--warm", type=int, help=f"warm invocations per round (default {FULL['warm']})")
    parser.add_argument("--quick", action="store_true", help="few rounds: enough to see an order of magnitude")
    parser.add_argument(
        "--only", default="", help="measure only subjects whose name contains one of these, comma-separated"
    )
    parser.add_argument("--write", type=Path, help="replace the tables between the markers in this document")
    # Absolute, because each function runs in its own directory.
    parser.add_argument("--build-dir", type=_absolute, help="a finished `sam build` to measure (default: build one)")
    parser.add_argument(
        "--before", type=_absolute, help="a finished `sam build` of an earlier version, to measure in the same rounds"
    )
    parser.add_argument("--no-ours", action="store_true", help="measure the peers alone")
    parser.add_argument("--no-tls", action="store_true", help="plain HTTP between subjects and stub")
    parser.add_argument("--python", type=Path, help="interpreter to measure with (default: 3.13 where there is one)")
    parser.add_argument("--cache-dir", type=Path, default=ROOT / ".sandbox" / "bench", help="where builds are kept")
    parser.add_argument("--seed", type=int, default=1, help="of the order within the rounds")
    return parser.parse_args()


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _conditions(arguments: argparse.Namespace, rounds: int, warm: int, python: Path) -> str:
    version = run([str(python), "-c", "import platform; print(platform.python_version())"]).strip()
    return (
        f"Measured {datetime.datetime.now(datetime.UTC):%Y-%m-%d} under the Lambda Runtime Interface Emulator: CPython "
        f"{version}, {platform.machine()}, {os.cpu_count()} CPUs, {rounds} shuffled rounds, {warm} warm invocations in "
        f"each, {'plain HTTP' if arguments.no_tls else TLS_CAPTION}. Median [quartiles]; ratios are "
        "paired within a round.\n\nMade with `make bench` (`python -m bench --write docs/performance.md`)."
    )


def _sizes(peer: NaivePeer, built: Path | None, scratch: Path) -> dict[str, Size]:
    directories = {}
    if built is not None:
        directories[f"{OURS}, layer (bytecode included)"] = find_layer(built).parent
        for job, function in (("initiate", "InitiateFunction"), ("twiml", "TwimlFunction")):
            directories[f"{OURS}, function {job}"] = built / function
    directories[f"{NAIVE}, layer"] = peer.layer.parent
    for job in ("initiate", "status-telnyx"):
        directories[f"{NAIVE}, function {job}"] = peer.functions / job
    return {
        name: Size(size_unzipped(path), size_zipped(path, scratch / "size.zip")) for name, path in directories.items()
    }


def _ours(builds: dict[str, Path], backend: Backend, addresses: Addresses, trust: Trust | None) -> list[Subject]:
    """Return the functions of our builds, by variant, and put what they read into the back end."""
    world, environment = our_world(), our_environment(addresses, trust)
    seed(backend, world, addresses.carrier)
    seed_conversations(backend, world, environment)
    artefacts = [Artefact.of(path, variant, environment) for variant, path in builds.items()]
    return [subject for artefact in artefacts for subject in (*ours(artefact), *conversing(artefact))]


def _wanted(subjects: list[Subject], only: str) -> list[Subject]:
    """Keep what --only names; trivial always stays, as everything is compared with it."""
    words = [word.strip() for word in only.split(",") if word.strip()]
    return [
        subject
        for subject in subjects
        if not words or subject.job == "trivial" or any(word in subject.name for word in words)
    ]


def _document(conditions: str, subjects: list[Subject], samples: Samples, sizes: dict[str, Size]) -> str:
    parts = [
        conditions,
        report.cold_table(subjects, samples),
        report.warm_table(subjects, samples),
        report.request_table(subjects, samples),
        *conversation_report.tables(subjects, samples),
        report.size_table(sizes),
    ]
    if lines := [*report.targets(samples), *conversation_report.targets(subjects, samples)]:
        parts.append("\n".join(["Targets:", "", *lines]))
    return "\n\n".join(parts)


def main() -> int:
    """Run the benchmark; returns the exit code. A missed target is reported, not an error: speed is no test."""
    arguments = _arguments()
    defaults = QUICK if arguments.quick else FULL
    rounds = arguments.rounds or defaults["rounds"]
    warm = defaults["warm"] if arguments.warm is None else arguments.warm
    try:
        workshop = Workshop(arguments.cache_dir, arguments.python or find_python())
        emulator = find_emulator()
        _say("building the subjects")
        runtime_python = workshop.runtime_python()
        peer, compiled_peer = workshop.naive(bytecode=False), workshop.naive(bytecode=True)
        built = None if arguments.no_ours else arguments.build_dir or workshop.ours()
        with tempfile.TemporaryDirectory(prefix="bench-") as scratch_name:
            scratch = Path(scratch_name)
            context, trust = (None, None) if arguments.no_tls else make_server_tls(scratch)
            backend = Backend()
            with serve(backend, context) as addresses:
                subjects = [peer_subjects.trivial()]
                builds = {OURS: built, BEFORE: arguments.before}
                subjects += _ours({name: path for name, path in builds.items() if path}, backend, addresses, trust)
                subjects += peer_subjects.naive(peer, NAIVE, backend, addresses)
                subjects += peer_subjects.naive(compiled_peer, COMPILED, backend, addresses)
                rank = {job: place for place, job in enumerate(("trivial", *JOBS, *CONVERSATION_JOBS))}
                subjects = sorted(_wanted(subjects, arguments.only), key=lambda subject: rank[subject.job])
                bench = Bench(
                    emulator=emulator,
                    runtime_python=runtime_python,
                    backend=backend,
                    addresses=addresses,
                    ca_bundle=trust.everybody if trust else None,
                    scratch=scratch,
                )
                samples = bench.run(subjects, rounds=rounds, warm=warm, seed=arguments.seed, progress=_say)
            sizes = _sizes(peer, built, scratch)
    except (BuildError, EmulatorError, UnservedError, WrongAnswerError) as error:
        _say("\n".join([f"bench: {error}", *getattr(error, "__notes__", [])]))
        return 1
    document = _document(_conditions(arguments, rounds, warm, runtime_python), subjects, samples, sizes)
    print(document)
    if arguments.write:
        report.write_between_markers(arguments.write, document)
        _say(f"wrote {arguments.write}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
