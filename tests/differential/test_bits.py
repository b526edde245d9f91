"""Bits, integers in strings, and common subsequences: as on Redis."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.differential.grammar import programs
from tests.differential.pair import Pair, RealRedis, Words

MAKERS = """
SET key value
SETBIT key place bit
SETRANGE key offset value
"""

BITS = """
SETBIT key place bit
GETBIT key place
BITCOUNT key
BITCOUNT key index index
BITCOUNT key index index unit
BITPOS key bit
BITPOS key bit index
BITPOS key bit index index
BITPOS key bit index index unit
BITOP operation key key [key]
RPUSH key value
DEL key
"""

FIELDS = """
BITFIELD key
BITFIELD key GET width multiple
BITFIELD key SET width multiple amount GET width multiple
BITFIELD key INCRBY width multiple amount
BITFIELD key OVERFLOW overflow INCRBY width multiple amount INCRBY width multiple amount
BITFIELD key OVERFLOW overflow SET width multiple amount OVERFLOW overflow GET width place
BITFIELD key [flag]
BITFIELD_RO key GET width multiple GET width multiple
BITFIELD_RO key SET width multiple amount
RPUSH key value
DEL key
"""

SUBSEQUENCES = """
LCS key key
LCS key key LEN
LCS key key IDX
LCS key key IDX WITHMATCHLEN
LCS key key IDX MINMATCHLEN int
LCS key key MINMATCHLEN int WITHMATCHLEN IDX
LCS key key LEN IDX
LCS key key flag
RPUSH key value
"""

profile = settings.get_profile("differential")

texts = st.lists(st.sampled_from(b"abcd"), max_size=60).map(bytes)


@settings(profile)
@given(program=programs(BITS, after=MAKERS))
def test_bits(real: RealRedis, program: list[Words]) -> None:
    Pair(real).check(program)


@settings(profile)
@given(program=programs(FIELDS, after=MAKERS))
def test_fields(real: RealRedis, program: list[Words]) -> None:
    Pair(real).check(program)


@settings(profile)
@given(left=texts, right=texts, program=programs(SUBSEQUENCES))
def test_common_subsequences(
    real: RealRedis, left: bytes, right: bytes, program: list[Words]
) -> None:
    Pair(real).check([(b"MSET", b"a", left, b"b", right), *program])
