"""What latches must do on every backend."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from sharedstate.backend import Capability
from sharedstate.errors import ConfigError
from sharedstate.news import wait_for_news
from sharedstate.structures.latch import _OpenedSince
from sharedstate.testing.background import (
    SECONDS,
    Interrupted,
    in_background,
    interrupted_in,
    listeners,
    wait_until,
)
from sharedstate.testing.processes import run_in_workers
from sharedstate.waiting import Deadline

if TYPE_CHECKING:
    from collections.abc import Callable

    from sharedstate.state import State

SHORT = 0.05


def count_down_and_wait(latch: Any) -> bool:
    """Say that this worker is there, and wait for the others."""
    latch.count_down()
    opened: bool = latch.wait(SECONDS)
    return opened


class LatchCounting:
    """How a latch counts."""

    def test_it_opens_when_it_was_counted_down(self, shared_state: State) -> None:
        latch = shared_state.latch("a", 3)
        assert latch.count == 3
        assert (latch.count_down(), latch.count_down()) == (2, 1)
        assert not latch.wait(0)
        assert latch.count_down() == 0
        assert latch.wait() is latch.wait(0) is latch.wait(-1) is True

    def test_it_never_falls_below_zero(self, shared_state: State) -> None:
        latch = shared_state.latch("a", 3)
        assert latch.count_down(2) == 1
        assert latch.count_down(5) == latch.count_down() == latch.count == 0
        assert latch.count_down(2**70) == 0

    def test_a_count_of_zero_is_open(self, shared_state: State) -> None:
        assert shared_state.latch("a", 0).wait(0)
        assert shared_state.latch("a", 0).count_down() == 0

    def test_large_counts_are_exact(self, shared_state: State) -> None:
        latch = shared_state.latch("a", 2**53 - 1)
        assert latch.count_down() == latch.count == 2**53 - 2
        assert latch.count_down(2**53 - 2) == 0

    def test_a_key_counts_once(self, shared_state: State) -> None:
        latch = shared_state.latch("a", 3)
        assert [latch.count_down(key="job 1") for _ in range(3)] == [2, 2, 2]
        assert shared_state.latch("a", 3).count_down(key="job 1") == 2
        assert latch.count_down(2, key="job 2") == 0

    def test_a_reset_begins_a_new_round(self, shared_state: State) -> None:
        latch = shared_state.latch("a", 2)
        latch.count_down(2, key="job 1")
        latch.reset()
        assert latch.count == 2
        assert not latch.wait(0)
        assert latch.count_down(key="job 1") == 1

    def test_all_have_to_agree_on_the_count(self, shared_state: State) -> None:
        shared_state.latch("a", 3).count_down()
        other = shared_state.latch("a", 4)
        calls: tuple[Callable[[], object], ...] = (
            other.count_down,
            other.wait,
            lambda: other.count,
        )
        for call in calls:
            with pytest.raises(ConfigError, match="a count of 3, and this handle with 4"):
                call()
        assert shared_state.latch("a", 3).count == 2
        other.reset()
        assert other.count == 4

    def test_who_waits_first_makes_the_latch(self, shared_state: State) -> None:
        assert not shared_state.latch("a", 3).wait(0)
        with pytest.raises(ConfigError, match="a count of 3"):
            shared_state.latch("a", 4).count_down()

    def test_to_look_makes_nothing(self, shared_state: State) -> None:
        assert shared_state.latch("a", 3).count == 3
        assert list(shared_state.names()) == []

    @pytest.mark.parametrize("count", [-1, 1.5, True, "3", None, 2**53])
    def test_senseless_counts_are_errors(self, shared_state: State, count: Any) -> None:
        with pytest.raises(ConfigError, match="expected a count from 0"):
            shared_state.latch("a", count)

    def test_other_options_are_errors(self, shared_state: State) -> None:
        with pytest.raises(ConfigError, match="no option ttl"):
            shared_state.structure("latch", "a", count=1, ttl=5)

    def test_senseless_arguments_are_errors(self, shared_state: State) -> None:
        latch: Any = shared_state.latch("a", 3)
        for n in (0, -1):
            with pytest.raises(ValueError, match="at least 1"):
                latch.count_down(n)
        for wrong in (1.0, True, "1"):
            with pytest.raises(TypeError, match="int"):
                latch.count_down(wrong)
        for key in ("", b"k", 5):
            with pytest.raises(ValueError, match="a key as a text"):
                latch.count_down(key=key)
        assert latch.count == 3


class LatchWaiting:
    """Who waits is let through once it opens, and leaves nothing behind."""

    def test_all_who_wait_are_let_through(self, shared_state: State) -> None:
        latch = shared_state.latch("a", 2)
        sleeping = [in_background(latch.wait) for _ in range(4)]
        wait_until(lambda: listeners(latch) == 4)
        latch.count_down()
        assert not any(each.done() for each in sleeping)
        latch.count_down()
        assert [each.result(SECONDS) for each in sleeping] == [True] * 4

    def test_an_opening_that_is_undone_at_once_lets_who_waited_through(
        self, shared_state: State
    ) -> None:
        latch = shared_state.latch("a", 1)
        for _ in range(5):
            sleeping = [in_background(latch.wait) for _ in range(3)]
            wait_until(lambda: listeners(latch) == 3)
            latch.count_down()
            latch.reset()
            assert [each.result(SECONDS) for each in sleeping] == [True] * 3
            assert not latch.wait(0)

    def test_who_missed_the_message_learns_of_an_opening_by_its_number(
        self, shared_state: State
    ) -> None:
        latch = shared_state.latch("a", 1)
        since = _OpenedSince(latch, latch._run("look", 1)[1])
        assert wait_for_news(latch._context, since, Deadline(SHORT)) is None
        latch.count_down()
        latch.reset()
        assert wait_for_news(latch._context, since, Deadline(SECONDS)) is True

    def test_who_waits_over_a_reset_waits_on(self, shared_state: State) -> None:
        latch = shared_state.latch("a", 2)
        latch.count_down()
        sleeping = in_background(latch.wait)
        wait_until(lambda: listeners(latch) == 1)
        latch.reset()
        latch.count_down()
        assert not latch.wait(0)
        latch.count_down()
        assert sleeping.result(SECONDS)

    def test_a_reset_to_nothing_lets_who_waits_through(self, shared_state: State) -> None:
        sleeping = in_background(shared_state.latch("a", 2).wait)
        wait_until(lambda: listeners(shared_state.latch("a", 2)) == 1)
        shared_state.latch("a", 0).reset()
        assert sleeping.result(SECONDS)

    @pytest.mark.parametrize("timeout", [0, -1, SHORT, timedelta(seconds=SHORT)])
    def test_a_waiter_gives_up_in_time(
        self, shared_state: State, timeout: float | timedelta
    ) -> None:
        latch = shared_state.latch("a", 1)
        assert latch.wait(timeout) is False
        wait_until(lambda: listeners(latch) == 0)

    def test_an_interrupted_waiter_leaves_nothing_behind(self, shared_state: State) -> None:
        latch = shared_state.latch("a", 1)
        with pytest.raises(Interrupted), interrupted_in("get"):
            latch.wait()
        wait_until(lambda: listeners(latch) == 0)
        assert latch.count_down() == 0

    def test_workers_wait_for_each_other(self, shared_state: State) -> None:
        if Capability.PROCESSES not in shared_state.capabilities:
            pytest.skip("other processes cannot reach this backend")
        latch = shared_state.latch("a", 3)
        assert run_in_workers(count_down_and_wait, latch, workers=3) == [True] * 3


class LatchSuite(LatchCounting, LatchWaiting):
    """Tests of `CountDownLatch`. A backend's own test class inherits them."""
