"""Racers: several workers that do the same thing to one state at the same moment.

They are processes, started by spawn, wherever the backend can be reached by processes,
and threads where it cannot. Starting them takes a second or two, so that one set of
racers serves all races of a suite. What a racer does must be a function of a module, for
it travels by name.
"""

from __future__ import annotations

import multiprocessing
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from threading import Barrier
from typing import TYPE_CHECKING, Any, TypeVar

from sharedstate.backend import Capability

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from sharedstate.state import State

RACERS = 8
"""As many as the workers of a usual pool: enough for any two to meet."""

START_LIMIT = 60.0
"""Seconds in which all racers must have come to the start; one that died never does."""

Result = TypeVar("Result")

# Where a racer's process waits for the others; set once, when it starts.
_start_line: Any = None


class Racers:
    """A set of workers. A context manager."""

    def __init__(self) -> None:
        self._processes: Executor | None = None

    def run(
        self, work: Callable[..., Result], state: State, *arguments: object
    ) -> list[Result]:
        """Call `work(state, number, *arguments)` in all racers at once.

        Returns the results in the order of the numbers, from 0. Raises the first error.
        """
        if Capability.PROCESSES in state.capabilities:
            return self._run_in(self._start_processes(), _race, work, state, *arguments)
        start_line = Barrier(RACERS)
        with ThreadPoolExecutor(RACERS) as threads:
            return self._run_in(threads, _race_from, start_line, work, state, *arguments)

    def close(self) -> None:
        """End the workers."""
        if self._processes is not None:
            self._processes.shutdown()

    def _start_processes(self) -> Executor:
        if self._processes is None:
            context = multiprocessing.get_context("spawn")
            self._processes = ProcessPoolExecutor(
                RACERS, context, initializer=_enter, initargs=(context.Barrier(RACERS),)
            )
        return self._processes

    @staticmethod
    def _run_in(executor: Executor, function: Callable[..., Any], *words: Any) -> list[Any]:
        futures = [executor.submit(function, number, *words) for number in range(RACERS)]
        return [future.result() for future in futures]

    def __enter__(self) -> Racers:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _enter(start_line: Any) -> None:
    global _start_line
    _start_line = start_line


def _race(number: int, *words: Any) -> Any:
    return _race_from(number, _start_line, *words)


def _race_from(
    number: int, start_line: Any, work: Callable[..., Any], state: State, *arguments: Any
) -> Any:
    start_line.wait(START_LIMIT)
    return work(state, number, *arguments)
