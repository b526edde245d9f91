"""What 1,000 who wait for a lock cost its store while nothing changes.

They are threads of several processes, and each waits for the same lock, for ever. The store
counts its commands itself (`INFO commandstats`; those within scripts are counted too).

What is left of ours is not waiting: the holder renews its lease after each third of it;
where there are sessions, the server runs the `keep` of each process as often (these are
counted as `evalsha` too, and nobody sends them); and in case that whoever was to call has
died, a waiter asks once after the holder's lease would have ended, and two seconds more for
each who stands before it.
"""

from __future__ import annotations

import threading
import time
from multiprocessing.connection import Connection
from typing import Any

from lock_subjects import (
    LOCAL,
    POTTERY,
    PYTHON_REDIS_LOCK,
    REDIS,
    REDIS_PY,
    Addresses,
    Child,
    Stores,
    Subject,
    ours,
    url_of,
)

import sharedstate

PROCESSES, THREADS_EACH = 10, 100
LEASE_SECONDS = 30.0
PEERS_LEASE_SECONDS = 600
"""They do not renew: the lock has to be held for as long as this takes."""

SUBJECTS = [REDIS_PY, PYTHON_REDIS_LOCK, POTTERY] + [
    ours(store, kind) for store in (REDIS, LOCAL) for kind in ("token", "fair")
]


def wait_with_threads(
    pipe: Connection, subject: Subject, at: Addresses, lease: float
) -> None:
    """In a process of its own: many threads that wait for one lock."""
    shared = subject.make(at, _name(subject), lease)
    # A handle of ours serves all threads; the others keep what they hold in it.
    is_ours = isinstance(shared, sharedstate.Lock)

    def wait() -> None:
        lock = shared if is_ours else subject.make(at, _name(subject), lease)
        lock.acquire()

    for _ in range(THREADS_EACH):
        threading.Thread(target=wait, daemon=True).start()
        # One by one, for a crowd that connects at once is another subject.
        time.sleep(0.005)
    pipe.send("done")
    threading.Event().wait()


def hold(pipe: Connection, subject: Subject, at: Addresses, lease: float) -> None:
    """In a process of its own: hold the lock."""
    lock = subject.make(at, _name(subject), lease)
    lock.acquire()
    pipe.send("held")
    threading.Event().wait()


def commands_so_far(state: Any) -> dict[str, int]:
    """How often the store has run each command."""
    counts = {}
    for line in state.backend.execute(("INFO", "commandstats")).decode().splitlines():
        name, separator, facts = line.removeprefix("cmdstat_").partition(":calls=")
        if separator and name != "info":
            counts[name] = int(facts.partition(",")[0])
    return counts


def count_commands(subject: Subject, stores: Stores, seconds: float) -> dict[str, int]:
    """What the store runs in so many seconds while 1,000 wait."""
    at = stores.addresses
    is_ours = subject.name.startswith("sharedstate")
    lease = LEASE_SECONDS if is_ours else PEERS_LEASE_SECONDS
    crew = [Child(hold, subject, at, lease)]
    crew[0].pipe.recv()
    state = sharedstate.connect(url_of(at, subject.store))
    try:
        crew += [Child(wait_with_threads, subject, at, lease) for _ in range(PROCESSES)]
        for child in crew[1:]:
            child.pipe.recv()
        if is_ours:
            _wait_until_all_stand_in_line(state.lock(_name(subject)))
        else:
            time.sleep(2.0)
        before = commands_so_far(state)
        time.sleep(seconds)
        after = commands_so_far(state)
    finally:
        for child in crew:
            child.kill()
        state.close()
    changes = {name: after[name] - before.get(name, 0) for name in after}
    return {name: change for name, change in changes.items() if change}


def _name(subject: Subject) -> str:
    """Each has its own: what was killed leaves its line behind on Redis."""
    return f"waited:{subject.name}"


def _wait_until_all_stand_in_line(lock: sharedstate.Lock) -> None:
    give_up_at = time.monotonic() + 60
    while (waiting := lock.info().waiters) < PROCESSES * THREADS_EACH:
        if time.monotonic() > give_up_at:
            raise RuntimeError(f"only {waiting} waiters have come")
        time.sleep(0.2)


def measure_waiting(stores: Stores, quick: bool) -> dict[str, dict[str, Any]]:
    """Commands a second, and which."""
    seconds = 4.0 if quick else 20.0
    rows = {}
    head = f"{PROCESSES * THREADS_EACH} waiters, {seconds:g} s"
    print(f"\n{head:44}{'commands/s':>10}  which")
    for subject in SUBJECTS:
        counts = count_commands(subject, stores, seconds)
        rate = sum(counts.values()) / seconds
        which = ", ".join(
            f"{name} {count}"
            for name, count in sorted(counts.items(), key=lambda one: -one[1])[:5]
        )
        print(f"{subject.store:14}{subject.name:30}{rate:10.1f}  {which}")
        rows[f"{subject.store}, {subject.name}"] = {"rate": rate, "commands": counts}
    return rows
