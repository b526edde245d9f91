"""Strings, numbers and ranges: the same commands give the same replies as on Redis."""

from __future__ import annotations

from hypothesis import given, settings

from tests.differential.grammar import programs
from tests.differential.pair import Pair, RealRedis, Words

STRINGS = """
SET key value
SET key value flag
SET key value EX seconds
SET key value PX millis
SET key value EXAT unixtime
SET key value PXAT unixmillis
SET key value NX GET
SET key value flag flag
SETNX key value
SETEX key seconds value
PSETEX key millis value
GET key
GETSET key value
GETDEL key
GETEX key
GETEX key EX seconds
GETEX key PERSIST
APPEND key value
STRLEN key
MGET key [key]
MSET key value [key+value]
MSETNX key value [key+value]
"""

NUMBERS = """
SET key int
INCR key
DECR key
INCRBY key int
DECRBY key int
INCRBYFLOAT key float
GET key
"""

RANGES = """
SET key value
GETRANGE key index index
SUBSTR key index index
SETRANGE key offset value
STRLEN key
APPEND key value
"""

OTHER_TYPES = """
LPUSH key value
HSET key field value
SADD key member
ZADD key score member
"""

profile = settings.get_profile("differential")


@settings(profile)
@given(program=programs(STRINGS + OTHER_TYPES, after="SET key value"))
def test_strings(real: RealRedis, program: list[Words]) -> None:
    Pair(real).check(program)


@settings(profile)
@given(program=programs(NUMBERS + OTHER_TYPES, after="SET key int"))
def test_numbers(real: RealRedis, program: list[Words]) -> None:
    Pair(real).check(program)


@settings(profile)
@given(program=programs(RANGES + OTHER_TYPES, after="SET key value"))
def test_ranges(real: RealRedis, program: list[Words]) -> None:
    Pair(real).check(program)
