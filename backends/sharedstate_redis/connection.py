"""One connection: a socket and a reader of replies.

It knows nothing of how the socket was opened, nor of what is sent over it. It sends
packed commands, reads replies, and keeps one promise that everything else rests on: a
reply always belongs to the command before it. Whatever comes between the two, be it a
broken network, a time-out or Ctrl-C, closes the connection for good.

When it breaks it says how much had been sent, for that decides what may be done next:

    sent      the store has         so the command
    NOTHING   not a byte            did not happen
    PART      an incomplete one     did not happen; earlier ones of a batch may have
    ALL       all of it             may have happened

Time limits are the kernel's (SO_RCVTIMEO, SO_SNDTIMEO) where the socket is a plain one:
with `settimeout`, Python asks the kernel whether it may read before each read, and two
more system calls for each command were a tenth of its time. TLS needs `settimeout`.
"""

from __future__ import annotations

import select
import socket
import struct
import sys
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Any, NoReturn

import hiredis

from sharedstate.errors import CommandError

if TYPE_CHECKING:
    from sharedstate.backend import Reply

NOTHING, PART, ALL = range(3)

INCOMPLETE: Any = object()
"""What a reader returns when it has no whole reply."""

_READ_SIZE = 65536

_LONGEST_POLL_SECONDS = 86400.0
"""Longer waits are several polls, for poll() counts milliseconds in 32 bits."""

_HAS_KERNEL_TIMEOUTS = sys.platform != "win32"


class Broken(Exception):
    """A connection ended before the last reply was read. `sent` says what had gone out.

    Never leaves this package: who sent the command turns it into a `BackendError`.
    """

    def __init__(self, reason: str, *, sent: int, timed_out: bool) -> None:
        super().__init__(reason)
        self.sent = sent
        self.timed_out = timed_out


class Connection:
    """A connected, authenticated socket. Not for two threads at once, but for `close`.

    Error replies are returned as `CommandError`s and not raised, for a batch goes on
    after one. `used_at` is the monotonic time of the last use, minus infinity once
    closed; `owed` counts replies that were asked for and not yet read; `is_busy` says that
    a call is under way: whoever comes in between (a signal handler) takes another one.
    """

    def __init__(self, sock: socket.socket, *, timeout: float) -> None:
        self.used_at = monotonic()
        self.owed = 0
        self.is_busy = False
        self._socket = sock
        _limit_silence(sock, timeout)
        reader = hiredis.Reader(
            replyError=CommandError.from_reply, notEnoughData=INCOMPLETE
        )
        self._send = sock.send
        self._receive = sock.recv
        self._feed = reader.feed
        self._gets = reader.gets

    @property
    def is_closed(self) -> bool:
        """Whether the connection has ended."""
        return self.used_at == -float("inf")

    def call(self, data: bytes) -> Reply:
        """Send one packed command and read its reply.

        The hot path, and therefore flat: `exchange` does the same for any number, and
        costs 0.7 µs more. An end of the stream feeds no bytes, and is noticed when no
        whole reply comes out. An interrupt comes after a call of C at the earliest, so
        that it cannot slip between the three guards.
        """
        self.is_busy = True
        try:
            sent = self._send(data)
        except BaseException as error:
            self._break(error, NOTHING)
        try:
            if sent != len(data):
                self._socket.sendall(memoryview(data)[sent:])
        except BaseException as error:
            self._break(error, PART)
        try:
            received = self._receive(_READ_SIZE)
            self._feed(received)
            reply = self._gets()
            if reply is INCOMPLETE:
                reply = self._read_on(received)
        except BaseException as error:
            self._break(error, ALL)
        self.is_busy = False
        return reply

    def exchange(self, data: bytes, count: int) -> list[Reply]:
        """Send packed commands and read as many replies. One round trip."""
        self.is_busy = True
        try:
            self.send(data)
            replies = [self._read() for _ in range(count)]
        except BaseException as error:
            self._break(error, ALL)
        self.is_busy = False
        return replies

    def send(self, data: bytes) -> None:
        """Send without reading. Who calls reads the replies later."""
        try:
            sent = self._send(data)
        except BaseException as error:
            self._break(error, NOTHING)
        try:
            if sent != len(data):
                self._socket.sendall(memoryview(data)[sent:])
        except BaseException as error:
            self._break(error, PART)

    def read_within(self, seconds: float) -> Reply:
        """The next reply, or `INCOMPLETE` if none came in time. Zero does not block."""
        deadline = monotonic() + seconds
        try:
            while (reply := self._gets()) is INCOMPLETE:
                left = max(deadline - monotonic(), 0.0)
                if _is_readable(self._socket, min(left, _LONGEST_POLL_SECONDS)):
                    self._feed_more(self._receive(_READ_SIZE))
                elif left <= _LONGEST_POLL_SECONDS:
                    return INCOMPLETE
        except BaseException as error:
            self._break(error, ALL)
        return reply

    def settle(self) -> None:
        """Read the replies that are owed."""
        try:
            while self.owed:
                self._read()
                self.owed -= 1
        except BaseException as error:
            self._break(error, ALL)

    def is_stale(self) -> bool:
        """Whether the store closed this idle connection. One system call.

        Nothing is owed on an idle connection, so anything to read is its end.
        """
        return self.is_closed or _is_readable(self._socket, 0)

    def close(self) -> None:
        """End the connection, and the wait of a thread that reads from it."""
        self.used_at = -float("inf")
        # It may have ended already, which is what is wanted.
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def abandon(self) -> None:
        """Close this process's descriptor without a word on the wire.

        For a forked child: a shutdown would end its parent's connection, which is the
        same one.
        """
        self.used_at = -float("inf")
        self._socket.close()

    def __del__(self) -> None:
        # A thread's connection ends with the thread, whose locals hold it. A socket that
        # is collected open would warn.
        self._socket.close()

    def _read(self) -> Reply:
        reply = self._gets()
        while reply is INCOMPLETE:
            self._feed_more(self._receive(_READ_SIZE))
            reply = self._gets()
        return reply

    def _read_on(self, received: bytes) -> Reply:
        if not received:
            raise ConnectionResetError("the store closed the connection")
        return self._read()

    def _feed_more(self, received: bytes) -> None:
        if not received:
            raise ConnectionResetError("the store closed the connection")
        self._feed(received)

    def _break(self, error: BaseException, sent: int) -> NoReturn:
        """Close, and say what had been sent. An interrupt goes on as it is."""
        self.close()
        if isinstance(error, BlockingIOError | TimeoutError):
            raise Broken("no answer in time", sent=sent, timed_out=True) from error
        if isinstance(error, OSError | hiredis.HiredisError):
            raise Broken(_reason(error), sent=sent, timed_out=False) from error
        raise error


def _reason(error: Exception) -> str:
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return str(text).lower()


def _limit_silence(sock: socket.socket, seconds: float) -> None:
    """Let no read and no write block for longer than `seconds`."""
    if not _HAS_KERNEL_TIMEOUTS or hasattr(sock, "pending"):
        sock.settimeout(seconds)
        return
    whole = int(seconds)
    # A limit of zero would be none at all.
    limit = struct.pack("@ll", whole, int((seconds - whole) * 1e6) or int(not whole))
    sock.settimeout(None)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)


def _is_readable(sock: socket.socket, seconds: float) -> bool:
    """Whether a read would not block, after waiting for that at most so long."""
    # What TLS has decrypted already is not in the kernel's buffer any more.
    if hasattr(sock, "pending") and sock.pending():
        return True
    if not hasattr(select, "poll"):
        return bool(select.select([sock], [], [], seconds)[0])
    poller = select.poll()
    poller.register(sock, select.POLLIN)
    return bool(poller.poll(seconds * 1000))
