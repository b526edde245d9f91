"""What reentrant locks must do: as `threading.RLock`, on a lease."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, ClassVar

import pytest

from sharedstate.errors import LockLost, LockNotOwned
from sharedstate.testing.background import (
    SECONDS,
    Interrupted,
    in_background,
    interrupted_in,
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
        assert not lock.locked()

    def test_an_interrupted_hold_leaves_the_others(self, shared_state: State) -> None:
        lock = shared_state.lock("a")
        blocker = threading.Event()

        def hold() -> None:
            with shared_state.lock("a"):
                assert blocker.wait(SECONDS)

        holding = in_background(hold)
        wait_until(lock.locked)
        with pytest.raises(Interrupted), interrupted_in("wait_in_line"):
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

    def test_taking_it_away_takes_all_holds(self, shared_state: State) -> None:
        lock = shared_state.lock("a", ttl=20)
        lock.acquire()
        lock.acquire()
        assert shared_state.lock("a").force_release()
        assert not lock.locked()
        for _ in range(2):
            with pytest.raises(LockLost):
                lock.release()
