"""The read-write lock: many readers, or one writer. `readwrite.lua` is its model.

A strategy object is one side of it: it asks to read, or to write. Readers and writers are
threads, and each has a lease of its own.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sharedstate.errors import ConfigError, UpgradeError
from sharedstate.locking import Grant, Holder, LockInfo, Refusal, Renewal
from sharedstate.parties import read_holder
from sharedstate.scripts import LINE, load_scripts
from sharedstate.sessions import Will

if TYPE_CHECKING:
    from sharedstate.locking import LockTarget, Owner

_SCRIPTS = str(Path(__file__).with_name("readwrite.lua"))
_PARTS = ("writer", "fencing", "line", "waiters", "readers", "held", "crowd")


class ReadWriteStrategy:
    """A `LockStrategy` for one side of the lock: `mode` is `read` or `write`."""

    is_thread_bound = True

    def __init__(self, target: LockTarget, mode: object) -> None:
        if mode not in ("read", "write"):
            raise ConfigError(
                f"expected mode='read' or mode='write' for the lock strategy "
                f"'readwrite', got {mode!r}; state.rwlock(name) has both"
            )
        self._target = target
        self._mode = str(mode)
        self._run = target.backend.run_script
        self._ttl_ms = str(target.ttl_ms)
        self._keys = tuple(map(target.key, _PARTS))
        self._scripts = load_scripts(_SCRIPTS, LINE)
        self._acquire = self._scripts[f"acquire_{mode}"]

    def try_acquire(self, owner: Owner, channel: str | None) -> Grant | Refusal:
        """Ask once. One round trip; safe to repeat. Raises `UpgradeError` for a thread
        that reads and wants to write.
        """
        words = (
            owner.identity,
            owner.description,
            self._ttl_ms,
            channel or "",
            owner.nonce,
        )
        reply: int = self._run(self._acquire, self._keys, words)
        if reply == 0:
            raise UpgradeError(
                f"this thread reads under the lock {self._target.name!r}, and would wait "
                f"for itself to write: release the read lock first, or take the write "
                f"lock from the start (who writes may read, and downgrade)"
            )
        # A thread may hold it more than once: one lease lies around the other.
        return Grant(owner, reply, holds=2) if reply > 0 else Refusal(-reply)

    def leave(self, owner: Owner) -> None:
        """Give up waiting, and what was granted meanwhile. One round trip."""
        self._run(self._scripts["leave"], self._keys, self._hold(owner))

    def release(self, grant: Grant) -> int | None:
        """Release one hold, and let in who is next. One round trip."""
        words = self._hold(grant.owner)
        left: int | None = self._run(self._scripts["release"], self._keys, words)
        return left

    def renewal(self, grant: Grant) -> Renewal:
        """The call that begins the lease time anew. No round trip."""
        words = (*self._hold(grant.owner), self._ttl_ms)
        return Renewal(self._scripts["renew"], self._keys, words)

    def will(self, tag: str) -> Will:
        """What ends, and what keeps, all that a session has of this lock."""
        return Will(
            end=self._scripts["ended"],
            keep=self._scripts["keep"],
            keep_every=self._target.ttl_ms / 3000,
            keys=self._keys,
            arguments=(tag, self._ttl_ms),
        )

    def inspect(self) -> LockInfo:
        """Who reads or writes, until when, and who waits. One round trip."""
        reply: Any = self._run(self._scripts["inspect"], self._keys)
        writer, left_ms, fencing, readers, waiting, writing, reading = reply
        holders = [read_holder(about, "read") for about in readers[1::2]]
        if writer is not None:
            holders.append(read_holder(writer, "write"))
        line = [*_read_waiters(writing, "write"), *_read_waiters(reading, "read")]
        line.sort(key=lambda waiter: waiter.since)
        return LockInfo(
            name=self._target.name,
            holders=tuple(holders),
            remaining=max(0, left_ms) / 1000 if holders else None,
            waiters=waiting,
            fencing=int(fencing or 0),
            line=tuple(line),
        )

    def force_release(self) -> bool:
        """Take the lock from all that hold it, and let in who is next. One round trip."""
        count: int = self._run(self._scripts["force_release"], self._keys)
        return count > 0

    def _hold(self, owner: Owner) -> tuple[str, str, str]:
        return self._mode[0], owner.identity, owner.nonce


def _read_waiters(shown: list[bytes], mode: str) -> list[Holder]:
    return [read_holder(entry, mode) for entry in shown[1::2] if entry]
