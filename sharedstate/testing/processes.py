"""Running functions in worker processes, under every way to start one.

    results = run_in_workers(add_many, state.counter("hits"), 1000, workers=8)

The function has to be importable by the workers (at the top of a module that is on
their path), for spawn and forkserver pickle it by name. `library="multiprocess"` sends
closures too.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from importlib import import_module
from typing import Any

START_METHODS = ("fork", "spawn", "forkserver")
LIBRARIES = ("multiprocessing", "multiprocess")

WORKER_SECONDS = 45.0
"""Longest run of a set of workers; below the time limit of a test."""


class WorkerFailed(AssertionError):
    """A worker raised, died or did not end. The message has its traceback or exit code."""


def run_in_workers(
    function: Callable[..., Any],
    *arguments: object,
    workers: int = 1,
    method: str = "spawn",
    library: str = "multiprocessing",
) -> list[Any]:
    """Call `function(*arguments)` in processes at the same time; their results in order.

    Raises `WorkerFailed` if one of them raised or died, and if they have not all ended
    after `WORKER_SECONDS`; those that have not are killed.
    """
    context = import_module(library).get_context(method)
    started: list[tuple[Any, Any]] = []
    deadline = time.monotonic() + WORKER_SECONDS
    try:
        for _ in range(workers):
            started.append(_start(context, function, arguments))
        return [_result(process, pipe, deadline) for process, pipe in started]
    finally:
        for process, pipe in started:
            process.kill()
            process.join()
            process.close()
            pipe.close()


def _start(
    context: Any, function: Callable[..., Any], arguments: tuple[object, ...]
) -> tuple[Any, Any]:
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(theirs, function, arguments))
    process.start()
    # While this end is open here, the end of the worker would not be noticed.
    theirs.close()
    return process, ours


def _work(pipe: Any, function: Callable[..., Any], arguments: tuple[object, ...]) -> None:
    try:
        pipe.send((True, function(*arguments)))
    except BaseException:
        pipe.send((False, traceback.format_exc()))
        raise SystemExit(1) from None


def _result(process: Any, pipe: Any, deadline: float) -> Any:
    """What a worker returned, once it has ended: one that hangs at exit has failed."""
    if not pipe.poll(max(deadline - time.monotonic(), 0)):
        raise WorkerFailed(f"worker {process.pid} gave no result in time")
    try:
        worked, result = pipe.recv()
    except EOFError:
        process.join(max(deadline - time.monotonic(), 0))
        raise WorkerFailed(
            f"worker {process.pid} died with exit code {process.exitcode}"
        ) from None
    if not worked:
        raise WorkerFailed(f"worker {process.pid} raised\n{result}")
    process.join(max(deadline - time.monotonic(), 0))
    if process.exitcode != 0:
        raise WorkerFailed(f"worker {process.pid} ended with {process.exitcode}, not 0")
    return result
