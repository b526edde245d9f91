"""What conditions must do everywhere. `ConditionTwins` is true of `threading`, too."""

from __future__ import annotations

import pickle
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from sharedstate.backend import Capability
from sharedstate.errors import ConfigError, LockLost, LockNotOwned
from sharedstate.structures.condition import _Sleeper
from sharedstate.testing.background import (
    SECONDS,
    Interrupted,
    in_background,
    interrupted_in,
    wait_until,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from sharedstate.state import State
    from sharedstate.structures.condition import Condition

SHORT = 0.05


def keys_left(condition: Condition) -> set[str]:
    """The parts of a condition and its lock that are on the store and should not stay."""
    context = condition._context
    return {
        part
        for part in ("asleep", "sleepers", "owner", "holds", "line", "waiters")
        if context.backend.execute(("EXISTS", context.key(part))) == 1
    }


class ConditionTwins:
    """What ours and `threading`'s have in common: `make()` makes one for all threads."""

    def test_who_waits_is_woken_by_a_notice(self, make: Callable[[], Any]) -> None:
        condition, seen = make(), []

        def wait() -> None:
            with condition:
                seen.append("waits")
                seen.append(condition.wait(SECONDS))

        waiting = in_background(wait)
        wait_until(lambda: seen == ["waits"])
        with condition:
            condition.notify()
        waiting.result(SECONDS)
        assert seen == ["waits", True]

    def test_a_notice_without_a_waiter_is_nothing(self, make: Callable[[], Any]) -> None:
        condition = make()
        with condition:
            condition.notify()
            condition.notify_all()
            assert condition.wait(SHORT) is False

    def test_who_is_not_notified_gives_up_in_time(self, make: Callable[[], Any]) -> None:
        condition = make()
        with condition:
            started = time.monotonic()
            assert condition.wait(SHORT) is False
            assert time.monotonic() - started >= SHORT - 0.002
            assert condition.wait(0) is False
            assert condition.wait(-1) is False

    def test_the_lock_is_free_while_one_waits(self, make: Callable[[], Any]) -> None:
        condition, inside = make(), [0]

        def wait() -> None:
            with condition:
                inside[0] += 1
                condition.wait(SECONDS)

        waiting = [in_background(wait) for _ in range(3)]
        wait_until(lambda: inside == [3])
        with condition:
            condition.notify_all()
        for future in waiting:
            future.result(SECONDS)

    def test_so_many_are_woken_in_their_order(self, make: Callable[[], Any]) -> None:
        condition, inside, woken = make(), list[int](), list[int]()

        def wait(number: int) -> None:
            with condition:
                inside.append(number)
                if condition.wait(SECONDS):
                    woken.append(number)

        waiting = []
        for number in range(5):
            waiting.append(in_background(partial(wait, number)))
            wait_until(lambda: len(inside) == len(waiting))
        for n, so_many in ((1, 1), (0, 1), (2, 3)):
            with condition:
                condition.notify(n)
            wait_until(lambda: len(woken) == so_many)  # noqa: B023 - called in the loop
            with condition:
                assert sorted(woken) == list(range(so_many))
        with condition:
            condition.notify(100)
        for future in waiting:
            future.result(SECONDS)
        assert sorted(woken) == inside == list(range(5))

    def test_waiting_for_a_predicate(self, make: Callable[[], Any]) -> None:
        condition, state = make(), [0]

        def wait() -> Any:
            with condition:
                return condition.wait_for(lambda: state[0] >= 3 and state[0], SECONDS)

        waiting = in_background(wait)
        for _ in range(3):
            with condition:
                state[0] += 1
                condition.notify_all()
        assert waiting.result(SECONDS) == 3
        with condition:
            assert condition.wait_for(lambda: state[0] > 3, SHORT) is False
            assert condition.wait_for(lambda: "there", 0) == "there"

    def test_a_reentrant_lock_is_released_wholly(self, make: Callable[[], Any]) -> None:
        condition, seen = make(), list[object]()

        def wait() -> None:
            with condition, condition, condition:
                seen.append("waits")
                seen.append(condition.wait(SECONDS))
                seen.append(in_background(lambda: condition.acquire(False)).result(SECONDS))

        waiting = in_background(wait)
        wait_until(lambda: seen == ["waits"])
        with condition:
            condition.notify()
        waiting.result(SECONDS)
        # Held again as often as before, and then no more.
        assert seen == ["waits", True, False]
        assert condition.acquire(False)
        condition.release()

    def test_nothing_goes_without_the_lock(self, make: Callable[[], Any]) -> None:
        condition = make()
        for call in (
            condition.wait,
            condition.notify,
            condition.notify_all,
            condition.release,
            partial(condition.wait_for, lambda: False),
        ):
            with pytest.raises(RuntimeError):
                call()

    def test_items_pass_through_it(self, make: Callable[[], Any]) -> None:
        condition, items, got = make(), list[int](), list[int]()

        def consume() -> None:
            for _ in range(5):
                with condition:
                    condition.wait_for(lambda: items, SECONDS)
                    got.append(items.pop(0))

        consuming = [in_background(consume) for _ in range(3)]
        for number in range(15):
            with condition:
                items.append(number)
                condition.notify()
        for future in consuming:
            future.result(SECONDS)
        assert sorted(got) == list(range(15))


class ConditionWaiting:
    """What only ours can show."""

    def test_handles_of_a_name_are_one_condition(self, shared_state: State) -> None:
        condition = shared_state.condition("a")

        def wait() -> bool:
            with shared_state.condition("a") as mine:
                return mine.wait(SECONDS)

        waiting = in_background(wait)
        wait_until(lambda: condition.n_waiting == 1)
        wait_until(lambda: not condition.locked())
        with condition:
            condition.notify()
        assert waiting.result(SECONDS)
        assert keys_left(condition) == set()

    def test_a_lock_that_is_given_is_its_lock(self, shared_state: State) -> None:
        lock = shared_state.lock("guard")
        condition = shared_state.condition("a", lock)

        def wait() -> bool:
            theirs = shared_state.lock("guard")
            with shared_state.condition("a", theirs) as mine:
                return mine.wait(SECONDS) and theirs.owned()

        waiting = in_background(wait)
        wait_until(lambda: condition.n_waiting == 1)
        with lock:
            condition.notify()
        assert waiting.result(SECONDS)
        assert not lock.locked()

    def test_a_side_of_a_read_write_lock_may_be_its_lock(self, shared_state: State) -> None:
        prices = shared_state.rwlock("prices")
        condition = shared_state.condition("a", prices.write())

        def wait() -> tuple[bool, bool, bool]:
            with condition, prices.read():
                told = condition.wait(SECONDS)
                return told, prices.write().owned(), prices.read().owned()

        waiting = in_background(wait)
        wait_until(lambda: condition.n_waiting == 1)
        with condition:
            condition.notify()
        assert waiting.result(SECONDS) == (True, True, True)
        assert prices.info().holders == ()

    def test_holds_by_several_handles_are_released_and_restored(
        self, shared_state: State
    ) -> None:
        one = shared_state.lock("guard", strategy="reentrant")
        two = shared_state.lock("guard", strategy="reentrant")
        condition = shared_state.condition("a", one)

        def wait() -> tuple[bool, bool, bool]:
            with one, two, one:
                told = condition.wait(SECONDS)
                return told, one.owned(), two.owned()

        waiting = in_background(wait)
        wait_until(lambda: condition.n_waiting == 1)
        with (
            shared_state.lock("guard", strategy="reentrant") as guard,
            shared_state.condition("a", guard) as mine,
        ):
            mine.notify()
        assert waiting.result(SECONDS) == (True, True, True)
        assert not one.locked()

    def test_the_token_is_another_after_each_wait(self, shared_state: State) -> None:
        with shared_state.condition("a") as condition:
            first = condition.token
            condition.wait(0)
            assert condition.token > first
            assert condition.owned()
            assert not condition.lost.is_set()
        with pytest.raises(LockNotOwned):
            _ = condition.token

    def test_the_lease_begins_anew_after_a_wait(self, shared_state: State) -> None:
        lock = shared_state.lock("guard", ttl=1.0, renew=False)
        with shared_state.condition("a", lock) as condition:
            # Longer than the lease that was let go.
            condition.wait(1.1)
            assert lock.owned()
            assert not lock.lost.is_set()

    def test_writes_can_be_fenced_by_it(self, shared_state: State) -> None:
        numbers = shared_state.map("numbers")
        with shared_state.condition("a") as condition:
            numbers.set("n", 1, fence=condition)
        assert numbers["n"] == 1

    def test_an_interrupted_waiter_leaves_nothing_behind(self, shared_state: State) -> None:
        condition = shared_state.condition("a")
        with condition:
            with pytest.raises(Interrupted), interrupted_in("_listen"):
                condition.wait()
            assert (condition.owned(), condition.n_waiting) == (True, 0)
        assert keys_left(condition) == set()

    def test_an_interrupted_waiter_passes_its_notice_on(
        self, shared_state: State, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        condition = shared_state.condition("a")
        listen = _Sleeper._listen

        def hear_and_be_interrupted(sleeper: _Sleeper, seconds: float) -> None:
            listen(sleeper, seconds)
            if threading.current_thread() is threading.main_thread():
                raise Interrupted

        def wait() -> bool:
            with shared_state.condition("a") as mine:
                return mine.wait(SECONDS)

        def notify() -> Future[bool]:
            wait_until(lambda: condition.n_waiting == 1)
            behind = in_background(wait)
            wait_until(lambda: condition.n_waiting == 2)
            with shared_state.condition("a") as mine:
                mine.notify()
            return behind

        monkeypatch.setattr(_Sleeper, "_listen", hear_and_be_interrupted)
        notifying = in_background(notify)
        with condition, pytest.raises(Interrupted):
            condition.wait(SECONDS)
        assert notifying.result(SECONDS).result(SECONDS)
        assert keys_left(condition) == set()

    def test_a_time_out_leaves_nothing_behind(self, shared_state: State) -> None:
        with shared_state.condition("a") as condition:
            assert condition.wait(SHORT) is False
            assert condition.n_waiting == 0
        assert keys_left(condition) == set()

    def test_waiting_under_a_lost_lock_is_an_error(self, shared_state: State) -> None:
        lock = shared_state.lock("guard", ttl=20)
        condition = shared_state.condition("a", lock)
        lock.acquire()
        lock.force_release()
        with pytest.raises(LockLost, match="before wait"):
            condition.wait(SECONDS)
        assert (condition.n_waiting, lock.locked()) == (0, False)
        with pytest.raises(LockLost):
            lock.release()

    def test_a_copy_of_a_handle_holds_nothing(self, shared_state: State) -> None:
        if Capability.PROCESSES not in shared_state.capabilities:
            pytest.skip("the backend lives in this process only, and so do its handles")
        lock = shared_state.lock("guard")
        for condition in (
            shared_state.condition("a"),
            shared_state.condition("b", lock),
        ):
            with condition:
                copy = pickle.loads(pickle.dumps(condition))
                assert (copy.owned(), copy.locked()) == (False, True)

    def test_wrong_options_are_errors(self, shared_state: State) -> None:
        with pytest.raises(ConfigError, match="expected a lock"):
            shared_state.condition("a", threading.Lock())  # type: ignore[arg-type]
        with pytest.raises(ConfigError, match="as the only option"):
            shared_state.structure("condition", "a", ttl=3)

    @pytest.mark.parametrize("n", [-1, 1.5, True, None, "1"])
    def test_only_a_number_of_waiters_can_be_notified(
        self, shared_state: State, n: Any
    ) -> None:
        condition = shared_state.condition("a")
        with condition, pytest.raises(ValueError, match="a number of waiters"):
            condition.notify(n)


class ConditionSuite(ConditionTwins, ConditionWaiting):
    """Tests of conditions. A backend's own test class inherits them."""

    @pytest.fixture
    def make(self, shared_state: State) -> Callable[[], Any]:
        """Makes a condition as `threading.Condition` is made."""
        return lambda: shared_state.condition("twin")
