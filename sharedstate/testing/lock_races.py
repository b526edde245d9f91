"""Locks under several workers at once, whose holders are killed and stopped."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from sharedstate.backend import Capability
from sharedstate.errors import LockLost
from sharedstate.testing.background import SECONDS, in_background, wait_until
from sharedstate.testing.racing import RACERS, Racers
from sharedstate.testing.victims import Victim

if TYPE_CHECKING:
    from sharedstate.state import State

ROUNDS = 25
TTL = 1.0


def add_by_hand(state: State, number: int) -> list[int]:
    """Add one in two steps under a lock, often; the fencing tokens of the grants."""
    lock, total, tokens = state.lock("total"), state.map("totals"), []
    for _ in range(ROUNDS):
        with lock:
            tokens.append(lock.token)
            total["n"] = total.get("n", 0) + 1
    return tokens


def try_and_add(state: State, number: int) -> int:
    """The same for one who gives up soon and tries again; how often that was."""
    lock, total, failed = state.lock("total"), state.map("totals"), 0
    for _ in range(ROUNDS):
        while not lock.acquire(timeout=0.01):
            failed += 1
        total["n"] = total.get("n", 0) + 1
        lock.release()
    return failed


def hold(pipe: Any, state: State) -> None:
    """Hold a lock until told to release it; tell how that went."""
    told: list[object] = []
    lock = state.lock("a", ttl=TTL, on_lost=told.append)
    lock.acquire()
    pipe.send(lock.token)
    pipe.recv()
    try:
        lock.release()
    except LockLost as error:
        assert lock.owned() is False
        wait_until(lambda: told == [lock])
        pipe.send(str(error))
    else:
        pipe.send("released")


def wait_for_lock(pipe: Any, state: State) -> None:
    """Wait for a lock."""
    pipe.send("ready")
    state.lock("a").acquire()


class LockRaces:
    """Tests of locks with many workers."""

    @pytest.fixture(scope="class")
    @classmethod
    def racers(cls) -> Iterator[Racers]:
        """The workers, for all tests of the class."""
        with Racers() as racers:
            yield racers

    @pytest.fixture
    def processes(self, shared_state: State) -> None:
        """What only processes can show."""
        if Capability.PROCESSES not in shared_state.capabilities:
            pytest.skip("only processes can be killed and stopped")

    def test_adding_in_two_steps_stays_exact(
        self, shared_state: State, racers: Racers
    ) -> None:
        hands = racers.run(add_by_hand, shared_state)
        assert shared_state.map("totals")["n"] == RACERS * ROUNDS
        assert all(hand == sorted(hand) for hand in hands)
        tokens = sorted(token for hand in hands for token in hand)
        assert tokens == list(range(1, RACERS * ROUNDS + 1))

    def test_who_gives_up_and_tries_again_does_no_harm(
        self, shared_state: State, racers: Racers
    ) -> None:
        racers.run(try_and_add, shared_state)
        assert shared_state.map("totals")["n"] == RACERS * ROUNDS
        assert shared_state.lock("total").info().waiters == 0

    @pytest.mark.usefixtures("processes")
    def test_a_killed_holders_lock_passes_on(self, shared_state: State) -> None:
        lock = shared_state.lock("a")
        with Victim(hold, shared_state) as victim:
            assert victim.receive() == 1
            victim.kill()
        started = time.monotonic()
        assert lock.acquire(timeout=SECONDS)
        assert time.monotonic() - started < 10 * TTL
        assert lock.token == 2
        lock.release()

    @pytest.mark.usefixtures("processes")
    def test_a_living_holder_keeps_its_lock(self, shared_state: State) -> None:
        with Victim(hold, shared_state) as victim:
            victim.receive()
            assert not shared_state.lock("a").acquire(timeout=3 * TTL)
            victim.pipe.send("release it")
            assert victim.receive() == "released"

    @pytest.mark.usefixtures("processes")
    def test_a_stopped_holder_loses_its_lock_and_learns_of_it(
        self, shared_state: State
    ) -> None:
        lock = shared_state.lock("a")
        with Victim(hold, shared_state) as victim:
            first = victim.receive()
            victim.stop()
            assert lock.acquire(timeout=SECONDS)
            assert lock.token > first
            victim.pipe.send("release it")
            victim.resume()
            assert "was lost" in victim.receive()
            # It has not released what is ours by now.
            lock.renew()
            lock.release()

    @pytest.mark.usefixtures("processes")
    def test_a_killed_waiter_holds_nobody_up(self, shared_state: State) -> None:
        lock = shared_state.lock("a")
        lock.acquire()
        with Victim(wait_for_lock, shared_state) as victim:
            victim.receive()
            wait_until(lambda: lock.info().waiters == 1)
            waiting = in_background(shared_state.lock("a").acquire)
            wait_until(lambda: lock.info().waiters == 2)
            victim.kill()
        lock.release()
        assert waiting.result(SECONDS)
