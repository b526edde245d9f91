"""Locks under several workers at once, whose holders are killed and stopped."""

from __future__ import annotations

import threading
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
WAITING_THREADS = 2


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


def hold(pipe: Any, state: State, renew: bool = True) -> None:
    """Hold a lock until told to release it; tell how that went."""
    told: list[object] = []
    lock = state.lock("a", ttl=TTL, renew=renew, on_lost=told.append)
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


def hold_for_long(pipe: Any, state: State) -> None:
    """Hold a lock, on a lease that outlasts every test."""
    state.lock("a", ttl=3600).acquire()
    pipe.send("held")
    pipe.recv()


def hold_and_wait(pipe: Any, state: State) -> None:
    """Hold a lock, and wait for it too, in some threads."""
    state.lock("a", ttl=TTL).acquire()
    for _ in range(WAITING_THREADS):
        waiting = threading.Thread(target=state.lock("a").acquire, daemon=True)
        waiting.start()
    pipe.send("held")
    pipe.recv()


def wait_for_lock(pipe: Any, state: State, ttl: float = 30.0) -> None:
    """Wait for a lock, and tell its token."""
    pipe.send("ready")
    lock = state.lock("a", ttl=ttl)
    lock.acquire()
    pipe.send(lock.token)
    pipe.recv()


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

    @pytest.fixture
    def sessions(self, shared_state: State) -> None:
        """What only backends can do that see the end of a process."""
        if Capability.SESSIONS not in shared_state.capabilities:
            pytest.skip("this backend does not see the end of a process: leases decide")

    def test_adding_in_two_steps_stays_exact(
        self, shared_state: State, racers: Racers
    ) -> None:
        hands = racers.run(add_by_hand, shared_state)
        assert shared_state.map("totals")["n"] == RACERS * ROUNDS
        assert all(hand == sorted(hand) for hand in hands)
        tokens = sorted(token for hand in hands for token in hand)
        assert len(set(tokens)) == RACERS * ROUNDS

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
            token = victim.receive()
            victim.kill()
        started = time.monotonic()
        assert lock.acquire(timeout=SECONDS)
        assert time.monotonic() - started < 10 * TTL
        assert lock.token > token
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
        # Where a session would keep it, only a lease that nobody renews comes to its end.
        renew = Capability.SESSIONS not in shared_state.capabilities
        with Victim(hold, shared_state, renew) as victim:
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

    @pytest.mark.usefixtures("sessions")
    def test_a_stopped_holder_keeps_its_lock_while_its_session_is_open(
        self, shared_state: State
    ) -> None:
        lock = shared_state.lock("a")
        with Victim(hold, shared_state) as victim:
            first = victim.receive()
            victim.stop()
            assert not lock.acquire(timeout=3 * TTL)
            victim.pipe.send("release it")
            victim.resume()
            assert victim.receive() == "released"
        with lock:
            assert lock.token > first

    @pytest.mark.usefixtures("sessions")
    def test_a_killed_holders_lock_passes_on_before_its_lease_ends(
        self, shared_state: State
    ) -> None:
        with Victim(hold_for_long, shared_state) as victim:
            victim.receive()
            waiting = in_background(shared_state.lock("a").acquire)
            wait_until(lambda: shared_state.lock("a").info().waiters == 1)
            victim.kill()
        assert waiting.result(SECONDS)

    @pytest.mark.usefixtures("processes")
    def test_a_waiter_that_was_stopped_is_served_when_it_goes_on(
        self, shared_state: State
    ) -> None:
        lock = shared_state.lock("a")
        lock.acquire()
        with Victim(wait_for_lock, shared_state) as victim:
            victim.receive()
            wait_until(lambda: lock.info().waiters == 1)
            victim.stop()
            lock.release()
            victim.resume()
            assert victim.receive() > 0

    @pytest.mark.usefixtures("processes")
    def test_a_stopped_waiter_that_is_handed_the_lock_does_not_keep_it(
        self, shared_state: State
    ) -> None:
        lock = shared_state.lock("a", ttl=TTL)
        lock.acquire()
        with Victim(wait_for_lock, shared_state, TTL) as victim:
            victim.receive()
            wait_until(lambda: lock.info().waiters == 1)
            victim.stop()
            lock.release()
            assert lock.acquire(timeout=SECONDS)
            victim.resume()
            lock.release()
            assert victim.receive() > 0

    @pytest.mark.usefixtures("processes")
    def test_who_stands_behind_the_killed_is_served(self, shared_state: State) -> None:
        lock = shared_state.lock("a")
        with Victim(hold_and_wait, shared_state) as victim:
            victim.receive()
            wait_until(lambda: lock.info().waiters == WAITING_THREADS)
            waiting = in_background(lock.acquire)
            wait_until(lambda: lock.info().waiters == WAITING_THREADS + 1)
            victim.kill()
        assert waiting.result(SECONDS)
        lock.release()
        assert lock.info().waiters == 0

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
