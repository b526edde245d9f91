"""Draws: elements at random out of containers that have no places.

A set or a dict can only be walked: to the element that was drawn, or to a list of all. Of
a million members that takes up to thirty milliseconds, which nobody may be kept waiting
for at every SPOP. So from a big container many elements are drawn together, each anew, and
handed out one after the other; those that have gone since are passed over. What is drawn
is one element in `_SHARE`, so that a draw costs a constant time on average.

Each element that stays is as likely as the next. One that came after the draw has to wait
for the next one, which is at once if the container has grown by much, or has exchanged
many elements for others.

Few draws are kept, and only of containers that somebody draws from.
"""

from __future__ import annotations

from itertools import islice

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection
    from random import Random

    from sharedstate_memory.engine import Engine

# Up to this length, walking to an element takes a few microseconds.
WALKED_LENGTH = 1024

# One element in so many is drawn together.
_SHARE = 64

# Elements that came after a draw can wait until there is one to so many others.
_SHARE_OF_NEW = 8

# From how many containers can be drawn side by side.
MAX_KEPT = 8


class Draws:
    """The elements drawn in advance, of the containers that are drawn from."""

    __slots__ = ("_drawn", "_engine")

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._drawn: dict[int, _Drawn] = {}

    def forget(self, elements: object) -> None:
        """Keep nothing of a container that is to be freed."""
        self._drawn.pop(id(elements), None)

    def forget_all(self) -> None:
        """Keep nothing of any container."""
        self._drawn.clear()

    def one(self, elements: Collection[bytes]) -> bytes:
        """An element of a container that is not empty."""
        if len(elements) <= WALKED_LENGTH:
            place = self._engine.random.randrange(len(elements))
            return next(islice(elements, place, None))
        while True:
            drawn = self._drawn_from(elements)
            while drawn.is_good_for(elements):
                name = drawn.names.pop()
                if name in elements:
                    return name
                drawn.note_gone()

    def different(self, elements: Collection[bytes], count: int) -> list[bytes]:
        """So many different elements; all of them if there are no more."""
        if count >= len(elements):
            return list(elements)
        if count * _SHARE > len(elements) and count > 1:
            return self._engine.random.sample(list(elements), count)
        found: dict[bytes, None] = {}
        while len(found) < count:
            found[self.one(elements)] = None
        return list(found)

    def repeated(self, elements: Collection[bytes], count: int) -> list[bytes]:
        """So many elements, each drawn anew. None from an empty container."""
        if not elements:
            return []
        if count * _SHARE > len(elements):
            return self._engine.random.choices(list(elements), k=count)
        return [self.one(elements) for _ in range(count)]

    def _drawn_from(self, elements: Collection[bytes]) -> _Drawn:
        """What is drawn from a container, of which something was not handed out."""
        drawn = self._drawn.get(id(elements))
        # An id may belong to another container by now.
        if drawn is None or not drawn.is_good_for(elements):
            self._drawn.pop(id(elements), None)
            if len(self._drawn) >= MAX_KEPT:
                del self._drawn[next(iter(self._drawn))]
            drawn = self._drawn[id(elements)] = _Drawn(elements, self._engine.random)
        return drawn


class _Drawn:
    """Elements of one container, each drawn anew. The last ones are handed out first."""

    __slots__ = ("_elements", "_most", "names")

    def __init__(self, elements: Collection[bytes], random: Random) -> None:
        self._elements = elements
        self._most = len(elements) + len(elements) // _SHARE_OF_NEW
        everything = list(elements)
        self.names = random.choices(everything, k=len(everything) // _SHARE)

    def note_gone(self) -> None:
        """Take note that one of the elements has gone, and so, on average, as many as it
        stands for: if there are no fewer now, so many have come.
        """
        self._most -= _SHARE

    def is_good_for(self, elements: Collection[bytes]) -> bool:
        """Whether some are left, of this container, in which few are new."""
        return (
            bool(self.names) and self._elements is elements and len(elements) <= self._most
        )
