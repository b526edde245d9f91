"""RWLock: many readers or one writer, between processes and machines, on leases.

    prices = state.rwlock("prices")
    with prices.read(): …
    with prices.write(): …

Both sides are locks with all that a `Lock` has: leases, loss, fencing, `info()`. The rules
of who is let in when are the strategy's (`readwrite`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sharedstate.errors import ConfigError, LockError, LockNotOwned
from sharedstate.structures.base import Structure
from sharedstate.structures.lock import Lock

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sharedstate.locking import LockInfo
    from sharedstate.structures.base import StructureContext


class RWLock(Structure):
    """A read-write lock. Readers share it; a writer has it alone.

    No side starves: a waiting writer stops readers that come later, and when it has
    written, all readers that wait go in together before the next writer. So a reader waits
    for one phase of readers and one writer at most.

    Holds belong to threads. A thread that reads may read again, one that writes may write
    again and read; but one that reads and asks to write gets `UpgradeError`, since it would
    wait for itself. All that a thread holds at a time has one token, that of its first
    grant, and the longest of its leases. A reader that dies frees its own place only.
    """

    def __init__(self, context: StructureContext, options: Mapping[str, object]) -> None:
        super().__init__(context, options)
        if "mode" in options or "strategy" in options:
            raise ConfigError(
                f"expected ttl, renew and on_lost for the read-write lock "
                f"{context.name!r}, got {', '.join(options)}"
            )
        self._read = LockSide(self, "read")
        self._write = LockSide(self, "write")

    def read(self) -> Lock:
        """The side of readers: a lock to acquire, or for `with`. No round trip."""
        return self._read

    def write(self) -> Lock:
        """The side of writers: a lock to acquire, or for `with`. No round trip."""
        return self._write

    def downgrade(self) -> Lock:
        """Turn this thread's write hold into a read hold, and let readers in.

        Nobody writes in between. Returns the side of readers, which this thread has to
        release, in the place of the other. Raises `LockNotOwned` if this thread does not
        write, and `LockError` if it does so more than once. Two round trips.
        """
        if not self._write.owned():
            raise LockNotOwned(
                f"this thread does not hold the write lock {self.name!r}: acquire it with "
                f"write() before downgrade()"
            )
        lease = self._write._current()
        if lease is not None and lease.outer is not None:
            raise LockError(
                f"this thread holds the write lock {self.name!r} more than once: downgrade "
                f"where it is held once"
            )
        self._read.acquire()
        try:
            self._write.release()
        except BaseException:
            self._read.release()
            raise
        return self._read

    def info(self) -> LockInfo:
        """Who reads or writes, since when, and who waits, by `mode`. One round trip."""
        return self._read.info()

    def force_release(self) -> bool:
        """Take the lock from all readers, or the writer. Dangerous: see `Lock`."""
        return self._read.force_release()


class LockSide(Lock):
    """One side of a read-write lock."""

    def __init__(self, whole: RWLock, mode: str) -> None:
        self._whole = (whole._context, whole._options, mode)
        options = {**whole._options, "strategy": "readwrite", "mode": mode}
        super().__init__(whole._context, options)

    def __reduce__(self) -> tuple[Any, ...]:
        context, options, mode = self._whole
        return _rebuild_side, (context.state, context.name, dict(options), mode)


def _rebuild_side(state: Any, name: str, options: dict[str, object], mode: str) -> Lock:
    whole: RWLock = state.structure("rwlock", name, **options)
    return whole.read() if mode == "read" else whole.write()
