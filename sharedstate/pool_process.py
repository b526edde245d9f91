"""One worker process, as its pool sees it: launched, waited for, and how it ended."""

from __future__ import annotations

import importlib
import os
import signal
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sharedstate import pool_worker
from sharedstate.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess


@dataclass(frozen=True, slots=True)
class WorkerExit:
    """How one worker ended. A worker that was replaced has one of these for each life."""

    number: int
    """1 for the first worker; a replacement has the number of the one that died."""
    pid: int
    exitcode: int
    """As `multiprocessing.Process.exitcode`: negative for the signal that killed it."""
    error: str | None
    """The traceback of the exception that ended it, if there was one."""
    stopped: bool
    """Whether the pool had asked it to stop."""

    @property
    def signal(self) -> str | None:
        """The name of the signal that ended it, such as "SIGKILL", or None."""
        number = -self.exitcode
        if self.exitcode == pool_worker.TERMINATED:
            number = int(signal.SIGTERM)
        if number <= 0:
            return None
        known = {item.value: item.name for item in signal.Signals}
        return known.get(number, f"signal {number}")

    @property
    def failed(self) -> bool:
        """Whether it neither returned nor ended because it was asked to."""
        asked = self.stopped and self.signal in ("SIGTERM", "SIGKILL")
        return self.exitcode != 0 and not asked

    def __str__(self) -> str:
        who = f"worker {self.number} (pid {self.pid})"
        if self.signal:
            return f"{who} was ended by {self.signal}"
        if self.error:
            return f"{who} raised {self.error.rstrip().splitlines()[-1]}"
        return f"{who} ended with exit code {self.exitcode}"


class Worker:
    """A live process, what it is waited for by, and the pipe for its last words."""

    __slots__ = ("handle", "number", "outcome", "pid", "process")

    def __init__(self, number: int, process: BaseProcess, outcome: Connection) -> None:
        self.number = number
        self.process = process
        self.outcome = outcome
        self.pid = process.pid or 0
        self.handle = _open_handle(process)
        """Becomes readable when the process ends."""

    @staticmethod
    def launch(
        context: Any, number: int, parcel: pool_worker.Parcel, grace: float
    ) -> Worker:
        """Start a process that runs a parcel. SIGINT and SIGTERM are to be held."""
        reader, writer = context.Pipe(duplex=False)
        process = context.Process(
            target=pool_worker.run, args=(parcel, writer, grace), name=f"worker-{number}"
        )
        try:
            process.start()
        except BaseException:
            reader.close()
            raise
        finally:
            writer.close()
        return Worker(number, process, reader)

    def reap(self, *, stopped: bool, has_ended: bool = True) -> WorkerExit:
        """How the process ended. Gives back everything that it took here.

        With `has_ended` False, for one that not even SIGKILL has brought to an end.
        """
        # Without a time limit where there is nothing to wait for: with one, multiprocess
        # would wait for its sentinel, which the worker's children may hold open.
        self.process.join(None if has_ended else 0.0)
        code = self.process.exitcode
        if self.handle != self.process.sentinel:
            os.close(self.handle)
        error = self._last_words() if code == 1 else None
        self.outcome.close()
        if code is None:
            code = -int(signal.SIGKILL)
        else:
            self.process.close()
        return WorkerExit(
            number=self.number, pid=self.pid, exitcode=code, error=error, stopped=stopped
        )

    def _last_words(self) -> str | None:
        try:
            # Asked first: who inherited the pipe from the worker may hold it open.
            return self.outcome.recv_bytes().decode() if self.outcome.poll() else None
        except EOFError:
            return None


def _open_handle(process: BaseProcess) -> int:
    """What to wait for: a descriptor that becomes readable when the process ends.

    The sentinel of `multiprocess` is a pipe that the worker's own children inherit: one
    that outlives its killed parent would hide the death. A descriptor of the process
    itself cannot be held open so. The fork server's sentinel is a message, not an end
    of file, and needs none of this.
    """
    if type(process).__name__ != "ForkServerProcess" and hasattr(os, "pidfd_open"):
        try:
            return os.pidfd_open(process.pid or 0)
        except OSError:
            pass  # An old kernel or a sandbox: the sentinel has to do.
    return process.sentinel


def load_context(start_method: str) -> Any:
    """The `multiprocess` context of a start method. Raises `ConfigError`."""
    try:
        multiprocess: Any = importlib.import_module("multiprocess")
    except ModuleNotFoundError as error:
        raise ConfigError(
            "WorkerPool needs the package multiprocess, which is not installed: "
            'pip install "sharedstate[pool]"'
        ) from error
    known = multiprocess.get_all_start_methods()
    if start_method not in known:
        raise ConfigError(
            f"expected one of the start methods {', '.join(known)}, got {start_method!r}"
        )
    return multiprocess.get_context(start_method)


def start_helpers(context: Any) -> None:
    """Start the processes that `multiprocess` shares, before any signal is held.

    They would hand the blocked signals on to processes that are not ours.
    """
    method = context.get_start_method()
    if method == "forkserver":
        importlib.import_module("multiprocess.forkserver").ensure_running()
    if method != "fork":
        importlib.import_module("multiprocess.resource_tracker").ensure_running()


@contextmanager
def signals_held() -> Iterator[None]:
    """Keep SIGINT and SIGTERM pending in this thread, and in what it starts meanwhile."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, pool_worker.HELD_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
