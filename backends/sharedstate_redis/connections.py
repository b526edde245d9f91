"""The connections of one process to one store: one a thread, and some for waiting.

A thread's own connection carries its commands in their order. What blocks, watches or
subscribes borrows another one, for it must not stand in the way of the commands: idle
ones are kept for the next borrower, a few. All of them together are bounded by
`max_connections`.

Invariant: a connection has one user at a time, its thread or its borrower. The only
call from outside is `close`, which ends the user's wait.

A fork copies descriptors but not threads. The child forgets all of its parent's
connections: see `Connection.abandon`. The locks that its parent's threads may have held
in that moment are made anew.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from functools import cache
from time import monotonic

from sharedstate.errors import BackendError

from .connection import Broken, Connection

_TRUSTED_SECONDS = 1.0
"""An own connection that was idle for longer is looked at before it is used.

A write to a connection that the store has closed, at a restart or for idleness, gets
no answer, and nobody could say that it did not happen. One system call can.
"""

_IDLE_KEPT = 8
"""How many connections are kept open for the next borrower."""


class Connections:
    """Opens connections with `open_one` when they are needed, `limit` at most."""

    def __init__(self, open_one: Callable[[], Connection], limit: int) -> None:
        self._open_one = open_one
        self._limit = limit
        self._closed = False
        self._opening = 0
        self._reset()
        _all_connections().add(self)

    def own(self) -> Connection:
        """The calling thread's connection. Opened on the thread's first call."""
        try:
            connection: Connection = self._local.connection
        except AttributeError:
            return self._open_own()
        if connection.is_busy and not connection.is_closed:
            return self._in_between()
        now = monotonic()
        # A closed connection was used infinitely long ago: one comparison for both.
        if now - connection.used_at > _TRUSTED_SECONDS and connection.is_stale():
            connection.close()
            return self._open_own()
        connection.used_at = now
        return connection

    def adopt(self, connection: Connection) -> None:
        """Make a borrowed connection the thread's own, and give its former one back."""
        former = getattr(self._local, "connection", None)
        self._local.connection = connection
        if former is not None:
            self.give_back(former)

    def borrow(self) -> Connection:
        """A connection for one user, until `give_back`, or `close` of the connection."""
        while True:
            with self._lock:
                connection = self._idle.pop() if self._idle else None
            if connection is None:
                return self._open()
            if self._is_usable(connection):
                return connection
            connection.close()

    def give_back(self, connection: Connection) -> None:
        """End a borrower's use. A connection in doubt must be closed before."""
        if connection.is_closed:
            return
        with self._lock:
            if not self._closed and len(self._idle) < _IDLE_KEPT:
                self._idle.append(connection)
                return
        connection.close()

    def close(self) -> None:
        """Close all connections, those in use too: their users get an error."""
        with self._lock:
            self._closed = True
            self._idle.clear()
            open_ones = list(self._all)
        for connection in open_ones:
            connection.close()

    def forget(self) -> None:
        """In a forked child: let go of the parent's connections without a word."""
        inherited = list(self._all)
        self._reset()
        self._opening = 0
        for connection in inherited:
            connection.abandon()

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._local = threading.local()
        self._idle: list[Connection] = []
        self._all: weakref.WeakSet[Connection] = weakref.WeakSet()

    def _is_usable(self, connection: Connection) -> bool:
        try:
            connection.settle()
        except Broken:
            return False
        return not connection.is_stale()

    def _in_between(self) -> Connection:
        """A connection for who comes in the middle of a call: a signal handler, or a
        finalizer. Kept for the next of its kind.
        """
        found: Connection | None = getattr(self._local, "in_between", None)
        if found is None or found.is_closed or found.is_busy:
            found = self._local.in_between = self._open()
        return found

    def _open_own(self) -> Connection:
        # The old one goes first: it must not count against the limit.
        self._local.__dict__.pop("connection", None)
        connection = self._open()
        self._local.connection = connection
        return connection

    def _open(self) -> Connection:
        self._reserve()
        try:
            connection = self._open_one()
        finally:
            with self._lock:
                self._opening -= 1
        with self._lock:
            if not self._closed:
                self._all.add(connection)
                return connection
        connection.close()
        raise _closed_error()

    def _reserve(self) -> None:
        """Count one more connection, closing idle ones if they stand in its way."""
        with self._lock:
            if self._closed:
                raise _closed_error()
            count = self._opening + sum(not one.is_closed for one in self._all)
            while count >= self._limit and self._idle:
                self._idle.pop().close()
                count -= 1
            if count >= self._limit:
                raise BackendError(
                    f"this process has {count} connections in use, and "
                    f"max_connections={self._limit} allows no more: raise it, or let "
                    f"fewer threads wait at once"
                )
            self._opening += 1


def _closed_error() -> BackendError:
    return BackendError("this state was closed: connect() again")


@cache
def _all_connections() -> weakref.WeakSet[Connections]:
    """Every `Connections` of this process, told of forks."""
    everything: weakref.WeakSet[Connections] = weakref.WeakSet()

    def forget_all() -> None:
        for connections in list(everything):
            connections.forget()

    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=forget_all)
    return everything
