"""What one semaphore handle holds in one process: the books of its acquisitions."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from dataclasses import dataclass, replace
from threading import get_ident
from time import monotonic
from typing import TYPE_CHECKING

from sharedstate.watchdog import WATCHDOG

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sharedstate.leases import Lease


@dataclass(slots=True)
class Part:
    """What one call of `release` takes from one acquisition."""

    lease: Lease
    taken: int
    left: int
    is_lost: bool
    is_in_doubt: bool = False

    def be_in_doubt(self) -> None:
        """The answer of the release was lost. What is released wholly is renewed no
        more."""
        self.is_in_doubt = True
        if not self.left:
            self.lease.in_doubt = True

    def was_surely_held(self) -> bool:
        """Whether it was held when the release was sent, although the store knows nothing
        of it now: then the release has worked.
        """
        is_good = self.is_in_doubt and monotonic() < self.lease.deadline
        return is_good and self.lease.is_surely_bound()


class Holdings:
    """The acquisitions of one handle in one process, in their order. Safe for threads."""

    __slots__ = ("_leases", "_lock", "pid")

    def __init__(self) -> None:
        self.pid = os.getpid()
        self._lock = threading.Lock()
        self._leases: list[Lease] = []

    def keep(self, lease: Lease) -> None:
        """Add an acquisition."""
        with self._lock:
            self._leases.append(lease)

    def take_back(self, lease: Lease) -> None:
        """An acquisition was interrupted after all: it has never been."""
        with self._lock, suppress(ValueError):
            self._leases.remove(lease)

    def leases(self) -> list[Lease]:
        """The acquisitions that are held, or were lost and not told as such yet."""
        with self._lock:
            return list(filter(_is_known, self._leases))

    def count(self) -> int:
        """How many permits are held."""
        return sum(lease.grant.holds for lease in self.leases() if WATCHDOG.is_held(lease))

    def latest(self) -> Lease | None:
        """The latest acquisition of this thread, or else of any."""
        leases = self.leases()
        mine = [lease for lease in leases if lease.thread == get_ident()]
        chosen = mine or leases
        return chosen[-1] if chosen else None

    def take(self, n: int) -> list[Part] | None:
        """Take `n` permits out of the books; None, and nothing, if there are fewer.

        This thread's acquisitions come first, the latest before the others; of those of
        other threads the lost ones last.
        """
        me = get_ident()
        with self._lock:
            known = list(filter(_is_known, self._leases))
            mine = [lease for lease in reversed(known) if lease.thread == me]
            others = [lease for lease in known if lease.thread != me]
            others.sort(key=lambda lease: lease not in WATCHDOG.held)
            parts = []
            for lease in (*mine, *others):
                taken = min(n, lease.grant.holds)
                if taken:
                    parts.append(Part(lease, taken, lease.grant.holds - taken, False))
                    n -= taken
            if n:
                return None
            for part in parts:
                self._take_out(part)
            return parts

    def put_back(self, parts: Sequence[Part]) -> None:
        """What was taken out could not be released: it is still there. A lease that nothing
        was to be left of is not renewed any more.
        """
        with self._lock:
            for part in parts:
                self._count(part.lease, part.taken)
                if not part.left:
                    self._leases.append(part.lease)
        for part in parts:
            if not part.left:
                WATCHDOG.let_run_out(part.lease)

    def lose(self, part: Part) -> None:
        """The store says that an acquisition was over when it was to be released."""
        reason = "when it was released, its lease was over"
        if part.left:
            WATCHDOG.lose(part.lease, reason)
            with self._lock:
                if part.lease in self._leases:
                    self._leases.remove(part.lease)
        else:
            WATCHDOG.report(part.lease, reason)

    def abandon(self) -> None:
        """The handle is gone. For finalizers: does not lock."""
        for lease in self._leases:
            WATCHDOG.abandon(lease)

    def _take_out(self, part: Part) -> None:
        self._count(part.lease, -part.taken)
        if part.left:
            part.is_lost = part.lease not in WATCHDOG.held
        else:
            part.is_in_doubt = part.lease.in_doubt
            part.is_lost = not WATCHDOG.claim(part.lease)
        if part.is_lost or not part.left:
            self._leases.remove(part.lease)

    @staticmethod
    def _count(lease: Lease, change: int) -> None:
        lease.grant = replace(lease.grant, holds=lease.grant.holds + change)


def _is_known(lease: Lease) -> bool:
    """Whether a lease is held or lost: not if its acquisition was interrupted, or is just
    being made.
    """
    return lease in WATCHDOG.held or WATCHDOG.reason(lease) is not None
