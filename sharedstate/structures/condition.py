"""Condition: as `threading.Condition`, between processes and machines.

Who waits stands in a line of its own, in the order of waiting (`condition.lua`); it joins
the line before it releases the lock, so that no notice is lost. `notify` wakes those who
still listen: a waiter that was killed is passed over, and the next one is woken for it.

As with every condition, who was woken has to look at what it waited for (`wait_for` does):
others may have had the lock in between. And `wait` may return True although nobody has
notified it, if its connection broke meanwhile: then it cannot know.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from time import sleep
from typing import TYPE_CHECKING, Any, TypeVar

from sharedstate.errors import BackendError, CommandError, ConfigError, SharedStateError
from sharedstate.identity import new_owner, process_salt
from sharedstate.leases import LEASE_BINDING
from sharedstate.news import time_to_wait
from sharedstate.scripts import LINE, load_scripts
from sharedstate.sessions import Will, session_of
from sharedstate.structures.base import Structure
from sharedstate.structures.condition_lock import let_go, take_back
from sharedstate.structures.lock import Lock
from sharedstate.waiting import Deadline
from sharedstate.wakers import Waker, give_back, take_waker

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping
    from datetime import timedelta
    from types import TracebackType
    from typing import Self

    from sharedstate.leases import Lease
    from sharedstate.locking import LockInfo
    from sharedstate.structures.base import StructureContext

Result = TypeVar("Result")

_SCRIPTS = str(Path(__file__).with_name("condition.lua"))

_ALL = 2**31

_LOOK_AGAIN_SECONDS = 300.0
"""How long a waiter sleeps at most before it looks whether it was notified: a network can
lose a connection without a word. The line is kept for a day after the last look."""

_PAUSE_SECONDS = 0.1
"""Between attempts to reach a store that went away."""


class Condition(Structure):
    """A lock, and a line of those who wait for a change under it. A context manager.

    Its lock is a reentrant one of its own, or the `Lock` it was given; with another lock at
    each handle, notices would come in between. It is held on a lease like any lock.
    """

    def __init__(self, context: StructureContext, options: Mapping[str, object]) -> None:
        super().__init__(context, options)
        given = dict(options)
        lock = given.pop("lock", None)
        if given or not (lock is None or isinstance(lock, Lock)):
            raise ConfigError(
                f"expected a lock (state.lock(…)) as the only option of the condition "
                f"{context.name!r}, got {dict(options)!r:.100}"
            )
        self._lock = lock or Lock(context, {"strategy": "reentrant"})
        self._keys = tuple(map(context.key, ("asleep", "sleepers", "notified")))

    def acquire(
        self, blocking: bool = True, timeout: float | timedelta | None = -1
    ) -> bool:
        """Acquire the lock: see `Lock.acquire`. One round trip if it is free."""
        return self._lock.acquire(blocking, timeout)

    def release(self) -> None:
        """Release the lock: see `Lock.release`. One round trip."""
        self._lock.release()

    def wait(self, timeout: float | timedelta | None = None) -> bool:
        """Release the lock, wait to be notified, and acquire it again; False if nobody has
        notified this waiter within `timeout` seconds.

        The lock is released wholly, however often this thread has acquired it, and then
        held as often. Acquiring it again is not bounded by the timeout, and is done after
        an interrupt or an error too, as in `threading`; an interrupted waiter passes a
        notice that it had on to the next.

        Raises `LockNotOwned` or `LockLost` if the lock is not held, `BackendError` if the
        store is not reached: then the lock may not be held any more. Four round trips.
        """
        self._lock._held()
        deadline = time_to_wait(timeout)
        sleeper = _Sleeper(self)
        let: list[Lease] = []
        try:
            sleeper.join()
            let = let_go(self._lock)
            is_notified = sleeper.sleep(deadline)
        except BaseException as error:
            sleeper.abandon()
            try:
                take_back(let)
            except SharedStateError as ours:
                error.add_note(f"Moreover, the lock could not be acquired again: {ours}")
            raise
        take_back(let)
        return is_notified

    def wait_for(
        self, predicate: Callable[[], Result], timeout: float | timedelta | None = None
    ) -> Result:
        """Wait until `predicate()` is true, and return what it gave at last: something
        false if the time was over before. It is called with the lock held.
        """
        deadline = time_to_wait(timeout)
        result = predicate()
        while not result and not deadline.is_over:
            left = deadline.remaining()
            self.wait(None if left == float("inf") else left)
            result = predicate()
        return result

    def notify(self, n: int = 1) -> None:
        """Wake up to `n` of those who wait, in their order. They go on when the lock is
        released. Atomic; one round trip.

        Raises `LockNotOwned` or `LockLost` if the lock is not held, and `ValueError` for
        what is no number of waiters.
        """
        if type(n) is not int or n < 0:
            raise ValueError(f"expected n as a number of waiters, 0 or more, got {n!r}")
        self._lock._held()
        if n > 0:
            self._run("notify", min(n, _ALL), new_owner(process_salt(), "").nonce)

    def notify_all(self) -> None:
        """Wake all who wait. See `notify`."""
        self.notify(_ALL)

    @property
    def n_waiting(self) -> int:
        """How many wait to be notified. One round trip."""
        waiting: int = self._context.backend.execute(("LLEN", self._keys[0]))
        return waiting

    def locked(self) -> bool:
        """Whether anybody holds the lock. One round trip."""
        return self._lock.locked()

    def owned(self) -> bool:
        """Whether this thread holds the lock: see `Lock.owned`. No round trip."""
        return self._lock.owned()

    @property
    def token(self) -> int:
        """The lock's fencing token. Another after each `wait`. No round trip."""
        return self._lock.token

    @property
    def fence_prefix(self) -> str:
        """What the tokens are counted by: those of the lock. See `sharedstate.fencing`."""
        return self._lock._context.prefix

    @property
    def lost(self) -> threading.Event:
        """The event that is set if the lock is lost: see `Lock.lost`. No round trip."""
        return self._lock.lost

    def info(self) -> LockInfo:
        """Who holds the lock, and who waits for it (not for a notice). One round trip."""
        return self._lock.info()

    def __enter__(self) -> Self:
        self._lock.acquire()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._lock.__exit__(kind, error, trace)

    def _run(self, script: str, *arguments: Any) -> Any:
        scripts = load_scripts(_SCRIPTS, LINE)
        return self._context.backend.run_script(scripts[script], self._keys, arguments)

    def _tag(self) -> str:
        """What the ids of this process's waiters begin with. Where there are sessions, the
        store takes them out when the process has ended: one round trip, the first time.
        """
        session = session_of(self._context.backend)
        if session is None:
            return process_salt()
        ended = load_scripts(_SCRIPTS, LINE)["ended"]
        will = Will(end=ended, keys=self._keys, arguments=(session.tag,))
        try:
            session.ensure(f"{LEASE_BINDING}Condition:{self._context.prefix}", will)
        except CommandError as refusal:
            # So much is bound that the store takes no more: it notices when it notifies.
            session.warn_of_refusal(self._context.prefix, refusal)
        return session.tag


class _Sleeper:
    """One who waits to be notified."""

    __slots__ = ("_backend", "_has_asked", "_owner", "_run", "_timeout", "_waker")

    def __init__(self, condition: Condition) -> None:
        self._backend = condition._context.backend
        self._run = condition._run
        self._timeout = condition._context.state.settings.timeout
        self._owner = new_owner(condition._tag(), "")
        self._waker: Waker | None = None
        self._has_asked = False

    def join(self) -> None:
        """Stand in the line."""
        self._ask("join")

    def sleep(self, deadline: Deadline) -> bool:
        """Wait for a notice; whether it came in time. Out of the line when it returns."""
        while not deadline.is_over:
            self._listen(min(deadline.remaining(), _LOOK_AGAIN_SECONDS))
            if deadline.is_over:
                break
            if not self._look(deadline):
                self._end()
                return True
        waited = self._run("leave", self._owner.nonce)
        if waited:
            self._end()
        else:
            # A notice came at this moment, and its message may be under way.
            self._close()
        return not waited

    def abandon(self) -> None:
        """Leave the line. What it was notified of, the next one is."""
        self._close()
        if self._has_asked:
            with suppress(SharedStateError):
                self._run("pass_on", self._owner.nonce)

    def _listen(self, seconds: float) -> None:
        assert self._waker is not None
        try:
            self._waker.wait(seconds)
        except BackendError:
            # A notice may have been missed: the line tells.
            self._close()

    def _look(self, deadline: Deadline) -> int:
        """Whether this one still stands in the line. A store that is not reached is asked
        again, for as long as the `timeout` of the state.
        """
        patience = Deadline(self._timeout)
        while True:
            try:
                return self._ask("look")
            except BackendError:
                if patience.is_over or deadline.is_over:
                    raise
                sleep(min(_PAUSE_SECONDS, deadline.remaining()))

    def _ask(self, script: str) -> int:
        """Run a script that tells the store where to call."""
        if self._waker is None:
            self._waker = take_waker(self._backend)
        self._has_asked = True
        owner = self._owner
        reply: int = self._run(script, owner.nonce, self._waker.channel, owner.description)
        return reply

    def _end(self) -> None:
        waker, self._waker = self._waker, None
        if waker is not None:
            give_back(self._backend, waker)

    def _close(self) -> None:
        waker, self._waker = self._waker, None
        if waker is not None:
            with suppress(SharedStateError):
                waker.close()
