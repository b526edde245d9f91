"""Lists: as on Redis. Blocking commands are asked where they need not block."""

from __future__ import annotations

from hypothesis import given, settings

from tests.differential.grammar import programs
from tests.differential.pair import Pair, RealRedis, Words

LISTS = """
RPUSH key value [value]
LPUSH key value [value]
RPUSH key member member member member
RPUSHX key value [value]
LPUSHX key value [value]
LPOP key
RPOP key
LPOP key count
RPOP key count
LLEN key
LRANGE key index index
LINDEX key index
LSET key index value
LREM key index value
LREM key index member
LTRIM key index index
LINSERT key BEFORE member value
LINSERT key AFTER member value
LPOS key member
LPOS key member RANK index
LPOS key member COUNT count
LPOS key member RANK index COUNT count MAXLEN count
LMOVE key key side side
RPOPLPUSH key key
SET key value
DEL key
"""

# In a transaction nothing blocks.
BLOCKING = """
RPUSH key value [value]
BLPOP key count
BLPOP key key 0
BRPOP key key count
BLMOVE key key side side count
BRPOPLPUSH key key count
ZADD key score member
BZPOPMIN key key count
BZPOPMAX key 0
SET key value
"""

profile = settings.get_profile("differential")


@settings(profile)
@given(program=programs(LISTS, after="RPUSH key member member member"))
def test_lists(real: RealRedis, program: list[Words]) -> None:
    Pair(real).check(program)


@settings(profile)
@given(program=programs(BLOCKING, after="RPUSH key value value\nZADD key score member"))
def test_blocking_commands_in_a_transaction(real: RealRedis, program: list[Words]) -> None:
    Pair(real).check([(b"MULTI",), *program, (b"EXEC",)])
