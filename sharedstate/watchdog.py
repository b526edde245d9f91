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
from time import monotonic
from typing import TYPE_CHECKING, Any

from sharedstate.leases import ask_to_renew
from sharedstate.log import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from sharedstate.backend import Backend
    from sharedstate.leases import Lease, LeaseTerms

IDLE_SECONDS = 60.0
"""A renewing thread that had nothing to do for so long ends, and its connection too."""

_FOREVER = float("inf")


class Watchdog:
    """The one of this process. No thread, and no cost, before the first lease."""

    def __init__(self) -> None:
        self.held: set[Lease] = set()
        """The leases that are held. Adding and removing are atomic."""
        self._renewers: weakref.WeakKeyDictionary[Backend, _Renewer] = (
            weakref.WeakKeyDictionary()
        )
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
        """Whether the lease goes on, as far as this process can know by itself."""
        return lease in self.held and monotonic() < lease.deadline

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
        threading.Thread(
            target=_tell, args=(lease.terms, reason), name="sharedstate-lost", daemon=True
        ).start()

    # The thread.

    def _wake(self, due: float) -> None:
        with self._call:
            # From now on the thread is sure to look then; who comes later may rely on
            # it, even before the thread has come to run.
            self._on_guard = self._next_look = due
            if self._thread is None:
                self._start()
            self._call.notify()

    def _start(self) -> None:
        if not self._registered:
            os.register_at_fork(after_in_child=self._start_in_child)
            self._registered = True
        self._thread = threading.Thread(
            target=self._run, name="sharedstate-watchdog", daemon=True
        )
        self._thread.start()

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
        due: dict[Backend, list[Lease]] = {}
        for lease in list(self.held):
            if lease.due > now:
                continue
            if lease.deadline <= now:
                self.lose(lease, lease.why_over())
            else:
                # Until the answer is there, the next thing to look for is the end.
                lease.due = lease.deadline
                if lease.terms.renews and not lease.in_doubt:
                    due.setdefault(lease.terms.backend, []).append(lease)
        for backend, leases in due.items():
            renewer = self._renewers.get(backend)
            if renewer is None:
                renewer = self._renewers[backend] = _Renewer(self._renew_batch)
            renewer.add(leases)

    def _renew_batch(self, leases: list[Lease]) -> None:
        asked_at = monotonic()
        self._settle(leases, asked_at, ask_to_renew(leases[0].terms.backend, leases))

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
            self._due += leases
            if not self._running:
                self._running = True
                threading.Thread(
                    target=self._run, name="sharedstate-renewals", daemon=True
                ).start()
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


def _log_failure(what: str) -> None:
    """A mistake of ours, or no thread to be had. Leases at worst run out, and say so."""
    get_logger("locks").exception("%s failed; going on", what)


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
