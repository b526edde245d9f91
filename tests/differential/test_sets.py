"""Sets: as on Redis. What picks at random is asked for all there is: then it is exact."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.differential.grammar import programs
from tests.differential.pair import Pair, RealRedis, Words

SETS = """
SADD key member [member]
SADD key member member member
SREM key member [member]
SISMEMBER key member
SMISMEMBER key member [member]
SMEMBERS key
SCARD key
SMOVE key key member
SINTER key [key]
SUNION key [key]
SDIFF key [key]
SINTERSTORE key key [key]
SUNIONSTORE key key [key]
SDIFFSTORE key key [key]
SSCAN key 0 COUNT all
SSCAN key 0 MATCH pattern COUNT all
SSCAN key x
SET key value
DEL key
"""


@settings(settings.get_profile("differential"))
@given(program=programs(SETS, after="SADD key member member member"))
def test_sets(real: RealRedis, program: list[Words]) -> None:
    Pair(real).check(program)


@settings(settings.get_profile("differential"), max_examples=40)
@given(
    program=programs("SADD key member [member]\nSREM key member"),
    pick=st.sampled_from((b"SPOP", b"SRANDMEMBER")),
)
def test_random_members(real: RealRedis, program: list[Words], pick: bytes) -> None:
    pair = Pair(real)
    pair.check(program)
    pair.check_shuffled([(pick, key, b"100") for key in (b"a", b"b", b"nothing")])
    pair.check([(pick, b"a", b"0"), (pick, b"a", b"x"), (pick, b"nothing")])
