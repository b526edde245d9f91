"""The count of bytes: after any commands it is what counting anew gives."""

from __future__ import annotations

from hypothesis import given, settings

from tests.unit.memory.recount import check_counting, programs

HASHES = """
HSET key field value
HSET key field value field value
HMSET key field value
HSETNX key field value
HDEL key field
HDEL key field field field
HINCRBY key field n
HINCRBYFLOAT key field n
HGETALL key
HPEXPIRE key ms FIELDS 1 field
HPEXPIRE key ms NX FIELDS 2 field field
HPERSIST key FIELDS 1 field
PEXPIRE key ms
PERSIST key
RENAME key key
DEL key
SET key value
LPUSH key value
"""

LISTS = """
RPUSH key value
LPUSH key value value
RPUSH key value value value
LPUSHX key value
LPOP key
RPOP key
LPOP key n
RPOP key n
LSET key n value
LREM key n value
LTRIM key n n
LINSERT key BEFORE value value
LMOVE key key side side
RPOPLPUSH key key
BLMOVE key key side side 1
BLPOP key 1
LMPOP 2 key key side COUNT n
BLMPOP 1 1 key side
SET key value
"""

SETS = """
SADD key field
SADD key field value value
SREM key field
SREM key field value
SPOP key
SPOP key n
SMOVE key key field
SINTERSTORE key key key
SUNIONSTORE key key key
SDIFFSTORE key key key
SET key value
RENAME key key
"""


@settings(max_examples=200)
@given(programs(HASHES))
def test_hashes_and_their_deadlines_are_counted(program: list[str]) -> None:
    check_counting(program)


@settings(max_examples=200)
@given(programs(LISTS))
def test_lists_are_counted(program: list[str]) -> None:
    check_counting(program)


@settings(max_examples=200)
@given(programs(SETS))
def test_sets_are_counted(program: list[str]) -> None:
    check_counting(program)
