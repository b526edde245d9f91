"""Helpers of suites that wait: calls that block in the background, and conditions.

getting = in_background(queue.get)
wait_until(lambda: waiters(queue) == 1)
queue.put("x")
assert getting.result(SECONDS) == "x"
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from concurrent.futures import Future
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sharedstate.locking import LockInfo
    from sharedstate.structures.base import Structure
    from sharedstate.structures.queue import Queue

Result = TypeVar("Result")

SECONDS = 20.0
"""Longest wait for what should happen at once, on a machine that is busy."""

_ASK_AGAIN_SECONDS = 0.002


class Interrupted(BaseException):
    """What a signal raises in a test, in place of KeyboardInterrupt, which ends pytest."""


def in_background(function: Callable[[], Result]) -> Future[Result]:
    """Call a function on a thread of its own; its result, or error, in a future.

    The thread is a daemon: one that blocks for ever fails its test, and nothing more.
    """
    future: Future[Result] = Future()

    def work() -> None:
        try:
            future.set_result(function())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=work, daemon=True).start()
    return future


def wait_until(condition: Callable[[], bool], seconds: float = SECONDS) -> None:
    """Return when a condition holds. Raises `AssertionError` if it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"the condition did not hold within {seconds:g} s")
        time.sleep(_ASK_AGAIN_SECONDS)


def wait_for_waiters(lock: SupportsInfo, count: int) -> None:
    """Return when so many wait for a lock."""
    wait_until(lambda: lock.info().waiters == count)


def waiters(queue: Queue[Any], kind: str) -> int:
    """How many wait on a queue, of the "getters", "putters" or "joiners"."""
    context = queue._context
    return int(context.backend.execute(("HGET", context.key("meta"), kind)) or 0)


def listeners(structure: Structure) -> int:
    """How many wait for news of a structure."""
    context = structure._context
    found = context.backend.execute(("PUBSUB", "NUMSUB", context.key("news")))
    return int(found[1])


class SupportsInfo(Protocol):
    """What tells who waits for it."""

    def info(self) -> LockInfo:
        """Who holds it, and who waits."""


@contextmanager
def interrupted_in(function: str) -> Iterator[None]:
    """Raise `Interrupted` in the main thread, by a signal, while it is in a function."""

    def interrupt(number: int, frame: object) -> None:
        raise Interrupted

    def watch() -> None:
        wait_until(lambda: main_thread_is_in(function))
        os.kill(os.getpid(), signal.SIGUSR2)

    former = signal.signal(signal.SIGUSR2, interrupt)
    watching = in_background(watch)
    try:
        yield
    finally:
        watching.result(SECONDS)
        signal.signal(signal.SIGUSR2, former)


def main_thread_is_in(function: str) -> bool:
    """Whether the main thread executes a function of this name, or what that calls."""
    main = threading.main_thread().ident
    frame = sys._current_frames().get(main) if main is not None else None
    while frame is not None:
        if frame.f_code.co_name == function:
            return True
        frame = frame.f_back
    return False
