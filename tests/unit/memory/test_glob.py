"""Glob patterns."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sharedstate_memory.glob import MAX_PATTERN_BYTES, compile_glob
from sharedstate_memory.replies import CommandFailure


@pytest.mark.parametrize(
    ("pattern", "name", "matches"),
    [
        (b"", b"", True),
        (b"*", b"anything", True),
        (b"h?llo", b"hello", True),
        (b"h?llo", b"hllo", False),
        (b"h*llo", b"heeello", True),
        (b"h[ae]llo", b"hallo", True),
        (b"h[^e]llo", b"hello", False),
        (b"h[a-c]llo", b"hbllo", True),
        (b"h[c-a]llo", b"hbllo", True),
        (b"h[\\]]llo", b"h]llo", True),
        (b"h[", b"h", False),
        (b"[^]", b"x", True),
        (b"[]", b"x", False),
        (b"[a", b"a", True),
        (b"a\\*b", b"a*b", True),
        (b"a\\*b", b"axb", False),
        (b"a\\", b"a\\", True),
        (b"*.txt", b"a.txt.txt", True),
        (b"a*b*c", b"axxbxxc", True),
        (b"a*b*c", b"axxbxx", False),
        (b"*ab", b"ab\n", False),
        (b"*\n*", b"a\nb", True),
        (b"ab*ba", b"aba", False),
        (b"\xff*", b"\xff\x00", True),
        # A range ends with whatever follows the dash, a bracket too.
        (b"[a-]", b"_", True),
        (b"[a-]", b"-", False),
    ],
)
def test_patterns_match_as_in_redis(pattern: bytes, name: bytes, matches: bool) -> None:
    assert bool(compile_glob(pattern)(name)) is matches


def test_a_hostile_pattern_ends_at_once() -> None:
    # Tried with backtracking, this takes longer than anybody waits.
    assert not compile_glob(b"a*" * 60 + b"b")(b"a" * 20_000)


def test_a_long_pattern_is_refused_if_there_is_anything_special_in_it() -> None:
    longest = b"?" * MAX_PATTERN_BYTES
    assert compile_glob(longest)(b"x" * MAX_PATTERN_BYTES)
    with pytest.raises(CommandFailure, match="pattern is longer than"):
        compile_glob(longest + b"?")
    name = b"x" * 2 * MAX_PATTERN_BYTES
    assert compile_glob(name)(name)


def test_a_class_may_name_a_byte_many_times() -> None:
    matches = compile_glob(b"[" + b"a-c" * 1000 + b"]")
    assert matches(b"b")
    assert not matches(b"d")


small = st.text("ab*?", max_size=8).map(str.encode)


@given(small, st.text("ab", max_size=8).map(str.encode))
def test_stars_match_as_the_definition_says(pattern: bytes, name: bytes) -> None:
    assert bool(compile_glob(pattern)(name)) is _matches(pattern, name)


def _matches(pattern: bytes, name: bytes) -> bool:
    if not pattern:
        return not name
    if pattern[:1] == b"*":
        return any(_matches(pattern[1:], name[at:]) for at in range(len(name) + 1))
    return (
        bool(name) and pattern[:1] in (b"?", name[:1]) and (_matches(pattern[1:], name[1:]))
    )
