"""Keys that are copied, moved and swapped between databases, and OBJECT: as on Redis."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sharedstate.testing.servers import RedisServer
from tests.differential.grammar import programs
from tests.differential.pair import OurEngine, Pair, RealRedis, Words

MAKERS = """
SET key value
RPUSH key value value
HSET key field value
SADD key member
ZADD key score member
SET key value PX millis
"""

COPIES = """
COPY key key
COPY key key REPLACE
COPY key key DB database
COPY key key DB database REPLACE
COPY key key flag
MOVE key database
SWAPDB database database
SELECT database
RENAME key key
RENAMENX key key
EXPIRE key seconds
PERSIST key
TTL key
APPEND key value
RPUSH key value
HSET key field value
FLUSHDB
FLUSHDB SYNC
FLUSHALL ASYNC
FLUSHALL value
DEL key
EXISTS key [key]
TOUCH key [key]
"""

ENCODINGS = """
OBJECT ENCODING key
OBJECT REFCOUNT key
OBJECT FREQ key
OBJECT ENCODING
OBJECT flag key
"""

_HOME: Words = (b"SELECT", b"0")

profile = settings.get_profile("differential")


@pytest.fixture(scope="module")
def other(emptied_redis: RedisServer) -> Iterator[RealRedis]:
    """A second connection to the real Redis."""
    connection = RealRedis(emptied_redis.unix_path)
    yield connection
    connection.close()


@pytest.fixture(autouse=True)
def _home(real: RealRedis) -> Iterator[None]:
    """Leave the connection, which all tests share, in the database it came in."""
    yield
    real.ask([_HOME])


@settings(profile)
@given(program=programs(MAKERS + COPIES, after=MAKERS))
def test_copies(real: RealRedis, program: list[Words]) -> None:
    pair = Pair(real)
    pair.check([_HOME, *program])
    for database in (b"0", b"1", b"2"):
        pair.check([(b"SELECT", database)])


@settings(profile)
@given(
    watched=st.lists(st.sampled_from((b"a", b"b", b"c")), min_size=1, max_size=2),
    database=st.sampled_from((b"0", b"1")),
    program=programs(COPIES, after=MAKERS, longest=6),
)
def test_watched_keys_that_come_and_go(
    real: RealRedis,
    other: RealRedis,
    watched: list[bytes],
    database: bytes,
    program: list[Words],
) -> None:
    pair = Pair(real)
    watcher = OurEngine(pair.ours.engine)
    half = len(program) // 2
    pair.check([_HOME, *program[:half]])
    first: list[Words] = [(b"SELECT", database), (b"WATCH", *watched), (b"MULTI",)]
    assert other.ask(first) == watcher.ask(first)
    pair.check(program[half:])
    last: list[Words] = [(b"PING",), (b"EXEC",), (b"UNWATCH",)]
    assert other.ask(last) == watcher.ask(last)


@settings(profile)
@given(
    values=st.tuples(st.binary(max_size=80), st.integers().map(lambda n: b"%d" % n)),
    members=st.lists(st.integers(-(2**70), 2**70).map(lambda n: b"%d" % n), min_size=1),
    count=st.sampled_from((1, 128, 129, 512, 513)),
    program=programs(ENCODINGS),
)
def test_encodings(
    real: RealRedis,
    values: tuple[bytes, bytes],
    members: list[bytes],
    count: int,
    program: list[Words],
) -> None:
    numbered = [b"%d" % number for number in range(count)]
    pairs = [word for number in numbered for word in (number, values[0])]
    scored = [word for number in numbered for word in (b"1", number)]
    made: list[list[Words]] = [
        [(b"SET", b"a", values[0]), (b"SET", b"b", values[1]), (b"SADD", b"c", *members)],
        [(b"SADD", b"a", *numbered), (b"HSET", b"b", *pairs), (b"ZADD", b"c", *scored)],
        [(b"RPUSH", b"a", *numbered), (b"ZADD", b"b", b"1", values[0])],
    ]
    for makers in made:
        pair = Pair(real)
        pair.check([*makers, *program])
