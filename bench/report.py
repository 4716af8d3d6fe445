"""Turns samples into the tables of docs/performance.md. Numbers in, Markdown out; nothing here measures."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.measure import Sample, Samples
from bench.subjects import JOBS, Subject

BEGIN, END = "<!-- bench:begin -->", "<!-- bench:end -->"

OURS, BEFORE, NAIVE, COMPILED, TRIVIAL = "ours", "ours before", "naive", "naive with bytecode", "trivial"

# Cold start, naive as SAM ships it over ours: at least this much.
TARGET_RATIOS = {"initiate": 5, "twiml": 15, "status": 15}
TARGET_TRIPS = 3
TARGET_CARRIER_REQUESTS = 1


@dataclass(frozen=True, slots=True)
class Spread:
    """A median with its quartiles."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Summarise at least one value."""
        if len(values) == 1:
            return cls(values[0], values[0], values[0])
        low, median, high = statistics.quantiles(values, n=4, method="inclusive")
        return cls(median, low, high)

    def text(self, digits: int) -> str:
        """Return `median [low–high]`."""
        return f"{self.median:.{digits}f} [{self.low:.{digits}f}–{self.high:.{digits}f}]"


@dataclass(frozen=True, slots=True)
class Size:
    """Bytes of an artefact, unzipped and zipped."""

    unzipped: int
    zipped: int


def percentile(values: Sequence[float], share: float) -> float:
    """Return the nearest-rank percentile, `share` between 0 and 1."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def cold_ratio(over: Sequence[Sample], under: Sequence[Sample]) -> Spread:
    """Return how many times longer `over` takes cold than `under`, paired by round."""
    return Spread.of([one.cold_seconds / two.cold_seconds for one, two in zip(over, under, strict=True)])


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table, padded so that it also reads in a terminal; all but the first column to the right."""
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]

    def line(cells: Sequence[str]) -> str:
        padded = [cell.rjust(width) for cell, width in zip(cells, widths, strict=True)]
        padded[0] = cells[0].ljust(widths[0])
        return f"| {' | '.join(padded)} |"

    rule = [":" + "-" * (widths[0] - 1)] + ["-" * (width - 1) + ":" for width in widths[1:]]
    return "\n".join([line(header), line(rule), *map(line, rows)])


def cold_table(subjects: Sequence[Subject], samples: Samples) -> str:
    """Cold start: process start, import and first invocation together."""
    rows = []
    for subject in subjects:
        own = samples.rounds[subject.name]
        milliseconds = Spread.of([sample.cold_seconds * 1000 for sample in own])
        ours = samples.rounds.get(f"{subject.job}, {OURS}")
        digits = 3 if subject.variant == BEFORE else 1  # two versions differ by percents
        rows.append(
            [
                subject.name,
                milliseconds.text(1),
                cold_ratio(own, samples.rounds[TRIVIAL]).text(2),
                cold_ratio(own, ours).text(digits) if ours and subject.variant not in {OURS, TRIVIAL} else "",
            ]
        )
    return table(["cold start", "ms", "× trivial", "× ours"], rows)


def warm_table(subjects: Sequence[Subject], samples: Samples) -> str:
    """Warm path: what an invocation adds to the trivial handler's, and what the environment holds."""
    base = samples.rounds[TRIVIAL]
    rows = []
    for subject in subjects:
        own = samples.rounds[subject.name]
        row = [subject.name]
        if own[0].warm_seconds:
            for share in (0.5, 0.99):
                here = percentile([value for sample in own for value in sample.warm_seconds], share)
                floor = percentile([value for sample in base for value in sample.warm_seconds], share)
                row += [f"{here * 1000:.2f}", f"{(here - floor) * 1000:+.2f}"]
        else:
            row += ["", "", "", ""]
        memory = statistics.median([sample.peak_memory_bytes for sample in own])
        rows.append([*row, f"{memory / 1e6:.0f}", str(len(samples.modules[subject.name]))])
    header = ["warm invocation", "p50 ms", "over trivial", "p99 ms", "over trivial", "peak RSS MB", "modules"]
    return table(header, rows)


def request_table(subjects: Sequence[Subject], samples: Samples) -> str:
    """Requests and DynamoDB capacity of one warm invocation, and what a cold one asks for in addition."""
    rows = []
    for subject in subjects:
        last = samples.rounds[subject.name][-1]
        tally = last.warm_tally or last.cold_tally
        known = tally.dynamodb_trips + tally.carrier_requests + len(tally.frames)
        others = sum(tally.requests.values()) - known
        extra = sum(last.cold_tally.requests.values()) - sum(tally.requests.values())
        rows.append(
            [
                subject.name,
                str(tally.dynamodb_trips),
                str(tally.carrier_requests),
                str(len(tally.frames)),
                str(others),
                f"+{extra}",
                f"{tally.read_units:g}",
                f"{tally.write_units:g}",
                f"{tally.index_write_units:g}",
            ]
        )
    header = [
        "per invocation",
        "DynamoDB trips",
        "carrier",
        "frames",
        "other AWS",
        "first one",
        "RRU",
        "WRU",
        "index WRU",
    ]
    return table(header, rows)


def size_table(sizes: dict[str, Size]) -> str:
    """Size of what is deployed."""
    rows = [[name, f"{size.unzipped / 1e6:.2f}", f"{size.zipped / 1e6:.2f}"] for name, size in sizes.items()]
    return table(["artefact", "unzipped MB", "zipped MB"], rows)


def targets(samples: Samples) -> list[str]:
    """Return one line per target: the goal, the number, and whether it is met."""
    lines = []
    for job in JOBS:
        ours, naive = samples.rounds.get(f"{job}, {OURS}"), samples.rounds.get(f"{job}, {NAIVE}")
        if not ours or not naive or job not in TARGET_RATIOS:
            continue
        ratio, goal = cold_ratio(naive, ours), TARGET_RATIOS[job]
        verdict = "met" if ratio.median >= goal else "missed"
        lines.append(f"- {job}: naive as SAM ships it ÷ ours, cold, at least {goal}: {ratio.text(1)}, {verdict}")
        if job == "initiate":
            tally = ours[-1].warm_tally or ours[-1].cold_tally
            for what, count, most in (
                ("DynamoDB round trips", tally.dynamodb_trips, TARGET_TRIPS),
                ("carrier requests", tally.carrier_requests, TARGET_CARRIER_REQUESTS),
            ):
                lines.append(f"- {job}: {what}, at most {most}: {count}, {'met' if count <= most else 'missed'}")
    return lines


def write_between_markers(path: Path, content: str) -> None:
    """Replace what lies between the markers; a file without them gets both at its end."""
    text = path.read_text() if path.is_file() else "# Performance\n"
    block = f"{BEGIN}\n{content.strip()}\n{END}"
    before, found, rest = text.partition(BEGIN)
    if not found:
        path.write_text(f"{text.rstrip()}\n\n{block}\n")
        return
    _, closed, after = rest.partition(END)
    if not closed:
        raise ValueError(f"{path} has {BEGIN} but no {END}; add it after the table, then try again.")
    path.write_text(before + block + after)
