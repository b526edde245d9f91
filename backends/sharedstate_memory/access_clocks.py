"""Access clocks: when each key was last used, or how often.

They stand in a table beside the data, `Keyspace.clocks`, and only while an eviction
policy asks for them. A `ClockedKeyspace` notes an access whenever a command looks a key
up; an ordinary `Keyspace` has no code for it. Turning clocks on or off gives the keyspaces
the other class.

A key that is not in the table was there before the clocks began, and has not been used
since.
"""

from __future__ import annotations

from sharedstate_memory.keyspace import Keyspace
from sharedstate_memory.sizes import CLOCK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol, TypeVar

    from sharedstate_memory.engine import Engine
    from sharedstate_memory.keyspace import Value

    T = TypeVar("T")

    class Clock(Protocol):
        """What notes accesses, and judges by them."""

        def touch(self, clocks: dict[bytes, int], key: bytes) -> None:
            """Note an access to a key."""

        def badness(self, db: Keyspace, key: bytes) -> int:
            """How much a key deserves to go: more is worse."""


# A new key is given a few uses on credit, lest it be the first to go.
_INITIAL_COUNT = 5
_MAX_COUNT = 255
_MS_PER_MINUTE = 60_000


class RecencyClock:
    """The time of the last access, in milliseconds since the epoch."""

    __slots__ = ("_clock_ms", "_now_ms", "_started_ms")

    def __init__(self, engine: Engine) -> None:
        self._clock_ms = engine.clock_ms
        self._started_ms = self._now_ms = self._clock_ms()

    def _now(self) -> int:
        now_ms = self._clock_ms()
        if now_ms != self._now_ms:
            # The same object for all accesses of a millisecond: a clock costs no object.
            self._now_ms = now_ms
        return self._now_ms

    def touch(self, clocks: dict[bytes, int], key: bytes) -> None:
        """Note an access to a key."""
        clocks[key] = self._now()

    def time_before(self, seconds: int) -> int:
        """The clock of a key that was used so long ago."""
        return self._now() - 1000 * seconds

    def badness(self, db: Keyspace, key: bytes) -> int:
        """The longer ago, the worse."""
        return -db.clocks.get(key, self._started_ms)

    def idle_seconds(self, db: Keyspace, key: bytes) -> int:
        """How long ago the last access was."""
        return (self._now() - db.clocks.get(key, self._started_ms)) // 1000


class FrequencyClock:
    """A counter of accesses from 0 to 255, which grows the more slowly the higher it is
    and falls with time, and the minute in which it was last changed.

    A clock is `minute << 8 | count`. The numbers of one minute are made once, so that a
    clock costs no object of its own.
    """

    __slots__ = (
        "_clock_ms",
        "_decay_minutes",
        "_log_factor",
        "_minute",
        "_numbers",
        "_random",
    )

    def __init__(self, engine: Engine, *, log_factor: int, decay_minutes: int) -> None:
        self._log_factor = log_factor
        self._decay_minutes = decay_minutes
        self._random = engine.random.random
        self._clock_ms = engine.clock_ms
        self._minute = -1
        self._numbers: list[int] = []

    def _now(self) -> int:
        minute = self._clock_ms() // _MS_PER_MINUTE
        if minute != self._minute:
            self._minute = minute
            self._numbers = [minute << 8 | count for count in range(_MAX_COUNT + 1)]
        return minute

    def touch(self, clocks: dict[bytes, int], key: bytes) -> None:
        """Note an access to a key."""
        self._now()
        clock = clocks.get(key)
        if clock is None:
            clocks[key] = self._numbers[_INITIAL_COUNT]
            return
        count = self._decayed(clock)
        if count < _MAX_COUNT:
            above = max(count - _INITIAL_COUNT, 0)
            if self._random() * (above * self._log_factor + 1) < 1:
                count += 1
        clocks[key] = self._numbers[count]

    def time_with(self, count: int) -> int:
        """The clock of a key whose counter is this one now."""
        self._now()
        return self._numbers[count]

    def _decayed(self, clock: int) -> int:
        count = clock & _MAX_COUNT
        minutes = self._minute - (clock >> 8)
        if minutes and self._decay_minutes:
            count = max(count - minutes // self._decay_minutes, 0)
        return count

    def count_of(self, db: Keyspace, key: bytes) -> int:
        """The counter of a key as it is now."""
        self._now()
        return self._decayed(db.clocks.get(key, self._minute << 8))

    def badness(self, db: Keyspace, key: bytes) -> int:
        """The less used, the worse."""
        return _MAX_COUNT - self.count_of(db, key)


class ClockedKeyspace(Keyspace):
    """A keyspace that notes every access. See `Keyspace` for what the methods do."""

    __slots__ = ()

    def read(self, key: bytes, kind: type[T]) -> T | None:
        value = super().read(key, kind)
        if value is not None:
            self._touch(key)
        return value

    def read_any(self, key: bytes) -> Value | None:
        value = super().read_any(key)
        if value is not None:
            self._touch(key)
        return value

    def typed(self, key: bytes, kind: type[T]) -> T | None:
        value = super().typed(key, kind)
        if value is not None:
            self._touch(key)
        return value

    def put(self, key: bytes, value: Value, event: bytes | None = None) -> None:
        super().put(key, value, event)
        self._touch(key)

    def overwrite(self, key: bytes, value: Value, event: bytes | None = None) -> None:
        super().overwrite(key, value, event)
        self._touch(key)

    def receive(self, key: bytes, value: Value) -> None:
        super().receive(key, value)
        self._touch(key)

    def flush(self) -> None:
        self.engine.used_bytes -= CLOCK * len(self.clocks)
        super().flush()

    def _touch(self, key: bytes) -> None:
        clocks, clock = self.clocks, self.clock
        if clock is None:
            return
        before = len(clocks)
        clock.touch(clocks, key)
        self.engine.used_bytes += CLOCK * (len(clocks) - before)

    def _take_out(self, key: bytes) -> Value:
        if self.clocks.pop(key, None) is not None:
            self.engine.used_bytes -= CLOCK
        return super()._take_out(key)


def start_clocks(db: Keyspace, clock: Any) -> None:
    """Let a keyspace note accesses with a clock from now on, or no more."""
    db.engine.used_bytes -= CLOCK * len(db.clocks)
    db.clocks = {}
    db.clock = clock
    db.__class__ = Keyspace if clock is None else ClockedKeyspace
