"""Barriers whose parties live longer than their lease, stand still, and die."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from sharedstate.backend import Capability
from sharedstate.errors import BrokenBarrierError
from sharedstate.testing.background import SECONDS, in_background, listeners, wait_until
from sharedstate.testing.victims import Victim

if TYPE_CHECKING:
    from concurrent.futures import Future

    from sharedstate.state import State

LEASE = 1.0


def come_in(pipe: Any, barrier: Any) -> None:
    """Wait at a barrier, and tell how it went."""
    pipe.send("ready")
    try:
        pipe.send(barrier.wait(SECONDS))
    except BrokenBarrierError as error:
        pipe.send(str(error))


def act_for_ever(pipe: Any, state: State, name: str) -> None:
    """Come to a barrier as the last one, and stay in its action."""

    def action() -> None:
        pipe.send("acts")
        threading.Event().wait()

    state.barrier(name, 2, action, lease=LEASE).wait()


def gather(barrier: Any, count: int, timeout: float | None = SECONDS) -> list[Future[int]]:
    """Let so many wait at a barrier; their results to come."""
    coming = [in_background(lambda: barrier.wait(timeout)) for _ in range(count)]
    wait_until(lambda: barrier.n_waiting == count)
    return coming


def all_broken(coming: list[Future[int]]) -> bool:
    """Whether all who wait get to know that the barrier is broken."""
    errors = [each.exception(SECONDS) for each in coming]
    return all(isinstance(error, threading.BrokenBarrierError) for error in errors)


class BarrierDeaths:
    """Parties that live longer than their lease, and parties that die."""

    @pytest.fixture
    def victim(self, shared_state: State) -> Iterator[Victim]:
        """A process that waits at the barrier "a" for three, with a short lease."""
        if Capability.PROCESSES not in shared_state.capabilities:
            pytest.skip("other processes cannot reach this backend")
        barrier = shared_state.barrier("a", 3, lease=LEASE)
        with Victim(come_in, barrier) as victim:
            assert victim.receive() == "ready"
            wait_until(lambda: listeners(barrier) == 1)
            yield victim

    def test_a_party_that_waits_stays_present(self, shared_state: State) -> None:
        barrier = shared_state.barrier("a", 2, lease=LEASE)
        coming = gather(barrier, 1)
        present = barrier._context.key("present")

        def lease_end() -> float:
            command = ("ZRANGE", present, 0, 0, "WITHSCORES")
            return float(shared_state.backend.execute(command)[1])

        first, lasting = lease_end(), Capability.SESSIONS in shared_state.capabilities
        if not lasting:
            wait_until(lambda: lease_end() > first + 1500 * LEASE)
        assert sorted([barrier.wait(), coming[0].result(SECONDS)]) == [0, 1]

    def test_a_party_that_acts_stays_present(self, shared_state: State) -> None:
        present = shared_state.barrier("a", 2)._context.key("present")
        lasting = Capability.SESSIONS in shared_state.capabilities

        def latest() -> float:
            command = ("ZRANGE", present, -1, -1, "WITHSCORES")
            return float(shared_state.backend.execute(command)[1])

        def action() -> None:
            first = latest()
            wait_until(lambda: lasting or latest() > first + 1500 * LEASE)

        barrier = shared_state.barrier("a", 2, action, lease=LEASE)
        coming = gather(barrier, 1)
        assert sorted([barrier.wait(), coming[0].result(SECONDS)]) == [0, 1]

    def test_a_killed_party_breaks_the_barrier(
        self, shared_state: State, victim: Victim
    ) -> None:
        barrier = shared_state.barrier("a", 3, lease=LEASE)
        coming = in_background(lambda: barrier.wait(SECONDS))
        wait_until(lambda: listeners(barrier) == 2)
        victim.kill()
        with pytest.raises(BrokenBarrierError, match="died"):
            coming.result(SECONDS)
        assert barrier.broken

    def test_who_comes_after_a_killed_party_is_not_let_through(
        self, shared_state: State, victim: Victim
    ) -> None:
        barrier = shared_state.barrier("a", 3, lease=LEASE)
        victim.kill()
        wait_until(lambda: barrier.broken or lease_is_over(shared_state))
        with pytest.raises(BrokenBarrierError, match="died"):
            barrier.wait(SECONDS)

    def test_a_party_that_is_killed_in_the_action_breaks_the_barrier(
        self, shared_state: State
    ) -> None:
        if Capability.PROCESSES not in shared_state.capabilities:
            pytest.skip("other processes cannot reach this backend")
        barrier = shared_state.barrier("a", 2, lease=LEASE)
        coming = gather(barrier, 1)
        with Victim(act_for_ever, shared_state, "a") as victim:
            assert victim.receive() == "acts"
            victim.kill()
            assert all_broken(coming)

    def test_a_party_that_stands_still_counts_as_dead_without_sessions(
        self, shared_state: State, victim: Victim
    ) -> None:
        barrier = shared_state.barrier("a", 3, lease=LEASE)
        victim.stop()
        if Capability.SESSIONS in shared_state.capabilities:
            coming = [in_background(lambda: barrier.wait(SECONDS)) for _ in range(2)]
            assert sorted(each.result(SECONDS) for each in coming) == [1, 2]
            victim.resume()
            assert victim.receive() == 0
        else:
            wait_until(lambda: lease_is_over(shared_state))
            with pytest.raises(BrokenBarrierError, match="died"):
                barrier.wait(SECONDS)
            victim.resume()
            assert "died" in victim.receive()


def lease_is_over(state: State) -> bool:
    """Whether the lease of a party at the barrier "a" is over, by the store's clock."""
    present = state.barrier("a", 3)._context.key("present")
    ends = state.backend.execute(("ZRANGE", present, 0, 0, "WITHSCORES"))
    seconds, _ = state.backend.execute(("TIME",))
    return bool(ends) and float(ends[1]) < int(seconds) * 1000
