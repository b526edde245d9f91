"""Wakers: what a waiter listens on while it stands in a line.

Whoever waits for a lock or a permit joins a line on the store (`line.lua`), and leaves
there the name of a channel that only it listens on. The script that makes room publishes to
the channel of the one who is next: nobody else is woken, nobody asks while nothing changes,
and the store knows by the number of receivers whether that one is still there.

    Invariant: a waker listens before its channel is given to a line, and one whose place in
    a line is in doubt is closed and never used again. So whoever receives on a channel that
    stands in a line is the one who waits there.

A subscription has a connection of its own, and costs a round trip to begin; a few are kept
for the next who wait.
"""

from __future__ import annotations

import os
from itertools import count
from typing import TYPE_CHECKING

from sharedstate.identity import process_salt

if TYPE_CHECKING:
    from sharedstate.backend import Backend, Subscription

KEPT = 4
"""Wakers that are kept for each backend while nobody waits: each holds a connection."""

_ATTRIBUTE = "_sharedstate_wakers"

_numbers = count(1)


class Waker:
    """A channel of its own, under subscription. Used by one waiter at a time."""

    __slots__ = ("_subscription", "channel")

    def __init__(self, backend: Backend) -> None:
        """Subscribe. One round trip; raises `BackendError`."""
        self.channel = f"ss:wake:{process_salt()}:{next(_numbers):x}"
        self._subscription: Subscription = backend.subscribe([self.channel])

    def wait(self, seconds: float) -> bool:
        """Block until this channel is called, or time passed; whether it was called.

        A call may have been meant for an earlier waiter, who had given up when it came: it
        costs one needless question. Raises `BackendError` when the connection broke: then a
        call may have been missed, and the waker has to be closed.
        """
        return self._subscription.get(max(0.0, seconds)) is not None

    def close(self) -> None:
        """Stop listening: from now on the store finds nobody at this channel."""
        self._subscription.close()


class _Pool:
    """The wakers that are kept for one backend, in the process that made them."""

    __slots__ = ("pid", "wakers")

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.wakers: list[Waker] = []


def take_waker(backend: Backend) -> Waker:
    """A waker for one wait: a kept one, or a new one for one round trip."""
    try:
        return _pool_of(backend).wakers.pop()
    except IndexError:
        return Waker(backend)


def give_back(backend: Backend, waker: Waker) -> None:
    """Keep a waker that stands in no line for the next who waits, or close it."""
    kept = _pool_of(backend).wakers
    if len(kept) < KEPT:
        kept.append(waker)
    else:
        waker.close()


def _pool_of(backend: Backend) -> _Pool:
    """The pool of a backend, which hangs on it: a table here would keep the backend alive,
    since its wakers refer to it. A forked child begins anew.
    """
    pool: _Pool | None = vars(backend).get(_ATTRIBUTE)
    if pool is None or pool.pid != os.getpid():
        pool = vars(backend)[_ATTRIBUTE] = _Pool()
    return pool
