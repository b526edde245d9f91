"""The bytes of replies, and the events of keys, of both stores."""

from __future__ import annotations

import socket
import time
from random import Random
from typing import Any

import hiredis

from sharedstate_memory.engine import Engine
from sharedstate_server.resp import encode_resp2, encode_resp3
from tests.differential.pair import RealRedis, Words

WANTED = "KEAm"
"""All events: those of misses, too."""

ASK: Words = (b"CONFIG", b"SET", b"notify-keyspace-events")

_MORE = object()
_ENCODERS = {b"2": encode_resp2, b"3": encode_resp3}


class RawRedis:
    """A connection to a redis-server that gives replies as they came."""

    def __init__(self, path: str, protocol: bytes) -> None:
        self.protocol = protocol
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(20)
        self._socket.connect(path)
        self.ask((b"HELLO", protocol))

    def ask(self, command: Words) -> bytes:
        """The bytes of the reply to one command."""
        self._socket.sendall(hiredis.pack_command(command))  # type: ignore[arg-type]
        # A reply may be false.
        reader = hiredis.Reader(notEnoughData=_MORE)
        received = b""
        while reader.gets() is _MORE:
            data = self._socket.recv(1 << 16)
            assert data, "redis-server closed the connection"
            reader.feed(data)
            received += data
        return received

    def close(self) -> None:
        self._socket.close()


def check_shapes(raw: RawRedis, program: list[Words]) -> None:
    """Check that replies have the same types and parts, in whatever order."""
    session = _engine().open_session(lambda reply: None)
    session.execute([b"HELLO", raw.protocol])
    encode = _ENCODERS[raw.protocol]
    for command in [(b"FLUSHALL",), *program]:
        ours = encode(session.execute(list(command)))
        assert _lines(ours) == _lines(raw.ask(command)), command


def _lines(reply: bytes) -> tuple[bytes, list[bytes]]:
    # Redis tells of a short string whether it was ever changed in place; we do not know.
    first, *others = reply.replace(b"$3\r\nraw\r\n", b"$6\r\nembstr\r\n").split(b"\r\n")
    return first, sorted(others)


def check_events(real: RealRedis, listener: RealRedis, program: list[Words]) -> None:
    """Check that a program has the same events, command by command."""
    engine = _engine()
    heard: list[Any] = []
    engine.settings.change([("notify-keyspace-events", WANTED)])
    engine.open_session(heard.append).execute([b"PSUBSCRIBE", b"__key*__:*"])
    session = engine.open_session(lambda reply: None)
    real.ask([(b"FLUSHALL",)])
    listener.hear()
    heard.clear()
    for command in program:
        real.ask([command])
        session.execute(list(command))
        assert _told(heard) == _told(listener.hear()), command
        heard.clear()


def _told(messages: list[Any]) -> list[tuple[bytes, bytes]]:
    return [(bytes(message[2]), bytes(message[3])) for message in messages]


def _engine() -> Engine:
    return Engine(clock_ms=lambda: time.time_ns() // 1_000_000, random=Random(0))
