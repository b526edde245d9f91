"""Eviction: what is given up when memory is short.

`maxmemory` limits what the engine counts (`Engine.used_bytes`). While it does, a guard
asks before each command whether there is room, and room is made by removing keys until
there is, a slice of time at most; what remains is done by the cron and by the commands
that follow. Who is removed is the policy's to say:

    noeviction        nobody: commands that need memory are refused
    …-lru             who was not asked for the longest
    …-lfu             who is asked for the least often
    …-random          anybody
    volatile-ttl      whose deadline is the nearest: exactly, deadlines are kept in order
    allkeys-…         among all keys, volatile-… among those that have a deadline

**Sampling.** Keys are not kept in the order of their use: that would cost every reader.
Instead some keys are looked at, and the best candidates among those looked at so far are
remembered in a pool, so that the choice gets better from one eviction to the next.

**Clocks.** When each key was last used, and how often, is noted only while the policy
asks for it: a keyspace's class is then `ClockedKeyspace`, whose readers note the access.
So others pay nothing, and a policy can be changed while running.

Source: https://redis.io/docs/latest/develop/reference/eviction/
"""

from __future__ import annotations

from time import perf_counter

from sharedstate_memory.replies import CommandFailure
from sharedstate_memory.sampling import earliest_deadline, sample

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sharedstate_memory.access_clocks import Clock, FrequencyClock, RecencyClock
    from sharedstate_memory.engine import Engine
    from sharedstate_memory.keyspace import Keyspace

NO_LIMIT = 2**63

# How long a command may be held up by making room, and how much the cron does at once.
BUDGET_S = 0.002
CRON_BUDGET_S = 0.005

# Candidates that are remembered. More than Redis keeps: they cost nothing.
POOL_SIZE = 64

# What is not data is counted anew after so many evictions.
_CALLS_PER_REVIEW = 8

# Tries for one sample: places of the order can be stale, or have no deadline.
_TRIES = 16

_NOT_RECENCY = (
    b"ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that"
    b" when switching between policies at runtime LRU and LFU data will take some time"
    b" to adjust."
)
_NOT_FREQUENCY = (
    b"ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please"
    b" note that when switching between policies at runtime LRU and LFU data will take"
    b" some time to adjust."
)


class Eviction:
    """The limit, the policy, and the pool of candidates of one engine."""

    __slots__ = (
        "_calls",
        "_engine",
        "_frequency",
        "_is_volatile",
        "_next_database",
        "_policy",
        "_pool",
        "_recency",
        "_samples",
        "is_limited",
        "limit_bytes",
    )

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        # One of them at most, as the policy has it.
        self._recency: RecencyClock | None = None
        self._frequency: FrequencyClock | None = None
        self._pool: list[_Candidate] = []
        self._next_database = 0
        self._samples = 0
        self._calls = 0
        self._policy = ""
        self._is_volatile = False
        self.is_limited = False
        self.limit_bytes = NO_LIMIT
        settings = engine.settings
        for name in ("maxmemory", "maxmemory-policy", "maxmemory-samples"):
            settings.on_change(name, self.review)
        for name in ("lfu-log-factor", "lfu-decay-time"):
            settings.on_change(name, self._review_clock)
        self.review()

    def review(self) -> None:
        """Take the settings over."""
        settings = self._engine.settings
        limit: int = settings["maxmemory"]
        self._samples = settings["maxmemory-samples"]
        if settings["maxmemory-policy"] != self._policy:
            self._policy = settings["maxmemory-policy"]
            self._is_volatile = self._policy.startswith("volatile-")
            self._review_clock()
        self._set_overhead(limit)
        if self.is_limited != bool(limit):
            self.is_limited = bool(limit)
            self._engine.review_sessions()

    def _set_overhead(self, limit: int) -> None:
        """Leave room for what is not data: buffers, scripts."""
        overhead = self._engine.overhead_bytes()
        self.limit_bytes = max(limit - overhead, 0) if limit else NO_LIMIT

    def _review_clock(self) -> None:
        engine, settings, policy = self._engine, self._engine.settings, self._policy
        self._pool.clear()
        is_wanted = policy.endswith(("-lru", "-lfu"))
        if not is_wanted and self.clock is None:
            return
        # Here, because most servers start without a policy that asks for them.
        from sharedstate_memory.access_clocks import (
            FrequencyClock,
            RecencyClock,
            start_clocks,
        )

        self._recency = RecencyClock(engine) if policy.endswith("-lru") else None
        self._frequency = None
        if policy.endswith("-lfu"):
            self._frequency = FrequencyClock(
                engine,
                log_factor=settings["lfu-log-factor"],
                decay_minutes=settings["lfu-decay-time"],
            )
        for database in engine.databases:
            start_clocks(database, self.clock)

    @property
    def clock(self) -> Clock | None:
        """What notes the uses of keys; None while the policy does not ask for them."""
        return self._frequency if self._recency is None else self._recency

    # -- what OBJECT tells

    def idle_seconds(self, db: Keyspace, key: bytes) -> int:
        """How long nobody asked for a key. Raises CommandFailure under an LFU policy.

        Zero while no LRU policy is on: then nobody notes it.
        """
        if self._frequency is not None:
            raise CommandFailure(_NOT_RECENCY)
        return self._recency.idle_seconds(db, key) if self._recency is not None else 0

    def frequency(self, db: Keyspace, key: bytes) -> int:
        """The counter of a key's uses, 0 to 255 and logarithmic. Raises CommandFailure
        unless an LFU policy is on.
        """
        if self._frequency is None:
            raise CommandFailure(_NOT_FREQUENCY)
        return self._frequency.count_of(db, key)

    def use_of(self, db: Keyspace, key: bytes) -> tuple[int | None, int | None]:
        """For how many seconds a key was not used, and how often it was: what of both
        the policy asks for.
        """
        recency, frequency = self._recency, self._frequency
        return (
            None if recency is None else recency.idle_seconds(db, key),
            None if frequency is None else frequency.count_of(db, key),
        )

    def note_use(
        self, db: Keyspace, key: bytes, idle_seconds: int | None, frequency: int | None
    ) -> None:
        """Take over how long a key that is there was not used, or how often it was, where
        the policy asks for that; otherwise it counts as used now.
        """
        if self._recency is not None and idle_seconds is not None:
            db.clocks[key] = self._recency.time_before(idle_seconds)
        elif self._frequency is not None and frequency is not None:
            db.clocks[key] = self._frequency.time_with(frequency)

    # -- making room

    def cron(self) -> None:
        """Look how much room the data has, and make some if it is short."""
        if not self.is_limited:
            return
        self._set_overhead(self._engine.settings["maxmemory"])
        if self._engine.used_bytes > self.limit_bytes:
            self.make_room(CRON_BUDGET_S)

    def make_room(self, budget_s: float = BUDGET_S) -> bool:
        """Evict until there is room, for so many seconds. False if nobody can be evicted
        and there is none; True if there is, or will be.
        """
        engine = self._engine
        if engine.busy is not None:
            return True  # Not in the middle of a script, which has asked already.
        if engine.pause is not None and engine.pause.stops_eviction:
            return True
        self._calls += 1
        if self._calls % _CALLS_PER_REVIEW == 0:
            self._set_overhead(engine.settings["maxmemory"])
        started = perf_counter()
        give_up_at = started + budget_s
        # What was removed already is freed before anybody else has to go.
        engine.dispose(budget_s)
        while engine.used_bytes > self.limit_bytes:
            victim = None if self._policy == "noeviction" else self._choose()
            if victim is None:
                return False
            db, key = victim
            db.evict(key)
            if engine.effects is not None:
                engine.effects.end_unit()
            now = perf_counter()
            if now >= give_up_at:
                engine.latency.record("eviction-cycle", int((now - started) * 1000))
                break
        return True

    def _choose(self) -> tuple[Keyspace, bytes] | None:
        """Who has to go; None when there is nobody left."""
        if self._policy == "volatile-ttl":
            return self._choose_by_deadline()
        clock = self.clock
        if clock is None:
            return self._choose_at_random()
        return self._choose_by_clock(clock)

    def _choose_at_random(self) -> tuple[Keyspace, bytes] | None:
        """A key of one database after the other."""
        databases = self._engine.databases
        for _ in databases:
            self._next_database = (self._next_database + 1) % len(databases)
            db = databases[self._next_database]
            keys = sample(db, 1, volatile=self._is_volatile)
            if keys:
                return db, keys[0]
        return None

    def _choose_by_deadline(self) -> tuple[Keyspace, bytes] | None:
        earliest: tuple[int, Keyspace, bytes] | None = None
        for db in self._engine.databases:
            found = earliest_deadline(db)
            if found is not None and (earliest is None or found[0] < earliest[0]):
                earliest = (found[0], db, found[1])
        return None if earliest is None else earliest[1:]

    def _choose_by_clock(self, clock: Clock) -> tuple[Keyspace, bytes] | None:
        """The best candidate of the pool that is still what it was."""
        for _ in range(_TRIES):
            self._fill_pool(clock)
            while self._pool:
                candidate = self._pool.pop()
                if candidate.is_still_one(self._is_volatile):
                    return candidate.db, candidate.key
            if not any(self._has_candidates(db) for db in self._engine.databases):
                return None
        return self._choose_at_random()

    def _has_candidates(self, db: Keyspace) -> bool:
        return bool(db.deadlines if self._is_volatile else db.data)

    def _fill_pool(self, clock: Clock) -> None:
        """Look at some keys of each database; remember the best candidates."""
        pool = self._pool
        for db in self._engine.databases:
            if not self._has_candidates(db):
                continue
            for key in sample(db, self._samples, volatile=self._is_volatile):
                badness = clock.badness(db, key)
                if len(pool) < POOL_SIZE or badness > pool[0].badness:
                    pool.append(_Candidate(db, key, badness))
        pool.sort(key=_badness_of)
        _drop_repeated(pool)
        del pool[:-POOL_SIZE]


class _Candidate:
    """A key that may have to go, how much it deserves to, and its clock at that time."""

    __slots__ = ("badness", "clock", "db", "key")

    def __init__(self, db: Keyspace, key: bytes, badness: int) -> None:
        self.db = db
        self.key = key
        self.clock = db.clocks.get(key)
        self.badness = badness

    def is_still_one(self, is_volatile: bool) -> bool:
        """Whether the key is still there, and was not used since."""
        db, key = self.db, self.key
        if key not in db.data or (is_volatile and db.deadline_of(key) is None):
            return False
        return db.clocks.get(key) == self.clock


def _badness_of(candidate: _Candidate) -> int:
    return candidate.badness


def _drop_repeated(pool: list[_Candidate]) -> None:
    """Keep one candidate of each key: the one that was looked at last."""
    latest = {(candidate.db.index, candidate.key): candidate for candidate in pool}
    if len(latest) < len(pool):
        pool[:] = latest.values()
