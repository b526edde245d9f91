"""What leader elections must do on every backend."""

from __future__ import annotations

import logging
import pickle
import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from sharedstate.backend import Capability
from sharedstate.errors import ConfigError, LockError, LockNotOwned, StaleToken
from sharedstate.fencing import Fence
from sharedstate.testing.background import (
    SECONDS,
    Interrupted,
    in_background,
    interrupted_in,
    wait_until,
)
from sharedstate.testing.lock_lease_suite import BRIEF
from sharedstate.testing.processes import run_in_workers

if TYPE_CHECKING:
    from sharedstate.state import State
    from sharedstate.structures.election import LeaderElection


class Diary:
    """What a candidate was told, in order: `+token` when elected, `-token` when lost."""

    def __init__(self) -> None:
        self.told: list[int] = []

    def elected(self, token: int) -> None:
        """Note an election."""
        self.told.append(token)

    def lost(self, token: int) -> None:
        """Note a loss."""
        self.told.append(-token)


def candidate(state: State, diary: Diary, ttl: float = 15.0) -> LeaderElection:
    """One that writes a diary."""
    return state.election("a", ttl=ttl, on_elected=diary.elected, on_lost=diary.lost)


class ElectionSuite:
    """Tests of `LeaderElection`. A backend's own test class inherits them."""

    def test_one_of_several_is_elected(self, shared_state: State) -> None:
        with ExitStack() as stack:
            standing = [shared_state.election("a") for _ in range(3)]
            for election in standing:
                stack.enter_context(election)
            first = standing[0]
            wait_until(lambda: any(election.is_leader for election in standing))
            wait_until(lambda: first.info().waiters == 2)
            assert [one.is_leader for one in standing].count(True) == 1
        assert first.leader() is None
        assert first.info().waiters == 0

    def test_the_leader_is_told_and_known(self, shared_state: State) -> None:
        diary = Diary()
        with candidate(shared_state, diary) as election:
            assert election.wait_elected(SECONDS)
            wait_until(lambda: len(diary.told) == 1)
            assert diary.told == [election.token]
            leader = shared_state.election("a").leader()
            assert leader is not None
            assert leader.thread == "sharedstate-election-a"
            token = election.token
        assert diary.told == [token, -token]
        assert not election.is_leader

    def test_candidates_follow_each_other_in_order(self, shared_state: State) -> None:
        diaries = [Diary() for _ in range(3)]
        standing = [candidate(shared_state, diary) for diary in diaries]
        for number, election in enumerate(standing):
            election.start()
            if number == 0:
                assert election.wait_elected(SECONDS)
            else:
                wait_until(lambda: standing[0].info().waiters == number)  # noqa: B023
        tokens = []
        for election, following in zip(standing, [*standing[1:], None], strict=True):
            tokens.append(election.token)
            assert election.stop(SECONDS)
            assert not election.is_leader
            if following is not None:
                assert following.wait_elected(SECONDS)
        assert tokens == sorted(set(tokens))
        assert [diary.told for diary in diaries] == [[t, -t] for t in tokens]

    def test_on_lost_returns_before_the_next_is_elected(self, shared_state: State) -> None:
        others: list[bool] = []
        second = shared_state.election("a")
        first = shared_state.election(
            "a", on_lost=lambda token: others.append(second.wait_elected(0.2))
        )
        with first:
            assert first.wait_elected(SECONDS)
            with second:
                wait_until(lambda: first.info().waiters == 1)
                assert first.resign()
                assert second.wait_elected(SECONDS)
        assert others[0] is False

    def test_who_resigns_stands_again_behind_the_others(self, shared_state: State) -> None:
        first, second = Diary(), Diary()
        with candidate(shared_state, first) as one, candidate(shared_state, second) as two:
            wait_until(lambda: one.info().waiters == 1)
            leader, other = (one, two) if one.is_leader else (two, one)
            assert leader.wait_elected(SECONDS)
            assert not other.resign()
            assert leader.resign()
            assert other.wait_elected(SECONDS)
            wait_until(lambda: other.info().waiters == 1)
            assert other.resign()
            assert leader.wait_elected(SECONDS)

    def test_who_resigns_alone_is_elected_again(self, shared_state: State) -> None:
        with shared_state.election("a") as election:
            assert election.wait_elected(SECONDS)
            first = election.token
            assert election.resign()
            assert election.wait_elected(SECONDS)
            assert election.token > first

    def test_a_loss_is_told_once_and_another_is_elected(self, shared_state: State) -> None:
        diary = Diary()
        with candidate(shared_state, diary, ttl=BRIEF) as election:
            assert election.wait_elected(SECONDS)
            wait_until(lambda: len(diary.told) == 1)
            token = election.token
            election._lock.force_release()
            wait_until(lambda: -token in diary.told)
            wait_until(lambda: len(diary.told) >= 3)
        assert diary.told[:2] == [token, -token]
        assert diary.told[2] > token
        assert [-told for told in diary.told[::2]] == diary.told[1::2]

    def test_a_loss_is_told_while_on_elected_still_runs(self, shared_state: State) -> None:
        lost, seen = threading.Event(), list[bool]()
        election = shared_state.election(
            "a",
            ttl=BRIEF,
            on_elected=lambda token: seen.append(lost.wait(SECONDS)),
            on_lost=lambda token: lost.set(),
        )
        with election:
            assert election.wait_elected(SECONDS)
            election._lock.force_release()
            wait_until(lambda: bool(seen))
        assert seen[0] is True

    def test_a_callback_that_fails_resigns(
        self, shared_state: State, caplog: pytest.LogCaptureFixture
    ) -> None:
        diary, first = Diary(), threading.Event()

        def fail(token: int) -> None:
            first.set()
            raise KeyError("mine")

        failing = shared_state.election("a", ttl=30, on_elected=fail, on_lost=diary.lost)
        with caplog.at_level(logging.ERROR, "sharedstate"), failing:
            assert first.wait(SECONDS)
            with shared_state.election("a") as other:
                assert other.wait_elected(SECONDS)
                assert not failing.is_leader
                # It has been told that it lost before, and does not stand for now.
                assert len(diary.told) == 1
                assert other.info().waiters == 0
        assert "on_elected of the election 'a' failed" in caplog.text
        assert "mine" in caplog.text

    def test_an_on_lost_that_fails_resigns_all_the_same(
        self, shared_state: State, caplog: pytest.LogCaptureFixture
    ) -> None:
        def fail(token: int) -> None:
            raise KeyError("mine")

        election = shared_state.election("a", on_lost=fail)
        with caplog.at_level(logging.ERROR, "sharedstate"), election:
            assert election.wait_elected(SECONDS)
        assert election.leader() is None
        assert "on_lost of the election 'a' failed" in caplog.text

    def test_callbacks_may_stop_and_resign(self, shared_state: State) -> None:
        told = list[bool]()
        election: LeaderElection = shared_state.election(
            "a",
            on_elected=lambda token: told.append(election.stop()),
            on_lost=lambda token: told.append(election.resign()),
        )
        in_background(election.run).result(SECONDS)
        # It cannot be done while it is waited for, and there is nothing to resign from.
        assert told == [False, False]
        assert election.leader() is None

    def test_run_stands_on_the_callers_thread(self, shared_state: State) -> None:
        threads = list[int]()
        election = shared_state.election(
            "a", on_elected=lambda token: threads.append(threading.get_ident())
        )
        running = in_background(election.run)
        wait_until(lambda: bool(threads))
        assert threads != [threading.get_ident()]
        assert not running.done()
        assert election.stop(SECONDS)
        running.result(SECONDS)

    def test_an_interrupt_of_run_resigns(self, shared_state: State) -> None:
        diary = Diary()
        election = candidate(shared_state, diary)
        with pytest.raises(Interrupted), interrupted_in("wait_for"):
            election.run()
        assert election.leader() is None
        assert [abs(told) for told in diary.told] == [abs(diary.told[0])] * 2
        with shared_state.election("a") as leader:
            assert leader.wait_elected(SECONDS)
            with pytest.raises(Interrupted), interrupted_in("wait_in_line"):
                election.run()
            assert leader.info().waiters == 0

    def test_a_candidate_stands_once(self, shared_state: State) -> None:
        with shared_state.election("a") as election:
            with pytest.raises(LockError, match="stands in the election 'a' already"):
                election.start()
            with pytest.raises(LockError):
                election.run()
        assert election.stop()
        with election:
            assert election.wait_elected(SECONDS)

    def test_who_does_not_stand_is_nobody(self, shared_state: State) -> None:
        election = shared_state.election("a")
        assert not election.is_leader
        assert not election.resign()
        assert not election.wait_elected(SECONDS)
        assert election.stop()
        with pytest.raises(LockNotOwned, match="does not lead"):
            _ = election.token

    def test_several_elections_in_one_process(self, shared_state: State) -> None:
        with shared_state.election("a") as a, shared_state.election("b") as b:
            assert a.wait_elected(SECONDS)
            assert b.wait_elected(SECONDS)
            a.stop()
            assert (a.is_leader, b.is_leader) == (False, True)

    def test_a_leaders_writes_can_be_fenced(self, shared_state: State) -> None:
        plans = shared_state.map("plans")
        with shared_state.election("a") as election:
            assert election.wait_elected(SECONDS)
            late = Fence.of(election)
            plans.set("n", 1, fence=election)
            assert election.resign()
            assert election.wait_elected(SECONDS)
            plans.set("n", 2, fence=election)
            with pytest.raises(StaleToken):
                plans.set("n", 3, fence=late)
        assert plans["n"] == 2

    def test_a_forked_child_does_not_lead(self, shared_state: State) -> None:
        if Capability.PROCESSES not in shared_state.capabilities:
            pytest.skip("the backend lives in this process only")
        with shared_state.election("a") as election:
            assert election.wait_elected(SECONDS)
            assert run_in_workers(leads_in_child, election, method="fork") == [False]
            assert election.is_leader
            copy = pickle.loads(pickle.dumps(election))
            assert not copy.is_leader
            assert copy.leader() == election.leader()

    def test_wrong_options_are_errors(self, shared_state: State) -> None:
        with pytest.raises(ConfigError, match="expected a ttl"):
            shared_state.election("a", ttl=0)
        with pytest.raises(ConfigError, match="on_elected to be callable"):
            shared_state.election("a", on_elected=3)  # type: ignore[arg-type]
        with pytest.raises(ConfigError, match="no option tll"):
            shared_state.structure("election", "a", tll=3)


def leads_in_child(election: LeaderElection) -> bool:
    """Whether a child leads by its parent's handle; it may stand by it."""
    leads = election.is_leader
    assert not election.resign()
    assert election.stop()
    election.start()
    wait_until(lambda: election.info().waiters == 1)
    assert election.stop(SECONDS)
    return leads
