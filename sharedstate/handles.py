"""`Handles`: the methods by which a state hands out structures, one for each kind.

They only say what a kind's options are, and leave out those that have their default, since
options travel in every pickle of a handle. `State.structure` makes the handle; what a
plugin provides beyond these kinds is made by it directly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVarTuple, cast, overload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import timedelta

    from sharedstate.state import State
    from sharedstate.structures.barrier import Barrier
    from sharedstate.structures.condition import Condition
    from sharedstate.structures.counter import Counter, FloatCounter
    from sharedstate.structures.election import LeaderElection
    from sharedstate.structures.event import Event
    from sharedstate.structures.latch import CountDownLatch
    from sharedstate.structures.lock import Lock
    from sharedstate.structures.map import Map
    from sharedstate.structures.multilock import MultiLock
    from sharedstate.structures.once import Once
    from sharedstate.structures.queue import Queue
    from sharedstate.structures.rate_limiter import RateLimiter
    from sharedstate.structures.rate_strategy import RateStrategy
    from sharedstate.structures.rwlock import RWLock
    from sharedstate.structures.semaphore import BoundedSemaphore, Semaphore
    from sharedstate.transactions import Transaction

_LOCK_DEFAULTS = {"strategy": None, "ttl": 30.0, "renew": True, "on_lost": None}

Ts = TypeVarTuple("Ts")


class Handles:
    """What `State` offers: a method for each built-in structure."""

    @overload
    def map(
        self, name: str, *, key: type[str] = ..., serializer: str | None = None
    ) -> Map[str, Any]: ...
    @overload
    def map(
        self, name: str, *, key: type[int], serializer: str | None = None
    ) -> Map[int, Any]: ...
    @overload
    def map(
        self, name: str, *, key: type[bytes], serializer: str | None = None
    ) -> Map[bytes, Any]: ...
    @overload
    def map(
        self, name: str, *, key: type[Any], serializer: str | None = None
    ) -> Map[Any, Any]: ...
    def map(
        self, name: str, *, key: type[Any] = str, serializer: str | None = None
    ) -> Map[Any, Any]:
        """The map of a name. `key` is the type of its keys: `str`, `int`, `bytes`, or
        `object` for any that the serializer takes. No round trip."""
        options: dict[str, object] = {} if key is str else {"key": key}
        handle: Map[Any, Any] = self._make(
            "map", name, _with_serializer(options, serializer)
        )
        return handle

    def counter(self, name: str) -> Counter:
        """The counter of a name: whole numbers of 64 bits. No round trip."""
        handle: Counter = self._make("counter", name, {})
        return handle

    def float_counter(self, name: str) -> FloatCounter:
        """The counter of floats of a name. No round trip."""
        handle: FloatCounter = self._make("float_counter", name, {})
        return handle

    def queue(
        self, name: str, *, maxsize: int = 0, serializer: str | None = None
    ) -> Queue[Any]:
        """The queue of a name. `maxsize` bounds it for every producer; 0 is no bound.
        No round trip."""
        options: dict[str, object] = {"maxsize": maxsize} if maxsize else {}
        handle: Queue[Any] = self._make(
            "queue", name, _with_serializer(options, serializer)
        )
        return handle

    def lock(
        self,
        name: str,
        *,
        strategy: str | None = None,
        ttl: float | timedelta = 30.0,
        renew: bool = True,
        on_lost: Callable[[Lock], object] | None = None,
        **options: object,
    ) -> Lock:
        """The lock of a name: held by one at a time, on a lease of `ttl` seconds.

        The lease is renewed while the lock is held, unless `renew` is False; `on_lost`
        is called when it ended all the same. On backends with sessions, who would wait
        for itself gets a `DeadlockError`, unless `find_deadlocks=False` is given. Further
        options are the strategy's, by default that of the settings. No round trip.
        """
        given = {"strategy": strategy, "ttl": ttl, "renew": renew, "on_lost": on_lost}
        for option, value in given.items():
            if value != _LOCK_DEFAULTS[option]:
                options[option] = value
        handle: Lock = self._make("lock", name, options)
        return handle

    def event(self, name: str) -> Event:
        """The event of a name: a flag to set, clear and wait for. No round trip."""
        handle: Event = self._make("event", name, {})
        return handle

    def latch(self, name: str, count: int) -> CountDownLatch:
        """The latch of a name: opens when it was counted down `count` times. No round trip.

        All handles of a name have to have the same count.
        """
        handle: CountDownLatch = self._make("latch", name, {"count": count})
        return handle

    def barrier(
        self,
        name: str,
        parties: int,
        action: Callable[[], object] | None = None,
        timeout: float | timedelta | None = None,
        *,
        lease: float | timedelta = 15.0,
    ) -> Barrier:
        """The barrier of a name: `parties` wait for each other, and pass together.

        The last that comes runs the `action` before anybody passes. `timeout` is what
        `wait` has by default. A party that has shown no sign of life for `lease` seconds is
        dead, where the store cannot tell by itself. No round trip.
        """
        options: dict[str, object] = {"parties": parties}
        if action is not None:
            options["action"] = action
        if timeout is not None:
            options["timeout"] = timeout
        if lease != 15.0:
            options["lease"] = lease
        handle: Barrier = self._make("barrier", name, options)
        return handle

    def rate_limiter(
        self,
        name: str,
        *,
        limit: float,
        period: float | timedelta,
        burst: int | None = None,
        strategy: str | type[RateStrategy] = "gcra",
    ) -> RateLimiter:
        """The rate limiter of a name: `limit` grants in each `period` of seconds.

        The strategy is "gcra", which spreads them and lets up to `burst` come at once (the
        limit by default), "fixed_window", "sliding_window", or a class of your own. What
        each of them allows at most is said by its docstring. No round trip.
        """
        options: dict[str, object] = {"limit": limit, "period": period}
        if burst is not None:
            options["burst"] = burst
        if strategy != "gcra":
            options["strategy"] = strategy
        handle: RateLimiter = self._make("rate_limiter", name, options)
        return handle

    def transaction(
        self, *structures: *Ts, attempts: int = 16, timeout: float | None = None
    ) -> Transaction[*Ts]:
        """A transaction over maps and counters of this state: `transactions.py` tells how
        it is run. It is tried `attempts` times at most, and no longer than `timeout`
        seconds after its first attempt began. No round trip.

        Raises `ConfigError` where the store is spread over nodes, and the structures lie
        on different ones.
        """
        from sharedstate.transactions import Transaction

        state = cast("State", self)
        return Transaction(state, structures, attempts=attempts, timeout=timeout)

    def rwlock(
        self,
        name: str,
        *,
        ttl: float | timedelta = 30.0,
        renew: bool = True,
        on_lost: Callable[[Lock], object] | None = None,
    ) -> RWLock:
        """The read-write lock of a name: many readers, or one writer. No round trip.

        `read()` and `write()` are its sides; the options are those of `lock`.
        """
        given = {"ttl": ttl, "renew": renew, "on_lost": on_lost}
        options = {
            option: value
            for option, value in given.items()
            if value != _LOCK_DEFAULTS[option]
        }
        handle: RWLock = self._make("rwlock", name, options)
        return handle

    def multilock(
        self,
        names: Iterable[str],
        *,
        ttl: float | timedelta = 30.0,
        renew: bool = True,
        on_lost: Callable[[Lock], object] | None = None,
        find_deadlocks: bool | None = None,
        one_by_one: bool = False,
    ) -> MultiLock:
        """The locks of several names as one: all of them are held, or none.

        They are those that `lock(name)` has with the strategy `token`, and exclude these.
        The options are those of `lock`; `one_by_one` takes the names one after the other,
        as is done anyway where the store cannot have all of them in one step. No round
        trip; one for the first of a state on a store that may be spread over nodes.
        """
        from sharedstate.structures.multilock import join_names

        given = {"ttl": ttl, "renew": renew, "on_lost": on_lost}
        options: dict[str, object] = {
            option: value
            for option, value in given.items()
            if value != _LOCK_DEFAULTS[option]
        }
        if find_deadlocks is not None:
            options["find_deadlocks"] = find_deadlocks
        if one_by_one:
            options["one_by_one"] = True
        handle: MultiLock = self._make("multilock", join_names(names), options)
        return handle

    def semaphore(
        self,
        name: str,
        value: int = 1,
        *,
        ttl: float | timedelta = 30.0,
        renew: bool = True,
        on_lost: Callable[[Semaphore], object] | None = None,
    ) -> Semaphore:
        """The semaphore of a name: `value` permits, each held by one, on a lease.

        All handles of a name have to have the same value, unless it was resized. The other
        options are those of `lock`. No round trip.
        """
        handle: Semaphore = self._make(
            "semaphore", name, _semaphore_options(value, ttl, renew, on_lost)
        )
        return handle

    def bounded_semaphore(
        self,
        name: str,
        value: int = 1,
        *,
        ttl: float | timedelta = 30.0,
        renew: bool = True,
        on_lost: Callable[[BoundedSemaphore], object] | None = None,
    ) -> BoundedSemaphore:
        """The same semaphore; releasing too many is a `ValueError` too. No round trip."""
        options = _semaphore_options(value, ttl, renew, on_lost)
        handle: BoundedSemaphore = self._make(
            "semaphore", name, {**options, "bounded": True}
        )
        return handle

    def condition(self, name: str, lock: Lock | None = None) -> Condition:
        """The condition of a name: a lock under which to wait for others. No round trip.

        The lock is a reentrant one of its own, or the one that is given; all handles of a
        name have to have the same.
        """
        handle: Condition = self._make(
            "condition", name, {} if lock is None else {"lock": lock}
        )
        return handle

    def election(
        self,
        name: str,
        *,
        ttl: float | timedelta = 15.0,
        on_elected: Callable[[int], object] | None = None,
        on_lost: Callable[[int], object] | None = None,
    ) -> LeaderElection:
        """The election of a name: one leader at a time among those who stand for it.

        `on_elected` is called with the fencing token when this candidate has become the
        leader, and `on_lost` with the same when it is the leader no more. No round trip.
        """
        given = {"on_elected": on_elected, "on_lost": on_lost}
        options: dict[str, object] = {k: v for k, v in given.items() if v is not None}
        if ttl != 15.0:
            options["ttl"] = ttl
        handle: LeaderElection = self._make("election", name, options)
        return handle

    def once(
        self,
        name: str,
        *,
        ttl: float | timedelta = 30.0,
        result_ttl: float | timedelta | None = None,
        keep_failures: bool = False,
        serializer: str | None = None,
    ) -> Once:
        """What is run once for a name, by one process, and has a result for all.

        The run is held on a lease of `ttl` seconds, and renewed. The result is kept for
        `result_ttl` seconds, by default for ever. With `keep_failures`, an error of the
        function counts as a result; else the next one runs it. No round trip.
        """
        options: dict[str, object] = {}
        if ttl != _LOCK_DEFAULTS["ttl"]:
            options["ttl"] = ttl
        if result_ttl is not None:
            options["result_ttl"] = result_ttl
        if keep_failures:
            options["keep_failures"] = True
        handle: Once = self._make("once", name, _with_serializer(options, serializer))
        return handle

    def _make(self, kind: str, name: str, options: Mapping[str, object]) -> Any:
        """The handle of a kind and name. `State` has it."""
        raise NotImplementedError


def _semaphore_options(
    value: int, ttl: object, renew: bool, on_lost: object
) -> dict[str, object]:
    given = {"value": value, "ttl": ttl, "renew": renew, "on_lost": on_lost}
    defaults = {"value": 1, **_LOCK_DEFAULTS}
    return {name: given[name] for name in given if given[name] != defaults[name]}


def _with_serializer(
    options: dict[str, object], serializer: str | None
) -> dict[str, object]:
    """Options hold only what differs from the default: they travel in every pickle."""
    if serializer is not None:
        options["serializer"] = serializer
    return options
