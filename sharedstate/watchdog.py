"""The watchdog: one thread a process, which keeps the leases of the process alive.

Whoever holds a lock holds it on a lease, which ends by itself unless it is renewed. The
watchdog has every lease of the process renewed after a third of its time, in one batch a
backend, and says so when one is lost: because the store says so, or because its time has
passed by this process's own steady clock, counted from *before* the request was sent
that began it, less a margin. A process that was stopped, or cut off, so finds out no
later than the store gives the lock to another, if it runs at all.

The watchdog only watches the clock, and never waits for a store. What may take its time
is left to others: renewals to one renewing thread a backend, so that a store which hangs
neither delays the news of a loss nor holds up other stores; news to a thread of its own.

    Invariant: a lease in `held` is held. Whoever removes it from there, the one who
    releases it or the watchdog that gives it up, decides alone what becomes of it.

An acquisition adds to that set and goes on. It wakes the watchdog only if it has to look
at this lease before it meant to look again, which is once in a third of a lease time
and not once for each lock: woken, the watchdog stays on guard for that long, even if the
lock was released meanwhile, and then sleeps until it is called. Threads do not survive a
fork, and neither does `held`: a child does not hold what its parent holds.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections import deque
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any, Protocol

from sharedstate.errors import SharedStateError
from sharedstate.leases import LEASE_BINDING, RETRY_AFTER, ask_to_renew
from sharedstate.log import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from sharedstate.backend import Backend
    from sharedstate.leases import Lease, LeaseTerms
    from sharedstate.locking import LockStrategy, Owner

IDLE_SECONDS = 60.0
"""A renewing thread that had nothing to do for so long ends, and its connection too."""

SHORT_SECONDS = 0.1
"""How long what is in use is known: who comes later has just been seen by its session."""

_FOREVER = float("inf")


class SupportsTerms(Protocol):
    """Who waits for a lease."""

    terms: LeaseTerms
    owner: Owner


class Watchdog:
    """The one of this process. No thread, and no cost, before the first lease."""

    def __init__(self) -> None:
        self.held: set[Lease] = set()
        """The leases that are held. Adding and removing are atomic."""
        self.waiting: list[SupportsTerms] = []
        """Those of this process who wait for a lease, in the order in which they began."""
        self._used: set[str] = set()
        self._used_at = 0.0
        self._renewers: weakref.WeakKeyDictionary[Any, _Renewer] = (
            weakref.WeakKeyDictionary()
        )
        self._abandoned: deque[Lease] = deque()
        self._registered = False
        self._forget_threads()

    def _forget_threads(self) -> None:
        self._thread: threading.Thread | None = None
        self._call = threading.Condition()
        # When the thread will look again at the latest; for ever while nobody can know,
        # so that whoever adds a lease meanwhile calls it.
        self._next_look = _FOREVER
        # Up to when it is on guard, whether anything is held or not.
        self._on_guard = 0.0
        # Guards what is told of a loss: a reason and an event.
        self._news = threading.RLock()

    def _start_in_child(self) -> None:
        """In a forked child: its parent's leases are not its own."""
        self.held.clear()
        self.waiting.clear()
        self._abandoned.clear()
        self._renewers.clear()
        self._forget_threads()

    # What holders call.

    def watch(self, lease: Lease) -> None:
        """Hold a lease from now on, and have it renewed."""
        self.held.add(lease)
        if lease.due < self._next_look:
            self._wake(lease.due)

    def claim(self, lease: Lease) -> bool:
        """Stop holding a lease; False if somebody else decided about it before."""
        try:
            self.held.remove(lease)
        except KeyError:
            return False
        return True

    def is_held(self, lease: Lease) -> bool:
        """Whether the lease goes on, as far as this process can know by itself.

        If the process did not run for so long that it cannot know, and its session may have
        kept the lease, the store is asked: one round trip.
        """
        if lease not in self.held:
            return False
        now = monotonic()
        if now < lease.deadline:
            return True
        if not (lease.was_late or lease.may_have_been_kept(now)):
            return False
        try:
            return self.renew(lease)
        except SharedStateError:
            return False

    def let_run_out(self, lease: Lease) -> None:
        """Hold a lease whose release failed, without renewing it."""
        lease.in_doubt = True
        lease.due = lease.deadline
        self.watch(lease)

    def renew(self, lease: Lease) -> bool:
        """Renew a lease now, on the caller's thread; False if it is over."""
        self._settle([lease], monotonic(), ask_to_renew(lease.terms.backend, [lease]))
        if lease.trouble is not None:
            raise lease.trouble
        return lease.lost_because is None

    def lose(self, lease: Lease, reason: str) -> None:
        """Give a lease up, if nobody else decided about it before."""
        with self._news:
            if self.claim(lease):
                self._publish(lease, reason)

    def report(self, lease: Lease, reason: str) -> None:
        """A lease that the caller has claimed turned out to be lost."""
        with self._news:
            self._publish(lease, reason)

    def lose_those_of(self, backend: Backend) -> None:
        """The program has closed its connections to a store, whose sessions have thereby
        ended: the store frees what was bound to them.
        """
        for lease in list(self.held):
            if lease.terms.backend is backend and lease.session is not None:
                self.lose(lease, "this program closed its connection to the store")

    def abandon(self, lease: Lease) -> None:
        """Hold a lease no more whose handle is gone. For finalizers: neither waits nor
        locks. Where it is bound to a session, which would keep it, it is given back when
        the thread looks next; elsewhere it runs out.
        """
        if self.claim(lease) and lease.session is not None:
            self._abandoned.append(lease)

    def give_back(self, lease: Lease) -> None:
        """Let the store know, on a thread of its own, that a lease is not held: one of
        whose grant nobody has heard, and which was never watched.
        """
        _start_giving_back(lease)

    def reason(self, lease: Lease) -> str | None:
        """Why the lease was lost; None if it was not."""
        with self._news:
            return lease.lost_because

    def event(self, lease: Lease) -> threading.Event:
        """The event that is set when the lease is lost. Made when it is asked for."""
        with self._news:
            if lease.event is None:
                lease.event = threading.Event()
                if lease.lost_because is not None:
                    lease.event.set()
            return lease.event

    def _publish(self, lease: Lease, reason: str) -> None:
        lease.lost_because = reason
        if lease.event is not None:
            lease.event.set()
        # A session would keep it, and of a thread's hold there could be others.
        is_bound = getattr(lease.terms.strategy, "is_thread_bound", False)
        if lease.session is not None or is_bound:
            self._abandoned.append(lease)
        telling = threading.Thread(
            target=_tell, args=(lease.terms, reason), name="sharedstate-lost", daemon=True
        )
        try:
            telling.start()
        except RuntimeError:
            _log_failure("starting a thread to tell of a loss")
            _tell(lease.terms, reason)

    # The thread.

    def _wake(self, due: float) -> None:
        with self._call:
            # From now on the thread is sure to look then; who comes later may rely on
            # it, even before the thread has come to run.
            self._on_guard = self._next_look = due
            if self._thread is None:
                try:
                    self._start()
                except BaseException:
                    # Whoever comes next tries again.
                    self._next_look = _FOREVER
                    raise
            self._call.notify()

    def _start(self) -> None:
        if not self._registered:
            os.register_at_fork(after_in_child=self._start_in_child)
            self._registered = True
        thread = threading.Thread(
            target=self._run, name="sharedstate-watchdog", daemon=True
        )
        thread.start()
        self._thread = thread

    def _run(self) -> None:
        call = self._call
        while True:
            with call:
                now = monotonic()
                self._next_look = soonest = self._soonest(now)
                call.wait(None if soonest == _FOREVER else max(0.0, soonest - now))
                self._next_look = _FOREVER
            try:
                self._look()
            except Exception:
                _log_failure("looking after leases")

    def _soonest(self, now: float) -> float:
        guard = self._on_guard if self._on_guard > now else _FOREVER
        return min(guard, *(lease.due for lease in list(self.held)), _FOREVER)

    def _look(self) -> None:
        """Give up what is over, and have renewed what is due."""
        now = monotonic()
        due: dict[Any, list[Lease]] = {}
        for lease in list(self.held):
            if lease.due <= now and self._has_to_be_asked_for(lease, now):
                due.setdefault(_renewed_by(lease), []).append(lease)
        for backend, leases in due.items():
            renewer = self._renewers.get(backend)
            if renewer is None:
                renewer = self._renewers[backend] = _Renewer(self._renew_batch)
            try:
                renewer.add(leases)
            except RuntimeError as error:
                # No thread is to be had: each is tried again.
                for lease in leases:
                    lease.postpone(error)
        while self._abandoned:
            _start_giving_back(self._abandoned[0])
            self._abandoned.popleft()

    def _has_to_be_asked_for(self, lease: Lease, now: float) -> bool:
        """Whether the store has to be asked about a lease that is due. What is over without
        a question is given up.
        """
        if lease.deadline <= now:
            if lease.may_have_been_kept(now):
                lease.note_question(now)
                return True
            self.lose(lease, lease.why_over())
        elif lease.is_asked:
            lease.note_check(now)
        elif lease.terms.renews and not lease.in_doubt:
            lease.note_asked()
            return True
        else:
            lease.due = lease.deadline
        return False

    def _renew_batch(self, leases: list[Lease]) -> None:
        asked_at = monotonic()
        self._settle(leases, asked_at, ask_to_renew(leases[0].terms.backend, leases))
        self._tend_sessions(leases)

    def _tend_sessions(self, leases: list[Lease]) -> None:
        """Open sessions anew that broke, and let what nobody uses be unbound one day."""
        for lease in leases:
            if lease.session is None:
                continue
            try:
                lease.terms.session()
            except SharedStateError as error:
                # The lease is renewed all the same: it is bound to its process later.
                get_logger("locks").debug("no session for %r: %s", lease.terms.name, error)

    def is_idle(self, binding: str) -> bool:
        """Whether a will is that of leases, and nobody holds one or waits for one."""
        now = monotonic()
        if now - self._used_at > SHORT_SECONDS:
            self._used = {lease.terms.binding for lease in list(self.held)}
            self._used |= {waiter.terms.binding for waiter in list(self.waiting)}
            self._used_at = now
        name = binding.rpartition("#")[0] or binding
        return name.startswith(LEASE_BINDING) and name not in self._used

    def _settle(self, leases: list[Lease], asked_at: float, replies: list[Any]) -> None:
        """Apply the answers, given in the order of the leases."""
        for lease, reply in zip(leases, replies, strict=True):
            if isinstance(reply, Exception):
                lease.postpone(reply)
            elif reply == 1:
                lease.extend(asked_at)
            elif not lease.in_doubt:
                self.lose(lease, "the store says that its lease is over")
            if lease.due < self._next_look:
                self._wake(lease.due)


class _Renewer:
    """A thread that renews the leases of one backend, and ends when there are none."""

    def __init__(self, renew: Callable[[list[Lease]], None]) -> None:
        self._renew = renew
        self._due: list[Lease] = []
        self._call = threading.Condition()
        self._running = False

    def add(self, leases: list[Lease]) -> None:
        """Have these renewed, with whatever waits already."""
        with self._call:
            if not self._running:
                # It waits for us to let go of what it takes first.
                threading.Thread(
                    target=self._run, name="sharedstate-renewals", daemon=True
                ).start()
                self._running = True
            self._due += leases
            self._call.notify()

    def _run(self) -> None:
        while batch := self._take():
            try:
                self._renew(batch)
            except Exception:
                _log_failure("renewing leases")
            # An idle thread keeps no backend alive.
            batch.clear()

    def _take(self) -> list[Lease]:
        """The next batch; an empty one when the thread has to end."""
        with self._call:
            self._call.wait_for(lambda: self._due, IDLE_SECONDS)
            batch, self._due = self._due, []
            self._running = bool(batch)
            return batch


def _renewed_by(lease: Lease) -> Backend | LockStrategy:
    """What leases have in common that are renewed in one batch, by one thread: the backend,
    or a strategy that renews by itself.
    """
    terms = lease.terms
    return terms.strategy if hasattr(terms.strategy, "renew") else terms.backend


def _log_failure(what: str) -> None:
    """A mistake of ours, or no thread to be had. Leases at worst run out, and say so."""
    get_logger("locks").exception("%s failed; going on", what)


def _start_giving_back(lease: Lease) -> None:
    threading.Thread(
        target=_give_back, args=(lease,), name="sharedstate-giving-back", daemon=True
    ).start()


def _give_back(lease: Lease) -> None:
    """Let the store know that a lease is not held any more.

    Its session is alive, and would keep it for ever. Where the store is not reached, the
    session has ended too, so it is enough to try for as long as a lease lasts.
    """
    terms = lease.terms
    for _ in range(round(1 / RETRY_AFTER)):
        try:
            terms.strategy.leave(lease.grant.owner)
        except SharedStateError:
            sleep(terms.retry_seconds)
        else:
            return
    if lease.session is not None and lease.session.is_open():
        get_logger("locks").warning(
            "the lock %r could not be given back, and is held until this process ends",
            terms.name,
        )


def _tell(terms: LeaseTerms, reason: str) -> None:
    """Tell the log and the program of a loss."""
    log = get_logger("locks")
    log.warning("the lock %r was lost: %s", terms.name, reason)
    if terms.on_lost is None:
        return
    try:
        terms.on_lost()
    except Exception:
        log.exception("on_lost of the lock %r failed", terms.name)


WATCHDOG = Watchdog()
"""The watchdog of this process."""
