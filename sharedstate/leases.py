"""Leases: grants that are held on time. `watchdog.py` keeps them alive.

A lease is counted by this process's own steady clock, from *before* the request was sent
that began it, less a margin. So a process that was stopped, or cut off from the store,
takes its lease for ended no later than the store gives the lock to another.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any

from sharedstate.errors import CommandError

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence

    from sharedstate.backend import Backend
    from sharedstate.locking import Grant, LockStrategy, Renewal

RENEW_AFTER = 1 / 3
"""The part of a lease time after which it is renewed: there is time for more tries."""
RETRY_AFTER = 1 / 15
"""The part of a lease time between tries while renewing fails."""
MARGIN_PART, MARGIN_SECONDS = 0.01, 0.002
"""How much earlier than the store we take a lease for ended. Clocks differ by some
0.01 %; the rest is for threads that come late."""


class LeaseTerms:
    """What all leases of one lock handle have in common."""

    __slots__ = (
        "backend",
        "first_look",
        "name",
        "on_lost",
        "renews",
        "retry_seconds",
        "strategy",
        "valid_seconds",
    )

    def __init__(
        self,
        name: str,
        strategy: LockStrategy,
        backend: Backend,
        *,
        ttl: float,
        renews: bool,
        on_lost: Callable[[], object] | None,
    ) -> None:
        self.name = name
        self.strategy = strategy
        self.backend = backend
        self.renews = renews
        self.on_lost = on_lost
        """Called when a lease is lost, on a thread of its own. Must not keep a handle
        alive: a handle that is gone cannot release, so its lease has to run out."""
        self.valid_seconds = ttl - ttl * MARGIN_PART - MARGIN_SECONDS
        self.first_look = ttl * RENEW_AFTER if renews else self.valid_seconds
        self.retry_seconds = ttl * RETRY_AFTER


class Lease:
    """One grant, held on time. Times are of the steady clock, `monotonic()`."""

    __slots__ = (
        "deadline",
        "due",
        "event",
        "grant",
        "in_doubt",
        "lost_because",
        "terms",
        "thread",
        "trouble",
    )

    def __init__(
        self, terms: LeaseTerms, grant: Grant, asked_at: float, thread: int
    ) -> None:
        self.terms = terms
        self.grant = grant
        self.thread = thread
        self.deadline = asked_at + terms.valid_seconds
        """When the lease ends unless it is renewed."""
        self.due = asked_at + terms.first_look
        """When the watchdog has to look at it, at the latest."""
        self.in_doubt = False
        """A release was sent whose answer is not known: no longer renewed."""
        self.trouble: Exception | None = None
        self.lost_because: str | None = None
        self.event: threading.Event | None = None

    def extend(self, asked_at: float) -> None:
        """A renewal that was sent at that time was granted."""
        self.trouble = None
        self.deadline = asked_at + self.terms.valid_seconds
        self.due = asked_at + self.terms.first_look

    def postpone(self, trouble: Exception) -> None:
        """A renewal failed: try again soon, unless the lease ends before."""
        self.trouble = trouble
        self.due = min(self.deadline, monotonic() + self.terms.retry_seconds)

    def why_over(self) -> str:
        """Why the lease has ended, if it has ended by our clock."""
        if self.in_doubt:
            return "releasing it failed, and its lease ran out"
        if self.trouble is not None:
            return f"its lease could not be renewed in time: {self.trouble}"
        if not self.terms.renews:
            return "its lease ran out, and renew=False"
        return "its lease ran out, since this process did not run in time to renew it"


def ask_to_renew(backend: Backend, leases: Sequence[Lease]) -> list[Any]:
    """Send renewals in one round trip. A reply for each, or the exception it met."""
    try:
        renewals = [lease.terms.strategy.renewal(lease.grant) for lease in leases]
        try:
            return backend.execute_many([_command(renewal) for renewal in renewals])
        except CommandError:
            # One was refused, most likely since the store does not know the script yet
            # (NOSCRIPT). One by one, each gets its own answer.
            return [_ask_one(backend, renewal) for renewal in renewals]
    except Exception as error:
        # Whatever it was, the lease is not lost before its time: it is tried again, and
        # if it is lost in the end, this is told as the reason.
        return [error] * len(leases)


def _ask_one(backend: Backend, renewal: Renewal) -> Any:
    try:
        return backend.run_script(renewal.script, renewal.keys, renewal.arguments)
    except Exception as error:
        return error


def _command(renewal: Renewal) -> tuple[Any, ...]:
    keys = renewal.keys
    return ("EVALSHA", renewal.script.sha, len(keys), *keys, *renewal.arguments)
