"""Watched keys: an optimistic transaction over a connection of its own.

Not over the thread's own, because EXEC forgets all watched keys of a connection: a
transaction that happens between `watch` and its own `transact` would take the guard away.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sharedstate.backend import Watch
from sharedstate.commands import is_repeatable
from sharedstate.errors import CommandError, SharedStateError

from .backend import Doubt, RedisBackend, pack
from .connection import Broken, Connection

if TYPE_CHECKING:
    from sharedstate.backend import Command, Reply

    from .connections import Connections

_UNWATCH = pack(("UNWATCH",))


class RedisWatch(Watch):
    """A borrowed connection with keys under watch, until `finish` or `close`."""

    def __init__(
        self, backend: RedisBackend, connections: Connections, connection: Connection
    ) -> None:
        self._backend = backend
        self._connections = connections
        self._connection: Connection | None = connection

    def execute(self, command: Command) -> Reply:
        connection = self._still_open()
        try:
            reply = connection.call(pack(command))
        except Broken as broken:
            # Never repeated: the keys are not watched any more.
            doubt = Doubt(command[0], repeatable=is_repeatable(command[0]))
            raise self._backend.error(broken, doubt) from broken
        if isinstance(reply, CommandError):
            raise reply
        return reply

    def finish(self, data: bytes, count: int, doubt: Doubt) -> list[Reply]:
        """Send a packed transaction, and end the watch. One round trip.

        The connection becomes the calling thread's own, so that a WAIT that follows
        speaks of this transaction too.
        """
        connection = self._still_open()
        self._connection = None
        try:
            replies = connection.exchange(data, count)
        except Broken as broken:
            raise self._backend.error(broken, doubt) from broken
        self._connections.adopt(connection)
        return replies

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is None or connection.is_closed:
            return
        try:
            # The next borrower reads the answer: closing costs no round trip.
            connection.send(_UNWATCH)
            connection.owed += 1
        except Broken:
            return  # With the connection, its watched keys are forgotten.
        self._connections.give_back(connection)

    def _still_open(self) -> Connection:
        if self._connection is None:
            raise SharedStateError("a watch serves once: call watch() again")
        return self._connection
