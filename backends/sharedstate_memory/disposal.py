"""Disposal: freeing big values a slice at a time.

Dropping the last reference to a dict of a million fields stops the world for tens of
milliseconds. A removed value that is big comes here instead, and the cron takes it
apart. What was inside may be big in turn (a whole database can be dropped), so parts
come here as well. Memory is counted off as it is freed.
"""

from __future__ import annotations

from collections import deque
from time import perf_counter

from sharedstate_memory.sizes import (
    FIELD,
    HASH,
    ITEM,
    KEY,
    LIST,
    MEMBER,
    SCORED,
    SET,
    SORTED_SET,
    size_of,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from sharedstate_memory.keyspace import Value

# How long one run may take, and how many elements are freed between looks at the time.
BUDGET_S = 0.002
_SLICE = 256
_SCRAP_SLICE = 4096

# Containers up to this length are freed whole: it takes microseconds.
_SMALL = 256


class Disposal:
    """Values to be freed. False when there are none."""

    __slots__ = ("_databases", "_scraps", "_taken", "_values")

    def __init__(self) -> None:
        self._values: list[Value] = []
        self._databases: list[dict[bytes, Value]] = []
        self._scraps: list[list[Any] | dict[Any, Any]] = []
        self._taken = 0

    def __len__(self) -> int:
        return len(self._values) + len(self._databases) + len(self._scraps)

    @property
    def done(self) -> int:
        """How many values and databases have been freed so far."""
        return self._taken - len(self)

    def add(self, value: Value) -> None:
        """Take a value over. Its caller keeps no reference."""
        self._taken += 1
        self._values.append(value)

    def add_database(self, data: dict[bytes, Value]) -> None:
        """Take all keys of a database over."""
        self._taken += 1
        self._databases.append(data)

    def add_scrap(self, container: list[Any] | dict[Any, Any]) -> None:
        """Take over what is not counted: a table beside the data."""
        self._taken += 1
        self._scraps.append(container)

    def run(self, budget_s: float = BUDGET_S) -> int:
        """Free elements for so many seconds, and one slice at least. Returns how many
        bytes that were, as counted in `sizes.py`.
        """
        give_up_at = perf_counter() + budget_s
        freed = 0
        while self:
            if self._scraps:
                self._free_scrap()
            else:
                freed += self._free_slice() if self._values else self._free_keys()
            if perf_counter() >= give_up_at:
                break
        return freed

    def _free_scrap(self) -> None:
        scrap = self._scraps.pop()
        if isinstance(scrap, list):
            del scrap[-_SCRAP_SLICE:]
        else:
            parts = [scrap.popitem()[1] for _ in range(min(_SLICE, len(scrap)))]
            self._scraps += [part for part in parts if _is_big_scrap(part)]
        if scrap:
            self._scraps.append(scrap)

    def _free_slice(self) -> int:
        value: Any = self._values.pop()
        before = len(value)
        if before <= _SMALL:
            return size_of(value)
        base, element, pop = _parts_of(value)
        freed = sum(map(element, (pop() for _ in range(min(_SLICE, before)))))
        if value:
            self._values.append(value)
            return freed
        return freed + base

    def _free_keys(self) -> int:
        data = self._databases.pop()
        freed = 0
        for _ in range(min(_SLICE, len(data))):
            key, value = data.popitem()
            freed += KEY + len(key)
            if type(value) is bytes or len(value) <= _SMALL:
                freed += size_of(value)
            else:
                self._values.append(value)
        if data:
            self._databases.append(data)
        return freed


def _is_big_scrap(part: object) -> bool:
    return isinstance(part, (list, dict)) and len(part) > _SMALL


def _parts_of(value: Any) -> tuple[int, Callable[[Any], int], Callable[[], Any]]:
    """Of a container: its size when empty, the size of an element, and what takes one
    element out.
    """
    if isinstance(value, dict):
        return HASH, lambda pair: FIELD + len(pair[0]) + len(pair[1]), value.popitem
    if isinstance(value, set):
        return SET, lambda member: MEMBER + len(member), value.pop
    if isinstance(value, deque):
        return LIST, lambda item: ITEM + len(item), value.pop
    return SORTED_SET, lambda pair: SCORED + 2 * len(pair[1]), value.pop
