"""Loading: the data is read in slices of turns of the loop, and everybody is told so.

A generator does the work (`rdb.loader.load`, `AppendLog.load`): it yields the number of
bytes it has read so far, every few milliseconds. In between, the loop serves the others:
commands that the table flags `loading` are executed, all others get an error. Expiry and
eviction rest meanwhile, and so do looks for garbage.
"""

from __future__ import annotations

import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sharedstate_memory.information import Facts
    from sharedstate_server.loading_display import Display
    from sharedstate_server.persistence import Persistence
    from sharedstate_server.server import Server

SLICE_SECONDS = 0.01
"""No step begins in a turn after this time: others wait so long for the answer that they
have to wait."""


class Loading:
    """Something that is being loaded: `steps` yields the bytes read so far.

    `on_end` is called with what went wrong, or None. When it is, the engine still counts
    as loading: whoever begins what comes next calls `open_up`.
    """

    def __init__(
        self,
        server: Server,
        steps: Iterator[int],
        total_bytes: int,
        on_end: Callable[[Exception | None], None],
    ) -> None:
        self.total_bytes = total_bytes
        self.loaded_bytes = 0
        self.started_at = time.time()
        self._server = server
        self._steps = steps
        self._on_end = on_end
        self._is_over = False
        self._display: Display | None = None

    @property
    def seconds(self) -> float:
        """How long it has taken so far."""
        return time.time() - self.started_at

    def begin(self) -> None:
        """Load, from the end of this turn on."""
        from sharedstate_server.garbage import pause_looks
        from sharedstate_server.loading_display import display_for

        set_loading(self._server, is_loading=True)
        pause_looks()
        self._display = display_for(self._server.log, self.total_bytes)
        self._server.loop.soon(self._step)

    def stop(self) -> None:
        """Give it up, because the server ends."""
        if not self._is_over:
            self._leave()

    def _step(self) -> None:
        if self._is_over:
            return
        try:
            goes_on = self._run_slice()
        except Exception as error:
            self._finish(error)
            return
        if not goes_on:
            self._finish(None)
            return
        if self._display is not None:
            self._display.show(self.loaded_bytes, self.seconds)
        self._server.loop.soon(self._step)

    def _run_slice(self) -> bool:
        """Load for a slice of time. False when all was loaded."""
        end = time.monotonic() + SLICE_SECONDS
        for loaded in self._steps:
            self.loaded_bytes = loaded
            if time.monotonic() > end:
                break
        else:
            return False
        engine = self._server.engine
        if engine.pending:
            engine.settle(0, [])
        return True

    def _finish(self, error: Exception | None) -> None:
        self._leave()
        self._on_end(error)

    def _leave(self) -> None:
        from sharedstate_server.garbage import resume_looks

        self._is_over = True
        if self._display is not None:
            self._display.close()
            self._display = None
        resume_looks()

    def facts(self) -> Facts:
        """The loading_* fields of INFO persistence."""
        seconds = self.seconds
        share = self.loaded_bytes / self.total_bytes if self.total_bytes else 1.0
        eta_s = 1
        if self.loaded_bytes:
            left = max(self.total_bytes - self.loaded_bytes, 0)
            eta_s = int(seconds * left / self.loaded_bytes)
        return {
            "loading_start_time": int(self.started_at),
            "loading_total_bytes": self.total_bytes,
            "loading_rdb_used_mem": 0,
            "loading_loaded_bytes": self.loaded_bytes,
            "loading_loaded_perc": f"{100 * min(share, 1.0):.2f}",
            "loading_eta_seconds": eta_s,
        }


def set_loading(server: Server, *, is_loading: bool) -> None:
    """Let commands be answered that the data is being loaded, or no more."""
    server.engine.is_loading = is_loading
    server.engine.review_sessions()


def tell_loaded(persistence: Persistence, seconds: float, *, is_log: bool) -> None:
    """Log what was loaded, and what was not: whoever has put a snapshot back, and has left
    the log where it is, is to see it.
    """
    tell, path = persistence.server.log, persistence.snapshots.path
    folder = os.path.join(persistence.folder_path, persistence.settings["appenddirname"])
    keys = sum(len(db.data) for db in persistence.engine.databases)
    source = "append only file" if is_log else "disk"
    place = folder if is_log else path
    tell(f"DB loaded from {source}: {seconds:.3f} seconds, {keys} keys from {place}")
    if is_log and os.path.exists(path):
        tell(
            f"{path} was not loaded, because there is a log. To go back to this snapshot,"
            f" end the server, move {folder} away, and start it again"
        )
    elif not is_log and not persistence.settings["appendonly"] and os.path.exists(folder):
        tell(f"{folder} was not loaded: appendonly is no")
