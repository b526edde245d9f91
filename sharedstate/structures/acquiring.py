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
    LockError,
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
    from sharedstate.sessions import ProcessSession
    from sharedstate.structures.lock_waiting import Halt


def acquire_lease(
    terms: LeaseTerms,
    seconds: float,
    keep: Callable[[Lease], None],
    forget: Callable[[Lease], None],
    halt: Halt | None = None,
) -> bool:
    """Ask for a grant, and wait up to `seconds` for it; whether it came.

    Its lease is handed to `keep`, and then watched. An interrupt at any moment leaves
    nothing behind: neither a place in the line nor what was granted, and what `keep` has
    taken is handed to `forget`. One round trip if it
    is free; two at the most if it was not the last time.
    """
    session = terms.session()
    place = calling_line() if terms.finds_deadlocks and session is not None else ""
    owner = new_owner(*terms.tag(session), place)
    asked_at = monotonic()
    lease = None
    try:
        granted = _ask(terms, owner, asked_at, seconds, halt)
        if granted is None:
            return False
        lease = Lease(terms, *granted, get_ident(), session)
        keep(lease)
        WATCHDOG.watch(lease)
    except LockError:
        # The store has refused for good, and nothing of us is left there.
        raise
    except BackendTimeout as error:
        _give_up(terms, owner, asked_at, session)
        raise _in_doubt(terms, error) from error
    except BackendError:
        _give_up(terms, owner, asked_at, session)
        raise
    except BaseException as error:
        if not isinstance(error, SharedStateError):
            terms.renounce(session)
        if lease is not None:
            WATCHDOG.claim(lease)
            forget(lease)
        _undo(terms, owner)
        raise
    return True


def _ask(
    terms: LeaseTerms, owner: Owner, asked_at: float, seconds: float, halt: Halt | None
) -> tuple[Grant, float] | None:
    """The grant, and when it was asked for; None if it did not come in time."""
    if seconds <= 0 or not terms.was_taken:
        outcome = terms.strategy.try_acquire(owner, None)
        if not isinstance(outcome, Refusal):
            return outcome, asked_at
    # Where many want it, one round trip is spared by asking for a place at once.
    return wait_in_line(terms, owner, asked_at + seconds, halt) if seconds > 0 else None


def _give_up(
    terms: LeaseTerms, owner: Owner, asked_at: float, session: ProcessSession | None
) -> None:
    """The store is not reached: what may have been granted is not to be kept. The sooner
    it is free, the better for the others.
    """
    terms.renounce(session)
    if session is not None:
        unheard = Lease(terms, Grant(owner, 0), asked_at, get_ident(), session)
        WATCHDOG.give_back(unheard)


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
