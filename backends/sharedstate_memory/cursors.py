"""Cursors over containers: SCAN's promise for hashes, sets and sorted sets.

The promise: an element that stays for the whole scan is returned at least once, whatever
else comes and goes, with no state that a client could leave behind.

A dict keeps its elements in the order they came, so the place of one that stays only
ever moves down. Its cursor is a place, and the scan walks down from it. A set has no
such order; its elements are put in the order of their hashes, which does not change, and
the cursor is a hash to stay below.

Reading a container from some place on means laying it out as a list, which a scan of
many pages does once: the layout is kept, and any layout made since a scan began serves
it. So a scan that begins throws away the layout of that container, and its next page
makes a new one. Few layouts are kept, and only while scans go on.
"""

from __future__ import annotations

from bisect import bisect_left
from itertools import islice

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection
    from typing import TypeVar

    T = TypeVar("T")

# Up to this many elements a container is returned whole, as Redis does with its compact
# encodings: one round trip, and nothing to keep.
SMALL_LENGTH = 128

# How many scans of big containers can go on side by side without laying out again.
MAX_LAYOUTS = 8

# Hashes of members as positive numbers of 62 bits: none is 0, which ends a scan, or
# beyond what clients keep in a signed 64-bit integer.
_HASH_MASK = 2**62 - 1


class Cursors:
    """The layouts of containers that are being scanned."""

    __slots__ = ("_layouts",)

    def __init__(self) -> None:
        self._layouts: dict[int, _Layout] = {}

    def forget(self, elements: object) -> None:
        """Keep nothing of a container that is to be freed."""
        self._layouts.pop(id(elements), None)

    def forget_all(self) -> None:
        """Keep nothing of any container."""
        self._layouts.clear()

    def page(
        self,
        elements: dict[bytes, T] | set[bytes],
        cursor: int,
        count: int,
    ) -> tuple[int, list[bytes]]:
        """At least `count` elements from a cursor on, and the cursor of the next page;
        zero when there is none. A returned element may have gone since.
        """
        if len(elements) <= max(SMALL_LENGTH, count):
            return 0, list(elements)
        if isinstance(elements, set):
            return self._page_of_set(elements, cursor or _HASH_MASK + 2, count)
        return self._page_of_dict(elements, cursor, count)

    def _page_of_dict(
        self, elements: dict[bytes, T], cursor: int, count: int
    ) -> tuple[int, list[bytes]]:
        if cursor == 0:
            self._layouts.pop(id(elements), None)
            return len(elements) - count, list(islice(reversed(elements), count))
        names = self._layout(elements).names
        end = min(cursor, len(names))
        start = max(end - count, 0)
        return self._turn(elements, start, names[start:end])

    def _page_of_set(
        self, elements: set[bytes], cursor: int, count: int
    ) -> tuple[int, list[bytes]]:
        if cursor > _HASH_MASK:
            self._layouts.pop(id(elements), None)
        layout = self._layout(elements)
        end = bisect_left(layout.hashes, cursor)
        start = max(end - count, 0)
        # Elements of the same hash are never torn apart.
        start = bisect_left(layout.hashes, layout.hashes[start]) if end else 0
        following = layout.hashes[start] if start else 0
        return self._turn(elements, following, layout.names[start:end])

    def _turn(
        self, elements: Collection[bytes], cursor: int, page: list[bytes]
    ) -> tuple[int, list[bytes]]:
        if cursor == 0:
            self._layouts.pop(id(elements), None)
        return cursor, page

    def _layout(self, elements: Collection[bytes]) -> _Layout:
        layout = self._layouts.get(id(elements))
        # An id may belong to another container by now.
        if layout is None or layout.elements is not elements:
            if len(self._layouts) >= MAX_LAYOUTS:
                del self._layouts[next(iter(self._layouts))]
            layout = self._layouts[id(elements)] = _Layout(elements)
        return layout


class _Layout:
    """A container's elements in the order of its scan, as they were at some time."""

    __slots__ = ("elements", "hashes", "names")

    def __init__(self, elements: Collection[bytes]) -> None:
        self.elements = elements
        self.names = list(elements)
        self.hashes: list[int] = []
        if isinstance(elements, set):
            self.names.sort(key=_hash_of)
            self.hashes = [_hash_of(name) for name in self.names]


def _hash_of(member: bytes) -> int:
    return (hash(member) & _HASH_MASK) or 1
