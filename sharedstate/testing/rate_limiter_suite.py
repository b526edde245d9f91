"""What rate limiters must do on every backend.

How each strategy spreads its grants is checked elsewhere, with a clock that the test
moves. Here is what takes a store and a real clock. Periods are an hour long where nothing
is to come back during a test, and refills are waited for by who waits for a grant.
"""

from __future__ import annotations

import pickle
import time
from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from sharedstate.errors import ConfigError
from sharedstate.structures.rate_gcra import Gcra
from sharedstate.structures.rate_limiter import RateLimiter
from sharedstate.testing.background import (
    SECONDS,
    Interrupted,
    in_background,
    interrupted_in,
    wait_until,
)

if TYPE_CHECKING:
    from sharedstate.state import State
    from sharedstate.structures.rate_strategy import Quota

STRATEGIES = ("gcra", "fixed_window", "sliding_window")
each_strategy = pytest.mark.parametrize("rates", STRATEGIES)

HOUR = 3600.0
SHORT = 0.1


class OneAtATime(Gcra):
    """A strategy of a program: no bursts, whatever was asked for."""

    given: ClassVar[list[str]] = []

    def prepare(self, quota: Quota) -> tuple[int, tuple[int | float, ...]]:
        """A burst of 1."""
        self.given.append(quota.name)
        return 1, (quota.period * 1e6 / quota.limit, 1)


class RateLimiterGrants:
    """What is granted at once, and what is not."""

    @each_strategy
    def test_the_limit_is_granted_and_no_more(
        self, shared_state: State, rates: str
    ) -> None:
        limiter = _hourly(shared_state, rates, 3)
        assert limiter.remaining == 3
        assert [limiter.try_acquire() for _ in range(4)] == [True, True, True, False]
        assert limiter.remaining == 0
        assert not _hourly(shared_state, rates, 3).try_acquire()
        assert shared_state.rate_limiter("b", limit=3, period=HOUR).try_acquire()

    @each_strategy
    def test_several_are_granted_all_or_none(self, shared_state: State, rates: str) -> None:
        limiter = _hourly(shared_state, rates, 5)
        assert limiter.try_acquire(3)
        assert not limiter.try_acquire(3)
        assert limiter.remaining == 2
        assert limiter.try_acquire(2)

    @each_strategy
    def test_more_than_could_ever_be_granted_is_an_error(
        self, shared_state: State, rates: str
    ) -> None:
        limiter = _hourly(shared_state, rates, 3)
        for call in (limiter.try_acquire, limiter.acquire, limiter.retry_after):
            for n in (4, 0, -1):
                with pytest.raises(ValueError, match="from 1 to 3 grants at once"):
                    call(n)
            for wrong in (1.0, True, "1", None):
                with pytest.raises(TypeError, match="int"):
                    call(wrong)  # type: ignore[arg-type]
        assert limiter.remaining == 3

    @each_strategy
    def test_it_tells_when_to_come_again(self, shared_state: State, rates: str) -> None:
        limiter = _hourly(shared_state, rates, 3)
        assert limiter.retry_after() == limiter.retry_after(3) == 0.0
        assert limiter.try_acquire(3)
        first = limiter.retry_after()
        assert 0.0 < first <= HOUR
        assert first - HOUR / 100 < limiter.retry_after(3) <= HOUR

    @each_strategy
    def test_who_would_wait_too_long_is_told_at_once(
        self, shared_state: State, rates: str
    ) -> None:
        limiter = _hourly(shared_state, rates, 1)
        assert limiter.acquire(timeout=0)
        waited = limiter.retry_after()
        started = time.monotonic()
        for timeout in (0, waited / 2, timedelta(seconds=waited / 2)):
            assert not limiter.acquire(timeout=timeout)
        assert time.monotonic() - started < waited / 2
        assert limiter.retry_after() <= waited

    @each_strategy
    def test_a_reset_forgets_all(self, shared_state: State, rates: str) -> None:
        limiter = _hourly(shared_state, rates, 2)
        assert limiter.try_acquire(2)
        limiter.reset()
        assert limiter.remaining == 2
        assert list(shared_state.names()) == []

    @each_strategy
    def test_its_state_expires(self, shared_state: State, rates: str) -> None:
        limiter = shared_state.rate_limiter("a", limit=2, period=60, strategy=rates)
        assert limiter.try_acquire()
        keys = shared_state.backend.execute(("KEYS", f"{limiter._context.prefix}:*"))
        assert keys
        for key in keys:
            assert 0 < shared_state.backend.execute(("PTTL", key)) <= 120_000

    @each_strategy
    def test_looking_changes_nothing(self, shared_state: State, rates: str) -> None:
        limiter = _hourly(shared_state, rates, 2)
        assert (limiter.remaining, limiter.retry_after(2)) == (2, 0.0)
        assert list(shared_state.names()) == []

    def test_rates_below_one_are_rates(self, shared_state: State) -> None:
        limiter = shared_state.rate_limiter("a", limit=0.5, period=HOUR)
        assert (limiter.try_acquire(), limiter.try_acquire()) == (True, False)
        assert HOUR < limiter.retry_after() <= 2 * HOUR

    def test_the_burst_is_what_may_come_at_once(self, shared_state: State) -> None:
        limiter = shared_state.rate_limiter("a", limit=2, period=HOUR, burst=5)
        assert limiter.remaining == 5
        assert limiter.try_acquire(5)
        assert HOUR / 4 < limiter.retry_after() <= HOUR / 2

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({"limit": 0}, "above zero"),
            ({"limit": -1}, "above zero"),
            ({"limit": float("inf")}, "finite"),
            ({"limit": "5"}, "limit as a float"),
            ({"limit": True}, "limit as a float"),
            ({"period": 0}, "above zero"),
            ({"period": float("nan")}, "finite"),
            ({"period": "1"}, "duration"),
            ({"limit": 2e6}, "not more than 1,000,000 a second"),
            ({"burst": 0}, "burst of at least 1"),
            ({"burst": 1.5}, "burst of at least 1"),
            ({"burst": 10**12, "period": HOUR}, "within 30 years"),
            ({"strategy": "leaky"}, "one of gcra, fixed_window, sliding_window"),
            ({"strategy": int}, "subclass of RateStrategy"),
            ({"strategy": "fixed_window", "burst": 5}, "no burst"),
            ({"strategy": "fixed_window", "limit": 0.5}, "whole limit"),
            ({"strategy": "sliding_window", "limit": 1.5}, "whole limit"),
            ({"strategy": "sliding_window", "limit": 20_000}, "to 10,000"),
            ({"rate": 5}, "no option rate"),
        ],
    )
    def test_senseless_options_are_errors(
        self, shared_state: State, options: dict[str, Any], words: str
    ) -> None:
        with pytest.raises(ConfigError, match=words):
            shared_state.structure(
                "rate_limiter", "a", **{"limit": 5, "period": 1, **options}
            )

    @pytest.mark.parametrize("timeout", [-1, -0.001, float("nan"), timedelta(days=-1)])
    def test_a_negative_time_is_an_error(
        self, shared_state: State, timeout: float | timedelta
    ) -> None:
        with pytest.raises(ValueError, match="non-negative"):
            _hourly(shared_state, "gcra", 1).acquire(timeout=timeout)

    def test_a_program_may_bring_its_strategy(self, shared_state: State) -> None:
        limiter = shared_state.rate_limiter("a", limit=5, period=HOUR, strategy=OneAtATime)
        assert OneAtATime.given[-1] == "a"
        assert (limiter.try_acquire(), limiter.try_acquire()) == (True, False)


class RateLimiterWaiting:
    """Who waits gets a moment of its own."""

    @each_strategy
    def test_who_waits_is_granted_in_time(self, shared_state: State, rates: str) -> None:
        limiter = shared_state.rate_limiter("a", limit=2, period=SHORT, strategy=rates)
        while limiter.try_acquire():
            pass
        assert limiter.acquire(2, timeout=SECONDS)

    @each_strategy
    def test_places_are_given_in_order_and_without_asking_again(
        self, shared_state: State, rates: str
    ) -> None:
        limiter = _hourly(shared_state, rates, 2)
        assert limiter.try_acquire(2)
        places = [limiter._strategy.reserve(1, None) for _ in range(5)]
        waits = [place.wait for place in places if place is not None]
        # Each is told anew how long it is from its own now.
        slack = HOUR / 100
        assert len(waits) == 5
        assert all(b > a - slack for a, b in pairwise(waits))
        assert waits[4] - waits[0] > HOUR - slack
        assert not limiter.acquire(timeout=waits[4] - slack)

    @each_strategy
    def test_a_place_that_is_given_up_is_given_back(
        self, shared_state: State, rates: str
    ) -> None:
        limiter = _hourly(shared_state, rates, 2)
        assert limiter.try_acquire(2)
        before = limiter.retry_after()
        with pytest.raises(Interrupted), interrupted_in("_sleep"):
            limiter.acquire()
        assert limiter.retry_after() <= before

    @each_strategy
    def test_places_that_are_given_up_in_any_order_are_given_back(
        self, shared_state: State, rates: str
    ) -> None:
        limiter = _hourly(shared_state, rates, 2)
        assert limiter.try_acquire(2)
        before = limiter.retry_after()
        places = [limiter._strategy.reserve(n, None) for n in (1, 2, 1, 1)]
        for index, n in ((1, 2), (0, 1), (3, 1), (2, 1)):
            place = places[index]
            assert place is not None
            limiter._strategy.give_back(n, place.ticket)
        assert limiter.retry_after() <= before

    @each_strategy
    def test_the_body_of_a_with_block_runs_when_it_is_granted(
        self, shared_state: State, rates: str
    ) -> None:
        limiter = _hourly(shared_state, rates, 3)
        with limiter as entered:
            assert entered is limiter
            assert limiter.remaining == 2

        @limiter
        def call(value: int) -> int:
            return value + 1

        assert (call(1), call(2)) == (2, 3)
        assert limiter.remaining == 0

    def test_an_error_in_the_block_comes_through(self, shared_state: State) -> None:
        with pytest.raises(KeyError), _hourly(shared_state, "gcra", 3):
            raise KeyError

    @each_strategy
    def test_many_who_wait_ask_once_each(self, shared_state: State, rates: str) -> None:
        limiter = shared_state.rate_limiter("a", limit=10, period=SHORT, strategy=rates)
        asked: list[int] = []
        reserve = limiter._strategy.reserve

        def count(n: int, within: float | None) -> Any:
            asked.append(n)
            return reserve(n, within)

        limiter._strategy.reserve = count  # type: ignore[method-assign]
        waiting = [in_background(limiter.acquire) for _ in range(30)]
        assert [each.result(SECONDS) for each in waiting] == [True] * 30
        assert asked == [1] * 30

    @each_strategy
    def test_a_handle_travels(self, shared_state: State, rates: str) -> None:
        limiter = _hourly(shared_state, rates, 3)
        kind, words = limiter.__reduce__()[:2]
        assert pickle.loads(pickle.dumps(words[3])) == limiter._options
        again = kind(*words)
        assert isinstance(again, RateLimiter)
        assert again.try_acquire(3)
        assert not limiter.try_acquire()


def _hourly(state: State, rates: str, limit: int) -> RateLimiter:
    """A limiter whose window does not end during a test."""
    if rates == "fixed_window":
        wait_until(lambda: HOUR - time.time() % HOUR > SECONDS, 2 * SECONDS)
    return state.rate_limiter("a", limit=limit, period=HOUR, strategy=rates)


class RateLimiterSuite(RateLimiterGrants, RateLimiterWaiting):
    """Tests of `RateLimiter`. A backend's own test class inherits them."""
