"""SINTERCARD, and the algebra of sets of different lengths: as on Redis."""

from __future__ import annotations

from hypothesis import given, settings

from tests.differential.grammar import programs
from tests.differential.pair import Pair, RealRedis, Words

COUNTS = """
SADD key member member member
SADD key member [member] value
SINTERCARD 1 key
SINTERCARD 2 key key
SINTERCARD 3 key key key
SINTERCARD 2 key key LIMIT count
SINTERCARD 2 key key LIMIT count LIMIT count
SINTERCARD count key key
SINTERCARD count key LIMIT count
SINTERCARD 1 key extra
SINTERCARD 1 key extra count
SMISMEMBER key member member value
SDIFF key key key
SINTER key key key
SUNION key key key
SDIFFSTORE key key key key
SINTERSTORE key key key key
SMOVE key key member
SREM key member member member
SET key value
DEL key
"""

FIRST = "SADD key member member member member\nSADD key member"


@settings(settings.get_profile("differential"))
@given(program=programs(COUNTS, after=FIRST))
def test_counts(real: RealRedis, program: list[Words]) -> None:
    Pair(real).check(program)
