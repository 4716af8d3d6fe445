"""The tables about conversations: what a turn adds to what it waits for, and how long a callee waits to hear something.

Numbers in, Markdown out. Where the factor for Lambda comes from is told in docs/performance.md.
"""

import statistics
from collections.abc import Callable, Sequence

from bench.measure import FirstFrame, Sample, Samples
from bench.report import OURS, Spread, percentile, table
from bench.subjects import Subject

# Starting a function in Lambda takes longer than here by this; hello world, Python 3.13, x86_64.
LAMBDA_FACTOR = 2.9
# With so much memory a function has one processor; with less, while it handles an event, its share of one.
FULL_PROCESSOR_MB = 1769

TWIML, OPEN, TURN, LATE_TURN = (f"conversation-{name}, {OURS}" for name in ("twiml", "open", "turn", "late-turn"))
TARGET_P50_MS, TARGET_P99_MS = 10, 30
TARGET_TRIPS = 2
TARGET_FIRST_AUDIO_SECONDS = 2.0


def tables(subjects: Sequence[Subject], samples: Samples) -> list[str]:
    """Return the tables, those that were not measured left out."""
    found = []
    if turns := [subject for subject in subjects if samples.rounds[subject.name][0].first_frames]:
        found.append(_turn_table(turns, samples))
    if TWIML in samples.rounds and OPEN in samples.rounds:
        found.append(_answer_table({subject.name: subject for subject in subjects}, samples))
    return found


def _milliseconds(frames: Sequence[FirstFrame], share: float, of: Callable[[FirstFrame], float]) -> float:
    return percentile([of(frame) * 1000 for frame in frames], share)


def _frames(samples: Samples, name: str) -> list[FirstFrame]:
    return [frame for sample in samples.rounds[name] for frame in sample.first_frames]


def _turn_table(subjects: Sequence[Subject], samples: Samples) -> str:
    """Warm: from the event to the first text frame, and the same without what DynamoDB and sockets took until then."""
    rows = []
    for subject in subjects:
        frames = _frames(samples, subject.name)
        tally = samples.rounds[subject.name][-1].warm_tally
        assert tally is not None
        rows.append(
            [
                subject.name,
                str(len(frames)),
                *(f"{_milliseconds(frames, share, lambda frame: frame.seconds):.2f}" for share in (0.5, 0.99)),
                *(f"{_milliseconds(frames, share, lambda frame: frame.own_seconds):.2f}" for share in (0.5, 0.99)),
                str(tally.dynamodb_trips),
                str(tally.requests["AmazonSQS SendMessage"]),
                str(len(tally.frames)),
            ]
        )
    header = ["event in, first text out", "events", "p50 ms", "p99 ms", "ours p50", "ours p99", "DynamoDB trips", "SQS"]
    return table([*header, "frames"], rows)


def _lambda_seconds(sample: Sample, memory_mb: int, cold_seconds: float | None = None) -> float:
    """A cold start in Lambda at its worst: what follows the start has only the memory's share of a processor."""
    cold = sample.cold_seconds if cold_seconds is None else cold_seconds
    share = min(1.0, memory_mb / FULL_PROCESSOR_MB)
    return LAMBDA_FACTOR * (sample.init_seconds + (cold - sample.init_seconds) / share)


def _answer_table(subjects: dict[str, Subject], samples: Samples) -> str:
    """What a callee waits for when every function is cold, each step once."""
    twiml, opened = samples.rounds[TWIML], samples.rounds[OPEN]
    steps: list[tuple[str, list[float], list[float], list[float]]] = []

    def add_cold(name: str, of: str, cold: Sequence[float]) -> None:
        memory_mb, own = subjects[of].memory_mb, samples.rounds[of]
        plain = [LAMBDA_FACTOR * seconds for seconds in cold]
        worst = [_lambda_seconds(sample, memory_mb, seconds) for sample, seconds in zip(own, cold, strict=True)]
        steps.append((name, list(cold), plain, worst))

    add_cold("TwiML, cold", TWIML, [sample.cold_seconds for sample in twiml])
    add_cold("WebSocket let in, cold", OPEN, [sample.cold_seconds for sample in opened])
    share = min(1.0, subjects[OPEN].memory_mb / FULL_PROCESSOR_MB)
    for index, step in enumerate(opened[0].following):
        own = [sample.following[index] for sample in opened]
        seconds = [each.first_frame.seconds if each.first_frame is not None else each.seconds for each in own]
        name = f"then {step.name}" + (", until its text" if step.first_frame is not None else "")
        plain = [LAMBDA_FACTOR * each for each in seconds]
        steps.append((name, seconds, plain, [each / share for each in plain]))
    for name in (TURN, LATE_TURN):
        if name in samples.rounds:
            frames = [sample.cold_first_frame for sample in samples.rounds[name]]
            label = f"{name.partition(',')[0]}, cold, until its text"
            add_cold(label, name, [frame.seconds for frame in frames if frame is not None])
    rows = [
        [
            name,
            Spread.of([each * 1000 for each in here]).text(1),
            f"{statistics.median(plain) * 1000:.0f}",
            f"{statistics.median(worst) * 1000:.0f}",
        ]
        for name, here, plain, worst in steps
    ]
    return table(["once the callee has answered", "ms here", f"× {LAMBDA_FACTOR}", "and with its share of CPU"], rows)


def targets(subjects: Sequence[Subject], samples: Samples) -> list[str]:
    """Return one line per target: the goal, the number, and whether it is met."""
    lines = []
    for name in (TURN, LATE_TURN):
        if name not in samples.rounds or not (frames := _frames(samples, name)):
            continue
        job = name.partition(",")[0]
        for share, most in ((0.5, TARGET_P50_MS), (0.99, TARGET_P99_MS)):
            here = _milliseconds(frames, share, lambda frame: frame.own_seconds)
            goal = f"ours p{share * 100:.0f} until the first text, under {most} ms"
            lines.append(f"- {job}: {goal}: {here:.1f}, {'met' if here < most else 'missed'}")
        tally = samples.rounds[name][-1].warm_tally
        assert tally is not None
        trips = tally.dynamodb_trips
        verdict = "met" if trips <= TARGET_TRIPS else "missed"
        lines.append(f"- {job}: DynamoDB round trips, at most {TARGET_TRIPS}: {trips}, {verdict}")
    if TWIML in samples.rounds and OPEN in samples.rounds:
        memory = {subject.name: subject.memory_mb for subject in subjects}
        pairs = list(zip(samples.rounds[TWIML], samples.rounds[OPEN], strict=True))
        plain = Spread.of([LAMBDA_FACTOR * (twiml.cold_seconds + opened.cold_seconds) for twiml, opened in pairs])
        worst = Spread.of(
            [_lambda_seconds(twiml, memory[TWIML]) + _lambda_seconds(opened, memory[OPEN]) for twiml, opened in pairs]
        )
        for what, spread in (("", plain), (", with its share of CPU", worst)):
            verdict = "met" if spread.median <= TARGET_FIRST_AUDIO_SECONDS else "missed"
            goal = f"TwiML and WebSocket cold × {LAMBDA_FACTOR}{what}, at most {TARGET_FIRST_AUDIO_SECONDS:g} s"
            lines.append(f"- first audio: {goal}: {spread.text(2)}, {verdict}")
    return lines
