"""One connection to a server of the Redis protocol: a blocking socket and a reader.

Nothing here knows of retries, threads or processes.
"""

from __future__ import annotations

import select
import socket
import time

import hiredis

from sharedstate.errors import CommandError
from sharedstate_server.timeouts import set_timeouts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from sharedstate.backend import Argument, Command, Reply

READ_BYTES = 64 * 1024

# A guarded wire that was idle for longer is looked at before it is used.
TRUSTED_SECONDS = 1.0

# What a Unix socket's buffer takes in any case, so that a send of this size does not
# wait for the server to read, while the server waits for us to read.
ATOMIC_SEND_BYTES = 64 * 1024

# The stub of hiredis says that a command has exactly one word.
pack: Callable[[Command], bytes] = hiredis.pack_command  # type: ignore[assignment]


class Refusal(Exception):
    """An error reply, as the reader returns it. Callers raise `CommandError` from it."""

    def to_error(self) -> CommandError:
        """The exception for the caller."""
        return CommandError.from_reply(str(self))


class Disconnected(OSError):
    """The server closed the connection."""


class Wire:
    """A connected socket with its reader. Used by one thread at a time.

    `send`, `recv`, `feed` and `gets` are the bound methods of both, for the hot path.
    """

    __slots__ = (
        "__weakref__",
        "_guard",
        "_timeout",
        "feed",
        "gets",
        "has_sent",
        "recv",
        "send",
        "sock",
    )

    def __init__(self, sock: socket.socket, timeout: float) -> None:
        self.sock = sock
        reader = hiredis.Reader(replyError=Refusal)
        self.send: Callable[..., int] = sock.send
        self.recv = sock.recv
        self.feed = reader.feed
        self.gets = reader.gets
        self.has_sent = False
        self._timeout = 0.0
        self._guard: _Guard | None = None
        self.set_timeout(timeout)

    def guard(self) -> None:
        """Look before sending on this wire if it was idle. For TCP; see `_Guard`."""
        self._guard = _Guard(self.sock)
        self.send = self._guard.send

    def set_timeout(self, seconds: float) -> None:
        """The longest wait for the socket, in either direction. Must be positive."""
        if seconds != self._timeout:
            set_timeouts(self.sock, seconds)
            self._timeout = seconds

    def read_reply(self) -> Reply:
        """The next reply, or a `Refusal`, not raised. Raises `OSError`."""
        while True:
            reply = self.gets()
            if reply is not False:
                return reply
            data = self.recv(READ_BYTES)
            if not data:
                raise Disconnected("the server closed the connection")
            self.feed(data)

    def call(self, *command: Argument) -> Reply:
        """Send one command and read its reply. Raises `CommandError`, `OSError`."""
        self.sock.sendall(pack(command))
        reply = self.read_reply()
        if type(reply) is Refusal:
            raise reply.to_error()
        return reply

    def exchange(self, data: bytes, count: int) -> list[Reply]:
        """Send commands, and read as many replies. Refusals stand in their places.

        When this raises, `has_sent` tells whether anything was sent.

        Large batches are sent and read at once: a server that waits for us to take its
        replies would otherwise wait for ever, as we wait for it to take our commands.
        """
        self.has_sent = False
        if self._guard is not None:
            self._guard.look()
        sent = self.sock.send(data[:ATOMIC_SEND_BYTES])
        self.has_sent = True
        if sent < len(data):
            self._send_while_reading(memoryview(data)[sent:])
        return [self.read_reply() for _ in range(count)]

    def _send_while_reading(self, data: memoryview) -> None:
        poll = select.poll()
        poll.register(self.sock, select.POLLIN | select.POLLOUT)
        while data:
            ready = poll.poll(self._timeout * 1000)
            if not ready:
                raise BlockingIOError("the server took no more of the commands in time")
            mask = ready[0][1]
            if mask & ~select.POLLOUT:
                received = self.recv(READ_BYTES, socket.MSG_DONTWAIT)
                if not received:
                    raise Disconnected("the server closed the connection")
                self.feed(received)
            elif mask & select.POLLOUT:
                sent = self.sock.send(data[: 4 * READ_BYTES], socket.MSG_DONTWAIT)
                data = data[sent:]

    def close(self) -> None:
        """Close our end. Says nothing on the wire, so that a forked child may do it."""
        self.sock.close()

    def abort(self) -> None:
        """Close our end, and wake a thread of this process that waits for a reply."""
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            # Already gone, which is what was wanted.
            self.sock.close()
            return
        self.sock.close()

    def __del__(self) -> None:
        # The connection of a thread that has ended, or of the parent of a fork.
        self.sock.close()


class _Guard:
    """Finds out that the server has closed an idle connection, before it is used.

    TCP takes what is written to such a connection (its server was restarted, say), and
    then nobody could tell whether it was executed. A Unix socket refuses it, and needs
    no guard.
    """

    __slots__ = ("_sock", "_used_at")

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._used_at = time.monotonic()

    def send(self, data: bytes | memoryview, flags: int = 0) -> int:
        """As the socket's. Raises `Disconnected` before anything is sent."""
        self.look()
        return self._sock.send(data, flags)

    def look(self) -> None:
        """Raise `Disconnected` if the connection was idle, and is not there any more."""
        now = time.monotonic()
        if now - self._used_at > TRUSTED_SECONDS and is_closed(self._sock):
            raise Disconnected("the server had closed the idle connection")
        self._used_at = now


def is_closed(sock: socket.socket) -> bool:
    """Whether the other side of an idle connection has closed it.

    Or has sent what nobody asked for, after which it is as useless.
    """
    try:
        sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def pack_all(commands: list[Command] | tuple[Command, ...]) -> bytes:
    """Commands as the bytes of one pipeline."""
    return b"".join([pack(command) for command in commands])
