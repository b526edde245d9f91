"""Disposal: freeing big values a slice at a time.

Dropping the last reference to a dict of a million fields stops the world for tens of
milliseconds. A removed value that is big comes here instead, and the cron takes it
apart. What was inside may be big in turn (a whole database can be dropped), so parts
come here as well.
"""

from __future__ import annotations

from time import perf_counter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sized
    from typing import Any

# How long one run may take, and how many elements are freed between looks at the time.
BUDGET_S = 0.002
_SLICE = 256

# Containers up to this length are freed whole: it takes microseconds.
_SMALL = 256


class Disposal:
    """Values to be freed. False when there are none."""

    __slots__ = ("_values",)

    def __init__(self) -> None:
        self._values: list[Sized] = []

    def __len__(self) -> int:
        return len(self._values)

    def add(self, value: Sized) -> None:
        """Take a value over. Its caller keeps no reference."""
        self._values.append(value)

    def run(self, budget_s: float = BUDGET_S) -> None:
        """Free elements for so many seconds, and one slice at least."""
        give_up_at = perf_counter() + budget_s
        while self._values:
            self._free_slice()
            if perf_counter() >= give_up_at:
                return

    def _free_slice(self) -> None:
        value = self._values.pop()
        pop = _pop_of(value)
        if pop is None:
            return
        parts = [pop() for _ in range(min(_SLICE, len(value)))]
        if value:
            self._values.append(value)
        for part in parts:
            if isinstance(part, tuple) and _pop_of(part[-1]) is not None:
                self._values.append(part[-1])


def _pop_of(value: Any) -> Callable[[], object] | None:
    """What takes one element out of a container: a pair, if values are in it. None for
    what is freed whole.
    """
    if isinstance(value, (bytes, tuple)) or len(value) <= _SMALL:
        return None
    pop: Callable[[], object] = value.popitem if isinstance(value, dict) else value.pop
    return pop
