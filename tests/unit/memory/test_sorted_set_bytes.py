"""What sorted sets count for in memory: after any commands it is what counting anew
gives.
"""

from __future__ import annotations

from hypothesis import given

from tests.unit.memory.recount import check_counting, programs

SORTED_SETS = """
ZADD key n field
ZADD key n field n value
ZADD key n field n field n field
ZADD key NX n field n value
ZADD key XX GT CH n field n value
ZADD key INCR n field
ZINCRBY key n field
ZREM key field
ZREM key field field value
ZPOPMIN key
ZPOPMAX key n
ZMPOP 2 key key MIN COUNT n
BZPOPMIN key 1
BZMPOP 1 1 key MAX COUNT n
ZREMRANGEBYRANK key n n
ZREMRANGEBYSCORE key n n
ZREMRANGEBYLEX key [f (h
ZRANGESTORE key key n n
ZUNIONSTORE key 2 key key
ZINTERSTORE key 2 key key WEIGHTS n n
ZDIFFSTORE key 2 key key
SADD key field value
RENAME key key
COPY key key REPLACE
DEL key
SET key value
"""


@given(programs(SORTED_SETS))
def test_sorted_sets_are_counted(program: list[str]) -> None:
    check_counting(program)


def test_a_big_set_is_counted_while_it_comes_and_goes() -> None:
    pairs = " ".join(f"{number % 7} member:{number}" for number in range(5000))
    check_counting(
        [
            f"ZADD z {pairs}",
            "ZREMRANGEBYRANK z 10 2000",
            "ZPOPMAX z 500",
            "ZRANGESTORE d z 0 -1",
            "ZREMRANGEBYSCORE d -inf inf",
            "DEL z",
        ]
    )
