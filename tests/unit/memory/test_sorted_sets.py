"""Sorted sets."""

from __future__ import annotations

from math import copysign, inf
from typing import TYPE_CHECKING, Any

import pytest

from sharedstate_memory.replies import NULL_ARRAY

if TYPE_CHECKING:
    from collections.abc import Callable

    from sharedstate_memory.engine import Engine
    from tests.unit.memory.conftest import Client


@pytest.fixture
def filled(client: Client) -> Client:
    client("ZADD z 1 a 2 b 2 c 3 d inf e")
    return client


def test_members_have_scores(filled: Client) -> None:
    assert filled("ZSCORE z a") == 1.0
    assert filled("ZMSCORE z e x") == [inf, None]
    assert filled("ZCARD z") == 5
    assert filled("ZRANK z c") == 2
    assert filled("ZREVRANK z c") == 2
    assert filled("ZRANK z x") is None


def test_adding_counts_new_members_or_changed_ones(client: Client) -> None:
    assert client("ZADD z 1 a 1 b") == 2
    assert client("ZADD z 2 a 1 c") == 1
    assert client("ZADD z CH 3 a 1 b 1 d") == 2


@pytest.mark.parametrize(
    ("options", "score", "after"),
    [
        ("NX", 9, 5.0),
        ("XX", 9, 9.0),
        ("GT", 9, 9.0),
        ("GT", 1, 5.0),
        ("LT", 1, 1.0),
        ("LT", 9, 5.0),
        ("XX GT", 4, 5.0),
    ],
)
def test_conditions_of_adding(
    client: Client, options: str, score: int, after: float
) -> None:
    client("ZADD z 5 m")
    client(f"ZADD z {options} {score} m")
    assert client("ZSCORE z m") == after


def test_xx_makes_no_key(client: Client) -> None:
    assert client("ZADD z XX 1 m") == 0
    assert client("EXISTS z") == 0


def test_incrementing(client: Client) -> None:
    assert client("ZINCRBY z 1.5 m") == 1.5
    assert client("ZADD z INCR -0.5 m") == 1.0
    assert client("ZADD z NX INCR 1 m") is None
    client("ZADD z inf i")
    text = client.refusal("ZINCRBY z -inf i")
    assert text == "ERR resulting score is not a number (NaN)"


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("ZADD z NX XX 1 a", "ERR XX and NX options at the same time are not compatible"),
        ("ZADD z GT LT 1 a", "ERR GT, LT, and/or NX options at the same time"),
        ("ZADD z INCR 1 a 2 b", "ERR INCR option supports a single"),
        ("ZADD z 1 a 2", "ERR syntax error"),
        ("ZADD z one a", "ERR value is not a valid float"),
        ("ZADD z nan a", "ERR value is not a valid float"),
        ("ZRANGE z 0 1 LIMIT 0 1", "ERR syntax error, LIMIT is only supported"),
        ("ZRANGE z a b BYLEX", "ERR min or max not valid string range item"),
        ("ZRANGE z (x 1 BYSCORE", "ERR min or max is not a float"),
        ("ZRANGE z 0 x", "ERR value is not an integer or out of range"),
        ("ZRANGE z - + BYLEX WITHSCORES", "ERR syntax error, WITHSCORES not supported"),
        ("ZRANGE z 0 1 REV REV", "ERR syntax error"),
        ("ZRANGEBYLEX z - + WITHSCORES", "ERR syntax error, WITHSCORES not supported"),
        ("ZRANGESTORE d z 0 1 WITHSCORES", "ERR syntax error"),
        ("ZPOPMIN z -1", "ERR value is out of range, must be positive"),
        ("ZMPOP 0 z MIN", "ERR numkeys should be greater than 0"),
        ("ZMPOP 1 z MIDDLE", "ERR syntax error"),
        ("ZMPOP 1 z MIN COUNT 0", "ERR count should be greater than 0"),
        ("ZMPOP 1 z MIN COUNT 1 COUNT 1", "ERR syntax error"),
        ("BZMPOP x 1 z MIN", "ERR timeout is not a float or out of range"),
        ("ZUNION 0 z", "ERR at least 1 input key is needed for 'zunion' command"),
        ("ZUNION 2 z", "ERR syntax error"),
        ("ZUNION 1 z WEIGHTS x", "ERR weight value is not a float"),
        ("ZUNION 1 z AGGREGATE AVG", "ERR syntax error"),
        ("ZDIFF 1 z WEIGHTS 1", "ERR syntax error"),
        ("ZUNIONSTORE d 1 z WITHSCORES", "ERR syntax error"),
        ("ZINTERCARD 1 z LIMIT -1", "ERR LIMIT can't be negative"),
        ("ZRANDMEMBER z 1 FOO", "ERR syntax error"),
        ("ZRANDMEMBER z -9223372036854775808", "ERR value is out of range, value must"),
        ("ZRANDMEMBER z 4611686018427387904 WITHSCORES", "ERR value is out of range"),
        ("ZRANDMEMBER z -9223372036854775807", "ERR value is out of range"),
    ],
)
def test_refusals(filled: Client, line: str, text: str) -> None:
    assert filled.refusal(line).startswith(text)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("ZRANGE z 0 -1", b"abcde"),
        ("ZRANGE z 1 2", b"bc"),
        ("ZRANGE z -2 -1", b"de"),
        ("ZRANGE z 0 1 REV", b"ed"),
        ("ZREVRANGE z 0 0", b"e"),
        ("ZRANGE z 2 3 BYSCORE", b"bcd"),
        ("ZRANGE z (2 +inf BYSCORE", b"de"),
        ("ZRANGE z (2 (inf BYSCORE", b"d"),
        ("ZRANGE z 3 2 BYSCORE REV", b"dcb"),
        ("ZRANGE z -inf inf BYSCORE LIMIT 1 2", b"bc"),
        ("ZRANGE z inf -inf BYSCORE REV LIMIT 1 2", b"dc"),
        ("ZRANGE z -inf inf BYSCORE LIMIT 3 -1", b"de"),
        ("ZRANGE z -inf inf BYSCORE LIMIT -1 2", b""),
        ("ZRANGEBYSCORE z 1 2 LIMIT 0 2", b"ab"),
        ("ZREVRANGEBYSCORE z 2 (1", b"cb"),
        ("ZRANGEBYSCORE z 5 4", b""),
        ("ZRANGE none 0 -1", b""),
    ],
)
def test_ranges(filled: Client, line: str, found: bytes) -> None:
    assert b"".join(filled(line)) == found


@pytest.mark.parametrize(
    ("low", "high", "found"),
    [("-", "+", b"abcd"), ("[b", "(d", b"bc"), ("(a", "[c", b"bc"), ("+", "-", b"")],
)
def test_ranges_by_member(client: Client, low: str, high: str, found: bytes) -> None:
    client("ZADD z 0 a 0 b 0 c 0 d")
    assert b"".join(client(f"ZRANGE z {low} {high} BYLEX")) == found
    assert b"".join(client(f"ZRANGE z {high} {low} BYLEX REV")) == found[::-1]


def test_ranges_with_scores_follow_the_protocol(filled: Client) -> None:
    assert filled("ZRANGE z 0 1 WITHSCORES") == [b"a", 1.0, b"b", 2.0]
    filled("HELLO 3")
    assert filled("ZRANGE z 0 1 WITHSCORES") == [[b"a", 1.0], [b"b", 2.0]]


def test_counting_and_removing_ranges(filled: Client) -> None:
    assert filled("ZCOUNT z 2 3") == 3
    assert filled("ZCOUNT z 3 2") == 0
    assert filled("ZREMRANGEBYSCORE z (1 2") == 2
    assert filled("ZREMRANGEBYRANK z -1 -1") == 1
    assert filled("ZRANGE z 0 -1") == [b"a", b"d"]
    assert filled("ZREM z a x d") == 2
    assert filled("EXISTS z") == 0


def test_popping(filled: Client) -> None:
    assert filled("ZPOPMIN z") == [b"a", 1.0]
    assert filled("ZPOPMAX z 2") == [b"e", inf, b"d", 3.0]
    assert filled("ZPOPMIN z 9") == [b"b", 2.0, b"c", 2.0]
    assert filled("ZPOPMIN z") == []
    assert filled("EXISTS z") == 0


def test_a_score_keeps_no_sign_of_zero(client: Client) -> None:
    assert client("ZADD z -0.0 m 0 n") == 2
    assert copysign(1, client("ZSCORE z m")) == 1
    assert client("ZRANGE z 0 -1") == [b"m", b"n"]


@pytest.mark.parametrize("bound", ["1", " 1", "0x1", "1\0junk", "+1", "1e0"])
def test_bounds_are_read_as_c_reads_numbers(filled: Client, bound: str) -> None:
    assert filled("ZCOUNT z", bound, "1") == 1


@pytest.mark.parametrize("bound", ["1 ", "1_0", "nan", "((1", "\u0661", "1e", "0x"])
def test_other_bounds_are_refused(filled: Client, bound: str) -> None:
    assert filled.refusal("ZCOUNT z", bound, "1") == "ERR min or max is not a float"


def test_ranges_by_member_are_read_counted_and_removed(client: Client) -> None:
    client("ZADD z 0 a 0 b 0 c 0 d")
    assert client("ZRANGEBYLEX z [b +") == [b"b", b"c", b"d"]
    assert client("ZREVRANGEBYLEX z + (b LIMIT 1 5") == [b"c"]
    assert client("ZLEXCOUNT z (a (d") == 2
    assert client("ZREMRANGEBYLEX z [a [c") == 3
    assert client("ZRANGE z 0 -1") == [b"d"]


def test_a_range_is_kept_under_another_key(filled: Client) -> None:
    filled("SET d x EX 100")
    assert filled("ZRANGESTORE d z 2 (2 BYSCORE") == 0
    assert filled("EXISTS d") == 0
    assert filled("ZRANGESTORE d z 0 1 REV") == 2
    assert filled("ZRANGE d 0 -1 WITHSCORES") == [b"d", 3.0, b"e", inf]
    assert filled("TTL d") == -1


def test_removing_all_of_a_big_set_frees_it_in_slices(
    client: Client, engine: Engine
) -> None:
    client("ZADD z " + " ".join(f"{number} m{number}" for number in range(5000)))
    assert client("ZREMRANGEBYRANK z 0 -1") == 5000
    assert client("EXISTS z") == 0
    assert engine.used_bytes > 0


def test_popping_from_the_first_set_that_is_there(filled: Client) -> None:
    assert filled("ZMPOP 2 none z MIN") == [b"z", [[b"a", 1.0]]]
    assert filled("ZMPOP 2 none z MAX COUNT 2") == [b"z", [[b"e", inf], [b"d", 3.0]]]
    assert filled("ZMPOP 1 none MIN") is NULL_ARRAY
    filled("SET s x")
    assert filled.refusal("ZMPOP 2 s z MIN").startswith("WRONGTYPE")


def test_waiting_for_the_lowest_of_several(
    client: Client, connect: Callable[[], Client]
) -> None:
    waiting = connect()
    waiting("BZMPOP 0 2 y z MAX COUNT 2")
    client("ZADD z 1 a 2 b 3 c")
    assert waiting.delivered == [[b"z", [[b"c", 3.0], [b"b", 2.0]]]]
    assert client("ZRANGE z 0 -1") == [b"a"]


def test_the_effect_of_waiting_is_what_was_taken(
    client: Client,
    connect: Callable[[], Client],
    effects: list[tuple[int, list[bytes]]],
) -> None:
    connect()("BZMPOP 0 1 z MIN COUNT 9")
    connect()("BZPOPMAX z 0")
    client("ZADD z 1 a 2 b")
    client("ZADD z 3 c")
    client("ZADD y 1 a 2 b")
    client("ZMPOP 2 z y MAX COUNT 9")
    taken = [argv for _, argv in effects if argv[0].startswith(b"ZPOP")]
    assert taken == [
        [b"ZPOPMIN", b"z", b"2"],
        [b"ZPOPMAX", b"z"],
        [b"ZPOPMAX", b"y", b"2"],
    ]


@pytest.fixture
def two(client: Client) -> Client:
    client("ZADD x 1 a 2 b 3 c")
    client("ZADD y 10 b 20 c 30 d")
    return client


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("ZUNION 2 x y", {"a": 1, "b": 12, "c": 23, "d": 30}),
        ("ZUNION 2 x y WEIGHTS 2 -1", {"a": 2, "b": -6, "c": -14, "d": -30}),
        ("ZUNION 2 x y AGGREGATE MIN", {"a": 1, "b": 2, "c": 3, "d": 30}),
        ("ZUNION 2 x y AGGREGATE MAX", {"a": 1, "b": 10, "c": 20, "d": 30}),
        ("ZINTER 2 x y", {"b": 12, "c": 23}),
        ("ZINTER 2 x none", {}),
        ("ZINTER 3 x y x", {"b": 14, "c": 26}),
        ("ZDIFF 2 x y", {"a": 1}),
        ("ZDIFF 2 y x", {"d": 30}),
        ("ZDIFF 1 none", {}),
    ],
)
def test_algebra(two: Client, line: str, found: dict[str, float]) -> None:
    expected = sorted((score, member.encode()) for member, score in found.items())
    assert two(line) == [member for _, member in expected]
    flat: list[Any] = [part for score, member in expected for part in (member, score)]
    assert two(f"{line} WITHSCORES") == flat


def test_sets_take_part_as_if_each_member_had_the_score_one(two: Client) -> None:
    two("SADD s a d")
    assert two("ZINTER 2 x s WITHSCORES") == [b"a", 2.0]
    assert two("ZUNION 1 s WEIGHTS 5 WITHSCORES") == [b"a", 5.0, b"d", 5.0]
    assert two("ZDIFF 2 x s") == [b"b", b"c"]
    assert two("ZINTERCARD 2 x s") == 1
    two("SET string x")
    assert two.refusal("ZUNION 2 none string WRONG").startswith("WRONGTYPE")


def test_infinities_that_cancel_are_zero(client: Client) -> None:
    client("ZADD x inf m")
    client("ZADD y -inf m")
    assert client("ZUNION 2 x y WITHSCORES") == [b"m", 0.0]
    assert client("ZUNION 1 x WEIGHTS 0 WITHSCORES") == [b"m", 0.0]


def test_what_algebra_gives_is_kept_under_a_key(two: Client) -> None:
    assert two("ZUNIONSTORE x 2 x y WEIGHTS 1 0") == 4
    assert two("ZRANGE x 0 -1") == [b"d", b"a", b"b", b"c"]
    assert two("ZINTERSTORE to 2 x y") == 3
    assert two("ZDIFFSTORE to 2 y x") == 0
    assert two("EXISTS to") == 0


def test_counting_what_is_common_stops_at_a_limit(two: Client) -> None:
    assert two("ZINTERCARD 2 x y") == 2
    assert two("ZINTERCARD 2 x y LIMIT 1") == 1
    assert two("ZINTERCARD 2 x y LIMIT 0") == 2


def test_members_at_random(filled: Client) -> None:
    assert filled("ZRANDMEMBER z") in [b"a", b"b", b"c", b"d", b"e"]
    assert len(set(filled("ZRANDMEMBER z 3"))) == 3
    assert sorted(filled("ZRANDMEMBER z 9")) == [b"a", b"b", b"c", b"d", b"e"]
    assert len(filled("ZRANDMEMBER z -9")) == 9
    filled("ZADD big " + " ".join(f"{n} m{n}" for n in range(100)))
    assert len(set(filled("ZRANDMEMBER big 3"))) == 3
    assert filled("ZRANDMEMBER none") is None
    assert filled("ZRANDMEMBER none -2 WITHSCORES") == []
    assert len(filled("ZRANDMEMBER z -2 WITHSCORES")) == 4
    filled("HELLO 3")
    assert [len(pair) for pair in filled("ZRANDMEMBER z -2 WITHSCORES")] == [2, 2]


def test_scanning_gives_scores_as_text_in_both_protocols(filled: Client) -> None:
    filled("HELLO 3")
    cursor, found = filled("ZSCAN z 0")
    assert cursor == b"0"
    assert dict(zip(found[::2], found[1::2], strict=True))[b"e"] == b"inf"


def test_reading_counts_hits_and_misses(filled: Client) -> None:
    db = filled.session.db
    before = db.hits, db.misses
    filled("ZRANGE z 0 -1")
    filled("ZUNIONSTORE d 2 z none")
    assert (db.hits - before[0], db.misses - before[1]) == (2, 1)
