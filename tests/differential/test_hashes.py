"""Hashes: as on Redis. HRANDFIELD is asked for more than there is: then it is exact."""

from __future__ import annotations

from hypothesis import given, settings

from tests.differential.grammar import programs
from tests.differential.pair import Pair, RealRedis, Words

HASHES = """
HSET key field value [field+value]
HSET key field int
HMSET key field value [field+value]
HSETNX key field value
HGET key field
HMGET key field [field]
HDEL key field [field]
HEXISTS key field
HLEN key
HKEYS key
HVALS key
HGETALL key
HSTRLEN key field
HINCRBY key field int
HINCRBYFLOAT key field float
HSCAN key 0 COUNT all
HSCAN key 0 MATCH pattern COUNT all
HSCAN key x
SET key value
DEL key
EXPIRE key seconds
"""


@settings(settings.get_profile("differential"))
@given(program=programs(HASHES, after="HSET key field value field int"))
def test_hashes(real: RealRedis, program: list[Words]) -> None:
    Pair(real).check(program)


@settings(settings.get_profile("differential"), max_examples=40)
@given(program=programs("HSET key field value [field+value]\nHDEL key field"))
def test_random_fields(real: RealRedis, program: list[Words]) -> None:
    pair = Pair(real)
    pair.check(program)
    pair.check_shuffled([(b"HRANDFIELD", b"a", b"100")])
    pair.check([(b"HRANDFIELD", b"a", b"0"), (b"HRANDFIELD", b"nothing", b"-2")])
