"""The structures of sorted sets, held against plain sorted lists."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from math import inf
from random import Random
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from sharedstate_memory import sorted_keys
from sharedstate_memory.sorted_keys import SortedKeys
from sharedstate_memory.sorted_set import (
    ADDED,
    CHANGED,
    UNCHANGED,
    UNORDERED_LENGTH,
    SortedSet,
)

# Chunks as short as this split and join all the time.
_SMALL = {
    "MOST": 8,
    "_LEAST": 2,
    "_FILL": 6,
    "_ROOM": 1,
    "_LEAST_NOTED": 3,
    "_FEW_CHUNKS": 2,
}


@pytest.fixture(autouse=True, scope="module")
def _short_chunks() -> Iterator[None]:
    with mock.patch.dict(vars(sorted_keys), _SMALL):
        yield


_keys = st.binary(max_size=2)
_places = st.integers(0, 60)


class KeysMachine(RuleBasedStateMachine):
    """Sorted keys and a sorted list are told the same."""

    def __init__(self) -> None:
        super().__init__()
        self.keys = SortedKeys()
        self.model: list[bytes] = []

    @rule(many=st.lists(_keys, min_size=1, max_size=20))
    def add(self, many: list[bytes]) -> None:
        for key in many:
            if key not in self.model:
                self.keys.add(key)
                insort(self.model, key)

    @rule(many=st.lists(_places, min_size=1, max_size=20))
    def remove(self, many: list[int]) -> None:
        for place in many:
            if place < len(self.model):
                self.keys.remove(self.model.pop(place))

    @rule(start=_places, stop=_places)
    def remove_places(self, start: int, stop: int) -> None:
        start = min(start, len(self.model))
        assert self.keys.remove_places(start, stop) == self.model[start:stop]
        if start < stop:
            del self.model[start:stop]

    @rule()
    def pop_last(self) -> None:
        if self.model:
            assert self.keys.pop_last() == self.model.pop()

    @rule()
    def make_anew(self) -> None:
        self.keys = SortedKeys(reversed(self.model))

    @rule(key=_keys)
    def place(self, key: bytes) -> None:
        assert self.keys.place(key) == bisect_left(self.model, key)
        assert self.keys.place_by(bytes, key) == bisect_left(self.model, key)

    @rule(start=_places, stop=_places)
    def between(self, start: int, stop: int) -> None:
        start = min(start, len(self.model))
        assert self.keys.between(start, stop) == self.model[start:stop]

    @invariant()
    def holds_the_same(self) -> None:
        assert list(self.keys) == self.model
        assert len(self.keys) == len(self.model)

    @invariant()
    def has_chunks_between_their_floors(self) -> None:
        chunks, floors = self.keys._chunks, self.keys._floors
        assert floors[0] == b""
        assert floors == sorted(set(floors))
        assert all(chunks) or chunks == [[]]
        assert all(len(chunk) <= sorted_keys.MOST for chunk in chunks)
        for chunk, floor, ceiling in zip(chunks, floors, [*floors[1:], None], strict=True):
            assert all(key >= floor for key in chunk)
            assert ceiling is None or all(key < ceiling for key in chunk)


TestSortedKeys = KeysMachine.TestCase
TestSortedKeys.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


def test_changes_and_questions_in_turn_seldom_lay_places_out_anew() -> None:
    random = Random(1)
    numbers = [b"%05d" % number for number in random.sample(range(100_000), 6000)]
    keys = SortedKeys(numbers[:5000])
    with mock.patch.object(SortedKeys, "_lay_out", autospec=True) as lay_out:
        lay_out.side_effect = _lay_out
        for key in numbers[5000:]:
            keys.add(key)
            keys.place(key)
            keys.remove(key)
            keys.between(2500, 2501)
    # Once for as many changes as there are chunks of eight.
    assert lay_out.call_count < 2000 / (5000 / 8) + 20


_lay_out = SortedKeys._lay_out


def test_keys_that_come_in_order_fill_their_chunks() -> None:
    keys = SortedKeys()
    for number in range(77):
        keys.add(b"%02d" % number)
    assert [len(chunk) for chunk in keys._chunks] == [7] * 11


def test_a_key_that_comes_and_goes_at_the_end_leaves_the_chunks_alone() -> None:
    keys = SortedKeys()
    for number in range(9):
        keys.add(b"%d" % number)
    before = [list(chunk) for chunk in keys._chunks]
    for _ in range(3):
        keys.remove(b"8")
        keys.add(b"8")
        assert keys._chunks == before


_scores = st.sampled_from([-inf, -1.5, -1e-310, 0.0, -0.0, 5e-324, 1.5, 2.0**60, inf])
_members = st.sampled_from([b"", b"a", b"a\0", b"ab", b"b", b"\xff", b"\xff\xff"])
_steps = st.lists(st.tuples(st.booleans(), _members, _scores))


@given(_steps, _scores, st.booleans(), st.booleans())
def test_a_sorted_set_equals_a_sorted_dict(
    steps: list[tuple[bool, bytes, float]], bound: float, after: bool, early: bool
) -> None:
    model: dict[bytes, float] = {}
    real = SortedSet()
    if early:
        # In order from the beginning.
        real.pairs(0, 1)
    for is_set, member, score in steps:
        if is_set:
            old = model.get(member)
            did = ADDED if old is None else CHANGED if old != score else UNCHANGED
            assert real.set(member, score) == did
            model[member] = score
        else:
            assert real.remove(member) == (model.pop(member, None) is not None)
    pairs = sorted((score, member) for member, score in model.items())
    assert real.pairs(0, len(real)) == pairs
    assert real.members(0, len(real)) == [member for _, member in pairs]
    assert [real.rank(member) for _, member in pairs] == list(range(len(pairs)))
    assert real.scores() == model
    below = [pair for pair in pairs if pair[0] < bound or (after and pair[0] == bound)]
    assert real.place_of_score(bound, after=after) == len(below)


@given(st.floats(allow_nan=False), st.floats(allow_nan=False))
def test_any_two_scores_keep_their_order_and_value(low: float, high: float) -> None:
    members = SortedSet({b"b": low, b"a": high})
    ordered = sorted([(low, b"b"), (high, b"a")])
    assert members.pairs(0, 2) == ordered
    assert members.score(b"b") == low
    assert members.rank(b"a") == ordered.index((high, b"a"))


@given(st.sets(_members), _members, st.booleans())
def test_places_by_member_in_a_set_of_equal_scores(
    names: set[bytes], bound: bytes, after: bool
) -> None:
    members = SortedSet(dict.fromkeys(names, -2.5))
    below = [name for name in names if name < bound or (after and name == bound)]
    assert members.place_of_member(bound, after=after) == len(below)


@given(st.dictionaries(_members, _scores), st.integers(0, 8), st.integers(0, 8))
def test_taking_places_out(scores: dict[bytes, float], start: int, stop: int) -> None:
    pairs = sorted((score, member) for member, score in scores.items())
    members = SortedSet(scores)
    copied = members.copy()
    taken = members.pop_places(start, stop)
    assert taken == pairs[start:stop]
    assert copied.remove_places(start, stop) == [m for _, m in taken]
    assert members.scores() == copied.scores()
    left = [pair for pair in pairs if pair not in taken]
    assert sorted(members.pop() for _ in left) == left
    assert not members


def test_a_copy_shares_nothing() -> None:
    members = SortedSet({b"a": 1, b"b": 2})
    members.rank(b"a")
    copied = members.copy()
    copied.set(b"c", 0)
    assert copied.members(0, 9) == [b"c", b"a", b"b"]
    assert members.members(0, 9) == [b"a", b"b"]


def test_a_set_that_grows_beyond_a_length_keeps_its_order() -> None:
    members = SortedSet()
    for number in range(UNORDERED_LENGTH + 2):
        assert (members._order is None) == (number <= UNORDERED_LENGTH)
        members.set(b"%d" % number, -number)
    assert members.rank(b"0") == UNORDERED_LENGTH + 1
    assert SortedSet(members.scores())._order is not None
