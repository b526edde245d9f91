"""Syncing: when what was written is also on the disk (`appendfsync`).

    always     before any reply of the turn leaves: one sync for all who asked in it
    everysec   once a second: a power cut costs a second or two
    no         when the system likes

With `always` the loop itself syncs. The disk's thread would have to be woken, and to wake
us, for every turn, which costs more than it saves: on two processors and a disk that takes
0.2 ms, 50 clients had 50 000 writes a second by the thread, and have 54 000.

With `everysec` the thread does. A write to a file that is being synced may have to wait
until that is over, and everybody with it. So while a sync is under way, what there is to
write is kept, for up to `MOST_DELAY_S`; then it is written and waits if it must, which is
counted and logged. So a slow disk makes us slow in the end, but never lets the log fall
behind without end.

**A file that nobody can find** (its folder was removed while we write) is synced without a
complaint, and gone with us. So a sync of one is a sync that failed; with `no`, what would
be the time to sync is the time to look.

With `no-appendfsync-on-rewrite`, nothing is synced while a child writes.
"""

from __future__ import annotations

import errno
import os
from time import monotonic

from sharedstate_server import failpoints

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from sharedstate_server.aof.disk_thread import DiskThread
    from sharedstate_server.aof.writer import LogWriter

ALWAYS = "always"
EVERY_SECOND = "everysec"
NEVER = "no"

MOST_DELAY_S = 2.0
INTERVAL_S = 1.0

_SLOW = (
    "Asynchronous AOF fsync is taking too long (disk is busy?). Writing the AOF buffer"
    " without waiting for fsync to complete, this may slow down the server."
)


class Syncing:
    """When one log is synced. `on_failure` is called on the loop, if the thread failed."""

    def __init__(
        self,
        thread: DiskThread,
        tell: Callable[[str], None],
        on_failure: Callable[[OSError], None],
    ) -> None:
        self.policy = EVERY_SECOND
        self.is_held = False
        """Whether a child writes, and nothing is to be synced meanwhile."""
        self.delayed = 0
        """How many writes did not wait for a sync any longer."""
        self.pending = 0
        """How many syncs are under way or asked for."""
        self._thread = thread
        self._tell = tell
        self._on_failure = on_failure
        self._is_due = False
        self._synced_at = monotonic()
        self._waits_since: float | None = None

    def may_write(self) -> bool:
        """Whether to write now, and not to wait for a sync that is under way."""
        if not self.pending or self.policy != EVERY_SECOND:
            return True
        now = monotonic()
        if self._waits_since is None:
            self._waits_since = now
        if now - self._waits_since < MOST_DELAY_S:
            return False
        self._waits_since = None
        self.delayed += 1
        self._tell(_SLOW)
        return True

    def after_write(self, writer: LogWriter) -> None:
        """Something was written: sync it, or see to it that it will be. Raises
        `OSError`.
        """
        self._is_due = True
        if self.policy == ALWAYS and not self.is_held:
            self.sync_now(writer)

    def cron(self, writer: LogWriter) -> None:
        """Have the thread sync what was written, if it is time."""
        if not self._is_due or self.is_held or self.pending:
            return
        if monotonic() - self._synced_at >= INTERVAL_S:
            if self.policy == NEVER:
                self._look(writer)
            else:
                self._start(writer)

    def _look(self, writer: LogWriter) -> None:
        self._synced_at = monotonic()
        try:
            require_name(writer.fd)
        except OSError as error:
            self._on_failure(error)

    def _start(self, writer: LogWriter) -> None:
        self._is_due = False
        self._synced_at = monotonic()
        self.pending += 1
        fd = writer.fd
        self._thread.submit(lambda: _sync(fd), self._note_end)

    def _note_end(self, failure: OSError | None) -> None:
        self.pending -= 1
        self._waits_since = None
        if failure is not None:
            self._on_failure(failure)

    def sync_now(self, writer: LogWriter) -> None:
        """Sync on the spot what was written. Raises `OSError`."""
        _sync(writer.fd)
        self._is_due = False
        self._synced_at = monotonic()


def _sync(fd: int) -> None:
    failpoints.sync("aof.fsync", fd)
    require_name(fd)


def require_name(fd: int) -> None:
    """Raise `OSError` if a file has no name any more."""
    if not os.fstat(fd).st_nlink:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))


def _tell_nobody() -> None:
    """Nobody waits for it."""
