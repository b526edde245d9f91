"""What fair locks must do beyond what all locks do."""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from sharedstate.testing.background import (
    SECONDS,
    in_background,
    wait_for_waiters,
    wait_until,
)
from sharedstate.testing.lock_suite import LockSuite

if TYPE_CHECKING:
    from sharedstate.state import State

WAITERS = 5


class FairLockSuite(LockSuite):
    """Tests of the fair lock. A backend's own test class inherits them."""

    strategy: ClassVar[str] = "fair"

    def test_who_came_first_is_served_first(self, shared_state: State) -> None:
        lock, order = shared_state.lock("a"), list[int]()

        def come_and_go(number: int) -> None:
            with shared_state.lock("a"):
                order.append(number)

        lock.acquire()
        waiting = []
        for number in range(WAITERS):
            waiting.append(in_background(partial(come_and_go, number)))
            wait_for_waiters(lock, number + 1)
        lock.release()
        for future in waiting:
            future.result(SECONDS)
        assert order == list(range(WAITERS))

    def test_nobody_comes_before_those_who_wait(self, shared_state: State) -> None:
        lock, other = shared_state.lock("a"), shared_state.lock("a")
        acquired, go_on = threading.Event(), threading.Event()

        def wait_and_hold() -> None:
            with shared_state.lock("a"):
                acquired.set()
                assert go_on.wait(SECONDS)

        lock.acquire()
        waiting = in_background(wait_and_hold)
        wait_until(lambda: lock.info().waiters == 1)
        lock.release()
        # It is handed over by the release itself, whether the other has woken or not.
        assert not other.acquire(blocking=False)
        assert acquired.wait(SECONDS)
        go_on.set()
        waiting.result(SECONDS)
        assert other.acquire(blocking=False)
        other.release()

    def test_the_line_is_shown_in_its_order(self, shared_state: State) -> None:
        lock = shared_state.lock("a")

        def wait() -> None:
            with shared_state.lock("a"):
                pass

        with lock:
            threads = []
            for number in range(3):
                threads.append(threading.Thread(target=wait, name=f"waiter {number}"))
                threads[-1].start()
                wait_for_waiters(lock, number + 1)
            names = [waiter.thread for waiter in lock.info().line]
        for thread in threads:
            thread.join(SECONDS)
        assert names == ["waiter 0", "waiter 1", "waiter 2"]

    def test_who_gives_up_leaves_its_place_to_the_next(self, shared_state: State) -> None:
        lock = shared_state.lock("a")
        lock.acquire()
        impatient = in_background(lambda: shared_state.lock("a").acquire(timeout=0.3))
        wait_until(lambda: lock.info().waiters == 1)
        patient = in_background(shared_state.lock("a").acquire)
        wait_until(lambda: lock.info().waiters == 2)
        assert not impatient.result(SECONDS)
        assert lock.info().waiters == 1
        lock.release()
        assert patient.result(SECONDS)
