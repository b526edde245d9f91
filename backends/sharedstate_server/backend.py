"""Opening the backend of a URL: a server that runs, or one that is started here.

server://host:port/db          a server on this or another machine
server+unix:///path?db=0       … by its Unix socket
local://                       a private server, started now, ended with us
local:///folder                the one server of a folder, which keeps its state there
"""

from __future__ import annotations

import os
import weakref
from urllib.parse import quote

from sharedstate.backend import Capability
from sharedstate.config import Settings
from sharedstate.errors import BackendError, CommandError, ConfigError, SharedStateError
from sharedstate_server.abilities import ask_what_it_can
from sharedstate_server.client import ServerBackend
from sharedstate_server.durability import NONE
from sharedstate_server.folder_backend import FolderBackend
from sharedstate_server.launcher import LaunchedServer, start_private
from sharedstate_server.opening import DEFAULT_PORT, tcp_opener, unix_opener
from sharedstate_server.wire import Wire

__all__ = ["DEFAULT_PORT", "LocalBackend", "open_backend"]

_LOCAL = frozenset({Capability.PROCESSES})
_REMOTE = frozenset({Capability.PROCESSES, Capability.MACHINES})


def open_backend(settings: Settings) -> ServerBackend:
    """The connected backend of `server://`, `server+unix://` and `local://` URLs."""
    address = settings.address
    if address.scheme == "local":
        if address.host:
            raise ConfigError(
                f"expected local:// or local:///folder, got {settings}: a folder's path "
                f"begins with a third slash"
            )
        return (
            _open_folder(settings, address.path)
            if address.path
            else _open_private(settings)
        )
    if address.scheme == "server+unix":
        path = address.path
        backend = RunningBackend(settings, unix_opener(settings, path), _LOCAL)
    else:
        backend = RunningBackend(settings, tcp_opener(settings, address), _REMOTE)
    try:
        backend.execute(("PING",))
    except CommandError as error:
        backend.close()
        # Most of all NOAUTH: a password is asked for, and none was given.
        message = f"{error} ({settings}: check username and password)"
        raise CommandError.from_reply(message) from error
    except BaseException:
        backend.close()
        raise
    return backend


def _open_private(settings: Settings) -> ServerBackend:
    _refuse_durability(settings)
    launched = start_private()
    return LocalBackend(
        settings.replaced(url=f"server+unix://{quote(launched.path)}"), launched
    )


def _refuse_durability(settings: Settings) -> None:
    """Raise `ConfigError` if the call or its URL asks that a private server keeps what
    nobody could come back for. A file or the environment may mean another URL.
    """
    level = settings.option("durability", NONE)
    origin = settings.origin("durability")
    if level != NONE and not origin.startswith(("default", "environment", "file")):
        raise ConfigError(
            f"option 'durability' ({origin}): {settings} is a private server, whose data "
            f"ends with this program: it cannot keep {level!r}; use local:///folder"
        )


def _open_folder(settings: Settings, folder: str) -> ServerBackend:
    folder = os.path.abspath(folder)
    return FolderBackend(settings.replaced(url=f"local://{quote(folder)}"), folder)


# How long a process that refuses connections may take to be seen to have ended.
_ENDING_SECONDS = 1.0


class RunningBackend(ServerBackend):
    """A server that somebody else has started. What it can do, it has to be asked."""

    _abilities: frozenset[Capability] | None = None

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What this server can do. One round trip, once."""
        if self._abilities is None:
            self._abilities = ask_what_it_can(self)
        return self._capabilities | self._abilities


class LocalBackend(ServerBackend):
    """A private server and the connections to it. Closing it ends the server.

    Its settings carry the URL of the socket, so that workers come to the same server.
    """

    def __init__(self, settings: Settings, launched: LaunchedServer) -> None:
        opener = unix_opener(settings, launched.path, may_load=False)
        super().__init__(settings, opener, _LOCAL | {Capability.SESSIONS})
        self._launched = launched
        # A state that was dropped without `close` ends its server too. One that is there
        # at the end of the program need not: the server sees the end.
        weakref.finalize(self, launched.end).atexit = False

    def explain(self, error: OSError, sent: int | bool) -> SharedStateError:
        """As the base has it, with the server's last words if it has ended."""
        explained = super().explain(error, sent)
        reason = self._launched.why_it_ended()
        if reason is None or isinstance(error, SharedStateError):
            return explained  # What `_open` raises says it already.
        return type(explained)(
            f"{explained}. This program's private server ended: {reason}"
        )

    def _open(self) -> Wire:
        try:
            return super()._open()
        except BackendError as error:
            reason = self._launched.why_it_ended(within=_ENDING_SECONDS)
            if reason is None:
                raise
            raise BackendError(
                f"the private server of this program ended: {reason}"
            ) from error

    def close(self) -> None:
        """Close the connections, and end the server if this process started it."""
        super().close()
        self._launched.end()
