"""LMPOP and BLMPOP: as on Redis."""

from __future__ import annotations

from hypothesis import given, settings

from tests.differential.grammar import programs
from tests.differential.pair import Pair, RealRedis, Words

POPS = """
RPUSH key member member member member
LPUSH key value [value]
LMPOP 1 key side
LMPOP 2 key key side
LMPOP 2 key key side COUNT count
LMPOP 3 key key key side COUNT count
LMPOP count key side
LMPOP count key key side COUNT count
LMPOP 1 key side COUNT count COUNT count
LMPOP 1 key side extra
LMPOP 1 key
LPOP key count
RPOP key count
LTRIM key index index
LREM key index member
LINSERT key AFTER member value
LPOS key member RANK int COUNT int MAXLEN int
LPOS key member extra int
SET key value
DEL key
"""

# In a transaction nothing blocks.
BLOCKING = """
RPUSH key value [value]
BLMPOP count 1 key side
BLMPOP 0 2 key key side
BLMPOP 0 2 key key side COUNT count
BLMPOP float count key key side
BLMPOP 0 1 key side extra
SET key value
"""

profile = settings.get_profile("differential")


@settings(profile)
@given(program=programs(POPS, after="RPUSH key member member member member"))
def test_pops(real: RealRedis, program: list[Words]) -> None:
    Pair(real).check(program)


@settings(profile)
@given(program=programs(BLOCKING, after="RPUSH key value value"))
def test_blocking_pops_in_a_transaction(real: RealRedis, program: list[Words]) -> None:
    Pair(real).check([(b"MULTI",), *program, (b"EXEC",)])
