"""The contract of lock strategies: how a lock is granted, kept, released, waited for.

The work is split in two. `sharedstate.structures.lock.Lock` is what users hold: it has
the names of `threading.Lock`, blocks, counts down time-outs, keeps the lease alive and
notices its loss. A strategy speaks to the store. It keeps no state between calls but
what it was made with, so that one strategy object serves all threads of a process.

A grant is what makes somebody the holder. It carries a fencing token: a number that
rises with every grant of that name, for ever, by which a guarded resource can refuse a
late holder. A refusal says how long it is worth waiting before asking again even if nobody
calls: whoever was to call can have died.

Invariant: whatever a strategy does to the store for one call, it does in one atomic
step (a script), and "who holds it" and "until when" are the store's to decide.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from sharedstate.backend import Argument, Backend, Key, Script
    from sharedstate.sessions import Will


@dataclass(frozen=True, slots=True)
class LockTarget:
    """What a strategy locks: one name on one backend.

    `key(part)` names the keys it may use; all of them live in one cluster slot.
    """

    backend: Backend
    name: str
    prefix: str
    ttl_ms: int
    waits_key: str | None = None
    """The key of what is known of all who wait, where deadlocks are to be found. Scripts
    may touch the keys of other locks as well then."""

    def key(self, part: str) -> str:
        """The store's key for one part of this lock."""
        return f"{self.prefix}:{part}"


@dataclass(frozen=True, slots=True)
class Owner:
    """Who asks: unique in every process, thread and acquisition.

    `identity` stays the same for one process and thread (a reentrant strategy knows its
    owner by it); `nonce` differs for each acquisition. Both begin with the tag of this
    process's session, and `k` if the lease is to be kept alive with it. `description` is
    what `info()` shows: host, pid, thread, since when by the holder's clock, and the line
    of code that asked where deadlocks are looked for, as JSON.
    """

    identity: str
    nonce: str
    description: str
    is_patient: bool = False
    """Whether it means to wait for ever, so that a deadlock is worth looking for."""


@dataclass(frozen=True, slots=True)
class Grant:
    """The lock was granted. `fencing` is the token, `holds` how often it is now held."""

    owner: Owner
    fencing: int
    holds: int = 1


@dataclass(frozen=True, slots=True)
class GrantOfSeveral(Grant):
    """Several names were granted at once: the token of each, in the order of the names.
    `fencing` is the highest of them.
    """

    numbers: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Refusal:
    """The lock is taken. Ask again after `retry_after_ms`, or when called before."""

    retry_after_ms: int
    is_holding: bool = False
    """Whether the owner may hold a part of what it asked for, and so has to be punctual."""


@dataclass(frozen=True, slots=True)
class Holder:
    """One of those who hold a lock, or wait for it, as `Lock.info()` tells it."""

    host: str
    pid: int
    thread: str
    since: float
    """Unix time of the grant, or of the question, in seconds, by that one's own clock."""
    mode: str = ""
    """What is held where that differs: `read` or `write`, a number of permits, …"""


@dataclass(frozen=True, slots=True)
class LockInfo:
    """The state of a lock at one moment."""

    name: str
    holders: tuple[Holder, ...]
    remaining: float | None
    """Seconds until the lease ends unless it is renewed; None when nobody holds it."""
    waiters: int
    """How many wait."""
    fencing: int
    """The last fencing token that was granted; 0 before the first."""
    line: tuple[Holder, ...] = field(default=())
    """Those who wait, in the order in which they came: the first 1,000 of them."""


@dataclass(frozen=True, slots=True)
class Renewal:
    """A script call that renews one lease, for many to travel in one batch.

    It replies 1 when the lease goes on, and 0 when it is over.
    """

    script: Script
    keys: Sequence[Key]
    arguments: Sequence[Argument]


class LockStrategy(Protocol):
    """What a lock plugin provides.

    One whose owner is a thread also has `is_thread_bound = True`: then no other thread may
    release what a thread has acquired. One that calls nobody has `calls_waiters = False`:
    who waits then sleeps until the refusal says to ask again, and gives no channel.
    """

    def try_acquire(self, owner: Owner, channel: str | None) -> Grant | Refusal:
        """Ask once; the same owner may ask again, and is granted once.

        With a channel, a refusal also puts the owner into the line of those who wait, or
        leaves it where it stands there. It is to be called by a message on that channel,
        and then has to ask again. One round trip.
        """

    def leave(self, owner: Owner) -> None:
        """Give up: neither wait nor hold what may have been granted meanwhile, and let
        the next one have it. Repeatable. One round trip.
        """

    def release(self, grant: Grant) -> int | None:
        """Release one hold, and let the next one have it if it was the last.

        Returns how many holds are left; None when the owner does not hold the lock. One
        round trip.
        """

    def renewal(self, grant: Grant) -> Renewal:
        """The script call that gives the grant its full lease time again."""

    def inspect(self) -> LockInfo:
        """Who holds the lock, until when, and who waits. One round trip."""

    def force_release(self) -> bool:
        """Release whoever holds the lock; True if somebody did. One round trip."""


class SupportsWill(Protocol):
    """A strategy whose locks can be bound to the session of their process."""

    def will(self, tag: str) -> Will:
        """What frees everything on this name that begins with the tag of a session, and
        what keeps it alive. See `sharedstate.sessions`.
        """


class SupportsRenewing(Protocol):
    """A strategy whose leases cannot be renewed by one script of one backend."""

    def renew(self, grants: Sequence[Grant]) -> list[int | Exception]:
        """Give grants their full lease time again: 1, 0 if it is over, or why it is not
        known. Called by the thread that renews, in the place of `renewal`.
        """
