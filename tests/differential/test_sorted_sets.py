"""Sorted sets: as on Redis."""

from __future__ import annotations

from hypothesis import given, settings

from tests.differential.grammar import programs
from tests.differential.pair import Pair, RealRedis, Words

CHANGES = """
ZADD key score member [score+member]
ZADD key flag score member
ZADD key flag flag score member
ZADD key INCR score member
ZINCRBY key score member
ZREM key member [member]
ZREMRANGEBYSCORE key bound bound
ZREMRANGEBYRANK key index index
ZPOPMIN key
ZPOPMAX key
ZPOPMIN key count
ZPOPMAX key count
ZSCORE key member
ZMSCORE key member [member]
ZCARD key
SADD key member
DEL key
"""

RANGES = """
ZADD key score member [score+member]
ZADD key score member score member score member
ZRANGE key index index
ZRANGE key index index WITHSCORES
ZRANGE key index index REV WITHSCORES
ZRANGE key bound bound BYSCORE
ZRANGE key bound bound BYSCORE LIMIT count count WITHSCORES
ZRANGE key bound bound BYSCORE REV LIMIT count count
ZREVRANGE key index index WITHSCORES
ZRANGEBYSCORE key bound bound
ZRANGEBYSCORE key bound bound WITHSCORES LIMIT count count
ZREVRANGEBYSCORE key bound bound LIMIT count count
ZCOUNT key bound bound
ZRANK key member
ZREVRANK key member
ZSCAN key 0 COUNT all
ZSCAN key 0 MATCH pattern COUNT all
SET key value
"""

FILLED = "ZADD key score member score member score member"

profile = settings.get_profile("differential")


@settings(profile)
@given(program=programs(CHANGES, after=FILLED))
def test_changes(real: RealRedis, program: list[Words]) -> None:
    Pair(real).check(program)


@settings(profile)
@given(program=programs(RANGES, after=FILLED))
def test_ranges(real: RealRedis, program: list[Words]) -> None:
    Pair(real).check(program)
