"""What barriers must do on every backend: as `threading.Barrier`, and between handles."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from sharedstate.errors import BrokenBarrierError, ConfigError, SharedStateError
from sharedstate.structures.barrier_party import Party
from sharedstate.testing.background import (
    SECONDS,
    Interrupted,
    in_background,
    interrupted_in,
    listeners,
    wait_until,
)
from sharedstate.testing.barrier_death_suite import BarrierDeaths, all_broken, gather

if TYPE_CHECKING:
    from sharedstate.state import State

    Make = Callable[..., Any]

SHORT = 0.05


class BarrierTwin:
    """The same assertions hold for `threading.Barrier` and for ours."""

    @pytest.fixture(params=["threading", "shared"])
    def make(self, request: pytest.FixtureRequest, shared_state: State) -> Make:
        """Makes barriers of each kind in turn."""
        if request.param == "threading":
            return threading.Barrier
        return lambda *args, **kwargs: shared_state.barrier("a", *args, **kwargs)

    def test_a_barrier_for_one_is_no_barrier(self, make: Make) -> None:
        barrier = make(1)
        assert [barrier.wait(), barrier.wait(0), barrier.wait(timeout=SHORT)] == [0, 0, 0]

    def test_parties_pass_together(self, make: Make) -> None:
        barrier = make(4)
        coming = gather(barrier, 3)
        assert not any(each.done() for each in coming)
        indexes = [barrier.wait(), *(each.result(SECONDS) for each in coming)]
        assert sorted(indexes) == [0, 1, 2, 3]
        assert (barrier.n_waiting, barrier.broken) == (0, False)

    def test_it_serves_again_and_again(self, make: Make) -> None:
        barrier = make(3)

        def come() -> list[int]:
            return [barrier.wait(SECONDS) for _ in range(10)]

        coming = [in_background(come) for _ in range(3)]
        for indexes in zip(*(each.result(SECONDS) for each in coming), strict=True):
            assert sorted(indexes) == [0, 1, 2]

    def test_the_action_runs_once_before_anybody_passes(self, make: Make) -> None:
        ran: list[int] = []

        def action() -> None:
            ran.append(barrier.n_waiting)

        barrier: Any = make(3, action)

        def come() -> int:
            barrier.wait(SECONDS)
            return len(ran)

        for number in (1, 2):
            coming = [in_background(come) for _ in range(3)]
            assert [each.result(SECONDS) for each in coming] == [number] * 3
            assert ran == [3] * number

    def test_an_action_that_raises_breaks_the_barrier(self, make: Make) -> None:
        def action() -> None:
            raise KeyError("mine")

        barrier = make(3, action)
        coming = gather(barrier, 2)
        with pytest.raises(KeyError, match="mine"):
            barrier.wait()
        assert all_broken(coming)
        assert barrier.broken

    def test_a_time_out_breaks_the_barrier_for_all(self, make: Make) -> None:
        barrier = make(4)
        coming = gather(barrier, 2)
        with pytest.raises(threading.BrokenBarrierError):
            barrier.wait(SHORT)
        assert all_broken(coming)
        assert (barrier.broken, barrier.n_waiting) == (True, 0)
        with pytest.raises(threading.BrokenBarrierError):
            barrier.wait()

    @pytest.mark.parametrize("timeout", [0, -1, -0.5])
    def test_no_time_at_all_breaks_it_at_once(self, make: Make, timeout: float) -> None:
        barrier = make(2)
        with pytest.raises(threading.BrokenBarrierError):
            barrier.wait(timeout)
        assert barrier.broken

    def test_the_time_of_the_barrier_is_the_default(self, make: Make) -> None:
        barrier = make(2, timeout=SHORT)
        with pytest.raises(threading.BrokenBarrierError):
            barrier.wait()
        barrier.reset()
        coming = gather(barrier, 1, SECONDS)
        assert sorted([barrier.wait(), coming[0].result(SECONDS)]) == [0, 1]

    def test_aborting_breaks_it_until_it_is_reset(self, make: Make) -> None:
        barrier = make(3)
        coming = gather(barrier, 2)
        barrier.abort()
        assert all_broken(coming)
        assert barrier.broken
        with pytest.raises(threading.BrokenBarrierError):
            barrier.wait()
        barrier.reset()
        assert not barrier.broken
        coming = gather(barrier, 2)
        barrier.wait()
        assert {each.result(SECONDS) for each in coming} < {0, 1, 2}

    def test_a_reset_breaks_the_round_and_not_the_barrier(self, make: Make) -> None:
        barrier = make(3)
        coming = gather(barrier, 2)
        barrier.reset()
        assert all_broken(coming)
        wait_until(lambda: barrier.n_waiting == 0)
        assert not barrier.broken
        coming = gather(barrier, 2)
        barrier.wait()
        assert {each.result(SECONDS) for each in coming} < {0, 1, 2}

    def test_resetting_and_aborting_without_anybody_is_fine(self, make: Make) -> None:
        barrier = make(1)
        barrier.reset()
        assert not barrier.broken
        barrier.abort()
        barrier.abort()
        assert barrier.broken
        barrier.reset()
        assert barrier.wait() == 0

    def test_it_knows_its_parties(self, make: Make) -> None:
        barrier = make(3)
        assert (barrier.parties, barrier.n_waiting, barrier.broken) == (3, 0, False)
        coming = gather(barrier, 1)
        assert barrier.n_waiting == 1
        barrier.abort()
        assert all_broken(coming)


class BarrierSharing:
    """What only ours does: many handles, lost answers, interrupts."""

    def test_all_have_to_agree_on_the_parties(self, shared_state: State) -> None:
        coming = gather(shared_state.barrier("a", 3), 1)
        with pytest.raises(ConfigError, match=r"has 3 parties, and this handle .* for 2"):
            shared_state.barrier("a", 2).wait()
        assert shared_state.barrier("a", 3).n_waiting == 1
        shared_state.barrier("a", 1).reset()
        assert all_broken(coming)
        assert shared_state.barrier("a", 1).wait() == 0

    def test_the_error_says_why(self, shared_state: State) -> None:
        barrier = shared_state.barrier("a", 2)
        barrier.abort()
        with pytest.raises(BrokenBarrierError, match=r"'a' is broken: .*aborted.*reset"):
            barrier.wait()
        assert issubclass(BrokenBarrierError, SharedStateError)

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({"parties": 0}, "expected from 1"),
            ({"parties": 2.0}, "expected from 1"),
            ({"parties": True}, "expected from 1"),
            ({"parties": 2, "action": 5}, "to be callable"),
            ({"parties": 2, "lease": 0.01}, "expected a lease"),
            ({"parties": 2, "lease": float("nan")}, "expected a lease"),
            ({"parties": 2, "size": 3}, "no option size"),
        ],
    )
    def test_senseless_options_are_errors(
        self, shared_state: State, options: dict[str, Any], words: str
    ) -> None:
        with pytest.raises(ConfigError, match=words):
            shared_state.structure("barrier", "a", **options)

    def test_times_may_be_timedeltas(self, shared_state: State) -> None:
        brief = timedelta(seconds=SHORT)
        barrier = shared_state.barrier("a", 2, timeout=brief, lease=timedelta(seconds=5))
        for arguments in ((), (brief,)):
            with pytest.raises(BrokenBarrierError, match="longer than its timeout"):
                barrier.wait(*arguments)
            barrier.reset()

    def test_an_interrupted_party_makes_room_for_another(self, shared_state: State) -> None:
        barrier = shared_state.barrier("a", 4)
        early = gather(barrier, 1)
        with pytest.raises(Interrupted), interrupted_in("get"):
            barrier.wait()
        assert (barrier.n_waiting, barrier.broken) == (1, False)
        wait_until(lambda: listeners(barrier) == 1)
        coming = [in_background(lambda: barrier.wait(SECONDS)) for _ in range(3)]
        indexes = [each.result(SECONDS) for each in (*early, *coming)]
        assert sorted(indexes) == [0, 1, 2, 3]

    def test_the_index_of_one_who_left_is_given_again(self, shared_state: State) -> None:
        place = shared_state.barrier("a", 3)._place
        first, second, third = Party(place), Party(place), Party(place)
        assert first.look() is second.look() is None
        first.leave()
        assert third.look() is None
        assert (second.index, third.index) == (1, 0)

    def test_a_call_whose_answer_was_lost_may_be_repeated(
        self, shared_state: State
    ) -> None:
        place = shared_state.barrier("a", 2)._place
        first, last = Party(place), Party(place)
        for _ in range(2):
            assert first.look() is None
            assert first.index == 0
            first.round = ""  # As if it had not heard that it came in.
        for party, index in ((last, 1), (last, 1), (first, 0)):
            party.round = ""
            passage = party.look()
            assert passage is not None
            assert (passage.outcome, party.index) == ("released", index)
        assert shared_state.barrier("a", 2).n_waiting == 0

    def test_who_missed_the_message_learns_how_its_round_went(
        self, shared_state: State
    ) -> None:
        barrier = shared_state.barrier("a", 2)
        slow, slower = Party(barrier._place), Party(barrier._place)
        assert slow.look() is None
        barrier.wait()
        assert slower.look() is None
        barrier.abort()
        barrier.reset()
        ends = [slow.look(), slower.look()]
        assert [end.outcome for end in ends if end] == ["released", "broken"]

    def test_a_time_that_is_over_too_late_breaks_nothing(self, shared_state: State) -> None:
        barrier = shared_state.barrier("a", 2)
        slow = Party(barrier._place)
        assert slow.look() is None
        barrier.wait()
        assert slow.give_up().outcome == "released"
        assert not barrier.broken

    def test_a_barrier_that_was_lost_is_broken_for_who_waits(
        self, shared_state: State
    ) -> None:
        party = Party(shared_state.barrier("a", 2)._place)
        assert party.look() is None
        shared_state.delete("barrier", "a")
        passage = party.look()
        assert passage is not None
        assert passage.outcome == "broken"

    def test_who_comes_during_the_action_is_of_the_next_round(
        self, shared_state: State
    ) -> None:
        may_end = threading.Event()
        plain = shared_state.barrier("a", 2)
        acting = shared_state.barrier("a", 2, lambda: may_end.wait(SECONDS))
        early = gather(plain, 1)
        last = in_background(lambda: acting.wait(SECONDS))
        wait_until(lambda: plain.n_waiting == 2)
        next_one = in_background(lambda: plain.wait(SECONDS))
        wait_until(lambda: listeners(plain) == 2)
        may_end.set()
        assert sorted([early[0].result(SECONDS), last.result(SECONDS)]) == [0, 1]
        wait_until(lambda: plain.n_waiting == 1)
        assert sorted([plain.wait(SECONDS), next_one.result(SECONDS)]) == [0, 1]

    def test_a_barrier_that_is_broken_during_the_action_stays_broken(
        self, shared_state: State
    ) -> None:
        barrier = shared_state.barrier("a", 2, lambda: plain.abort())
        plain = shared_state.barrier("a", 2)
        coming = gather(plain, 1)
        with pytest.raises(BrokenBarrierError, match="aborted"):
            barrier.wait(SECONDS)
        assert all_broken(coming)

    def test_the_time_of_the_action_counts_for_who_waits(self, shared_state: State) -> None:
        plain = shared_state.barrier("a", 2)

        def action() -> None:
            wait_until(lambda: plain.broken)

        waiting = in_background(lambda: plain.wait(1.0))
        wait_until(lambda: plain.n_waiting == 1)
        with pytest.raises(BrokenBarrierError, match="longer than its timeout"):
            shared_state.barrier("a", 2, action).wait(SECONDS)
        assert all_broken([waiting])


class BarrierSuite(BarrierTwin, BarrierSharing, BarrierDeaths):
    """Tests of `Barrier`. A backend's own test class inherits them."""
