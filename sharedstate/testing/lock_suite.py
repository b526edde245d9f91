"""What locks must do on every backend."""

from __future__ import annotations

import os
import threading
import time
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from sharedstate.errors import ConfigError, LockNotOwned, LockTimeout
from sharedstate.testing.background import (
    SECONDS,
    Interrupted,
    in_background,
    interrupted_in,
    wait_until,
)
from sharedstate.testing.lock_lease_suite import BRIEF, LockLeases
from sharedstate.testing.lock_machine import check_lock_against_model

if TYPE_CHECKING:
    from sharedstate.state import State

SHORT = 0.05


class LockBasics:
    """As `threading.Lock`."""

    def test_a_lock_is_held_by_one(self, shared_state: State) -> None:
        ours, theirs = shared_state.lock("a"), shared_state.lock("a")
        assert ours.acquire()
        assert not theirs.acquire(blocking=False)
        assert not ours.acquire(False)
        ours.release()
        assert theirs.acquire(blocking=False)
        theirs.release()

    def test_locks_of_other_names_are_other_locks(self, shared_state: State) -> None:
        with shared_state.lock("a"), shared_state.lock("b"):
            assert shared_state.lock("a").locked()
            assert not shared_state.lock("c").locked()

    def test_everybody_sees_whether_a_lock_is_held(self, shared_state: State) -> None:
        lock = shared_state.lock("a")
        assert not lock.locked()
        with lock:
            assert shared_state.lock("a").locked()
            assert (lock.owned(), shared_state.lock("a").owned()) == (True, False)
        assert not shared_state.lock("a").locked()

    def test_what_is_not_held_cannot_be_released(self, shared_state: State) -> None:
        lock = shared_state.lock("a")
        with pytest.raises(LockNotOwned, match="'a' is not held by this handle") as caught:
            lock.release()
        assert isinstance(caught.value, RuntimeError)
        with lock, pytest.raises(LockNotOwned):
            shared_state.lock("a").release()
        with pytest.raises(LockNotOwned):
            lock.release()

    def test_any_thread_may_release(self, shared_state: State) -> None:
        lock = shared_state.lock("a")
        lock.acquire()
        in_background(lock.release).result(SECONDS)
        assert not lock.locked()
        with pytest.raises(LockNotOwned):
            lock.release()

    def test_threads_that_share_a_handle_exclude_each_other(
        self, shared_state: State
    ) -> None:
        lock, total = shared_state.lock("a"), [0]

        def add() -> None:
            for _ in range(20):
                with lock:
                    seen = total[0]
                    time.sleep(0)
                    total[0] = seen + 1

        for adding in [in_background(add) for _ in range(4)]:
            adding.result(SECONDS)
        assert total == [80]

    def test_the_bodys_error_comes_through(self, shared_state: State) -> None:
        lock = shared_state.lock("a")
        with pytest.raises(KeyError, match="mine"), lock:
            raise KeyError("mine")
        assert not lock.locked()

    @pytest.mark.parametrize(
        ("blocking", "timeout"), [(False, 1), (False, 0), (True, -2), (True, float("nan"))]
    )
    def test_senseless_times_are_errors(
        self, shared_state: State, blocking: bool, timeout: float
    ) -> None:
        with pytest.raises(ValueError, match="timeout"):
            shared_state.lock("a").acquire(blocking, timeout)
        assert not shared_state.lock("a").locked()

    def test_a_lock_is_as_its_model_says(self, shared_state: State) -> None:
        check_lock_against_model(shared_state)


class LockWaiting:
    """Who waits is woken, or gives up in time, and leaves nothing behind."""

    def test_a_waiter_is_woken_by_the_release(self, shared_state: State) -> None:
        lock, other = shared_state.lock("a"), shared_state.lock("a")
        lock.acquire()
        waiting = in_background(other.acquire)
        wait_until(lambda: lock.info().waiters == 1)
        lock.release()
        assert waiting.result(SECONDS)
        assert lock.info().waiters == 0

    def test_one_waiter_after_another_comes_in(self, shared_state: State) -> None:
        lock = shared_state.lock("a")
        lock.acquire()

        def come_and_go() -> int:
            with shared_state.lock("a") as mine:
                return mine.token

        waiting = [in_background(come_and_go) for _ in range(4)]
        wait_until(lambda: lock.info().waiters == 4)
        lock.release()
        tokens = [future.result(SECONDS) for future in waiting]
        assert len(set(tokens)) == 4

    @pytest.mark.parametrize("timeout", [SHORT, timedelta(seconds=SHORT)])
    def test_a_waiter_gives_up_in_time(
        self, shared_state: State, timeout: float | timedelta
    ) -> None:
        with shared_state.lock("a"):
            started = time.monotonic()
            assert not shared_state.lock("a").acquire(timeout=timeout)
            # Stores count milliseconds.
            assert time.monotonic() - started >= SHORT - 0.002
            assert shared_state.lock("a").info().waiters == 0

    def test_no_time_at_all_is_not_for_ever(self, shared_state: State) -> None:
        with shared_state.lock("a"):
            assert not shared_state.lock("a").acquire(timeout=0)
        assert shared_state.lock("a", ttl=BRIEF).acquire(timeout=0)

    def test_a_waiter_gets_what_its_dead_holder_leaves(self, shared_state: State) -> None:
        shared_state.lock("a", ttl=BRIEF, renew=False).acquire()
        started = time.monotonic()
        with shared_state.lock("a"):
            assert time.monotonic() - started < SECONDS

    def test_an_interrupted_waiter_leaves_nothing_behind(self, shared_state: State) -> None:
        lock, other = shared_state.lock("a"), shared_state.lock("a")
        in_background(lock.acquire).result(SECONDS)
        other.acquire(timeout=SHORT)  # so that there is a connection to wait on
        with pytest.raises(Interrupted), interrupted_in("get"):
            other.acquire()
        assert lock.info().waiters == 0
        lock.release()
        assert not other.owned()
        assert lock.acquire(blocking=False)
        lock.release()

    def test_a_wake_up_that_was_lost_delays_and_no_more(self, shared_state: State) -> None:
        lock = shared_state.lock("a", ttl=BRIEF, renew=False)
        other = shared_state.lock("a")
        lock.acquire()
        waiting = in_background(other.acquire)
        wait_until(lambda: other.info().waiters == 1)
        # The lock becomes free, and nobody says so.
        shared_state.backend.execute(("DEL", lock._context.key("owner")))
        assert waiting.result(SECONDS)

    def test_a_waiter_whose_line_was_evicted_stands_in_it_again(
        self, shared_state: State
    ) -> None:
        lock, execute = shared_state.lock("a"), shared_state.backend.execute
        line, waiters = lock._context.key("line"), lock._context.key("waiters")
        lock.acquire()
        waiting = in_background(shared_state.lock("a").acquire)
        wait_until(lambda: lock.info().waiters == 1)
        execute(("DEL", line))
        (entry,) = execute(("HVALS", waiters))
        # It is called, for whatever reason, and asks again.
        execute(("PUBLISH", entry.split()[0], ""))
        wait_until(lambda: execute(("LLEN", line)) == 1)
        lock.release()
        assert waiting.result(SECONDS)

    def test_holding_for_a_time_names_who_is_in_the_way(self, shared_state: State) -> None:
        with shared_state.lock("a").hold(SECONDS) as lock:
            assert lock.owned()
            with (
                pytest.raises(
                    LockTimeout, match=r"'a' was not .* held by pid \d+ on .*Main"
                ),
                shared_state.lock("a").hold(SHORT),
            ):
                raise AssertionError("the lock is held")
        assert not lock.locked()


class LockKnowledge:
    """What a lock tells."""

    def test_the_token_rises_with_every_grant(self, shared_state: State) -> None:
        tokens = []
        for _ in range(3):
            with shared_state.lock("a") as lock:
                tokens.append(lock.token)
        shared_state.lock("a").force_release()
        with shared_state.lock("a") as lock:
            tokens.append(lock.token)
        assert tokens == sorted(set(tokens))

    def test_the_token_rises_though_the_last_one_was_evicted(
        self, shared_state: State
    ) -> None:
        with shared_state.lock("a") as lock:
            first = lock.token
        key = lock._context.key("fencing")
        assert shared_state.backend.execute(("DEL", key)) == 1
        with lock:
            assert lock.token > first

    def test_the_token_rises_though_the_stores_clock_is_behind_it(
        self, shared_state: State
    ) -> None:
        lock = shared_state.lock("a")
        ahead = 2**52
        shared_state.backend.execute(("SET", lock._context.key("fencing"), ahead))
        for number in (1, 2):
            with lock:
                assert lock.token == ahead + number

    def test_there_is_no_token_of_what_is_not_held(self, shared_state: State) -> None:
        lock = shared_state.lock("a")
        with pytest.raises(LockNotOwned):
            _ = lock.token
        with pytest.raises(LockNotOwned):
            _ = lock.lost
        with pytest.raises(LockNotOwned):
            lock.renew()
        with lock:
            pass
        with pytest.raises(LockNotOwned):
            _ = lock.token
        assert not lock.lost.is_set()

    def test_what_remains_is_less_than_the_lease(self, shared_state: State) -> None:
        lock = shared_state.lock("a", ttl=timedelta(seconds=20))
        assert lock.remaining == 0.0
        with lock:
            assert 10 < lock.remaining < 20
            left = lock.info().remaining
            assert left is not None
            assert lock.remaining < left + 0.002
        assert lock.remaining == 0.0

    def test_the_holder_is_described(self, shared_state: State) -> None:
        lock = shared_state.lock("a", ttl=20)
        free = lock.info()
        assert (free.name, free.holders, free.remaining) == ("a", (), None)
        assert (free.waiters, free.fencing) == (0, 0)
        started = time.time()
        with lock:
            info = shared_state.lock("a").info()
            assert info.fencing == lock.token
        (holder,) = info.holders
        assert (holder.host, holder.pid) == (os.uname().nodename, os.getpid())
        assert holder.thread == threading.current_thread().name
        assert abs(holder.since - started) < SECONDS

    def test_a_thread_may_have_any_name(self, shared_state: State) -> None:
        name = 'wörker "1"\\\n{}:'
        lock = shared_state.lock("a")
        thread = threading.Thread(target=lock.acquire, name=name)
        thread.start()
        thread.join(SECONDS)
        assert shared_state.lock("a").info().holders[0].thread == name

    @pytest.mark.parametrize("ttl", [0, 0.05, -1, float("inf"), float("nan")])
    def test_a_senseless_lease_time_is_an_error(
        self, shared_state: State, ttl: float
    ) -> None:
        with pytest.raises(ConfigError, match="expected a ttl from"):
            shared_state.lock("a", ttl=ttl)

    def test_wrong_options_are_errors(self, shared_state: State) -> None:
        with pytest.raises(ConfigError, match="no options, got tll"):
            shared_state.lock("a", tll=5)
        with pytest.raises(ConfigError, match="on_lost to be callable"):
            shared_state.lock("a", on_lost=5)  # type: ignore[arg-type]
        with pytest.raises(ConfigError, match="'no such'"):
            shared_state.lock("a", strategy="no such")


class LockSuite(LockBasics, LockWaiting, LockKnowledge, LockLeases):
    """Tests of `Lock`. A backend's own test class inherits them."""
