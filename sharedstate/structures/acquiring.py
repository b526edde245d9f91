"""Acquiring on a lease: asking, waiting in the line, and undoing what was interrupted.

What locks and semaphores have in common. What becomes of a lease is theirs.
"""

from __future__ import annotations

from contextlib import suppress
from threading import get_ident
from time import monotonic
from typing import TYPE_CHECKING

from sharedstate.errors import (
    BackendError,
    BackendTimeout,
    IndeterminateError,
    SharedStateError,
)
from sharedstate.identity import calling_line, new_owner
from sharedstate.leases import Lease
from sharedstate.locking import Grant, Refusal
from sharedstate.structures.lock_waiting import wait_in_line
from sharedstate.watchdog import WATCHDOG

if TYPE_CHECKING:
    from collections.abc import Callable

    from sharedstate.leases import LeaseTerms
    from sharedstate.locking import Owner
    from sharedstate.structures.lock_waiting import Halt


def acquire_lease(
    terms: LeaseTerms,
    seconds: float,
    keep: Callable[[Lease], None],
    halt: Halt | None = None,
) -> bool:
    """Ask for a grant, and wait up to `seconds` for it; whether it came.

    Its lease is handed to `keep`, and then watched. An interrupt at any moment leaves
    nothing behind: neither a place in the line nor what was granted. One round trip if it
    is free; two at the most if it was not the last time.
    """
    session = terms.session()
    place = calling_line() if terms.finds_deadlocks and session is not None else ""
    owner = new_owner(terms.tag(session), place)
    asked_at = monotonic()
    lease = None
    try:
        outcome = None
        if not terms.was_taken or seconds <= 0:
            outcome = terms.strategy.try_acquire(owner, None)
        # Where many want it, one round trip is spared by asking for a place at once.
        if outcome is None or isinstance(outcome, Refusal):
            if seconds <= 0:
                return False
            granted = wait_in_line(terms, owner, asked_at + seconds, halt)
            if granted is None:
                return False
            outcome, asked_at = granted
        lease = Lease(terms, outcome, asked_at, get_ident(), session)
        keep(lease)
        WATCHDOG.watch(lease)
    except BackendError as error:
        terms.renounce(session)
        if session is not None:
            # The sooner it is free if it was granted, the better for the others.
            unheard = Lease(terms, Grant(owner, 0), asked_at, get_ident(), session)
            WATCHDOG.give_back(unheard)
        if isinstance(error, BackendTimeout):
            raise _in_doubt(terms, error) from error
        raise
    except BaseException:
        terms.renounce(session)
        if lease is not None:
            WATCHDOG.claim(lease)
        _undo(terms, owner)
        raise
    return True


def _in_doubt(terms: LeaseTerms, error: BackendTimeout) -> IndeterminateError:
    return IndeterminateError(
        f"{error}. Whether {terms.name!r} was acquired is not known; it is not held here, "
        f"and free again when its lease ends"
    )


def _undo(terms: LeaseTerms, owner: Owner) -> None:
    """The interrupt is what the caller has to hear of. What stays behind on a store that
    is not reached ends with its lease, or its session.
    """
    with suppress(SharedStateError):
        terms.strategy.leave(owner)
