"""What reentrant locks must do: as `threading.RLock`, on a lease."""

from __future__ import annotations

import gc
import threading
from typing import TYPE_CHECKING, ClassVar

import pytest

from sharedstate.errors import LockLost, LockNotOwned
from sharedstate.testing.background import (
    SECONDS,
    Interrupted,
    in_background,
    interrupted_in,
    wait_for_waiters,
    wait_until,
)
from sharedstate.testing.lock_lease_suite import BRIEF, KEPT, wait_until_renewed

if TYPE_CHECKING:
    from sharedstate.state import State


class ReentrantLockSuite:
    """Tests of the reentrant lock. A backend's own test class inherits them."""

    strategy: ClassVar[str] = "reentrant"

    def test_its_owner_may_acquire_it_again(self, shared_state: State) -> None:
        lock = shared_state.lock("a")
        with lock:
            first = lock.token
            with lock, shared_state.lock("a") as other:
                assert (lock.token, other.token) == (first, first)
                assert not in_background(lambda: lock.acquire(blocking=False)).result(
                    SECONDS
                )
            assert lock.owned()
        assert not lock.locked()

    def test_only_the_last_release_frees_it(self, shared_state: State) -> None:
        lock = shared_state.lock("a")
        for _ in range(3):
            lock.acquire()
        for _ in range(2):
            lock.release()
            assert lock.locked()
            other = in_background(lambda: shared_state.lock("a").acquire(timeout=0))
            assert not other.result(SECONDS)
        lock.release()
        assert not lock.locked()
        with pytest.raises(LockNotOwned):
            lock.release()

    def test_other_threads_wait_for_the_last_release(self, shared_state: State) -> None:
        lock = shared_state.lock("a")
        with lock:
            with lock:
                waiting = in_background(shared_state.lock("a").acquire)
                wait_until(lambda: lock.info().waiters == 1)
            assert not waiting.done()
        assert waiting.result(SECONDS)

    def test_no_other_thread_may_release_it(self, shared_state: State) -> None:
        lock = shared_state.lock("a")
        with lock:
            with pytest.raises(LockNotOwned):
                in_background(lock.release).result(SECONDS)
            assert lock.owned()
            assert not in_background(lock.owned).result(SECONDS)
        assert not lock.locked()

    def test_all_holds_are_renewed(self, shared_state: State) -> None:
        with shared_state.lock("a", ttl=KEPT) as lock, lock:
            wait_until_renewed(lock)
            assert lock.owned()

    def test_it_is_lost_for_all_holds_at_once(self, shared_state: State) -> None:
        lock = shared_state.lock("a", ttl=BRIEF, renew=False)
        lock.acquire()
        lock.acquire()
        assert lock.lost.wait(SECONDS)
        for _ in range(2):
            with pytest.raises(LockLost):
                lock.release()
        with pytest.raises(LockNotOwned):
            lock.release()
        # The loss is told a moment before the store lets others in.
        wait_until(lambda: not lock.locked())

    def test_who_comes_after_a_loss_begins_anew(self, shared_state: State) -> None:
        lost = shared_state.lock("a", ttl=BRIEF, renew=False)
        lost.acquire()
        lost.acquire()
        assert lost.lost.wait(SECONDS)
        with shared_state.lock("a", ttl=20) as lock:
            assert lock.token > 0
        # What was lost is given back by the watchdog, if the store had it still.
        wait_until(lambda: not lock.locked())

    def test_an_interrupted_hold_leaves_the_others(self, shared_state: State) -> None:
        lock = shared_state.lock("a")
        blocker = threading.Event()

        def hold() -> None:
            with shared_state.lock("a"):
                assert blocker.wait(SECONDS)

        holding = in_background(hold)
        wait_until(lock.locked)
        with pytest.raises(Interrupted), interrupted_in("get"):
            lock.acquire()
        assert lock.info().waiters == 0
        blocker.set()
        holding.result(SECONDS)
        with lock:
            assert lock.owned()

    def test_threads_exclude_each_other(self, shared_state: State) -> None:
        total = [0]

        def add() -> None:
            lock = shared_state.lock("a")
            for _ in range(10):
                with lock, lock:
                    seen = total[0]
                    total[0] = seen + 1

        for adding in [in_background(add) for _ in range(4)]:
            adding.result(SECONDS)
        assert total == [40]

    def test_a_thread_is_the_same_through_all_handles(self, shared_state: State) -> None:
        renewed, other = shared_state.lock("a"), shared_state.lock("a", renew=False)
        with renewed, other, shared_state.lock("a", ttl=20):
            assert other.owned()
        assert not renewed.locked()

    def test_a_hold_does_not_shorten_the_lease_of_another(
        self, shared_state: State
    ) -> None:
        with shared_state.lock("a", ttl=60) as lock:
            with shared_state.lock("a", ttl=BRIEF, renew=False):
                pass
            left = lock.info().remaining
            assert left is not None
            assert left > 30

    def test_a_dropped_handle_leaves_no_hold_behind(self, shared_state: State) -> None:
        lock = shared_state.lock("a", ttl=0.6)
        lock.acquire()
        lock.acquire()
        del lock
        gc.collect()
        other = shared_state.lock("a")
        assert in_background(lambda: other.acquire(timeout=SECONDS)).result(SECONDS)

    def test_a_thread_that_has_ended_is_not_the_next_one(self, shared_state: State) -> None:
        lock = shared_state.lock("a", ttl=20)
        in_background(lock.acquire).result(SECONDS)
        # The system may well give its number to this one.
        assert not in_background(lock.owned).result(SECONDS)
        with pytest.raises(LockNotOwned):
            in_background(lock.release).result(SECONDS)
        assert lock.force_release()

    def test_another_strategy_leaves_no_hold_to_the_next_owner(
        self, shared_state: State
    ) -> None:
        first, freed = shared_state.lock("a"), list[bool]()

        def come_and_go() -> None:
            with shared_state.lock("a") as lock:
                lock.release()
                freed.append(not lock.locked())
                lock.acquire()

        first.acquire()
        coming = in_background(come_and_go)
        wait_for_waiters(first, 1)
        # It knows nothing of holds.
        assert shared_state.lock("a", strategy="token").force_release()
        coming.result(SECONDS)
        assert freed == [True]

    def test_taking_it_away_takes_all_holds(self, shared_state: State) -> None:
        lock = shared_state.lock("a", ttl=20)
        lock.acquire()
        lock.acquire()
        assert shared_state.lock("a").force_release()
        assert not lock.locked()
        for _ in range(2):
            with pytest.raises(LockLost):
                lock.release()
