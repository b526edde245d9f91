"""What locks must do about waits that would never end, where the backend has sessions."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any

import pytest

from sharedstate.backend import Capability
from sharedstate.errors import ConfigError, DeadlockError
from sharedstate.testing.background import SECONDS, in_background, wait_for_waiters
from sharedstate.testing.victims import Victim

if TYPE_CHECKING:
    from sharedstate.state import State

SHORT = 0.05

STRATEGIES = ("token", "fair", "reentrant")


def hold_and_want(pipe: Any, state: State, strategy: str, held: str, wanted: str) -> None:
    """Hold one lock, and when told to wait for another; tell how that ended."""
    with state.lock(held, strategy=strategy):
        pipe.send(os.getpid())
        pipe.recv()
        try:
            with state.lock(wanted, strategy=strategy):
                pipe.send("granted")
        except DeadlockError as error:
            pipe.send(str(error))
        pipe.recv()


@pytest.mark.parametrize("strategy", STRATEGIES)
class DeadlockSuite:
    """Tests of deadlocks. A backend's own test class inherits them."""

    @pytest.fixture(autouse=True)
    def sessions(self, shared_state: State) -> None:
        """What is told of owners must be true: the store must see who is alive."""
        if Capability.SESSIONS not in shared_state.capabilities:
            pytest.skip("deadlocks are found on backends with sessions")

    def test_a_thread_does_not_wait_for_itself(
        self, shared_state: State, strategy: str
    ) -> None:
        if strategy == "reentrant":
            pytest.skip("a reentrant lock may be acquired again")
        lock = shared_state.lock("a", strategy=strategy)
        with lock:
            with pytest.raises(DeadlockError, match=r"held by this thread .*_suite.py:\d+"):
                lock.acquire()
            assert lock.info().waiters == 0
            assert lock.owned()
        with lock:
            pass

    def test_two_threads_do_not_wait_for_each_other(
        self, shared_state: State, strategy: str
    ) -> None:
        first, second = (shared_state.lock(name, strategy=strategy) for name in "ab")

        def wait() -> None:
            with (
                shared_state.lock("b", strategy=strategy),
                shared_state.lock("a", strategy=strategy),
            ):
                pass

        with first:
            waiting = in_background(wait)
            wait_for_waiters(first, 1)
            with pytest.raises(DeadlockError) as caught:
                second.acquire()
        waiting.result(SECONDS)
        told = str(caught.value)
        assert "'b' is held by pid" in told
        assert "which waits for 'a'" in told
        assert told.count("_suite.py:") == 2
        assert second.acquire(timeout=SECONDS)
        second.release()

    def test_a_chain_through_processes_is_followed(
        self, shared_state: State, strategy: str
    ) -> None:
        names = [shared_state.lock(name, strategy=strategy) for name in "abc"]
        state = shared_state
        with (
            names[0],
            Victim(hold_and_want, state, strategy, "b", "a") as first,
            Victim(hold_and_want, state, strategy, "c", "b") as second,
        ):
            pids = [first.receive(), second.receive()]
            first.pipe.send("wait")
            wait_for_waiters(names[0], 1)
            second.pipe.send("wait")
            wait_for_waiters(names[1], 1)
            with pytest.raises(DeadlockError) as caught:
                names[2].acquire()
            assert all(f"pid {pid} on" in str(caught.value) for pid in pids)

    def test_a_wait_with_a_limit_is_no_deadlock(
        self, shared_state: State, strategy: str
    ) -> None:
        first, second = (shared_state.lock(name, strategy=strategy) for name in "ab")

        def wait() -> bool:
            with shared_state.lock("b", strategy=strategy):
                return shared_state.lock("a", strategy=strategy).acquire(timeout=1)

        with first:
            waiting = in_background(wait)
            wait_for_waiters(first, 1)
            assert not second.acquire(timeout=SHORT)
            with second:
                pass
            assert not waiting.result(SECONDS)

    def test_who_waits_no_more_is_in_nobodys_way(
        self, shared_state: State, strategy: str
    ) -> None:
        first, second = (shared_state.lock(name, strategy=strategy) for name in "ab")
        has_first, go_on = threading.Event(), threading.Event()

        def wait_and_hold() -> None:
            with (
                shared_state.lock("b", strategy=strategy),
                shared_state.lock("a", strategy=strategy),
            ):
                has_first.set()
                assert go_on.wait(SECONDS)

        first.acquire()
        waiting = in_background(wait_and_hold)
        wait_for_waiters(first, 1)
        first.release()
        assert has_first.wait(SECONDS)
        acquiring = in_background(second.acquire)
        wait_for_waiters(second, 1)
        go_on.set()
        waiting.result(SECONDS)
        assert acquiring.result(SECONDS)

    def test_it_can_be_switched_off(self, shared_state: State, strategy: str) -> None:
        if strategy == "reentrant":
            pytest.skip("a reentrant lock may be acquired again")
        options: dict[str, Any] = {"strategy": strategy, "find_deadlocks": False}
        lock = shared_state.lock("a", **options)
        lock.acquire()
        threading.Timer(SHORT, lock.release).start()
        assert lock.acquire()
        lock.release()


class DeadlockOptions:
    """What is said where deadlocks cannot be found."""

    def test_it_cannot_be_had_without_sessions(self, shared_state: State) -> None:
        if Capability.SESSIONS in shared_state.capabilities:
            assert shared_state.lock("a", find_deadlocks=True).acquire()
            return
        with pytest.raises(ConfigError, match="expected a backend with the capability"):
            shared_state.lock("a", find_deadlocks=True)
