"""Who may come in: so many clients at once, and strangers only where a password is asked.

A client that is turned away gets one line that says why, before it has said a word. In
protected mode a server whose default user has no password serves its own machine alone,
so that one started without a thought is not open to the world.
"""

from __future__ import annotations

import socket

from sharedstate_server.listening import is_loopback

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sharedstate_memory.engine import Engine

TOO_MANY = b"-ERR max number of clients reached\r\n"
PROTECTED = (
    b"-DENIED The server is running in protected mode: no password is set for the default"
    b" user, so only clients on this machine are served. To be served from elsewhere, set"
    b" one (requirepass) and give it, or, where nobody unwelcome can reach the server, set"
    b" protected-mode to no: in its configuration, or from this machine by CONFIG SET.\r\n"
)


class Admission:
    """Decides for each client that connects. Follows the settings."""

    __slots__ = ("_engine", "_is_protected", "_most")

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._follow()
        for name in ("maxclients", "protected-mode"):
            engine.settings.on_change(name, self._follow)

    def _follow(self) -> None:
        self._most: int = self._engine.settings["maxclients"]
        self._is_protected: bool = self._engine.settings["protected-mode"]

    def refusal(self, family: int, address: object, present: int) -> bytes | None:
        """What to tell a client that may not come in; None lets it in.

        `address` is what `accept` told, `present` how many clients there are.
        """
        if present >= self._most:
            return TOO_MANY
        if self._is_protected and self._engine.users.default.is_open:
            return None if _is_near(family, address) else PROTECTED
        return None


def refuse_open_address(engine: Engine, host: str) -> None:
    """Raise `ValueError` for an address where everybody could come in without a password.

    For those who start a server by our own command: they are told at once, while
    protected mode would let them find out.
    """
    if engine.users.default.is_open and not is_loopback(host):
        raise ValueError(
            f"refusing to listen on {host} without a password: anyone who reaches that"
            f" address could read and change everything. Set a password, or bind to"
            f" 127.0.0.1"
        )


def _is_near(family: int, address: object) -> bool:
    return family == socket.AF_UNIX or (
        isinstance(address, tuple) and is_loopback(address[0])
    )
