"""DUMP and RESTORE: the same refusals in the same order, and the same values after."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.differential.pair import Pair, RealRedis, Words
from tests.rdb_bytes import listpack, payload, string, strings

profile = settings.get_profile("differential")

_GOOD = [
    payload(0, string(b"text")),
    payload(0, b"\xc0\x05"),
    payload(1, strings([b"a", b"b"])),
    payload(2, strings([b"a", b"b"])),
    payload(16, string(listpack([b"f", 5]))),
    payload(17, string(listpack([b"m", 2]))),
]
_BAD = [
    b"",
    b"x",
    _GOOD[0][:-1],
    payload(0, b""),
    payload(1, b"\x00"),
    payload(99, b"\x00"),
]
_BAD.append(payload(0, string(b"v"), 99))

_words = st.one_of(
    st.sampled_from([(b"REPLACE",), (b"replace",), (b"ABSTTL",), (b"BOGUS",), (b"",)]),
    st.tuples(
        st.sampled_from([b"IDLETIME", b"FREQ", b"freq"]),
        st.sampled_from([b"0", b"7", b"255", b"256", b"-1", b"x", b""]),
    ),
    st.sampled_from([(b"IDLETIME",), (b"FREQ",)]),
)
_restores = st.builds(
    lambda key, ttl, data, options: (b"RESTORE", key, ttl, data, *sum(options, ())),
    st.sampled_from([b"a", b"b"]),
    st.sampled_from([b"0", b"1000000", b"4000000000000", b"-1", b"x", b""]),
    st.sampled_from(_GOOD * 2 + _BAD),
    st.lists(_words, max_size=3),
)
_others: st.SearchStrategy[Words] = st.sampled_from(
    [(b"SET", b"a", b"v"), (b"DEL", b"a", b"b"), (b"RPUSH", b"b", b"x"), (b"DUMP", b"c")]
)


@given(program=st.lists(_restores | _others, max_size=8))
@profile
def test_random_restores_do_what_they_do_on_redis(
    real: RealRedis, program: list[Words]
) -> None:
    Pair(real).check(program)


@pytest.mark.parametrize(
    "words",
    [
        (b"DUMP",),
        (b"DUMP", b"a", b"b"),
        (b"RESTORE", b"a", b"0"),
        (b"RESTORE", b"a", b"1", _GOOD[0], b"ABSTTL"),
        (b"RESTORE", b"a", b"1", _GOOD[0], b"ABSTTL", b"REPLACE"),
        (b"RESTORE", b"a", b"1", b"x", b"ABSTTL", b"REPLACE"),
    ],
)
def test_special_cases_are_the_same(real: RealRedis, words: Words) -> None:
    pair = Pair(real)
    pair.check([words])
    pair.check([(b"SET", b"a", b"v"), words])
