"""Views of a map that go over it once, instead of asking for each key's value.

The standard views of `collections.abc` look every key up on its own: one round trip an
entry. These have the values come along with the keys, some hundred a trip.
"""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, ValuesView
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from sharedstate.structures.map import Map

K = TypeVar("K")
V = TypeVar("V")


class MapItems(ItemsView[K, V]):
    """The entries of a map, as pairs."""

    _mapping: Map[K, V]

    def __iter__(self) -> Iterator[tuple[K, V]]:
        return self._mapping._entries()


class MapValues(ValuesView[V]):
    """The values of a map."""

    _mapping: Map[object, V]

    def __iter__(self) -> Iterator[V]:
        return (value for _, value in self._mapping._entries())

    def __contains__(self, value: object) -> bool:
        return any(held is value or held == value for held in self)
