"""Output: what a client is still to be sent.

Replies gather while the loop turns, and leave at the end of the turn: all clients' at
once, so that a client is woken once for many replies, and everybody else's commands are
not held up by the kernel. What the socket does not take waits here, and leaves when it
takes more, `FLUSH_BYTES` a turn.

Invariant: pieces leave in the order in which they were written, and `bytes` is the sum of
what has not left.
"""

from __future__ import annotations

from collections import deque
from itertools import islice

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from sharedstate_memory.statistics import Statistics

FLUSH_BYTES = 1024 * 1024

# So many pieces of output go into one system call.
_PIECES_PER_SEND = 256


class Output:
    """The output of one client.

    `on_change` is called after a flush that left something behind, that broke the
    connection (`is_broken`), or that was `is_awaited`.
    """

    __slots__ = (
        "_backlog_bytes",
        "_due",
        "_fresh",
        "_on_change",
        "_pieces",
        "_send",
        "_sendmsg",
        "is_awaited",
        "is_broken",
    )

    def __init__(
        self, sock: socket.socket, due: list[Output], on_change: Callable[[], None]
    ) -> None:
        self._send = sock.send
        self._sendmsg = sock.sendmsg
        self._due = due
        self._on_change = on_change
        # The only piece of a turn: nearly all that ever leaves. The others come behind.
        self._fresh = b""
        self._pieces: deque[bytes | memoryview] = deque()
        self._backlog_bytes = 0
        self.is_awaited = False
        self.is_broken = False

    def __len__(self) -> int:
        """How many pieces wait."""
        return len(self._pieces) + bool(self._fresh)

    @property
    def waiting_bytes(self) -> int:
        """How many bytes wait."""
        return self._backlog_bytes + len(self._fresh)

    def write(self, data: bytes) -> None:
        """Let some bytes leave at the end of this turn, or after those before them."""
        if self._fresh or self._pieces:
            self._append(data)
        else:
            self._fresh = data
            self._due.append(self)

    def _append(self, data: bytes) -> None:
        if self._fresh:
            self._pieces.append(self._fresh)
            self._backlog_bytes += len(self._fresh)
            self._fresh = b""
        self._pieces.append(data)
        self._backlog_bytes += len(data)

    def flush(self) -> int:
        """Send what the socket takes. Returns how many bytes that was."""
        data = self._fresh
        if not data:
            return self._flush_backlog()
        self._fresh = b""
        try:
            sent = self._send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._break()
            return 0
        if sent < len(data):
            self._pieces.append(memoryview(data)[sent:])
            self._backlog_bytes += len(data) - sent
            self._on_change()
        elif self.is_awaited:
            self._on_change()
        return sent

    def _flush_backlog(self) -> int:
        """Send several pieces, a turn's share of them."""
        total = 0
        while self._pieces and total < FLUSH_BYTES:
            try:
                sent = self._sendmsg([*islice(self._pieces, _PIECES_PER_SEND)])
            except BlockingIOError:
                break
            except OSError:
                self._break()
                return total
            total += sent
            self._forget(sent)
        if self._pieces or self.is_awaited:
            self._on_change()
        return total

    def _forget(self, sent: int) -> None:
        pieces = self._pieces
        self._backlog_bytes -= sent
        while sent:
            piece = pieces[0]
            if sent < len(piece):
                pieces[0] = memoryview(piece)[sent:]
                return
            sent -= len(piece)
            pieces.popleft()

    def _break(self) -> None:
        self.is_broken = True
        self.discard()
        self._on_change()

    def close(self) -> None:
        """Forget what has not left, and the connection that this is the output of."""
        self.discard()
        self._on_change = _tell_nobody

    def discard(self) -> None:
        """Forget what has not left."""
        self._pieces.clear()
        self._fresh = b""
        self._backlog_bytes = 0


def flush_all(unflushed: list[Output], statistics: Statistics) -> None:
    """Let the output of a turn leave, and count it."""
    if not unflushed:
        return
    sent = 0
    # Whoever writes meanwhile comes at the end of the list, and is served too.
    try:
        for output in unflushed:
            sent += output.flush()
    except Exception:
        # The others come at the end of the next turn.
        del unflushed[: unflushed.index(output) + 1]
        raise
    statistics.writes += len(unflushed)
    statistics.output_bytes += sent
    unflushed.clear()


def _tell_nobody() -> None:
    """Nobody is left whom a change would concern."""
