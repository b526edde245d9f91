"""Sorted set: members with scores, in the order of (score, member).

Score and member are kept as one *key*: eight bytes that compare as the score does, and
the member. So order is that of byte strings, which compare with one call of memcmp where
pairs take several comparisons, and a member costs one object less. A dict tells the key
of each member, `SortedKeys` their order.

A small set is put in order when somebody first asks for it, which takes some two
milliseconds at most; a set that nobody asks saves half the time of its additions, and the
memory of the order.

Invariant: the dict and the order, if there is one, hold the same keys; a set of more than
`UNORDERED_LENGTH` members has an order; no score is NaN or minus zero.

The eight bytes are those of the IEEE double, highest first, with the sign bit turned, and
all the other bits as well if it was negative: doubles then compare as unsigned numbers.

Ranges by score or by member become ranges of places (`place_of_score`,
`place_of_member`), so that counting, reading and removing them are one thing.
"""

from __future__ import annotations

from math import inf, nextafter
from operator import itemgetter
from struct import Struct

from sharedstate_memory.sorted_keys import SortedKeys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import TypeAlias

Pair: TypeAlias = tuple[float, bytes]

UNCHANGED, CHANGED, ADDED = 0, 1, 2
"""What `SortedSet.set` did."""

_DOUBLE = Struct(">d")
_pack = _DOUBLE.pack
_unpack = _DOUBLE.unpack_from

# The bytes of a score, in front of each key.
_SCORE_BYTES = 8

# Removing a member takes as long as copying so many.
_SHARE_COPIED = 8

UNORDERED_LENGTH = 8192
"""Up to so many members a set may be without an order."""

_INVERTED = bytes(range(255, -1, -1))

# Zero of either sign.
_ZERO = _pack(-0.0)

_member_of = itemgetter(slice(_SCORE_BYTES, None))


class SortedSet:
    """The value of a sorted-set key. Empty ones are never kept in a keyspace."""

    __slots__ = ("_keys", "_order")

    def __init__(self, scores: Mapping[bytes, float] | None = None) -> None:
        """Make a set of members with scores, at once: several times as fast as one by
        one.
        """
        self._keys: dict[bytes, bytes] = {}
        if scores:
            self._keys = {member: _key(scores[member], member) for member in scores}
        self._order: SortedKeys | None = None
        if len(self._keys) > UNORDERED_LENGTH:
            self._in_order()

    def __len__(self) -> int:
        return len(self._keys)

    def __contains__(self, member: bytes) -> bool:
        return member in self._keys

    def __iter__(self) -> Iterator[bytes]:
        """The members, in no order."""
        return iter(self._keys)

    def copy(self) -> SortedSet:
        """A set of the same members and scores. Linear."""
        copied = SortedSet()
        copied._keys = self._keys.copy()
        if self._order is not None:
            copied._order = SortedKeys(self._order)
        return copied

    def _in_order(self) -> SortedKeys:
        order = self._order
        if order is None:
            order = self._order = SortedKeys(self._keys.values())
        return order

    @property
    def by_member(self) -> dict[bytes, bytes]:
        """The members in the order they came, to scan and to compare; not to change."""
        return self._keys

    def scores(self) -> dict[bytes, float]:
        """All members with their scores, in no order. Linear."""
        return {member: _score(key) for member, key in self._keys.items()}

    # -- changes

    def set(self, member: bytes, score: float) -> int:
        """Give a member its score, new or changed. Returns ADDED, CHANGED or UNCHANGED.
        Logarithmic. The hot path of ZADD.
        """
        # As `_key`, spelled out.
        if score > 0:
            key = _pack(-score) + member
        elif score:
            key = _pack(score).translate(_INVERTED) + member
        else:
            key = _ZERO + member
        keys = self._keys
        old = keys.get(member)
        if old == key:
            return UNCHANGED
        keys[member] = key
        order = self._order
        if order is None:
            if len(keys) > UNORDERED_LENGTH:
                self._in_order()
            return ADDED if old is None else CHANGED
        if old is None:
            order.add(key)
            return ADDED
        order.remove(old)
        order.add(key)
        return CHANGED

    def remove(self, member: bytes) -> bool:
        """Remove a member. False if it was not there."""
        key = self._keys.pop(member, None)
        if key is None:
            return False
        if self._order is not None:
            self._order.remove(key)
        return True

    def pop(self) -> Pair:
        """Remove and return some pair, whichever is taken most easily."""
        if self._order is None:
            member, key = self._keys.popitem()
        else:
            key = self._order.pop_last()
            member = key[_SCORE_BYTES:]
            del self._keys[member]
        return _score(key), member

    def pop_places(self, start: int, stop: int) -> list[Pair]:
        """Remove the pairs from one place up to another, and return them."""
        return _pairs(self._take_out(start, stop))

    def remove_places(self, start: int, stop: int) -> list[bytes]:
        """Remove the pairs from one place up to another. Returns their members."""
        return _members(self._take_out(start, stop))

    def drop_places(self, start: int, stop: int) -> int:
        """Remove the pairs from one place up to another. Returns how many bytes their
        members had together.
        """
        keys = self._take_out(start, stop)
        return sum(map(len, keys)) - _SCORE_BYTES * len(keys)

    def _take_out(self, start: int, stop: int) -> list[bytes]:
        """Remove the keys from one place up to another, and return them. Of a big set,
        what stays is copied sooner than much is looked up and removed.
        """
        removed = self._in_order().remove_places(start, stop)
        if len(removed) * _SHARE_COPIED > len(self._keys):
            first, last = removed[0], removed[-1]
            pairs = self._keys.items()
            self._keys = {name: key for name, key in pairs if not first <= key <= last}
        else:
            for key in removed:
                del self._keys[key[_SCORE_BYTES:]]
        return removed

    # -- questions

    def score(self, member: bytes) -> float | None:
        """A member's score; None if it is not there."""
        key = self._keys.get(member)
        return None if key is None else _score(key)

    def known_score(self, member: bytes) -> float:
        """The score of a member that is there."""
        return _score(self._keys[member])

    def rank(self, member: bytes) -> int | None:
        """A member's place from the lowest, counted from zero."""
        key = self._keys.get(member)
        return None if key is None else self._in_order().place(key)

    def members(self, start: int, stop: int) -> list[bytes]:
        """The members from one place up to another, counted from the lowest."""
        return _members(self._in_order().between(start, stop))

    def pairs(self, start: int, stop: int) -> list[Pair]:
        """The pairs from one place up to another, counted from the lowest."""
        return _pairs(self._in_order().between(start, stop))

    def place_of_score(self, score: float, *, after: bool) -> int:
        """The place of the first pair with at least this score; with `after`, of the
        first with a higher one.
        """
        if after:
            if score == inf:
                return len(self)
            score = nextafter(score, inf)
        return self._in_order().place(_key(score, b""))

    def place_of_member(self, member: bytes, *, after: bool) -> int:
        """As `place_of_score`, by member, in a set whose scores are all the same."""
        # No bytes stand between a member and itself with a zero byte added.
        value = member + b"\0" if after else member
        return self._in_order().place_by(_member_of, value)


def _key(score: float, member: bytes) -> bytes:
    """What a member with a score is ordered by. See the module."""
    if score > 0:
        return _pack(-score) + member
    if score:
        return _pack(score).translate(_INVERTED) + member
    return _ZERO + member


def _score(key: bytes) -> float:
    if key[0] >= 0x80:
        negated: float = _unpack(key)[0]
        return -negated
    score: float = _unpack(key[:_SCORE_BYTES].translate(_INVERTED))[0]
    return score


def _members(keys: list[bytes]) -> list[bytes]:
    return [key[_SCORE_BYTES:] for key in keys]


def _pairs(keys: list[bytes]) -> list[Pair]:
    # Scores that are not negative are read in place: a quarter less time for a range.
    return [
        (-_unpack(key)[0] if key[0] >= 0x80 else _score(key), key[_SCORE_BYTES:])
        for key in keys
    ]
