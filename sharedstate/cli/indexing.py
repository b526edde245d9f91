"""Indexing a body of text with many processes: the program that the demo runs.

    jobs       Queue    the files that nobody has taken yet, with their numbers
    counts     Map      identifier → how often; and "#number" → 1 for a file counted
    hands      Map      pid of a worker → number of the file that it took last
    reasons    Map      "number" → why that file could not be counted
    files, bytes, errors  Counters, for whoever watches
    report     Map      one list of lines, that all workers write: guarded by a lock

A worker may be killed at any moment, and what it leaves must still be told apart. All
counts of a file therefore arrive in one atomic step, together with the mark that the
file is counted; no identifier begins with `#`. (A file with so many identifiers that
`increment_many` needs several steps has its mark in the last.) Invariant: a file with a
mark is in the counts as a whole. What has neither mark nor reason is missing, and if it
is no longer in the queue, it was in the hands of a worker that died.
"""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any

from sharedstate.cli.corpus import Unreadable, count_identifiers
from sharedstate.errors import QueueShutDown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sharedstate.state import State
    from sharedstate.structures.map import Map
    from sharedstate.structures.queue import Queue

_MARK = "#"

# A worker that is killed with the report in its hands holds the others up for so many
# seconds. Writing a line takes a few milliseconds.
_REPORT_LEASE = 5.0


class Index:
    """The structures of one run, and what is done with them."""

    def __init__(self, state: State) -> None:
        self.jobs: Queue[Any] = state.queue("jobs")
        self.counts: Map[str, int] = state.map("counts")
        self.hands: Map[int, int] = state.map("hands", key=int)
        self.reasons: Map[int, str] = state.map("reasons", key=int)
        self.report: Map[str, Any] = state.map("report")
        self.files = state.counter("files")
        self.bytes = state.counter("bytes")
        self.errors = state.counter("errors")
        self.report_lock = state.lock("report", ttl=_REPORT_LEASE)

    def feed(self, paths: list[str]) -> None:
        """Put all files in the queue, and close it: who finds it empty is done."""
        # As bytes, for the name of a file need not be UTF-8.
        self.jobs.put_many([number, os.fsencode(path)] for number, path in enumerate(paths))
        self.jobs.shutdown()

    def take_jobs(self) -> Iterator[tuple[int, bytes]]:
        """The files for this worker, until there are no more."""
        while True:
            try:
                number, path = self.jobs.get()
            except QueueShutDown:
                return
            self.hands[os.getpid()] = number
            yield number, path

    def count(self, number: int, path: bytes) -> int:
        """Count one file; returns how many operations on shared structures that took."""
        try:
            words, size = count_identifiers(path)
        except Unreadable as reason:
            self.reasons[number] = str(reason)
            self.errors.add(1)
            return 2
        # In one step: the words, that the file is counted, and how large it is.
        self.counts.increment_many({**words, f"{_MARK}{number}": size + 1})
        self.files.add(1)
        self.bytes.add(size)
        return 3

    def sign_report(self, line: WorkerLine) -> None:
        """Add a line to the one report: reading, changing and writing it, under a lock."""
        with self.report_lock:
            lines = self.report.get("lines", [])
            self.report["lines"] = [*lines, asdict(line)]

    def read(self) -> Result:
        """What the workers have brought together."""
        counts = self.counts.copy()
        marks = [word for word in counts if word.startswith(_MARK)]
        sizes = {int(mark.removeprefix(_MARK)): counts.pop(mark) - 1 for mark in marks}
        return Result(
            counts=counts,
            counted=set(sizes),
            reasons=self.reasons.copy(),
            hands=self.hands.copy(),
            bytes=sum(sizes.values()),
            lines=[WorkerLine(**line) for line in self.report.get("lines", [])],
        )


@dataclass(frozen=True, slots=True)
class WorkerLine:
    """A worker's line in the report."""

    pid: int
    files: int
    operations: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Result:
    """What was in the shared structures when the last worker had ended."""

    counts: dict[str, int]
    counted: set[int]
    """The numbers of the files whose identifiers are in `counts`."""
    reasons: dict[int, str]
    """By the number of the file, why it could not be counted."""
    hands: dict[int, int]
    """By pid, the number of the file that a worker took last."""
    bytes: int
    lines: list[WorkerLine]

    def missing(self, total: int) -> list[int]:
        """The numbers, of so many files, about which nothing is known."""
        return sorted(set(range(total)) - self.counted - self.reasons.keys())


def work(state: State) -> None:
    """What each worker does."""
    index = Index(state)
    started = perf_counter()
    files = operations = 0
    for number, path in index.take_jobs():
        files += 1
        operations += 2 + index.count(number, path)  # 2: the queue, and the hands
    seconds = round(perf_counter() - started, 4)
    # 4: the lock, taken and released, and the report, read and written.
    index.sign_report(WorkerLine(os.getpid(), files, operations + 4, seconds))
