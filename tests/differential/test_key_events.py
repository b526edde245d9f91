"""What is told of changes of strings, bits and keys: the same events as on Redis.

That a key has expired is left out: when Redis finds out is chance.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings

from sharedstate.testing.servers import RedisServer
from tests.differential.grammar import programs
from tests.differential.pair import Pair, RealRedis, Words
from tests.differential.test_bits import BITS, FIELDS
from tests.differential.test_key_copies import COPIES
from tests.differential.test_keys import DEADLINES, KEYS, MAKERS
from tests.differential.test_strings import NUMBERS, RANGES, STRINGS

SORTS = """
SORT key
SORT key ALPHA GET pattern GET #
SORT key ALPHA STORE key
SORT_RO key ALPHA
LCS key key
OBJECT ENCODING key
"""

WANTED = "KEAnm"

_HOME: Words = (b"SELECT", b"0")
_ASK: Words = (b"CONFIG", b"SET", b"notify-keyspace-events")


@pytest.fixture(scope="module")
def listener(emptied_redis: RedisServer) -> Iterator[RealRedis]:
    """A connection to the real Redis that hears all events."""
    connection = RealRedis(emptied_redis.unix_path)
    connection.ask([(*_ASK, WANTED.encode()), (b"PSUBSCRIBE", b"__key*__:*")])
    yield connection
    connection.close()


@pytest.fixture(autouse=True)
def _home(real: RealRedis) -> Iterator[None]:
    """Leave the server, which all tests share, as it was."""
    yield
    real.ask([_HOME, (*_ASK, b"")])


def _check_events(real: RealRedis, listener: RealRedis, program: list[Words]) -> None:
    pair = Pair(real)
    heard: list[Any] = []
    ours = pair.ours.engine.open_session(heard.append)
    pair.ours.engine.settings.change([("notify-keyspace-events", WANTED)])
    ours.execute([b"PSUBSCRIBE", b"__key*__:*"])
    heard.clear()
    real.ask([(*_ASK, WANTED.encode())])
    listener.hear()
    for command in [_HOME, *program]:
        pair.check([command])
        assert _told(heard) == _told(listener.hear()), command
        heard.clear()


def _told(messages: list[Any]) -> list[tuple[bytes, bytes]]:
    """Channels and messages, but for those of expiry."""
    told = [(bytes(message[2]), bytes(message[3])) for message in messages]
    return [pair for pair in told if b"expired" not in pair[0] + pair[1]]


@settings(settings.get_profile("differential"))
@given(program=programs(STRINGS + NUMBERS + RANGES, after=MAKERS, longest=8))
def test_events_of_strings(
    real: RealRedis, listener: RealRedis, program: list[Words]
) -> None:
    _check_events(real, listener, program)


@settings(settings.get_profile("differential"))
@given(program=programs(BITS + FIELDS, after=MAKERS, longest=8))
def test_events_of_bits(real: RealRedis, listener: RealRedis, program: list[Words]) -> None:
    _check_events(real, listener, program)


@settings(settings.get_profile("differential"))
@given(program=programs(KEYS + DEADLINES + COPIES + SORTS, after=MAKERS, longest=8))
def test_events_of_keys(real: RealRedis, listener: RealRedis, program: list[Words]) -> None:
    _check_events(real, listener, program)
