"""How long a waiting getter sleeps on after a put, beside the queues of the library.

    python benchmarks/wakeup.py [--items N] [--json FILE]

The item is the time at which it was put (both processes read the same clock). Between
items the getter waits for 3 ms, so that it sleeps, and caches are as cold as in real use.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import sharedstate

PAUSE_SECONDS = 0.003

# What a maker returns: the queue, and what has to be kept alive with it.
Made = tuple[Any, Any]


def local(cores: set[int]) -> Made:
    """A queue on a private server, which is pinned too."""
    state = sharedstate.connect("local://")
    state.ping()
    launched = getattr(state.backend, "_launched", None)
    if launched is not None:
        os.sched_setaffinity(launched.pid, cores)
    return state.queue("times"), state


def manager(cores: set[int]) -> Made:
    """A queue of a manager, which inherits our cores."""
    server = multiprocessing.get_context("fork").Manager()
    return server.Queue(), server


def pipe(cores: set[int]) -> Made:
    """`multiprocessing.Queue`: a pipe and a thread, of one program only."""
    return multiprocessing.get_context("fork").Queue(), None


MAKERS: dict[str, Callable[[set[int]], Made]] = {
    "local://": local,
    "multiprocessing.Manager": manager,
    "multiprocessing.Queue": pipe,
}


def median_wakeup(make: Callable[[set[int]], Made], cores: set[int], items: int) -> float:
    """Microseconds from the beginning of a put to the end of the get that waited."""
    os.sched_setaffinity(0, cores)
    jobs, _kept = make(cores)
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()

    def wait() -> None:
        waits = []
        while (put_at := jobs.get()) is not None:
            waits.append(time.perf_counter() - put_at)
        theirs.send(statistics.median(waits))

    process = context.Process(target=wait)
    process.start()
    for _ in range(items):
        time.sleep(PAUSE_SECONDS)
        jobs.put(time.perf_counter())
    jobs.put(None)
    median: float = ours.recv()
    process.join()
    return median * 1e6


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, default=300)
    parser.add_argument("--json", default=".benchmarks/wakeup.json")
    options = parser.parse_args()
    everything = os.sched_getaffinity(0)
    result: dict[str, dict[str, float]] = {}
    for cores in ({min(everything)}, everything):
        place = f"{len(cores)} core(s)"
        result[place] = {
            name: median_wakeup(make, cores, options.items) for name, make in MAKERS.items()
        }
        for name, wakeup in result[place].items():
            ratio = result[place]["local://"] / wakeup
            print(f"{place:12}{name:26}{wakeup:8.1f} us   local:// takes {ratio:.2f} x")
    os.makedirs(os.path.dirname(options.json) or ".", exist_ok=True)
    with open(options.json, "w", encoding="utf-8") as file:
        json.dump(result, file, indent=2)
    return 0


if __name__ == "__main__":
    sys.exit(main())
