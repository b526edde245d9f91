"""What the demo says at its end: the result, what is missing, and whether it is right."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from sharedstate.cli import exits, output
from sharedstate.cli.corpus import count_all

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sharedstate.cli.indexing import Result
    from sharedstate.pool import WorkerExit

_UNTAKEN = "in nobody's hands: its worker died as it took it, or nobody was left to"

# When a pool gives up early, most files are missing, and nobody reads a thousand lines.
_MOST_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the pool."""

    paths: list[str]
    workers: int
    seconds: float
    """From the first worker's start to the last one's end."""
    deaths: list[WorkerExit]
    """Those who did not end well, replaced or not."""
    failure: str | None
    """Why the pool gave up, if it did."""
    result: Result


@dataclass(frozen=True, slots=True)
class Outcome:
    """A run, and what is to be thought of it."""

    run: Run
    missing: dict[str, str]
    """By path, what is known of the fate of a file that should be in the result."""
    verified: bool | None
    """Whether a single process gets the same result; None if it was not tried."""
    single_seconds: float | None
    """How long the single process took."""

    @property
    def exit_code(self) -> int:
        """The code for the whole: a run that lost a worker is not a good one."""
        lost = self.missing or self.run.deaths or self.run.failure
        return exits.FAILED if lost or self.verified is False else exits.OK


def judge(run: Run, *, verify: bool) -> Outcome:
    """Find out what is missing; with `verify`, count again in this one process."""
    missing = {run.paths[n]: _tell_fate(run, n) for n in run.result.missing(len(run.paths))}
    if not verify:
        return Outcome(run, missing, None, None)
    started = time.perf_counter()
    expected = count_all(run.paths)
    seconds = time.perf_counter() - started
    return Outcome(run, missing, run.result.counts == expected, seconds)


def _tell_fate(run: Run, number: int) -> str:
    for dead in run.deaths:
        if run.result.hands.get(dead.pid) == number:
            return f"in the hands of {dead}"
    return _UNTAKEN


def write(outcome: Outcome, *, top: int, as_json: bool) -> None:
    """Write the outcome to stdout."""
    if as_json:
        output.write_json(_as_data(outcome, top))
        return
    for line in _headline(outcome.run):
        click.echo(line)
    rows = [(word, f"{count:,}") for word, count in _top(outcome.run, top)]
    output.write_rows(("identifier", "count"), rows)
    for line in (*_losses(outcome), *_verdict(outcome)):
        click.echo(line)


def _top(run: Run, top: int) -> list[tuple[str, int]]:
    """The most frequent first; of equals, the first by name, so that runs compare."""
    return sorted(run.result.counts.items(), key=lambda item: (-item[1], item[0]))[:top]


def _operations(run: Run) -> int:
    """The operations on shared structures, of the workers that lived to report them."""
    return sum(line.operations for line in run.result.lines)


def _plural(count: int, what: str) -> str:
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def _headline(run: Run) -> Iterator[str]:
    files, operations = len(run.result.counted), _operations(run)
    yield (
        f"{files:,} files, {run.result.bytes / 1e6:,.1f} MB, "
        f"{len(run.result.counts):,} identifiers by {_plural(run.workers, 'worker')} "
        f"in {run.seconds:.2f} s: {files / run.seconds:,.0f} files/s, "
        f"{operations / run.seconds:,.0f} ops/s on shared structures"
    )
    reasons = Counter(run.result.reasons.values())
    for reason, count in reasons.most_common():
        yield f"{_plural(count, 'file')} not counted: {reason}"


def _losses(outcome: Outcome) -> Iterator[str]:
    for dead in outcome.run.deaths:
        yield f"LOST {dead}"
    # Those that a worker had in its hands first: what comes after is much of a kind.
    fates = sorted(outcome.missing.items(), key=lambda item: item[1] == _UNTAKEN)
    for path, fate in fates[:_MOST_SHOWN]:
        yield f"MISSING {path}: {fate}"
    if len(fates) > _MOST_SHOWN:
        yield f"MISSING {len(fates) - _MOST_SHOWN:,} more (--json lists all of them)"
    if outcome.run.failure:
        yield f"GAVE UP {outcome.run.failure}"


def _verdict(outcome: Outcome) -> Iterator[str]:
    if outcome.verified is None or outcome.single_seconds is None:
        return
    process = f"the result of a single process, which took {outcome.single_seconds:.2f} s"
    if outcome.verified:
        yield f"verified: equal to {process}"
    else:
        yield f"NOT EQUAL to {process}"


def _as_data(outcome: Outcome, top: int) -> dict[str, object]:
    run = outcome.run
    return {
        "files": len(run.result.counted),
        "bytes": run.result.bytes,
        "identifiers": len(run.result.counts),
        "workers": run.workers,
        "seconds": round(run.seconds, 3),
        "operations": _operations(run),
        "operations_per_second": round(_operations(run) / run.seconds),
        "top": _top(run, top),
        "errors": {
            run.paths[n]: reason for n, reason in sorted(run.result.reasons.items())
        },
        "deaths": [
            {"worker": dead.number, "pid": dead.pid, "how": str(dead)}
            for dead in run.deaths
        ],
        "missing": outcome.missing,
        "failure": run.failure,
        "verified": outcome.verified,
        "single_process_seconds": outcome.single_seconds,
    }
