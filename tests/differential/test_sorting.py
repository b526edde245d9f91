"""SORT: as on Redis.

What compares alike as text has no order of its own in Redis, nor have the members of a
set that is not to be sorted: where that could matter, weights are all different, and
what is stored is compared instead.
"""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.differential.grammar import commands, programs
from tests.differential.pair import Pair, RealRedis, Words

_ELEMENTS = (b"1", b"2", b"10", b"30", b"-1", b"2.5")

WEIGHTS: list[Words] = [
    (b"MSET", b"w_1", b"5", b"w_2", b"40", b"w_10", b"3", b"w_30", b"-1.5", b"w_x", b"9"),
    (b"MSET", b"w_-1", b"70", b"w_2.5", b"6", b"30", b"own", b"p_2_s", b"middle"),
    (b"HSET", b"h_1", b"n", b"3", b"m", b"", b"->", b"arrow"),
    (b"HSET", b"h_2", b"n", b"-7"),
    (b"SET", b"h_10->", b"2"),
    (b"RPUSH", b"h_30", b"no weight"),
]

_BY = (b"w_*", b"h_*->n", b"h_*->", b"none_*", b"*", b"h_*", b"nosort", b"w_1")
_GETS = (b"#", b"w_*", b"h_*->n", b"h_*->->", b"h_*->", b"p_*_s", b"*", b"w_1", b"h_*->m")
_LIMITS = (b"0", b"1", b"2", b"5", b"100", b"-1", b"x", b"9223372036854775807")


def _option(*words: bytes | tuple[bytes, ...]) -> st.SearchStrategy[Words]:
    return st.tuples(
        *(st.just(w) if isinstance(w, bytes) else st.sampled_from(w) for w in words)
    )


_COMMON = (
    _option(b"GET", _GETS),
    _option(b"GET", _GETS),
    _option(b"LIMIT", _LIMITS, _LIMITS),
    _option((b"ASC", b"DESC", b"desc")),
    _option((b"LIMIT", b"GET", b"BY", b"NOPE")),
)

keys = st.sampled_from((b"a", b"b", b"c", b"d"))
elements = st.lists(st.sampled_from(_ELEMENTS), min_size=1, max_size=8)
odd_elements = st.lists(st.sampled_from((*_ELEMENTS, b"x", b"", b" 1", b"inf")), max_size=6)


def _options(*more: st.SearchStrategy[Words]) -> st.SearchStrategy[Words]:
    options = st.lists(st.one_of(*_COMMON, *more), max_size=4)
    return options.map(lambda words: sum(words, ()))


def _sorts(
    names: tuple[bytes, ...], options: st.SearchStrategy[Words]
) -> st.SearchStrategy[Words]:
    return st.tuples(st.sampled_from(names), keys, options).map(
        lambda parts: (parts[0], parts[1], *parts[2])
    )


def _keeps_order(sort: Words) -> bool:
    """Whether nothing is to be sorted, so that a set is in no order."""
    patterns = [pattern for by, pattern in pairwise(sort) if by == b"BY"]
    return any(b"*" not in pattern for pattern in patterns)


_by = _option(b"BY", _BY)
_alpha = _option(b"ALPHA")
_store = _option(b"STORE", (b"a", b"d"))

profile = settings.get_profile("differential")


@settings(profile)
@given(
    items=st.one_of(elements, odd_elements),
    others=elements,
    sorts=st.lists(_sorts((b"SORT", b"SORT_RO"), _options(_by, _store)), max_size=12),
)
def test_sorting_numbers(
    real: RealRedis, items: list[bytes], others: list[bytes], sorts: list[Words]
) -> None:
    made = [(b"RPUSH", b"a", b"1", *items), (b"ZADD", b"c", b"1", b"2", b"0", b"10")]
    members: Words = (b"SADD", b"b", b"0", *others)
    asked = [each for each in sorts if each[1] != b"b" or not _keeps_order(each)]
    Pair(real).check([*WEIGHTS, *made, members, *asked])


@settings(profile)
@given(
    items=st.sets(st.sampled_from((b"1", b"2", b"10", b"30"))),
    sorts=st.lists(
        _sorts((b"SORT",), _options(_option(b"BY", (b"w_*",)), _alpha, _store)), max_size=12
    ),
)
def test_sorting_text(real: RealRedis, items: set[bytes], sorts: list[Words]) -> None:
    made = [(b"RPUSH", b"a", b"x", *items), (b"SADD", b"b", b"x", *items)]
    asked = [(*each[:2], b"ALPHA", *each[2:]) for each in sorts]
    Pair(real).check([*WEIGHTS, *made, *[each for each in asked if not _keeps_order(each)]])


@settings(profile, max_examples=50)
@given(items=odd_elements, options=_options())
def test_sets_are_stored_in_an_order(
    real: RealRedis, items: list[bytes], options: Words
) -> None:
    made: Words = (b"SADD", b"b", b"y", *items)
    call: Words = (b"SORT", b"b", b"BY", b"nosort", *options, b"STORE", b"a")
    Pair(real).check([*WEIGHTS, made, call])


@settings(profile, max_examples=50)
@given(
    program=programs(
        "SORT key\nSORT key ALPHA\nSORT key STORE key\nSORT key LIMIT count count\n"
        "SORT_RO key BY pattern GET pattern\nSET key value\nHSET key field value",
        after="RPUSH key int",
    )
)
def test_wrong_types_and_words(real: RealRedis, program: list[Words]) -> None:
    Pair(real).check(program)


@settings(profile, max_examples=50)
@given(first=commands("RPUSH key int int int"), last=commands("SORT key GET key GET #"))
def test_keys_as_patterns(real: RealRedis, first: Words, last: Words) -> None:
    Pair(real).check([first, last])
