"""Semaphores, conditions, elections and `Once`, whose processes are killed and stopped."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from sharedstate.backend import Capability
from sharedstate.errors import LockLost, LockTimeout
from sharedstate.testing.background import SECONDS, in_background, wait_until
from sharedstate.testing.racing import RACERS, Racers
from sharedstate.testing.victims import Victim

if TYPE_CHECKING:
    from sharedstate.state import State

ROUNDS = 15
SIZE = 3
TTL = 1.0
AT_ONCE = 10.0
"""Far below the lease time of those whom only their session can follow."""


def share_permits(state: State, number: int) -> list[int]:
    """Acquire one to three permits, often; how many were held with them, each time."""
    semaphore, inside = state.semaphore("a", SIZE), state.counter("inside")
    seen = []
    for turn in range(ROUNDS):
        n = 1 + (number + turn) % SIZE
        semaphore.acquire(n=n)
        seen.append(inside.add(n))
        inside.add(-n)
        semaphore.release(n)
    return seen


def pass_items_on(state: State, number: int) -> list[int]:
    """Half of the racers put items under a condition, the others take them."""
    condition, items = state.condition("items"), state.map("items")
    taken: list[int] = []
    for turn in range(ROUNDS):
        with condition:
            if number % 2:
                items["all"] = [*items.get("all", []), number * ROUNDS + turn]
                condition.notify()
            else:
                condition.wait_for(lambda: items.get("all"), SECONDS)
                first, *others = items["all"]
                items["all"] = others
                taken.append(first)
    return taken


def run_once(state: State, number: int) -> list[int]:
    """Run the same names; the results."""
    runs = state.counter("runs")
    return [state.once(f"job {turn}").run(partial(runs.add, 1)) for turn in range(ROUNDS)]


def hold_permits(pipe: Any, state: State, renew: bool = True, ttl: float = TTL) -> None:
    """Hold two permits until told to release one, and then the other."""
    semaphore = state.semaphore("a", SIZE, ttl=ttl, renew=renew)
    semaphore.acquire(n=2)
    pipe.send(semaphore.token)
    for _ in range(2):
        pipe.recv()
        try:
            semaphore.release()
        except LockLost as error:
            pipe.send(str(error))
        else:
            pipe.send("released")


def wait_for_permits(pipe: Any, state: State, ttl: float = 30.0) -> None:
    """Wait for all permits, and tell the token."""
    pipe.send("ready")
    semaphore = state.semaphore("a", SIZE, ttl=ttl)
    semaphore.acquire(n=SIZE)
    pipe.send(semaphore.token)
    pipe.recv()


def wait_for_notice(pipe: Any, state: State) -> None:
    """Wait under a condition."""
    with state.condition("a") as condition:
        pipe.send("waits")
        pipe.send(condition.wait())


def hold_condition(pipe: Any, state: State) -> None:
    """Notify one, and keep the lock."""
    condition = state.condition("a", state.lock("guard", ttl=TTL))
    with condition:
        condition.notify()
        pipe.send("notified")
        pipe.recv()


def lead(pipe: Any, state: State, ttl: float = TTL) -> None:
    """Stand for election, and tell what becomes of it."""

    def tell(word: str, token: int) -> None:
        # The test may have seen enough, and be gone.
        with suppress(OSError):
            pipe.send((word, token))

    election = state.election(
        "a", ttl=ttl, on_elected=partial(tell, "elected"), on_lost=partial(tell, "lost")
    )
    with election:
        pipe.recv()


def run_long(pipe: Any, state: State, ttl: float = TTL) -> None:
    """Run something that ends when it is told to."""

    def work() -> str:
        pipe.send("runs")
        pipe.recv()
        return "of the victim"

    try:
        pipe.send(state.once("a", ttl=ttl).run(work))
    except LockLost:
        pipe.send("overtaken")


class SuccessionRaces:
    """Tests with many workers, or with victims."""

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

    def test_no_more_permits_are_held_than_there_are(
        self, shared_state: State, racers: Racers
    ) -> None:
        hands = racers.run(share_permits, shared_state)
        assert max(max(hand) for hand in hands) == SIZE
        semaphore = shared_state.semaphore("a", SIZE)
        assert (semaphore.value, semaphore.info().waiters) == (SIZE, 0)

    def test_every_item_that_was_put_is_taken_once(
        self, shared_state: State, racers: Racers
    ) -> None:
        hands = racers.run(pass_items_on, shared_state)
        taken = sorted(item for hand in hands for item in hand)
        assert len(taken) == RACERS // 2 * ROUNDS
        assert taken == sorted(
            number * ROUNDS + turn
            for number in range(1, RACERS, 2)
            for turn in range(ROUNDS)
        )
        assert shared_state.condition("items").n_waiting == 0

    def test_each_name_is_run_once(self, shared_state: State, racers: Racers) -> None:
        hands = racers.run(run_once, shared_state)
        assert shared_state.counter("runs").value == ROUNDS
        assert all(hand == hands[0] for hand in hands)

    @pytest.mark.usefixtures("processes")
    def test_a_killed_holder_frees_its_own_permits_and_no_others(
        self, shared_state: State
    ) -> None:
        semaphore = shared_state.semaphore("a", SIZE)
        semaphore.acquire()
        with Victim(hold_permits, shared_state) as victim:
            token = victim.receive()
            victim.kill()
        assert semaphore.acquire(timeout=SECONDS, n=2)
        assert semaphore.token > token
        assert (semaphore.held, semaphore.value) == (SIZE, 0)
        assert not semaphore.acquire(timeout=2 * TTL)
        semaphore.renew()

    @pytest.mark.usefixtures("processes")
    def test_a_living_holder_keeps_what_it_did_not_release(
        self, shared_state: State
    ) -> None:
        semaphore = shared_state.semaphore("a", SIZE)
        with Victim(hold_permits, shared_state) as victim:
            victim.receive()
            assert not semaphore.acquire(timeout=3 * TTL, n=2)
            victim.pipe.send("release one")
            assert victim.receive() == "released"
            assert semaphore.acquire(n=2)
            assert not semaphore.acquire(timeout=2 * TTL)
            victim.pipe.send("release the other")
            assert victim.receive() == "released"
            assert semaphore.acquire(timeout=0)

    @pytest.mark.usefixtures("processes")
    def test_a_stopped_waiter_that_is_handed_permits_does_not_keep_them(
        self, shared_state: State
    ) -> None:
        semaphore = shared_state.semaphore("a", SIZE, ttl=TTL)
        semaphore.acquire(n=SIZE)
        with Victim(wait_for_permits, shared_state, TTL) as victim:
            victim.receive()
            wait_until(lambda: semaphore.info().waiters == 1)
            victim.stop()
            semaphore.release(SIZE)
            assert semaphore.acquire(timeout=SECONDS, n=SIZE)
            victim.resume()
            semaphore.release(SIZE)
            assert victim.receive() > 0

    @pytest.mark.usefixtures("processes")
    def test_a_stopped_holder_loses_its_permits_and_learns_of_it(
        self, shared_state: State
    ) -> None:
        semaphore = shared_state.semaphore("a", SIZE)
        # Where a session would keep them, only a lease that nobody renews comes to its end.
        renew = Capability.SESSIONS not in shared_state.capabilities
        with Victim(hold_permits, shared_state, renew) as victim:
            victim.receive()
            victim.stop()
            assert semaphore.acquire(timeout=SECONDS, n=SIZE)
            victim.pipe.send("release one")
            victim.resume()
            assert "were lost" in victim.receive()
            assert (semaphore.held, semaphore.value) == (SIZE, 0)
            semaphore.renew()

    @pytest.mark.usefixtures("sessions")
    def test_a_stopped_holder_keeps_its_permits_while_its_session_is_open(
        self, shared_state: State
    ) -> None:
        semaphore = shared_state.semaphore("a", SIZE)
        with Victim(hold_permits, shared_state) as victim:
            victim.receive()
            victim.stop()
            assert not semaphore.acquire(timeout=3 * TTL, n=2)
            victim.resume()
            for word in ("release one", "release the other"):
                victim.pipe.send(word)
                assert victim.receive() == "released"
        assert semaphore.acquire(timeout=0, n=SIZE)

    @pytest.mark.usefixtures("sessions")
    def test_a_stopped_runner_keeps_its_run_while_its_session_is_open(
        self, shared_state: State
    ) -> None:
        once = shared_state.once("a")
        with Victim(run_long, shared_state) as victim:
            assert victim.receive() == "runs"
            victim.stop()
            with pytest.raises(LockTimeout):
                once.run(lambda: "ours", timeout=3 * TTL)
            victim.resume()
            victim.pipe.send("go on")
            assert victim.receive() == once.result() == "of the victim"

    @pytest.mark.usefixtures("sessions")
    def test_a_killed_holders_permits_pass_on_before_its_lease_ends(
        self, shared_state: State
    ) -> None:
        with Victim(hold_permits, shared_state, True, 100 * AT_ONCE) as victim:
            victim.receive()
            semaphore = shared_state.semaphore("a", SIZE)
            waiting = in_background(partial(semaphore.acquire, n=SIZE))
            wait_until(lambda: semaphore.info().waiters == 1)
            victim.kill()
            assert waiting.result(AT_ONCE)

    @pytest.mark.usefixtures("processes")
    def test_a_killed_waiter_that_wants_many_holds_nobody_up(
        self, shared_state: State
    ) -> None:
        semaphore = shared_state.semaphore("a", SIZE)
        semaphore.acquire()
        with Victim(wait_for_permits, shared_state) as victim:
            victim.receive()
            wait_until(lambda: semaphore.info().waiters == 1)
            victim.kill()
        other = shared_state.semaphore("a", SIZE)
        assert other.acquire(timeout=SECONDS)
        assert semaphore.info().waiters == 0

    @pytest.mark.usefixtures("processes")
    def test_a_killed_waiter_of_a_condition_is_passed_over(
        self, shared_state: State
    ) -> None:
        condition = shared_state.condition("a")

        def wait() -> bool:
            with shared_state.condition("a") as mine:
                return mine.wait(SECONDS)

        with Victim(wait_for_notice, shared_state) as victim:
            victim.receive()
            wait_until(lambda: condition.n_waiting == 1)
            behind = in_background(wait)
            wait_until(lambda: condition.n_waiting == 2)
            victim.kill()
        with condition:
            condition.notify()
        assert behind.result(SECONDS)
        assert condition.n_waiting == 0

    @pytest.mark.usefixtures("processes")
    def test_a_notice_of_one_who_is_killed_then_is_not_lost(
        self, shared_state: State
    ) -> None:
        condition = shared_state.condition("a", shared_state.lock("guard", ttl=TTL))

        def wait() -> bool:
            with condition:
                return condition.wait(SECONDS)

        waiting = in_background(wait)
        wait_until(lambda: condition.n_waiting == 1)
        with Victim(hold_condition, shared_state) as victim:
            assert victim.receive() == "notified"
            assert not waiting.done()
            victim.kill()
        assert waiting.result(SECONDS)

    @pytest.mark.usefixtures("processes")
    def test_a_killed_leader_is_followed(self, shared_state: State) -> None:
        has_sessions = Capability.SESSIONS in shared_state.capabilities
        ttl = 100 * AT_ONCE if has_sessions else TTL
        with Victim(lead, shared_state, ttl) as victim:
            word, token = victim.receive()
            assert word == "elected"
            with shared_state.election("a", ttl=TTL) as election:
                wait_until(lambda: election.info().waiters == 1)
                assert not election.is_leader
                victim.kill()
                assert election.wait_elected(AT_ONCE)
                assert election.token > token

    @pytest.mark.usefixtures("processes")
    def test_a_killed_candidate_holds_nobody_up(self, shared_state: State) -> None:
        with shared_state.election("a") as leader:
            assert leader.wait_elected(SECONDS)
            with Victim(lead, shared_state) as victim:
                wait_until(lambda: leader.info().waiters == 1)
                with shared_state.election("a") as other:
                    wait_until(lambda: leader.info().waiters == 2)
                    victim.kill()
                    leader.stop()
                    assert other.wait_elected(AT_ONCE)

    @pytest.mark.usefixtures("processes")
    def test_a_stopped_leader_learns_that_it_was_followed(
        self, shared_state: State
    ) -> None:
        if Capability.SESSIONS in shared_state.capabilities:
            pytest.skip("its session is open, and keeps its lead")
        with Victim(lead, shared_state) as victim:
            _, token = victim.receive()
            victim.stop()
            with shared_state.election("a") as election:
                assert election.wait_elected(SECONDS)
                victim.resume()
                assert victim.receive() == ("lost", token)
                assert election.is_leader

    @pytest.mark.usefixtures("processes")
    def test_a_killed_runner_is_followed_by_who_waits(self, shared_state: State) -> None:
        has_sessions = Capability.SESSIONS in shared_state.capabilities
        ttl = 100 * AT_ONCE if has_sessions else TTL
        once = shared_state.once("a")
        with Victim(run_long, shared_state, ttl) as victim:
            assert victim.receive() == "runs"
            waiting = in_background(partial(once.run, lambda: "ours"))
            wait_until(lambda: once.info().waiters == 1)
            victim.kill()
            assert waiting.result(AT_ONCE) == "ours"
        assert once.result() == "ours"

    @pytest.mark.usefixtures("processes")
    def test_a_stopped_runner_does_not_overwrite_the_result(
        self, shared_state: State
    ) -> None:
        if Capability.SESSIONS in shared_state.capabilities:
            pytest.skip("its session is open, and keeps its run")
        once = shared_state.once("a")
        with Victim(run_long, shared_state) as victim:
            assert victim.receive() == "runs"
            victim.stop()
            assert once.run(lambda: "ours") == "ours"
            victim.pipe.send("go on")
            victim.resume()
            assert victim.receive() == "overtaken"
        assert once.result() == "ours"
