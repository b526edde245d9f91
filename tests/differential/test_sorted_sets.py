"""Sorted sets: as on Redis. What picks at random is asked for all there is: then it is
exact.
"""

from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.differential.grammar import programs
from tests.differential.pair import Pair, RealRedis, Words

CHANGES = """
ZADD key score member [score+member]
ZADD key flag score member
ZADD key flag flag score member
ZADD key flag flag score member score member
ZADD key CH GT score member score member
ZADD key INCR score member
ZADD key XX INCR score member
ZADD key LT INCR score member
ZADD key float member
ZINCRBY key score member
ZREM key member [member]
ZREMRANGEBYSCORE key bound bound
ZREMRANGEBYRANK key index index
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
ZRANGE key index index LIMIT count count
ZRANGE key bound bound BYSCORE
ZRANGE key bound bound BYSCORE LIMIT count count WITHSCORES
ZRANGE key bound bound BYSCORE REV LIMIT count count
ZRANGE key bound bound BYLEX REV REV
ZRANGESTORE key key index index
ZRANGESTORE key key index index REV
ZRANGESTORE key key bound bound BYSCORE LIMIT count count
ZRANGESTORE key key bound bound BYSCORE REV
ZREVRANGE key index index WITHSCORES
ZREVRANGE key index index LIMIT count count
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

# By member there is an order only among equal scores.
LEXICAL = """
ZADD key 0 member
ZADD key 0 member 0 member 0 member
ZRANGE key lex lex BYLEX
ZRANGE key lex lex BYLEX REV LIMIT count count
ZRANGE key lex lex BYLEX LIMIT count count
ZRANGE key lex lex BYLEX WITHSCORES
ZRANGESTORE key key lex lex BYLEX
ZRANGESTORE key key lex lex BYLEX REV LIMIT count count
ZRANGEBYLEX key lex lex
ZRANGEBYLEX key lex lex LIMIT count count
ZREVRANGEBYLEX key lex lex
ZREVRANGEBYLEX key lex lex LIMIT count count
ZLEXCOUNT key lex lex
ZREMRANGEBYLEX key lex lex
SET key value
"""

POPS = """
ZADD key score member score member score member
ZPOPMIN key
ZPOPMAX key
ZPOPMIN key count
ZPOPMAX key count
ZPOPMIN key count extra
ZMPOP 1 key extreme
ZMPOP 2 key key extreme
ZMPOP 2 key key extreme COUNT count
ZMPOP count key key extreme COUNT count
ZMPOP 1 key extreme COUNT count COUNT count
ZMPOP 1 key extreme extra
ZMPOP 1 key
SET key value
DEL key
"""

# In a transaction nothing blocks.
BLOCKING = """
ZADD key score member [score+member]
BZPOPMIN key 0
BZPOPMAX key [key] 1
BZPOPMIN key key float
BZMPOP count 1 key extreme
BZMPOP 0 2 key key extreme
BZMPOP 0 2 key key extreme COUNT count
BZMPOP float count key key extreme
BZMPOP 0 1 key extreme extra
SET key value
"""

ALGEBRA = """
ZADD key score member score member
ZADD key 0.1 member 0.2 member 0.3 member
ZUNION count key [key]
ZUNION 2 key key WITHSCORES
ZUNION 3 key key key WITHSCORES WEIGHTS weight weight weight
ZUNION 3 key key key AGGREGATE aggregate WITHSCORES WEIGHTS weight weight weight
ZINTER count key [key]
ZINTER 2 key key WITHSCORES
ZINTER 3 key key key WITHSCORES
ZINTER 2 key key AGGREGATE aggregate WITHSCORES WEIGHTS weight weight
ZDIFF count key [key]
ZDIFF 2 key key WITHSCORES
ZDIFF 3 key key key WITHSCORES
ZUNIONSTORE key 2 key key
ZUNIONSTORE key 2 key key WEIGHTS weight weight AGGREGATE aggregate
ZUNIONSTORE key count key key extra
ZINTERSTORE key 2 key key
ZINTERSTORE key 2 key key AGGREGATE aggregate WEIGHTS weight weight
ZINTERSTORE key count key key
ZDIFFSTORE key 2 key key
ZDIFFSTORE key 3 key key key
ZDIFFSTORE key count key key
ZINTERCARD 2 key key
ZINTERCARD 3 key key key LIMIT count
ZINTERCARD count key key
SADD key member member
SET key value
EXPIRE key seconds
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


@settings(profile)
@given(program=programs(LEXICAL, after="ZADD key 0 member 0 member 0 member"))
def test_ranges_by_member(real: RealRedis, program: list[Words]) -> None:
    Pair(real).check(program)


@settings(profile)
@given(program=programs(POPS, after=FILLED))
def test_pops(real: RealRedis, program: list[Words]) -> None:
    Pair(real).check(program)


@settings(profile)
@given(program=programs(BLOCKING, after=FILLED))
def test_blocking_pops_in_a_transaction(real: RealRedis, program: list[Words]) -> None:
    Pair(real).check([(b"MULTI",), *program, (b"EXEC",)])


@settings(profile)
@given(program=programs(ALGEBRA, after=f"{FILLED}\nSADD key member member"))
def test_algebra(real: RealRedis, program: list[Words]) -> None:
    Pair(real).check(program)


_NOTHING_TO_PICK = """
ZRANDMEMBER nothing
ZRANDMEMBER nothing int
ZRANDMEMBER nothing int WITHSCORES
ZRANDMEMBER nothing int extra
ZRANDMEMBER key 0
ZRANDMEMBER key 0 extra
ZRANDMEMBER key x
ZRANDMEMBER key -9223372036854775808
ZRANDMEMBER key 4611686018427387904 WITHSCORES
SET key value
"""


@settings(settings.get_profile("differential"), max_examples=40)
@given(
    program=programs("ZADD key score member [score+member]\nZREM key member"),
    wrong=programs(_NOTHING_TO_PICK),
    more=st.sampled_from(((), (b"WITHSCORES",))),
)
def test_random_members(
    real: RealRedis, program: list[Words], wrong: list[Words], more: Words
) -> None:
    pair = Pair(real)
    pair.check(program)
    pair.check_shuffled([(b"ZRANDMEMBER", key, b"100", *more) for key in (b"a", b"none")])
    # Without sorted sets: a command that lost its last word would pick one at random.
    Pair(real).check(wrong)


def test_a_big_set(real: RealRedis) -> None:
    random = Random(1)
    names = [b"m%d" % number for number in range(3000)]
    pair = Pair(real)
    program: list[Words] = []
    for name in random.choices(names, k=4000):
        score = random.choice(
            (b"%.17g" % random.gauss(0, 1e3), b"%d" % random.randrange(9))
        )
        program.append((b"ZADD", b"a", score, name))
    for name in random.choices(names, k=1000):
        first, last = sorted(random.choices(range(-1000, 1000), k=2))
        ends = b"%d" % first, b"%d" % last
        program += [
            (b"ZRANK", b"a", name),
            (b"ZREM", b"a", name),
            (b"ZCOUNT", b"a", *ends),
            (b"ZRANGEBYSCORE", b"a", *ends, b"WITHSCORES", b"LIMIT", b"7", b"9"),
            (b"ZREVRANGE", b"a", ends[1], ends[1], b"WITHSCORES"),
            (b"ZINCRBY", b"a", b"0.1", name),
        ]
    pair.check(program)
    pair.check([(b"ZREMRANGEBYRANK", b"a", b"100", b"-200"), (b"ZPOPMAX", b"a", b"150")])
