"""What locks of several names must do on every backend, with and without one script."""

from __future__ import annotations

import pickle
import random
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

import pytest

from sharedstate.backend import Capability
from sharedstate.errors import (
    ConfigError,
    DeadlockError,
    LockLost,
    LockNotOwned,
    LockTimeout,
)
from sharedstate.locking import Grant, Owner, Refusal
from sharedstate.testing.background import (
    SECONDS,
    Interrupted,
    in_background,
    interrupted_in,
    wait_until,
)
from sharedstate.testing.racing import RACERS, Racers
from sharedstate.testing.victims import Victim
from sharedstate.wakers import take_waker

if TYPE_CHECKING:
    from sharedstate.state import State
    from sharedstate.structures.lock import Lock
    from sharedstate.structures.multilock import MultiLock

SHORT = 0.05
BRIEF = 0.5
NAMES = ("a", "b", "c", "d", "e")
ROUNDS = 25


def several(state: State, names: Sequence[str], one_by_one: bool, **options: Any) -> Any:
    """A lock of several names."""
    return state.multilock(names, one_by_one=one_by_one, **options)


def waiting_at(state: State, name: str) -> int:
    """How many wait for one name."""
    return state.lock(name).info().waiters


def let_it_hold(state: State, both: MultiLock) -> tuple[Future[bool], Lock]:
    """Let one wait for the names a and b, and call it in vain, until it holds a and waits
    for b alone. What it will be granted, and who holds b.
    """
    locks = [state.lock("a"), state.lock("b")]
    locks[0].acquire()
    waiting = in_background(both.acquire)
    for turn in range(9):
        now, then = locks[turn % 2], locks[1 - turn % 2]
        wait_until_one_waits(now)
        assert then.acquire(blocking=False)
        now.release()
    wait_until_one_waits(locks[1])
    return waiting, locks[1]


def wait_until_one_waits(lock: Lock) -> None:
    """Wait until one stands in the line of a lock."""
    wait_until(lambda: lock.info().waiters == 1)


def stranger(name: str) -> Owner:
    """An owner that asks by the strategy, and is as slow as the test wants."""
    return Owner(name, f"{name}.1", '{"host":"h","pid":1,"thread":"t","since":1}')


def nothing_is_left(state: State, names: Sequence[str] = NAMES) -> bool:
    """Whether nobody holds any of the names, or waits for it."""
    infos = [state.lock(name).info() for name in names]
    return all(not info.holders and not info.waiters for info in infos)


class _Both:
    """Each test runs with one script for all names, and name by name."""

    @pytest.fixture(params=[False, True], ids=["one script", "one by one"])
    def one_by_one(self, request: pytest.FixtureRequest) -> bool:
        """Whether the names are taken one after the other."""
        taken: bool = request.param
        return taken

    @pytest.fixture
    def both(self, shared_state: State, one_by_one: bool) -> MultiLock:
        """The lock of the names a and b."""
        lock: MultiLock = several(shared_state, ["b", "a"], one_by_one)
        return lock


class MultiLockBasics(_Both):
    """All or none, beside plain locks of the same names."""

    def test_all_names_are_held_and_released(
        self, shared_state: State, both: MultiLock
    ) -> None:
        assert both.names == ("a", "b")
        with both:
            assert both.owned()
            assert both.locked()
            assert shared_state.lock("a").locked()
            assert not shared_state.lock("b").acquire(blocking=False)
        assert not both.owned()
        assert nothing_is_left(shared_state)

    @pytest.mark.parametrize("held", ["a", "b"])
    def test_a_plain_lock_of_any_name_excludes_it(
        self, shared_state: State, both: MultiLock, held: str
    ) -> None:
        (other,) = {"a", "b"} - {held}
        with shared_state.lock(held):
            assert not both.acquire(blocking=False)
            assert both.locked()
            # It holds none, and leaves no trace at the other.
            assert not shared_state.lock(other).locked()
            assert waiting_at(shared_state, other) == 0
        assert both.acquire(blocking=False)
        both.release()

    def test_the_order_in_which_names_are_given_does_not_matter(
        self, shared_state: State, both: MultiLock, one_by_one: bool
    ) -> None:
        turned = several(shared_state, ("a", "b"), one_by_one)
        with both:
            assert not turned.acquire(blocking=False)
            assert turned.name == both.name

    def test_a_single_name_is_a_plain_lock(
        self, shared_state: State, one_by_one: bool
    ) -> None:
        alone = several(shared_state, ["a"], one_by_one)
        with alone:
            assert not shared_state.lock("a").acquire(blocking=False)
            waiting = in_background(shared_state.lock("a").acquire)
            wait_until(lambda: waiting_at(shared_state, "a") == 1)
        assert waiting.result(SECONDS)

    def test_names_with_any_characters(self, shared_state: State, one_by_one: bool) -> None:
        names = ["a+b", "c%2B", "+", "ü {x}", "%"]
        with several(shared_state, names, one_by_one) as lock:
            assert set(lock.tokens) == set(names)
            assert all(shared_state.lock(name).locked() for name in names)
            assert not several(shared_state, ["a", "b"], one_by_one).locked()
        assert nothing_is_left(shared_state, names)

    def test_the_tokens_are_those_of_the_plain_locks(
        self, shared_state: State, both: MultiLock
    ) -> None:
        with shared_state.lock("b") as plain:
            first = plain.token
        with both:
            tokens = both.tokens
            assert tokens.keys() == {"a", "b"}
            assert tokens["b"] > first
            assert both.token == max(tokens.values())
            assert tokens["a"] == shared_state.lock("a").info().fencing
        with shared_state.lock("b") as plain:
            assert plain.token > tokens["b"]
        with pytest.raises(LockNotOwned):
            _ = both.tokens

    def test_a_fence_is_that_of_the_name(
        self, shared_state: State, both: MultiLock
    ) -> None:
        guarded = shared_state.map("guarded")
        with both:
            late = both.fence("b")
            guarded.set("k", 1, fence=late)
            with pytest.raises(KeyError):
                both.fence("c")
        with shared_state.lock("b") as plain:
            guarded.set("k", 2, fence=plain)
            with pytest.raises(RuntimeError, match="a later holder has come"):
                guarded.set("k", 3, fence=late)
        assert guarded["k"] == 2

    def test_the_holders_of_any_name_are_told(
        self, shared_state: State, both: MultiLock
    ) -> None:
        free = both.info()
        assert (free.holders, free.remaining, free.waiters) == ((), None, 0)
        with shared_state.lock("b", ttl=20):
            told = both.info()
            assert [holder.mode for holder in told.holders] == ["b"]
            assert told.remaining is not None
            assert 10 < told.remaining <= 20
            with pytest.raises(LockTimeout, match=r"'a\+b' was not .* held by pid \d+"):
                both.hold(SHORT).__enter__()
        with both:
            assert [holder.mode for holder in both.info().holders] == ["a", "b"]

    def test_everybody_can_be_made_to_let_go(
        self, shared_state: State, both: MultiLock
    ) -> None:
        plain = shared_state.lock("b")
        plain.acquire()
        assert both.force_release()
        assert not both.force_release()
        with pytest.raises(LockLost):
            plain.release()
        assert nothing_is_left(shared_state)

    def test_a_copy_holds_nothing(self, shared_state: State, both: MultiLock) -> None:
        if Capability.PROCESSES not in shared_state.capabilities:
            pytest.skip("the backend lives in this process only, and so do its handles")
        with both:
            copy: MultiLock = pickle.loads(pickle.dumps(both))
            assert (copy.names, copy.owned()) == (("a", "b"), False)
            assert not copy.acquire(blocking=False)
        assert copy.acquire(blocking=False)
        copy.release()

    @pytest.mark.parametrize(
        ("names", "error", "message"),
        [
            ("ab", TypeError, "expected several names"),
            (b"ab", TypeError, "expected several names"),
            (5, TypeError, "expected several names"),
            (["a", 5], TypeError, "must be a str, got 5"),
            ([], ValueError, "at least one name"),
            (["a", ""], ValueError, "must not be empty"),
            (["a", "b", "a"], ValueError, "each name once, got 'a'"),
        ],
    )
    def test_names_that_make_no_sense_are_errors(
        self, shared_state: State, names: Any, error: type[Exception], message: str
    ) -> None:
        with pytest.raises(error, match=message):
            shared_state.multilock(names)

    def test_wrong_options_are_errors(self, shared_state: State) -> None:
        with pytest.raises(ConfigError, match="expected a ttl from"):
            shared_state.multilock(["a"], ttl=0)
        with pytest.raises(ConfigError, match=r"has the options .* got strategy"):
            shared_state.structure("multilock", "a", strategy="fair")
        with pytest.raises(ConfigError, match="multilock"):
            shared_state.structure("multilock", "b+a")
        with pytest.raises(ConfigError, match=r"state\.multilock"):
            shared_state.lock("a", strategy="several")


class MultiLockWaiting(_Both):
    """Who waits is called, holds nothing, and leaves nothing behind."""

    @pytest.mark.parametrize("held", ["a", "b"])
    def test_a_waiter_is_called_by_the_release_of_a_plain_lock(
        self, shared_state: State, both: MultiLock, held: str
    ) -> None:
        plain = shared_state.lock(held)
        plain.acquire()
        waiting = in_background(both.acquire)
        wait_until(lambda: waiting_at(shared_state, held) == 1)
        plain.release()
        assert waiting.result(SECONDS)
        both.release()
        assert nothing_is_left(shared_state)

    def test_its_release_calls_who_waits_for_any_of_its_names(
        self, shared_state: State, both: MultiLock, one_by_one: bool
    ) -> None:
        both.acquire()
        plain = [shared_state.lock(name) for name in "ab"]
        waiting = [in_background(lock.acquire) for lock in plain]
        other = several(shared_state, ["b", "c"], one_by_one)
        wait_until(lambda: waiting_at(shared_state, "a") == 1)
        wait_until(lambda: waiting_at(shared_state, "b") == 1)
        waiting.append(in_background(other.acquire))
        wait_until(lambda: waiting_at(shared_state, "b") == 2)
        both.release()
        assert waiting[0].result(SECONDS)
        assert waiting[1].result(SECONDS)
        plain[1].release()
        assert waiting[2].result(SECONDS)

    def test_who_is_called_in_vain_calls_the_next(self, shared_state: State) -> None:
        both = shared_state.multilock(["a", "b"])
        first, second = shared_state.lock("a"), shared_state.lock("b")
        first.acquire()
        waiting = in_background(both.acquire)
        wait_until(lambda: waiting_at(shared_state, "a") == 1)
        behind = in_background(shared_state.lock("a").acquire)
        wait_until(lambda: waiting_at(shared_state, "a") == 2)
        second.acquire()
        first.release()
        # It goes over to the line of b, and lets the one behind it have a.
        assert behind.result(SECONDS)
        wait_until(lambda: waiting_at(shared_state, "b") == 1)
        assert waiting_at(shared_state, "a") == 0
        second.release()
        wait_until(lambda: waiting_at(shared_state, "a") == 1)
        shared_state.lock("a").force_release()
        assert waiting.result(SECONDS)

    def test_a_waiter_holds_nothing(self, shared_state: State) -> None:
        both = shared_state.multilock(["a", "b"])
        with shared_state.lock("b"):
            waiting = in_background(both.acquire)
            wait_until(lambda: waiting_at(shared_state, "b") == 1)
            assert not shared_state.lock("a").locked()
        assert waiting.result(SECONDS)

    def test_who_was_called_often_in_vain_holds_what_it_has(
        self, shared_state: State
    ) -> None:
        both = shared_state.multilock(["a", "b"])
        waiting, other = let_it_hold(shared_state, both)
        # From now on nobody comes before it at a.
        assert not shared_state.lock("a").acquire(blocking=False)
        other.release()
        assert waiting.result(SECONDS)
        both.release()
        assert nothing_is_left(shared_state)

    def test_who_is_called_often_and_comes_too_late_is_handed_the_lock(
        self, shared_state: State
    ) -> None:
        both = shared_state.multilock(["a", "b"])
        late = stranger("late")
        plain = shared_state.lock("a")
        waker = take_waker(both._terms.backend)
        plain.acquire()
        for _ in range(8):
            assert isinstance(both._strategy.try_acquire(late, waker.channel), Refusal)
            # It is called, and another one is quicker at the same name.
            plain.release()
            assert plain.acquire(blocking=False)
        assert isinstance(both._strategy.try_acquire(late, waker.channel), Refusal)
        plain.release()
        assert not plain.acquire(blocking=False)
        assert isinstance(both._strategy.try_acquire(late, waker.channel), Grant)
        both._strategy.leave(late)
        waker.close()
        assert nothing_is_left(shared_state)

    def test_to_wait_for_one_that_lets_go_is_no_deadlock(self, shared_state: State) -> None:
        both = shared_state.multilock(["a", "b"], ttl=BRIEF)
        waiting, other = let_it_hold(shared_state, both)
        with shared_state.lock("a") as first:
            # It has let go of a, and waits on for b, which is held here.
            assert first.owned()
            assert not waiting.done()
        other.release()
        assert waiting.result(SECONDS)

    def test_name_by_name_it_lets_go_of_what_it_has_after_a_lease_time(
        self, shared_state: State
    ) -> None:
        both = several(shared_state, ["a", "b"], True, ttl=BRIEF)
        first, second = shared_state.lock("a"), shared_state.lock("b")
        second.acquire()
        waiting = in_background(both.acquire)
        wait_until(first.locked)
        wait_until_one_waits(second)
        # Who holds b, and asks for a, would otherwise wait for ever.
        assert first.acquire(timeout=SECONDS)
        assert not waiting.done()
        second.release()
        assert not waiting.done()
        first.release()
        assert waiting.result(SECONDS)

    def test_name_by_name_those_who_waited_come_first_when_it_lets_go(
        self, shared_state: State
    ) -> None:
        both = several(shared_state, ["a", "b"], True, ttl=BRIEF)
        first, second = shared_state.lock("a"), shared_state.lock("b")
        wakers = [take_waker(both._terms.backend) for _ in range(2)]
        me, other = stranger("me"), stranger("other")
        second.acquire()
        assert isinstance(both._strategy.try_acquire(me, wakers[0].channel), Refusal)
        began = time.monotonic()
        assert isinstance(first._strategy.try_acquire(other, wakers[1].channel), Refusal)
        wait_until(lambda: time.monotonic() - began > BRIEF)
        assert isinstance(both._strategy.try_acquire(me, wakers[0].channel), Refusal)
        # It has called the other one, and stands behind it, although nobody has a.
        assert not first.locked()
        assert waiting_at(shared_state, "a") == 2
        assert isinstance(first._strategy.try_acquire(other, wakers[1].channel), Grant)
        second.release()
        first._strategy.leave(other)
        assert isinstance(both._strategy.try_acquire(me, wakers[0].channel), Grant)
        both._strategy.leave(me)
        for waker in wakers:
            waker.close()
        assert nothing_is_left(shared_state)

    def test_it_lets_go_of_what_it_has_after_a_lease_time(
        self, shared_state: State
    ) -> None:
        both = shared_state.multilock(["a", "b"], ttl=BRIEF)
        waiting, other = let_it_hold(shared_state, both)
        # Somebody who has b, and asks for a, would otherwise wait for ever.
        assert shared_state.lock("a").acquire(timeout=SECONDS)
        assert not waiting.done()
        shared_state.lock("a").force_release()
        other.release()
        assert waiting.result(SECONDS)

    def test_a_wait_that_would_never_end_is_an_error(self, shared_state: State) -> None:
        if Capability.SESSIONS not in shared_state.capabilities:
            pytest.skip("deadlocks are found on backends with sessions")
        mine, theirs = shared_state.lock("c"), shared_state.lock("b")
        mine.acquire()
        taken = threading.Event()

        def cross() -> None:
            with theirs:
                taken.set()
                mine_too = shared_state.lock("c")
                assert mine_too.acquire()
                mine_too.release()

        crossing = in_background(cross)
        assert taken.wait(SECONDS)
        wait_until_one_waits(mine)
        with pytest.raises(DeadlockError, match=r"'b' is held by .* waits for 'c'"):
            shared_state.multilock(["a", "b"]).acquire()
        mine.release()
        crossing.result(SECONDS)
        assert nothing_is_left(shared_state)

    @pytest.mark.parametrize("held", ["a", "b"])
    def test_a_waiter_gives_up_in_time(
        self, shared_state: State, both: MultiLock, held: str
    ) -> None:
        with shared_state.lock(held):
            started = time.monotonic()
            assert not both.acquire(timeout=SHORT)
            assert time.monotonic() - started >= SHORT - 0.002
            assert shared_state.lock(held).info().waiters == 0
        assert nothing_is_left(shared_state)

    @pytest.mark.parametrize("held", ["a", "b"])
    def test_an_interrupted_waiter_leaves_nothing_behind(
        self, shared_state: State, both: MultiLock, held: str
    ) -> None:
        plain = shared_state.lock(held)
        assert in_background(plain.acquire).result(SECONDS)
        both.acquire(timeout=SHORT)
        with pytest.raises(Interrupted), interrupted_in("get"):
            both.acquire()
        plain.release()
        assert nothing_is_left(shared_state)
        assert not both.owned()

    def test_a_waiter_gets_what_a_dead_holder_leaves(
        self, shared_state: State, both: MultiLock
    ) -> None:
        shared_state.lock("b", ttl=BRIEF, renew=False).acquire()
        assert both.acquire(timeout=SECONDS)
        both.release()


class MultiLockLeases(_Both):
    """All names are renewed, and the loss of one is the loss of all."""

    def test_all_names_are_renewed(self, shared_state: State, one_by_one: bool) -> None:
        with several(shared_state, ["a", "b"], one_by_one, ttl=BRIEF) as lock:
            started = time.monotonic()
            wait_until(lambda: time.monotonic() - started > 2 * BRIEF)
            assert lock.owned()
            assert shared_state.lock("a").locked()
            assert shared_state.lock("b").locked()

    @pytest.mark.parametrize("taken", ["a", "b"])
    def test_who_loses_one_name_loses_all(
        self, shared_state: State, one_by_one: bool, taken: str
    ) -> None:
        lock = several(shared_state, ["a", "b"], one_by_one, ttl=BRIEF)
        lock.acquire()
        assert shared_state.lock(taken).force_release()
        assert lock.lost.wait(SECONDS)
        with pytest.raises(LockLost):
            lock.release()
        assert nothing_is_left(shared_state)

    def test_a_loss_at_the_release_frees_the_rest(
        self, shared_state: State, both: MultiLock
    ) -> None:
        both.acquire()
        shared_state.lock("a").force_release()
        with pytest.raises(LockLost):
            both.release()
        assert nothing_is_left(shared_state)

    def test_renewing_by_hand_tells_a_loss(
        self, shared_state: State, both: MultiLock
    ) -> None:
        both.acquire()
        both.renew()
        shared_state.lock("b").force_release()
        with pytest.raises(LockLost, match="the store says"):
            both.renew()


def add_by_hand(state: State, number: int, one_by_one: bool) -> int:
    """Add one in two steps to what a random set of locks guards, often; how many sets."""
    draw = random.Random(number)
    totals = state.map("totals")
    added = 0
    for _ in range(ROUNDS):
        names = draw.sample(NAMES, draw.randint(1, 3))
        with several(state, names, one_by_one):
            for name in names:
                totals[name] = totals.get(name, 0) + 1
                added += 1
    return added


def try_and_add(state: State, number: int, one_by_one: bool) -> int:
    """The same for one who gives up soon, and mixes plain locks in."""
    draw = random.Random(number)
    totals = state.map("totals")
    added = 0
    for turn in range(ROUNDS):
        names = draw.sample(NAMES, draw.randint(1, 3))
        lock = state.lock(names[0]) if turn % 3 == 0 else several(state, names, one_by_one)
        while not lock.acquire(timeout=0.02):
            pass
        for name in names[:1] if turn % 3 == 0 else names:
            totals[name] = totals.get(name, 0) + 1
            added += 1
        lock.release()
    return added


def add_until_killed(pipe: Any, state: State, number: int, one_by_one: bool) -> None:
    """Take random sets for ever. A killed holder leaves all or nothing half done."""
    draw = random.Random(number)
    pipe.send("ready")
    while True:
        with several(state, draw.sample(NAMES, 3), one_by_one, ttl=BRIEF):
            pass


def hold_and_wait(pipe: Any, state: State, one_by_one: bool) -> None:
    """Hold the names a and b, and wait for c and d."""
    several(state, ["a", "b"], one_by_one).acquire()
    pipe.send("held")
    several(state, ["c", "d"], one_by_one).acquire()


class MultiLockRaces(_Both):
    """Many processes with overlapping sets, in any order."""

    @pytest.fixture(scope="class")
    @classmethod
    def racers(cls) -> Iterator[Racers]:
        """The workers, for all tests of the class."""
        with Racers() as racers:
            yield racers

    @pytest.mark.parametrize("work", [add_by_hand, try_and_add])
    def test_overlapping_sets_neither_block_each_other_nor_lose_anything(
        self, shared_state: State, racers: Racers, one_by_one: bool, work: Any
    ) -> None:
        added = racers.run(work, shared_state, one_by_one)
        assert len(added) == RACERS
        assert sum(shared_state.map("totals").values()) == sum(added)
        assert nothing_is_left(shared_state)

    def test_at_every_moment_all_names_are_held_or_none(self, shared_state: State) -> None:
        if Capability.PROCESSES not in shared_state.capabilities:
            pytest.skip("only processes can be killed")
        everything = shared_state.multilock(NAMES)
        seen = set()

        def look() -> int:
            # One script looks at all names.
            held = len(everything.info().holders)
            seen.add(held)
            return held

        with Victim(add_until_killed, shared_state, 1, False) as victim:
            victim.receive()
            wait_until(lambda: look() == 3)
            for _ in range(300):
                look()
            victim.kill()
            look()
        assert seen <= {0, 3}
        with everything.hold(SECONDS):
            pass

    def test_all_names_of_a_killed_process_pass_on_before_their_leases_end(
        self, shared_state: State, one_by_one: bool
    ) -> None:
        if Capability.SESSIONS not in shared_state.capabilities:
            pytest.skip("the backend does not know when a process ends")
        with (
            shared_state.lock("d"),
            Victim(hold_and_wait, shared_state, one_by_one) as victim,
        ):
            victim.receive()
            wait_until(lambda: waiting_at(shared_state, "d") == 1)
            victim.kill()
            # Their leases last for longer than this waits.
            with several(shared_state, ["a", "b", "c"], one_by_one).hold(SECONDS):
                pass
            assert waiting_at(shared_state, "d") == 0
        assert nothing_is_left(shared_state)

    def test_the_killed_hold_nobody_up_for_long(
        self, shared_state: State, one_by_one: bool
    ) -> None:
        if Capability.PROCESSES not in shared_state.capabilities:
            pytest.skip("only processes can be killed")
        victims = [
            Victim(add_until_killed, shared_state, number, one_by_one)
            for number in range(3)
        ]
        draw = random.Random(1)
        try:
            for victim in victims:
                victim.receive()
            for victim in victims:
                for _ in range(draw.randint(5, 25)):
                    with several(shared_state, draw.sample(NAMES, 2), one_by_one):
                        pass
                victim.kill()
            # All that they had or waited for passes on.
            with several(shared_state, NAMES, one_by_one).hold(SECONDS) as lock:
                assert lock.owned()
        finally:
            for victim in victims:
                victim.__exit__(None, None, None)
        wait_until(lambda: nothing_is_left(shared_state))


class MultiLockSuite(MultiLockBasics, MultiLockWaiting, MultiLockLeases):
    """Tests of `MultiLock`. A backend's own test class inherits them."""
