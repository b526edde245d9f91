"""The append-only log of a server: every change, in files, before anybody relies on it.

    engine ──effects──► LogWriter ── once a turn ──► increment ── Syncing ──► disk
                                                        ▲
    replies leave behind that (`commits.py`)            └── Rewriter: a new base

States: off; on and whole; on and not whole: switched on just now, or given up after a
failure. A log that is not whole becomes so by a rewrite (`rewrite.py`).
"""

from __future__ import annotations

import os

from sharedstate_memory.directive_kinds import SettingError
from sharedstate_memory.effects import Effects
from sharedstate_server.aof.commits import Commits
from sharedstate_server.aof.disk_thread import DiskThread
from sharedstate_server.aof.errors import AofError
from sharedstate_server.aof.files import LogFiles
from sharedstate_server.aof.folder import LogFolder
from sharedstate_server.aof.manifest import Manifest
from sharedstate_server.aof.rewrite import Rewriter, write_base
from sharedstate_server.aof.syncing import ALWAYS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from sharedstate_memory.information import Facts
    from sharedstate_server.aof.manifest import LogFile
    from sharedstate_server.persistence import Persistence

# A turn costs a sync with `always`: so as many clients as there are share it.
_FILES_PER_SYNCED_TURN = 256

_NEVER_BEGUN = (
    "The log in {} was switched on, and its server ended before its first base was"
    " written: there is nothing in it to load. What was changed since the last snapshot is"
    " lost. The log begins anew with what was loaded"
)
_CANNOT_BEGIN = "Unable to turn on AOF. Check server logs."


class AppendLog:
    """The log of a server: `server.persistence.log`."""

    def __init__(self, persistence: Persistence) -> None:
        self.persistence = persistence
        server = persistence.server
        self._engine = server.engine
        self._settings = server.engine.settings
        self._loop = server.loop
        self._tell = server.log
        self._flush_replies = server.loop.on_turn_end
        self._usual_files_per_turn = server.loop.files_per_turn
        self.is_on = False
        """Whether changes are written, or will be once the first rewrite is done."""
        self.is_whole = False
        """Whether the files, and what waits to be written, are the data."""
        self.grown_from_bytes = 0
        """How big the log was when it was rewritten last."""
        self._rewritten_from: LogFile | None = None
        self._disk = DiskThread(server.loop)
        self._commits = Commits(
            server,
            self._disk,
            on_give_up=self._on_give_up,
            on_review=persistence.review_writes,
        )
        self._writer = self._commits.writer
        self._files = LogFiles(self._current_folder(), self._disk, server.log)
        self._rewriter = Rewriter(self)
        for name in ("appendfsync", "aof-timestamp-enabled"):
            self._settings.on_change(name, self._follow_policy)
        self._settings.on_change("dir", self._follow_folder)

    def _current_folder(self) -> LogFolder:
        settings = self._settings
        path = os.path.join(self.persistence.folder_path, settings["appenddirname"])
        return LogFolder(path, settings["appendfilename"])

    @property
    def folder(self) -> LogFolder:
        """Where the log is."""
        return self._files.folder

    def _follow_folder(self) -> None:
        folder = self._current_folder()
        if self.is_on and folder.path != self.folder.path:
            raise SettingError("the append only file is written in another folder")
        self._files.folder = folder

    def _follow_policy(self) -> None:
        self._commits.syncing.policy = policy = self._settings["appendfsync"]
        self._writer.has_times = self._settings["aof-timestamp-enabled"]
        is_synced = self.is_on and policy == ALWAYS
        files = _FILES_PER_SYNCED_TURN if is_synced else self._usual_files_per_turn
        self._loop.files_per_turn = files

    def _warn(self, message: str) -> None:
        self._tell(message, "warning")

    # Loading.

    def has_files(self) -> bool:
        """Whether there is a log on disk, or what is left of one."""
        return self.folder.has_log()

    def total_bytes(self) -> int:
        """How many bytes `load` is going to read; 0 if that is going to fail."""
        folder = self.folder
        try:
            if folder.take_over_old_log():
                self._tell(f"Took over {folder.old_path} as the base of {folder.path}")
            manifest = folder.read_manifest() or Manifest()
            return sum(map(folder.size_of, manifest.files))
        except (AofError, OSError):
            # Loading comes next, and tells of it.
            return 0

    def load(self) -> Iterator[int]:
        """Load what is on disk into the engine, which is empty. Yields how many bytes were
        read, every few milliseconds. Raises `AofError` and `OSError`.
        """
        from sharedstate_server.aof.reader import LogReader

        self.folder.take_over_old_log()
        manifest = self.folder.read_manifest()
        if manifest is None:
            return
        yield from LogReader(
            self.folder,
            manifest,
            self._engine,
            cuts_off=self._settings["aof-load-truncated"],
            checksum=self._settings["rdbchecksum"],
            tell=self._warn,
        ).load()

    def reload(self) -> Iterator[int]:
        """DEBUG LOADAOF: as `load`, in the middle of serving. The engine is emptied by
        the caller after the first step. Raises as `load` does, and `OSError` if what waits
        cannot be written.
        """
        self._writer.write()
        effects = self._engine.effects
        self._engine.hand_effects_to(None)
        try:
            yield 0
            yield from self.load()
        finally:
            self._engine.hand_effects_to(effects)

    # Beginning and ending.

    def begin(self) -> None:
        """Write every change from now on, behind what was loaded. A log that is not there
        begins with the data that is. Raises `OSError`, and `AofError`.
        """
        files = self._files
        if self.folder.has_unbegun_log():
            self._warn(_NEVER_BEGUN.format(self.folder.path))
        is_snapshot = self._rewriter.choose_form()
        fd, size = files.begin(self._write_first_base, is_snapshot=is_snapshot)
        self.grown_from_bytes = files.base_bytes
        self.is_on = self.is_whole = True
        self._commits.go_on_in(fd, size, afresh=True)
        self._attach()
        self._delete_leftovers(orphans=True)

    def _write_first_base(self, path: str) -> None:
        write_base(path, self._rewriter.base(), None, syncs_often=True)

    def _attach(self) -> None:
        """Have every effect, and be there when replies are to leave."""
        effects = Effects(self._writer.take, wants_messages=False)
        self._engine.hand_effects_to(effects)
        self._loop.on_turn_end = self._commits.end_turn
        self._follow_policy()

    def follow_setting(self) -> None:
        """The setting `appendonly` was changed. Raises `SettingError`."""
        wants = self._settings["appendonly"]
        if self.persistence.is_loading or wants == self.is_on:
            return  # Whoever loads begins the log afterwards, if it is wanted then.
        if wants:
            self._switch_on()
        else:
            self._switch_off()

    def _switch_on(self) -> None:
        try:
            self._files.read()
        except (AofError, OSError) as error:
            self._warn(str(error))
            raise SettingError(_CANNOT_BEGIN) from error
        self.is_on, self.is_whole = True, False
        self._rewriter.is_scheduled = True
        if self.persistence.forks.child is None and not self._is_in_transaction():
            self._rewriter.begin()  # Else the cron does, when that is over.

    def _is_in_transaction(self) -> bool:
        clients = self.persistence.server.clients()
        return not all(client.session.may_block for client in clients)

    def _switch_off(self) -> None:
        if self._rewriter.is_running:
            self.persistence.forks.kill()
        self.close()
        self._commits.recover()

    def close(self) -> bool:
        """Write and sync what is left, and write no more. False if that failed, which is
        logged.
        """
        is_ok = True
        self._disk.drain()
        if self.is_on:
            is_ok = self._commits.close()
            self._engine.hand_effects_to(None)
            self.is_on = self.is_whole = self._rewriter.is_scheduled = False
            self._loop.on_turn_end = self._flush_replies
            self._follow_policy()
        return is_ok

    @property
    def refusal(self) -> bytes:
        """The error that writers get while the log cannot be written; empty usually."""
        return self._commits.refusal

    def _on_give_up(self) -> None:
        self.is_whole = False
        self._engine.hand_effects_to(None)

    # In time.

    def cron(self) -> None:
        """What is due: ten times a second or more often, between two units."""
        self._review_hold()
        self._commits.cron()
        self._rewriter.cron()

    def _review_hold(self) -> None:
        has_child = self.persistence.forks.child is not None
        holds = has_child and self._settings["no-appendfsync-on-rewrite"]
        self._commits.syncing.is_held = holds

    def on_child_gone(self) -> None:
        """Some child has ended. What was put off for it begins with the next cron: a
        script may be in the middle of its unit now.
        """
        self._review_hold()

    # The rewrite, as the rewriter sees it.

    def rewrite(self) -> bytes:
        """BGREWRITEAOF: the text of its status reply. Raises CommandFailure."""
        return self._rewriter.request()

    def begin_increment(self) -> None:
        """Before the fork: write into a new increment from now on. Raises `OSError`."""
        self.persistence.hold_folder()
        if not self.is_on:
            self._files.read()
            self._rewritten_from = None
            return
        if self.is_whole:
            self._commits.end_increment()
        self._rewritten_from, fd = self._files.add_increment(is_named=self.is_whole)
        self._files.finished_bytes += self._writer.size
        self._commits.go_on_in(fd, 0, afresh=not self.is_whole)
        if not self.is_whole:
            self._attach()

    def install_base(self, temporary: str, *, is_snapshot: bool) -> None:
        """A base is written: it takes the place of what was before the fork. Raises
        `OSError`: then the log is as it was.
        """
        if self.is_on and self._commits.is_given_up:
            raise OSError("what was changed meanwhile is not on the disk")
        if self.is_on and not self.is_whole:
            self._commits.end_increment()
        first = self._rewritten_from
        self._files.install_base(temporary, first, is_snapshot=is_snapshot)
        self.grown_from_bytes = self.size_bytes
        if self.is_on and not self.is_whole:
            self.is_whole = True
            self._commits.recover()

    def after_rewrite(self) -> None:
        """A rewrite is over, well or not."""
        self._delete_leftovers(orphans=False)
        self.persistence.on_child_gone()

    def _delete_leftovers(self, *, orphans: bool) -> None:
        if not self._settings["aof-disable-auto-gc"]:
            self._files.delete_leftovers(orphans=orphans)

    # What INFO tells.

    @property
    def size_bytes(self) -> int:
        """How many bytes the files have."""
        return self._files.finished_bytes + self._writer.size

    def facts(self) -> Facts:
        """The aof_* fields of INFO persistence."""
        facts = self._rewriter.facts() | {
            "aof_enabled": int(self.is_on),
            "aof_last_write_status": "err" if self.refusal else "ok",
        }
        if self.is_on:
            facts |= {
                "aof_current_size": self.size_bytes,
                "aof_base_size": self.grown_from_bytes,
                "aof_buffer_length": self._writer.waiting_bytes,
                "aof_pending_bio_fsync": self._commits.syncing.pending,
                "aof_delayed_fsync": self._commits.syncing.delayed,
            }
        return facts
