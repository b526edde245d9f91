"""Two stores that are told the same: our engine, and a real Redis.

What may rightly differ is taken out of the replies before they are compared: the order
of what has none, seconds of a deadline. Nothing else is.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, cast

import hiredis

from sharedstate_memory.engine import Engine
from sharedstate_memory.replies import BLOCKED, ErrorReply, as_resp2

Words = tuple[bytes, ...]

KEYS = (b"a", b"b", b"c", b"d")
"""The keys that all tests use: few, so that commands meet each other's values."""

# Deadlines are a quarter of an hour off at least; the two stores are asked one after the
# other, on a machine that may be busy.
_NEARLY = 20_000


class RealRedis:
    """One connection to a redis-server, over its Unix socket."""

    def __init__(self, path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(20)
        self._socket.connect(path)
        self._reader = hiredis.Reader(replyError=_error)  # type: ignore[arg-type]

    def ask(self, commands: Sequence[Words]) -> list[Any]:
        """Send commands together; their replies, errors as values."""
        self._socket.sendall(b"".join(map(_pack, commands)))
        return [self._read() for _ in commands]

    def hear(self) -> list[Any]:
        """The messages that came until now, for a connection that is subscribed."""
        messages = self.ask([(b"PING",)])
        while messages[-1] != [b"pong", b""]:
            messages.append(self._read())
        return messages[:-1]

    def close(self) -> None:
        self._socket.close()

    def _read(self) -> Any:
        while (reply := self._reader.gets()) is False:
            data = self._socket.recv(1 << 16)
            assert data, "redis-server closed the connection"
            self._reader.feed(data)
        return reply


class OurEngine:
    """One session of an engine of its own."""

    def __init__(self, engine: Engine | None = None) -> None:
        self.engine = engine or Engine(clock_ms=_clock_ms, random=Random(0))
        self._session = self.engine.open_session(lambda reply: None)

    def ask(self, commands: Sequence[Words]) -> list[Any]:
        """Execute commands; their replies in RESP2, errors as values."""
        return [self._execute(list(each)) for each in commands]

    def _execute(self, argv: list[bytes]) -> Any:
        reply = self._session.execute(argv)
        assert reply is not BLOCKED, argv
        return as_resp2(reply)


class Pair:
    """Both stores, empty at first."""

    def __init__(self, real: RealRedis) -> None:
        self.real = real
        self.ours = OurEngine()
        real.ask([(b"FLUSHALL",), (b"SCRIPT", b"FLUSH")])

    def check(self, commands: Sequence[Words]) -> None:
        """Tell both the same, and compare the replies, and then everything stored."""
        self._compare(commands)
        self._compare([(command, key) for key in KEYS for command in _TELL_ALL])
        self._compare([(b"LRANGE", key, b"0", b"-1") for key in KEYS])
        self._compare([(b"ZRANGE", key, b"0", b"-1", b"WITHSCORES") for key in KEYS])
        self._compare([(b"DBSIZE",), (b"KEYS", b"*")])

    def check_shuffled(self, commands: Sequence[Words]) -> None:
        """Tell both the same, where the order of the replies' items is random."""
        real = self.real.ask(commands)
        ours = self.ours.ask(commands)
        assert list(map(sorted, ours)) == list(map(sorted, real)), commands
        self.check([])

    def _compare(self, commands: Sequence[Words]) -> None:
        real = self.real.ask(commands)
        ours = self.ours.ask(commands)
        for command, expected, got in zip(commands, real, ours, strict=True):
            assert comparable(command, got) == comparable(command, expected), (
                f"{command!r}: Redis says {expected!r}, the engine {got!r}"
            )


_TELL_ALL = (b"TYPE", b"GET", b"HGETALL", b"SMEMBERS", b"PTTL")


def comparable(command: Words, reply: Any) -> Any:
    """A reply without what may rightly differ."""
    name = command[0].upper() if command else b""
    if isinstance(reply, int) and reply > 0 and name in _MILLISECONDS:
        return Nearly(reply * _MILLISECONDS[name])
    if not isinstance(reply, list):
        return reply
    simplify = _SIMPLIFIED.get(name)
    return [comparable((), part) for part in reply] if simplify is None else simplify(reply)


def _pairs(flat: list[Any]) -> list[tuple[Any, Any]]:
    return sorted(zip(flat[::2], flat[1::2], strict=True))


def _scanned(reply: list[Any]) -> list[Any]:
    return [reply[0], sorted(reply[1])]


def _scanned_pairs(reply: list[Any]) -> list[Any]:
    return [reply[0], _pairs(reply[1])]


_MILLISECONDS = {b"TTL": 1000, b"EXPIRETIME": 1000, b"PTTL": 1, b"PEXPIRETIME": 1}

_SIMPLIFIED: dict[bytes, Callable[[list[Any]], Any]] = {
    b"SMEMBERS": sorted,
    b"SINTER": sorted,
    b"SUNION": sorted,
    b"SDIFF": sorted,
    b"HKEYS": sorted,
    b"HVALS": sorted,
    b"KEYS": sorted,
    b"HGETALL": _pairs,
    b"SCAN": _scanned,
    b"SSCAN": _scanned,
    b"HSCAN": _scanned_pairs,
    b"ZSCAN": _scanned_pairs,
}


class Nearly:
    """A number of milliseconds that equals one a moment away."""

    def __init__(self, value: int) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Nearly) and abs(self.value - other.value) <= _NEARLY

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"about {self.value} ms"


# Its own annotation speaks of tuples of one item.
_pack = cast("Callable[[Words], bytes]", hiredis.pack_command)


def _error(text: str) -> ErrorReply:
    return ErrorReply(text.encode("utf-8", "surrogateescape"))


def _clock_ms() -> int:
    return time.time_ns() // 1_000_000
