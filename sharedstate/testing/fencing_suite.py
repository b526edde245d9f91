"""What fencing must do on every backend: late writes are refused, and change nothing.

Most tests use fences with numbers of their own choice, as a lock would have given them out
one after the other. The last class has real locks and real processes.
"""

from __future__ import annotations

import asyncio
import pickle
import threading
from typing import TYPE_CHECKING, Any

import pytest

from sharedstate.backend import Capability
from sharedstate.errors import (
    BoundExceeded,
    CommandError,
    CounterOverflow,
    LockLost,
    LockNotOwned,
    NotANumber,
    NotSupported,
    StaleToken,
)
from sharedstate.fenced_backend import MAX_WORDS
from sharedstate.fencing import Fence, fencing
from sharedstate.testing.background import SECONDS, in_background, waiters
from sharedstate.testing.background import wait_until as wait_for_condition
from sharedstate.testing.fencing_cases import CASES, Call, Case, another, snapshot
from sharedstate.testing.processes import run_in_workers
from sharedstate.testing.victims import Victim

if TYPE_CHECKING:
    from sharedstate.backend import Command
    from sharedstate.state import State
    from sharedstate.structures.map import Map
    from sharedstate.structures.queue import Queue

WRITES = [
    pytest.param(case, call, id=f"{case}-{call}") for case in CASES for call in case.writes
]
READS = [
    pytest.param(case, call, id=f"{case}-{call}") for case in CASES for call in case.reads
]

BRIEF = 0.3
"""A lease time that a stopped process sleeps through."""


def fence(token: int, lock: str = "lock") -> Fence:
    """The fence of a grant with a number of our choice."""
    return Fence(lock, token, f"ss:{{lock:{lock}}}")


class EveryMethod:
    """All that writes is fenced, and nothing that only reads."""

    @pytest.mark.parametrize(("case", "call"), WRITES)
    def test_a_late_write_is_refused_and_changes_nothing(
        self, shared_state: State, case: Case, call: Call
    ) -> None:
        handle = case.make(shared_state, "s")
        other = another(handle)
        with fencing(fence(1), handle):
            with fencing(fence(2), other):
                before = snapshot(handle)
            assert "fence" in before
            with pytest.raises(StaleToken):
                call.on(handle)
            assert snapshot(handle) == before
        if call.takes_fence(case.kind):
            with pytest.raises(StaleToken):
                call.on(other, fence=fence(1))
            assert snapshot(handle) == before

    @pytest.mark.parametrize(("case", "call"), WRITES)
    def test_a_write_in_time_does_what_it_does_without_a_fence(
        self, shared_state: State, case: Case, call: Call
    ) -> None:
        plain, fenced = case.make(shared_state, "plain"), case.make(shared_state, "fenced")
        before = snapshot(plain)
        expected = call.on(plain)
        assert snapshot(plain) != before
        with fencing(fence(1), fenced):
            result = call.on(fenced)
        assert (result, type(result)) == (expected, type(expected))
        assert stored(fenced) == stored(plain)
        if call.takes_fence(case.kind):
            named = case.make(shared_state, "named")
            assert call.on(named, fence=fence(1)) == expected
            assert stored(named) == stored(plain)

    @pytest.mark.parametrize(("case", "call"), READS)
    def test_a_late_read_is_answered(
        self, shared_state: State, case: Case, call: Call
    ) -> None:
        handle = case.make(shared_state, "s")
        with fencing(fence(1), handle), fencing(fence(2), another(handle)):
            before = snapshot(handle)
            result = call.on(handle)
            if call.name == "__iter__":
                assert list(result) == ["a"]
            elif call.name in ("items", "keys", "values"):
                assert len(list(result)) == 1
            elif call.name != "ttl":
                assert result == call.on(case.make(shared_state, "not fenced"))
            assert snapshot(handle) == before


def stored(handle: Any) -> dict[str, bytes]:
    """What a structure has stored, without what depends on the clock, and the fence."""
    found = snapshot(handle)
    return {key: found[key][0] for key in found.keys() - {"deadlines", "fence"}}


class Numbers:
    """Which token is too low, and what a refusal says."""

    def test_a_refusal_says_which_lock_and_which_tokens(self, shared_state: State) -> None:
        hits = shared_state.counter("hits")
        hits.add(1, fence=fence(7, "printer"))
        with pytest.raises(StaleToken, match=r"the counter 'hits' was refused") as caught:
            hits.add(1, fence=fence(3, "printer"))
        refusal = caught.value
        assert (refusal.lock, refusal.token, refusal.highest) == ("printer", 3, 7)
        copy: StaleToken = pickle.loads(pickle.dumps(refusal))
        assert (str(copy), copy.highest) == (str(refusal), 7)

    def test_the_same_token_writes_as_often_as_it_likes(self, shared_state: State) -> None:
        hits = shared_state.counter("hits")
        assert [hits.add(1, fence=fence(5)) for _ in range(3)] == [1, 2, 3]

    @pytest.mark.parametrize(
        ("low", "high"), [(0, 1), (9, 10), (99, 100), (2**53, 2**53 + 1), (2**63, 2**64)]
    )
    def test_tokens_are_compared_as_whole_numbers(
        self, shared_state: State, low: int, high: int
    ) -> None:
        hits = shared_state.counter("hits")
        hits.add(1, fence=fence(low))
        hits.add(1, fence=fence(high))
        with pytest.raises(StaleToken):
            hits.add(1, fence=fence(low))
        assert hits.value == 2

    def test_what_carries_no_token_is_not_refused(self, shared_state: State) -> None:
        hits, same = shared_state.counter("hits"), shared_state.counter("hits")
        hits.add(1, fence=fence(2))
        assert (same.add(1), hits.add(1)) == (2, 3)

    def test_each_lock_has_numbers_of_its_own(self, shared_state: State) -> None:
        hits = shared_state.counter("hits")
        hits.add(1, fence=fence(1000, "a"))
        assert hits.add(1, fence=fence(1, "b")) == 2

    def test_each_structure_has_seen_what_it_has_seen(self, shared_state: State) -> None:
        shared_state.counter("a").add(1, fence=fence(1000))
        assert shared_state.counter("b").add(1, fence=fence(1)) == 1
        assert shared_state.float_counter("a").add(1.0, fence=fence(1)) == 1.0

    def test_a_cleared_map_still_knows(self, shared_state: State) -> None:
        users: Map[str, int] = shared_state.map("users")
        users.set("ada", 1, ttl=100, fence=fence(2))
        users.clear()
        with pytest.raises(StaleToken):
            users.set("ada", 1, fence=fence(1))
        assert users == {}

    def test_a_deleted_structure_has_forgotten(self, shared_state: State) -> None:
        hits = shared_state.counter("hits")
        hits.add(1, fence=fence(2))
        assert shared_state.delete("counter", "hits")
        assert list(shared_state.names()) == []
        assert hits.add(1, fence=fence(1)) == 1


class Blocks:
    """Whose writes a block is for, from where to where."""

    def test_entering_shows_the_token(self, shared_state: State) -> None:
        late, users = shared_state.map("users"), shared_state.map("users")
        with fencing(fence(2), users):
            assert users.get("ada") is None
            with pytest.raises(StaleToken):
                late.set("ada", "written between reading and writing", fence=fence(1))
            users["ada"] = "right"
        assert late["ada"] == "right"

    def test_who_comes_late_does_not_enter(self, shared_state: State) -> None:
        users, hits = shared_state.map("users"), shared_state.counter("hits")
        hits.add(1, fence=fence(2))
        with pytest.raises(StaleToken), fencing(fence(1), users, hits):
            pytest.fail("entered")
        users["ada"] = "not fenced: nothing was entered"
        assert hits.add(1) == 2

    def test_a_block_ends(self, shared_state: State) -> None:
        hits = shared_state.counter("hits")
        with fencing(fence(1), hits) as carried:
            assert carried == fence(1)
        hits.add(1, fence=fence(2))
        assert hits.add(1) == 2

    def test_a_block_ends_with_an_error_too(self, shared_state: State) -> None:
        hits = shared_state.counter("hits")
        with pytest.raises(KeyError), fencing(fence(1), hits):
            raise KeyError
        hits.add(1, fence=fence(2))
        assert hits.add(1) == 2

    def test_all_structures_of_a_block_are_fenced(self, shared_state: State) -> None:
        users, hits = shared_state.map("users"), shared_state.counter("hits")
        with fencing(fence(1), users, hits):
            shared_state.map("users").set("ada", 1, fence=fence(2))
            shared_state.counter("hits").add(1, fence=fence(2))
            with pytest.raises(StaleToken):
                users["ada"] = 2
            with pytest.raises(StaleToken):
                hits.add(1)

    def test_other_handles_are_not(self, shared_state: State) -> None:
        hits, other = shared_state.counter("hits"), shared_state.counter("hits")
        with fencing(fence(1), hits):
            other.add(1, fence=fence(2))
            assert other.add(1) == 2

    def test_both_of_two_locks_are_checked(self, shared_state: State) -> None:
        hits, other = shared_state.counter("hits"), shared_state.counter("hits")
        with fencing(fence(5, "a"), hits):
            with fencing(fence(1, "b"), hits):
                assert hits.add(1) == 1
                other.add(1, fence=fence(2, "b"))
                with pytest.raises(StaleToken) as inner:
                    hits.add(1)
            assert hits.add(1) == 3
            other.add(1, fence=fence(6, "a"))
            with pytest.raises(StaleToken) as outer:
                hits.add(1)
        assert (inner.value.lock, outer.value.lock) == ("b", "a")
        assert hits.add(1) == 5

    def test_a_refusal_by_one_lock_records_nothing_of_the_other(
        self, shared_state: State
    ) -> None:
        hits, other = shared_state.counter("hits"), shared_state.counter("hits")
        hits.add(1, fence=fence(2, "b"))
        with fencing(fence(9, "a"), other):
            before = snapshot(hits)
        with fencing(fence(9, "a"), hits), pytest.raises(StaleToken):
            hits.add(1, fence=fence(1, "b"))
        assert snapshot(hits) == before

    def test_the_same_lock_may_be_entered_twice(self, shared_state: State) -> None:
        hits = shared_state.counter("hits")
        with fencing(fence(1), hits):
            with fencing(fence(1), hits):
                assert hits.add(1) == 1
            shared_state.counter("hits").add(1, fence=fence(2))
            with pytest.raises(StaleToken):
                hits.add(1)

    def test_a_keyword_in_a_block_adds_to_it(self, shared_state: State) -> None:
        hits = shared_state.counter("hits")
        with fencing(fence(1, "a"), hits):
            assert hits.add(1, fence=fence(1, "b")) == 1
            shared_state.counter("hits").add(1, fence=fence(2, "b"))
            assert hits.add(1) == 3
            shared_state.counter("hits").add(1, fence=fence(2, "a"))
            with pytest.raises(StaleToken):
                hits.add(1, fence=fence(2, "b"))

    def test_what_cannot_be_fenced_is_refused(self, shared_state: State) -> None:
        with pytest.raises(NotSupported, match="a lock cannot be fenced"):
            fencing(fence(1), shared_state.lock("a"))
        with pytest.raises(TypeError, match="handles of structures"):
            fencing(fence(1), {})  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="at least one"):
            fencing(fence(1))

    @pytest.mark.parametrize("token", [-1, 1.0, "1", True, None])
    def test_what_is_no_token_is_refused(self, shared_state: State, token: Any) -> None:
        class Odd:
            name = "odd"
            fence_prefix = "odd"

            @property
            def token(self) -> Any:
                return token

        with pytest.raises(TypeError, match="the token of the lock 'odd' as an int"):
            shared_state.counter("hits").add(1, fence=Odd())

    def test_what_is_no_lock_is_refused(self, shared_state: State) -> None:
        hits: Any = shared_state.counter("hits")
        for wrong in (1, "lock", hits):
            with pytest.raises(TypeError, match="expected a lock with fencing tokens"):
                hits.add(1, fence=wrong)


class ThreadsAndTasks:
    """A block is of the thread or task that entered it."""

    def test_another_threads_writes_carry_nothing(self, shared_state: State) -> None:
        hits = shared_state.counter("hits")
        with fencing(fence(1), hits):
            shared_state.counter("hits").add(1, fence=fence(2))
            assert in_background(lambda: hits.add(1)).result(SECONDS) == 2
            with pytest.raises(StaleToken):
                hits.add(1)

    def test_threads_can_have_different_fences_on_one_handle(
        self, shared_state: State
    ) -> None:
        hits = shared_state.counter("hits")
        entered, go_on = threading.Barrier(2), threading.Event()

        def write(token: int) -> str:
            with fencing(fence(token), hits):
                entered.wait(SECONDS)
                if token == 1:
                    assert go_on.wait(SECONDS)
                else:
                    hits.add(1)
                    go_on.set()
                try:
                    hits.add(1)
                except StaleToken:
                    return "refused"
                return "written"

        # The lower one has to enter first, or it would not enter at all.
        with fencing(fence(1), hits):
            late = in_background(lambda: write(1))
            wait_for_condition(lambda: entered.n_waiting == 1)
        in_time = in_background(lambda: write(2))
        assert (late.result(SECONDS), in_time.result(SECONDS)) == ("refused", "written")

    def test_handles_are_fenced_for_the_first_time_by_many_threads(
        self, shared_state: State
    ) -> None:
        for turn in range(20):
            hits = shared_state.counter(f"hits {turn}")
            shared_state.counter(f"hits {turn}").add(1, fence=fence(2))
            together = threading.Barrier(4)

            def write(hits: Any = hits, together: threading.Barrier = together) -> str:
                together.wait(SECONDS)
                try:
                    hits.add(1, fence=fence(1))
                except StaleToken:
                    return "refused"
                return "written"

            racing = [in_background(write) for _ in range(4)]
            assert {one.result(SECONDS) for one in racing} == {"refused"}
            assert hits.value == 1

    def test_tasks_of_one_thread_do_not_share_a_fence(self, shared_state: State) -> None:
        hits = shared_state.counter("hits")

        async def fenced(entered: asyncio.Event, written: asyncio.Event) -> str:
            with fencing(fence(1), hits):
                entered.set()
                await written.wait()
                try:
                    hits.add(1)
                except StaleToken:
                    return "refused"
                return "written"

        async def plain(entered: asyncio.Event, written: asyncio.Event) -> int:
            await entered.wait()
            hits.add(1, fence=fence(2))
            value = hits.add(1)
            written.set()
            return value

        async def both() -> tuple[str, int]:
            entered, written = asyncio.Event(), asyncio.Event()
            late = asyncio.create_task(fenced(entered, written))
            value = await plain(entered, written)
            return await late, value

        assert asyncio.run(both()) == ("refused", 2)

    def test_a_task_started_in_a_block_keeps_its_fence(self, shared_state: State) -> None:
        hits = shared_state.counter("hits")

        async def start_and_leave() -> int:
            left = asyncio.Event()

            async def write_late() -> int:
                await left.wait()
                return hits.add(1)

            with fencing(fence(1), hits):
                task = asyncio.create_task(write_late())
                await asyncio.sleep(0)
            hits.add(1, fence=fence(2))
            left.set()
            return await task

        with pytest.raises(StaleToken):
            asyncio.run(start_and_leave())


class Replies:
    """Fenced writes reply, and fail, as they do by themselves."""

    def test_sums_are_exact_to_the_last_digit(self, shared_state: State) -> None:
        hits, users = shared_state.counter("hits"), shared_state.map("users")
        with fencing(fence(1), hits, users):
            assert hits.add(2**62 + 1) == 2**62 + 1
            assert hits.add(-(2**63) + 1) == -(2**62) + 2
            assert users.increment("ada", 2**53 + 1) == 2**53 + 1
            assert users.increment("ada", 2**54) == 2**54 + 2**53 + 1

    def test_refusals_of_the_store_are_told_as_ever(self, shared_state: State) -> None:
        hits, users = shared_state.counter("hits"), shared_state.map("users")
        with fencing(fence(1), hits, users):
            hits.set(2**63 - 1)
            with pytest.raises(CounterOverflow):
                hits.add(1)
            with pytest.raises(BoundExceeded):
                hits.add(-1, maximum=5, on_bound="raise")
            users["name"] = "ada"
            with pytest.raises(NotANumber):
                users.increment("name")
            with pytest.raises(KeyError):
                del users["nobody"]
            with pytest.raises(KeyError):
                users.pop("nobody")

    def test_a_map_that_becomes_timed_meanwhile_is_written_all_the_same(
        self, shared_state: State
    ) -> None:
        users: Map[str, int] = shared_state.map("users")
        with fencing(fence(1), users):
            users["ada"] = 1
            shared_state.map("users").set("bob", 2, ttl=100)
            users["ada"] = 3
            assert (users["ada"], users.ttl("ada")) == (3, None)
            shared_state.map("users").set("bob", 2, fence=fence(2))
            with pytest.raises(StaleToken):
                users["ada"] = 4
        assert shared_state.map("users") == {"ada": 3, "bob": 2}

    def test_large_writes_are_one_step(self, shared_state: State) -> None:
        users: Map[str, int] = shared_state.map("users")
        entries = {str(number): number for number in range(MAX_WORDS + 500)}
        with fencing(fence(1), users):
            users.set_many(entries)
            assert users == entries
            assert users.delete_many([*entries, "nobody"]) == len(entries)
            shared_state.map("users").set("ada", 1, fence=fence(2))
            with pytest.raises(StaleToken):
                users.set_many(entries)
        assert len(users) == 1

    def test_who_waits_for_an_item_gets_it(self, shared_state: State) -> None:
        jobs: Queue[str] = shared_state.queue("jobs")
        getting = in_background(lambda: jobs.get(fence=fence(1)))
        wait_for_condition(lambda: waiters(jobs, "getters") == 1)
        shared_state.queue("jobs").put("job")
        assert getting.result(SECONDS) == "job"

    def test_who_waits_too_long_gets_nothing(self, shared_state: State) -> None:
        jobs: Queue[str] = shared_state.queue("jobs")
        getting = in_background(lambda: jobs.get(fence=fence(1)))
        wait_for_condition(lambda: waiters(jobs, "getters") == 1)
        shared_state.queue("jobs").put_many(["a", "b"], fence=fence(2))
        with pytest.raises(StaleToken):
            getting.result(SECONDS)
        assert jobs.peek_many(3) == ["a", "b"]


class Batches:
    """Batches and transactions of a fenced handle, as structures may use them."""

    def test_a_batch_replies_as_without_a_fence(self, shared_state: State) -> None:
        hits = shared_state.counter("hits")
        hits.add(1, fence=fence(1))
        backend, key = hits._context.backend, hits._key
        commands: list[Command] = [
            ("SET", key, 2**60),
            ("INCRBY", key, 1),
            ("GET", key),
            ("HGET", hits._context.key("none"), "field"),
            ("HMGET", hits._context.key("none"), "a", "b"),
            ("RENAME", key, hits._context.key("moved")),
        ]
        expected = [b"OK", 2**60 + 1, str(2**60 + 1).encode(), None, [None, None], b"OK"]
        for run in (backend.execute_many, backend.transact):
            assert run(commands) == expected
            with fencing(fence(1), hits):
                assert run(commands) == expected

    def test_a_late_batch_changes_nothing(self, shared_state: State) -> None:
        hits, other = shared_state.counter("hits"), shared_state.counter("hits")
        with fencing(fence(1), hits):
            backend = hits._context.backend
            other.set(5, fence=fence(2))
            for run in (backend.execute_many, backend.transact):
                with pytest.raises(StaleToken):
                    run([("GET", hits._key), ("SET", hits._key, 6)])
                assert run([("GET", hits._key)]) == [b"5"]

    def test_a_refusal_in_a_batch_is_raised_and_the_rest_is_done(
        self, shared_state: State
    ) -> None:
        hits = shared_state.counter("hits")
        with fencing(fence(1), hits):
            backend, key = hits._context.backend, hits._key
            for run in (backend.execute_many, backend.transact):
                hits.set(1)
                with pytest.raises(CommandError, match="WRONGTYPE"):
                    run([("INCRBY", key, 1), ("HSET", key, "a", "b"), ("INCRBY", key, 1)])
                assert hits.value == 3

    def test_a_watch_decides_with_the_fence(self, shared_state: State) -> None:
        hits, other = shared_state.counter("hits"), shared_state.counter("hits")
        with fencing(fence(1), hits):
            backend, write = hits._context.backend, ("INCRBY", hits._key, 1)
            with backend.watch([hits._key]) as watch:
                assert backend.transact([write], watching=watch) == [1]
            with backend.watch([hits._key]) as watch:
                other.add(1)
                assert backend.transact([write], watching=watch) is None
            with backend.watch([other._context.key("elsewhere")]) as watch:
                other.add(1, fence=fence(2))
                with pytest.raises(StaleToken):
                    backend.transact([write], watching=watch)
        assert hits.value == 3

    def test_a_script_sent_as_a_command_is_not_supported(self, shared_state: State) -> None:
        hits = shared_state.counter("hits")
        with fencing(fence(1), hits), pytest.raises(NotSupported, match="run_script"):
            hits._context.backend.execute(("EVAL", "return 1", 0))

    def test_a_command_that_is_too_long_is_not_supported(self, shared_state: State) -> None:
        hits = shared_state.counter("hits")
        keys = [hits._context.key(str(number)) for number in range(MAX_WORDS)]
        with fencing(fence(1), hits), pytest.raises(NotSupported, match="4000 words"):
            hits._context.backend.execute(("UNLINK", *keys))


class RealLocks:
    """Fences of locks, and holders that do not know that they were followed."""

    def test_a_lock_that_is_held_fences(self, shared_state: State) -> None:
        users: Map[str, str] = shared_state.map("users")
        first, second = (shared_state.lock("a", ttl=20) for _ in range(2))
        first.acquire()
        users.set("ada", "first", fence=first)
        with fencing(first, users) as carried:
            assert carried.token == first.token
            users["ada"] = "still first"
            second.force_release()
            with second:
                users["ada"] = "first has not heard of it, and second has not come"
                shared_state.map("users").set("ada", "second", fence=second)
                with pytest.raises(StaleToken) as caught:
                    users["ada"] = "first again"
                assert caught.value.highest == second.token
        assert users["ada"] == "second"

    def test_a_lock_that_is_not_held_fences_nothing(self, shared_state: State) -> None:
        hits, lock = shared_state.counter("hits"), shared_state.lock("a", ttl=20)
        with pytest.raises(LockNotOwned):
            hits.add(1, fence=lock)
        with pytest.raises(LockNotOwned), fencing(lock, hits):
            pytest.fail("entered")
        assert snapshot(hits) == {}

    def test_a_lock_that_was_lost_fences_nothing(self, shared_state: State) -> None:
        hits = shared_state.counter("hits")
        lock = shared_state.lock("a", ttl=BRIEF, renew=False)
        lock.acquire()
        assert lock.lost.wait(SECONDS)
        with pytest.raises(LockLost):
            hits.add(1, fence=lock)
        with pytest.raises(LockLost), fencing(lock, hits):
            pytest.fail("entered")
        assert snapshot(hits) == {}

    def test_a_worker_writes_for_the_holder_until_another_follows(
        self, shared_state: State
    ) -> None:
        if Capability.PROCESSES not in shared_state.capabilities:
            pytest.skip("the backend lives in this process only")
        hits, lock = shared_state.counter("hits"), shared_state.lock("a", ttl=20)
        with lock, fencing(lock, hits) as carried:
            assert run_in_workers(try_to_add, hits, carried) == ["written"]
        with lock:
            hits.add(1, fence=lock)
        assert run_in_workers(try_to_add, hits, carried) == ["refused"]
        assert hits.value == 2

    def test_a_holder_that_was_paused_is_refused_when_it_wakes(
        self, shared_state: State
    ) -> None:
        if Capability.PROCESSES not in shared_state.capabilities:
            pytest.skip("the backend lives in this process only")
        users: Map[str, str] = shared_state.map("users")
        with Victim(write_before_and_after, shared_state) as victim:
            first = victim.receive()
            victim.stop()
            lock = shared_state.lock("a", ttl=20)
            assert lock.acquire(timeout=SECONDS)
            users.set("ada", "from the second holder", fence=lock)
            # What it waits for is there when it wakes, so that it writes at once.
            victim.pipe.send("go on")
            victim.resume()
            assert victim.receive() == ("refused", first, lock.token)
            assert users["ada"] == "from the second holder"
            lock.release()

    def test_holders_that_pause_again_and_again_leave_their_writes_in_order(
        self, shared_state: State
    ) -> None:
        if Capability.PROCESSES not in shared_state.capabilities:
            pytest.skip("the backend lives in this process only")
        written: Queue[int] = shared_state.queue("written")
        refused = 0
        with (
            Victim(put_when_told, shared_state) as one,
            Victim(put_when_told, shared_state) as two,
        ):
            holder, other = one, two
            for _ in range(4):
                holder.pipe.send("acquire")
                assert holder.receive() == "acquired"
                holder.pipe.send("put")
                assert holder.receive() == "written"
                holder.stop()
                other.pipe.send("acquire")
                assert other.receive() == "acquired"
                other.pipe.send("put")
                assert other.receive() == "written"
                holder.pipe.send("put")
                holder.resume()
                refused += holder.receive() == "refused"
                other.pipe.send("put")
                assert other.receive() == "written"
                other.pipe.send("release")
                assert other.receive() == "released"
                holder, other = other, holder
        tokens = written.get_many(100)
        assert (refused, len(tokens)) == (4, 12)
        assert tokens == sorted(tokens)


class FencingSuite(
    EveryMethod, Numbers, Blocks, ThreadsAndTasks, Replies, Batches, RealLocks
):
    """All of it."""


# What processes run. They find these functions by name.


def try_to_add(hits: Any, carried: Fence) -> str:
    """Add one with the fence of somebody else."""
    try:
        hits.add(1, fence=carried)
    except StaleToken:
        return "refused"
    return "written"


def write_before_and_after(pipe: Any, state: State) -> None:
    """Write, and write again when told to, under a lease that nobody renews."""
    users: Map[str, str] = state.map("users")
    lock = state.lock("a", ttl=BRIEF, renew=False)
    lock.acquire()
    with fencing(lock, users) as carried:
        users["ada"] = "from the first holder"
        pipe.send(carried.token)
        pipe.recv()
        try:
            users["ada"] = "from the first holder, late"
        except StaleToken as refusal:
            pipe.send(("refused", refusal.token, refusal.highest))
        else:
            pipe.send(("written", carried.token, 0))


def put_when_told(pipe: Any, state: State) -> None:
    """Acquire, put the token of the grant into a queue, release: as the test says."""
    written: Queue[int] = state.queue("written")
    lock = state.lock("a", ttl=BRIEF, renew=False)
    carried = Fence.of(Fence("none", 0, "none"))
    while True:
        match pipe.recv():
            case "acquire":
                assert lock.acquire(timeout=SECONDS)
                carried = Fence.of(lock)
                pipe.send("acquired")
            case "put":
                pipe.send(try_to_put(written, carried))
            case "release":
                lock.force_release()
                pipe.send("released")


def try_to_put(written: Queue[int], carried: Fence) -> str:
    """Put the token of a fence into a queue, under that fence."""
    try:
        written.put(carried.token, fence=carried)
    except StaleToken:
        return "refused"
    return "written"
