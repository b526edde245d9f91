"""Active expiry: finding the keys that are due, without sampling.

A key nobody asks for again would stay for ever if only readers noticed its deadline. So
deadlines fall into buckets of time, and the active cycle empties the buckets whose time
is over: every key in one is due, none is looked at in vain. A bucket is emptied only
when all of it is over, so a key outlives its deadline in memory by at most one bucket's
width and one cycle. Readers never see it in that time (`Keyspace.find`).

Invariant: a key with a deadline stands in exactly one bucket, that of its deadline. A
bucket with no keys does not exist, so a lease that is renewed for ever leaves nothing.
"""

from __future__ import annotations

from itertools import islice
from time import perf_counter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sharedstate_memory.keyspace import Keyspace

# 2 ** 8 ms: late by a quarter of a second at most, and under 350 000 buckets a day.
BUCKET_BITS = 8

# A cycle comes about ten times a second. It starts with little of the loop's time, and
# takes more only while it does not get done: a quarter at most, as Redis does.
LEAST_BUDGET_S = 0.001
MOST_BUDGET_S = 0.025

# Looking at the time costs as much as expiring a small key.
_KEYS_BETWEEN_LOOKS = 32


class Buckets:
    """Keys by the time of their deadline."""

    __slots__ = ("_first", "_keys")

    def __init__(self) -> None:
        self._keys: dict[int, set[bytes]] = {}
        # No bucket with a lower number exists.
        self._first = 0

    def add(self, key: bytes, deadline_ms: int) -> None:
        """Put a key into the bucket of its deadline."""
        number = deadline_ms >> BUCKET_BITS
        keys = self._keys.get(number)
        if keys is None:
            self._keys[number] = {key}
            self._first = min(self._first, number)
        else:
            keys.add(key)

    def discard(self, key: bytes, deadline_ms: int) -> None:
        """Take a key out of the bucket of its deadline."""
        number = deadline_ms >> BUCKET_BITS
        keys = self._keys[number]
        keys.remove(key)
        if not keys:
            del self._keys[number]

    def pop_due(self, now_ms: int) -> set[bytes] | None:
        """The keys of some bucket that is over; None when none is. It stays in place:
        the keys leave it as they are removed.
        """
        end = now_ms >> BUCKET_BITS
        if not self._keys or self._first >= end:
            return None
        # After a long pause there may be fewer buckets than steps to the present.
        if end - self._first > len(self._keys):
            self._first = min(min(self._keys), end)
        while self._first < end:
            keys = self._keys.get(self._first)
            if keys is not None:
                return keys
            self._first += 1
        return None


class ActiveExpiry:
    """The cycle that removes due keys of some databases within a budget of time."""

    __slots__ = ("_budget_s", "_keyspaces", "_timer")

    def __init__(
        self, keyspaces: Sequence[Keyspace], *, timer: Callable[[], float] = perf_counter
    ) -> None:
        self._keyspaces = keyspaces
        self._timer = timer
        self._budget_s = LEAST_BUDGET_S

    def run_adaptively(self, now_ms: int) -> None:
        """Run with a budget that doubles while due keys remain, and falls back after."""
        if self.run(now_ms, self._budget_s):
            self._budget_s = LEAST_BUDGET_S
        else:
            self._budget_s = min(2 * self._budget_s, MOST_BUDGET_S)

    def run(self, now_ms: int, budget_s: float) -> bool:
        """Remove keys that are due, for `budget_s` seconds. Whether none remain."""
        give_up_at = self._timer() + budget_s
        return all(
            self._run_keyspace(keyspace, now_ms, give_up_at)
            for keyspace in self._keyspaces
            if keyspace.deadlines
        )

    def _run_keyspace(self, keyspace: Keyspace, now_ms: int, give_up_at: float) -> bool:
        while keys := keyspace.buckets.pop_due(now_ms):
            for key in list(islice(keys, _KEYS_BETWEEN_LOOKS)):
                keyspace.expire(key)
                if keyspace.engine.effects is not None:
                    keyspace.engine.effects.end_unit()
            if self._timer() >= give_up_at:
                return keyspace.buckets.pop_due(now_ms) is None
        return True
