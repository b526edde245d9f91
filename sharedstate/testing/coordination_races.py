"""Events, latches, barriers and rate limiters under several workers at once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from sharedstate.testing.background import SECONDS, in_background, listeners, wait_until
from sharedstate.testing.racing import RACERS, Racers

if TYPE_CHECKING:
    from sharedstate.state import State

ROUNDS = 20
WAVES = 5
LIMIT, PERIOD = 20, 0.2
SPAN = 3 * PERIOD
"""Seconds for which racers ask a rate limiter, without a pause."""


def pass_often(state: State, number: int) -> list[tuple[int, int]]:
    """Pass a barrier again and again; the indexes, and how many had come each time."""
    barrier = state.barrier("a", RACERS, timeout=SECONDS)
    come, passed = state.counter("come"), []
    for _ in range(ROUNDS):
        come.add(1)
        index = barrier.wait()
        passed.append((index, come.value))
        barrier.wait()
    return passed


def wait_for_waves(state: State, number: int) -> int:
    """Wait for an event that is set and cleared at once; how often it came."""
    event, woken = state.event("a"), 0
    for _ in range(WAVES):
        woken += event.wait(SECONDS)
        # Else it might find the same set twice.
        wait_until(lambda: not event.is_set())
        state.counter("woken").add(1)
    return woken


def count_and_wait(state: State, number: int) -> list[int]:
    """Count down, twice for the same job, and wait for the others; what was left."""
    latch = state.latch("a", RACERS)
    left = [latch.count_down(key=f"job {number}") for _ in range(2)]
    assert latch.wait(SECONDS)
    return left


def acquire_often(state: State, number: int, quota: dict[str, Any]) -> int:
    """Half of the racers try for a while, half of them wait; how often it was granted."""
    limiter, end = state.rate_limiter("a", **quota), time.monotonic() + SPAN
    granted = 0
    while time.monotonic() < end:
        granted += limiter.acquire(timeout=0.1) if number % 2 else limiter.try_acquire()
    return granted


class CoordinationRaces:
    """Tests with many workers."""

    @pytest.fixture(scope="class")
    @classmethod
    def racers(cls) -> Iterator[Racers]:
        """The workers, for all tests of the class."""
        with Racers() as racers:
            yield racers

    def test_rounds_of_a_barrier_do_not_mix(
        self, shared_state: State, racers: Racers
    ) -> None:
        hands = racers.run(pass_often, shared_state)
        for number, round_of_all in enumerate(zip(*hands, strict=True), start=1):
            assert sorted(index for index, _ in round_of_all) == list(range(RACERS))
            assert {come for _, come in round_of_all} == {number * RACERS}

    def test_every_set_wakes_everybody(self, shared_state: State, racers: Racers) -> None:
        event, woken = shared_state.event("a"), shared_state.counter("woken")
        racing = in_background(lambda: racers.run(wait_for_waves, shared_state))
        for wave in range(1, WAVES + 1):
            wait_until(lambda: listeners(event) == RACERS, 3 * SECONDS)
            event.set()
            event.clear()
            wait_until(lambda count=wave * RACERS: woken.value == count)  # type: ignore[misc]
        assert racing.result(SECONDS) == [WAVES] * RACERS

    def test_a_latch_is_opened_by_all_together(
        self, shared_state: State, racers: Racers
    ) -> None:
        hands = racers.run(count_and_wait, shared_state)
        assert sorted(left for left, _ in hands) == list(range(RACERS))
        assert shared_state.latch("a", RACERS).count == 0

    @pytest.mark.parametrize(
        ("quota", "at_once"),
        [
            ({"strategy": "gcra", "burst": 7}, 7),
            ({"strategy": "fixed_window"}, 2 * LIMIT),
            ({"strategy": "sliding_window"}, LIMIT),
        ],
    )
    def test_a_rate_is_kept_by_all_together(
        self, shared_state: State, racers: Racers, quota: dict[str, Any], at_once: int
    ) -> None:
        quota = {"limit": LIMIT, "period": PERIOD, **quota}
        started = time.monotonic()
        granted = sum(racers.run(acquire_often, shared_state, quota))
        took = time.monotonic() - started
        assert LIMIT < granted <= at_once + LIMIT * took / PERIOD
