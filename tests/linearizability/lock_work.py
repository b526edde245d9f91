"""What a worker of a run does with locks of each kind, and with what they guard, recorded.

An acquisition that failed may be held on the store, until its lease ends; so may one whose
release failed. Who has met that lets two lease times pass: a lock that its owner may
acquire once more would count it as held twice, which the models do not know.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from sharedstate.errors import BackendError, LockLost, LockNotOwned, StaleToken
from sharedstate.fencing import Fence
from sharedstate.state import State
from sharedstate.structures.lock import Lock
from sharedstate.testing.history import NOT_DONE, UNKNOWN, Recorder
from tests.linearizability.work import DataWorker

KINDS = ("map", "counter", "queue", "lock", "rwlock", "semaphore")

LEASE_SECONDS = 0.6

PERMITS = 3

STRATEGIES = ("token", "fair", "reentrant")
"""Each has a lock of its own."""

_REST_SECONDS = 2 * LEASE_SECONDS
_IN_DOUBT = (BackendError, LockLost)
_LATE = 0.2


class Worker(DataWorker):
    """A worker that knows every kind."""

    def __init__(self, state: State, recorder: Recorder, seed: int) -> None:
        super().__init__(state, recorder, seed)
        self._operate["lock"] = self.operate_lock
        self._operate["rwlock"] = self.operate_rwlock
        self._operate["semaphore"] = self.operate_semaphore
        self.locks = {
            strategy: state.lock(strategy, strategy=strategy, ttl=LEASE_SECONDS)
            for strategy in STRATEGIES
        }
        self.rwlock = state.rwlock("rw", ttl=LEASE_SECONDS)
        self.semaphore = state.semaphore("s", PERMITS, ttl=LEASE_SECONDS)
        self.guarded = state.map("guarded")
        self._fences: dict[str, Fence] = {}
        self._rests_until: dict[tuple[str, str], float] = {}

    def operate_lock(self) -> Any:
        """Acquire a lock, write what it guards, release it; at times, write too late."""
        strategy = self.random.choice(STRATEGIES)
        lock = self.locks[strategy]

        def acquire(timeout: float) -> Any:
            if not self.acquire(lock, timeout):
                return False
            self._fences[strategy] = Fence.of(lock)
            return self._fences[strategy].token

        def use(hold: str) -> None:
            self._write(strategy)
            self.hold()

        released = self._hold(
            ("lock", strategy), "acquire", acquire, lambda: self.release(lock), use=use
        )
        if strategy in self._fences and self.random.random() < _LATE:
            self._write(strategy)
        return released

    def operate_rwlock(self) -> Any:
        """Read, or write, or write and then read."""
        side = self.random.choice(("read", "read", "write"))
        lock = self.rwlock.read() if side == "read" else self.rwlock.write()
        name, target = f"acquire_{side}", ("rwlock", "rw")

        def acquire(timeout: float) -> Any:
            return lock.token if lock.acquire(timeout=timeout) else False

        held = [lock]

        def downgrade() -> bool:
            held.append(self.rwlock.downgrade())
            return True

        def use(hold: str) -> Any:
            self.hold()
            if side == "read" or self.random.random() < 0.5:
                return None
            return self.call(
                target,
                "downgrade",
                (hold,),
                downgrade,
                in_doubt=(BackendError, LockLost, LockNotOwned),
            )

        return self._hold(target, name, acquire, lambda: self.release(held[-1]), use=use)

    def operate_semaphore(self) -> Any:
        """Hold one permit or two."""
        n = self.random.randint(1, 2)

        def acquire(timeout: float) -> Any:
            is_granted = self.semaphore.acquire(timeout=timeout, n=n)
            return self.semaphore.token if is_granted else False

        def release() -> bool:
            try:
                self.semaphore.release(n)
            except LockLost:
                return False
            return True

        def use(hold: str) -> None:
            self.hold()

        target = ("semaphore", "s")
        return self._hold(target, "acquire", acquire, release, n, use=use)

    def acquire(self, lock: Lock, timeout: float) -> bool:
        """Acquire a lock; whether it was granted."""
        return lock.acquire(timeout=timeout)

    def hold(self) -> None:
        """Do what a lock is for."""
        if self.random.random() < 0.3:
            time.sleep(self.random.random() * 0.01)

    def release(self, lock: Lock) -> bool:
        """Release a lock; False if it was lost before."""
        try:
            lock.release()
        except LockLost:
            return False
        return True

    def set_guarded(self, key: str, value: str, fence: Fence) -> None:
        """Write what a lock guards. Raises `StaleToken`."""
        self.guarded.set(key, value, fence=fence)

    def _hold(
        self,
        target: tuple[str, str],
        name: str,
        acquire: Callable[[float], Any],
        release: Callable[[], bool],
        *words: Any,
        use: Callable[[str], Any],
    ) -> Any:
        """Acquire, use and release, unless there is doubt of what is held."""
        if time.monotonic() < self._rests_until.get(target, 0.0):
            return NOT_DONE
        hold, timeout = self.fresh(), self.random.choice((0.0, 0.02, 0.2))
        granted = self.call(
            target, name, (hold, *words), lambda: acquire(timeout), in_doubt=_IN_DOUBT
        )
        if granted is False:
            return False
        if granted is not UNKNOWN and use(hold) is not UNKNOWN:
            answer = self.call(target, "release", (hold,), release, in_doubt=_IN_DOUBT)
            if answer is not UNKNOWN:
                return answer
        self._rests_until[target] = time.monotonic() + _REST_SECONDS
        return UNKNOWN

    def _write(self, strategy: str) -> None:
        """Write what a lock guards, with the token of the last grant, late or not."""
        fence, value = self._fences[strategy], self.fresh()

        def write() -> bool:
            try:
                self.set_guarded(strategy, value, fence)
            except StaleToken:
                return False
            return True

        target = ("fence", strategy)
        self.call(target, "write", (fence.token, value), write)
        if self.random.random() < _LATE:
            self.call(target, "read", (), lambda: self.guarded.get(strategy))
