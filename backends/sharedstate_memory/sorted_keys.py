"""Sorted keys: byte strings in order, with their places.

One sorted list would do everything here, but for the memory that an insertion moves. So
the keys stand in chunks of a few hundred, each a sorted list, as in a B-tree of two
levels:

    floors  b""        kf            ku
    chunks  [ka kc kd] [kf kg km kp] [ku kx]

Invariants: the chunks laid end to end are in order; every key of a chunk is at least its
floor and less than the next one; the first floor is empty, hence below every key; no
chunk is empty unless there is no key at all. A floor need not be a key that is there, so
that adding and removing keys leaves the floors alone.

**Places.** Which place a chunk starts at is laid out only when somebody asks about
places (`_starts`), and kept through so many changes as there are chunks: each is noted as
the number of its chunk, and counted in. So neither many changes in a row nor changes and
questions in turn cost more than a logarithm, on average.

Beside a general sorted list this saves a fifth of the time of an addition, and more where
changes and questions about places come in turn.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from itertools import accumulate, chain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    Part = Callable[[bytes], bytes]

# Chunks are split above the one length, and joined to a neighbour below the other, if
# both together leave some room. What is laid out at once leaves room, too.
MOST = 512
_LEAST = MOST // 4
_FILL = MOST * 3 // 4
_ROOM = MOST // 8

# So many changes are noted before the places are laid out anew, however few the chunks.
_LEAST_NOTED = 32

# Beyond so many removals at once the places are laid out anew, too.
_FEW = 8

# What is noted while no places are laid out: nothing, and at no cost.
_NONE: list[int] = []

# Laying out so few chunks takes no longer than searching them with changes noted.
_FEW_CHUNKS = 64


class SortedKeys:
    """Distinct keys in their order. Places are counted from the lowest, from zero."""

    __slots__ = ("_additions", "_chunks", "_floors", "_removals", "_starts")

    def __init__(self, keys: Iterable[bytes] = ()) -> None:
        ordered = sorted(keys)
        self._chunks = [
            ordered[at : at + _FILL] for at in range(0, len(ordered), _FILL)
        ] or [[]]
        self._floors = [b"", *(chunk[0] for chunk in self._chunks[1:])]
        self._starts: list[int] | None = None
        self._additions = self._removals = _NONE

    def __len__(self) -> int:
        return sum(map(len, self._chunks))

    def __iter__(self) -> Iterator[bytes]:
        return chain.from_iterable(self._chunks)

    # -- changes

    def add(self, key: bytes) -> None:
        """Add a key that is not there. Logarithmic."""
        at = bisect_right(self._floors, key) - 1
        chunk = self._chunks[at]
        insort(chunk, key)
        if len(chunk) > MOST:
            self._split(at, is_at_end=chunk[-1] is key)
        elif self._starts is not None:
            self._note(self._additions, at)

    def remove(self, key: bytes) -> None:
        """Remove a key that is there. Logarithmic."""
        at = bisect_right(self._floors, key) - 1
        chunk = self._chunks[at]
        del chunk[bisect_left(chunk, key)]
        if len(chunk) < _LEAST or self._starts is not None:
            self._note_removals(at, 1)

    def pop_last(self) -> bytes:
        """Remove and return the last key. There must be one."""
        at = len(self._chunks) - 1
        key = self._chunks[at].pop()
        self._note_removals(at, 1)
        return key

    def remove_places(self, start: int, stop: int) -> list[bytes]:
        """Remove the keys from one place up to another, and return them."""
        if start >= stop:
            return []
        first, skipped = self._find(start)
        chunks = self._chunks
        chunk = chunks[first]
        end = skipped + stop - start
        last, last_end = (first, end) if end <= len(chunk) else self._find(stop)
        if last == first:
            removed = chunk[skipped:end]
            del chunk[skipped:end]
            self._note_removals(first, len(removed))
            return removed
        inner = chain.from_iterable(chunks[first + 1 : last])
        removed = [*chunk[skipped:], *inner, *chunks[last][:last_end]]
        del chunk[skipped:], chunks[last][:last_end]
        del chunks[first + 1 : last], self._floors[first + 1 : last]
        self._starts = None
        self._join(first + 1)
        self._join(first)
        return removed

    def _split(self, at: int, *, is_at_end: bool) -> None:
        """Make two chunks of one. Keys that come in order leave chunks behind that are
        nearly full, but not full: else one key that comes and goes at the end would split
        and join by turns.
        """
        chunk = self._chunks[at]
        is_last = at == len(self._chunks) - 1
        middle = MOST - _ROOM if is_at_end and is_last else MOST // 2
        self._chunks.insert(at + 1, chunk[middle:])
        self._floors.insert(at + 1, chunk[middle])
        del chunk[middle:]
        self._starts = None

    def _join(self, at: int) -> bool:
        """Let a chunk that has become short go into a neighbour, if it fits."""
        chunks = self._chunks
        if len(chunks) == 1 or len(chunks[at]) >= _LEAST:
            return False
        left = max(at - 1, 0)
        pair = chunks[left : left + 2]
        if chunks[at] and len(pair[0]) + len(pair[1]) > _FILL:
            return False
        chunks[left : left + 2] = [pair[0] + pair[1]]
        del self._floors[left + 1]
        self._starts = None
        return True

    # -- places

    def place(self, key: bytes) -> int:
        """How many keys are less than this one, which need not be there. Logarithmic."""
        at = bisect_right(self._floors, key) - 1
        return self._start(at) + bisect_left(self._chunks[at], key)

    def place_by(self, part: Part, value: bytes) -> int:
        """How many keys have a part that is less than a value. The keys' parts have to
        be in order, too.
        """
        at = max(bisect_left(self._floors, value, key=part) - 1, 0)
        return self._start(at) + bisect_left(self._chunks[at], value, key=part)

    def between(self, start: int, stop: int) -> list[bytes]:
        """The keys from one place up to another."""
        if start >= stop:
            return []
        first, skipped = self._find(start)
        chunk = self._chunks[first]
        end = skipped + stop - start
        last, last_end = (first, end) if end <= len(chunk) else self._find(stop)
        if last == first:
            return chunk[skipped:end]
        inner = chain.from_iterable(self._chunks[first + 1 : last])
        return [*chunk[skipped:], *inner, *self._chunks[last][:last_end]]

    def _find(self, place: int) -> tuple[int, int]:
        """The chunk that a place is in, and where. The place behind the last key is in
        the last chunk.
        """
        if place <= len(self._chunks[0]):
            # Common, and needs no layout.
            return 0, place
        starts = self._starts
        is_noted = bool(self._additions or self._removals)
        if starts is None or (is_noted and len(starts) <= _FEW_CHUNKS):
            starts = self._lay_out()
            is_noted = False
        if not is_noted:
            at = bisect_right(starts, place) - 1
            return at, place - starts[at]
        at = bisect_right(range(len(starts)), place, key=self._start) - 1
        return at, place - self._start(at)

    def _start(self, at: int) -> int:
        """The place at which a chunk starts."""
        if at == 0:
            return 0
        starts = self._starts
        if starts is None:
            starts = self._lay_out()
        added, removed = self._additions, self._removals
        return starts[at] + bisect_left(added, at) - bisect_left(removed, at)

    def _lay_out(self) -> list[int]:
        starts = self._starts = [0, *accumulate(map(len, self._chunks))]
        del starts[-1]
        self._additions, self._removals = [], []
        return starts

    def _note_removals(self, at: int, count: int) -> None:
        """Note that keys went from a chunk, which may have become short."""
        if self._join(at):
            return
        if count > _FEW:
            self._starts = None
        for _ in range(count if self._starts is not None else 0):
            self._note(self._removals, at)

    def _note(self, changes: list[int], at: int) -> None:
        """Note a change in a chunk since the places were laid out."""
        insort(changes, at)
        noted = len(self._additions) + len(self._removals)
        if noted > len(self._chunks) + _LEAST_NOTED:
            self._starts = None
