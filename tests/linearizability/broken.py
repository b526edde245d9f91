"""Workers whose clients are broken, each in one way: their histories must be rejected."""

from __future__ import annotations

import time
from typing import Any

from sharedstate.errors import QueueEmpty
from sharedstate.fencing import Fence
from sharedstate.structures.lock import Lock
from sharedstate.testing.history import NOT_DONE, UNKNOWN
from tests.linearizability.lock_work import LEASE_SECONDS, PERMITS, STRATEGIES, Worker

_MOMENT_SECONDS = 0.003
"""Between the steps of what should be one: others come between."""


class LosingCounter(Worker):
    """Adds in two steps, so that what others add meanwhile is lost."""

    def add(self, counter: Any, n: int) -> int:
        total: int = counter.value + n
        time.sleep(_MOMENT_SECONDS)
        counter.set(total)
        return total


class BlindSwap(Worker):
    """Compares in one step, and sets in another."""

    def swap(self, key: str, value: str) -> Any:
        def swap() -> bool:
            if self.map.get(key) != seen:
                return False
            time.sleep(_MOMENT_SECONDS)
            self.map[key] = value
            return True

        seen = self.call(("map", "m"), "get", (key,), lambda: self.map.get(key))
        if seen is UNKNOWN or seen is NOT_DONE:
            return seen
        return self.call(("map", "m"), "compare_and_set", (key, seen, value), swap)


class TwiceGot(Worker):
    """Looks at the first item, and removes it later: others have got it too."""

    def get(self, queue: Any, timeout: float) -> Any:
        try:
            item = queue.peek()
            time.sleep(_MOMENT_SECONDS)
            queue.get_nowait()
        except QueueEmpty:
            return None
        return item


class IgnoredLease(Worker):
    """Holds for longer than its lease, which it does not renew, and notices nothing."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        for name in STRATEGIES:
            self.locks[name] = self.state.lock(name, strategy=name, ttl=0.1, renew=False)

    def hold(self) -> None:
        time.sleep(0.15)

    def release(self, lock: Lock) -> bool:
        super().release(lock)
        return True


class EverybodysLock(Worker):
    """Takes the lock whether it is granted or not."""

    def acquire(self, lock: Lock, timeout: float) -> bool:
        if not super().acquire(lock, timeout):
            lock.force_release()
            return super().acquire(lock, timeout)
        return True

    def release(self, lock: Lock) -> bool:
        super().release(lock)
        return True


class TooManyPermits(Worker):
    """Has semaphores of its own, and so as many permits as there are workers."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        name = self.recorder.process
        self.semaphore = self.state.semaphore(name, PERMITS, ttl=LEASE_SECONDS)


class WritingReaders(Worker):
    """Takes a read hold for a write hold."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.rwlock._write = self.rwlock._read


class Unfenced(Worker):
    """Writes without a token, and takes all writes for accepted."""

    def set_guarded(self, key: str, value: str, fence: Fence) -> None:
        self.guarded.set(key, value)


WORKERS = {
    kind.__name__: kind
    for kind in (
        *(Worker, LosingCounter, BlindSwap, TwiceGot, IgnoredLease, EverybodysLock),
        *(TooManyPermits, WritingReaders, Unfenced),
    )
}
