"""The part of the lock suite that is about leases: renewed while held, or lost and told."""

from __future__ import annotations

import gc
import pickle
import threading
from typing import TYPE_CHECKING

import pytest

from sharedstate.backend import Capability
from sharedstate.errors import LockLost, LockNotOwned
from sharedstate.testing.background import SECONDS, in_background, wait_until
from sharedstate.testing.processes import run_in_workers

if TYPE_CHECKING:
    from sharedstate.state import State
    from sharedstate.structures.lock import Lock

BRIEF = 0.2
"""A lease time that a test can see the end of."""

KEPT = 3.0
"""A lease time that a test can see renewed, and that no busy machine lets run out."""


def wait_until_renewed(lock: Lock) -> None:
    """Wait until the lease of a held lock has become longer again."""
    lowest = lock.remaining

    def is_longer() -> bool:
        nonlocal lowest
        remaining = lock.remaining
        lowest = min(lowest, remaining)
        return remaining > lowest

    wait_until(is_longer)


class LockLeases:
    """Leases are renewed while they are held, and their loss is told."""

    def test_a_held_lock_is_renewed(self, shared_state: State) -> None:
        with shared_state.lock("a", ttl=KEPT) as lock:
            wait_until_renewed(lock)
            assert lock.owned()
            assert not shared_state.lock("a").acquire(blocking=False)

    def test_many_held_locks_are_renewed(self, shared_state: State) -> None:
        locks = [shared_state.lock(f"lock {number}", ttl=KEPT) for number in range(20)]
        for lock in locks:
            lock.acquire()
        wait_until_renewed(locks[-1])
        assert all(lock.owned() for lock in locks)
        for lock in locks:
            lock.release()

    def test_a_lease_that_is_not_renewed_is_lost(self, shared_state: State) -> None:
        told: list[Lock] = []
        lock = shared_state.lock("a", ttl=BRIEF, renew=False, on_lost=told.append)
        lock.acquire()
        assert lock.lost.wait(SECONDS)
        assert (lock.owned(), lock.remaining) == (False, 0.0)
        with pytest.raises(LockLost, match="ran out, and renew=False"):
            _ = lock.token
        with pytest.raises(LockLost):
            lock.release()
        with pytest.raises(LockNotOwned):
            lock.release()
        wait_until(lambda: told == [lock])
        assert shared_state.lock("a", ttl=BRIEF).acquire(timeout=SECONDS)

    def test_a_lease_can_be_renewed_by_hand(self, shared_state: State) -> None:
        lock = shared_state.lock("a", ttl=20, renew=False)
        with lock:
            wait_until(lambda: lock.remaining < 19.7)
            lock.renew()
            assert lock.remaining > 19.7

    def test_a_lock_that_was_taken_away_is_lost(self, shared_state: State) -> None:
        lock, other = shared_state.lock("a", ttl=20), shared_state.lock("a")
        lock.acquire()
        assert other.force_release()
        assert not other.force_release()
        with other, pytest.raises(LockLost, match="its lease was over"):
            lock.release()
        assert lock.acquire(timeout=0)
        other.force_release()
        with pytest.raises(LockLost, match="the store says"):
            lock.renew()

    def test_taking_a_lock_away_wakes_a_waiter(self, shared_state: State) -> None:
        lock, other = shared_state.lock("a", ttl=20), shared_state.lock("a")
        lock.acquire()
        waiting = in_background(other.acquire)
        wait_until(lambda: lock.info().waiters == 1)
        assert lock.force_release()
        assert waiting.result(SECONDS)

    def test_the_watchdog_notices_a_loss(self, shared_state: State) -> None:
        lock = shared_state.lock("a", ttl=BRIEF)
        lock.acquire()
        lost = lock.lost
        lock.force_release()
        assert lost.wait(SECONDS)

    def test_leaving_a_lost_lock_is_an_error(self, shared_state: State) -> None:
        lock = shared_state.lock("a", ttl=20)
        with pytest.raises(LockLost, match="fencing token "), lock:
            lock.force_release()

    def test_a_loss_does_not_hide_the_bodys_error(self, shared_state: State) -> None:
        lock = shared_state.lock("a", ttl=20)

        def lose_and_fail() -> None:
            with lock:
                lock.force_release()
                raise KeyError("mine")

        with pytest.raises(KeyError) as caught:
            lose_and_fail()
        assert isinstance(caught.value.__context__, LockLost)
        assert "was lost" in caught.value.__notes__[0]

    def test_each_acquisition_has_its_own_event(self, shared_state: State) -> None:
        lock = shared_state.lock("a", ttl=20)
        lock.acquire()
        first = lock.lost
        lock.force_release()
        with pytest.raises(LockLost):
            lock.release()
        with lock:
            assert (first.is_set(), lock.lost.is_set()) == (True, False)

    def test_who_lost_it_does_not_release_the_next_threads(
        self, shared_state: State
    ) -> None:
        lock = shared_state.lock("a", ttl=20)
        acquired, go_on = threading.Event(), threading.Event()

        def acquire_and_release() -> None:
            lock.acquire()
            acquired.set()
            assert go_on.wait(SECONDS)
            lock.release()

        first = in_background(acquire_and_release)
        assert acquired.wait(SECONDS)
        lock.force_release()
        with lock:
            go_on.set()
            with pytest.raises(LockLost):
                first.result(SECONDS)
            assert lock.locked()
            lock.renew()

    def test_closing_the_state_loses_what_a_session_held(self, shared_state: State) -> None:
        if Capability.SESSIONS not in shared_state.capabilities:
            pytest.skip("without a session, leases go on until they end")
        state = pickle.loads(pickle.dumps(shared_state))
        lock = state.lock("a", ttl=600)
        lock.acquire()
        lost = lock.lost
        state.close()
        assert lost.is_set()
        assert not lock.owned()
        assert shared_state.lock("a").acquire(timeout=SECONDS)

    def test_a_dropped_handle_holds_nothing_for_long(self, shared_state: State) -> None:
        shared_state.lock("a", ttl=BRIEF).acquire()
        gc.collect()
        assert shared_state.lock("a", ttl=BRIEF).acquire(timeout=SECONDS)

    def test_a_copy_of_a_handle_holds_nothing(self, shared_state: State) -> None:
        if Capability.PROCESSES not in shared_state.capabilities:
            pytest.skip("the backend lives in this process only, and so do its handles")
        with shared_state.lock("a", ttl=20) as lock:
            copy: Lock = pickle.loads(pickle.dumps(lock))
            assert not copy.owned()
            assert not copy.acquire(blocking=False)
        assert copy.acquire(blocking=False)
        assert 10 < copy.remaining < 20
        copy.release()

    def test_a_forked_child_holds_nothing(self, shared_state: State) -> None:
        if Capability.PROCESSES not in shared_state.capabilities:
            pytest.skip("the backend lives in this process only")
        with shared_state.lock("a", ttl=KEPT) as lock:
            assert run_in_workers(is_ours, lock, method="fork") == [False]
            wait_until_renewed(lock)
            assert run_in_workers(holds_on, shared_state, method="fork") == [True]
            assert lock.owned()


def is_ours(lock: Lock) -> bool:
    """Whether a child may act as the holder of its parent's lock."""
    with pytest.raises(LockNotOwned):
        lock.release()
    with pytest.raises(LockNotOwned):
        _ = lock.token
    return lock.owned()


def holds_on(state: State) -> bool:
    """Whether a child's own lock is renewed, by a watchdog of its own."""
    with state.lock("of the child", ttl=KEPT) as lock:
        wait_until_renewed(lock)
        return lock.owned()
