"""Keeping workers alive: one thread that waits for the end of any, and answers it.

    launch ──▶ running ──▶ returned ──────────────────────────────────▶ recorded
                  │  └───▶ died ──▶ a restart is left: due at a time ──▶ launch
                  │             └─▶ none is left: the pool fails, all others are stopped
                  └── stop(): SIGTERM, then after the grace SIGKILL ──▶ recorded

The thread sleeps in one call that returns when a worker ends, a restart is due, or
somebody wants to stop; there is nothing that it polls. A thread, and not the caller of
`join`, because the caller may be busy, or blocked on a queue that only workers empty.

Invariant: every worker that was launched is recorded exactly once, and when `done` is
set, no worker is left.
"""

from __future__ import annotations

import importlib
import signal
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sharedstate import pool_worker
from sharedstate.errors import WorkerError
from sharedstate.log import get_logger
from sharedstate.pool_process import (
    Worker,
    WorkerExit,
    signals_held,
    start_helpers,
)

if TYPE_CHECKING:
    from collections.abc import Callable

# Restarts wait longer and longer, so that a worker that cannot start does not burn a
# core; and not longer than this, so that a pool mends soon after its store is back.
_MAX_BACKOFF = 10.0

# How long the end of a killed worker is waited for. It comes at once, or the kernel has
# the process in a place (a dead disk, say) from which no signal brings it back.
_KILL_WAIT = 10.0

_log = get_logger("pool")


@dataclass(frozen=True, slots=True)
class Plan:
    """What a pool was asked to do. See `WorkerPool` for the meaning of each."""

    parcel: pool_worker.Parcel
    workers: int
    restarts: int
    backoff: float
    grace: float
    context: Any
    """The `multiprocess` context of the start method."""
    on_exit: Callable[[WorkerExit], object] | None


class Supervisor:
    """The workers of one pool. `start`, then `done` is set when the last has ended."""

    def __init__(self, plan: Plan) -> None:
        self.exits: list[WorkerExit] = []
        self.failure: BaseException | None = None
        self.done = threading.Event()
        self._plan = plan
        self._running: dict[int, Worker] = {}
        self._due: list[tuple[float, int]] = []
        self._restarts_used = 0
        self._stopping = False
        self._grace = plan.grace
        self._wait_any: Any = importlib.import_module("multiprocess.connection").wait
        self._wake_reader, self._wake_writer = plan.context.Pipe(duplex=False)
        self._thread = threading.Thread(
            target=self._supervise, name="worker-pool", daemon=True
        )

    @property
    def workers(self) -> list[Worker]:
        """Those who live, by number."""
        return sorted(self._running.values(), key=lambda worker: worker.number)

    @property
    def is_current_thread(self) -> bool:
        """Whether the caller is the supervising thread, which cannot wait for itself."""
        return threading.current_thread() is self._thread

    def start(self) -> None:
        """Launch every worker, then watch over them in a thread.

        If one cannot be launched, those that were are ended before the error is raised.
        A Ctrl-C meanwhile is raised afterwards, when the thread is there to clean up.
        """
        start_helpers(self._plan.context)
        with signals_held():
            try:
                for number in range(1, self._plan.workers + 1):
                    self._launch(number)
            except BaseException:
                self._stopping = True
                self._end_all()
                self.done.set()
                raise
            self._thread.start()

    def stop(self, grace: float) -> None:
        """Ask for the end of all workers, SIGKILL after `grace` seconds. Does not wait."""
        self._grace = min(self._grace, grace)
        self._stopping = True
        if not self.done.is_set():
            self._wake_writer.send_bytes(b"!")

    def _supervise(self) -> None:
        # Signals are for the main thread, which this one must not keep waiting for them.
        signal.pthread_sigmask(signal.SIG_BLOCK, pool_worker.HELD_SIGNALS)
        try:
            while (self._running or self._due) and not self._is_over():
                self._collect(self._next_due_in())
                self._launch_due()
        except BaseException as error:
            self.failure = self.failure or error
        finally:
            self._end_all()
            self.done.set()

    def _is_over(self) -> bool:
        return self._stopping or self.failure is not None

    def _collect(self, timeout: float | None) -> None:
        """Wait until a worker ends or somebody wakes us; record those that ended."""
        ready = self._wait_any([*self._running, self._wake_reader], timeout)
        for handle in ready:
            if handle is self._wake_reader:
                self._wake_reader.recv_bytes()
            else:
                self._record(self._running.pop(handle))

    def _record(self, worker: Worker, *, has_ended: bool = True) -> None:
        ended = worker.reap(stopped=self._is_over(), has_ended=has_ended)
        self.exits.append(ended)
        self._tell(ended)
        if ended.failed and not self._is_over():
            self._plan_restart(ended)

    def _tell(self, ended: WorkerExit) -> None:
        if self._plan.on_exit is None:
            return
        try:
            self._plan.on_exit(ended)
        except Exception as error:
            _log.exception("on_exit failed for %s; the pool stops", ended)
            self.failure = self.failure or error

    def _plan_restart(self, ended: WorkerExit) -> None:
        """Set the time of the replacement, or the failure if there may be none."""
        used, allowed = self._restarts_used, self._plan.restarts
        if used >= allowed:
            self.failure = WorkerError(_out_of_restarts(ended, allowed))
            return
        _log.warning("%s; restart %d of %d", ended, used + 1, allowed)
        # The first goes out at once: most deaths are accidents, and do not repeat.
        pause = self._plan.backoff * 2 ** (used - 1) if used else 0.0
        self._restarts_used += 1
        self._due.append((time.monotonic() + min(pause, _MAX_BACKOFF), ended.number))

    def _next_due_in(self) -> float | None:
        if not self._due:
            return None
        return max(0.0, min(self._due)[0] - time.monotonic())

    def _launch_due(self) -> None:
        now = time.monotonic()
        ready = [number for due, number in self._due if due <= now]
        self._due = [(due, number) for due, number in self._due if due > now]
        for number in ready:
            if not self._is_over():
                self._launch(number)

    def _launch(self, number: int) -> None:
        plan = self._plan
        worker = Worker.launch(plan.context, number, plan.parcel, plan.grace)
        self._running[worker.handle] = worker

    def _end_all(self) -> None:
        """SIGTERM to all, wait for the grace, SIGKILL to those that are left."""
        self._due.clear()
        for worker in self.workers:
            worker.process.terminate()
        began = time.monotonic()
        while self._running and (left := began + self._grace - time.monotonic()) > 0:
            self._collect(left)
        for worker in self.workers:
            worker.process.kill()
        deadline = time.monotonic() + _KILL_WAIT
        while self._running and (left := deadline - time.monotonic()) > 0:
            self._collect(left)
        for handle in list(self._running):
            self._record(self._running.pop(handle), has_ended=False)


def _out_of_restarts(ended: WorkerExit, allowed: int) -> str:
    spent = f"all {allowed} restarts are used" if allowed else "no restarts are allowed"
    trace = f"\n\n{ended.error}" if ended.error else ""
    return f"{ended}, and {spent}; the other workers were stopped{trace}"
