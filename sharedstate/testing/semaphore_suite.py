"""What semaphores must do everywhere. `SemaphoreTwins` is true of `threading`, too."""

from __future__ import annotations

import gc
import pickle
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from sharedstate.backend import Capability
from sharedstate.errors import ConfigError, LockLost, LockNotOwned, PermitNotHeld
from sharedstate.testing.background import (
    SECONDS,
    Interrupted,
    in_background,
    interrupted_in,
    wait_until,
)
from sharedstate.testing.lock_lease_suite import BRIEF, KEPT
from sharedstate.testing.processes import run_in_workers

if TYPE_CHECKING:
    from collections.abc import Callable

    from sharedstate.state import State
    from sharedstate.structures.semaphore import Semaphore

SHORT = 0.05


def keys_left(semaphore: Semaphore) -> set[str]:
    """The parts of a semaphore that are on the store, but for what stays for ever."""
    context = semaphore._context
    return {
        part
        for part in ("permits", "held", "line", "waiters")
        if context.backend.execute(("EXISTS", context.key(part))) == 1
    }


def wait_for_waiters(semaphore: Semaphore, count: int) -> None:
    """Wait until so many stand in the line."""
    wait_until(lambda: semaphore.info().waiters == count)


class SemaphoreTwins:
    """What ours and `threading`'s have in common: `make(value)` and `bounded(value)` make
    one, of which one object is shared by all threads.
    """

    def test_its_value_is_one_by_default(self, make: Callable[..., Any]) -> None:
        semaphore = make()
        assert semaphore.acquire()
        assert not semaphore.acquire(False)
        semaphore.release()
        assert semaphore.acquire(blocking=False)

    def test_so_many_may_have_it(self, make: Callable[..., Any]) -> None:
        semaphore = make(2)
        assert [semaphore.acquire(False) for _ in range(3)] == [True, True, False]
        semaphore.release()
        assert [semaphore.acquire(False) for _ in range(2)] == [True, False]

    def test_with_acquires_and_releases(self, make: Callable[..., Any]) -> None:
        semaphore = make(2)
        with semaphore:
            assert semaphore.acquire(False)
            assert not semaphore.acquire(False)
            semaphore.release()
            with semaphore:
                assert not semaphore.acquire(False)
        assert [semaphore.acquire(False) for _ in range(3)] == [True, True, False]

    def test_with_releases_when_the_body_fails(self, make: Callable[..., Any]) -> None:
        semaphore = make()
        with pytest.raises(KeyError, match="mine"), semaphore:
            raise KeyError("mine")
        assert semaphore.acquire(False)

    def test_one_who_waits_is_woken_by_a_release(self, make: Callable[..., Any]) -> None:
        semaphore = make()
        semaphore.acquire()
        waiting = in_background(semaphore.acquire)
        semaphore.release()
        assert waiting.result(SECONDS) is True
        assert not semaphore.acquire(False)

    def test_a_release_of_several_wakes_several(self, make: Callable[..., Any]) -> None:
        semaphore = make(3)
        for _ in range(3):
            semaphore.acquire()
        waiting = [in_background(semaphore.acquire) for _ in range(3)]
        semaphore.release(3)
        assert [future.result(SECONDS) for future in waiting] == [True] * 3
        assert not semaphore.acquire(False)

    def test_any_thread_may_release(self, make: Callable[..., Any]) -> None:
        semaphore = make()
        semaphore.acquire()
        in_background(semaphore.release).result(SECONDS)
        assert semaphore.acquire(False)

    def test_who_waits_gives_up_in_time(self, make: Callable[..., Any]) -> None:
        semaphore = make()
        semaphore.acquire()
        started = time.monotonic()
        assert semaphore.acquire(timeout=SHORT) is False
        assert time.monotonic() - started >= SHORT - 0.002
        semaphore.release()
        assert semaphore.acquire(timeout=SHORT) is True

    @pytest.mark.parametrize("timeout", [0, -1, -0.5])
    def test_no_time_is_no_time(self, make: Callable[..., Any], timeout: float) -> None:
        semaphore = make()
        assert semaphore.acquire(timeout=timeout) is True
        assert semaphore.acquire(timeout=timeout) is False

    def test_senseless_arguments_are_errors(self, make: Callable[..., Any]) -> None:
        semaphore = make()
        with pytest.raises(ValueError, match="timeout"):
            semaphore.acquire(False, 1)
        with pytest.raises(ValueError, match="n"):
            semaphore.release(0)
        with pytest.raises(ValueError, match="n"):
            semaphore.release(-1)
        with pytest.raises(ValueError, match=r"value|initial"):
            make(-1)
        assert semaphore.acquire(False)

    def test_a_bounded_one_is_not_released_too_often(
        self, bounded: Callable[..., Any]
    ) -> None:
        semaphore = bounded(2)
        with pytest.raises(ValueError):  # noqa: PT011 - the words are each one's own
            semaphore.release()
        semaphore.acquire()
        with pytest.raises(ValueError):  # noqa: PT011
            semaphore.release(2)
        semaphore.release()
        assert [semaphore.acquire(False) for _ in range(3)] == [True, True, False]

    def test_no_more_than_its_value_are_inside(self, make: Callable[..., Any]) -> None:
        semaphore, guard, inside, most = make(2), threading.Lock(), [0], [0]

        def work() -> None:
            for _ in range(10):
                with semaphore:
                    with guard:
                        inside[0] += 1
                        most[0] = max(most[0], inside[0])
                    time.sleep(0)
                    with guard:
                        inside[0] -= 1

        for working in [in_background(work) for _ in range(5)]:
            working.result(SECONDS)
        assert inside == [0]
        assert most[0] <= 2
        assert [semaphore.acquire(False) for _ in range(3)] == [True, True, False]


class SemaphorePermits:
    """Permits belong to those who acquired them."""

    def test_handles_of_a_name_share_the_permits(self, shared_state: State) -> None:
        ours, theirs = shared_state.semaphore("a", 2), shared_state.semaphore("a", 2)
        assert ours.acquire()
        assert theirs.acquire()
        assert not ours.acquire(False)
        assert (ours.held, theirs.held, ours.value, ours.size) == (1, 1, 0, 2)
        theirs.release()
        assert (ours.held, theirs.held, ours.value) == (1, 0, 1)

    @pytest.mark.parametrize("kind", ["semaphore", "bounded_semaphore"])
    def test_a_release_never_invents_permits(self, shared_state: State, kind: str) -> None:
        ours = getattr(shared_state, kind)("a", 2)
        theirs = getattr(shared_state, kind)("a", 2)
        theirs.acquire()
        with pytest.raises(LockNotOwned, match="holds 0 permits") as caught:
            ours.release()
        is_bounded = kind == "bounded_semaphore"
        assert isinstance(caught.value, ValueError) is is_bounded
        assert isinstance(caught.value, PermitNotHeld) is is_bounded
        ours.acquire()
        with pytest.raises(LockNotOwned, match="holds 1 permits"):
            ours.release(2)
        assert (ours.held, ours.value) == (1, 0)

    def test_the_bounded_one_is_the_same_semaphore(self, shared_state: State) -> None:
        with shared_state.bounded_semaphore("a", 2):
            assert shared_state.semaphore("a", 2).value == 1

    def test_several_are_acquired_together_or_not_at_all(self, shared_state: State) -> None:
        semaphore, other = shared_state.semaphore("a", 3), shared_state.semaphore("a", 3)
        other.acquire()
        assert not semaphore.acquire(False, n=3)
        assert (semaphore.held, semaphore.value) == (0, 2)
        assert semaphore.acquire(n=2)
        assert (semaphore.held, semaphore.value) == (2, 0)

    def test_several_may_be_released_in_parts(self, shared_state: State) -> None:
        semaphore = shared_state.semaphore("a", 5)
        semaphore.acquire(n=3)
        token = semaphore.token
        semaphore.acquire(n=2)
        semaphore.release()
        assert (semaphore.held, semaphore.value) == (4, 1)
        semaphore.release(2)
        assert (semaphore.held, semaphore.value, semaphore.token) == (2, 3, token)
        semaphore.release(2)
        assert (semaphore.held, semaphore.value) == (0, 5)
        assert keys_left(semaphore) == set()

    def test_a_release_that_arrives_late_or_twice_takes_nothing_more(
        self, shared_state: State
    ) -> None:
        semaphore = shared_state.semaphore("a", 5)
        semaphore.acquire(n=4)
        grant = semaphore._mine().leases()[0].grant
        for left, free in ((2, 3), (1, 4), (2, 4), (1, 4), (3, 4)):
            assert semaphore._strategy.release_down_to([(grant, left)]) == [1]
            assert semaphore.value == free
        assert semaphore._strategy.release_down_to([(grant, 0)]) == [1]
        assert semaphore._strategy.release_down_to([(grant, 0)]) == [0]
        assert semaphore.value == 5

    def test_who_has_acquired_releases_its_own_first(self, shared_state: State) -> None:
        semaphore = shared_state.semaphore("a", 5)
        in_background(lambda: semaphore.acquire(n=2)).result(SECONDS)
        semaphore.acquire()
        ours = semaphore.token
        in_background(semaphore.release).result(SECONDS)
        assert semaphore.token == ours
        semaphore.release()
        assert (semaphore.held, semaphore.token < ours) == (1, True)

    @pytest.mark.parametrize("n", [0, -1, 1.0, True])
    def test_a_senseless_number_is_an_error(self, shared_state: State, n: Any) -> None:
        semaphore = shared_state.semaphore("a", 2)
        with pytest.raises(ValueError, match="number of permits"):
            semaphore.acquire(n=n)
        with pytest.raises(ValueError, match="number of permits"):
            semaphore.release(n)

    def test_more_than_there_are_is_an_error_at_once(self, shared_state: State) -> None:
        semaphore = shared_state.semaphore("a", 2)
        with pytest.raises(ValueError, match=r"at most 2 permits.* got n=3"):
            semaphore.acquire(n=3)
        assert semaphore.info().waiters == 0
        semaphore.resize(3)
        assert semaphore.acquire(n=3)

    def test_wrong_options_are_errors(self, shared_state: State) -> None:
        with pytest.raises(ConfigError, match="expected a ttl"):
            shared_state.semaphore("a", ttl=0)
        with pytest.raises(ConfigError, match="expected value"):
            shared_state.semaphore("a", 1.5)  # type: ignore[arg-type]
        with pytest.raises(ConfigError, match="no option tll"):
            shared_state.structure("semaphore", "a", tll=3)


class SemaphoreSize:
    """The size is one for all, and may change."""

    def test_the_first_use_decides_the_size(self, shared_state: State) -> None:
        three, four = shared_state.semaphore("a", 3), shared_state.semaphore("a", 4)
        assert (three.size, four.size) == (3, 4)
        with three:
            with pytest.raises(ConfigError, match=r"has 3 permits.* with value=4.*resize"):
                four.acquire()
            with pytest.raises(ConfigError, match="value=3 everywhere"):
                _ = four.value
        assert keys_left(three) == set()

    def test_after_a_resize_handles_may_differ(self, shared_state: State) -> None:
        three, four = shared_state.semaphore("a", 3), shared_state.semaphore("a", 4)
        three.acquire()
        four.resize(4)
        with four:
            assert (three.size, four.size, three.value) == (4, 4, 2)
        assert shared_state.semaphore("a").size == 4

    def test_growing_wakes_as_many_as_fit(self, shared_state: State) -> None:
        semaphore = shared_state.semaphore("a", 2)
        semaphore.acquire(n=2)
        waiting = []
        for number in range(3):
            other = shared_state.semaphore("a", 2)
            waiting.append(in_background(other.acquire))
            wait_for_waiters(semaphore, number + 1)
        semaphore.resize(4)
        assert [future.result(SECONDS) for future in waiting[:2]] == [True, True]
        assert (semaphore.info().waiters, semaphore.value) == (1, 0)
        semaphore.resize(5)
        assert waiting[2].result(SECONDS)

    def test_shrinking_takes_nothing_away(self, shared_state: State) -> None:
        semaphore = shared_state.semaphore("a", 3)
        for _ in range(3):
            semaphore.acquire()
        semaphore.resize(1)
        assert (semaphore.held, semaphore.value, semaphore.size) == (3, 0, 1)
        semaphore.renew()
        for held in (2, 1):
            semaphore.release()
            assert (semaphore.held, semaphore.acquire(False)) == (held, False)
        semaphore.release()
        assert semaphore.value == 1
        assert semaphore.acquire(False)

    def test_who_waits_for_more_than_there_are_by_then_is_told(
        self, shared_state: State
    ) -> None:
        semaphore, other = shared_state.semaphore("a", 3), shared_state.semaphore("a", 3)
        semaphore.acquire()
        waiting = in_background(lambda: other.acquire(n=3))
        wait_for_waiters(semaphore, 1)
        behind = in_background(shared_state.semaphore("a", 3).acquire)
        wait_for_waiters(semaphore, 2)
        semaphore.resize(2)
        with pytest.raises(ValueError, match="at most 2 permits"):
            waiting.result(SECONDS)
        assert behind.result(SECONDS)

    def test_a_semaphore_may_be_closed_for_a_while(self, shared_state: State) -> None:
        semaphore = shared_state.semaphore("a", 1)
        semaphore.resize(0)
        with pytest.raises(ValueError, match="at most 0 permits"):
            semaphore.acquire()
        semaphore.resize(1)
        assert semaphore.acquire(False)

    @pytest.mark.parametrize("size", [-1, 1.5, None])
    def test_a_senseless_size_is_an_error(self, shared_state: State, size: Any) -> None:
        with pytest.raises(ConfigError, match="expected size"):
            shared_state.semaphore("a").resize(size)


class SemaphoreOrder:
    """First come, first served; and whoever gives up leaves nothing behind."""

    def test_permits_are_granted_in_the_order_of_asking(self, shared_state: State) -> None:
        semaphore, order = shared_state.semaphore("a"), list[int]()
        semaphore.acquire()

        def come(number: int) -> None:
            with shared_state.semaphore("a"):
                order.append(number)

        coming = []
        for number in range(5):
            coming.append(in_background(partial(come, number)))
            wait_for_waiters(semaphore, number + 1)
        semaphore.release()
        for future in coming:
            future.result(SECONDS)
        assert order == list(range(5))
        assert keys_left(semaphore) == set()

    def test_who_wants_many_is_not_starved_by_those_who_want_few(
        self, shared_state: State
    ) -> None:
        semaphore = shared_state.semaphore("a", 3)
        semaphore.acquire(n=2)
        many, few = shared_state.semaphore("a", 3), shared_state.semaphore("a", 3)
        wanting = in_background(lambda: many.acquire(n=3))
        wait_for_waiters(semaphore, 1)
        # One is free; but somebody was here before.
        assert not few.acquire(timeout=SHORT)
        behind = in_background(few.acquire)
        wait_for_waiters(semaphore, 2)
        semaphore.release()
        assert not semaphore.acquire(False)
        assert (many.held, few.held) == (0, 0)
        semaphore.release()
        assert wanting.result(SECONDS)
        assert (many.held, few.held) == (3, 0)
        many.release()
        assert behind.result(SECONDS)

    def test_who_gives_up_lets_those_behind_go_on(self, shared_state: State) -> None:
        # Where nobody renews anything, nobody but the leaver looks who is next.
        semaphore = shared_state.semaphore("a", 2, renew=False)
        many = shared_state.semaphore("a", 2)
        semaphore.acquire()
        wanting = in_background(lambda: many.acquire(timeout=0.5, n=2))
        wait_for_waiters(semaphore, 1)
        behind = in_background(shared_state.semaphore("a", 2).acquire)
        wait_for_waiters(semaphore, 2)
        assert wanting.result(SECONDS) is False
        assert behind.result(SECONDS) is True

    def test_an_interrupted_waiter_leaves_nothing_behind(self, shared_state: State) -> None:
        semaphore, other = shared_state.semaphore("a", 2), shared_state.semaphore("a", 2)
        semaphore.acquire(n=2)
        with pytest.raises(Interrupted), interrupted_in("wait_in_line"):
            other.acquire(n=2)
        assert (other.held, semaphore.info().waiters) == (0, 0)
        semaphore.release(2)
        assert keys_left(semaphore) == set()

    def test_who_is_told_nothing_asks_again_when_a_lease_ends(
        self, shared_state: State
    ) -> None:
        dead = shared_state.semaphore("a", ttl=BRIEF, renew=False)
        dead.acquire()
        assert in_background(shared_state.semaphore("a").acquire).result(SECONDS)


class SemaphoreKnowledge:
    """What a semaphore tells, and what becomes of leases."""

    def test_it_tells_who_holds_and_who_waits(self, shared_state: State) -> None:
        semaphore = shared_state.semaphore("a", 3, ttl=20)
        free = semaphore.info()
        assert (free.holders, free.remaining, free.fencing) == ((), None, 0)
        semaphore.acquire(n=2)
        other = shared_state.semaphore("a", 3)
        other.acquire()
        waiting = []
        for n in (2, 1):
            acquire = shared_state.semaphore("a", 3).acquire
            waiting.append(in_background(partial(acquire, timeout=1, n=n)))
            wait_for_waiters(semaphore, 3 - n)
        info = semaphore.info()
        assert sorted(holder.mode for holder in info.holders) == ["1", "2"]
        assert [waiter.mode for waiter in info.line] == ["2", "1"]
        assert abs(info.holders[0].since - time.time()) < SECONDS
        assert info.remaining is not None
        assert 10 < info.remaining <= 30
        assert info.fencing == other.token > semaphore.token
        assert [future.result(SECONDS) for future in waiting] == [False, False]

    def test_there_is_no_token_of_what_is_not_held(self, shared_state: State) -> None:
        semaphore = shared_state.semaphore("a")
        for ask in (lambda: semaphore.token, lambda: semaphore.lost, semaphore.renew):
            with pytest.raises(LockNotOwned, match="holds 0 permits"):
                ask()
        with semaphore:
            assert not semaphore.lost.is_set()
        with pytest.raises(LockNotOwned):
            _ = semaphore.token

    def test_tokens_rise_with_every_grant(self, shared_state: State) -> None:
        semaphore, tokens = shared_state.semaphore("a", 2), []
        for _ in range(3):
            semaphore.acquire()
            tokens.append(semaphore.token)
            with semaphore:
                tokens.append(semaphore.token)
            assert semaphore.token == tokens[-2]
            semaphore.release()
        assert tokens == sorted(set(tokens))

    def test_held_permits_are_renewed(self, shared_state: State) -> None:
        semaphore = shared_state.semaphore("a", 2, ttl=KEPT)
        semaphore.acquire(n=2)
        semaphore.release()
        lowest = [KEPT]

        def is_longer() -> bool:
            remaining = semaphore.info().remaining
            assert remaining is not None
            lowest[0] = min(lowest[0], remaining)
            return remaining > lowest[0] + 0.3

        wait_until(is_longer)
        assert (semaphore.held, semaphore.value) == (1, 1)

    def test_a_lease_that_is_not_renewed_is_lost(self, shared_state: State) -> None:
        told: list[Semaphore] = []
        semaphore = shared_state.semaphore(
            "a", 3, ttl=BRIEF, renew=False, on_lost=told.append
        )
        semaphore.acquire(n=2)
        assert semaphore.lost.wait(SECONDS)
        wait_until(lambda: told == [semaphore])
        assert semaphore.held == 0
        with pytest.raises(LockLost, match=r"2 permits.*were lost.*renew=False"):
            semaphore.release()
        with pytest.raises(LockNotOwned):
            semaphore.release()
        wait_until(lambda: semaphore.value == 3)

    def test_a_lease_can_be_renewed_by_hand(self, shared_state: State) -> None:
        semaphore = shared_state.semaphore("a", 2, ttl=20, renew=False)
        semaphore.acquire()

        def remaining() -> float:
            return semaphore.info().remaining or 0.0

        wait_until(lambda: remaining() < 19.8)
        semaphore.renew()
        assert remaining() > 19.8

    def test_there_is_no_token_of_what_was_lost(self, shared_state: State) -> None:
        semaphore = shared_state.semaphore("a", 2, ttl=BRIEF, renew=False)
        with pytest.raises(LockNotOwned):
            _ = semaphore.token
        semaphore.acquire()
        assert semaphore.lost.wait(SECONDS)
        with pytest.raises(LockLost, match="were lost"):
            _ = semaphore.token

    def test_permits_that_were_taken_away_are_lost(self, shared_state: State) -> None:
        semaphore = shared_state.semaphore("a", 2, ttl=20)
        semaphore.acquire()
        semaphore.acquire()
        assert semaphore.force_release()
        assert not semaphore.force_release()
        other = shared_state.semaphore("a", 2)
        other.acquire(n=2)
        with pytest.raises(LockLost, match="when it was released"):
            semaphore.release()
        with pytest.raises(LockLost, match="the store says"):
            semaphore.renew()
        assert (semaphore.held, other.held, semaphore.value) == (0, 2, 0)
        other.renew()

    def test_a_loss_does_not_hide_the_bodys_error(self, shared_state: State) -> None:
        semaphore = shared_state.semaphore("a", ttl=20)

        def lose_and_fail() -> None:
            with semaphore:
                semaphore.force_release()
                raise KeyError("mine")

        with pytest.raises(KeyError) as caught:
            lose_and_fail()
        assert isinstance(caught.value.__context__, LockLost)
        assert "were lost" in caught.value.__notes__[0]

    def test_who_lost_its_own_does_not_release_another_threads(
        self, shared_state: State
    ) -> None:
        semaphore = shared_state.semaphore("a", ttl=20)
        acquired, go_on = threading.Event(), threading.Event()

        def acquire_and_release() -> None:
            semaphore.acquire()
            acquired.set()
            assert go_on.wait(SECONDS)
            semaphore.release()

        first = in_background(acquire_and_release)
        assert acquired.wait(SECONDS)
        semaphore.force_release()
        with semaphore:
            go_on.set()
            with pytest.raises(LockLost):
                first.result(SECONDS)
            semaphore.renew()

    def test_a_dropped_handle_holds_nothing_for_long(self, shared_state: State) -> None:
        shared_state.semaphore("a", ttl=BRIEF).acquire()
        gc.collect()
        assert shared_state.semaphore("a").acquire(timeout=SECONDS)

    def test_a_copy_of_a_handle_holds_nothing(self, shared_state: State) -> None:
        if Capability.PROCESSES not in shared_state.capabilities:
            pytest.skip("the backend lives in this process only, and so do its handles")
        with shared_state.bounded_semaphore("a", 2) as semaphore:
            copy = pickle.loads(pickle.dumps(semaphore))
            assert type(copy) is type(semaphore)
            assert (copy.held, copy.value) == (0, 1)
            with pytest.raises(PermitNotHeld):
                copy.release()

    def test_a_forked_child_holds_nothing(self, shared_state: State) -> None:
        if Capability.PROCESSES not in shared_state.capabilities:
            pytest.skip("the backend lives in this process only")
        with shared_state.semaphore("a", 2, ttl=KEPT) as semaphore:
            assert run_in_workers(holds_in_child, semaphore, method="fork") == [(0, 1)]
            assert (semaphore.held, semaphore.value) == (1, 1)
            semaphore.renew()


def holds_in_child(semaphore: Semaphore) -> tuple[int, int]:
    """What a child holds by its parent's handle, before and after it acquired by itself."""
    before = semaphore.held
    with pytest.raises(LockNotOwned):
        semaphore.release()
    with semaphore:
        return before, semaphore.held


class SemaphoreSuite(
    SemaphoreTwins, SemaphorePermits, SemaphoreSize, SemaphoreOrder, SemaphoreKnowledge
):
    """Tests of semaphores. A backend's own test class inherits them."""

    @pytest.fixture
    def make(self, shared_state: State) -> Callable[..., Any]:
        """Makes a semaphore as `threading.Semaphore` is made."""
        return lambda *value: shared_state.semaphore("twin", *value)

    @pytest.fixture
    def bounded(self, shared_state: State) -> Callable[..., Any]:
        """Makes a bounded one."""
        return lambda *value: shared_state.bounded_semaphore("twin", *value)
