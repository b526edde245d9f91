"""Hashes, lists and sets: the shapes of replies in both versions of the protocol, and the
events of keys: as on Redis.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings

from sharedstate.testing.servers import RedisServer
from tests.differential.grammar import programs
from tests.differential.pair import RealRedis, Words
from tests.differential.test_hashes import HASHES
from tests.differential.test_list_pops import POPS
from tests.differential.test_lists import LISTS
from tests.differential.test_set_counts import COUNTS
from tests.differential.test_sets import SETS
from tests.differential.wire import ASK, WANTED, RawRedis, check_events, check_shapes

# One member is picked, or all are.
PICKS = """
SADD key value
SPOP key
SPOP key all
SPOP key 0
SRANDMEMBER key
SRANDMEMBER key all
SRANDMEMBER key 0
HSET key field value
HRANDFIELD key
HRANDFIELD key all
HRANDFIELD key all WITHVALUES
HRANDFIELD key 0 WITHVALUES
DEL key
"""

ONE_EACH = "SADD key x\nHSET key f value"

profile = settings.get_profile("differential")


@pytest.fixture(scope="module", params=[b"2", b"3"])
def raw(request: pytest.FixtureRequest, emptied_redis: RedisServer) -> Iterator[RawRedis]:
    """A connection to the real Redis, in each version of the protocol."""
    connection = RawRedis(emptied_redis.unix_path, request.param)
    yield connection
    connection.close()


@pytest.fixture(scope="module")
def listener(emptied_redis: RedisServer) -> Iterator[RealRedis]:
    """A connection to the real Redis that hears all events while the tests last."""
    connection = RealRedis(emptied_redis.unix_path)
    connection.ask([(*ASK, WANTED.encode()), (b"PSUBSCRIBE", b"__key*__:*")])
    yield connection
    connection.ask([(b"PUNSUBSCRIBE",), (*ASK, b"")])
    connection.close()


@settings(profile)
@given(program=programs(HASHES, after="HSET key field value field int"))
def test_shapes_of_hashes(raw: RawRedis, program: list[Words]) -> None:
    check_shapes(raw, program)


@settings(profile)
@given(program=programs(LISTS + POPS, after="RPUSH key member member member member"))
def test_shapes_of_lists(raw: RawRedis, program: list[Words]) -> None:
    check_shapes(raw, program)


@settings(profile)
@given(program=programs(SETS + COUNTS, after="SADD key member member member"))
def test_shapes_of_sets(raw: RawRedis, program: list[Words]) -> None:
    check_shapes(raw, program)


@pytest.mark.parametrize("command", [b"SPOP", b"SRANDMEMBER", b"HRANDFIELD"])
@pytest.mark.parametrize("more", [(), (b"0",), (b"1",), (b"9",), (b"-1",), (b"x",)])
def test_shapes_of_picks(raw: RawRedis, command: bytes, more: Words) -> None:
    """Of nothing, of one, and of what is left then."""
    make = (b"HSET", b"a", b"f", b"v") if command[:1] == b"H" else (b"SADD", b"a", b"m")
    pick = (command, b"a", *more)
    check_shapes(raw, [pick, make, pick, pick])


def test_shapes_of_fields_with_values(raw: RawRedis) -> None:
    pick: Words = (b"HRANDFIELD", b"h", b"-2", b"WITHVALUES")
    check_shapes(
        raw, [pick, (b"HSET", b"h", b"f", b"v"), pick, pick[:2], (*pick[:3], b"x")]
    )


@settings(profile)
@given(program=programs(HASHES, after="HSET key field value field int"))
def test_events_of_hashes(
    real: RealRedis, listener: RealRedis, program: list[Words]
) -> None:
    check_events(real, listener, program)


@settings(profile)
@given(program=programs(LISTS + POPS, after="RPUSH key member member member member"))
def test_events_of_lists(
    real: RealRedis, listener: RealRedis, program: list[Words]
) -> None:
    check_events(real, listener, program)


@settings(profile)
@given(program=programs(SETS + COUNTS, after="SADD key member member member"))
def test_events_of_sets(real: RealRedis, listener: RealRedis, program: list[Words]) -> None:
    check_events(real, listener, program)


@settings(profile)
@given(program=programs(PICKS, after=ONE_EACH))
def test_events_of_picks(
    real: RealRedis, listener: RealRedis, program: list[Words]
) -> None:
    check_events(real, listener, program)
