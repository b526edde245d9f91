"""A process that a test kills, or lets stand still, in the middle of what it does.

    with Victim(hold_lock, state) as victim:
        assert victim.receive() == "held"
        victim.kill()

It calls `function(pipe, *arguments)`, and tells the test by its pipe how far it has got.
The function has to be importable, for it is started by spawn.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from typing import TYPE_CHECKING, Any

from sharedstate.testing.background import SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

START_SECONDS = 45.0
"""Longest wait for a word of a victim, which has to be started, on a busy machine."""


class Victim:
    """A worker process, and a pipe to it. A context manager: on exit it is killed."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self._process = context.Process(target=function, args=(theirs, *arguments))
        self._process.start()
        theirs.close()

    def receive(self) -> Any:
        """The next word of the process. Raises `AssertionError` if none comes in time."""
        if not self.pipe.poll(START_SECONDS):
            raise AssertionError(f"the process {self._process.pid} said nothing in time")
        return self.pipe.recv()

    def stop(self) -> None:
        """Let the process stand still (SIGSTOP)."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on (SIGCONT)."""
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it at once (SIGKILL). Returns when it is gone."""
        self._process.kill()
        self._process.join(SECONDS)

    def _signal(self, number: int) -> None:
        assert self._process.pid is not None
        os.kill(self._process.pid, number)

    def __enter__(self) -> Victim:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()
        self._process.close()
        self.pipe.close()
