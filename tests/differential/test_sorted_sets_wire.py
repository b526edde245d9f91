"""Sorted sets: the very bytes of the replies, in both versions of the protocol, and the
events of their keys: as on Redis.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from random import Random

import hiredis
import pytest
from hypothesis import given, settings

from sharedstate.testing.servers import RedisServer
from sharedstate_memory.engine import Engine
from sharedstate_server.resp import encode_resp2, encode_resp3
from tests.differential.grammar import programs
from tests.differential.pair import RealRedis, Words
from tests.differential.test_sorted_sets import (
    ALGEBRA,
    CHANGES,
    FILLED,
    LEXICAL,
    POPS,
    RANGES,
)
from tests.differential.wire import WANTED, check_events

_ASK: Words = (b"CONFIG", b"SET", b"notify-keyspace-events")

_ENCODERS = {b"2": encode_resp2, b"3": encode_resp3}

profile = settings.get_profile("differential")


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
        reader = hiredis.Reader()
        received = b""
        while reader.gets() is False:
            data = self._socket.recv(1 << 16)
            assert data, "redis-server closed the connection"
            reader.feed(data)
            received += data
        return received

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(scope="module", params=[b"2", b"3"])
def raw(request: pytest.FixtureRequest, emptied_redis: RedisServer) -> Iterator[RawRedis]:
    """A connection to the real Redis, in each version of the protocol."""
    connection = RawRedis(emptied_redis.unix_path, request.param)
    yield connection
    connection.close()


def _engine() -> Engine:
    return Engine(clock_ms=lambda: 0, random=Random(0))


def _check_bytes(raw: RawRedis, program: list[Words]) -> None:
    session = _engine().open_session(lambda reply: None)
    session.execute([b"HELLO", raw.protocol])
    encode = _ENCODERS[raw.protocol]
    for command in [(b"FLUSHALL",), *program]:
        assert encode(session.execute(list(command))) == raw.ask(command), command


@settings(profile)
@given(program=programs(CHANGES + POPS + ALGEBRA, after=FILLED))
def test_bytes_of_changes_pops_and_algebra(raw: RawRedis, program: list[Words]) -> None:
    _check_bytes(raw, program)


# The order of what ZSCAN returns is each store's own.
_IN_ORDER = "\n".join(line for line in RANGES.splitlines() if "ZSCAN" not in line)


@settings(profile)
@given(program=programs(_IN_ORDER, after=FILLED))
def test_bytes_of_ranges(raw: RawRedis, program: list[Words]) -> None:
    _check_bytes(raw, program)


def test_bytes_of_members_at_random(raw: RawRedis) -> None:
    pick = (b"ZRANDMEMBER", b"z", b"-3", b"WITHSCORES")
    _check_bytes(raw, [(b"ZADD", b"z", b"1.5", b"m"), (b"ZRANDMEMBER", b"z"), pick])


@pytest.fixture(scope="module")
def listener(emptied_redis: RedisServer) -> Iterator[RealRedis]:
    """A connection to the real Redis that hears all events while the tests last."""
    connection = RealRedis(emptied_redis.unix_path)
    connection.ask([(*_ASK, WANTED.encode()), (b"PSUBSCRIBE", b"__key*__:*")])
    yield connection
    connection.ask([(b"PUNSUBSCRIBE",), (*_ASK, b"")])
    connection.close()


@settings(profile)
@given(program=programs(CHANGES + POPS + ALGEBRA, after=FILLED))
def test_events_of_changes_pops_and_algebra(
    real: RealRedis, listener: RealRedis, program: list[Words]
) -> None:
    check_events(real, listener, program)


@settings(profile)
@given(program=programs(RANGES, after=FILLED))
def test_events_of_ranges(
    real: RealRedis, listener: RealRedis, program: list[Words]
) -> None:
    check_events(real, listener, program)


@settings(profile)
@given(program=programs(LEXICAL, after="ZADD key 0 member 0 member 0 member"))
def test_events_of_ranges_by_member(
    real: RealRedis, listener: RealRedis, program: list[Words]
) -> None:
    check_events(real, listener, program)
