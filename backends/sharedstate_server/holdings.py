"""What a client holds, and what it tells of itself: for the limits, and for CLIENT LIST.

Apart from the way of a command, and asked on rare paths only.
"""

from __future__ import annotations

from itertools import islice

from sharedstate_server.loop import READABLE, WRITABLE
from sharedstate_server.turn import COMMANDS_PER_TURN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections import deque

    from sharedstate_memory.session import Session
    from sharedstate_server.loop import EventLoop
    from sharedstate_server.output import Output
    from sharedstate_server.requests import RequestParser


class Holdings:
    """The part of a `Connection` that others ask."""

    __slots__ = (
        "_counted",
        "_counted_bytes",
        "_fd",
        "_local_address",
        "_loop",
        "_mask",
        "_output",
        "_over_since",
        "_parser",
        "_waiting",
        "active_at",
        "session",
    )

    _counted: int
    _counted_bytes: int
    _fd: int
    _local_address: bytes
    _loop: EventLoop
    _mask: int
    _output: Output
    _over_since: float
    _parser: RequestParser
    _waiting: deque[list[bytes]]
    active_at: float
    session: Session

    @property
    def is_closed(self) -> bool:
        """Whether the connection has ended."""
        return self._fd < 0

    @property
    def output_bytes(self) -> int:
        """How many bytes of replies and messages have not left."""
        return self._output.waiting_bytes

    @property
    def unexecuted_bytes(self) -> int:
        """How many bytes of commands were read and not executed."""
        return self._parser.held_bytes + self._waiting_bytes()

    @property
    def held_bytes(self) -> int:
        """How many bytes of commands are held, those included that MULTI has queued, and
        what is bound to the session.
        """
        transaction = self.session.transaction
        held = self.unexecuted_bytes
        if self.session.bound is not None:
            held += self.session.bound.size_bytes
        # One that has grown too big holds nothing any more.
        if transaction is not None and transaction.commands:
            held += transaction.size_bytes
        return held

    def _waiting_bytes(self) -> int:
        waiting = self._waiting
        # One may have a million words, wait for long, and be asked for again and again.
        if len(waiting) != self._counted:
            self._counted = len(waiting)
            # All were read at once, so a turn's share of them has whatever is big.
            share = islice(waiting, COMMANDS_PER_TURN)
            self._counted_bytes = sum(sum(map(len, argv)) for argv in share)
        return self._counted_bytes

    def facts(self) -> dict[str, int | str]:
        """Fields of CLIENT LIST: the socket and the buffers."""
        waiting = self.output_bytes
        return {
            "laddr": self._local_address.decode("latin-1"),
            "fd": self._fd,
            "idle": int(max(self._loop.now - self.active_at, 0)),
            "qbuf": self._parser.held_bytes,
            "qbuf-free": 0,
            "argv-mem": self._waiting_bytes(),
            "rbs": 0,
            "rbp": 0,
            "obl": 0,
            "oll": len(self._output),
            "omem": waiting,
            "tot-mem": self.held_bytes + waiting,
            "events": ("r" if self._mask & READABLE else "")
            + ("w" if self._mask & WRITABLE else ""),
        }

    def is_over_since(self, *, is_over: bool) -> float:
        """Since when, in the loop's time, a limit has been exceeded without a break."""
        if not is_over:
            self._over_since = 0.0
        elif not self._over_since:
            self._over_since = self._loop.now
        return self._over_since
