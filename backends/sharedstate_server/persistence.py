"""Persistence: what a server keeps on disk, and the one place where its parts meet.

    engine.persistence ──► Persistence ──► snapshots   dump.rdb: SAVE, BGSAVE, save rules
    server.persistence          │     ──► log          appendonlydir: every change
                                │     ──► forks        the one child that writes either
                                │     ──► folder       the lock on the folder of both
                                └─────►  loading       what is read at the start

A server has one from the moment it needs one: when its settings ask for it or there is
something to load at the start, or when a client says SAVE. The engine knows it by
`engine.persistence` (None until then), and asks for it by `engine.open_persistence`, which
is None for an engine without files (memory://).

    begin ──► loading ──► serving ──► end (saves; may refuse) ──► close
"""

from __future__ import annotations

import os

from sharedstate_memory.directive_kinds import SettingError
from sharedstate_memory.replies import CommandFailure
from sharedstate_server.data_folder import DataFolder, FolderInUseError
from sharedstate_server.forking import Forks
from sharedstate_server.snapshots import Snapshots

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from sharedstate_memory.information import Facts
    from sharedstate_server.loading import Loading
    from sharedstate_server.log_contract import Log
    from sharedstate_server.server import Server


_REWRITE_SCHEDULED = b"Background append only file rewriting scheduled"


class Persistence:
    """What a server keeps on disk."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.engine = server.engine
        self.settings = server.engine.settings
        self.folder = DataFolder()
        self.forks = Forks(server, lambda: (self.folder.fd,) if self.folder.is_held else ())
        self.snapshots = Snapshots(self)
        self.log: Log | None = None
        """None until the setting `appendonly`, or BGREWRITEAOF, asks for one."""
        self.loading: Loading | None = None
        self._loads_log = False
        self._must_rewrite = False
        self._is_closed = False
        self._saves_at_end = True
        self._on_ready: Callable[[], None] = _do_nothing
        self.settings.on_change("dir", self._follow_folder)
        self.settings.on_change("stop-writes-on-bgsave-error", self.review_writes)

    # The folder.

    @property
    def folder_path(self) -> str:
        """The folder in which everything is kept."""
        path: str = self.settings["dir"]
        return path or os.curdir

    def hold_folder(self, *, waits: bool = False) -> None:
        """Have the folder for ourselves, if it is not so yet: before anything is written.
        Raises `OSError`, `FolderInUseError` if another server has it. At the start only, it
        `waits` for one that is about to end: later, clients would wait with it.
        """
        self.folder.take(self.folder_path, waits=waits)

    def _follow_folder(self) -> None:
        if self.folder.is_held:
            self._hold_for_setting()

    def follow_rules(self) -> None:
        """CONFIG SET save has changed them. Raises `SettingError`."""
        if self.settings["save"]:
            self._hold_for_setting()
        self.review_writes()

    def _hold_for_setting(self) -> None:
        try:
            self.hold_folder()
        except OSError as error:
            raise SettingError(error.strerror or str(error)) from error

    # The start.

    def begin(self, on_ready: Callable[[], None]) -> None:
        """Load what is on disk, in turns of the loop, then keep what the settings ask
        for, and call `on_ready`: at once if there is nothing to load. If it cannot be
        loaded, the server ends (`Server.fail`). Raises `FolderInUseError`.
        """
        self._hold_at_start()
        self._on_ready = on_ready
        loading = self._new_loading()
        if loading is None:
            self._keep()
        else:
            self.loading = loading
            loading.begin()

    def _hold_at_start(self) -> None:
        """Have the folder if something is to be kept in it. One that cannot be written
        keeps nobody from starting, as with Redis: each save tries again, and says so.
        """
        if not (self.snapshots.is_wanted or self.settings["appendonly"]):
            return
        try:
            self.hold_folder(waits=True)
        except FolderInUseError:
            raise
        except OSError as error:
            told = f"nothing can be saved in {self.folder_path}: {error.strerror}"
            self.server.log(told, "warning")

    def _new_loading(self) -> Loading | None:
        """What is to be loaded: the log if there is one and it is wanted, else the
        snapshot; None for nothing.
        """
        from sharedstate_server.loading import Loading

        if self.settings["appendonly"]:
            log = self.open_log()
            if log.has_files():
                self._loads_log = True
                return Loading(self.server, log.load(), log.total_bytes(), self._on_loaded)
        path = self.snapshots.path
        if not os.path.exists(path):
            return None
        from sharedstate_server.snapshot_reading import read_snapshot

        steps = read_snapshot(self, path)
        return Loading(self.server, steps, os.path.getsize(path), self._on_loaded)

    def _on_loaded(self, error: Exception | None) -> None:
        from sharedstate_server.loading import set_loading, tell_loaded

        loading = self.loading
        if error is not None:
            self._saves_at_end = False
            self.server.fail(self._describe_failure(error))
            return
        if loading is not None:
            tell_loaded(self, loading.seconds, is_log=self._loads_log)
        self.loading = None
        set_loading(self.server, is_loading=False)
        self.snapshots.note_in_step()
        self._keep()

    def _describe_failure(self, error: Exception) -> str:
        from sharedstate_memory.rdb.errors import RdbError

        if isinstance(error, RdbError):
            return (
                f"Bad file format reading the snapshot {self.snapshots.path}: {error}."
                " The server does not start, and the file stays as it is. `sharedstate"
                " check` tells what can be read of it; put a backup in its place, or move"
                " it away to start without data"
            )
        if isinstance(error, OSError):
            return f"Fatal error loading the data: {error}"
        if isinstance(error, ValueError):
            return str(error)
        self.server.log_failure("loading the data failed because of a mistake of ours")
        return "the data cannot be loaded"

    def _keep(self) -> None:
        """Keep data from now on, as the settings ask for."""
        if self.settings["appendonly"]:
            try:
                self.open_log().begin()
            except (OSError, ValueError) as error:
                self._saves_at_end = False
                self.server.fail(f"Can't open the append-only file: {error}")
                return
        on_ready, self._on_ready = self._on_ready, _do_nothing
        on_ready()

    # While it serves.

    @property
    def is_loading(self) -> bool:
        """Whether the data is being read, and commands are answered LOADING."""
        return self.loading is not None

    @property
    def last_save_s(self) -> int:
        """When the data was saved last, in seconds since the epoch."""
        return self.snapshots.last_save_s

    def save(self) -> None:
        """SAVE. Raises CommandFailure."""
        self.snapshots.save()

    def save_in_background(self, *, may_wait: bool, must_wait: bool) -> bytes:
        """BGSAVE: the text of its reply. Raises CommandFailure."""
        return self.snapshots.begin(may_wait=may_wait, must_wait=must_wait)

    def rewrite_log(self, *, must_wait: bool) -> bytes:
        """BGREWRITEAOF: the text of its reply. It `must_wait` until the transaction that
        asks for it has ended. Raises CommandFailure.
        """
        if must_wait:
            self._must_rewrite = True
            return _REWRITE_SCHEDULED
        return self.open_log().rewrite()

    def open_log(self) -> Log:
        """The log, made now if there was none."""
        if self.log is None:
            from sharedstate_server.aof.log import AppendLog

            self.log = AppendLog(self)
        return self.log

    def follow_log_setting(self) -> None:
        """CONFIG SET appendonly has changed it. Raises `SettingError`."""
        if self.settings["appendonly"]:
            self._hold_for_setting()
            self.open_log().follow_setting()
        elif self.log is not None:
            self.log.follow_setting()

    def review_writes(self) -> None:
        """Let the engine refuse writes, or no more, after a failure or a success."""
        refusal = self.snapshots.refusal
        if not refusal and self.log is not None:
            refusal = self.log.refusal
        if refusal != self.engine.write_refusal:
            self.engine.write_refusal = refusal
            self.engine.review_sessions()

    def on_child_gone(self) -> None:
        """A child has ended: what was put off for it may begin."""
        if self.log is not None and not self._is_closed:
            self.log.on_child_gone()

    def on_flush_all(self) -> None:
        """FLUSHALL has removed everything: the file is to have nothing either, and what a
        child is saving is wanted by nobody.
        """
        if self.snapshots.is_saving:
            self.forks.kill()
        if self.snapshots.is_wanted and not self.is_loading:
            self.snapshots.save_now()

    def cron(self) -> None:
        """What is due in time: ten times a second or more often."""
        if self.is_loading:
            return
        self.snapshots.cron()
        if self._must_rewrite:
            self._must_rewrite = False
            self._rewrite_as_promised()
        if self.log is not None:
            self.log.cron()

    def _rewrite_as_promised(self) -> None:
        try:
            self.open_log().rewrite()
        except CommandFailure as failure:
            text = failure.text.decode("utf-8", "replace")
            self.server.log(f"The rewrite that was scheduled: {text}", "warning")

    def reload_log(self) -> None:
        """DEBUG LOADAOF: write out what is to be written, forget everything, and load the
        log again, in the foreground. Raises CommandFailure.
        """
        from sharedstate_server.snapshot_reading import reload_log

        reload_log(self)

    def reload(self, *, saves: bool, flushes: bool, merges: bool) -> None:
        """DEBUG RELOAD: save, forget everything, and load it again, in the foreground.
        With `merges`, what is loaded takes the place of what is there. Raises
        CommandFailure.
        """
        from sharedstate_server.snapshot_reading import reload

        reload(self, saves=saves, flushes=flushes, merges=merges)

    def facts(self) -> Facts:
        """What INFO persistence tells of it."""
        facts = self.forks.facts()
        facts |= self.snapshots.facts()
        if self.log is not None:
            facts |= self.log.facts()
        if self.loading is not None:
            facts["loading"] = 1
            facts |= self.loading.facts()
        return facts

    def fork_facts(self) -> Facts:
        """What INFO stats tells of it."""
        return {
            "latest_fork_usec": self.forks.last_fork_us,
            "total_forks": self.forks.count,
        }

    # The end.

    def may_end(self, words: frozenset[bytes]) -> bool:
        """SHUTDOWN: save, if the rules or its `words` ask for that. False if that fails,
        unless it is forced: then the server goes on. What is not loaded yet is not saved.
        """
        if self._has_unfinished_log() and not words & {b"NOSAVE", b"FORCE"}:
            self.server.log("The log has not all the data yet, can't exit.", "warning")
            return False
        self._kill_child()
        wants = b"SAVE" in words or (self.snapshots.is_wanted and b"NOSAVE" not in words)
        self._saves_at_end = wants and not self.is_loading
        if not self._saves_at_end or self._is_in_script():
            return True
        log = self.server.log
        log("Saving the final RDB snapshot before exiting.")
        if self.snapshots.save_now():
            return True
        if b"FORCE" in words:
            log("Error trying to save the DB, but exiting as it is forced.", "warning")
            self._saves_at_end = False
            return True
        log("Error trying to save the DB, can't exit.", "warning")
        return False

    def _has_unfinished_log(self) -> bool:
        """Whether there is a log that a rewrite has yet to make whole: it was switched on
        just now, or given up.
        """
        return self.log is not None and self.log.is_on and not self.log.is_whole

    def has_unwritten_log(self) -> bool:
        """Whether the log lacks what was acknowledged, until the disk takes it."""
        log = self.log
        return self._has_unfinished_log() or (log is not None and bool(log.refusal))

    def _is_in_script(self) -> bool:
        """Whether a script runs that is to be ended: it is no time to save. If it has
        written by halves, that is not to be saved later either.
        """
        busy = self.engine.busy
        if busy is not None and busy.has_written:
            self._saves_at_end = False
            self.server.log("The script has written by halves: nothing is saved", "warning")
        return busy is not None

    def _kill_child(self) -> None:
        child = self.forks.child
        if child is not None:
            what = "saving an .rdb" if child.purpose == "RDB" else "rewriting the AOF"
            self.server.log(f"There is a child {what}. Killing it!", "warning")
            self.forks.kill()

    def close(self) -> None:
        """End: save what has changed since it was saved last, if the rules ask for that,
        and leave the folder. Twice is fine.
        """
        if self._is_closed:
            return
        self._is_closed = True
        if self.loading is not None:
            self.loading.stop()
            self._saves_at_end = False
        self._kill_child()
        if self._saves_at_end and self.snapshots.is_wanted and self.snapshots.changes:
            self.snapshots.save_now()
        if self.log is not None:
            self.log.close()
        self.folder.free()


def _do_nothing() -> None:
    """Nobody waits for it to be ready."""
