"""A run: workers that operate on one store at once, faults meanwhile, and the check.

    with Run(server.url, tmp_path, seed=1) as run:
        while run.goes_on():
            run.kill_worker()
            run.stop_worker()
    run.assert_linearizable()

Workers are processes; `ThreadRun` has threads, for what only one process can reach. A
worker that is killed is followed by another one, with a name and a file of its own.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import sharedstate
from sharedstate.backend import Capability
from sharedstate.state import State
from sharedstate.testing.history import Operation, Recorder, read_histories
from sharedstate.testing.linear_lock_models import (
    FenceModel,
    LockModel,
    ReadWriteLockModel,
    SemaphoreModel,
    with_lapses,
)
from sharedstate.testing.linear_models import CounterModel, MapModel, QueueModel
from sharedstate.testing.linearizability import Model, Outcome, Verdict, check
from sharedstate.testing.plugin import fresh_namespace
from tests.linearizability.broken import WORKERS
from tests.linearizability.lock_work import KINDS, LEASE_SECONDS, PERMITS, STRATEGIES
from tests.linearizability.work import MAXSIZE
from tests.linearizability.worker import Job

SECONDS = float(os.environ.get("LINEARIZABILITY_SECONDS", "2"))
"""How long the workers of a run work."""

SEED = int(os.environ.get("SHAREDSTATE_TEST_SEED", "0")) or random.randrange(1, 10**9)
"""Chosen anew for each run of the tests, and told when one fails."""

WORKERS_COUNT = 6

PATIENCE_SECONDS = 40.0

LEAST_ANSWERED = 60
"""So many operations of each kind have an answer in a history that means something."""

_ROOT = Path(__file__).parents[2]
_END_SECONDS = 30.0
_NS = 1_000_000_000
_SEEN_AFTER_NS = _NS // 5


class NotLinearizable(AssertionError):
    """A history was rejected, or not decided. The message shows why."""


def models() -> dict[str, Model[Any]]:
    """The models of the objects that the workers use, by kind and name."""
    return {
        "map/m": MapModel(),
        "counter/c0": CounterModel(),
        "counter/c1": CounterModel(),
        "queue/short": QueueModel(),
        "queue/bounded": QueueModel(MAXSIZE),
        # Locks are handed over to who waits, and may be refused meanwhile.
        **{f"lock/{name}": LockModel(may_refuse_early=True) for name in STRATEGIES},
        **{f"fence/{name}": FenceModel() for name in STRATEGIES},
        "rwlock/rw": ReadWriteLockModel(may_refuse_early=True),
        "semaphore/s": SemaphoreModel(PERMITS, may_refuse_early=True),
    }


HELD = ("lock", "rwlock", "semaphore")


class BaseRun:
    """What runs of processes and of threads have in common."""

    def __init__(
        self,
        folder: Path,
        *,
        kinds: tuple[str, ...] = KINDS,
        client: str = "Worker",
        seconds: float = SECONDS,
        least: int = LEAST_ANSWERED,
    ) -> None:
        self.folder = folder
        self.random = random.Random(SEED)
        self.history: list[Operation] = []
        self.verdicts: dict[str, Verdict] = {}
        self._kinds = kinds
        self._client = client
        self._seconds = seconds
        self._least = least
        self._until = 0.0

    def goes_on(self) -> bool:
        """Whether it is not over, after the workers have worked for a moment more.

        It is over after some seconds; but a machine that is busy, or a store that was
        often gone, gets more, up to `PATIENCE_SECONDS`, until enough has been answered.
        """
        self.sleep(0.02, 0.2)
        left = self._until - time.monotonic()
        if left > 0 or left < -PATIENCE_SECONDS:
            return left > 0
        self.history = read_histories(self.folder.glob("*.history"))
        return min(self.answered().values()) < self._least

    def sleep(self, least: float, most: float) -> None:
        """Let a random time pass: faults come at no moment that could be waited for."""
        time.sleep(self.random.uniform(least, most))

    def check(self) -> None:
        """Check what the workers have noted, object by object."""
        for name, model in models().items():
            kind, _, own_name = name.partition("/")
            history = [each for each in self.history if each.target == (kind, own_name)]
            if kind in HELD:
                history = with_lapses(history, self.lease_ns, self.ended_at)
            if history:
                self.verdicts[name] = check(history, model)

    @property
    def lease_ns(self) -> int:
        """A lease lasts so long at least. The store counts in whole milliseconds."""
        return int(LEASE_SECONDS * _NS) - _NS // 1000

    def ended_at(self, acquisition: Operation) -> int | None:
        """When a hold may have ended before its lease: see `with_lapses`."""
        return None

    def assert_linearizable(self) -> None:
        """Raises `NotLinearizable`; or `AssertionError`, if too little was done for the
        history to mean anything.
        """
        self.check()
        for name, verdict in self.verdicts.items():
            if verdict.outcome is not Outcome.LINEARIZABLE:
                where = self._keep_evidence()
                raise NotLinearizable(f"{name}, seed {SEED}, {where}: {verdict}")
        answered = self.answered()
        assert all(answered[kind] >= LEAST_ANSWERED for kind in self._kinds), answered

    def _keep_evidence(self) -> str:
        """Where the histories are kept for who looks for the reason."""
        if self._client != "Worker":
            return "not kept"
        target = tempfile.mkdtemp(prefix="sharedstate-history-")
        for path in self.folder.glob("*.history"):
            shutil.copy(path, target)
        return target

    def answered(self) -> dict[str, int]:
        """For each kind, how many operations have an answer."""
        return {
            kind: sum(
                each.target[0] == kind and not each.is_pending for each in self.history
            )
            for kind in self._kinds
        }

    def assert_rejected(self) -> str:
        """Raises unless a violation was found. Returns its description."""
        self.check()
        found = [
            str(verdict)
            for verdict in self.verdicts.values()
            if verdict.outcome is Outcome.VIOLATION
        ]
        assert found, {name: str(verdict) for name, verdict in self.verdicts.items()}
        return found[0]


class ThreadRun(BaseRun):
    """Threads of this process, on one state. A context manager."""

    def __init__(self, state: State, folder: Path, **options: Any) -> None:
        super().__init__(folder, **options)
        self._state = state
        self._failures: list[BaseException] = []
        self._end = threading.Event()

    def __enter__(self) -> Self:
        self._until = time.monotonic() + self._seconds
        self._threads = [
            threading.Thread(target=self._work, args=(number,), daemon=True)
            for number in range(WORKERS_COUNT)
        ]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exit_information: object) -> None:
        while not self._failures and self.goes_on():
            pass
        self._end.set()
        for thread in self._threads:
            thread.join(_END_SECONDS)
            assert not thread.is_alive(), "a worker hangs"
        for failure in self._failures:
            raise failure
        self.history = read_histories(self.folder.glob("*.history"))

    def _work(self, number: int) -> None:
        process = f"w{number}"
        try:
            with Recorder(self.folder / f"{process}.history", process) as recorder:
                worker = WORKERS[self._client](self._state, recorder, SEED + number)
                worker.run(self._end.is_set, self._kinds)
        except BaseException as error:
            self._failures.append(error)


class Run(BaseRun):
    """Processes. A context manager: on exit they have ended, and the history is there."""

    def __init__(
        self,
        url: str,
        folder: Path,
        *,
        timeout: float = 5.0,
        clock: Path | None = None,
        **options: Any,
    ) -> None:
        super().__init__(folder, **options)
        self.url = url
        self.namespace = fresh_namespace()
        self.faults = 0
        self._hold_ends: list[tuple[int, int]] = []
        """From when to when faults may have ended holds."""
        self._killed_at: dict[str, int] = {}
        """When those were killed whose holds end with them: where there are sessions."""
        self._timeout = timeout
        self._clock = "" if clock is None else str(clock)
        self._workers: list[_Process] = []
        self._count = 0

    def __enter__(self) -> Self:
        with sharedstate.connect(self.url) as state:
            self._has_sessions = Capability.SESSIONS in state.capabilities
        try:
            self._workers = [self._start() for _ in range(WORKERS_COUNT)]
            for worker in self._workers:
                worker.wait_until_ready()
            self._until = time.monotonic() + self._seconds
            for worker in self._workers:
                worker.say("begin")
        except BaseException:
            self._kill_all()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, *others: object) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            self._kill_all()
        self.history = read_histories(self.folder.glob("*.history"))

    def kill_worker(self) -> None:
        """Kill a worker, and start another one."""
        number = self.random.randrange(WORKERS_COUNT)
        killed = self._workers[number]
        if self._has_sessions:
            self._killed_at[killed.name] = time.monotonic_ns()
        killed.kill()
        self.faults += 1
        self._workers[number] = successor = self._start()
        successor.wait_until_ready()
        successor.say("begin")

    def stop_worker(self) -> None:
        """Let a worker stand still for a moment, or for longer than its lease."""
        worker = self.random.choice(self._workers)
        is_long = self.random.random() < 0.3
        worker.signal(signal.SIGSTOP)
        try:
            self.sleep(*(LEASE_SECONDS, 1.5 * LEASE_SECONDS) if is_long else (0.0, 0.1))
        finally:
            worker.signal(signal.SIGCONT)
        self.faults += 1

    @contextmanager
    def ending_holds(self) -> Iterator[None]:
        """A fault that may end all holds, such as a jump of the store's clock; and those
        as well that begin before the store has seen the whole of it.
        """
        begun_at = time.monotonic_ns()
        yield
        seen_at = time.monotonic_ns() + _SEEN_AFTER_NS
        self._hold_ends.append((begun_at, seen_at))
        self.faults += 1

    def ended_at(self, acquisition: Operation) -> int | None:
        ends = [start for start, end in self._hold_ends if end >= acquisition.called_at]
        if acquisition.process in self._killed_at:
            ends.append(self._killed_at[acquisition.process])
        return min(ends, default=None)

    def _start(self) -> _Process:
        self._count += 1
        name = f"w{self._count}"
        job = Job(
            url=self.url,
            namespace=self.namespace,
            process=name,
            seed=SEED + self._count,
            kinds=self._kinds,
            timeout=self._timeout,
            client=self._client,
            clock=self._clock,
        )
        return _Process(name, job.command(self.folder / f"{name}.history"))

    def _finish(self) -> None:
        """Let the workers work for as long as they should, and end."""
        while self.goes_on():
            for worker in self._workers:
                worker.check_alive()
        for worker in self._workers:
            worker.say("end")
        for worker in self._workers:
            worker.wait_until_ended()

    def _kill_all(self) -> None:
        for worker in self._workers:
            worker.kill()


class _Process:
    """A worker's process, and what it says."""

    def __init__(self, name: str, command: list[str]) -> None:
        self.name = name
        self._process = subprocess.Popen(
            command,
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait_until_ready(self) -> None:
        """Wait until it is connected."""
        assert self._process.stdout is not None
        if self._process.stdout.readline() != "ready\n":
            raise AssertionError(f"{self.name} did not start: {self._errors()}")

    def say(self, word: str) -> None:
        """Tell it to begin, or to end."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # It has failed, of which `wait_until_ended` tells.
            self._process.stdin.write(f"{word}\n")
            self._process.stdin.flush()

    def check_alive(self) -> None:
        """Raises `AssertionError`, with what it said, if it has failed."""
        assert self._process.poll() is None, f"{self.name} failed: {self._errors()}"

    def wait_until_ended(self) -> None:
        """Wait until it has ended by itself, without an error."""
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} hangs") from None
        assert self._process.returncode == 0, f"{self.name} failed: {self._errors()}"

    def kill(self) -> None:
        """End it. Twice is fine."""
        self._process.kill()
        self._process.communicate()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, if it runs."""
        self._process.send_signal(number)

    def _errors(self) -> str:
        self._process.kill()
        return self._process.communicate()[1][-3000:]
