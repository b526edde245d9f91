"""Letting go of a lock for a while, and taking it back as it was held.

Who waits for a condition releases its lock however often this thread holds it, and by
whichever handles, and holds it as often afterwards. The leases stay the same objects, so
that every handle finds its own again; each gets a new grant.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from threading import get_ident
from time import monotonic
from typing import TYPE_CHECKING

from sharedstate.errors import IndeterminateError, LockLost, SharedStateError
from sharedstate.identity import new_owner
from sharedstate.locking import Refusal
from sharedstate.structures.lock_waiting import wait_in_line
from sharedstate.watchdog import WATCHDOG

if TYPE_CHECKING:
    from sharedstate.leases import Lease
    from sharedstate.locking import Grant
    from sharedstate.structures.lock import Lock

_FOREVER = float("inf")


def let_go(lock: Lock) -> list[Lease]:
    """Release a lock wholly. What was held, for `take_back`. One round trip a hold.

    Raises `LockNotOwned` or `LockLost` if it is not held. If it raises anything else, the
    lock is held for no longer than its lease.
    """
    leases = _holds(lock)
    claimed = [lease for lease in leases if WATCHDOG.claim(lease)]
    try:
        if len(claimed) == len(leases):
            left = [_release_surely(lease) for lease in reversed(leases)]
        else:
            left = [None]
    except BaseException:
        for lease in claimed:
            WATCHDOG.let_run_out(lease)
        raise
    if left[-1] is None and not _was_surely_released(leases[0]):
        for lease in claimed:
            WATCHDOG.report(lease, "when it was to be released, its lease was over")
        raise LockLost(
            f"the lock {lock.name!r} was lost before wait() could release it: another may "
            f"have held it since"
        )
    return leases


def take_back(leases: list[Lease]) -> None:
    """Hold what was let go, as before. Waits for as long as it takes. One round trip a hold
    if the lock is free.

    If it raises (the store is not reached, or an interrupt), the lock is not held.
    """
    taken: list[Lease] = []
    try:
        for lease in leases:
            _take_back(lease)
            taken.append(lease)
    except BaseException:
        for lease in taken:
            if WATCHDOG.claim(lease):
                _leave(lease)
        raise


def _holds(lock: Lock) -> list[Lease]:
    """What this thread holds of a lock, the first hold first."""
    lease = lock._held()
    if not lock._is_thread_bound:
        return [lease]
    thread, place = get_ident(), lease.terms.place
    kind = type(lease.terms.strategy)
    holds = [
        other
        for other in list(WATCHDOG.held)
        if other.thread == thread
        and other.terms.place == place
        and other.terms.backend is lease.terms.backend
        and type(other.terms.strategy) is kind
    ]
    # Nested holds may share a fencing number; those of nonces tell their order.
    holds.sort(key=lambda hold: int(hold.grant.owner.nonce.rpartition(".")[2], 16))
    return holds


def _release_surely(lease: Lease) -> int | None:
    try:
        return lease.terms.strategy.release(lease.grant)
    except IndeterminateError:
        lease.in_doubt = True
        return lease.terms.strategy.release(lease.grant)


def _was_surely_released(lease: Lease) -> bool:
    """Whether an answer was lost, and the lock could not have been lost by then."""
    return lease.in_doubt and monotonic() < lease.deadline


def _take_back(lease: Lease) -> None:
    terms = lease.terms
    session = terms.session()
    owner = new_owner(*terms.tag(session))
    asked_at = monotonic()
    try:
        outcome: Grant | Refusal = terms.strategy.try_acquire(owner, None)
        if isinstance(outcome, Refusal):
            granted = wait_in_line(terms, owner, _FOREVER)
            assert granted is not None
            outcome, asked_at = granted
        lease.grant, lease.session, lease.in_doubt = outcome, session, False
        lease.extend(asked_at)
        WATCHDOG.watch(lease)
    except BaseException:
        WATCHDOG.claim(lease)
        lease.grant = replace(lease.grant, owner=owner)
        _leave(lease)
        raise


def _leave(lease: Lease) -> None:
    """What stays behind on a store that is not reached ends with its lease, or session."""
    with suppress(SharedStateError):
        lease.terms.strategy.leave(lease.grant.owner)
