"""A storm: workers that acquire a lock without end, and are killed, stopped and cut off.

Under the lock each worker writes to a queue, fenced by its token. The store refuses what
comes too late, so the queue is the order in which a guarded resource accepted writes, and
its tokens tell whether there were ever two holders: they must not fall, and each must be
one worker's.

    storm ──kill, stop, go on──► workers ──(proxy: cut, cut after so many bytes)──► store
                                    │
                                    └── acquire, log.put((token, who), fence=lock), release
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any, TypeAlias

import sharedstate
from sharedstate.errors import BackendError, LockError
from sharedstate.testing.victims import Victim

if TYPE_CHECKING:
    from sharedstate.state import State
    from sharedstate.structures.lock import Lock
    from sharedstate.testing.proxy import Proxy

WORKERS = 5
TTL = 0.5
"""A lease time that a stopped worker sees the end of."""


def make_lock(state: State, kind: str) -> Lock:
    """The lock of a kind of storm. Nobody waits for ever: a storm has to end."""
    if kind == "write":
        return state.rwlock("stormy", ttl=TTL, renew=renews(state)).write()
    if kind == "several":
        locks: Any = state.multilock(["stormy", "windy"], ttl=TTL, renew=renews(state))
        lock: Lock = locks
        return lock
    return state.lock("stormy", strategy=kind, ttl=TTL, renew=renews(state))


def renews(state: State) -> bool:
    """Where a session would keep the lease of a stopped worker, nobody renews it."""
    return sharedstate.Capability.SESSIONS not in state.capabilities


def work(pipe: Any, url: str, namespace: str, kind: str) -> None:
    """Acquire and write until told to end; then once more, and tell the token of that."""
    state, lock = _connect(url, namespace, kind)
    log = state.queue("log")
    pipe.send("ready")
    who = f"{id(lock)}-{random.random()}"
    while not pipe.poll():
        with suppress(BackendError, LockError):
            if lock.acquire(timeout=2):
                try:
                    log.put((_token(lock), who), fence=lock)
                finally:
                    lock.release()
    pipe.recv()
    pipe.send(_last_turn(lock))


def _connect(url: str, namespace: str, kind: str) -> tuple[State, Lock]:
    while True:
        with suppress(BackendError):
            state = sharedstate.connect(url, namespace=namespace, timeout=5)
            return state, make_lock(state, kind)


def _token(lock: Lock) -> int:
    tokens = getattr(lock, "tokens", None)
    return lock.token if tokens is None else max(tokens.values())


def _last_turn(lock: Lock) -> int:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with suppress(BackendError, LockError):
            if lock.acquire(timeout=10):
                token = _token(lock)
                lock.release()
                return token
    raise AssertionError("a survivor did not get its turn")


Fault: TypeAlias = Callable[[ExitStack, list[Victim]], None]


class Storm:
    """Some workers, and what is done to them."""

    def __init__(self, url: str, namespace: str, kind: str, proxy: Proxy | None) -> None:
        self._given = (url, namespace, kind)
        self._proxy = proxy
        self._draws = random.Random()
        self.kills = self.stops = self.cuts = 0

    def rage(self, seconds: float) -> list[int]:
        """Let workers work for some time under faults; the tokens of the survivors' last
        turns, which every one of them got.
        """
        with ExitStack() as stack:
            workers = [stack.enter_context(self._start()) for _ in range(WORKERS)]
            for worker in workers:
                worker.receive()
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                fault = self._draws.choice(self._faults())
                fault(stack, workers)
                time.sleep(self._draws.uniform(0, 0.1))
            for worker in workers:
                worker.pipe.send("end")
            return [worker.receive() for worker in workers]

    def _start(self) -> Victim:
        return Victim(work, *self._given)

    def _faults(self) -> list[Fault]:
        faults: list[Fault] = [self._kill, self._stop]
        if self._proxy is not None:
            faults += [self._cut, self._cut_reply]
        return faults

    def _kill(self, stack: ExitStack, workers: list[Victim]) -> None:
        at = self._draws.randrange(len(workers))
        workers[at].kill()
        self.kills += 1
        workers[at] = stack.enter_context(self._start())
        workers[at].receive()

    def _stop(self, stack: ExitStack, workers: list[Victim]) -> None:
        worker = self._draws.choice(workers)
        worker.stop()
        time.sleep(self._draws.choice([0.05, 1.5 * TTL]))
        worker.resume()
        self.stops += 1

    def _cut(self, stack: ExitStack, workers: list[Victim]) -> None:
        assert self._proxy is not None
        self._proxy.cut()
        self.cuts += 1

    def _cut_reply(self, stack: ExitStack, workers: list[Victim]) -> None:
        assert self._proxy is not None
        self._proxy.cut_replies_after(self._draws.randrange(200))
        self.cuts += 1


def check_log(entries: list[tuple[int, str]]) -> None:
    """Raise `AssertionError` if the accepted writes tell of two holders at a time."""
    last, owners = 0, dict[int, str]()
    for token, who in entries:
        assert token >= last, f"{token} of {who} was accepted after {last}"
        assert owners.setdefault(token, who) == who, f"{token} was granted twice"
        last = token
