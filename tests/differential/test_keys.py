"""Keys of any type, and their deadlines: as on Redis.

Deadlines are far off or past, so that nothing expires between the two stores' answers.
Only absolute ones are compared (GT, LT): whether the time of day moved on between two
commands is chance.
RANDOMKEY is left out: it answers at random.
"""

from __future__ import annotations

from hypothesis import given, settings

from tests.differential.grammar import programs
from tests.differential.pair import Pair, RealRedis, Words

MAKERS = """
SET key value
RPUSH key value
HSET key field value
SADD key member
ZADD key score member
"""

KEYS = """
DEL key [key]
UNLINK key [key]
EXISTS key [key]
TOUCH key [key]
TYPE key
RENAME key key
RENAMENX key key
KEYS pattern
DBSIZE
SCAN 0 COUNT all
SCAN 0 MATCH pattern COUNT all
SCAN 0 TYPE string
SCAN 0 TYPE zset MATCH pattern
SCAN x
FLUSHDB
FLUSHALL
"""

DEADLINES = """
EXPIRE key seconds
PEXPIRE key millis
EXPIREAT key unixtime
PEXPIREAT key unixmillis
EXPIREAT key unixtime flag
EXPIREAT key unixtime flag flag
PEXPIREAT key unixmillis flag
PERSIST key
TTL key
PTTL key
EXPIRETIME key
PEXPIRETIME key
SET key value PX millis
SET key value KEEPTTL
GETEX key EX seconds
RENAME key key
"""

profile = settings.get_profile("differential")


@settings(profile)
@given(program=programs(MAKERS + KEYS, after=MAKERS))
def test_keys(real: RealRedis, program: list[Words]) -> None:
    Pair(real).check(program)


@settings(profile)
@given(program=programs(MAKERS + DEADLINES, after=MAKERS))
def test_deadlines(real: RealRedis, program: list[Words]) -> None:
    Pair(real).check(program)
