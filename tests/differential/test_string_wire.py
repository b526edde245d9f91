"""Strings, bits and keys: the shapes of replies in both versions of the protocol."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import example, given, settings

from sharedstate.testing.servers import RedisServer
from tests.differential.grammar import programs
from tests.differential.pair import Words
from tests.differential.test_bits import BITS, FIELDS, SUBSEQUENCES
from tests.differential.test_key_copies import COPIES, ENCODINGS
from tests.differential.test_key_events import SORTS
from tests.differential.test_keys import KEYS
from tests.differential.test_strings import NUMBERS, RANGES, STRINGS
from tests.differential.wire import RawRedis, check_shapes

MAKERS = """
SET key value
SET key int
RPUSH key member
HSET key field value
SADD key member
ZADD key score member
"""

# The clocks of the two stores do not agree here, and databases are not put back.
_CLOCKS = ("seconds", "millis", "unixtime", "SELECT", "TTL", "SWAPDB", "PERSIST", "flag")

profile = settings.get_profile("differential")


def _without_clocks(templates: str) -> str:
    return "\n".join(
        line for line in templates.splitlines() if not {*line.split()} & {*_CLOCKS}
    )


@pytest.fixture(scope="module", params=[b"2", b"3"])
def raw(request: pytest.FixtureRequest, emptied_redis: RedisServer) -> Iterator[RawRedis]:
    """A connection to the real Redis, in each version of the protocol."""
    connection = RawRedis(emptied_redis.unix_path, request.param)
    yield connection
    connection.close()


@settings(profile)
@given(program=programs(_without_clocks(STRINGS + NUMBERS + RANGES), after=MAKERS))
def test_shapes_of_strings(raw: RawRedis, program: list[Words]) -> None:
    check_shapes(raw, program)


@settings(profile)
@given(program=programs(BITS + FIELDS + SUBSEQUENCES, after=MAKERS))
def test_shapes_of_bits(raw: RawRedis, program: list[Words]) -> None:
    check_shapes(raw, program)


@settings(profile)
@given(program=programs(_without_clocks(KEYS + COPIES + SORTS + ENCODINGS), after=MAKERS))
@example(
    program=[(b"SET", b"a", b"b"), (b"APPEND", b"a", b""), (b"OBJECT", b"ENCODING", b"a")]
)
def test_shapes_of_keys(raw: RawRedis, program: list[Words]) -> None:
    check_shapes(raw, program)


def test_nothing_has_the_shape_of_nothing(raw: RawRedis) -> None:
    asked: list[Words] = [
        (b"RANDOMKEY",),
        (b"GETDEL", b"none"),
        (b"GETEX", b"none"),
        (b"SET", b"none", b"v", b"XX"),
        (b"SORT", b"none"),
        (b"LCS", b"none", b"none", b"IDX"),
        (b"OBJECT", b"ENCODING", b"none"),
        (b"OBJECT", b"FREQ", b"none"),
        (b"BITFIELD", b"k", b"OVERFLOW", b"FAIL", b"SET", b"u1", b"0", b"2"),
        (b"RPUSH", b"l", b"x"),
        (b"SORT", b"l", b"ALPHA", b"GET", b"none*", b"GET", b"#"),
        (b"MGET", b"none", b"l"),
    ]
    check_shapes(raw, asked)
