"""Opening the backend of a URL: a server that runs, or one that is started here.

server://host:port/db          a server on this or another machine
server+unix:///path?db=0       … by its Unix socket
local://                       a private server, started now, ended with us
local:///folder                the one server of a folder, started by who comes first
"""

from __future__ import annotations

import os
import socket
import weakref
from urllib.parse import quote

from sharedstate.backend import Capability
from sharedstate.config import Address, Settings, redact
from sharedstate.errors import (
    BackendError,
    BackendTimeout,
    CommandError,
    ConfigError,
    SharedStateError,
)
from sharedstate_server.client import ServerBackend
from sharedstate_server.folders import SOCKET_NAME
from sharedstate_server.launcher import LaunchedServer, join_folder, start_private
from sharedstate_server.timeouts import set_timeouts
from sharedstate_server.wire import Wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

DEFAULT_PORT = 6399

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
        backend = ServerBackend(settings, _unix_opener(settings, path), _LOCAL)
    else:
        backend = ServerBackend(settings, _tcp_opener(settings, address), _REMOTE)
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
    launched = start_private()
    return LocalBackend(
        settings.replaced(url=f"server+unix://{quote(launched.path)}"), launched
    )


def _open_folder(settings: Settings, folder: str) -> ServerBackend:
    folder = os.path.abspath(folder)
    linger = settings.option("linger", 5.0)
    assert isinstance(linger, float)
    anchor, launched = join_folder(folder, linger)
    return FolderBackend(
        settings.replaced(url=f"local://{quote(folder)}"), folder, anchor, launched
    )


# How long a process that refuses connections may take to be seen to have ended.
_ENDING_SECONDS = 1.0


class LocalBackend(ServerBackend):
    """A private server and the connections to it. Closing it ends the server.

    Its settings carry the URL of the socket, so that workers come to the same server.
    """

    def __init__(self, settings: Settings, launched: LaunchedServer) -> None:
        super().__init__(settings, _unix_opener(settings, launched.path), _LOCAL)
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


class FolderBackend(ServerBackend):
    """The server of a folder. An open socket says that this program still uses it."""

    def __init__(
        self,
        settings: Settings,
        folder: str,
        anchor: socket.socket,
        launched: LaunchedServer | None,
    ) -> None:
        path = os.path.join(folder, SOCKET_NAME)
        super().__init__(settings, _unix_opener(settings, path), _LOCAL)
        self._anchor = anchor
        self._launched = launched

    def close(self) -> None:
        """Leave the folder. Its server ends when everyone has left for a while."""
        super().close()
        self._anchor.close()

    def __del__(self) -> None:
        self._anchor.close()


def _unix_opener(settings: Settings, path: str) -> Callable[[], Wire]:
    database = str(settings.option("db", 0))

    def open_wire() -> Wire:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        return _log_in(settings, sock, path, database)

    return open_wire


def _tcp_opener(settings: Settings, address: Address) -> Callable[[], Wire]:
    host, port = address.host_and_port(DEFAULT_PORT)
    database = address.path.strip("/") or "0"

    def open_wire() -> Wire:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        wire = _log_in(settings, sock, (host, port), database)
        wire.guard()
        return wire

    return open_wire


def _log_in(
    settings: Settings, sock: socket.socket, target: str | tuple[str, int], database: str
) -> Wire:
    """Connect a socket, authenticate, choose the database. Raises `BackendError`."""
    where = redact(settings.url)
    try:
        # The kernel's time-out: with Python's, a Unix socket would not wait for a place
        # in a full queue.
        set_timeouts(sock, settings.connect_timeout)
        sock.connect(target)
        wire = Wire(sock, settings.timeout)
        if settings.password is not None:
            user = (settings.username,) if settings.username else ()
            wire.call("AUTH", *user, settings.password)
        if database != "0":
            wire.call("SELECT", database)
    except CommandError as error:
        sock.close()
        message = f"{error} ({where}: check username, password and database)"
        raise CommandError.from_reply(message) from error
    except (TimeoutError, BlockingIOError) as error:
        sock.close()
        raise BackendTimeout(
            f"{where} did not accept a connection within {settings.connect_timeout:g} s"
        ) from error
    except OSError as error:
        sock.close()
        raise BackendError(
            f"cannot connect to {where}: {error}; does it run there?"
        ) from error
    return wire
