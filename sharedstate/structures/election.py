"""LeaderElection: one leader at a time among those who stand for it.

    with state.election("scheduler", on_elected=start_work, on_lost=stop_work): …

A candidate has a thread that waits for the fair lock of the election's name, first come
first served, and holds it while it leads. `election_campaign.py` is that thread.

How long is there to stop, when leadership is lost? `on_lost` is called

- before the lock is given away, when this candidate resigns or stops: the next one is
  elected after it has returned;
- by this process's own steady clock, when the lease could not be renewed: 1 % of the `ttl`
  and 2 ms before the store gives the lock to another (150 ms for 15 s). A process that was
  stopped is told when it runs again, which can be too late: no clock prevents that.
  Whatever must never be done by two carries the `token`, and is refused by it;
- when it is noticed, if somebody took the lock by force.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from sharedstate.errors import ConfigError, LockError, LockNotOwned
from sharedstate.structures.base import Structure
from sharedstate.structures.election_campaign import Campaign
from sharedstate.structures.lock import Lock
from sharedstate.waiting import Deadline, to_seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import timedelta
    from types import TracebackType
    from typing import Any, Self

    from sharedstate.locking import Holder, LockInfo
    from sharedstate.structures.base import StructureContext

DEFAULT_TTL = 15.0


class LeaderElection(Structure):
    """A candidate for the leadership of a name. A context manager: `start` and `stop`.

    `on_elected(token)` and `on_lost(token)` are called in pairs, and never two at a time
    but for a loss while `on_elected` still runs. `on_elected` should start the work and
    return; it runs on the candidate's thread, `on_lost` there or on another one. One that
    raises is logged; after `on_elected` the candidate resigns, and stands again a `ttl`
    later.

    In a forked child nobody stands, and nobody leads, until `start` is called there. A
    process that dies is followed at once where the backend has sessions, and otherwise when
    its lease ends.
    """

    def __init__(self, context: StructureContext, options: Mapping[str, object]) -> None:
        super().__init__(context, options)
        given = dict(options)
        ttl = given.pop("ttl", DEFAULT_TTL)
        self._on_elected = _callback("on_elected", given.pop("on_elected", None))
        self._on_lost = _callback("on_lost", given.pop("on_lost", None))
        if given:
            raise ConfigError(
                f"an election has no option {', '.join(given)}; it has ttl, on_elected and "
                f"on_lost"
            )
        self._lock = Lock(
            context,
            {
                "strategy": "fair",
                "ttl": ttl,
                "on_lost": self._hear_of_loss,
                "find_deadlocks": False,
            },
        )
        self._pause_seconds = to_seconds(ttl)  # type: ignore[arg-type]
        self._campaign: Campaign | None = None

    def start(self) -> None:
        """Stand for election, on a thread of its own, until `stop`. No round trip.

        Raises `LockError` if this candidate stands already.
        """
        campaign = self._begin()
        name = f"sharedstate-election-{self.name}"
        threading.Thread(target=campaign.run, name=name, daemon=True).start()

    def run(self) -> None:
        """Stand for election on this thread: returns after `stop`, from another thread or a
        callback. An exception that is raised here (Ctrl-C) resigns first.
        """
        self._begin().run()

    def stop(self, timeout: float | timedelta | None = None) -> bool:
        """Stand no longer; a leader resigns. Whether that is done, within `timeout`
        seconds.

        Waits for the callbacks to return, unless a callback is what calls it. Twice is
        fine. Two round trips.
        """
        campaign = self._current()
        if campaign is None:
            return True
        campaign.stop()
        return campaign.wait_ended(None if timeout is None else to_seconds(timeout))

    def resign(self) -> bool:
        """Give the leadership up, if this candidate has it; whether it had.

        Returns when it is given up: `on_lost` has been called. The candidate stands again,
        behind those who wait; if nobody does, it is elected again. One round trip.
        """
        campaign = self._current()
        return campaign is not None and campaign.resign()

    def wait_elected(self, timeout: float | timedelta | None = None) -> bool:
        """Wait until this candidate is the leader; False if it is not within `timeout`
        seconds, or does not stand any more. No round trip.
        """
        campaign = self._current()
        if campaign is None:
            return False
        deadline = Deadline(None if timeout is None else to_seconds(timeout))
        return campaign.wait_elected(deadline)

    @property
    def is_leader(self) -> bool:
        """Whether this candidate leads, by its own clock. No round trip."""
        campaign = self._current()
        return campaign is not None and campaign.leads()

    @property
    def token(self) -> int:
        """The fencing token of this leadership: higher than that of every leader before. No
        round trip. Raises `LockNotOwned` if this candidate does not lead.
        """
        campaign = self._current()
        token = None if campaign is None else campaign.token()
        if token is None:
            raise LockNotOwned(
                f"this candidate does not lead the election {self.name!r}: on_elected is "
                f"called when it does"
            )
        return token

    def leader(self) -> Holder | None:
        """Who leads, and since when; None if nobody does at this moment. One round trip."""
        return next(iter(self._lock.info().holders), None)

    def info(self) -> LockInfo:
        """Who leads, and who stands for election, in their order. One round trip."""
        return self._lock.info()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _begin(self) -> Campaign:
        if self._current() is not None:
            raise LockError(
                f"this candidate stands in the election {self.name!r} already: stop() it "
                f"first, or make another handle for another candidate"
            )
        self._campaign = Campaign(
            self._lock, self._on_elected, self._on_lost, self._pause_seconds
        )
        return self._campaign

    def _hear_of_loss(self, lock: Lock) -> None:
        # That the lease keeps this handle alive by it does no harm: the thread of the
        # campaign releases it whatever happens.
        campaign = self._current()
        if campaign is not None:
            campaign.lose()

    def _current(self) -> Campaign | None:
        """The campaign of this process, if one is going on."""
        campaign = self._campaign
        if campaign is None or campaign.pid != os.getpid() or campaign.has_ended:
            return None
        return campaign


def _callback(name: str, function: Any) -> Callable[[int], object] | None:
    if function is not None and not callable(function):
        raise ConfigError(f"expected {name} to be callable, got {function!r}")
    return function  # type: ignore[no-any-return]
