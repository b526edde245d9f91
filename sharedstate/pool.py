"""Worker processes that share one state: started, watched, replaced, and ended.

    def work(state, folder):
        for path in iter_jobs(state.queue("jobs")):
            ...

    with sharedstate.connect() as state:
        sharedstate.WorkerPool(state, work, workers=4, args=("/data",)).run()

The function and its arguments travel by `dill` (of the package `multiprocess`), so that
closures, lambdas and what is defined in a notebook will do. The state travels as its
settings; each worker opens its own connections, and closes them when the function is
done. A worker that is not forked imports the main module anew: a script guards what it
does with `if __name__ == "__main__"`.

What is promised of the processes:

- A worker that dies is noticed at once, named with its signal or its traceback, and
  replaced while restarts are left. When none are, the others are stopped, and `join`
  raises `WorkerError`.
- Ctrl-C and SIGTERM end the pool in order: each worker gets SIGTERM, and its `finally`
  blocks run; one that does not end within the grace gets SIGKILL.
- When the pool's own process is killed, its workers end by themselves.

What a dead worker had in its hands is not given to another: that is the business of the
structures that it used. Workers run on POSIX systems only.
"""

from __future__ import annotations

import atexit
import os
import signal
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sharedstate.backend import Capability
from sharedstate.errors import ConfigError, NotSupported, WorkerError
from sharedstate.pool_process import WorkerExit, load_context
from sharedstate.pool_supervisor import Plan, Supervisor
from sharedstate.pool_worker import Parcel

if TYPE_CHECKING:
    from types import FrameType, TracebackType

    from sharedstate.state import State

__all__ = ["WorkerExit", "WorkerPool"]


class WorkerPool:
    """Processes that each call `function(state, *args)` once.

    `workers` is how many, by default one for each core that this process may use.
    `restarts` is how many deaths of workers, in all, are answered by a replacement: the
    first at once, the following after `backoff` seconds, twice as long each time, up to
    ten seconds. A worker that returns is done and not replaced. `start_method` is
    "spawn", "forkserver" or "fork"; with "fork", nothing is pickled, and the caller
    answers for what other threads held at that moment. `grace` is how many seconds a
    worker has between SIGTERM and SIGKILL. `on_exit` is called with the `WorkerExit` of
    each worker that ends, in the pool's own thread; if it raises, the pool stops, and
    `join` raises the same.

    A pool serves once. It is a context manager: it starts on entering, and on leaving
    stops the workers that are left. Call `join` inside to let them finish.

    Raises `TypeError` for an argument of a wrong type, `ConfigError` for a wrong number
    and for the missing package, and `NotSupported` for a state that other processes
    cannot reach (`memory://`).
    """

    def __init__(  # noqa: PLR0913 (options are flat, as in the standard library's pools)
        self,
        state: State,
        function: Callable[..., object],
        workers: int | None = None,
        *,
        args: tuple[Any, ...] = (),
        restarts: int = 3,
        backoff: float = 0.1,
        grace: float = 5.0,
        start_method: str = "spawn",
        on_exit: Callable[[WorkerExit], object] | None = None,
    ) -> None:
        count = usable_cores() if workers is None else workers
        _check_kinds(state, function, on_exit, workers=count, restarts=restarts)
        _check_at_least(1, workers=count)
        _check_at_least(0, restarts=restarts, backoff=backoff, grace=grace)
        _check_reachable(state)
        plan = Plan(
            parcel=Parcel(function, state, tuple(args)),
            workers=count,
            restarts=restarts,
            backoff=backoff,
            grace=grace,
            context=load_context(start_method),
            on_exit=on_exit,
        )
        self._state = state
        self._plan = plan
        self._supervisor = Supervisor(plan)
        self._owner_pid = os.getpid()
        self._started = False
        self._handles_sigterm = False

    @property
    def pids(self) -> list[int]:
        """The process ids of the workers that live now, by the workers' numbers."""
        return [worker.pid for worker in self._supervisor.workers]

    @property
    def exits(self) -> list[WorkerExit]:
        """How each worker that has ended so far ended, in the order of their ends."""
        return list(self._supervisor.exits)

    def start(self) -> WorkerPool:
        """Start the workers; returns the pool.

        In the main thread, and if the program has no handler of its own for SIGTERM,
        that signal raises `SystemExit` there until the pool has ended.

        Raises whatever keeps the function, an argument or a process from starting (no
        worker is left then), and `WorkerError` if the pool was started before.
        """
        if self._started:
            raise WorkerError("a WorkerPool serves once: make a new one to run again")
        self._started = True
        try:
            self._supervisor.start()
            atexit.register(self.stop)
            self._catch_sigterm()
        except BaseException:
            self.stop()
            raise
        return self

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until every worker has ended; False when `timeout` seconds passed first.

        Raises `WorkerError` if the pool was never started: that would be for ever.
        """
        if not self._started:
            raise WorkerError("this WorkerPool was never started: call start() or run()")
        return self._supervisor.done.wait(timeout)

    def join(self) -> list[WorkerExit]:
        """Wait until every worker has ended, and return how, in the order of their ends.

        The list has also those that died and were replaced: see `WorkerExit.failed`.
        Raises `WorkerError` when workers died more often than `restarts` allows. An
        exception that comes while waiting (Ctrl-C, SIGTERM) stops the pool first.
        """
        try:
            self.wait()
        except BaseException:
            self.stop()
            raise
        self._finish()
        if self._supervisor.failure is not None:
            raise self._supervisor.failure
        return self.exits

    def run(self) -> list[WorkerExit]:
        """Start, join, and leave no worker behind, whatever happens. See `join`."""
        with self:
            return self.join()

    def stop(self) -> None:
        """Stop the workers that are left, and wait for their end. Twice is fine.

        Returns after the grace at the latest. A second Ctrl-C while this waits cuts the
        grace short. From a callback of the pool, and in a forked child, it only asks.
        """
        if not self._started or os.getpid() != self._owner_pid:
            return
        self._supervisor.stop(self._plan.grace)
        if self._supervisor.is_current_thread:
            return
        try:
            self.wait()
        except BaseException:
            self._supervisor.stop(0.0)
            self.wait()
            raise
        finally:
            self._finish()

    def __enter__(self) -> WorkerPool:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        live, of = len(self.pids), self._plan.workers
        return f"<WorkerPool {live} of {of} on {self._state.describe()}>"

    def _catch_sigterm(self) -> None:
        in_main_thread = threading.current_thread() is threading.main_thread()
        if in_main_thread and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, _exit_in_order)
            self._handles_sigterm = True

    def _finish(self) -> None:
        """Give back what the process was asked to hold for the time of the pool."""
        atexit.unregister(self.stop)
        if self._handles_sigterm and signal.getsignal(signal.SIGTERM) is _exit_in_order:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        self._handles_sigterm = False


def usable_cores() -> int:
    """How many cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _exit_in_order(signum: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + signum)


def _check_kinds(
    state: object, function: object, on_exit: object, **numbers: object
) -> None:
    """Raise `TypeError` for what could only fail later, in another process."""
    if not hasattr(state, "capabilities"):
        raise TypeError(f"expected a State, got {state!r:.100}")
    if not callable(function):
        raise TypeError(f"expected a function for the workers, got {function!r:.100}")
    if on_exit is not None and not callable(on_exit):
        raise TypeError(f"expected on_exit to be callable, got {on_exit!r:.100}")
    for name, number in numbers.items():
        if type(number) is not int:
            raise TypeError(f"expected a whole number for {name}, got {number!r:.100}")


def _check_at_least(minimum: int, **values: float) -> None:
    for name, value in values.items():
        if value < minimum:
            raise ConfigError(f"expected {name} of at least {minimum}, got {value}")


def _check_reachable(state: State) -> None:
    if Capability.PROCESSES not in state.capabilities:
        raise NotSupported(
            f"{state.describe()} lives in this process alone, and workers are others; "
            "open local:// or a server"
        )
