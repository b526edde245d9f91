"""Locks beside those that a user would pick instead, in one run, as ratios.

    python benchmarks/locks.py [--only pairs kills …] [--quick] [--json FILE]

pairs      acquire and release while nobody else wants it. The best of many short rounds in
           which the locks take turns: a round may be disturbed, the best of many is not.
           `CPU` is the processor time of client and store together, which hardly depends
           on what else the machine does.
contended  8 processes want one lock all the time: grants a second, and the grants of the
           luckiest over those of the unluckiest.
kills      from SIGKILL of the holder to the grant of who waits. Where only the lease's
           time decides, that is a part of it, and its length is given.
waiting    commands a second that the store is sent while 1,000 wait for a lock that is
           held all the time.
shared     8 processes that hold a lock for 1 ms each time: a plain one, the reading side
           of a read-write lock, and a semaphore with 4 permits.

The peers are asked for by their defaults. python-redis-lock and pottery do not renew their
leases then, ours and its watchdog do. Needs the dependency group `bench`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from lock_subjects import (
    LOCAL,
    MANAGER_LOCK,
    POTTERY,
    PROCESS,
    PYTHON_REDIS_LOCK,
    REDIS,
    REDIS_PY,
    REDIS_PY_EAGER,
    THREADING_LOCK,
    Addresses,
    Child,
    Stores,
    Subject,
    cpu_ns,
    ours,
    pings,
    url_of,
)
from lock_waiters import measure_waiting

import sharedstate

LEASE_SECONDS = 30.0
WORKERS = 8
PAIRS_PER_ROUND = 100
HOLD_SECONDS = 0.001

Rows = dict[str, dict[str, Any]]


# Uncontended.

STRATEGIES = ("token", "fair", "reentrant")

# The first of each is the yardstick.
PAIRS = [
    [
        REDIS_PY,
        PYTHON_REDIS_LOCK,
        POTTERY,
        *(ours(REDIS, kind) for kind in STRATEGIES),
        pings(REDIS),
    ],
    [MANAGER_LOCK, *(ours(LOCAL, kind) for kind in STRATEGIES), pings(LOCAL)],
    [THREADING_LOCK, ours(PROCESS)],
]


def time_pairs(
    pipe: Connection, stores: Stores, cores: set[int], subjects: list[Subject], rounds: int
) -> None:
    """In a process of its own: the best round of each lock, in microseconds a pair."""
    os.sched_setaffinity(0, cores)
    best: dict[str, tuple[float, float]] = {}
    locks = [
        (subject, subject.make(stores.addresses, f"pair:{subject.name}", LEASE_SECONDS))
        for subject in subjects
    ]
    for _ in range(rounds):
        for subject, lock in locks:
            taken = time_round(lock, stores.pids.get(subject.store))
            known = best.get(subject.name, taken)
            best[subject.name] = (min(known[0], taken[0]), min(known[1], taken[1]))
    pipe.send(best)


def time_round(lock: Any, store: int | None) -> tuple[float, float]:
    """Microseconds of one pair: by the clock, and of the processors."""
    lock.acquire()
    lock.release()
    store_began = cpu_ns(store) if store else 0
    cpu_began = time.process_time_ns()
    began = time.perf_counter_ns()
    for _ in range(PAIRS_PER_ROUND):
        lock.acquire()
        lock.release()
    taken = time.perf_counter_ns() - began
    cpu = time.process_time_ns() - cpu_began
    if store:
        cpu += cpu_ns(store) - store_began
    return taken / PAIRS_PER_ROUND / 1000, cpu / PAIRS_PER_ROUND / 1000


def measure_pairs(stores: Stores, quick: bool) -> Rows:
    """Uncontended: everything on one core, and free."""
    everything = os.sched_getaffinity(0)
    rows: Rows = {}
    for place, cores in (("one core", {min(everything)}), ("free", everything)):
        stores.pin(cores)
        print(f"\n{place:44}{'us a pair':>10}{'CPU us':>9}{'as many':>12}{'by CPU':>10}")
        for subjects in PAIRS:
            child = Child(time_pairs, stores, cores, subjects, 10 if quick else 60)
            best = child.pipe.recv()
            for subject in subjects:
                taken, cpu = best[subject.name]
                ratio = best[subjects[0].name][0] / taken
                cpu_ratio = best[subjects[0].name][1] / cpu
                print(
                    f"{subject.store:14}{subject.name:30}{taken:10.1f}{cpu:9.1f}"
                    f"{ratio:10.3g} x{cpu_ratio:8.3g} x"
                )
                rows[f"{place}, {subject.store}, {subject.name}"] = {
                    "us": taken,
                    "cpu_us": cpu,
                    "ratio": ratio,
                    "cpu_ratio": cpu_ratio,
                }
    stores.pin(everything)
    return rows


# Contended.

CONTENDED = [
    REDIS_PY,
    REDIS_PY_EAGER,
    PYTHON_REDIS_LOCK,
    POTTERY,
    MANAGER_LOCK,
    *(ours(store, kind) for store in (REDIS, LOCAL) for kind in STRATEGIES),
]  # fmt: skip


def count_grants(
    pipe: Connection, lock: Callable[[], Any], seconds: float, hold: float
) -> None:
    """In a process of its own: hold it as often as it goes, once everybody is there."""
    mine = lock()
    mine.acquire()  # So that it is connected, and the store knows the scripts.
    mine.release()
    pipe.send("ready")
    pipe.recv()
    grants = 0
    began = time.monotonic()
    while time.monotonic() < began + seconds:
        mine.acquire()
        if hold:
            time.sleep(hold)
        mine.release()
        grants += 1
    pipe.send(grants)
    pipe.recv()  # Nobody leaves, and frees what it has, before all have counted.


def race(make: Callable[[], Any], seconds: float, hold: float = 0.0) -> list[int]:
    """The grants of each of the workers."""
    crew = [Child(count_grants, make, seconds, hold) for _ in range(WORKERS)]
    for child in crew:
        child.pipe.recv()
    for child in crew:
        child.pipe.send("go")
    grants = [child.pipe.recv() for child in crew]
    for child in crew:
        child.kill()
    return grants


def measure_contended(stores: Stores, quick: bool) -> Rows:
    """Eight processes, one lock."""
    seconds = 1.0 if quick else 5.0
    rows: Rows = {}
    print(f"\n{f'{WORKERS} processes, {seconds:g} s':44}{'grants/s':>10}{'max / min':>12}")
    for subject in CONTENDED:
        make = _in_worker(subject, stores.addresses, "contended")
        grants = race(make, seconds)
        fairness = max(grants) / max(1, min(grants))
        rate = sum(grants) / seconds
        print(f"{subject.store:14}{subject.name:30}{rate:10.0f}{fairness:12.2f}")
        rows[f"{subject.store}, {subject.name}"] = {"rate": rate, "grants": grants}
    return rows


def _in_worker(
    subject: Subject, at: Addresses, name: str, lease: float = LEASE_SECONDS
) -> Callable[[], Any]:
    return lambda: subject.make(at, f"{name}:{subject.name}", lease)


# The holder is killed.

KILLS = [REDIS_PY, PYTHON_REDIS_LOCK, POTTERY, ours(REDIS), ours(REDIS, "fair"),
         ours(LOCAL), ours(LOCAL, "fair"), ours(LOCAL, "reentrant")]  # fmt: skip
KILLED_LEASE_SECONDS = 1.0


def hold_for_ever(pipe: Connection, lock: Callable[[], Any]) -> None:
    """In a process of its own: hold it until we are killed."""
    mine = lock()
    mine.acquire()
    pipe.send("held")
    pipe.recv()


def wait_once(pipe: Connection, lock: Callable[[], Any]) -> None:
    """In a process of its own: wait for it, and say when it came."""
    mine = lock()
    pipe.send("waits")
    mine.acquire()
    pipe.send(time.monotonic())
    mine.release()
    pipe.recv()


def time_kill(make: Callable[[], Any]) -> float:
    """Milliseconds from SIGKILL to the grant."""
    holder = Child(hold_for_ever, make)
    holder.pipe.recv()
    waiter = Child(wait_once, make)
    waiter.pipe.recv()
    time.sleep(0.1)  # It has asked by then; not every lock would say so.
    killed_at = time.monotonic()
    holder.kill()
    granted_at: float = waiter.pipe.recv()
    waiter.kill()
    return (granted_at - killed_at) * 1000


def measure_kills(stores: Stores, quick: bool) -> Rows:
    """Those of the Manager, and of `multiprocessing`, would never be free again."""
    times = 3 if quick else 20
    rows: Rows = {}
    head = f"holder killed {times} times, lease {KILLED_LEASE_SECONDS:g} s"
    print(f"\n{head:44}{'median ms':>10}{'max ms':>10}")
    for subject in KILLS:
        taken = []
        for number in range(times):
            name = f"killed:{number}"
            taken.append(
                time_kill(_in_worker(subject, stores.addresses, name, KILLED_LEASE_SECONDS))
            )
        middle = statistics.median(taken)
        print(f"{subject.store:14}{subject.name:30}{middle:10.1f}{max(taken):10.1f}")
        rows[f"{subject.store}, {subject.name}"] = {"ms": taken}
    return rows


# Shared.


def _shared(at: Addresses, store: str) -> dict[str, Callable[[], Any]]:
    def state() -> Any:
        return sharedstate.connect(url_of(at, store))

    return {
        "token lock": lambda: state().lock("alone"),
        "rwlock, reading": lambda: state().rwlock("shared").read(),
        "semaphore of 4": lambda: state().semaphore("permits", 4),
    }


def measure_shared(stores: Stores, quick: bool) -> Rows:
    """What readers gain by not excluding each other."""
    seconds = 1.0 if quick else 4.0
    rows: Rows = {}
    head = f"{WORKERS} processes that hold it for {HOLD_SECONDS * 1000:g} ms"
    print(f"\n{head:44}{'holds/s':>10}{'max / min':>12}{'as many':>11}")
    for store in (REDIS, LOCAL):
        alone = 0.0
        for name, make in _shared(stores.addresses, store).items():
            grants = race(make, seconds, HOLD_SECONDS)
            rate = sum(grants) / seconds
            alone = alone or rate
            fairness = max(grants) / max(1, min(grants))
            print(f"{store:14}{name:30}{rate:10.0f}{fairness:12.2f}{rate / alone:9.2f} x")
            rows[f"{store}, {name}"] = {"rate": rate, "grants": grants}
    return rows


MEASURES: dict[str, Callable[[Stores, bool], Rows]] = {
    "pairs": measure_pairs,
    "contended": measure_contended,
    "kills": measure_kills,
    "waiting": measure_waiting,
    "shared": measure_shared,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=MEASURES, default=list(MEASURES))
    parser.add_argument("--quick", action="store_true", help="shorter, and less exact")
    parser.add_argument("--json", default=".benchmarks/locks.json")
    options = parser.parse_args()
    result: dict[str, Any] = {
        "python": platform.python_version(),
        "machine": platform.platform(),
    }
    for name in options.only:
        with Stores() as stores:
            result[name] = MEASURES[name](stores, options.quick)
    os.makedirs(os.path.dirname(options.json) or ".", exist_ok=True)
    with open(options.json, "w", encoding="utf-8") as file:
        json.dump(result, file, indent=2)
    print(f"saved {options.json}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
