"""Worker pools: real processes on a real store, and what becomes of them."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

import sharedstate
from sharedstate import WorkerPool
from sharedstate.errors import ConfigError, NotSupported, WorkerError
from sharedstate.pool import WorkerExit
from sharedstate.testing.background import wait_until

URL = "local://"

METHODS = ["fork", "spawn", "forkserver"]

# Forking is tested while the pool's own thread runs; newer Pythons warn of that.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")


@pytest.fixture
def state() -> Iterator[sharedstate.State]:
    with sharedstate.connect(URL, namespace=f"pool-{os.urandom(6).hex()}") as state:
        yield state


def count_up(state: sharedstate.State, by: int) -> None:
    state.counter("done").add(by)


def fail(state: sharedstate.State) -> None:
    raise ValueError("no such luck")


def die_at_first(state: sharedstate.State) -> None:
    if state.counter("lives").add(1) == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    state.counter("done").add(1)


def sleep_and_clean_up(state: sharedstate.State) -> None:
    try:
        state.counter("ready").add(1)
        time.sleep(60)
    finally:
        state.counter("cleaned").add(1)


def ignore_sigterm(state: sharedstate.State) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    state.counter("ready").add(1)
    time.sleep(60)


def leave_a_child(state: sharedstate.State) -> None:
    """Die, and leave a forked child behind that holds what it inherited for a while."""
    child = os.fork()
    if child == 0:
        time.sleep(60)
        os._exit(0)
    state.map("children")["pid"] = child
    os.kill(os.getpid(), signal.SIGKILL)


def wait_for_ready(state: sharedstate.State, count: int) -> None:
    wait_until(lambda: state.counter("ready").value == count)


@pytest.mark.parametrize("method", METHODS)
def test_every_worker_gets_the_state_and_the_arguments(
    state: sharedstate.State, method: str
) -> None:
    exits = WorkerPool(state, count_up, 3, args=(5,), start_method=method).run()
    assert state.counter("done").value == 15
    assert sorted(each.number for each in exits) == [1, 2, 3]
    assert not any(each.failed for each in exits)


@pytest.mark.parametrize("method", METHODS)
def test_closures_and_lambdas_travel(state: sharedstate.State, method: str) -> None:
    words = ["a", "closure"]
    WorkerPool(
        state, lambda s: s.map("said").set("words", words), 1, start_method=method
    ).run()
    assert state.map("said")["words"] == words


@pytest.mark.parametrize("method", METHODS)
def test_a_killed_worker_is_named_and_replaced(
    state: sharedstate.State, method: str
) -> None:
    pool = WorkerPool(state, die_at_first, 1, restarts=1, start_method=method)
    died, replaced = pool.run()
    assert died.signal == "SIGKILL"
    assert died.failed
    assert str(died) == f"worker 1 (pid {died.pid}) was ended by SIGKILL"
    assert (replaced.number, replaced.failed) == (1, False)
    assert state.counter("done").value == 1


@pytest.mark.parametrize("method", METHODS)
def test_an_exception_reaches_the_pool_with_its_traceback(
    state: sharedstate.State, method: str
) -> None:
    pool = WorkerPool(state, fail, 1, restarts=0, start_method=method)
    with pytest.raises(WorkerError, match="raised ValueError: no such luck") as caught:
        pool.run()
    assert "in fail" in str(caught.value)
    (ended,) = pool.exits
    assert (ended.exitcode, ended.signal) == (1, None)
    assert ended.error is not None
    assert ended.error.rstrip().endswith("ValueError: no such luck")
    assert "pool_worker.py" not in ended.error


def test_restarts_are_bounded_for_the_pool_as_a_whole(state: sharedstate.State) -> None:
    pool = WorkerPool(state, fail, 2, restarts=3, backoff=0.0, start_method="fork")
    with pytest.raises(WorkerError, match="all 3 restarts are used"):
        pool.run()
    assert len([each for each in pool.exits if not each.stopped]) == 4


def test_a_failed_pool_stops_the_workers_that_are_left(state: sharedstate.State) -> None:
    def fail_or_sleep(state: sharedstate.State) -> None:
        if state.counter("places").add(1) == 1:
            wait_for_ready(state, 1)
            fail(state)
        sleep_and_clean_up(state)

    pool = WorkerPool(state, fail_or_sleep, 2, restarts=0, start_method="fork")
    with pytest.raises(WorkerError, match="no restarts are allowed"):
        pool.run()
    assert state.counter("cleaned").value == 1
    assert pool.pids == []


def test_restarts_wait_longer_and_longer(state: sharedstate.State) -> None:
    pool = WorkerPool(state, fail, 1, restarts=3, backoff=0.05, start_method="fork")
    began = time.monotonic()
    with pytest.raises(WorkerError):
        pool.run()
    assert time.monotonic() - began >= 0.05 + 0.10


@pytest.mark.parametrize("method", METHODS)
def test_leaving_the_block_ends_workers_in_order(
    state: sharedstate.State, method: str
) -> None:
    with WorkerPool(state, sleep_and_clean_up, 2, start_method=method) as pool:
        wait_for_ready(state, 2)
        pids = pool.pids
        assert len(set(pids)) == 2
    assert state.counter("cleaned").value == 2
    assert [(each.signal, each.stopped) for each in pool.exits] == [("SIGTERM", True)] * 2
    assert not any(each.failed for each in pool.exits)
    assert not any(psutil.pid_exists(pid) for pid in pids)


def test_a_worker_that_will_not_stop_is_killed_after_the_grace(
    state: sharedstate.State,
) -> None:
    with WorkerPool(state, ignore_sigterm, 1, grace=0.2, start_method="fork") as pool:
        wait_for_ready(state, 1)
    (ended,) = pool.exits
    assert (ended.signal, ended.stopped, ended.failed) == ("SIGKILL", True, False)


def test_a_death_is_noticed_though_a_child_of_the_worker_lives_on(
    state: sharedstate.State,
) -> None:
    pool = WorkerPool(state, leave_a_child, 1, restarts=0, start_method="spawn")
    began = time.monotonic()
    with pytest.raises(WorkerError, match="SIGKILL"):
        pool.run()
    assert time.monotonic() - began < 30
    os.kill(state.map("children")["pid"], signal.SIGKILL)


def test_a_callback_hears_of_every_exit(state: sharedstate.State) -> None:
    heard: list[WorkerExit] = []
    pool = WorkerPool(state, count_up, 2, args=(1,), on_exit=heard.append)
    assert pool.run() == heard


def test_a_callback_that_raises_stops_the_pool(state: sharedstate.State) -> None:
    def refuse(ended: WorkerExit) -> None:
        raise KeyError("refused")

    pool = WorkerPool(state, count_up, 1, args=(1,), on_exit=refuse, start_method="fork")
    with pytest.raises(KeyError, match="refused"):
        pool.run()


def test_a_callback_may_stop_the_pool(state: sharedstate.State) -> None:
    def sleep_unless_first(state: sharedstate.State) -> None:
        if state.counter("places").add(1) > 1:
            time.sleep(60)

    pool = WorkerPool(
        state, sleep_unless_first, 3, on_exit=lambda ended: pool.stop(), start_method="fork"
    )
    assert len(pool.run()) == 3


def test_what_a_worker_cannot_unpickle_is_told_with_its_traceback(
    state: sharedstate.State,
) -> None:
    pool = WorkerPool(state, count_up, 1, args=(Unloadable(),), restarts=0)
    with pytest.raises(WorkerError, match="LookupError: not on this side"):
        pool.run()


class Unloadable:
    def __reduce__(self) -> tuple[Any, ...]:
        return _refuse_to_load, ()


def _refuse_to_load() -> None:
    raise LookupError("not on this side")


def test_what_cannot_be_pickled_is_told_at_once_and_leaves_no_worker(
    state: sharedstate.State,
) -> None:
    pool = WorkerPool(state, count_up, 2, args=(threading.Lock(), sys._getframe()))
    with pytest.raises(TypeError, match="pickle"):
        pool.start()
    assert pool.pids == []


def test_a_pool_serves_once(state: sharedstate.State) -> None:
    pool = WorkerPool(state, count_up, 1, args=(1,), start_method="fork")
    pool.run()
    with pytest.raises(WorkerError, match="serves once"):
        pool.start()


def test_wait_returns_after_its_timeout_and_stop_may_be_called_twice(
    state: sharedstate.State,
) -> None:
    pool = WorkerPool(state, sleep_and_clean_up, 1, start_method="fork").start()
    assert not pool.wait(0.01)
    pool.stop()
    pool.stop()
    assert pool.wait(0.0)


def test_wrong_arguments_are_refused_by_name(state: sharedstate.State) -> None:
    with pytest.raises(ConfigError, match="workers of at least 1, got 0"):
        WorkerPool(state, count_up, 0)
    with pytest.raises(ConfigError, match="restarts of at least 0, got -1"):
        WorkerPool(state, count_up, 1, restarts=-1)
    with pytest.raises(ConfigError, match="start methods fork, spawn, forkserver"):
        WorkerPool(state, count_up, 1, start_method="beam")


def test_a_state_of_this_process_alone_is_refused() -> None:
    with (
        sharedstate.connect("memory://") as state,
        pytest.raises(NotSupported, match="local://"),
    ):
        WorkerPool(state, count_up, 1)


def test_the_missing_package_is_told_with_its_pip_line(
    state: sharedstate.State, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "multiprocess", None)
    with pytest.raises(ConfigError, match=r'pip install "sharedstate\[pool\]"'):
        WorkerPool(state, count_up, 1)


def test_the_handler_of_sigterm_is_given_back(state: sharedstate.State) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with WorkerPool(state, count_up, 1, args=(1,), start_method="fork") as pool:
        assert signal.getsignal(signal.SIGTERM) != before
        pool.join()
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_pool_works_in_a_thread(state: sharedstate.State) -> None:
    pool = WorkerPool(state, count_up, 2, args=(1,))
    thread = threading.Thread(target=pool.run)
    thread.start()
    thread.join()
    assert state.counter("done").value == 2
