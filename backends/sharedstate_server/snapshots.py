"""Snapshots: when the data is saved as a whole, by whom, and how that went.

    SAVE, SHUTDOWN, FLUSHALL   in the foreground: nobody is served meanwhile
    BGSAVE, the rules of `save`  by a forked child

A rule is "so many seconds, so many changes": when both have passed since the last save,
one begins. After one that failed, the next try comes `RETRY_SECONDS` later at the
earliest, and until one succeeds writers are refused if `stop-writes-on-bgsave-error` says
so and there are rules: else they would rely on what is not there.

Invariant: `changes` counts what the file does not have yet. It is counted down when the
file is in place, by what was counted when the copy was taken.
"""

from __future__ import annotations

import os
import time

from sharedstate_memory.replies import CommandFailure
from sharedstate_server.data_folder import FolderInUseError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sharedstate_memory.engine import Engine
    from sharedstate_memory.information import Facts
    from sharedstate_server.forked import Reports
    from sharedstate_server.forking import Outcome
    from sharedstate_server.persistence import Persistence

RETRY_SECONDS = 5

_MISCONF = (
    b"MISCONF Redis is configured to save RDB snapshots, but it's currently unable to"
    b" persist to disk. Commands that may modify the data set are disabled, because this"
    b" instance is configured to report errors during writes if RDB snapshotting fails"
    b" (stop-writes-on-bgsave-error option). Please check the Redis logs for details about"
    b" the RDB error."
)
_IN_PROGRESS = b"ERR Background save already in progress"
_OTHER_CHILD = (
    b"ERR Another child process is active (AOF?): can't BGSAVE right now. Use BGSAVE"
    b" SCHEDULE in order to schedule a BGSAVE whenever possible."
)
_FAILED = b"ERR"
_STARTED = b"Background saving started"
_SCHEDULED = b"Background saving scheduled"

_MEGABYTE = 1024 * 1024


class Snapshots:
    """The snapshots of a server: `server.persistence.snapshots`."""

    def __init__(self, persistence: Persistence) -> None:
        self._persistence = persistence
        self._engine = persistence.engine
        self._settings = persistence.engine.settings
        self._log = persistence.server.log
        self.last_save_s = persistence.engine.started_at_ms // 1000
        """When the data was saved last, or the server began, in seconds since the epoch."""
        # By a clock that nobody sets: rules go by this one.
        self._last_save = time.monotonic()
        self.is_last_ok = True
        """Whether the last one in the background succeeded, if there was any."""
        self.is_scheduled = False
        """Whether one is to begin as soon as no other child runs."""
        self._count = 0
        self._last_duration_s = -1
        self._last_cow_bytes = 0
        self._tried_at = 0.0
        # What had been changed, ever, when the file was in step with the data.
        self._saved_changes = 0
        self._copied_changes = 0
        self.loaded_keys = self.dropped_keys = 0
        """Of the last file that was loaded: what is here, and what had expired."""

    # What there is to save.

    @property
    def path(self) -> str:
        """Where the snapshot is."""
        return os.path.join(self._persistence.folder_path, self._settings["dbfilename"])

    @property
    def changes(self) -> int:
        """How many changes the file does not have."""
        return _changes_ever(self._engine) - self._saved_changes

    @property
    def is_wanted(self) -> bool:
        """Whether there are rules: then the data is saved at the end, too."""
        return bool(self._settings["save"])

    def note_in_step(self) -> None:
        """The data is what the file has: it was loaded from there, or saved, now."""
        self._saved_changes = _changes_ever(self._engine)

    @property
    def refusal(self) -> bytes:
        """The error that writers get now; empty if they get none."""
        is_refusing = (
            not self.is_last_ok
            and self.is_wanted
            and self._settings["stop-writes-on-bgsave-error"]
        )
        return _MISCONF if is_refusing else b""

    # In the foreground.

    def save(self) -> None:
        """SAVE: save now. Raises CommandFailure if one is saving, or it fails."""
        if self.is_saving:
            raise CommandFailure(_IN_PROGRESS)
        self._count += 1
        try:
            self._write()
        except OSError as error:
            raise CommandFailure(_refusal(error)) from error

    def save_now(self) -> bool:
        """Save in the foreground. False if that failed, which is logged."""
        try:
            self._write()
        except OSError:
            return False
        return True

    def _write(self) -> None:
        """Save in the foreground. Raises `OSError`, which is logged."""
        from sharedstate_server.snapshot_file import write_whole

        try:
            self._hold_folder()
            syncs_often = self._settings["rdb-save-incremental-fsync"]
            write_whole(self.path, self._chunks(_tell_nobody), syncs_often=syncs_often)
        except OSError as error:
            self._log(f"Error saving {self.path}: {_reason(error)}", "warning")
            raise
        self._log("DB saved on disk")
        self.note_in_step()
        self._note_success()

    def _hold_folder(self) -> None:
        """Have the folder, at once or not at all: clients wait. Raises `OSError`."""
        self._persistence.folder.take(self._persistence.folder_path, waits=False)

    def _chunks(self, on_piece: Callable[[int], None]) -> Iterator[bytes]:
        from sharedstate_memory.rdb.writer import snapshot

        settings = self._settings
        return snapshot(
            self._engine,
            compress=settings["rdbcompression"],
            checksum=settings["rdbchecksum"],
            on_piece=on_piece,
        )

    def _note_success(self) -> None:
        self.last_save_s = int(time.time())
        self._last_save = time.monotonic()
        self.is_last_ok = True
        self._persistence.review_writes()

    # In the background.

    @property
    def is_saving(self) -> bool:
        """Whether a child of ours is saving."""
        child = self._persistence.forks.child
        return child is not None and child.purpose == "RDB"

    def begin(self, *, may_wait: bool, must_wait: bool) -> bytes:
        """BGSAVE: the text of its reply. It `may_wait` until another child has ended, and
        `must_wait` until the transaction that asks for it has. Raises CommandFailure.
        """
        if self.is_saving:
            raise CommandFailure(_IN_PROGRESS)
        if must_wait or (self._persistence.forks.child is not None and may_wait):
            self.is_scheduled = True
            return _SCHEDULED
        if self._persistence.forks.child is not None:
            raise CommandFailure(_OTHER_CHILD)
        error = self._start()
        if error is not None:
            raise CommandFailure(_refusal(error)) from error
        return _STARTED

    def _start(self) -> OSError | None:
        """Fork a child that saves. The error if that failed, which is logged."""
        self._count += 1
        self._tried_at = time.monotonic()
        self._copied_changes = _changes_ever(self._engine)
        try:
            self._hold_folder()
            child = self._persistence.forks.start("RDB", self._save_in_child, self._on_done)
        except OSError as error:
            self.is_last_ok = False
            self._persistence.review_writes()
            self._log(f"Can't save in background: {_reason(error)}", "warning")
            return error
        self._log(f"Background saving started by pid {child.pid}")
        return None

    def _save_in_child(self, reports: Reports) -> None:
        from sharedstate_server.snapshot_file import write_whole

        write_whole(
            self.path,
            self._chunks(reports.progress),
            syncs_often=self._settings["rdb-save-incremental-fsync"],
            before_rename=reports.require_parent,
        )

    def _on_done(self, outcome: Outcome) -> None:
        """The child has ended."""
        self._last_duration_s = int(outcome.seconds)
        if outcome.is_ok:
            self._saved_changes = self._copied_changes
            self._last_cow_bytes = outcome.cow_bytes
            self._log("DB saved on disk")
            peak = outcome.cow_bytes // _MEGABYTE
            self._log(f"Fork CoW for RDB: peak {peak} MB")
            self._log("Background saving terminated with success")
            self._note_success()
        else:
            self._remove_temporary(outcome.pid)
            self._note_failure(outcome)
        self._persistence.on_child_gone()

    def _note_failure(self, outcome: Outcome) -> None:
        if outcome.is_killed:
            self._log("Background saving was ended by the server")
            return
        self._log(f"Background saving error: {outcome.reason}", "warning")
        self.is_last_ok = False
        self._persistence.review_writes()

    def _remove_temporary(self, pid: int) -> None:
        """Remove what a child that was killed has left."""
        try:
            os.unlink(os.path.join(self._persistence.folder_path, f"temp-{pid}.rdb"))
        except OSError:
            # It has removed it itself, or the folder cannot be used: that was logged.
            return

    # In time.

    def cron(self) -> None:
        """Begin what was scheduled, or what a rule asks for, if no child runs."""
        if self._persistence.forks.child is not None:
            return
        now = time.monotonic()
        for seconds, changes in self._settings["save"]:
            if self._is_due(now, seconds, changes):
                self._log(f"{changes} changes in {seconds} seconds. Saving...")
                self.is_scheduled = False
                self._start()
                return
        if self.is_scheduled and self._may_try(now):
            self.is_scheduled = False
            self._start()

    def _is_due(self, now: float, seconds: int, changes: int) -> bool:
        return (
            now - self._last_save > seconds
            and self.changes >= changes
            and self._may_try(now)
        )

    def _may_try(self, now: float) -> bool:
        return self.is_last_ok or now - self._tried_at > RETRY_SECONDS

    def facts(self) -> Facts:
        """The rdb_* fields of INFO persistence."""
        child = self._persistence.forks.child
        current_s = -1
        if child is not None and self.is_saving:
            current_s = int(child.seconds)
        return {
            "rdb_changes_since_last_save": self.changes,
            "rdb_bgsave_in_progress": int(self.is_saving),
            "rdb_last_save_time": self.last_save_s,
            "rdb_last_bgsave_status": "ok" if self.is_last_ok else "err",
            "rdb_last_bgsave_time_sec": self._last_duration_s,
            "rdb_current_bgsave_time_sec": current_s,
            "rdb_saves": self._count,
            "rdb_last_cow_size": self._last_cow_bytes,
            "rdb_last_load_keys_expired": self.dropped_keys,
            "rdb_last_load_keys_loaded": self.loaded_keys,
        }


def _tell_nobody(keys_done: int) -> None:
    """Nobody follows a save in the foreground."""


def _changes_ever(engine: Engine) -> int:
    return sum(db.dirty for db in engine.databases)


def _refusal(error: OSError) -> bytes:
    """The reply to who asked for a save: as Redis has it, unless another server uses the
    folder, which Redis does not know of.
    """
    if not isinstance(error, FolderInUseError):
        return _FAILED
    return b"ERR " + _reason(error).encode("utf-8", "surrogateescape")


def _reason(error: OSError) -> str:
    return error.strerror or str(error)
