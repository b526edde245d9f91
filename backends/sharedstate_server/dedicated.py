"""Watches and subscriptions: what needs a connection of its own, for a while.

A watch lives on its connection, and so do subscriptions: other commands of the thread
must not come in between, and a forgotten one must not stay behind on the thread's own.
"""

from __future__ import annotations

import os
import time

from sharedstate.backend import Message, Subscription, Watch
from sharedstate.commands import is_repeatable
from sharedstate.errors import BackendError, CommandError, SharedStateError
from sharedstate_server.client import LEAST_WAIT_SECONDS
from sharedstate_server.wire import Refusal, Wire, pack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from sharedstate.backend import Command, Key, Reply
    from sharedstate_server.client import ServerBackend

# The kernel's time-outs are bounded; a wait without one is a row of these.
_NO_TIMEOUT_SECONDS = 3600.0


class WireWatch(Watch):
    """WATCH on a connection of its own."""

    def __init__(self, client: ServerBackend, keys: Sequence[Key]) -> None:
        self._client = client
        self._pid = os.getpid()
        self._wire: Wire | None = None
        for last in (False, True):
            wire = client.take_wire()
            try:
                wire.call("WATCH", *keys)
            except OSError as error:
                client.drop(wire)
                if last:
                    raise client.explain(error, 0) from error
                continue
            except CommandError:
                client.give_back(wire)
                raise
            except BaseException:
                client.drop(wire)
                raise
            self._wire = wire
            return

    def execute(self, command: Command) -> Reply:
        wire = self._open()
        try:
            return wire.call(*command)
        except OSError as error:
            self._drop()
            sent = not is_repeatable(command[0])
            raise self._client.explain(error, sent) from error
        except CommandError:
            raise
        except BaseException:
            self._drop()
            raise

    def exchange(self, packed: bytes, count: int) -> list[Reply]:
        """Send the transaction; the watch has served."""
        wire = self._open()
        self._wire = None
        try:
            replies = wire.exchange(packed, count)
        except OSError as error:
            self._client.drop(wire)
            raise self._client.explain(error, wire.has_sent) from error
        except BaseException:
            self._client.drop(wire)
            raise
        self._client.adopt(wire)
        return replies

    def _open(self) -> Wire:
        if self._pid != os.getpid():
            raise BackendError("this watch belongs to the process that forked this one")
        if self._wire is None:
            raise BackendError("this watch has ended: a watch serves one transaction")
        return self._wire

    def _drop(self) -> None:
        if self._wire is not None:
            self._client.drop(self._wire)
            self._wire = None

    def close(self) -> None:
        wire, self._wire = self._wire, None
        if wire is None:
            return
        if self._pid != os.getpid():
            wire.close()  # Our copy of the parent's socket.
            return
        try:
            wire.call("UNWATCH")
        except OSError:
            # The server forgets the watch with the connection.
            self._client.drop(wire)
        else:
            self._client.give_back(wire)


class WireSubscription(Subscription):
    """SUBSCRIBE on a connection of its own, renewed when it broke."""

    def __init__(self, client: ServerBackend, channels: Sequence[Key]) -> None:
        self._client = client
        self._pid = os.getpid()
        self._channels = tuple(channels)
        self._missed = 0
        self._closed = False
        self._wire: Wire | None = self._subscribe()

    def _subscribe(self) -> Wire:
        wire = self._client.open_wire()
        try:
            wire.sock.sendall(pack(("SUBSCRIBE", *self._channels)))
            for _ in self._channels:
                reply = wire.read_reply()
                if type(reply) is Refusal:
                    raise reply.to_error()
        except OSError as error:
            self._client.drop(wire)
            raise self._client.explain(error, 0) from error
        except BaseException:
            self._client.drop(wire)
            raise
        return wire

    def get(self, timeout: float | None = None) -> Message | None:
        wire = self._open()
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            left = _NO_TIMEOUT_SECONDS if deadline is None else deadline - time.monotonic()
            wire.set_timeout(max(left, LEAST_WAIT_SECONDS))
            try:
                reply = wire.read_reply()
            except BlockingIOError:
                if deadline is None:
                    continue
                return None
            except OSError as error:
                raise self._broken(wire, error) from error
            if type(reply) is Refusal:
                raise reply.to_error()
            if reply[0] == b"message":
                return Message(reply[1], reply[2])

    def _open(self) -> Wire:
        """The connection, renewed if it broke."""
        if self._closed:
            raise BackendError("this subscription was closed")
        if self._pid != os.getpid():
            raise BackendError("this subscription belongs to the parent of this process")
        if self._wire is None:
            self._wire = self._subscribe()
        return self._wire

    def _broken(self, wire: Wire, error: OSError) -> SharedStateError:
        self._client.drop(wire)
        if self._closed:
            return BackendError("this subscription was closed")
        self._wire = None
        self._missed += 1
        return self._client.explain(error, 0)

    @property
    def missed(self) -> int:
        return self._missed

    def close(self) -> None:
        self._closed = True
        wire, self._wire = self._wire, None
        if wire is None:
            return
        if self._pid == os.getpid():
            wire.abort()  # Also wakes a thread that waits in `get`.
        self._client.drop(wire)
