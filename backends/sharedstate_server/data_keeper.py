"""What stands for the data on disk in a server that keeps none: the place where keeping it
begins when somebody asks for it.

Nothing of `persistence.py` and behind it is imported before that, so that a server without
it starts as quickly, and does no more for a command, than if there were none.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from sharedstate_server.persistence import Persistence
    from sharedstate_server.server import Server

# As in `failpoints.py`, which nobody is to import without it.
_FAILPOINTS = "SHAREDSTATE_FAILPOINTS"


def _do_nothing() -> None:
    """Nobody waits for the data to be loaded."""


class DataKeeper:
    """A server's way to what it keeps on disk: `server.data`.

    Followed are the settings `save` and `appendonly`, from the moment the data was begun.
    """

    def __init__(self, server: Server) -> None:
        self.persistence: Persistence | None = None
        self._server = server
        self._has_begun = False
        engine = server.engine
        engine.open_persistence = self.open
        engine.arm_failpoint = _arm_failpoint
        engine.settings.on_change("appendonly", self._follow_log)
        engine.settings.on_change("save", self._follow_rules)

    def open(self) -> Persistence:
        """What is kept on disk, made now if there was nothing."""
        if self.persistence is None:
            from sharedstate_server.persistence import Persistence

            self.persistence = Persistence(self._server)
            self._server.engine.persistence = self.persistence
        return self.persistence

    def begin(
        self, on_ready: Callable[[], None] = _do_nothing, *, looks: bool = False
    ) -> None:
        """Load what is on disk, in turns of the loop, and keep what the settings ask for;
        then call `on_ready`. The second time, nothing happens.

        With `looks`, a snapshot that is there is loaded even if nothing is to be kept. A
        server that cannot have its data ends (`Server.fail`).
        """
        if self._has_begun:
            return
        self._has_begun = True
        if _FAILPOINTS in os.environ:
            _arm_failpoints()
        settings = self._server.engine.settings
        path = os.path.join(settings["dir"], settings["dbfilename"])
        wants = settings["save"] or settings["appendonly"]
        if not wants and not (looks and os.path.exists(path)):
            on_ready()
            return
        try:
            self.open().begin(on_ready)
        except OSError as error:
            self._server.fail(f"Can't use the data folder: {error.strerror or error}")

    def cron(self) -> None:
        """What is due in time."""
        if self.persistence is not None:
            self.persistence.cron()

    def may_end(self, words: frozenset[bytes]) -> bool:
        """Whether the server may end: not if it was to save and could not."""
        if self.persistence is None and b"SAVE" not in words:
            return True
        return self.open().may_end(words)

    def close(self) -> None:
        """The server ends."""
        if self.persistence is not None:
            self.persistence.close()

    def _follow_log(self) -> None:
        if self._has_begun:
            self.open().follow_log_setting()

    def _follow_rules(self) -> None:
        if self._has_begun and (
            self.persistence is not None or self._server.engine.settings["save"]
        ):
            self.open().follow_rules()


def _arm_failpoints() -> None:
    from sharedstate_server.failpoints import arm_from_environment

    arm_from_environment()


def _arm_failpoint(name: str, spec: str) -> None:
    from sharedstate_server.failpoints import arm

    arm(name, spec)
