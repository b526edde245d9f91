"""Sorted set: members with scores, in the order of (score, member).

A dict answers what a member's score is; a sorted list of (score, member) answers
everything about order in logarithmic time. Invariant: both hold the same pairs. Members
compare as bytes, which is Redis's order among equal scores.

Ranges by score or by member become ranges of places (`place_of_score`,
`place_of_member`), so that counting, reading and removing them are one thing.
"""

from __future__ import annotations

from math import inf, nextafter

from sortedcontainers import SortedList  # type: ignore[import-untyped]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TypeAlias

Pair: TypeAlias = tuple[float, bytes]


class SortedSet:
    """The value of a sorted-set key. Empty ones are never kept in a keyspace."""

    __slots__ = ("_pairs", "scores")

    def __init__(self) -> None:
        self.scores: dict[bytes, float] = {}
        self._pairs = SortedList()

    def __len__(self) -> int:
        return len(self.scores)

    def set(self, member: bytes, score: float) -> None:
        """Give a member its score, new or changed."""
        old = self.scores.get(member)
        if old is not None:
            self._pairs.remove((old, member))
        self.scores[member] = score
        self._pairs.add((score, member))

    def remove(self, member: bytes) -> bool:
        """Remove a member. False if it was not there."""
        score = self.scores.pop(member, None)
        if score is None:
            return False
        self._pairs.remove((score, member))
        return True

    def pop(self, index: int = -1) -> Pair:
        """Remove and return the pair at a place, the last one by default."""
        pair: Pair = self._pairs.pop(index)
        del self.scores[pair[1]]
        return pair

    def remove_places(self, start: int, stop: int) -> int:
        """Remove the pairs from one place up to another. Returns how many."""
        removed: list[Pair] = self._pairs[start:stop]
        del self._pairs[start:stop]
        for _, member in removed:
            del self.scores[member]
        return len(removed)

    def rank(self, member: bytes) -> int | None:
        """A member's place from the lowest, counted from zero."""
        score = self.scores.get(member)
        if score is None:
            return None
        place: int = self._pairs.index((score, member))
        return place

    def pairs(self, start: int, stop: int, *, reverse: bool = False) -> Iterator[Pair]:
        """The pairs from one place up to another, counted from the lowest."""
        pairs: Iterator[Pair] = self._pairs.islice(start, stop, reverse)
        return pairs

    def place_of_score(self, score: float, *, after: bool) -> int:
        """The place of the first pair with at least this score; with `after`, of the
        first with a higher one.
        """
        if after:
            if score == inf:
                return len(self)
            score = nextafter(score, inf)
        place: int = self._pairs.bisect_left((score, b""))
        return place

    def place_of_member(self, member: bytes, *, after: bool) -> int:
        """As `place_of_score`, by member, in a set whose scores are all the same."""
        score = self._pairs[0][0]
        # No bytes stand between a member and itself with a zero byte added.
        place: int = self._pairs.bisect_left((score, member + b"\0" if after else member))
        return place
