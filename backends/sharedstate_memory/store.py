"""Stores: an engine under a lock, for the threads of one process.

The lock is held for one command (or batch, transaction, script) at a time, and never
while waiting. There is no thread of the store's own: who calls does what is due, at most
ten times a second.

A named store is shared by all who ask for the name, and ends with the last of them. A
fork copies the parent's stores into the child, where nobody's changes to them would be
seen: the child forgets the names, and what it inherited refuses to be used (see
`MemoryBackend`).

Sessions end in finalizers too, which the garbage collector may run anywhere, in the
middle of a command of the same thread included. So `retire` never waits for the lock: if
it is not free, the session is left to the next caller.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections import deque
from random import Random

from sharedstate.errors import BackendError
from sharedstate_memory.engine import Engine
from sharedstate_memory.replies import BLOCKED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from sharedstate_memory.replies import Reply
    from sharedstate_memory.session import Session

_SECONDS_BETWEEN_CRONS = 0.1

# Locks count their timeouts in a C integer.
_LONGEST_WAIT_SECONDS = threading.TIMEOUT_MAX


class _Section:
    """What one thread at a time may be in, and no thread twice.

    A signal handler or a finalizer can come in the middle of a command, on its thread. It
    is refused: to wait would be for ever, and to go on would be in a half-done change.
    """

    __slots__ = ("_is_inside", "_lock")

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._is_inside = False

    def try_enter(self) -> bool:
        """Enter if nobody is inside. Never waits."""
        if not self._lock.acquire(blocking=False):
            return False
        if self._is_inside:
            self._lock.release()
            return False
        self._is_inside = True
        return True

    def __enter__(self) -> None:
        self._lock.acquire()
        if self._is_inside:
            self._lock.release()
            raise BackendError(
                "memory:// cannot be used by a signal handler (or a finalizer) that comes "
                "in the middle of a call of its own thread: nothing was done. Let the "
                "handler set a flag, or use local://"
            )
        self._is_inside = True

    def __exit__(self, *exit_information: object) -> None:
        self._is_inside = False
        self._lock.release()


class Store:
    """One engine, and the section in which every use of it takes place."""

    __slots__ = ("__weakref__", "_cron_at", "_retired", "engine", "lock")

    def __init__(self) -> None:
        self.engine = Engine(clock_ms=_clock_ms, clock_us=_clock_us, random=Random())
        self.lock = _Section()
        self._cron_at = 0.0
        self._retired: deque[Session] = deque()

    def open_session(self, deliver: Callable[[Reply], None]) -> Session:
        """A session of the engine. Who opened it hands it to `retire` in the end."""
        with self.lock:
            return self.engine.open_session(deliver)

    def retire(self, session: Session) -> None:
        """End a session, now or before the next call. Never waits."""
        self._retired.append(session)
        if self.lock.try_enter():
            try:
                self._close_retired()
            finally:
                self.lock.__exit__()

    def call(self, session: Session, argv: list[bytes]) -> Reply:
        """Execute one command. The hot path of `memory://`."""
        with self.lock:
            if time.monotonic() >= self._cron_at or self._retired:
                self._do_what_is_due()
            return session.execute(argv)

    def call_many(self, session: Session, batch: list[list[bytes]]) -> list[Reply]:
        """Execute commands, with nobody else's between them. None of them blocks."""
        with self.lock:
            try:
                return [self._execute_now(session, argv) for argv in batch]
            except BaseException:
                # An interrupt must not leave the session in a transaction.
                if session.transaction is not None:
                    session.execute([b"DISCARD"])
                raise

    def give_up_wait(self, session: Session) -> None:
        """Let a session that blocked wait no more: its null reply is delivered."""
        with self.lock:
            self.engine.cancel_wait(session)

    def close_session(self, session: Session) -> None:
        """End a session. Not for finalizers: waits for the lock."""
        with self.lock:
            self.engine.close_session(session)

    def _execute_now(self, session: Session, argv: list[bytes]) -> Reply:
        reply = session.execute(argv)
        if reply is not BLOCKED:
            return reply
        self.engine.cancel_wait(session)
        return None

    def _do_what_is_due(self) -> None:
        self._close_retired()
        if time.monotonic() >= self._cron_at:
            self.engine.cron()
            self._cron_at = time.monotonic() + _SECONDS_BETWEEN_CRONS

    def _close_retired(self) -> None:
        while self._retired:
            self.engine.close_session(self._retired.popleft())


class Waiter:
    """One wait for a blocking command, on a session of its own."""

    __slots__ = ("_done", "_reply", "_session", "_store")

    def __init__(self, store: Store) -> None:
        self._store = store
        self._reply: Reply = None
        # A lock that is released once is the cheapest event that there is.
        self._done = threading.Lock()
        self._done.acquire()
        self._session = store.open_session(self._take)

    def wait(self, argv: list[bytes], seconds: float) -> Reply:
        """Execute a blocking command, given with a timeout of zero, and wait so long.

        Returns its null reply when the time passed. Whatever interrupts the wait takes
        it back in the engine too. A waiter serves once.
        """
        store, session = self._store, self._session
        try:
            reply = store.call(session, argv)
            if reply is not BLOCKED:
                return reply
            if not self._done.acquire(timeout=min(seconds, _LONGEST_WAIT_SECONDS)):
                store.give_up_wait(session)
            return self._reply
        finally:
            store.close_session(session)

    def end(self, reply: Reply) -> None:
        """Let the wait end at once, with a reply of the caller's, if it has none."""
        with self._store.lock:
            self._take(reply)

    def _take(self, reply: Reply) -> None:
        # Called under the store's lock. The first reply counts.
        if self._done.locked():
            self._reply = reply
            self._done.release()


def _clock_ms() -> int:
    return time.time_ns() // 1_000_000


def _clock_us() -> int:
    return time.time_ns() // 1_000


# -- named stores

_stores: weakref.WeakValueDictionary[str, Store] = weakref.WeakValueDictionary()
_stores_lock = threading.Lock()


def open_store(name: str) -> Store:
    """The store of a name, made if there is none; one of nobody else's without a name."""
    if not name:
        return Store()
    with _stores_lock:
        store = _stores.get(name)
        if store is None:
            store = _stores[name] = Store()
        return store


def _forget_stores() -> None:
    """In a forked child: no name stands for a store of the parent's. A lock that another
    of the parent's threads held would never be released.
    """
    global _stores_lock
    _stores.clear()
    _stores_lock = threading.Lock()


os.register_at_fork(after_in_child=_forget_stores)
