"""The rewrite: a forked child writes a new base, and the log begins anew behind it.

    parent   opens increment N+1 ── fork ── goes on in it ── ... ── names the base
    child                           └──► temp-rewriteaof-bg-PID.aof ──► synced ──┘

What was changed before the fork is in the base, what is changed after it in the new
increment. Until the manifest names the base, it names the old files and the new increment,
which together are the same data. So a crash at any moment, of either process, leaves a log
that is whole, and a failure costs nothing but the attempt.

**A log that is not whole** has been switched on just now, or has met a sync that failed:
memory is ahead of what is on disk. Then the old files and the new increment are *not* the
data, and the manifest does not name the new increment before it can name the base too.

Rewrites begin when they are asked for, when the log has grown by
`auto-aof-rewrite-percentage`, and when it is not whole; again after a failure, later each
time.
"""

from __future__ import annotations

import os
from time import monotonic

from sharedstate_memory.replies import CommandFailure
from sharedstate_server import failpoints
from sharedstate_server.aof.folder import write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from sharedstate_memory.information import Facts
    from sharedstate_server.aof.log import AppendLog
    from sharedstate_server.forked import Reports
    from sharedstate_server.forking import Outcome

SYNC_BYTES = 4 * 1024 * 1024
"""So much of a base is written between two syncs, with `aof-rewrite-incremental-fsync`."""

# How long after a failure the next attempt begins by itself, at first and at most: where
# the log has only grown, and where writers are refused, or not safe, until it succeeds.
_GROWN_S = (60.0, 3600.0)
_NEEDED_S = (0.5, 10.0)

_MEGABYTE = 1024 * 1024

_STARTED = b"Background append only file rewriting started"
_SCHEDULED = b"Background append only file rewriting scheduled"
_IN_PROGRESS = b"ERR Background append only file rewriting already in progress"
_FAILED = (
    b"ERR Can't execute an AOF background rewriting. Please check the server logs for more"
    b" information."
)


class Rewriter:
    """The rewrites of one log."""

    def __init__(self, log: AppendLog) -> None:
        self._log = log
        self._forks = log.persistence.forks
        self._settings = log.persistence.settings
        self._tell = log.persistence.server.log
        self.is_scheduled = False
        """Whether one is to begin as soon as no child runs."""
        self.count = 0
        self.failures = 0
        """How many have failed since one succeeded."""
        self._is_snapshot = True
        self._last_seconds = -1
        self._last_cow_bytes = 0
        self._not_before = 0.0

    @property
    def is_running(self) -> bool:
        """Whether a child writes a base."""
        child = self._forks.child
        return child is not None and child.purpose == "AOF"

    def request(self) -> bytes:
        """BGREWRITEAOF: the text of its reply. Raises CommandFailure."""
        if self.is_running:
            raise CommandFailure(_IN_PROGRESS)
        if self._forks.child is not None:
            self.is_scheduled = True
            return _SCHEDULED
        if not self.begin():
            raise CommandFailure(_FAILED)
        return _STARTED

    def begin(self) -> bool:
        """Begin one: between two units, when no child runs. False if that failed, which
        is logged.
        """
        self.is_scheduled = False
        self.count += 1
        self.choose_form()
        try:
            self._log.begin_increment()
            child = self._forks.start("AOF", self._write_base, self._on_done)
        except OSError as error:
            self._note_failure(f"Can't rewrite append only file in background: {error}")
            return False
        self._tell(f"Background append only file rewriting started by pid {child.pid}")
        return True

    # The base.

    def choose_form(self) -> bool:
        """Take the form of the next base from the settings: whether it is a snapshot."""
        self._is_snapshot = self._settings["aof-use-rdb-preamble"]
        return self._is_snapshot

    def base(self) -> Iterator[bytes]:
        """The data as a base, in chunks: a snapshot, or commands."""
        engine = self._log.persistence.engine
        if not self._is_snapshot:
            from sharedstate_server.aof.base_commands import base_of_commands

            return base_of_commands(engine)
        from sharedstate_memory.rdb.writer import snapshot

        return snapshot(
            engine,
            aux={b"aof-base": b"1"},
            compress=self._settings["rdbcompression"],
            checksum=self._settings["rdbchecksum"],
        )

    def _write_base(self, reports: Reports) -> None:
        path = self._log.folder.temporary_base(os.getpid())
        syncs_often = self._settings["aof-rewrite-incremental-fsync"]
        write_base(path, self.base(), reports, syncs_often=syncs_often)

    # In the parent, again.

    def _on_done(self, outcome: Outcome) -> None:
        self._last_seconds = int(outcome.seconds)
        temporary = self._log.folder.temporary_base(outcome.pid)
        if outcome.is_ok:
            self._last_cow_bytes = outcome.cow_bytes
            peak = outcome.cow_bytes // _MEGABYTE
            self._tell(f"Fork CoW for AOF rewrite: peak {peak} MB")
            self._finish(temporary)
        else:
            self._remove(temporary)
            if not outcome.is_killed:
                self._note_failure(f"Background AOF rewrite failed: {outcome.reason}")
        self._log.after_rewrite()

    def _finish(self, temporary: str) -> None:
        try:
            self._log.install_base(temporary, is_snapshot=self._is_snapshot)
        except OSError as error:
            self._remove(temporary)
            reason = error.strerror or str(error)
            self._note_failure(f"The rewritten log cannot take its place: {reason}")
            return
        self.failures = 0
        self._not_before = 0.0
        self._tell("Background AOF rewrite finished successfully")

    def _note_failure(self, message: str) -> None:
        self._tell(message, "warning")
        self.failures += 1
        first, most = _GROWN_S if self._log.is_whole else _NEEDED_S
        doublings = min(self.failures - 1, 16)
        self._not_before = monotonic() + min(first * 2**doublings, most)

    def _remove(self, path: str) -> None:
        try:
            os.unlink(path)
        except OSError:
            # The child has not come so far, or the disk fails: that was told of. What is
            # left is no part of the log, and goes at the next start.
            return

    # In time.

    def cron(self) -> None:
        """Begin one if that is due."""
        if self._forks.child is not None:
            return
        log = self._log
        if self.is_scheduled or (log.is_on and not log.is_whole):
            if monotonic() >= self._not_before:
                self.begin()
        elif log.is_on and not log.refusal and self._has_grown():
            self.begin()

    def _has_grown(self) -> bool:
        percentage: int = self._settings["auto-aof-rewrite-percentage"]
        size = self._log.size_bytes
        if not percentage or size <= self._settings["auto-aof-rewrite-min-size"]:
            return False
        growth = 100 * size // (self._log.grown_from_bytes or 1) - 100
        if growth < percentage or monotonic() < self._not_before:
            return False
        self._tell(f"Starting automatic rewriting of AOF on {growth}% growth")
        return True

    def facts(self) -> Facts:
        """What INFO persistence tells of rewrites."""
        child = self._forks.child
        running = child if self.is_running else None
        return {
            "aof_rewrite_in_progress": int(running is not None),
            "aof_rewrite_scheduled": int(self.is_scheduled),
            "aof_last_rewrite_time_sec": self._last_seconds,
            "aof_current_rewrite_time_sec": (
                -1 if running is None else int(running.seconds)
            ),
            "aof_last_bgrewrite_status": "err" if self.failures else "ok",
            "aof_rewrites": self.count,
            "aof_rewrites_consecutive_failures": self.failures,
            "aof_last_cow_size": self._last_cow_bytes,
            "aof_pending_rewrite": int(self.is_scheduled),
        }


def write_base(
    path: str, chunks: Iterator[bytes], reports: Reports | None, *, syncs_often: bool
) -> None:
    """Write a base to a file, on the disk when this returns. Raises `OSError`."""
    if failpoints.armed:
        failpoints.hit("aof.base-open")
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    unsynced = 0
    try:
        for chunk in chunks:
            write_all("aof.base-write", fd, chunk)
            unsynced += len(chunk)
            if syncs_often and unsynced >= SYNC_BYTES:
                failpoints.sync("aof.base-fsync", fd)
                unsynced = 0
            if reports is not None:
                reports.progress()
        failpoints.sync("aof.base-fsync", fd)
    finally:
        os.close(fd)
    if reports is not None:
        reports.require_parent()
