"""Committing: what a turn has changed is in the log before the turn's replies leave.

**What an acknowledgement means.** With `always`, what a client was told is on the disk.
With `everysec` it is in the system's hands, and on the disk a second or two later. With
`no` it is in the system's hands.

**When the disk fails,** memory is ahead of the log: commands were executed that cannot be
written. They cannot be undone either, for others may have built on them.

- Their clients must not be told that all is well. With `always`, everybody to whom a reply
  is on its way is cut off instead: it may be the reply to such a command, or have been
  read from what such a command wrote. They learn that the outcome is not known, which is
  true: it depends on whether the disk recovers before we end.
- From then on writers get MISCONF. So memory is ahead by that one turn, and by what goes
  by itself: expired keys. Reads go on; they see what is in memory, that turn's changes
  too, which nobody was told are kept.
- *A write that failed* leaves a file that ends with a whole unit (`writer.py`), and the
  rest in memory. It is tried again until it succeeds: then nothing is missing, and writers
  are let in again.
- *A sync that failed* is worse: the system may have dropped what it could not write, and
  would call the next sync a success. So the increment is given up, and nothing more is
  noted in it. A rewrite makes the log whole again from memory, and writers are let in when
  its base is in place.
- What waits is bounded (`MOST_WAITING_BYTES`). Beyond that it is forgotten, and a rewrite
  has to make up for it.

With `everysec` nobody is cut off: replies do not mean there that all is on the disk. What
was acknowledged and is missing after a crash is what the last turns before the failure
have changed, and nothing behind them was acknowledged.
"""

from __future__ import annotations

import os
from time import monotonic

from sharedstate_server.aof.syncing import ALWAYS, Syncing
from sharedstate_server.aof.writer import NO_FILE, LogWriter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from sharedstate_server.aof.disk_thread import DiskThread
    from sharedstate_server.server import Server

MOST_WAITING_BYTES = 64 * 1024 * 1024
"""So much may wait while the disk does not take it."""

RETRY_S = 0.5
"""How long after a write that failed it is tried again."""

# A disk that goes on failing is told of so often.
_TELL_AGAIN_S = 30.0

_MISCONF = b"MISCONF Errors writing to the AOF file: "


class Commits:
    """How the changes of one server come into the increment that is written now.

    `on_give_up` is called when the increment is given up, and `on_review` when writers are
    to be refused, or no more (`refusal`).
    """

    def __init__(
        self,
        server: Server,
        disk: DiskThread,
        *,
        on_give_up: Callable[[], None],
        on_review: Callable[[], None],
    ) -> None:
        self.writer = LogWriter()
        self.syncing = Syncing(disk, self._warn, self._note_sync_failure)
        self.error: OSError | None = None
        """Why writers are refused, if they are."""
        self.is_given_up = False
        """Whether the increment is not to be relied on any more."""
        self._server = server
        self._disk = disk
        self._flush_replies = server.loop.on_turn_end
        self._on_give_up = on_give_up
        self._on_review = on_review
        self._retry_at = 0.0
        self._told_at = 0.0

    def _warn(self, message: str) -> None:
        self._server.log(message, "warning")

    @property
    def refusal(self) -> bytes:
        """The error that writers get while the log cannot be written; empty usually."""
        return b"" if self.error is None else _MISCONF + reason_of(self.error).encode()

    # Writing.

    def end_turn(self) -> None:
        """A turn ends: what it changed is written, and on the disk if that is the policy;
        then its replies leave.
        """
        if self.writer.news:
            self._commit()
        self._flush_replies()

    def _commit(self) -> None:
        syncing = self.syncing
        if self.error is None and (not syncing.pending or syncing.may_write()):
            self._write()
            return
        self.writer.encode()
        if self.writer.waiting_bytes > MOST_WAITING_BYTES:
            self._warn("Too much waits for the append only file")
            self._give_up()

    def _write(self) -> bool:
        """Write everything, and sync it if that is the policy. Whether it went well."""
        try:
            self.writer.write()
        except OSError as error:
            self._note_write_failure(error)
            return False
        try:
            self.syncing.after_write(self.writer)
        except OSError as error:
            self._note_sync_failure(error)
            return False
        return True

    def _cut_off_clients(self) -> None:
        """With `always`, let nobody have a reply that may be to something that is not on
        the disk.
        """
        if self.syncing.policy != ALWAYS:
            return
        count = 0
        for client in self._server.clients():
            if client.output_bytes:
                client.give_up()
                count += 1
        self._warn(f"{count} clients were cut off without a reply, which could be untrue")

    def cron(self) -> None:
        """Write what was put off, try again what failed, sync what is due."""
        if self.writer.fd == NO_FILE or self.is_given_up:
            return
        if self.error is None:
            if self.writer:
                self._commit()
        elif monotonic() >= self._retry_at:
            self._retry()
        self.syncing.cron(self.writer)

    # Failing, and recovering.

    def _note_write_failure(self, error: OSError) -> None:
        now = monotonic()
        self._retry_at = now + RETRY_S
        if self.error is None or now - self._told_at > _TELL_AGAIN_S:
            self._told_at = now
            self._warn(f"Error writing to the AOF file: {reason_of(error)}")
        if self.error is None:
            self._cut_off_clients()
        self.error = error
        self._on_review()

    def _note_sync_failure(self, error: OSError) -> None:
        self._warn(f"Fail to fsync the AOF file: {reason_of(error)}")
        if self.error is None:  # Nothing was acknowledged since, if it is not the first.
            self._cut_off_clients()
        self.error = error
        self._give_up()

    def _give_up(self) -> None:
        """Note nothing more in an increment that is not to be relied on."""
        self.is_given_up = True
        self._on_give_up()
        self.writer.forget()
        self._warn("The log is not whole any more: it will be rewritten")
        self._on_review()

    def _retry(self) -> None:
        if self._write():
            self._warn("AOF write error looks solved. The server can write again.")
            self.recover()

    def recover(self) -> None:
        """Let writers in again: nothing is missing any more."""
        self.error = None
        self._on_review()

    # From one increment to the next.

    def end_increment(self) -> None:
        """Have all of the increment on the disk: before the next one is in the log, so
        that a power cut never leaves a hole between them. Raises `OSError`.
        """
        try:
            self.writer.write()
        except OSError as error:
            self._note_write_failure(error)
            raise
        try:
            self.syncing.sync_now(self.writer)
        except OSError as error:
            self._note_sync_failure(error)
            raise

    def go_on_in(self, fd: int, size: int, *, afresh: bool) -> None:
        """Go on in another file, behind its first bytes. With `afresh`, what waits is
        forgotten: it will be in the base.
        """
        if afresh:
            self.is_given_up = False
            self.writer.forget()
        before = self.writer.go_on_in(fd, size)
        if before != NO_FILE:
            self._disk.submit(lambda: os.close(before), self._note_closed)

    def _note_closed(self, failure: OSError | None) -> None:
        if failure is not None:
            # It was synced, or given up: nothing is lost by it.
            self._warn(f"Closing a file of the log: {reason_of(failure)}")

    def close(self) -> bool:
        """Write and sync what is left, and close the file, which nobody else must be
        syncing. False if that failed, which is logged.
        """
        writer = self.writer
        fd = writer.fd
        if fd == NO_FILE:
            return True
        try:
            writer.write()
            writer.sync()
        except OSError as error:
            reason = reason_of(error)
            self._warn(f"The end of the append only file cannot be written: {reason}")
            self._cut_off_clients()
            return False
        finally:
            writer.go_on_in(NO_FILE, 0)
            writer.forget()
            os.close(fd)
        return not self.is_given_up


def reason_of(error: OSError) -> str:
    """Why the system could not do something."""
    return error.strerror or str(error)
