"""Leases: grants that are held on time. `watchdog.py` keeps them alive.

A lease is counted by this process's own steady clock, from *before* the request was sent
that began it, less a margin. So a process that was stopped, or cut off from the store,
takes its lease for ended no later than the store gives the lock to another.
"""

from __future__ import annotations

from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any

from sharedstate.errors import CommandError
from sharedstate.identity import process_salt
from sharedstate.sessions import session_of

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence

    from sharedstate.backend import Backend
    from sharedstate.locking import Grant, LockStrategy, LockTarget, Renewal
    from sharedstate.sessions import ProcessSession, Will

RENEW_AFTER = 1 / 3
"""The part of a lease time after which it is renewed: there is time for more tries."""
RETRY_AFTER = 1 / 15
"""The part of a lease time between tries while renewing fails."""
MARGIN_PART, MARGIN_SECONDS = 0.01, 0.002
"""How much earlier than the store we take a lease for ended. Clocks differ by some
0.01 %; the rest is for threads that come late."""
LATE_SECONDS = 0.05
"""Who looks after a lease so much too late did not run: the process was stopped, or held up
by code that does not let other threads run."""
CHECK_SECONDS = 0.1
"""So long before its end, a lease of a session whose renewal was not answered is looked at
once more. Who comes late to that look did not run, and may not have seen the answer."""
QUESTION_SECONDS = 1.0
"""How long it may take to find out whether a lease was kept meanwhile."""

LEASE_BINDING = "lease:"
"""What the names begin with by which wills of leases are bound to sessions."""


class LeaseTerms:
    """What all leases of one lock handle have in common."""

    __slots__ = (
        "_bound_as",
        "_edition",
        "_make_will",
        "_tag",
        "_will",
        "_will_of",
        "backend",
        "binding",
        "finds_deadlocks",
        "first_look",
        "name",
        "on_lost",
        "place",
        "renews",
        "retry_seconds",
        "strategy",
        "valid_seconds",
        "was_taken",
    )

    def __init__(
        self,
        target: LockTarget,
        strategy: LockStrategy,
        *,
        renews: bool,
        on_lost: Callable[[], object] | None,
    ) -> None:
        ttl = target.ttl_ms / 1000
        self.name = target.name
        self.place = target.prefix
        """The prefix of the keys: what tells this lock from others of the same name."""
        self.strategy = strategy
        self.backend = target.backend
        self.renews = renews
        self.finds_deadlocks = target.waits_key is not None
        """Whether owners say which line of code they ask from."""
        self.on_lost = on_lost
        """Called when a lease is lost, on a thread of its own. Must not keep a handle
        alive: a handle that is gone cannot release, so its lease has to run out."""
        self.valid_seconds = ttl - ttl * MARGIN_PART - MARGIN_SECONDS
        self.first_look = ttl * RENEW_AFTER if renews else self.valid_seconds
        self.retry_seconds = ttl * RETRY_AFTER
        self.binding = f"{LEASE_BINDING}{type(strategy).__name__}:{self.place}:{ttl:g}"
        """The name by which the will of these leases is bound to a session, but for the
        number of its edition."""
        self.was_taken = False
        """Whether who asked last, and could wait, was refused. Only a guess at what comes
        next."""
        self._make_will: Callable[[str], Will] | None = getattr(strategy, "will", None)
        self._bound_as = self.binding
        self._tag = ""
        self._edition = 0
        self._will: Will | None = None
        self._will_of: ProcessSession | None = None

    def session(self) -> ProcessSession | None:
        """The session of this process to which leases of this lock are bound, where the
        backend has sessions. One round trip for the first lease of a name, and none later.

        None as well if the store refuses to bind more: then a lease ends with its time.
        """
        if self._make_will is None:
            return None
        session = session_of(self.backend)
        if session is None:
            return None
        edition, will = session.editions.get(self.place, 0), self._will
        if will is None or session is not self._will_of or edition != self._edition:
            self._tag = f"{session.tag}{edition:x}" if edition else session.tag
            self._will = will = self._make_will(self._tag)
            self._will_of, self._edition = session, edition
            self._bound_as = f"{self.binding}#{edition:x}"
            # Not at the top: the watchdog is made of leases.
            from sharedstate.watchdog import WATCHDOG

            session.is_idle = WATCHDOG.is_idle
        try:
            session.ensure(self._bound_as, will, self.place)
        except CommandError as refusal:
            session.warn_of_refusal(self.name, refusal)
            return None
        return session

    def renounce(self, session: ProcessSession | None) -> None:
        """What was asked for may have been granted, or be granted yet, unknown to us. Let
        no session keep it: then it ends with its lease. Later leases have another tag.

        What other threads hold, or wait for, by the former tag goes on to be kept, and so
        does what was granted unknown to us until they are done.
        """
        if session is not None:
            session.renounce(self.place, partial(_is_needed, self.place))

    def tag(self, session: ProcessSession | None) -> tuple[str, str]:
        """What identities and nonces of owners begin with, and what nonces go on with: the
        number of the edition, and `k` for what is renewed, and so kept by a session.
        """
        mark = "k" if self.renews else "n"
        # One that could not be bound is of the same owner as others that could.
        session = session or self._will_of
        if session is None:
            return process_salt(), mark
        return session.tag, f"{self._edition:x}{mark}" if self._edition else mark


class Lease:
    """One grant, held on time. Times are of the steady clock, `monotonic()`."""

    __slots__ = (
        "deadline",
        "due",
        "event",
        "generation",
        "grant",
        "in_doubt",
        "is_asked",
        "lost_because",
        "outer",
        "session",
        "terms",
        "thread",
        "trouble",
        "was_held_up",
        "was_late",
    )

    def __init__(
        self,
        terms: LeaseTerms,
        grant: Grant,
        asked_at: float,
        thread: int,
        session: ProcessSession | None = None,
    ) -> None:
        self.terms = terms
        self.grant = grant
        self.session = session
        self.generation = 0 if session is None else session.generation
        """Which connection of the session the lease was last known to be bound to."""
        self.outer: Lease | None = None
        """The lease that the same thread took before on the same handle, and still had."""
        self.thread = thread
        self.deadline = asked_at + terms.valid_seconds
        """When the lease ends unless it is renewed."""
        self.due = asked_at + terms.first_look
        """When the watchdog has to look at it, at the latest."""
        self.in_doubt = False
        """A release was sent whose answer is not known: no longer renewed."""
        self.trouble: Exception | None = None
        self.is_asked = False
        """A renewal is on its way."""
        self.was_held_up = False
        """This process did not run when it had to look at the lease for the last time."""
        self.was_late = False
        """It is over by our clock, and the store is being asked whether it was kept."""
        self.lost_because: str | None = None
        self.event: threading.Event | None = None

    def was_surely_held(self) -> bool:
        """Whether it was held when its release was sent the first time, although the store
        knows nothing of it now: then the release has worked, and its answer was lost.
        """
        is_good = self.in_doubt and monotonic() < self.deadline
        return is_good and self.is_surely_bound()

    def is_surely_bound(self) -> bool:
        """Whether nothing but its own end can have ended it before: it was not bound to a
        session, or that has been open all the time.
        """
        return self.session is None or self.session.is_open_since(self.generation)

    def extend(self, asked_at: float) -> None:
        """A renewal that was sent at that time was granted."""
        self.trouble = None
        self.is_asked = self.was_held_up = self.was_late = False
        if self.session is not None:
            self.generation = self.session.generation
        self.deadline = asked_at + self.terms.valid_seconds
        self.due = asked_at + self.terms.first_look

    def postpone(self, trouble: Exception) -> None:
        """A renewal failed: try again soon, unless the lease ends before."""
        self.trouble = trouble
        self.is_asked = False
        self.due = min(self.deadline, monotonic() + self.terms.retry_seconds)

    def note_asked(self) -> None:
        """A renewal is asked for: until the answer is there, the next thing to look for is
        the end of the lease, and whether we run when it comes.
        """
        self.is_asked = True
        self.due = self.deadline
        if self.session is not None:
            self.due = max(monotonic(), self.deadline - CHECK_SECONDS)

    def note_check(self, now: float) -> None:
        """The last look before the end."""
        self.was_held_up = now - self.due > LATE_SECONDS
        self.due = self.deadline

    def note_question(self, now: float) -> None:
        """The store is asked whether it has kept the lease."""
        self.was_late = True
        self.was_held_up = False
        self.due = now + QUESTION_SECONDS

    def may_have_been_kept(self, now: float) -> bool:
        """Whether the store may hold the lease although it is over by our clock.

        It does if this process did not run in time to ask, or to look, and its session has
        been open all the time.
        """
        if self.session is None or not self.terms.renews:
            return False
        if self.in_doubt or self.trouble is not None:
            return False
        was_held_up = self.was_held_up or now - self.due > LATE_SECONDS
        may_have_been = was_held_up or not self.is_asked
        return may_have_been and self.is_surely_bound()

    def why_over(self) -> str:
        """Why the lease has ended, if it has ended by our clock."""
        if self.in_doubt:
            return "releasing it failed, and its lease ran out"
        if self.trouble is not None:
            return f"its lease could not be renewed in time: {self.trouble}"
        if not self.terms.renews:
            return "its lease ran out, and renew=False"
        return "its lease ran out, since this process did not run in time to renew it"


def _is_needed(place: str, will: Will) -> bool:
    """Whether a will covers something that this process holds, or waits for, there."""
    from sharedstate.watchdog import WATCHDOG

    tag = str(will.arguments[0])
    nonces = [
        lease.grant.owner.nonce
        for lease in list(WATCHDOG.held)
        if lease.terms.place == place
    ]
    nonces += [
        waiting.owner.nonce
        for waiting in list(WATCHDOG.waiting)
        if waiting.terms.place == place
    ]
    # After the tag comes the mark of what is renewed, or of what is not.
    return any(nonce.startswith((f"{tag}k", f"{tag}n")) for nonce in nonces)


def ask_to_renew(backend: Backend, leases: Sequence[Lease]) -> list[Any]:
    """Send renewals in one round trip. A reply for each, or the exception it met."""
    try:
        renew = getattr(leases[0].terms.strategy, "renew", None)
        if renew is not None:
            replies: list[Any] = renew([lease.grant for lease in leases])
            return replies
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
