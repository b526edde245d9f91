"""Waiting for a lock: standing in its line until the store calls.

A waiter asks with the channel of a waker, which puts it into the line, and sleeps until it
is called; then it asks again, which confirms what it was handed. It asks unasked only if
nobody has called for as long as the refusal said: whoever was to call may have died.

Whatever ends a wait, it leaves nothing behind. A waker whose place is in doubt is closed:
the store looks whether somebody listens before it hands a lock over, and passes it by.
"""

from __future__ import annotations

import os
from contextlib import suppress
from time import monotonic, sleep
from typing import TYPE_CHECKING

from sharedstate.errors import BackendError, LockError, SharedStateError
from sharedstate.identity import as_of_now
from sharedstate.locking import Refusal
from sharedstate.sessions import session_of
from sharedstate.wakers import Waker, give_back, take_waker
from sharedstate.watchdog import WATCHDOG

if TYPE_CHECKING:
    from sharedstate.backend import Backend
    from sharedstate.leases import LeaseTerms
    from sharedstate.locking import Grant, Owner


OTHERS_SECONDS = 300.0
"""How much longer a waiter sleeps uncalled than the first of its process: a thousand
threads that wait for one lock ask as seldom as one."""

_FOREVER = float("inf")


class Halt:
    """By which another thread ends a wait before its time."""

    def __init__(self, backend: Backend) -> None:
        self.is_set = False
        self.channel: str | None = None
        self._backend = backend

    def set(self) -> None:
        """End the wait, and every later one. One round trip.

        Where the store is not reached, the waiter learns of that itself, and then of this.
        """
        self.is_set = True
        if self.channel is not None:
            with suppress(SharedStateError):
                self._backend.execute(("PUBLISH", self.channel, "halt"))


def wait_in_line(
    terms: LeaseTerms, owner: Owner, deadline: float, halt: Halt | None = None
) -> tuple[Grant, float] | None:
    """Wait for a grant until `deadline`, by the steady clock; None if it did not come.

    Returns the grant, and when it was asked for. One round trip to stand in the line (two
    if no waker is kept), one when called, one to give up. A connection that breaks is
    renewed once it is noticed, and the place in the line is kept if the store has not
    called meanwhile. Raises `BackendError` if the store cannot be reached.
    """
    waiting = _Waiting(terms, owner, halt)
    try:
        WATCHDOG.waiting.append(waiting)
        granted = waiting.run(deadline)
    except BaseException:
        waiting.abandon()
        raise
    finally:
        with suppress(ValueError):  # An interrupt may come before it was noted.
            WATCHDOG.waiting.remove(waiting)
    waiting.end()
    return granted


class _Sleeper:
    """Stands for a waker where nobody calls: the strategy says when to ask again."""

    channel = None

    def wait(self, seconds: float) -> None:
        """Sleep."""
        sleep(seconds)

    def close(self) -> None:
        """Nothing is open."""


_SLEEPER = _Sleeper()


class _Waiting:
    """One wait."""

    __slots__ = ("_halt", "_pid", "_waker", "owner", "terms")

    def __init__(self, terms: LeaseTerms, owner: Owner, halt: Halt | None) -> None:
        self.terms = terms
        self.owner = owner
        self._pid = os.getpid()
        self._halt = halt
        self._waker: Waker | None = None

    def run(self, deadline: float) -> tuple[Grant, float] | None:
        """See `wait_in_line`."""
        strategy = self.terms.strategy
        self.terms.was_taken = False
        is_patient = deadline == _FOREVER and session_of(self.terms.backend) is not None
        while True:
            if os.getpid() != self._pid:
                raise LockError(
                    f"this process was forked while its parent waited for "
                    f"{self.terms.name!r}: it holds nothing, and has to acquire by itself"
                )
            waker = self._waker or self._listen()
            owner = as_of_now(self.owner, is_patient=is_patient)
            asked_at = monotonic()
            outcome = strategy.try_acquire(owner, waker.channel)
            if not isinstance(outcome, Refusal):
                return outcome, asked_at
            self.terms.was_taken = True
            left = deadline - monotonic()
            if left <= 0 or self._is_halted(waker):
                strategy.leave(owner)
                return None
            patience = outcome.retry_after_ms / 1000
            if not outcome.is_holding:
                patience += self._others_patience(waker)
            self._sleep(waker, min(left, patience))

    def _others_patience(self, waker: Waker | _Sleeper) -> float:
        """How much longer it may sleep because another waiter of this process asks in its
        place if nobody calls. They die together.
        """
        if waker is _SLEEPER:
            return 0.0
        terms = self.terms
        for other in WATCHDOG.waiting:
            if other.terms.place == terms.place and other.terms.backend is terms.backend:
                return 0.0 if other is self else OTHERS_SECONDS
        return 0.0

    def _is_halted(self, waker: Waker | _Sleeper) -> bool:
        if self._halt is None:
            return False
        # In this order, and the other in `Halt.set`: one of us sees the other.
        self._halt.channel = waker.channel
        return self._halt.is_set

    def _listen(self) -> Waker | _Sleeper:
        if not getattr(self.terms.strategy, "calls_waiters", True):
            return _SLEEPER
        self._waker = take_waker(self.terms.backend)
        return self._waker

    def _sleep(self, waker: Waker | _Sleeper, seconds: float) -> None:
        try:
            waker.wait(seconds)
        except BackendError:
            # A call may have been missed. Asking again on a new connection will tell.
            self._waker = None
            waker.close()

    def end(self) -> None:
        """The wait is over, and the store knows: the waker is free for the next."""
        if self._waker is not None:
            give_back(self.terms.backend, self._waker)

    def abandon(self) -> None:
        """An interrupt, or the store is not reached: nobody is to be found here."""
        if self._waker is not None:
            with suppress(SharedStateError):
                self._waker.close()
