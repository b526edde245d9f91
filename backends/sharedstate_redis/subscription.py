"""Subscriptions: messages of some channels, over a connection of their own.

Redis keeps no message for who is not there. When the connection broke, what was
published until the subscription is renewed is lost, and `missed` says that this may be.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from time import monotonic
from typing import TYPE_CHECKING

from sharedstate.backend import Message, Subscription
from sharedstate.errors import BackendError, CommandError

from .backend import Doubt, RedisBackend, pack
from .connection import ALL, INCOMPLETE, Broken, Connection

if TYPE_CHECKING:
    from sharedstate.backend import Key, Reply

    from .connections import Connections

_DOUBT = Doubt("SUBSCRIBE")


class RedisSubscription(Subscription):
    """Channels of one backend. One thread reads at a time; any may close."""

    def __init__(
        self, backend: RedisBackend, connections: Connections, channels: Sequence[Key]
    ) -> None:
        self._backend = backend
        self._connections = connections
        self._channels = tuple(channels)
        self._missed = 0
        self._closed = False
        self._reading = threading.Lock()
        self._connection: Connection | None = self._renew()

    def get(self, timeout: float | None = None) -> Message | None:
        deadline = float("inf") if timeout is None else monotonic() + timeout
        longest = threading.TIMEOUT_MAX if timeout is None else timeout
        if not self._reading.acquire(timeout=min(max(longest, 0), threading.TIMEOUT_MAX)):
            return None
        try:
            return self._next(deadline)
        finally:
            self._reading.release()

    @property
    def missed(self) -> int:
        return self._missed

    def close(self) -> None:
        self._closed = True
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _next(self, deadline: float) -> Message | None:
        connection = self._connection
        if connection is None:
            connection = self._connection = self._renew()
        try:
            while True:
                reply = connection.read_within(max(deadline - monotonic(), 0.0))
                if reply is INCOMPLETE:
                    return None
                if _is_message(reply):
                    return Message(reply[1], reply[2])
        except Broken as broken:
            self._connection = None
            if self._closed:
                raise _closed_error() from broken
            self._missed += 1
            raise self._backend.error(broken, _DOUBT) from broken

    def _renew(self) -> Connection:
        """A connection on which every channel is subscribed. One round trip."""
        if self._closed:
            raise _closed_error()
        connection, first = self._backend.borrow_and(
            pack(("SUBSCRIBE", *self._channels)), _DOUBT
        )
        if isinstance(first, CommandError):
            self._connections.give_back(connection)
            raise first
        self._read_confirmations(connection, len(self._channels) - 1)
        return connection

    def _read_confirmations(self, connection: Connection, count: int) -> None:
        """Messages that come between the confirmations of one command do not exist."""
        for _ in range(count):
            try:
                reply = connection.read_within(self._backend.settings.timeout)
            except Broken as broken:
                raise self._backend.error(broken, _DOUBT) from broken
            if reply is INCOMPLETE:
                connection.close()
                late = Broken("no answer in time", sent=ALL, timed_out=True)
                raise self._backend.error(late, _DOUBT)


def _is_message(reply: Reply) -> bool:
    return isinstance(reply, list) and reply[0] == b"message"


def _closed_error() -> BackendError:
    return BackendError("this subscription was closed")
