"""The order of keys: a list that is kept short without ever stopping for it.

`Keyspace.order` names every key at least once, at the place where its present life began,
and keys that are gone until they are taken out. That is done when more than half of the
list is stale. A short list is made anew from the dict at once. For a long one another list
is made, a slice at a time, of what is not stale; when it has caught up it takes the place
of the old one, which is freed in slices in turn: with its stale places go the last
references to keys.

Invariant: all the while every key stands in the list at least once, and the places of
keys that stay only ever move down. So SCAN, which walks the list backwards, misses none.
"""

from __future__ import annotations

from time import perf_counter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container

    from sharedstate_memory.keyspace import Keyspace

# Making a list of so many keys, or freeing one, takes about a millisecond.
SMALL_LENGTH = 32_768

# So many stale places are not worth the trouble.
STALE_KEPT = 64

_SLICE = 2048


class Compaction:
    """A list without stale places, as far as it has come."""

    __slots__ = ("_old", "_read", "kept")

    def __init__(self, old: list[bytes]) -> None:
        self._old = old
        self._read = 0
        self.kept: list[bytes] = []

    def run(self, keys: Container[bytes], budget_s: float) -> bool:
        """Go on for so many seconds, one slice at least. Whether it has caught up."""
        old = self._old
        give_up_at = perf_counter() + budget_s
        while self._read < len(old):
            end = self._read + _SLICE
            self.kept += [key for key in old[self._read : end] if key in keys]
            self._read = end
            if perf_counter() >= give_up_at:
                return self._read >= len(old)
        return True


def shorten_order(db: Keyspace) -> None:
    """Take stale places out of the order: at once if it is short, else in slices."""
    if len(db.order) <= SMALL_LENGTH:
        db.order = list(db.data)
        db.compaction = None
    elif db.compaction is None:
        db.compaction = Compaction(db.order)


def compact_order(db: Keyspace, budget_s: float) -> None:
    """Go on with shortening the order, for so many seconds."""
    compaction = db.compaction
    if compaction is None or not compaction.run(db.data, budget_s):
        return
    db.compaction = None
    db.engine.discard_scrap(db.order)
    # Keys that came and went stand in it more than once, and may still fill it.
    is_short = len(compaction.kept) <= 2 * len(db.data) + STALE_KEPT
    db.order = compaction.kept if is_short else list(db.data)
