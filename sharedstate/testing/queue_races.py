"""Queues under several workers at once: nothing lost, nothing twice, never too full."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from sharedstate.backend import Capability
from sharedstate.errors import QueueShutDown
from sharedstate.testing.background import SECONDS, in_background, wait_until, waiters
from sharedstate.testing.racing import RACERS, Racers
from sharedstate.testing.victims import Victim

if TYPE_CHECKING:
    from sharedstate.state import State

BOUND = 5
ITEMS = 150
"""Items that each producer puts, by turns alone and in batches larger than the bound."""
BATCH = 10
PRODUCERS = RACERS // 2


def produce_or_consume(state: State, number: int, maxsize: int) -> list[Any]:
    """Half of the racers put, half of them get; what was got, and the sizes seen."""
    jobs = state.queue("jobs", maxsize=maxsize)
    if number < PRODUCERS:
        _produce(state, number, maxsize)
        return []
    taken: list[Any] = []
    try:
        while True:
            taken += [jobs.get()] if number % 2 else jobs.get_many(3)
            assert not maxsize or jobs.qsize() <= maxsize
    except QueueShutDown:
        return taken


def _produce(state: State, number: int, maxsize: int) -> None:
    jobs = state.queue("jobs", maxsize=maxsize)
    for start in range(0, ITEMS, 2 * BATCH):
        for item in range(start, min(start + BATCH, ITEMS)):
            jobs.put((number, item))
        rest = range(start + BATCH, min(start + 2 * BATCH, ITEMS))
        assert jobs.put_many((number, item) for item in rest) == len(rest)
        assert not maxsize or jobs.qsize() <= maxsize
    if state.counter("producers that are done").add(1) == PRODUCERS:
        jobs.shutdown()


def do_tasks(state: State, number: int) -> int:
    """Take tasks, which make more tasks, until all are done; how many were done."""
    tasks, done = state.queue("tasks"), 0
    while True:
        try:
            depth = tasks.get()
        except QueueShutDown:
            return done
        tasks.put_many([depth - 1] * 2 if depth else [])
        tasks.task_done()
        done += 1
        if tasks.join(timeout=0):
            tasks.shutdown()


def get_until_killed(pipe: Any, state: State) -> None:
    """Get items for ever, and tell of each."""
    jobs = state.queue("jobs")
    pipe.send("ready")
    while True:
        pipe.send(jobs.get())


class QueueRaces:
    """Tests of queues with many workers."""

    @pytest.fixture(scope="class")
    @classmethod
    def racers(cls) -> Iterator[Racers]:
        """The workers, for all tests of the class."""
        with Racers() as racers:
            yield racers

    @pytest.mark.parametrize("maxsize", [0, 1, BOUND])
    def test_every_item_is_got_once_and_in_order(
        self, shared_state: State, racers: Racers, maxsize: int
    ) -> None:
        hands = racers.run(produce_or_consume, shared_state, maxsize)
        taken = [tuple(item) for hand in hands for item in hand]
        assert sorted(taken) == [(p, i) for p in range(PRODUCERS) for i in range(ITEMS)]
        for hand in hands:
            for producer in range(PRODUCERS):
                own = [item for number, item in hand if number == producer]
                assert own == sorted(own)

    def test_join_knows_when_the_last_task_is_done(
        self, shared_state: State, racers: Racers
    ) -> None:
        tasks = shared_state.queue("tasks")
        tasks.put(7)
        joining = in_background(tasks.join)
        done = racers.run(do_tasks, shared_state)
        assert sum(done) == 2**8 - 1
        assert joining.result(SECONDS)

    def test_a_killed_waiter_takes_no_item_along(self, shared_state: State) -> None:
        if Capability.PROCESSES not in shared_state.capabilities:
            pytest.skip("only processes can be killed")
        jobs = shared_state.queue("jobs")
        with Victim(get_until_killed, shared_state) as victim:
            assert victim.receive() == "ready"
            wait_until(lambda: waiters(jobs, "getters") == 1)
            jobs.put("a")
            assert victim.receive() == "a"
            wait_until(lambda: waiters(jobs, "getters") == 1)
            victim.kill()
        jobs.put_many("bc")
        assert jobs.get_many(9) == ["b", "c"]
        getting = in_background(jobs.get)
        jobs.put("d")
        assert getting.result(SECONDS) == "d"

    def test_a_killed_consumer_loses_what_it_had_and_no_more(
        self, shared_state: State
    ) -> None:
        if Capability.PROCESSES not in shared_state.capabilities:
            pytest.skip("only processes can be killed")
        jobs = shared_state.queue("jobs", maxsize=BOUND)
        putting = in_background(lambda: jobs.put_many(range(500)))
        taken = []
        with Victim(get_until_killed, shared_state) as victim:
            assert victim.receive() == "ready"
            taken = [victim.receive() for _ in range(100)]
            victim.kill()
            while victim.pipe.poll():
                try:
                    taken.append(victim.pipe.recv())
                except EOFError:
                    break

        def end() -> None:
            assert putting.result(SECONDS) == 500
            jobs.shutdown()

        ending = in_background(end)
        # To the end, which the queue tells: the last item may be taken before the putter
        # knows that it was put.
        with suppress(QueueShutDown):
            while True:
                taken += jobs.get_many(BOUND, timeout=SECONDS)
        ending.result(SECONDS)
        assert taken == sorted(set(taken))
        # It may have had one item that it could not tell of any more.
        assert len(taken) >= 499
