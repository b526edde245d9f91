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

from heapq import heapify, heappop, heappush
from time import perf_counter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from sharedstate_memory.keyspace import Keyspace

# 2 ** 8 ms: late by a quarter of a second at most, and under 350 000 buckets a day.
BUCKET_BITS = 8

# A cycle starts with little of the loop's time, and takes more only while it does not get
# done: a quarter at most, as Redis does, and something more for each step of effort; twice
# that when the one before did not get done either; and never more than a slice at once.
LEAST_BUDGET_S = 0.001
MOST_BUDGET_S = 0.025
_MOST_SHARE = 0.25
_SHARE_PER_EFFORT = 0.02
_SHARE_WHEN_BEHIND = 2

# Looking at the time costs as much as expiring a small key.
_KEYS_BETWEEN_LOOKS = 32

# So many fields of one hash count as a key: so that is all that a hash with a million due
# fields adds to what happens between two looks.
_FIELDS_AT_ONCE = 32


# Most buckets hold few keys, and an empty set takes as much as a whole small key. So a
# bucket is a key by itself, a list of up to so many, or a dict: it takes less than a set.
_FEW = 16

# How many buckets are looked at to tell how many keys are due: those of four minutes.
_BUCKETS_COUNTED = 1000

# The heap may hold so many numbers of buckets that are gone.
_STALE_KEPT = 1024


class Buckets:
    """Keys by the time of their deadline."""

    __slots__ = ("_first", "_heap", "keys")

    def __init__(self) -> None:
        self.keys: dict[int, bytes | list[bytes] | dict[bytes, None]] = {}
        # No bucket with a lower number exists.
        self._first = 0
        # The numbers of all buckets, and of some that are gone; only once somebody asks
        # for the first key.
        self._heap: list[int] | None = None

    def add(self, key: bytes, deadline_ms: int) -> None:
        """Put a key into the bucket of its deadline."""
        number = deadline_ms >> BUCKET_BITS
        keys = self.keys.get(number)
        if keys is None:
            self.keys[number] = key
            if number < self._first:
                self._first = number
            if self._heap is not None:
                self._note_number(number)
        elif type(keys) is bytes:
            self.keys[number] = [keys, key]
        elif type(keys) is dict:
            keys[key] = None
        else:
            self._add_to_few(number, keys, key)  # type: ignore[arg-type]

    def _add_to_few(self, number: int, keys: list[bytes], key: bytes) -> None:
        keys.append(key)
        if len(keys) > _FEW:
            self.keys[number] = dict.fromkeys(keys)

    def discard(self, key: bytes, deadline_ms: int) -> None:
        """Take a key out of the bucket of its deadline, unless it was taken already."""
        number = deadline_ms >> BUCKET_BITS
        keys = self.keys.get(number)
        if keys is None:
            return
        if type(keys) is bytes:
            if keys == key:
                del self.keys[number]
            return
        if key in keys:
            _remove_from(keys, key)  # type: ignore[arg-type]
            if not keys:
                del self.keys[number]

    def take_due(self, now_ms: int, count: int) -> list[bytes]:
        """Take up to so many keys out of a bucket that is over; none when there is none.

        Whoever takes them removes them, or gives them another deadline.
        """
        keys = self._bucket_due(now_ms)
        if not keys:
            return []
        if len(keys) <= count:
            del self.keys[self._first]
            return list(keys)
        if isinstance(keys, dict):
            # From the end: a dict with a hole in front is ever slower to begin with.
            return [keys.popitem()[0] for _ in range(count)]
        taken = list(keys)[-count:]
        self.keys[self._first] = list(keys)[:-count]
        return taken

    def has_due(self, now_ms: int) -> bool:
        """Whether a bucket is over."""
        return bool(self._bucket_due(now_ms))

    def due_count(self, now_ms: int) -> int:
        """How many keys stand in buckets that are over, of which so many are looked at."""
        if not self.has_due(now_ms):
            return 0
        end = now_ms >> BUCKET_BITS
        numbers = range(self._first, min(end, self._first + _BUCKETS_COUNTED))
        buckets = [self.keys[number] for number in numbers if number in self.keys]
        return sum(1 if isinstance(keys, bytes) else len(keys) for keys in buckets)

    def _bucket_due(self, now_ms: int) -> Collection[bytes]:
        end = now_ms >> BUCKET_BITS
        if not self.keys or self._first >= end:
            return ()
        # After a long pause there may be fewer buckets than steps to the present.
        if end - self._first > len(self.keys):
            self._first = min(min(self.keys), end)
        while self._first < end:
            keys = self.keys.get(self._first)
            if keys is not None:
                return (keys,) if isinstance(keys, bytes) else keys
            self._first += 1
        return ()

    def first_key(self) -> bytes | None:
        """Some key of the earliest bucket; None without any."""
        if not self.keys:
            return None
        if self._heap is None:
            self._heap = list(self.keys)
            heapify(self._heap)
        while self._heap[0] not in self.keys:
            heappop(self._heap)
        keys = self.keys[self._heap[0]]
        if isinstance(keys, bytes):
            return keys
        if isinstance(keys, list):
            return keys[-1]
        # The last one, and put back: so a dict forgets what was removed at its end, and
        # to ask again and again takes no longer each time.
        key, _ = keys.popitem()
        keys[key] = None
        return key

    def _note_number(self, number: int) -> None:
        """Keep the heap complete, unless it is more trouble than making it anew."""
        heap = self._heap
        if heap is None or len(heap) > 2 * len(self.keys) + _STALE_KEPT:
            self._heap = None
        else:
            heappush(heap, number)


def _remove_from(keys: list[bytes] | dict[bytes, None], key: bytes) -> None:
    if isinstance(keys, list):
        keys.remove(key)
    else:
        del keys[key]


class ActiveExpiry:
    """The cycle that removes due keys of some databases within a budget of time."""

    __slots__ = ("_budget_s", "_keyspaces", "_timer", "effort", "is_behind")

    def __init__(
        self, keyspaces: Sequence[Keyspace], *, timer: Callable[[], float] = perf_counter
    ) -> None:
        self._keyspaces = keyspaces
        self._timer = timer
        self._budget_s = LEAST_BUDGET_S
        self.is_behind = False
        """Whether the last cycle left due keys."""
        self.effort = 1
        """How hard to try, from 1 to 10 (`active-expire-effort`)."""

    def run_adaptively(self, now_ms: int, interval_s: float = 0.1) -> float:
        """Run with a budget that doubles while due keys remain, and falls back after.
        It comes every `interval_s`. Returns the seconds it took; none if nothing remains.
        """
        share = _MOST_SHARE + _SHARE_PER_EFFORT * (self.effort - 1)
        if self.is_behind:
            share *= _SHARE_WHEN_BEHIND
        most_s = min(share * interval_s, MOST_BUDGET_S)
        started = self._timer()
        self.is_behind = not self.run(now_ms, min(self._budget_s, most_s))
        if not self.is_behind:
            self._budget_s = LEAST_BUDGET_S
            return 0.0
        self._budget_s = min(2 * self._budget_s, most_s)
        return self._timer() - started

    def stale_share(self, now_ms: int) -> float:
        """The share of the keys with deadlines that are due and still there."""
        count = sum(len(keyspace.deadlines) for keyspace in self._keyspaces)
        due = sum(keyspace.buckets.due_count(now_ms) for keyspace in self._keyspaces)
        return due / count if count else 0.0

    def run(self, now_ms: int, budget_s: float) -> bool:
        """Remove keys that are due, for `budget_s` seconds. Whether none remain."""
        give_up_at = self._timer() + budget_s
        return all(
            self._run_keyspace(keyspace, now_ms, give_up_at)
            for keyspace in self._keyspaces
            if keyspace.deadlines
        )

    def _run_keyspace(self, keyspace: Keyspace, now_ms: int, give_up_at: float) -> bool:
        while keys := keyspace.buckets.take_due(now_ms, _KEYS_BETWEEN_LOOKS):
            keyspace.expire_many(keys, _FIELDS_AT_ONCE)
            if self._timer() >= give_up_at:
                return not keyspace.buckets.has_due(now_ms)
        return True
