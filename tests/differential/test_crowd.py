"""Several clients wait for the same keys: who is served, with what, in which order: as on
Redis.
"""

from __future__ import annotations

from contextlib import closing

from hypothesis import given, settings
from hypothesis import strategies as st

from sharedstate.testing.servers import RedisServer
from tests.differential.crowd import Crowd
from tests.differential.grammar import commands
from tests.differential.pair import RealRedis, Words

WAITS = """
BLPOP key 0
BLPOP key key key 0
BRPOP key key 0
BLMOVE key key side side 0
BRPOPLPUSH key key 0
BLMPOP 0 1 key side
BLMPOP 0 2 key key side COUNT count
BZPOPMIN key key 0
BZPOPMAX key 0
"""

# Without SORT … STORE: when that makes a list of something else, Redis 7.0 leaves those who
# wait for a list waiting.
CHANGES = """
RPUSH key member
RPUSH key member member member
LPUSH key member member
LPUSHX key member
LINSERT key BEFORE member value
LMOVE key key side side
RPOPLPUSH key key
LMPOP 2 key key side
LPOP key
ZADD key 1 member 2 member
SADD key member
SET key value
DEL key
DEL key key key key
RENAME key key
COPY key key REPLACE
"""

change = commands(CHANGES)
unit = st.lists(change, min_size=1, max_size=4)


def _in_transaction(program: list[Words]) -> list[Words]:
    return [(b"MULTI",), *program, (b"EXEC",)]


@settings(settings.get_profile("differential"))
@given(
    waits=st.lists(commands(WAITS), min_size=1, max_size=5),
    units=st.lists(st.one_of(unit, unit.map(_in_transaction)), max_size=6),
)
def test_a_crowd(
    real: RealRedis,
    emptied_redis: RedisServer,
    waits: list[Words],
    units: list[list[Words]],
) -> None:
    with closing(Crowd(real, emptied_redis.unix_path)) as crowd:
        for wait in waits:
            crowd.join(wait)
        for program in units:
            crowd.tell(program)
