"""sharedstate beside what a user would pick instead, in one run, as ratios.

    python benchmarks/compare.py [--rounds N] [--workers 1 8] [--json FILE]

Rounds are interleaved: in each, every subject does every operation for a moment, so that
a noisy minute of the machine harms all alike; the figures are medians. Every store is
pinned to one core and every worker to another (`--placement`): where the two sit
decides the time of a round trip more than the code does.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import resource
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

from subjects import (
    Echo,
    Manager,
    Primitives,
    RedisByHand,
    SharedState,
    SharedStateOnRedis,
    Subject,
)

SLICE_SECONDS = 0.12
OPERATIONS = ["map_get", "map_set", "counter_add", "queue_put_get", "lock_cycle", "get_100"]
PLACEMENTS = {
    "different": ({0}, {1}),
    "same": ({1}, {1}),
    "free": (set(range(os.cpu_count() or 1)),) * 2,
}


@dataclass
class Measured:
    """The rounds of one subject, one operation, one number of workers."""

    rates: list[float] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        return statistics.median(self.rates)

    @property
    def cpu(self) -> float:
        return statistics.median(self.cpu_us)


def serve_worker(subject: Subject, address: Any, cores: set[int], pipe: Connection) -> None:
    """A worker: connect, then run what the pipe asks for until it closes."""
    os.sched_setaffinity(0, cores)
    operations = subject.connect(address)
    pipe.send(sorted(operations))
    while True:
        try:
            name, seconds = pipe.recv()
        except EOFError:
            os._exit(0)
        pipe.send(run_for(operations[name], seconds))


def run_for(operation: Callable[[int], None], seconds: float) -> tuple[int, float, float]:
    """Repeat for so long: how often, in how many seconds, with how much CPU time."""
    step = 8
    done = 0
    before = _cpu_seconds()
    start = time.perf_counter()
    while (elapsed := time.perf_counter() - start) < seconds:
        operation(step)
        done += step
        if step < 512 and elapsed < seconds / 8:
            step *= 2
    return done, elapsed, _cpu_seconds() - before


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


class Crew:
    """The workers of one subject."""

    def __init__(self, subject: Subject, address: Any, count: int, cores: set[int]) -> None:
        context = multiprocessing.get_context("fork")
        self.pipes: list[Connection] = []
        self.processes = []
        for _ in range(count):
            ours, theirs = context.Pipe()
            process = context.Process(
                target=serve_worker, args=(subject, address, cores, theirs), daemon=True
            )
            process.start()
            theirs.close()
            self.pipes.append(ours)
            self.processes.append(process)
        self.operations: set[str] = set()
        for pipe in self.pipes:
            self.operations = set(pipe.recv())

    def run(self, name: str) -> tuple[float, float]:
        """Operations a second of all together, and microseconds of CPU for each."""
        for pipe in self.pipes:
            pipe.send((name, SLICE_SECONDS))
        results = [pipe.recv() for pipe in self.pipes]
        rate = sum(done / elapsed for done, elapsed, _cpu in results)
        done = sum(done for done, _elapsed, _cpu in results)
        return rate, sum(cpu for *_rest, cpu in results) / done * 1e6

    def stop(self) -> None:
        for process in self.processes:
            process.kill()
            process.join()


Table = dict[tuple[str, str], Measured]


def measure(subjects: list[Subject], workers: int, rounds: int, placement: str) -> Table:
    """All subjects and operations with so many workers."""
    store_cores, worker_cores = PLACEMENTS[placement]
    crews: dict[str, Crew] = {}
    table: Table = {}
    try:
        for subject in subjects:
            address = subject.start()
            crews[subject.name] = Crew(subject, address, workers, worker_cores)
            pin(subject.pids(), store_cores)
        one_round({}, crews)  # Warms up.
        for _ in range(rounds):
            one_round(table, crews)
    finally:
        for crew in crews.values():
            crew.stop()
        for subject in subjects:
            subject.stop()
    return table


def one_round(table: Table, crews: dict[str, Crew]) -> None:
    """Every subject does every operation for a moment."""
    for operation in ["echo", *OPERATIONS]:
        for name, crew in crews.items():
            if operation in crew.operations:
                rate, cpu = crew.run(operation)
                measured = table.setdefault((name, operation), Measured())
                measured.rates.append(rate)
                measured.cpu_us.append(cpu)


def pin(pids: list[int], cores: set[int]) -> None:
    """Keep processes, all their threads included, on some cores."""
    for pid in pids:
        for thread in os.listdir(f"/proc/{pid}/task"):
            os.sched_setaffinity(int(thread), cores)


def show(table: Table, workers: int) -> None:
    """The table of one number of workers."""
    echo = table["echo", "echo"].rate
    local = "local://"
    print(f"\n{workers} worker(s). One echo: {workers / echo * 1e6:.1f} us.")
    head = (
        f"{'':28}{'operation':16}{'ops/s':>10}{'x echo':>9}{'CPU us':>9}{'local:// is':>14}"
    )
    print(head + "\n" + "-" * len(head))
    for operation in OPERATIONS:
        for (name, done), measured in table.items():
            if done == operation:
                ratio = table[local, operation].rate / measured.rate
                print(
                    f"{name:28}{operation:16}{measured.rate:10.0f}"
                    f"{echo / measured.rate:9.2f}{measured.cpu:9.2f}{ratio:12.2f} x"
                )
        print()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--placement", choices=PLACEMENTS, default="different")
    parser.add_argument("--json", default=".benchmarks/compare.json")
    options = parser.parse_args()
    result: dict[str, Any] = {
        "python": platform.python_version(),
        "machine": platform.platform(),
        "placement": options.placement,
        "rounds": options.rounds,
        "workers": {},
    }
    for workers in options.workers:
        subjects: list[Subject] = [
            Echo(),
            SharedState("local://", "local://"),
            SharedStateOnRedis(),
            RedisByHand(),
            Manager(),
            Primitives(),
        ]
        table = measure(subjects, workers, options.rounds, options.placement)
        show(table, workers)
        result["workers"][workers] = {
            f"{name} {operation}": {"rate": measured.rate, "cpu_us": measured.cpu}
            for (name, operation), measured in table.items()
        }
    os.makedirs(os.path.dirname(options.json) or ".", exist_ok=True)
    with open(options.json, "w", encoding="utf-8") as file:
        json.dump(result, file, indent=2)
    print(f"saved {options.json}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
