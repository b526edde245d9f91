"""What queues must do on every backend."""

from __future__ import annotations

import pickle
import queue
from typing import TYPE_CHECKING

import pytest

from sharedstate.backend import Capability
from sharedstate.errors import (
    ConfigError,
    QueueEmpty,
    QueueFull,
    QueueShutDown,
    SerializationError,
)
from sharedstate.structures.queue import MAX_PORTION
from sharedstate.testing.background import (
    SECONDS,
    in_background,
    wait_until,
    waiters,
)
from sharedstate.testing.queue_machine import check_queue_against_model
from sharedstate.testing.queue_waiting_suite import SHORT, QueueWaiting

if TYPE_CHECKING:
    from sharedstate.state import State


class QueueOrder:
    """Items go in and come out."""

    def test_the_first_in_is_the_first_out(self, shared_state: State) -> None:
        jobs = shared_state.queue("jobs")
        for item in ("a", 2, None, [3.5]):
            jobs.put(item)
        assert [jobs.get() for _ in range(4)] == ["a", 2, None, [3.5]]

    def test_handles_of_one_name_share_one_queue(self, shared_state: State) -> None:
        shared_state.queue("jobs").put("a")
        assert shared_state.queue("others").empty()
        assert shared_state.queue("jobs").get() == "a"

    def test_the_size_is_what_was_put_and_not_got(self, shared_state: State) -> None:
        jobs = shared_state.queue("jobs")
        assert (jobs.qsize(), jobs.empty(), jobs.full()) == (0, True, False)
        jobs.put_nowait(1)
        jobs.put_nowait(2)
        jobs.get_nowait()
        assert (jobs.qsize(), jobs.empty(), jobs.full()) == (1, False, False)

    def test_many_are_put_and_got_in_order(self, shared_state: State) -> None:
        jobs = shared_state.queue("jobs")
        assert jobs.put_many(range(10)) == 10
        assert jobs.get_many(4) == [0, 1, 2, 3]
        assert jobs.get_many(100) == [4, 5, 6, 7, 8, 9]

    def test_more_than_a_portion_is_put_in_order(self, shared_state: State) -> None:
        jobs = shared_state.queue("jobs")
        count = 2 * MAX_PORTION + 1
        assert jobs.put_many(iter(range(count))) == count
        assert jobs.get_many(count) == list(range(count))

    def test_nothing_is_put_by_an_empty_batch(self, shared_state: State) -> None:
        assert shared_state.queue("jobs").put_many([]) == 0
        assert list(shared_state.names()) == []

    def test_peeking_leaves_the_items(self, shared_state: State) -> None:
        jobs = shared_state.queue("jobs")
        with pytest.raises(QueueEmpty):
            jobs.peek()
        jobs.put_many("abc")
        assert jobs.peek() == "a"
        assert jobs.peek_many(2) == ["a", "b"]
        assert jobs.peek_many(9) == ["a", "b", "c"]
        assert jobs.qsize() == 3

    @pytest.mark.parametrize("n", [0, -1])
    def test_none_at_all_is_not_many(self, shared_state: State, n: int) -> None:
        jobs = shared_state.queue("jobs")
        for call in (jobs.get_many, jobs.peek_many):
            with pytest.raises(ValueError, match="1 item"):
                call(n)

    def test_an_item_that_cannot_be_read_stays(self, shared_state: State) -> None:
        jobs = shared_state.queue("jobs")
        jobs.put_many(["a", "b"])
        foreign = shared_state.queue("jobs", serializer="json")
        with pytest.raises(SerializationError):
            foreign.get()
        with pytest.raises(SerializationError):
            foreign.get_many(2)
        assert jobs.get_many(2) == ["a", "b"]

    def test_clearing_drops_all_items_as_done(self, shared_state: State) -> None:
        jobs = shared_state.queue("jobs")
        jobs.put_many("abc")
        assert jobs.clear() == 3
        assert jobs.clear() == 0
        assert jobs.empty()
        assert jobs.join()

    def test_a_queue_is_as_its_model_says(self, shared_state: State) -> None:
        check_queue_against_model(shared_state)


class QueueBounds:
    """`maxsize`, and calls that do not wait."""

    def test_an_empty_queue_says_so(self, shared_state: State) -> None:
        jobs = shared_state.queue("jobs")
        with pytest.raises(QueueEmpty, match="'jobs' is empty") as caught:
            jobs.get_nowait()
        assert isinstance(caught.value, queue.Empty)
        with pytest.raises(QueueEmpty):
            jobs.get_many(3, block=False)

    def test_a_full_queue_says_so(self, shared_state: State) -> None:
        jobs = shared_state.queue("jobs", maxsize=1)
        jobs.put("a")
        assert jobs.full()
        with pytest.raises(QueueFull, match="'jobs' is full") as caught:
            jobs.put_nowait("b")
        assert isinstance(caught.value, queue.Full)
        assert jobs.get_many(9) == ["a"]

    def test_the_bound_is_the_queues_and_not_the_handles(self, shared_state: State) -> None:
        bounded, plain = shared_state.queue("jobs", maxsize=2), shared_state.queue("jobs")
        assert (bounded.maxsize, plain.maxsize) == (2, 0)
        bounded.put(1)
        plain.put(2)
        assert (plain.maxsize, plain.full()) == (2, True)
        with pytest.raises(QueueFull):
            plain.put_nowait(3)

    def test_handles_with_different_bounds_are_an_error(self, shared_state: State) -> None:
        shared_state.queue("jobs", maxsize=2).put(1)
        with pytest.raises(ConfigError, match=r"holds 2 items at most.*maxsize=3"):
            shared_state.queue("jobs", maxsize=3).put(2)
        assert shared_state.queue("jobs").qsize() == 1

    def test_a_negative_bound_is_none(self, shared_state: State) -> None:
        jobs = shared_state.queue("jobs", maxsize=-1)
        assert jobs.put_many(range(100)) == 100
        assert (jobs.maxsize, jobs.full()) == (0, False)

    def test_a_bound_may_come_when_the_queue_is_longer(self, shared_state: State) -> None:
        shared_state.queue("jobs").put_many("abc")
        jobs = shared_state.queue("jobs", maxsize=2)
        with pytest.raises(QueueFull):
            jobs.put_nowait("d")
        jobs.get_many(2)
        jobs.put_nowait("d")
        assert jobs.get_many(3) == ["c", "d"]

    def test_as_many_are_put_as_there_is_room_for(self, shared_state: State) -> None:
        jobs = shared_state.queue("jobs", maxsize=3)
        assert jobs.put_many("abcde", block=False) == 3
        with pytest.raises(QueueFull):
            jobs.put_many("de", block=False)
        assert jobs.get_many(9) == ["a", "b", "c"]

    def test_a_bound_has_to_be_a_number(self, shared_state: State) -> None:
        with pytest.raises(ConfigError, match="an int as maxsize of the queue 'jobs'"):
            shared_state.queue("jobs", maxsize="9")  # type: ignore[arg-type]

    def test_an_unknown_option_is_an_error(self, shared_state: State) -> None:
        with pytest.raises(ConfigError, match="maxsize and serializer, got max_size"):
            shared_state.structure("queue", "jobs", max_size=2)

    def test_a_handle_travels_with_its_bound(self, shared_state: State) -> None:
        if Capability.PROCESSES not in shared_state.capabilities:
            pytest.skip("the backend lives in this process only, and so do its handles")
        jobs = pickle.loads(pickle.dumps(shared_state.queue("jobs", maxsize=1)))
        jobs.put("a")
        with pytest.raises(QueueFull):
            shared_state.queue("jobs").put_nowait("b")


class QueueTasks:
    """`task_done` and `join`."""

    def test_joining_a_queue_without_tasks_returns_at_once(
        self, shared_state: State
    ) -> None:
        assert shared_state.queue("jobs").join()

    def test_join_waits_for_the_last_task(self, shared_state: State) -> None:
        jobs = shared_state.queue("jobs")
        jobs.put_many("ab")
        joining = in_background(jobs.join)
        wait_until(lambda: waiters(jobs, "joiners") == 1)
        jobs.get_many(2)
        jobs.task_done()
        assert not jobs.join(timeout=SHORT)
        assert not joining.done()
        jobs.task_done()
        assert joining.result(SECONDS)

    def test_join_gives_up_in_time(self, shared_state: State) -> None:
        jobs = shared_state.queue("jobs")
        jobs.put("a")
        assert not jobs.join(timeout=SHORT)
        assert not jobs.join(timeout=0)
        assert waiters(jobs, "joiners") == 0

    def test_more_tasks_than_were_put_cannot_be_done(self, shared_state: State) -> None:
        jobs = shared_state.queue("jobs")
        with pytest.raises(ValueError, match="too many times"):
            jobs.task_done()
        jobs.put("a")
        with pytest.raises(ValueError, match="too many times"):
            jobs.task_done(count=2)
        assert not jobs.join(timeout=0)
        jobs.task_done()
        assert jobs.join()

    def test_several_tasks_are_reported_at_once(self, shared_state: State) -> None:
        jobs = shared_state.queue("jobs")
        jobs.put_many("abc")
        jobs.task_done(count=3)
        assert jobs.join()
        with pytest.raises(ValueError, match="at least 1"):
            jobs.task_done(count=0)

    def test_what_is_empty_and_done_is_not_stored(self, shared_state: State) -> None:
        jobs = shared_state.queue("jobs")
        jobs.put("a")
        jobs.get()
        jobs.task_done()
        assert list(shared_state.names()) == []


class QueueShutdown:
    """As `queue.Queue.shutdown` of Python 3.13."""

    def test_nobody_puts_any_more(self, shared_state: State) -> None:
        jobs = shared_state.queue("jobs")
        assert not jobs.is_shutdown
        jobs.shutdown()
        jobs.shutdown()
        assert shared_state.queue("jobs").is_shutdown
        with pytest.raises(QueueShutDown, match="no more puts"):
            jobs.put("a")
        with pytest.raises(QueueShutDown):
            jobs.put_many("ab", block=False)

    def test_what_is_there_is_got_still(self, shared_state: State) -> None:
        jobs = shared_state.queue("jobs")
        jobs.put_many("abc")
        jobs.shutdown()
        assert jobs.get() == "a"
        assert jobs.get_many(9) == ["b", "c"]
        for call in (jobs.get, jobs.get_nowait, lambda: jobs.get_many(2)):
            with pytest.raises(QueueShutDown, match="is empty"):
                call()

    def test_all_who_wait_are_woken(self, shared_state: State) -> None:
        jobs = shared_state.queue("jobs")
        getting = [in_background(jobs.get) for _ in range(2)]
        wait_until(lambda: waiters(jobs, "getters") == 2)
        jobs.shutdown()
        for future in getting:
            with pytest.raises(QueueShutDown):
                future.result(SECONDS)

    def test_a_waiting_putter_is_woken(self, shared_state: State) -> None:
        jobs = shared_state.queue("jobs", maxsize=1)
        jobs.put("a")
        putting = in_background(lambda: jobs.put("b"))
        wait_until(lambda: waiters(jobs, "putters") == 1)
        jobs.shutdown()
        with pytest.raises(QueueShutDown):
            putting.result(SECONDS)
        assert jobs.get_many(9) == ["a"]

    def test_at_once_drops_the_items_as_done(self, shared_state: State) -> None:
        jobs = shared_state.queue("jobs")
        jobs.put_many("abc")
        jobs.get()
        joining = in_background(jobs.join)
        wait_until(lambda: waiters(jobs, "joiners") == 1)
        jobs.shutdown(immediate=True)
        assert jobs.empty()
        with pytest.raises(QueueShutDown):
            jobs.get()
        assert not joining.done()
        jobs.task_done()
        assert joining.result(SECONDS)


class QueueSuite(QueueOrder, QueueBounds, QueueWaiting, QueueTasks, QueueShutdown):
    """Tests of `Queue`. A backend's own test class inherits them."""
