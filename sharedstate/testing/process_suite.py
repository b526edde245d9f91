"""The conformance suite of handles in processes: they travel, and forks do no harm.

Needs the fixture `shared_state` of `sharedstate.testing.plugin`, or one like it, on a
backend that other processes can reach.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import subprocess
import sys
import threading
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from .processes import LIBRARIES, START_METHODS, run_in_workers

if TYPE_CHECKING:
    from sharedstate.state import State
    from sharedstate.structures.counter import Counter
    from sharedstate.structures.map import Map
    from sharedstate.structures.queue import Queue

EXIT_SECONDS = 20.0
"""Longest that a program may take from its start to its end, on a busy machine."""


class HandleTravel:
    """Handles and states as arguments and results of workers."""

    @pytest.mark.parametrize("library", LIBRARIES)
    @pytest.mark.parametrize("method", START_METHODS)
    def test_workers_share_what_the_handle_names(
        self, shared_state: State, method: str, library: str
    ) -> None:
        counter = shared_state.counter("c")
        counter.add(5)
        run_in_workers(add_times, counter, 50, workers=2, method=method, library=library)
        assert counter.value == 105

    @pytest.mark.parametrize("method", START_METHODS)
    def test_a_state_travels(self, shared_state: State, method: str) -> None:
        assert run_in_workers(add_by_state, shared_state, method=method) == [1]
        assert shared_state.counter("c").value == 1

    @pytest.mark.parametrize("method", START_METHODS)
    def test_a_handle_comes_back_and_serves_here(
        self, shared_state: State, method: str
    ) -> None:
        (mapping,) = run_in_workers(make_map, shared_state, method=method)
        assert mapping["made by"] == "a worker"
        mapping["seen by"] = "its parent"
        assert shared_state.map("made")["seen by"] == "its parent"

    def test_closures_travel_with_multiprocess(self, shared_state: State) -> None:
        counter = shared_state.counter("c")
        step = 7
        run_in_workers(lambda: counter.add(step), library="multiprocess")
        assert counter.value == 7

    @pytest.mark.parametrize("method", START_METHODS)
    def test_an_executor_s_tasks_share_them(self, shared_state: State, method: str) -> None:
        counter = shared_state.counter("c")
        context = multiprocessing.get_context(method)
        with ProcessPoolExecutor(2, mp_context=context) as executor:
            list(executor.map(add_times, [counter] * 20, [3] * 20))
        assert counter.value == 60

    def test_handles_of_one_state_share_their_connections_where_they_arrive(
        self, shared_state: State
    ) -> None:
        handles = [shared_state.counter(str(number)) for number in range(20)]
        (states,) = run_in_workers(count_states, handles)
        assert states == 1

    def test_a_pickle_holds_no_more_than_an_address(self, shared_state: State) -> None:
        assert len(pickle.dumps(shared_state.counter("c"))) < 1000


class ForkSafety:
    """A forked child and its parent do not get in each other's way."""

    def test_a_child_does_not_end_its_parent_s_connections(
        self, shared_state: State
    ) -> None:
        counter = shared_state.counter("c")
        for turn in range(1, 6):
            counter.add(1)
            run_in_workers(add_times, counter, 1, method="fork")
            # A write whose connection had broken would raise.
            assert counter.add(0) == 2 * turn

    def test_a_child_that_does_nothing_leaves_no_trace(self, shared_state: State) -> None:
        counter = shared_state.counter("c")
        counter.add(1)
        for _ in range(5):
            pid = os.fork()
            if not pid:
                os._exit(0)
            os.waitpid(pid, 0)
        assert counter.add(1) == 2

    def test_forks_in_the_middle_of_the_use_by_other_threads(
        self, shared_state: State
    ) -> None:
        counter = shared_state.counter("c")
        stop = threading.Event()
        added = []

        def work() -> None:
            while not stop.is_set():
                added.append(counter.add(1))

        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(10):
                run_in_workers(add_times, counter, 5, workers=2, method="fork")
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        assert counter.value == len(added) + 100
        assert len(set(added)) == len(added)

    def test_a_fork_leaves_a_waiting_thread_waiting(self, shared_state: State) -> None:
        queue: Queue[str] = shared_state.queue("q")
        received: list[str] = []
        thread = threading.Thread(target=lambda: received.append(queue.get(timeout=30)))
        thread.start()
        run_in_workers(put_in, queue, "from the child", method="fork")
        thread.join()
        assert received == ["from the child"]

    def test_a_grandchild_can_use_what_it_inherited_too(self, shared_state: State) -> None:
        counter = shared_state.counter("c")
        counter.add(1)
        run_in_workers(fork_and_add, counter, method="fork")
        assert counter.value == 3

    def test_a_child_cannot_use_a_watch_of_its_parent(self, shared_state: State) -> None:
        backend = shared_state.backend
        with backend.watch(["ss:{watched}:x"]) as watch:
            run_in_workers(use_watch_in_vain, watch, method="fork")
            assert backend.transact([("PING",)], watching=watch) == [b"PONG"]


class Endings:
    """A program's end: nothing hangs, nothing complains."""

    def test_a_program_that_closes_nothing_ends(self, shared_state: State) -> None:
        run_program(shared_state, "state.counter('c').add(1)")

    def test_a_program_ends_while_a_daemon_thread_waits(self, shared_state: State) -> None:
        run_program(
            shared_state,
            "import threading",
            "queue = state.queue('q')",
            "assert queue.empty()",
            "threading.Thread(target=queue.get, daemon=True).start()",
            "state.counter('c').add(1)",
        )

    def test_a_program_ends_with_a_lock_held(self, shared_state: State) -> None:
        run_program(shared_state, "assert state.lock('l').acquire()")

    def test_a_program_ends_after_forking_workers(self, shared_state: State) -> None:
        run_program(
            shared_state,
            "import os",
            "counter = state.counter('c'); counter.add(1)",
            "pid = os.fork()",
            "counter.add(1)",
            "pid and os.waitpid(pid, 0)",
        )


class ProcessSuite(HandleTravel, ForkSafety, Endings):
    """All of it."""


def run_program(state: State, *lines: str) -> None:
    """Run lines of Python in a new interpreter that has `state`; it must end well.

    It runs in development mode, where everything that is left open is an error.
    """
    loading = "import pickle, sys; state = pickle.loads(bytes.fromhex(sys.argv[1]))"
    program = "\n".join([loading, *lines])
    python = (sys.executable, "-X", "dev", "-W", "error")
    ended = subprocess.run(
        [*python, "-c", program, pickle.dumps(state).hex()],
        timeout=EXIT_SECONDS,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")


# What workers run. They find these functions by name.


def add_times(counter: Counter, times: int) -> int:
    """Add one so many times."""
    for _ in range(times):
        counter.add(1)
    return os.getpid()


def add_by_state(state: State) -> int:
    """Add one to a counter of the state."""
    return state.counter("c").add(1) or 0


def make_map(state: State) -> Map[str, str]:
    """A map of the state, with something in it."""
    made: Map[str, str] = state.map("made")
    made["made by"] = "a worker"
    return made


def count_states(handles: list[Any]) -> int:
    """How many different backends the handles use."""
    for handle in handles:
        handle.add(1)
    return len({id(handle._context.backend) for handle in handles})


def put_in(queue: Queue[str], item: str) -> None:
    """Put one item into a queue."""
    queue.put(item)


def fork_and_add(counter: Counter) -> None:
    """Add one here and one in a forked child."""
    run_in_workers(add_times, counter, 1, method="fork")
    counter.add(1)


def use_watch_in_vain(watch: Any) -> None:
    """Using a parent's watch must raise, and must not touch the parent's connection."""
    from sharedstate.errors import SharedStateError

    with pytest.raises(SharedStateError):
        watch.execute(("GET", "ss:{watched}:x"))
    watch.close()
