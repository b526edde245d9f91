"""Maps: a dict that many processes read and change at once.

How a map lies on the store, with and without expiry, is the subject of `map.lua` and
`map_layout.py`; what it has of a dict is in `map_dict.py`. This file holds what a shared
map needs beyond a dict: lifetimes, many entries at once, and changes that are not lost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sharedstate.errors import CommandError
from sharedstate.structures.arithmetic import check_refused_sum, raise_refused_sum, whole
from sharedstate.structures.map_dict import (
    ABSENT,
    Absent,
    D,
    K,
    SharedDict,
    V,
    local_entries,
)
from sharedstate.structures.map_update import Contest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from datetime import timedelta
    from typing import Self

    from sharedstate.fencing import FencingLock

__all__ = ["ABSENT", "Absent", "Map"]

BATCH = 50_000
"""Entries that travel in one command: the store serves nobody else meanwhile, some tens
of milliseconds, and Redis takes at most a million words a command."""

LONGEST_TTL = 100 * 366 * 24 * 3600.0
"""Seconds. More is a mistake in the unit, and would leave the range of a deadline."""


class Map(SharedDict[K, V]):
    """A dict, shared. Made by `state.map(name)`.

    Every method is atomic and costs one round trip unless it says otherwise. An entry
    may have a lifetime, `ttl`, in seconds or as `timedelta`; once it is over, the entry
    is gone for every method. Writing a value gives the entry the lifetime of that call,
    for ever by default; `increment`, `compare_and_set` and `update_with` leave it alone.

    A write with `fence=lock` carries the token of a lock that is held, and raises
    `StaleToken`, with nothing changed, if a later holder has written: see `Lock.fencing`,
    which does the same for the methods that a dict has.

    What is read is a copy: changing it changes nothing in the map. To change part of a
    value, use `update_with`.

    A key of another type than the map was opened for raises `TypeError`, a value that
    the serializer refuses `SerializationError`.
    """

    def update(  # type: ignore[override]
        self, other: Mapping[K, V] | Iterable[tuple[K, V]] = (), /, **named: V
    ) -> None:
        """Write many entries at once, as `set_many`."""
        entries: dict[Any, V] = local_entries(other)
        entries.update(named)
        self.set_many(entries)

    def __ior__(  # type: ignore[override]
        self, other: Mapping[K, V] | Iterable[tuple[K, V]]
    ) -> Self:
        self.update(other)
        return self

    def set(
        self,
        key: K,
        value: V,
        *,
        ttl: float | timedelta | None = None,
        if_absent: bool = False,
        if_present: bool = False,
        fence: FencingLock | None = None,
    ) -> bool:
        """Write an entry, which lives `ttl` seconds, or for ever; whether it was written.

        With `if_absent` it is written only if there is no entry, with `if_present` only
        if there is one. The first `ttl` of a map changes its layout, in one step.
        """
        if fence is not None:
            how: Any = {"ttl": ttl, "if_absent": if_absent, "if_present": if_present}
            return self._fenced(fence, self.set, key, value, **how)
        if if_absent and if_present:
            raise ValueError("expected if_absent or if_present, got both")
        lifetime = 0 if ttl is None else _lifetime_ms(ttl)
        if not (lifetime or if_absent or if_present):
            self[key] = value
            return True
        condition = "absent" if if_absent else "present" if if_present else ""
        field, data = self._field(key), self._dumps(value)
        written: int = self._run("store", lifetime, condition, field, data)
        return written == 1

    def ttl(self, key: K) -> float | None:
        """The seconds an entry has left; None for ever. Raises `KeyError` without one."""
        left: int = self._run("ttl", self._field(key))
        if left == -2:
            raise KeyError(key)
        return None if left == -1 else left / 1000

    def touch(
        self, key: K, ttl: float | timedelta, *, fence: FencingLock | None = None
    ) -> bool:
        """Let an entry live `ttl` seconds from now; False if there is none."""
        if fence is not None:
            return self._fenced(fence, self.touch, key, ttl)
        done: int = self._run("touch", self._field(key), _lifetime_ms(ttl))
        return done == 1

    def persist(self, key: K, *, fence: FencingLock | None = None) -> bool:
        """Let an entry live for ever; whether there was one with a lifetime."""
        if fence is not None:
            return self._fenced(fence, self.persist, key)
        done: int = self._run("persist", self._field(key))
        return done == 1

    def get_many(self, keys: Iterable[K]) -> dict[K, V]:
        """The entries of those of the keys that have one, in the order of the keys.

        This and the other methods for many entries make one atomic step, in one round
        trip, of up to `BATCH` entries, and one of every further `BATCH`.
        """
        found: dict[K, V] = {}
        for batch in _batches(list(keys)):
            values = self._call("HMGET", *map(self._field, batch))
            for key, data in zip(batch, values, strict=True):
                if data is not None:
                    found[key] = self._loads(data)
        return found

    def set_many(
        self,
        entries: Mapping[K, V],
        *,
        ttl: float | timedelta | None = None,
        fence: FencingLock | None = None,
    ) -> None:
        """Write many entries, which live `ttl` seconds, or for ever. As `get_many`."""
        if fence is not None:
            self._fenced(fence, self.set_many, entries, ttl=ttl)
            return
        lifetime = 0 if ttl is None else _lifetime_ms(ttl)
        for batch in _batches(list(local_entries(entries).items())):
            words: list[Any] = []
            for key, value in batch:
                words += (self._field(key), self._dumps(value))
            if lifetime:
                self._run("store", lifetime, "", *words)
            else:
                self._call("HSET", *words)

    def delete_many(self, keys: Iterable[K], *, fence: FencingLock | None = None) -> int:
        """Remove many entries; how many there were. As `get_many`."""
        if fence is not None:
            return self._fenced(fence, self.delete_many, keys)
        removed = 0
        for batch in _batches(list(keys)):
            removed += self._call("HDEL", *map(self._field, batch))
        return removed

    def compare_and_set(
        self,
        key: K,
        expected: V | Absent,
        new: V | Absent,
        *,
        fence: FencingLock | None = None,
    ) -> bool:
        """Change a value to `new` if it equals `expected`; whether it did. Atomic.

        `ABSENT` stands for no entry: `expected=ABSENT` creates, `new=ABSENT` removes. One
        round trip, as the stored forms are compared; one more when they differ and the
        values are equal all the same, as 1 and 1.0 are.
        """
        if fence is not None:
            return self._fenced(fence, self.compare_and_set, key, expected, new)
        field = self._field(key)
        wanted = self._dump(expected)
        written = self._dump(new)
        while True:
            done, found = self._swap(field, wanted, written)
            if done or found is None or wanted is None or self._loads(found) != expected:
                return done
            wanted = found

    def update_with(
        self,
        key: K,
        function: Callable[[V], V | Absent],
        *,
        default: V | Absent = ABSENT,
        fence: FencingLock | None = None,
    ) -> V | Absent:
        """Change a value by a function of it, and return the new one; no change is lost.

        `function` gets a copy of the value, or of `default`, and returns the new one, or
        `ABSENT` to remove the entry. It runs again, on the newer value, when another
        process came between: it should be quick and have no effects of its own. Raises
        `KeyError` if there is neither an entry nor a default.

        Two round trips; one or two more each time that another came between. There is no
        limit to the tries: `map_update.py` tells how each of many gets its turn.
        """
        if fence is not None:
            return self._fenced(fence, self.update_with, key, function, default=default)
        contest = Contest(self, self._field(key))
        while True:
            before = self._dump(default) if contest.found is None else contest.found
            if before is None:
                raise KeyError(key)
            new = function(self._loads(before))
            if contest.won_with(self._dump(new)):
                return new

    def increment(self, key: K, n: int = 1, *, fence: FencingLock | None = None) -> int:
        """Add to a whole number, which is 0 if there is none; the new value. Atomic.

        Raises `NotANumber` if the value is something else, `CounterOverflow` if it would
        leave 64 bits.
        """
        if fence is not None:
            return self._fenced(fence, self.increment, key, n)
        field, amount = self._field(key), whole(n)
        try:
            return int(self._call("HINCRBY", field, amount))
        except CommandError as error:
            raise_refused_sum(error, self._subject(key), amount)
            raise

    def increment_many(
        self, amounts: Mapping[K, int], *, fence: FencingLock | None = None
    ) -> None:
        """Add to many whole numbers, all of them or, if one cannot be added to, none.

        As `get_many` and `increment`.
        """
        if fence is not None:
            self._fenced(fence, self.increment_many, amounts)
            return
        for batch in _batches(list(local_entries(amounts).items())):
            words: list[Any] = []
            for key, n in batch:
                words += (self._field(key), whole(n))
            refusal = self._run("increment_many", *words)
            if refusal is not None:
                position, reason = refusal
                key, n = batch[position - 1]
                check_refused_sum(reason.decode(), self._subject(key), n)
                raise CommandError.from_reply(reason.decode())

    def _dump(self, value: V | Absent) -> bytes | None:
        return None if value is ABSENT else self._dumps(value)

    def _subject(self, key: object) -> str:
        return f"the entry {key!r} of the map {self.name!r}"


def _batches(items: Sequence[D]) -> Iterator[Sequence[D]]:
    if len(items) <= BATCH:
        return iter((items,) if items else ())
    return (items[start : start + BATCH] for start in range(0, len(items), BATCH))


def _lifetime_ms(ttl: float | timedelta) -> int:
    """A lifetime in whole milliseconds, rounded up. Raises `TypeError`, `ValueError`."""
    seconds: object = ttl.total_seconds() if hasattr(ttl, "total_seconds") else ttl
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        raise TypeError(f"expected ttl in seconds or as timedelta, got {ttl!r}")
    if not 0 < seconds <= LONGEST_TTL:
        raise ValueError(
            f"expected ttl of more than 0 and at most {LONGEST_TTL:.0f} seconds, "
            f"got {ttl!r}; None is for ever"
        )
    return -int(-seconds * 1000 // 1)
