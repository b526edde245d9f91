"""The backend of `local:///folder`: the one server of a folder, and the way back to it.

    connect ──► join: connect to the folder's server, or start it ──► anchor (a socket)
    a wire is opened ──► has the anchor's other end gone? ──► join again, and go on

An open socket, the anchor, tells the server that this program still uses it, and tells
this program whether the server is still the one that it has joined. If that one has gone
(killed, or ended by somebody), the next command joins again: the folder's state comes
back with the new server, and an acknowledged change is in it as far as `durability=` goes.

Programs that ask for different durability share one server: the strictest wish of all who
have joined it holds, until it ends. A program that was promised more than the server kept
would not notice before the crash; one that was promised less is only slower.
"""

from __future__ import annotations

import os
import threading

from sharedstate.backend import Capability
from sharedstate.errors import BackendError, CommandError, ConfigError
from sharedstate_server.abilities import ask_what_it_can
from sharedstate_server.client import ServerBackend
from sharedstate_server.durability import (
    DEFAULT_LEVEL,
    LOG_DIRECTIVE,
    NONE,
    POLICY_DIRECTIVE,
    is_stricter,
    level_of,
    policy_of,
)
from sharedstate_server.folders import SOCKET_NAME
from sharedstate_server.last_words import last_words
from sharedstate_server.launcher import join_folder, locked
from sharedstate_server.opening import unix_opener
from sharedstate_server.wire import Wire, is_closed

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket

    from sharedstate.config import Settings
    from sharedstate_server.launcher import LaunchedServer

_PROCESSES = frozenset({Capability.PROCESSES})
# What a server can do that was started by us.
_OURS = frozenset({Capability.PERSISTENCE, Capability.SESSIONS})

# How long a server that ends a connection may take to be gone, and its last words there.
_ENDING_SECONDS = 5.0

# So many servers of others may end while we join them, before that is told.
_ATTEMPTS = 3


class FolderBackend(ServerBackend):
    """The server of a folder, which this program joins, and joins again if it was killed.

    Raises `ConfigError` if the folder will not do or the durability cannot be had, and
    `BackendError`, with the server's own words, if its data cannot be loaded.
    """

    def __init__(self, settings: Settings, folder: str) -> None:
        path = os.path.join(folder, SOCKET_NAME)
        super().__init__(settings, unix_opener(settings, path), _PROCESSES)
        self._folder = folder
        self._anchor: socket.socket | None = None
        self._abilities: frozenset[Capability] | None = None
        linger = settings.option("linger", 5.0)
        assert isinstance(linger, float)
        self._linger = linger
        self._level = str(settings.option("durability", DEFAULT_LEVEL))
        try:
            self._join()
        except BaseException:
            self.close()
            raise

    def _reset(self) -> None:
        super()._reset()
        # One thread joins, the others wait. In a forked child, nobody is joining yet.
        self._joining = threading.RLock()

    def _join(self) -> None:
        """Become one of the server's programs: it stays while we do, and keeps what we
        were promised. A server that we have found, and that ends just now, is not the one.
        """
        for attempts_left in reversed(range(_ATTEMPTS)):
            anchor, launched = join_folder(self._folder, self._linger, self._level)
            self._leave()
            self._anchor = anchor
            # One of ours has a log; any other has to be asked.
            self._abilities = None if launched is None else _OURS
            try:
                self._get_to_know(launched)
                return
            except BackendError as error:
                if not self._has_ended(launched):
                    raise
                if launched is not None or not attempts_left:
                    raise BackendError(
                        f"the server of {self._folder} has ended: "
                        f"{last_words(self._folder)}"
                    ) from error

    def _get_to_know(self, launched: LaunchedServer | None) -> None:
        """Wait until the server has loaded its data, which it may be unable to: better
        now than with the first command. Then agree on what it keeps.
        """
        wire = self._opener()
        try:
            if launched is None:
                self._agree_on_durability(wire)
        except OSError as error:
            raise self.explain(error, 0) from error
        finally:
            wire.close()

    def _has_ended(self, launched: LaunchedServer | None) -> bool:
        has_ended = self._anchor is None or is_closed(self._anchor)
        if has_ended and launched is not None:
            # Its last words are there when it is not.
            launched.has_ended(within=_ENDING_SECONDS)
        return has_ended

    def _open(self) -> Wire:
        self._join_if_left()
        try:
            return super()._open()
        except BackendError:
            if not self._join_if_left():
                raise
        return super()._open()

    def _join_if_left(self) -> bool:
        """Join again if the server that we joined has gone. Whether it had."""
        with self._joining:
            if self._anchor is not None and not is_closed(self._anchor):
                return False
            self._join()
            return True

    # Durability.

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What the server can do. One round trip, once, if somebody else started it."""
        abilities = self._abilities
        if abilities is None:
            abilities = self._abilities = ask_what_it_can(self)
        return _PROCESSES | abilities

    def _agree_on_durability(self, wire: Wire) -> None:
        """See to it that a server that somebody else started keeps what we promise."""
        if not is_stricter(self._level, than=self._level_of_server(wire)):
            return
        # Nobody who wants less may set it between our look and our change.
        with locked(self._folder):
            if is_stricter(self._level, than=self._level_of_server(wire)):
                wire.call("CONFIG", "SET", POLICY_DIRECTIVE, policy_of(self._level))

    def _level_of_server(self, wire: Wire) -> str:
        """What the server keeps. Raises `ConfigError` if it cannot be made to keep what
        the program asks for; what is only our default gives way to who started it.
        """
        try:
            reply = wire.call("CONFIG", "GET", LOG_DIRECTIVE, POLICY_DIRECTIVE)
        except CommandError as error:
            return self._give_way(f"it does not say what it keeps ({error})")
        texts = [word.decode() for word in reply]
        settings = dict(zip(texts[::2], texts[1::2], strict=True))
        if settings.get(LOG_DIRECTIVE) != "yes":
            return self._give_way("it was started without a log (appendonly no)")
        return level_of(settings[POLICY_DIRECTIVE])

    def _give_way(self, reason: str) -> str:
        origin = self.settings.origin("durability")
        if self._level == NONE or origin == "default":
            return self._level
        raise ConfigError(
            f"option 'durability' ({origin}): the server of {self._folder} cannot keep "
            f"{self._level!r}: {reason}; leave the option away, or start it otherwise"
        )

    def close(self) -> None:
        """Leave the folder. Its server ends when everyone has left for a while."""
        super().close()
        self._leave()

    def _leave(self) -> None:
        if self._anchor is not None:
            self._anchor.close()

    def __del__(self) -> None:
        # There is none if the settings were refused.
        if hasattr(self, "_anchor"):
            self._leave()
