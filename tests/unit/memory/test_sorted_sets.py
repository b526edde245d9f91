"""Sorted sets."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sharedstate_memory.sorted_set import SortedSet

if TYPE_CHECKING:
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
    ],
)
def test_refusals(client: Client, line: str, text: str) -> None:
    assert client.refusal(line).startswith(text)


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


scores = st.sampled_from([-inf, -1.0, 0.0, 1.5, inf])
members = st.sampled_from([b"", b"a", b"ab", b"b", b"\xff"])
steps = st.lists(st.tuples(st.booleans(), members, scores))


@given(steps, scores, st.booleans())
def test_a_sorted_set_equals_a_sorted_dict(
    steps: list[tuple[bool, bytes, float]], bound: float, after: bool
) -> None:
    model: dict[bytes, float] = {}
    real = SortedSet()
    for is_set, member, score in steps:
        if is_set:
            model[member] = score
            real.set(member, score)
        else:
            assert real.remove(member) == (model.pop(member, None) is not None)
    pairs = sorted((score, member) for member, score in model.items())
    assert list(real.pairs(0, len(real))) == pairs
    assert [real.rank(member) for _, member in pairs] == list(range(len(pairs)))
    below = [pair for pair in pairs if pair[0] < bound or (after and pair[0] == bound)]
    assert real.place_of_score(bound, after=after) == len(below)
