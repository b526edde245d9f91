"""Semaphore and BoundedSemaphore: as in `threading`, between processes, on leases.

Every permit belongs to the *handle* by which it was acquired, in one process, and is
leased: whoever dies frees its own permits and no others. What that changes against
`threading`: `release` gives back what this handle has, and never makes permits out of
nothing. So a semaphore is always bounded by its size, and the bounded one differs by its
error only.

Threads that share a handle share what it holds: any of them may release. Who has acquired
gives its own acquisition back first, the latest before the others. A forked child, and a
pickled copy, hold nothing.

When an answer is lost: asking is repeatable, by the nonce, and releasing is as well, since
it says how many permits shall be left.
"""

from __future__ import annotations

import os
from copy import copy
from typing import TYPE_CHECKING, Any

from sharedstate.errors import (
    BackendError,
    ConfigError,
    IndeterminateError,
    LockError,
    LockLost,
    LockNotOwned,
    PermitNotHeld,
)
from sharedstate.log import get_logger
from sharedstate.structures.acquiring import acquire_lease
from sharedstate.structures.base import Structure
from sharedstate.structures.lock_options import terms_by
from sharedstate.structures.semaphore_holdings import Holdings
from sharedstate.structures.semaphore_strategy import SemaphoreStrategy
from sharedstate.waiting import to_seconds
from sharedstate.watchdog import WATCHDOG

if TYPE_CHECKING:
    import threading
    from collections.abc import Mapping, Sequence
    from datetime import timedelta
    from types import TracebackType
    from typing import Self

    from sharedstate.leases import Lease
    from sharedstate.locking import LockInfo, LockTarget
    from sharedstate.structures.base import StructureContext
    from sharedstate.structures.semaphore_holdings import Part

MAX_SIZE = 2**53
"""The largest number that the store's scripts count exactly."""


class Semaphore(Structure):
    """So many permits, each held by one at a time, everywhere. A context manager.

    Permits are granted strictly in the order of asking: who wants many is not overtaken by
    those who want few. The size is decided by the first who uses the name; a handle that
    was made with another `value` gets a `ConfigError`, until somebody has resized it.
    """

    def __init__(self, context: StructureContext, options: Mapping[str, object]) -> None:
        super().__init__(context, options)
        self._holdings = Holdings()
        given = {**options, "find_deadlocks": False}
        given.pop("bounded", None)
        value = _check_size("value", given.pop("value", 1))

        def make(target: LockTarget, others: Mapping[str, object]) -> SemaphoreStrategy:
            if others:
                raise ConfigError(
                    f"a semaphore has no option {', '.join(others)}; it has value, ttl, "
                    f"renew and on_lost"
                )
            self._strategy = SemaphoreStrategy(target, value)
            return self._strategy

        self._terms = terms_by(self, context, given, make)

    def acquire(
        self,
        blocking: bool = True,
        timeout: float | timedelta | None = None,
        *,
        n: int = 1,
    ) -> bool:
        """Acquire `n` permits, all or none; False if that was not possible in time.

        As with `threading.Semaphore`, a `timeout` of None waits for ever, and one of zero
        or less not at all. Raises `ValueError` at once for more permits than there are,
        held or not. One round trip if they are free. Waits in a line, without polling.
        """
        _check_units(n)
        seconds = _time_to_wait(blocking, timeout)
        terms = self._terms
        if n != 1:
            terms = copy(terms)
            terms.strategy = self._strategy.asking_for(n)
        holdings = self._mine()
        return acquire_lease(terms, seconds, holdings.keep, holdings.take_back)

    def release(self, n: int = 1) -> None:
        """Release `n` permits that this handle holds, and wake who can go on with them.

        They may be a part of what was acquired together. Atomic; one round trip. Raises
        `LockNotOwned` if this handle does not hold so many, and releases none; `LockLost`
        if the lease of some of them ended before (the others are released). If the store is
        not reached, that error is raised, and `release` may be called again.
        """
        _check_units(n)
        holdings = self._mine()
        parts = holdings.take(n)
        if parts is None:
            raise self._not_held(n)
        live = [part for part in parts if not part.is_lost]
        lost = [part for part in parts if part.is_lost]
        try:
            found = self._release_surely(live)
        except BaseException:
            holdings.put_back(live)
            raise
        for part, was_there in zip(live, found, strict=True):
            if not was_there and not part.was_surely_held():
                holdings.lose(part)
                lost.append(part)
        if lost:
            count = sum(part.taken + part.left for part in lost)
            raise self._was_lost(lost[0].lease, count)

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
            return
        try:
            self.release()
        except (LockError, BackendError) as ours:
            error.add_note(f"Moreover, on leaving the semaphore: {ours}")
            if error.__context__ is None:
                error.__context__ = ours

    @property
    def value(self) -> int:
        """How many permits are free now; those who wait may be about to get them. One round
        trip."""
        return self._strategy.count()[1]

    @property
    def size(self) -> int:
        """How many permits there are, free or held. One round trip."""
        return self._strategy.count()[0]

    def resize(self, size: int) -> None:
        """Change how many permits there are, for everybody. Atomic; one round trip.

        More permits wake as many as they are enough for. Fewer take nothing away: nothing
        is granted until enough were released, and who waits for more than there are now
        gets a `ValueError`. From now on, handles may have been made with any `value`.
        """
        self._strategy.resize(_check_size("size", size))

    @property
    def held(self) -> int:
        """How many permits this handle holds, by its own clock. No round trip."""
        return self._mine().count()

    @property
    def token(self) -> int:
        """The fencing token of the latest acquisition that is held: this thread's, if it
        has one. It is higher than that of every grant before. No round trip.

        Raises `LockNotOwned` if nothing is held, and `LockLost` if it was lost.
        """
        lease = self._mine().latest()
        if lease is None:
            raise self._not_held(1)
        if not WATCHDOG.is_held(lease):
            raise self._was_lost(lease, lease.grant.holds)
        return lease.grant.fencing

    @property
    def lost(self) -> threading.Event:
        """The event that is set if the latest acquisition is lost. No round trip.

        Each acquisition has its own. Raises `LockNotOwned` if nothing is held.
        """
        lease = self._mine().latest()
        if lease is None:
            raise self._not_held(1)
        return WATCHDOG.event(lease)

    def renew(self) -> None:
        """Give the leases of all that this handle holds their full time again, now.

        The watchdog does this by itself, unless the semaphore was made with `renew=False`.
        One round trip for each acquisition. Raises `LockLost` if one is over.
        """
        leases = self._mine().leases()
        if not leases:
            raise self._not_held(1)
        lost = [lease for lease in leases if not WATCHDOG.renew(lease)]
        if lost:
            raise self._was_lost(lost[0], sum(lease.grant.holds for lease in lost))

    def info(self) -> LockInfo:
        """Who holds permits, how many (`mode`) and since when, and who waits, in order.

        `remaining` is when the last of the leases ends. One round trip.
        """
        return self._strategy.inspect()

    def force_release(self) -> bool:
        """Take all permits from those who hold them; True if somebody did. One round trip.

        Dangerous, and meant for repairs by hand: see `Lock.force_release`.
        """
        released = self._strategy.force_release()
        if released:
            get_logger("locks").warning(
                "the permits of the semaphore %r were taken from their holders by "
                "force_release",
                self.name,
            )
        return released

    def _mine(self) -> Holdings:
        """What this handle holds in this process."""
        if self._holdings.pid != os.getpid():
            self._holdings = Holdings()
        return self._holdings

    def _release_surely(self, parts: Sequence[Part]) -> list[int]:
        if not parts:
            return []
        wanted = [(part.lease.grant, part.left) for part in parts]
        try:
            return self._strategy.release_down_to(wanted)
        except IndeterminateError:
            for part in parts:
                part.be_in_doubt()
            return self._strategy.release_down_to(wanted)

    def _not_held(self, n: int) -> LockNotOwned:
        return LockNotOwned(self._why_not_held(n))

    def _why_not_held(self, n: int) -> str:
        return (
            f"this handle holds {self.held} permits of the semaphore {self.name!r} in this "
            f"process, and {n} were needed: acquire them first"
        )

    def _was_lost(self, lease: Lease, count: int) -> LockLost:
        reason = WATCHDOG.reason(lease) or "by this process's clock their lease is over"
        return LockLost(
            f"{count} permits of the semaphore {self.name!r} were lost: "
            f"{reason}. Others may have held them since; check what they "
            f"guard, by the fencing token {lease.grant.fencing}"
        )

    def __del__(self) -> None:
        # Nobody can release these any more.
        holdings: Holdings | None = self.__dict__.get("_holdings")
        if holdings is not None and holdings.pid == os.getpid():
            holdings.abandon()


class BoundedSemaphore(Semaphore):
    """A semaphore whose `release` of too many is a `ValueError`, as in `threading`.

    No semaphore here can be released beyond its size. The two share what has their name.
    """

    def _not_held(self, n: int) -> LockNotOwned:
        return PermitNotHeld(self._why_not_held(n))


def _check_units(n: Any) -> None:
    if type(n) is not int or n < 1:
        raise ValueError(f"expected n as a number of permits, 1 or more, got {n!r}")


def _check_size(name: str, size: Any) -> int:
    if type(size) is not int or not 0 <= size <= MAX_SIZE:
        raise ConfigError(
            f"expected {name} as a number of permits from 0 to {MAX_SIZE}, got {size!r}"
        )
    return size


def _time_to_wait(blocking: bool, timeout: float | timedelta | None) -> float:
    """The seconds to wait, with the checks of `threading.Semaphore.acquire`."""
    if not blocking:
        if timeout is not None:
            raise ValueError("can't specify timeout for non-blocking acquire")
        return 0.0
    if timeout is None:
        return float("inf")
    seconds = to_seconds(timeout)
    return seconds if seconds > 0 else 0.0
