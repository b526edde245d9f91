"""The listening sockets that the settings ask for: opened at the start, changed later.

`port` and `tls-port` (zero for none) are listened on at every address of `bind`; an
address with a dash in front may be missing on this machine. `unixsocket` is opened once.
A change of ports or addresses opens what is new and closes what is gone; what cannot be
opened takes the change back.
"""

from __future__ import annotations

import errno
import os

from sharedstate_memory.directive_kinds import SettingError
from sharedstate_server.listening import bind_tcp, bind_unix, identify, unlink_socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from typing import TypeAlias

    from sharedstate_server.server import Server

    # Address as written, port, and whether TLS is spoken there.
    Endpoint: TypeAlias = tuple[str, int, bool]

_SOCKET_MODE = 0o600

# What binding to an address fails with that this machine does not have.
_NOT_HERE = frozenset(
    (
        errno.EADDRNOTAVAIL,
        errno.EAFNOSUPPORT,
        errno.EPFNOSUPPORT,
        errno.EPROTONOSUPPORT,
        errno.ESOCKTNOSUPPORT,
        errno.ENOPROTOOPT,
    )
)


class Endpoints:
    """A server's sockets as its settings have them."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._settings = server.engine.settings
        self._bound: tuple[str, ...] = ()
        self._open: dict[Endpoint, socket.socket] = {}

    def open(self, *, any_port: bool = False) -> None:
        """Listen everywhere the settings say; with `any_port`, on a free TCP port, which
        the settings have from then on. Raises `OSError`, and `SettingError` for an
        address or for TLS that cannot be.
        """
        self._open_unix()
        if any_port:
            self._take_any_port()
        self._follow()
        for name in ("port", "tls-port", "bind"):
            self._settings.on_change(name, self._follow)

    @property
    def is_none(self) -> bool:
        """Whether nobody could connect."""
        return not self._open and not self._settings["unixsocket"]

    def _open_unix(self) -> None:
        path: str = self._settings["unixsocket"]
        if not path:
            return
        path = os.path.abspath(path)
        mode = self._settings["unixsocketperm"] or _SOCKET_MODE
        self._server.serve(bind_unix(path, mode, self._settings["tcp-backlog"]))
        identity = identify(path)
        self._server.before_end(lambda: unlink_socket(path, identity))

    def _take_any_port(self) -> None:
        address: str = self._settings["bind"][0]
        backlog: int = self._settings["tcp-backlog"]
        listener = bind_tcp(address.removeprefix("-"), 0, backlog)
        port: int = listener.getsockname()[1]
        self._settings.load("port", [str(port)])
        self._server.serve(listener)
        self._open[address, port, False] = listener

    def _follow(self) -> None:
        wanted = self._wanted()
        refusal = "Unable to listen on this port. Check server logs."
        if self._settings["bind"] != self._bound and self._open:
            refusal = "Failed to bind to specified addresses."
        # The old ones go first: the new ones may be other names for the same addresses.
        for endpoint in [one for one in self._open if one not in wanted]:
            self._server.gate.close_one(self._open.pop(endpoint))
        for endpoint in wanted:
            if endpoint not in self._open and not self._listen(endpoint):
                raise SettingError(refusal)
        self._bound = self._settings["bind"]
        port: int = self._settings["port"] or self._settings["tls-port"]
        self._server.engine.info["tcp_port"] = port

    def _wanted(self) -> list[Endpoint]:
        ports = ((self._settings["port"], False), (self._settings["tls-port"], True))
        return [
            (address, port, is_tls)
            for port, is_tls in ports
            if port
            for address in self._settings["bind"]
        ]

    def _listen(self, endpoint: Endpoint) -> bool:
        """Listen on an address. False if that cannot be, and should."""
        address, port, is_tls = endpoint
        host = address.removeprefix("-")
        try:
            listener = bind_tcp(host, port, self._settings["tcp-backlog"])
        except OSError as error:
            if host != address and error.errno in _NOT_HERE:
                return True
            self._server.log(f"Warning: {error.strerror}", "warning")
            return False
        self._server.gate.open(listener, is_tls=is_tls)
        self._open[endpoint] = listener
        return True
