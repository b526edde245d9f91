"""Client-side caching: after each command the reader is told of the same keys as by Redis.

One client reads and writes, another writes. Scripts read all of their keys: what a script
has not read is remembered by Redis 7.0 all the same, and not by us, nor by Redis 7.2. And
they write nothing: what a script writes is no loop to Redis when it broadcasts.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import hiredis
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sharedstate.testing.servers import RedisServer
from sharedstate_memory.replies import Push
from tests.differential.pair import OurEngine, RealRedis, Words

MODES = (
    "",
    "NOLOOP",
    "BCAST",
    "BCAST NOLOOP",
    "BCAST PREFIX a",
    "BCAST PREFIX ab NOLOOP",
)

COMMANDS = """
GET a
GET ab
MGET a ab b
EXISTS b
SMEMBERS a
EVAL return(redis.call('get',KEYS[1])) 1 ab
EVAL_RO return(redis.call('exists',KEYS[1])) 1 b
EVAL_RO return(1) 1 a
SET a 1
SET ab 1
MSET a 1 ab 2 b 3 a 4
DEL a b
RENAME a b
EXPIREAT a 1
GETEX a
INCR b
RPUSH ab 1
LPOP ab
MULTI
EXEC
DISCARD
WATCH a
FLUSHALL
FLUSHDB
SELECT 1
SELECT 0
NOSUCH a
GET
"""

Steps = list[tuple[str, Words]]


class Caching:
    """A connection in RESP3 that sees what it is told."""

    def __init__(self, path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(20)
        self._socket.connect(path)
        self._reader = hiredis.Reader()
        self.begin("")

    def begin(self, mode: str) -> None:
        """Track in another mode, and have read nothing."""
        self.ask((b"RESET",))
        self.ask((b"HELLO", b"3"))
        self.ask(tuple(f"CLIENT TRACKING ON {mode}".encode().split()))

    def ask(self, command: Words) -> list[Any]:
        """Execute a command, and another by whose reply all messages have come. The
        messages.
        """
        messages: list[Any] = []
        for words in (command, (b"CLIENT", b"ID")):
            self._socket.sendall(hiredis.pack_command(words))  # type: ignore[arg-type]
            while isinstance(reply := self._read(), hiredis.PushNotification):
                messages.append(reply[1])
        return messages

    def close(self) -> None:
        self._socket.close()

    def _read(self) -> Any:
        while (reply := self._reader.gets()) is False:
            data = self._socket.recv(1 << 16)
            assert data, "redis-server closed the connection"
            self._reader.feed(data)
        return reply


@pytest.fixture(scope="module")
def caching(emptied_redis: RedisServer) -> Iterator[Caching]:
    """A client of the real Redis that caches."""
    caching = Caching(emptied_redis.unix_path)
    yield caching
    caching.close()


def told_by_redis(
    real: RealRedis, caching: Caching, mode: str, steps: Steps
) -> list[list[Any]]:
    """What Redis tells the reader after each step."""
    real.ask([(b"RESET",), (b"FLUSHALL",)])
    caching.begin(mode)
    told: list[list[Any]] = []
    for who, command in steps:
        if who == "writer":
            real.ask([command])
        told.append(caching.ask(command if who == "reader" else (b"CLIENT", b"ID")))
    real.ask([(b"RESET",)])
    return told


def told_by_engine(mode: str, steps: Steps) -> list[list[Any]]:
    """What the engine tells the reader after each step."""
    engine = OurEngine().engine
    pushes: list[Any] = []
    sessions = {name: engine.open_session(pushes.append) for name in ("reader", "writer")}
    sessions["reader"].execute([b"HELLO", b"3"])
    sessions["reader"].execute(f"CLIENT TRACKING ON {mode}".encode().split())
    told: list[list[Any]] = []
    for who, command in steps:
        sessions[who].execute([*command])
        told.append([push[1] for push in pushes if isinstance(push, Push)])
        pushes.clear()
    return told


def comparable(messages: list[Any]) -> list[str]:
    """Messages of one unit: that all is gone is told by us once, and last."""
    return sorted(repr(keys) for keys in messages if keys) + ["all"] * (None in messages)


@settings(settings.get_profile("differential"))
@given(
    mode=st.sampled_from(MODES),
    steps=st.lists(
        st.tuples(
            st.sampled_from(("reader", "writer")),
            st.sampled_from(
                [tuple(line.encode().split()) for line in COMMANDS.strip().splitlines()]
            ),
        ),
        max_size=30,
    ),
)
def test_what_is_told(real: RealRedis, caching: Caching, mode: str, steps: Steps) -> None:
    ours, theirs = told_by_engine(mode, steps), told_by_redis(real, caching, mode, steps)
    assert [*map(comparable, ours)] == [*map(comparable, theirs)]
