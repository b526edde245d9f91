"""The strategies of rate limiting, with a clock that the test moves: exact, and bounded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import sharedstate
from sharedstate.backend import Backend
from sharedstate.structures.rate_limiter import RateLimiter
from sharedstate.structures.rate_strategy import Place
from sharedstate_memory.backend import MemoryBackend
from sharedstate_memory.engine import Engine

START_US = 1_700_000_000_123_456
STRATEGIES = ("gcra", "fixed_window", "sliding_window")


@dataclass
class Clock:
    """The store's clock, in microseconds."""

    now: int = START_US


@dataclass
class Limiter:
    """A limiter over a store of its own, whose clock is moved, and what it has granted."""

    strategy: str
    limit: float
    period_us: int
    burst: int | None = None
    clock: Clock = field(default_factory=Clock)
    taken: dict[int, tuple[int, int, bytes]] = field(default_factory=dict)
    """By number: the moment, how many, and the ticket."""

    def __post_init__(self) -> None:
        state = sharedstate.connect("memory://")
        self.backend: Backend = state.backend
        assert isinstance(self.backend, MemoryBackend)
        store: Any = self.backend._store
        store.engine = Engine(
            clock_ms=lambda: self.clock.now // 1000,
            clock_us=lambda: self.clock.now,
            random=Random(7),
        )
        self.limiter: RateLimiter = state.rate_limiter(
            "a",
            limit=self.limit,
            period=self.period_us / 1e6,
            burst=self.burst,
            strategy=self.strategy,
        )
        self.most = self.limiter._strategy.most

    def reserve(self, n: int, within_us: int | None = None) -> int | None:
        """The moment of a place, or None if there is none in time."""
        within = None if within_us is None else within_us / 1e6
        place: Place | None = self.limiter._strategy.reserve(n, within)
        if place is None:
            return None
        moment = self.clock.now + round(place.wait * 1e6)
        self.taken[len(self.taken)] = (moment, n, place.ticket)
        return moment

    def give_back(self, number: int) -> None:
        """Give back what was reserved as that number, if it was."""
        moment, n, ticket = self.taken.pop(number, (0, 0, b""))
        if n:
            self.taken[number] = (moment, 0, ticket)
            self.limiter._strategy.give_back(n, ticket)

    @property
    def grants(self) -> list[tuple[int, int]]:
        """The moments of all grants and how many each was, in order."""
        return sorted((moment, n) for moment, n, _ in self.taken.values() if n)


def check_gcra(limiter: Limiter) -> None:
    """In any stretch of time, ends included: the burst, and the limit times its part."""
    grants = limiter.grants
    for first, (begin, _) in enumerate(grants):
        total = 0
        for end, n in grants[first:]:
            total += n
            # Waits are rounded up to microseconds, so a stretch may look that much shorter.
            stretch = end - begin + 2
            assert (
                total <= limiter.most + limiter.limit * stretch / limiter.period_us + 1e-6
            )


def check_fixed_window(limiter: Limiter) -> None:
    """In each window, the limit; in any period, twice the limit."""
    windows: dict[int, int] = {}
    for moment, n in limiter.grants:
        windows[moment // limiter.period_us] = (
            windows.get(moment // limiter.period_us, 0) + n
        )
    assert all(total <= limiter.limit for total in windows.values())
    assert most_in_a_period(limiter) <= 2 * limiter.limit


def check_sliding_window(limiter: Limiter) -> None:
    """In any period, one end included: the limit."""
    assert most_in_a_period(limiter) <= limiter.limit


def most_in_a_period(limiter: Limiter) -> int:
    grants = limiter.grants
    return max(
        (
            sum(n for moment, n in grants if 0 <= moment - begin < limiter.period_us)
            for begin, _ in grants
        ),
        default=0,
    )


CHECKS = {
    "gcra": check_gcra,
    "fixed_window": check_fixed_window,
    "sliding_window": check_sliding_window,
}


def model_gcra(limiter: Limiter, asked: list[tuple[int, int]]) -> Iterator[int]:
    """The moments of a bucket of exact fractions of tokens, for (time, n) in order."""
    interval = Fraction(limiter.period_us) / Fraction(limiter.limit)
    arrival = Fraction(0)
    for now, n in asked:
        arrival = max(arrival, Fraction(now)) + n * interval
        yield max(now, round(arrival - limiter.most * interval))


def model_fixed_window(limiter: Limiter, asked: list[tuple[int, int]]) -> Iterator[int]:
    """The moments when windows are filled one after the other."""
    window, used = 0, 0
    for now, n in asked:
        if now // limiter.period_us > window:
            window, used = now // limiter.period_us, 0
        if used + n > limiter.limit:
            window, used = window + 1, 0
        used += n
        yield max(now, window * limiter.period_us)


def model_sliding_window(limiter: Limiter, asked: list[tuple[int, int]]) -> Iterator[int]:
    """The first moments in order at which the window before has room."""
    log: list[int] = []
    for now, n in asked:
        moment = max([now, *log[-1:]])
        excess = len([each for each in log if each > moment - limiter.period_us]) + n
        while excess > limiter.limit:
            moment = (
                min(e for e in log if e > moment - limiter.period_us) + limiter.period_us
            )
            excess = len([each for each in log if each > moment - limiter.period_us]) + n
        log += [moment] * n
        yield moment


MODELS = {
    "gcra": model_gcra,
    "fixed_window": model_fixed_window,
    "sliding_window": model_sliding_window,
}

quotas = st.tuples(
    st.integers(1, 6),
    st.sampled_from([1_000, 333_333, 1_000_000, 60_000_000]),
    st.one_of(st.none(), st.integers(1, 8)),
    st.floats(0.1, 0.9),
)
steps = st.lists(
    st.tuples(
        st.sampled_from(["try", "wait", "within", "give back", "give back"]),
        st.integers(1, 4),
        st.floats(0, 1.3),
        st.integers(0, 12),
    ),
    max_size=40,
)
patiently = settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


def make(strategy: str, quota: tuple[int, int, int | None, float]) -> Limiter:
    limit, period_us, burst, part = quota
    if strategy == "gcra":
        return Limiter(strategy, limit + part, period_us, burst)
    return Limiter(strategy, limit, period_us)


@pytest.mark.parametrize("strategy", STRATEGIES)
@patiently
@given(quota=quotas, steps=steps)
def test_no_window_has_more_grants_than_promised(
    strategy: str, quota: tuple[int, int, int | None, float], steps: list[Any]
) -> None:
    limiter = make(strategy, quota)
    for what, n, part, number in steps:
        limiter.clock.now += round(part**3 * limiter.period_us)
        n = min(n, limiter.most)
        if what == "give back":
            limiter.give_back(number)
        else:
            limiter.reserve(n, {"try": 0, "wait": None}.get(what, limiter.period_us))
    CHECKS[strategy](limiter)


@pytest.mark.parametrize("strategy", STRATEGIES)
@patiently
@given(
    quota=quotas,
    asked=st.lists(st.tuples(st.floats(0, 1.3), st.integers(1, 4)), max_size=40),
)
def test_the_moments_of_places_are_those_of_the_model(
    strategy: str,
    quota: tuple[int, int, int | None, float],
    asked: list[tuple[float, int]],
) -> None:
    limiter = make(strategy, quota)
    times, moments = [], []
    for part, n in asked:
        limiter.clock.now += round(part**3 * limiter.period_us)
        count = min(n, limiter.most)
        waits, free = limiter.limiter.retry_after(count), limiter.limiter.remaining
        moment = limiter.reserve(count)
        assert moment is not None
        assert moment == limiter.clock.now + round(waits * 1e6)
        assert (moment == limiter.clock.now) == (count <= free)
        times.append((limiter.clock.now, count))
        moments.append(moment)
    for moment, expected in zip(moments, MODELS[strategy](limiter, times), strict=True):
        assert abs(moment - expected) <= 1


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_what_is_tried_in_vain_changes_nothing(strategy: str) -> None:
    limiter = Limiter(strategy, 2, 1_000_000)
    assert limiter.reserve(2) == START_US
    waits = limiter.limiter.retry_after()
    for _ in range(5):
        assert limiter.reserve(1, 0) is None
    assert limiter.limiter.retry_after() == waits


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 1, 0), (1, 3, 0, 2), (2, 0, 3, 1)])
def test_when_all_who_wait_go_away_nothing_is_left_of_them(
    strategy: str, order: tuple[int, ...]
) -> None:
    limiter = Limiter(strategy, 2, 1_000_000)
    limiter.reserve(2)
    waits = limiter.limiter.retry_after(), limiter.limiter.retry_after(2)
    places = [limiter.reserve(1) for _ in range(4)]
    for number in order:
        limiter.give_back(1 + number)
    assert (limiter.limiter.retry_after(), limiter.limiter.retry_after(2)) == waits
    assert [limiter.reserve(1) for _ in range(4)] == places


def test_a_place_in_the_middle_is_taken_by_the_next_who_comes() -> None:
    limiter = Limiter("gcra", 1, 1_000_000)
    places = [limiter.reserve(1) for _ in range(5)]
    limiter.give_back(2)
    assert limiter.reserve(1) == places[2]
    assert limiter.reserve(1) == START_US + 5_000_000
    # One whose moment has passed is nobody's.
    limiter.give_back(3)
    limiter.clock.now += 3_500_000
    assert limiter.reserve(1) == START_US + 6_000_000
    check_gcra(limiter)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_limiter_that_was_idle_is_as_new(strategy: str) -> None:
    limiter = Limiter(strategy, 3, 1_000_000)
    for _ in range(3):
        limiter.reserve(1)
    limiter.reserve(2)
    assert limiter.backend.execute(("DBSIZE",)) > 0
    limiter.clock.now += 4_000_000
    assert limiter.limiter.remaining == 3
    assert limiter.backend.execute(("KEYS", "*")) == []


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_clock_that_is_set_back_does_not_stop_the_limiter(strategy: str) -> None:
    limiter = Limiter(strategy, 2, 1_000_000)
    limiter.reserve(2)
    limiter.clock.now -= 3_600_000_000
    waited = 0
    while limiter.reserve(1, 0) is None:
        limiter.clock.now += 100_000
        waited += 100_000
        assert waited <= 1_000_000


def test_fast_rates_are_not_rounded() -> None:
    # A third of a microsecond would be a quarter, or a half, in one double of this size.
    limiter = Limiter("gcra", 900_000, 1_000_000, burst=1)
    first = limiter.reserve(1)
    for _ in range(9_000):
        last = limiter.reserve(1)
    assert first is not None
    assert last is not None
    assert abs(last - first - 10_000) <= 1
