"""Lock: as `threading.Lock`, between processes and machines, on a lease.

The strategy (`sharedstate.locking`) speaks to the store; here is what users hold: the
names and argument checks of `threading.Lock`, the wait, and what becomes of a grant.

What holds a lock is one *handle* in one process: the object on which `acquire` was
called. Threads that share a handle treat it as they would a `threading.Lock`: they
exclude each other, and one may release what another acquired. But a thread that has
acquired releases its own acquisition and no other, so that after a loss it cannot
release what the next thread holds by then. A forked child, and a pickled copy, hold
nothing.

When an answer is lost: asking is repeatable, by the nonce. Releasing is not, so it is
asked once more here; and "you do not hold it" then means that the first time worked,
as long as the lease was good. An acquisition that fails with a `BackendError` may hold
the lock on the store for up to one lease time, with nobody to renew it.
"""

from __future__ import annotations

from contextlib import contextmanager
from threading import get_ident
from time import monotonic, time
from typing import TYPE_CHECKING

from sharedstate.errors import (
    BackendError,
    IndeterminateError,
    LockError,
    LockLost,
    LockNotOwned,
    LockTimeout,
)
from sharedstate.identity import thread_id
from sharedstate.leases import Lease
from sharedstate.locking import LockInfo
from sharedstate.log import get_logger
from sharedstate.structures.acquiring import acquire_lease
from sharedstate.structures.base import Structure
from sharedstate.structures.lock_options import check_timeout, lease_terms
from sharedstate.waiting import to_seconds
from sharedstate.watchdog import WATCHDOG

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator, Mapping
    from contextlib import AbstractContextManager
    from datetime import timedelta
    from types import TracebackType
    from typing import Self

    from sharedstate.fencing import Fence
    from sharedstate.structures.base import StructureContext

_FOREVER = float("inf")


class Lock(Structure):
    """A lock that one handle at a time holds, everywhere. A context manager.

    It is held on a lease of `ttl` seconds, which a watchdog thread renews while it is
    held. If its process dies, the lock is free at once where the backend has sessions, and
    otherwise when the lease ends; so it is if the handle is dropped. If the lease ends
    while the lock is held (the process was stopped, or the store not reached), the lock is
    *lost*: `lost` is set, `on_lost` called, and `release` raises `LockLost`. What must
    never be done twice should be guarded by `token` too.
    """

    def __init__(self, context: StructureContext, options: Mapping[str, object]) -> None:
        super().__init__(context, options)
        self._leases: dict[int, Lease] = {}
        self._latest: Lease | None = None
        self._terms = lease_terms(self, context, dict(options))
        self._strategy = self._terms.strategy
        self._is_thread_bound = getattr(self._strategy, "is_thread_bound", False)

    def acquire(
        self, blocking: bool = True, timeout: float | timedelta | None = -1
    ) -> bool:
        """Acquire the lock; False if it was not free, at once or within `timeout`.

        A `timeout` of -1 (or None) waits for ever, 0 not at all. As with
        `threading.Lock`, acquiring what this handle holds already waits for its release.
        One round trip if the lock is free. Waits without polling.
        """
        seconds = _FOREVER
        if timeout != -1 or not blocking:
            seconds = check_timeout(blocking, timeout)
        return acquire_lease(self._terms, seconds, self._keep, self._take_back)

    def release(self) -> None:
        """Release the lock, and wake a waiter. One round trip.

        Raises `LockNotOwned` if this handle does not hold it, and `LockLost` if its
        lease ended before: another may have held the lock since. If the store is not
        reached, that error is raised, the lock is not renewed any more, and `release`
        may be called again.
        """
        lease = self._current()
        if lease is None or not WATCHDOG.claim(lease):
            raise self._not_held(lease)
        try:
            left = self._release_surely(lease)
        except BaseException:
            WATCHDOG.let_run_out(lease)
            raise
        self._forget(lease)
        if left is None and not lease.was_surely_held():
            WATCHDOG.report(lease, "when it was released, its lease was over")
            raise self._not_held(lease)

    def locked(self) -> bool:
        """Whether anybody holds the lock. One round trip."""
        return bool(self._strategy.inspect().holders)

    @contextmanager
    def hold(self, timeout: float | timedelta) -> Iterator[Self]:
        """`with lock.hold(5): …`: acquire within a time, or raise `LockTimeout`.

        The error names the holder. Otherwise as `with lock`. One round trip more than
        `acquire` when the time is over.
        """
        if not self.acquire(timeout=timeout):
            raise LockTimeout(self._why_not(to_seconds(timeout)))
        try:
            yield self
        except BaseException as error:
            self._leave(error)
            raise
        self.release()

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.release()
        else:
            self._leave(error)

    def owned(self) -> bool:
        """Whether this handle holds the lock, by its own clock. No round trip.

        To have the store's word for it, call `renew`.
        """
        lease = self._current()
        return lease is not None and WATCHDOG.is_held(lease)

    @property
    def token(self) -> int:
        """The fencing token: higher than that of every grant before. No round trip.

        Hand it to the resource that the lock guards, to refuse whoever comes with a
        lower one. Raises `LockNotOwned` or `LockLost` when the lock is not held.
        """
        return self._held().grant.fencing

    @property
    def remaining(self) -> float:
        """Seconds for which the lock is surely held unless the lease is renewed.

        Zero if this handle does not hold it. No round trip.
        """
        lease = self._current()
        if lease is None or not WATCHDOG.is_held(lease):
            return 0.0
        return max(0.0, lease.deadline - monotonic())

    @property
    def lost(self) -> threading.Event:
        """The event that is set if this acquisition is lost. No round trip.

        Each acquisition has its own. Raises `LockNotOwned` before the first.
        """
        lease = self._current()
        if lease is None:
            raise self._not_held(None)
        return WATCHDOG.event(lease)

    def renew(self) -> None:
        """Give the lease its full time again, now. One round trip.

        The watchdog does this by itself, unless the lock was made with `renew=False`.
        Raises `LockLost` if the lease is over, `LockNotOwned` if it was never held.
        """
        lease = self._held()
        if not WATCHDOG.renew(lease):
            raise self._not_held(lease)

    def info(self) -> LockInfo:
        """Who holds the lock, where and since when, and how many wait. One round trip."""
        return self._strategy.inspect()

    def force_release(self) -> bool:
        """Take the lock away from whoever holds it; True if somebody did. One round trip.

        Dangerous, and meant for repairs by hand: the holder does not notice before it next
        renews, and works on, beside the next one. Only fencing stops it. Each use is logged
        as a warning.
        """
        released = self._strategy.force_release()
        if released:
            get_logger("locks").warning(
                "the lock %r was taken from its holder by force_release", self.name
            )
        return released

    def fencing(self, *structures: Structure) -> AbstractContextManager[Fence]:
        """`with lock.fencing(map, counter): …`: all writes of this thread through these
        handles carry this lock's token, and are refused once a later holder has written.

        See `sharedstate.fencing.fencing`. One round trip for each structure to enter.
        """
        from sharedstate.fencing import fencing

        return fencing(self, *structures)

    def _keep(self, lease: Lease) -> None:
        if lease.grant.holds > 1:
            lease.outer = self._leases.get(lease.thread)
        self._leases[lease.thread] = self._latest = lease

    def _forget(self, lease: Lease) -> None:
        """Take an acquisition out: the one around it is this thread's again, if any."""
        if self._leases.get(lease.thread) is lease:
            if lease.outer is None:
                del self._leases[lease.thread]
            else:
                self._leases[lease.thread] = lease.outer
        if self._latest is lease and lease.outer is not None:
            self._latest = lease.outer

    def _take_back(self, lease: Lease) -> None:
        """An acquisition was interrupted after all: it has never been."""
        self._forget(lease)
        if self._latest is lease:
            self._latest = lease.outer

    def _release_surely(self, lease: Lease) -> int | None:
        try:
            return self._strategy.release(lease.grant)
        except IndeterminateError:
            lease.in_doubt = True
            return self._strategy.release(lease.grant)

    def _leave(self, error: BaseException) -> None:
        """Release after the body failed: its error stands, ours is told with it."""
        try:
            self.release()
        except (LockError, BackendError) as ours:
            error.add_note(f"Moreover, on leaving the lock: {ours}")
            if error.__context__ is None:
                error.__context__ = ours

    def _current(self) -> Lease | None:
        """The acquisition of this thread, or else the last one on this handle, unless it
        belongs to another thread for good.
        """
        lease = self._leases.get(get_ident()) or self._latest
        if lease is None or not self._is_thread_bound:
            return lease
        # The system gives the number of a thread that has ended to another one.
        return lease if lease.grant.owner.identity.endswith(thread_id()) else None

    def _held(self) -> Lease:
        lease = self._current()
        if lease is None or not WATCHDOG.is_held(lease):
            raise self._not_held(lease, forget=False)
        return lease

    def _not_held(self, lease: Lease | None, *, forget: bool = True) -> LockError:
        """The error for a lock that is not held (any more). A loss is told once."""
        reason = None if lease is None else self._why_lost(lease)
        if lease is None or reason is None:
            return LockNotOwned(
                f"the lock {self.name!r} is not held by this handle in this process; "
                f"acquire it first"
            )
        if forget:
            self._forget(lease)
            if self._latest is lease:
                self._latest = None
        return LockLost(
            f"the lock {self.name!r} was lost: {reason}. Another may have held it since; "
            f"check what it guards, by its fencing token {lease.grant.fencing}"
        )

    def _why_lost(self, lease: Lease) -> str | None:
        if lease in WATCHDOG.held:
            return "by this process's clock its lease is over"
        return WATCHDOG.reason(lease)

    def _why_not(self, seconds: float) -> str:
        holders = [
            f"pid {holder.pid} on {holder.host}, thread {holder.thread!r}, for "
            f"{max(0.0, time() - holder.since):.1f} s"
            for holder in self.info().holders
        ]
        who = "; ".join(holders) or "nobody any more: it was freed just now"
        return (
            f"the lock {self.name!r} was not acquired within {seconds:g} s; held by {who}"
        )

    def __del__(self) -> None:
        # Nobody can release these any more.
        for lease in self.__dict__.get("_leases", {}).values():
            while lease is not None:
                WATCHDOG.abandon(lease)
                lease = lease.outer
