"""What a semaphore says to the store: `semaphore.lua` is its model.

It has the shape of a lock strategy, so that permits are leases like any other: a grant's
`holds` is the number of its permits. An object asks for one number of units; whatever else
it does is the same for all.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sharedstate.errors import ConfigError
from sharedstate.locking import Grant, LockInfo, Refusal, Renewal
from sharedstate.parties import read_holder
from sharedstate.scripts import LINE, load_scripts
from sharedstate.sessions import Will

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sharedstate.locking import LockTarget, Owner

_SCRIPTS = str(Path(__file__).with_name("semaphore.lua"))
_PARTS = ("permits", "held", "size", "fencing", "line", "waiters")


class SemaphoreStrategy:
    """A `LockStrategy` that grants `units` of a semaphore whose size should be `value`."""

    def __init__(self, target: LockTarget, value: int, units: int = 1) -> None:
        self._target = target
        self._value = value
        self._units = units
        self._run = target.backend.run_script
        self._ttl_ms = str(target.ttl_ms)
        self._keys = tuple(map(target.key, _PARTS))
        self._scripts = load_scripts(_SCRIPTS, LINE)

    def asking_for(self, units: int) -> SemaphoreStrategy:
        """One that asks for another number of units."""
        return SemaphoreStrategy(self._target, self._value, units)

    def try_acquire(self, owner: Owner, channel: str | None) -> Grant | Refusal:
        """Ask once. One round trip; safe to repeat. Raises `ConfigError` if the size is
        another, `ValueError` for more units than there will ever be.
        """
        words = (
            owner.nonce,
            self._units,
            owner.description,
            self._ttl_ms,
            channel or "",
            self._value,
        )
        reply: Any = self._run(self._scripts["acquire"], self._keys, words)
        number, size, differs = reply
        if number > 0:
            return Grant(owner, number, self._units)
        if number < 0:
            return Refusal(-number)
        if differs:
            raise self._differs(size)
        raise ValueError(
            f"expected to acquire at most {size} permits, the size of the semaphore "
            f"{self._target.name!r}, got n={self._units}: that would wait for ever"
        )

    def leave(self, owner: Owner) -> None:
        """Give up waiting, and what was granted meanwhile. One round trip."""
        self._run(self._scripts["leave"], self._keys, (owner.nonce,))

    def release(self, grant: Grant) -> int | None:
        """Release all units of an acquisition. One round trip."""
        return 0 if self.release_down_to([(grant, 0)])[0] else None

    def release_down_to(self, parts: Sequence[tuple[Grant, int]]) -> list[int]:
        """Leave so many units of each acquisition, and let the next ones have the rest.
        1 for each that was there, else 0. Atomic; one round trip.
        """
        words = [word for grant, left in parts for word in (grant.owner.nonce, left)]
        found: list[int] = self._run(self._scripts["release"], self._keys, words)
        return found

    def renewal(self, grant: Grant) -> Renewal:
        """The call that begins the lease time anew. No round trip."""
        words = (grant.owner.nonce, self._ttl_ms)
        return Renewal(self._scripts["renew"], self._keys, words)

    def will(self, tag: str) -> Will:
        """What ends, and what keeps, all that a session has of this semaphore."""
        return Will(
            end=self._scripts["ended"],
            keep=self._scripts["keep"],
            keep_every=self._target.ttl_ms / 3000,
            keys=self._keys,
            arguments=(tag, self._ttl_ms),
        )

    def resize(self, size: int) -> None:
        """Change the size. One round trip; safe to repeat."""
        self._run(self._scripts["resize"], self._keys, (size,))

    def inspect(self) -> LockInfo:
        """Who holds, and who waits, each with a number of permits. One round trip."""
        reply: Any = self._run(self._scripts["inspect"], self._keys)
        _, _, _, left_ms, fencing, waiting, held, line = reply
        holders = tuple(read_holder(entry, _units_of(entry)) for entry in held)
        return LockInfo(
            name=self._target.name,
            holders=holders,
            remaining=max(0, left_ms) / 1000 if holders else None,
            waiters=waiting,
            fencing=int(fencing or 0),
            line=tuple(
                read_holder(entry, _units_of(entry.split(b" ", 3)[3]))
                for entry in line[1::2]
                if entry
            ),
        )

    def count(self) -> tuple[int, int]:
        """The size, and how many permits are free. One round trip. Raises `ConfigError`."""
        reply: Any = self._run(self._scripts["inspect"], self._keys)
        size, is_resized, free = reply[:3]
        if size is None:
            return self._value, self._value
        if size != self._value and not is_resized:
            raise self._differs(size)
        return size, free

    def force_release(self) -> bool:
        """Take all permits away. One round trip."""
        count: int = self._run(self._scripts["force_release"], self._keys)
        return count > 0

    def _differs(self, size: int) -> ConfigError:
        return ConfigError(
            f"the semaphore {self._target.name!r} has {size} permits, and this handle was "
            f"made with value={self._value}: use value={size} everywhere, or "
            f"resize({self._value}) once, which lets handles differ"
        )


def _units_of(words: bytes) -> str:
    """The number of permits, by which an entry begins."""
    return words[: words.index(b" ")].decode()
