"""The contract of lock strategies: how a lock is granted, kept, released, waited for.

The work is split in two. `sharedstate.structures.lock.Lock` is what users hold: it has
the names of `threading.Lock`, blocks, counts down time-outs, keeps the lease alive and
notices its loss. A strategy speaks to the store. It keeps no state between calls but
what it was made with, so that one strategy object serves all threads of a process.

A grant is what makes somebody the holder. It carries a fencing token: a number that
rises with every grant of that name, for ever, by which a guarded resource can refuse a
late holder. A refusal says how long it is worth waiting before asking again even if no
wake-up comes: a wake-up can be lost with the process that it was meant for.

Invariant: whatever a strategy does to the store for one call, it does in one atomic
step (a script), and "who holds it" and "until when" are the store's to decide.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from sharedstate.backend import Argument, Backend, Key, Script


@dataclass(frozen=True, slots=True)
class LockTarget:
    """What a strategy locks: one name on one backend.

    `key(part)` names the keys it may use; all of them live in one cluster slot.
    """

    backend: Backend
    name: str
    prefix: str
    ttl_ms: int

    def key(self, part: str) -> str:
        """The store's key for one part of this lock."""
        return f"{self.prefix}:{part}"


@dataclass(frozen=True, slots=True)
class Owner:
    """Who asks: unique in every process, thread and acquisition.

    `identity` stays the same for one process and thread (a reentrant strategy knows its
    owner by it); `nonce` differs for each acquisition. `description` is what `info()`
    shows: host, pid, thread, and since when by the holder's clock, as JSON.
    """

    identity: str
    nonce: str
    description: str


@dataclass(frozen=True, slots=True)
class Grant:
    """The lock was granted. `fencing` is the token, `holds` how often it is now held."""

    owner: Owner
    fencing: int
    holds: int = 1


@dataclass(frozen=True, slots=True)
class Refusal:
    """The lock is taken. Ask again after `retry_after_ms`, or when woken before."""

    retry_after_ms: int


@dataclass(frozen=True, slots=True)
class Holder:
    """One of those who hold a lock, as `Lock.info()` tells it."""

    host: str
    pid: int
    thread: str
    since: float
    """Unix time of the grant, in seconds, by the holder's clock."""


@dataclass(frozen=True, slots=True)
class LockInfo:
    """The state of a lock at one moment."""

    name: str
    holders: tuple[Holder, ...]
    remaining: float | None
    """Seconds until the lease ends unless it is renewed; None when nobody holds it."""
    waiters: int
    fencing: int
    """The last fencing token that was granted; 0 before the first."""


@dataclass(frozen=True, slots=True)
class Renewal:
    """A script call that renews one lease, for many to travel in one batch.

    It replies 1 when the lease goes on, and 0 when it is over.
    """

    script: Script
    keys: Sequence[Key]
    arguments: Sequence[Argument]


class LockStrategy(Protocol):
    """What a lock plugin provides."""

    def try_acquire(self, owner: Owner, *, waiting: bool) -> Grant | Refusal:
        """Ask once. With `waiting`, a refusal also announces that the owner will wait.

        One round trip.
        """

    def wait(self, owner: Owner, timeout: float) -> None:
        """Block until a release may have made room, or `timeout` seconds passed.

        Uses a blocking command, never polling. May return early. A wait that returns has
        used the announcement up: the next `try_acquire` makes a new one.
        """

    def stop_waiting(self, owner: Owner) -> None:
        """Take back what `try_acquire(waiting=True)` announced and no `wait` used up.

        One round trip.
        """

    def release(self, grant: Grant) -> int | None:
        """Release one hold, and wake a waiter if it was the last. One round trip.

        Returns how many holds are left; None when the owner does not hold the lock.
        """

    def renewal(self, grant: Grant) -> Renewal:
        """The script call that gives the grant its full lease time again."""

    def inspect(self) -> LockInfo:
        """Who holds the lock, and until when. One round trip."""

    def force_release(self) -> bool:
        """Release whoever holds the lock; True if somebody did. One round trip."""
