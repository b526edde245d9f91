"""The part of the queue suite that waits."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

import sharedstate.waiting
from sharedstate.errors import QueueEmpty, QueueFull
from sharedstate.testing.background import (
    SECONDS,
    Interrupted,
    in_background,
    interrupted_in,
    wait_until,
    waiters,
)

if TYPE_CHECKING:
    from sharedstate.state import State

SHORT = 0.05


class QueueWaiting:
    """Calls that wait are woken, give up in time, and leave nothing behind."""

    def test_a_waiting_getter_is_woken_by_a_put(self, shared_state: State) -> None:
        jobs = shared_state.queue("jobs")
        getting = in_background(jobs.get)
        wait_until(lambda: waiters(jobs, "getters") == 1)
        jobs.put("a")
        assert getting.result(SECONDS) == "a"
        assert waiters(jobs, "getters") == 0

    def test_a_waiting_putter_is_woken_by_a_get(self, shared_state: State) -> None:
        jobs = shared_state.queue("jobs", maxsize=1)
        jobs.put("a")
        putting = in_background(lambda: jobs.put("b"))
        wait_until(lambda: waiters(jobs, "putters") == 1)
        assert jobs.get() == "a"
        putting.result(SECONDS)
        assert jobs.get() == "b"

    def test_a_wake_up_that_was_lost_is_made_up_for_by_who_finds_nothing(
        self, shared_state: State, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sharedstate.waiting, "WAIT_CHUNK", 10 * SECONDS)
        jobs = shared_state.queue("jobs", maxsize=1)
        jobs.put("a")
        putting = in_background(lambda: jobs.put("b"))
        wait_until(lambda: waiters(jobs, "putters") == 1)
        # As if another putter had been woken for the room, and killed.
        items = jobs._context.key("items")
        assert shared_state.backend.execute(("DEL", items)) == 1
        assert in_background(jobs.get).result(SECONDS) == "b"
        putting.result(SECONDS)

    def test_a_waiting_putter_is_woken_by_clearing(self, shared_state: State) -> None:
        jobs = shared_state.queue("jobs", maxsize=1)
        jobs.put("a")
        putting = in_background(lambda: jobs.put("b"))
        wait_until(lambda: waiters(jobs, "putters") == 1)
        jobs.clear()
        putting.result(SECONDS)
        assert jobs.get() == "b"

    def test_every_item_of_a_batch_wakes_a_getter(self, shared_state: State) -> None:
        jobs = shared_state.queue("jobs")
        getting = [in_background(jobs.get) for _ in range(3)]
        wait_until(lambda: waiters(jobs, "getters") == 3)
        jobs.put_many("abc")
        assert sorted(future.result(SECONDS) for future in getting) == ["a", "b", "c"]

    def test_a_batch_goes_in_as_room_appears(self, shared_state: State) -> None:
        jobs = shared_state.queue("jobs", maxsize=2)
        putting = in_background(lambda: jobs.put_many(range(9)))
        assert [jobs.get() for _ in range(9)] == list(range(9))
        assert putting.result(SECONDS) == 9

    def test_a_batch_out_of_time_says_how_many_went_in(self, shared_state: State) -> None:
        jobs = shared_state.queue("jobs", maxsize=2)
        assert jobs.put_many("abc", timeout=SHORT) == 2
        with pytest.raises(QueueFull):
            jobs.put_many("c", timeout=SHORT)
        assert waiters(jobs, "putters") == 0

    def test_getting_many_waits_for_the_first(self, shared_state: State) -> None:
        jobs = shared_state.queue("jobs")
        getting = in_background(lambda: jobs.get_many(5))
        wait_until(lambda: waiters(jobs, "getters") == 1)
        jobs.put_many("ab")
        assert getting.result(SECONDS) == ["a", "b"]

    @pytest.mark.parametrize("timeout", [SHORT, timedelta(seconds=SHORT)])
    def test_a_getter_gives_up_in_time(
        self, shared_state: State, timeout: float | timedelta
    ) -> None:
        jobs = shared_state.queue("jobs")
        started = time.monotonic()
        with pytest.raises(QueueEmpty):
            jobs.get(timeout=timeout)
        # Stores count milliseconds.
        assert time.monotonic() - started >= SHORT - 0.002
        assert waiters(jobs, "getters") == 0

    def test_a_putter_gives_up_in_time(self, shared_state: State) -> None:
        jobs = shared_state.queue("jobs", maxsize=1)
        jobs.put("a")
        with pytest.raises(QueueFull):
            jobs.put("b", timeout=SHORT)
        assert waiters(jobs, "putters") == 0
        assert jobs.qsize() == 1

    def test_no_time_at_all_is_not_for_ever(self, shared_state: State) -> None:
        jobs = shared_state.queue("jobs", maxsize=1)
        with pytest.raises(QueueEmpty):
            jobs.get(timeout=0)
        jobs.put("a", timeout=0)
        with pytest.raises(QueueFull):
            jobs.put("b", timeout=0)

    @pytest.mark.parametrize("timeout", [-1, -0.001, float("nan"), timedelta(days=-1)])
    def test_a_negative_time_is_an_error(
        self, shared_state: State, timeout: float | timedelta
    ) -> None:
        jobs = shared_state.queue("jobs")
        for call in (
            lambda: jobs.get(timeout=timeout),
            lambda: jobs.put("a", timeout=timeout),
            lambda: jobs.join(timeout=timeout),
        ):
            with pytest.raises(ValueError, match="non-negative"):
                call()
        assert jobs.empty()

    def test_an_interrupted_getter_leaves_nothing_behind(self, shared_state: State) -> None:
        jobs = shared_state.queue("jobs")
        with pytest.raises(QueueEmpty):
            jobs.get(timeout=SHORT)  # so that there is a connection to wait on
        with pytest.raises(Interrupted), interrupted_in("wait_for"):
            jobs.get()
        assert waiters(jobs, "getters") == 0
        jobs.put("a")
        assert jobs.get(timeout=SECONDS) == "a"

    def test_a_wake_up_that_was_lost_delays_and_no_more(
        self, shared_state: State, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sharedstate.waiting, "WAIT_CHUNK", SHORT)
        jobs = shared_state.queue("jobs")
        getting = in_background(jobs.get)
        wait_until(lambda: waiters(jobs, "getters") == 1)
        # The item comes, and nobody says so.
        data = shared_state.queue("jobs")._dumps("a")
        shared_state.backend.execute(("RPUSH", jobs._context.key("items"), data))
        assert getting.result(SECONDS) == "a"

    def test_a_count_left_by_a_killed_waiter_does_no_harm(
        self, shared_state: State
    ) -> None:
        jobs = shared_state.queue("jobs")
        shared_state.backend.execute(("HINCRBY", jobs._context.key("meta"), "getters", 3))
        jobs.put_many("ab")
        assert jobs.get_many(2) == ["a", "b"]
        # Two tokens were sent that nobody waited for: two needless questions.
        getting = in_background(jobs.get)
        wait_until(lambda: waiters(jobs, "getters") == 4)
        jobs.put("c")
        assert getting.result(SECONDS) == "c"
        with pytest.raises(QueueEmpty):
            jobs.get(timeout=SHORT)
