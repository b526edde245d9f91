"""The crash test: workers write, the server is killed, a new one is started, and checked.

    with CrashRun(server, "always", seed=1) as run:
        for moment in ("running", "rewriting"):
            run.crash(moment)      # raises BrokenPromise, with the seed

Moments to be killed at, each at a random (seeded) instant of it:

    running     while workers write
    rewriting   … and a child rewrites the log
    saving      … and a child writes a snapshot
    loading     … and then again, while the next server loads what there is
    ending      … by SIGTERM: a server that ends loses nothing, whatever the durability

Workers survive: they go on with the step behind the last one that the store has kept.
"""

from __future__ import annotations

import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import sharedstate
from sharedstate.errors import CommandError
from sharedstate.state import State
from sharedstate.testing.servers import (
    BuiltInServer,
    RedisServer,
    ServerFailed,
    StoreServer,
)
from tests.faults.crash_checker import BrokenPromise, Verdict, Worker, check
from tests.faults.journal import JournalReader
from tests.faults.power import cut_power
from tests.faults.sequences import KINDS, Model, Performer

MOMENTS = ("running", "rewriting", "saving", "loading", "ending")

POLICIES = {"none": "no", "second": "everysec", "always": "always"}

BALLAST_KEYS = 20_000
"""So many more keys are there, that loading, saving and rewriting take some time."""

_ROOT = Path(__file__).parents[2]
_WORKING_SECONDS = (0.05, 0.4)
_CHILD_SECONDS = 0.1
_LOADING_SECONDS = (0.05, 0.35)


class AbruptServer(StoreServer):
    """A server that can also be killed before it is ready."""

    _is_awaited = True

    def begin(self) -> None:
        """Start the process, and do not wait until it is ready."""
        self._is_awaited = False
        try:
            self.start()
        finally:
            self._is_awaited = True

    def start_and_kill(self, after: float) -> bool:
        """Start the process, and kill it `after` so many seconds, ready or not. Whether
        it was loading its data.
        """
        self.begin()
        time.sleep(after)  # The moment is random, and nothing to be waited for.
        said = self._ping()
        self.kill()
        return said.startswith(b"-LOADING")

    def _ping(self) -> bytes:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1.0) as sock:
                sock.sendall(b"*1\r\n$4\r\nPING\r\n")
                return sock.recv(64)
        except OSError:
            return b""

    def _answers(self) -> bool:
        return super()._answers() if self._is_awaited else True


class KeepingServer(AbruptServer, BuiltInServer):
    """The built-in server, which keeps its data in a folder."""

    def __init__(self, durability: str, *arguments: str) -> None:
        keeping = ("--dir", "data", "--durability", durability)
        super().__init__(*keeping, *arguments)


class PowerlessServer(KeepingServer):
    """The built-in server on a machine that loses its power whenever it is killed."""

    def lose_power(self, chance: random.Random) -> None:
        """Leave of its folder what a disk would have kept."""
        cut_power(Path(self.folder, "data"), Path(self.folder, "shadow"), chance)

    def _command(self) -> list[str]:
        words = super()._command()
        arguments = words[words.index("sharedstate_server") + 1 :]
        shadow = str(Path(self.folder, "shadow"))
        return [sys.executable, str(_ROOT / "tests/faults/power.py"), shadow, *arguments]


class KeepingRedis(AbruptServer, RedisServer):
    """A real redis-server with a log, to try this test on."""

    def __init__(self, durability: str, *arguments: str) -> None:
        keeping = ("--appendonly", "yes", "--appendfsync", POLICIES[durability])
        super().__init__(*keeping, *arguments)


class _WorkerProcess:
    """A worker, its journal, and the state that was checked last."""

    def __init__(self, url: str, name: str, kind: str, folder: Path) -> None:
        self.name = name
        self.kind = kind
        self.base = Model(kind)
        journal = folder / f"{name}.journal"
        journal.touch()
        self.journal = JournalReader(journal)
        words = [sys.executable, "-m", "tests.faults.crash_worker"]
        self._process = subprocess.Popen(
            [*words, url, name, kind, str(journal)],
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def expect(self, word: str) -> None:
        """Wait for the worker's next line, which must begin with this word."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line.startswith(word):
            raise BrokenPromise(f"{self.name} said {line!r} in place of {word!r}")

    def go(self) -> None:
        """Let it take the steps behind those that the store has."""
        self.journal.notes.forget_from(self.base.steps)
        assert self._process.stdin is not None
        self._process.stdin.write(f"go {self.base.steps}\n")
        self._process.stdin.flush()

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()


@dataclass
class Tally:
    """What a run has cost so far."""

    kills: Counter[str] = field(default_factory=Counter)
    in_the_midst: Counter[str] = field(default_factory=Counter)
    """Those that are known to have come while it was loaded, saved or rewritten."""
    acknowledged: int = 0
    lost: int = 0
    in_doubt: int = 0
    in_doubt_kept: int = 0

    def add(self, verdict: Verdict) -> None:
        """One more crash."""
        self.lost += verdict.lost
        self.in_doubt += verdict.in_doubt
        self.in_doubt_kept += verdict.in_doubt_kept

    def __str__(self) -> str:
        moments = ", ".join(
            f"{count} {moment}{self._midst_of(moment)}"
            for moment, count in self.kills.items()
        )
        return (
            f"{sum(self.kills.values())} kills ({moments}), "
            f"{self.acknowledged} acknowledged changes, {self.lost} lost, "
            f"0 phantoms; {self.in_doubt} unanswered, {self.in_doubt_kept} of them kept"
        )

    def _midst_of(self, moment: str) -> str:
        if moment not in ("rewriting", "saving", "loading"):
            return ""
        return f" ({self.in_the_midst[moment]} in its midst)"


class CrashRun:
    """Workers on a server that is killed again and again. A context manager."""

    def __init__(
        self,
        server: KeepingServer | KeepingRedis,
        durability: str,
        *,
        seed: int,
        ballast: int = BALLAST_KEYS,
        keeps_evidence: bool = True,
    ) -> None:
        self.tally = Tally()
        self._server = server
        self._policy = POLICIES[durability]
        self._seed = seed
        self._random = random.Random(seed)
        self._ballast = ballast
        self._keeps_evidence = keeps_evidence
        self._workers: list[_WorkerProcess] = []

    def __enter__(self) -> Self:
        self._server.start()
        folder = Path(self._server.folder)
        try:
            for number, kind in enumerate(KINDS):
                name = f"worker{number}"
                worker = _WorkerProcess(self._server.url, name, kind, folder)
                self._workers.append(worker)
            self._load_ballast()
            for worker in self._workers:
                worker.expect("ready")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exit_information: object) -> None:
        for worker in self._workers:
            worker.close()
        self._server.close()

    def crash(
        self, moment: str, *, meanwhile: Callable[[Path], None] | None = None
    ) -> Verdict:
        """Let the workers write, kill the server at this moment, start it, and check.
        `meanwhile` may do something to its folder while there is no server.

        Raises `BrokenPromise` and `ServerFailed`, with what is needed to try it again.
        """
        try:
            crashed_at = self._kill(moment)
            if meanwhile is not None:
                meanwhile(Path(self._server.folder))
            if moment == "loading":
                after = self._random.uniform(*_LOADING_SECONDS)
                self.tally.in_the_midst[moment] += self._server.start_and_kill(after)
            if isinstance(self._server, PowerlessServer):
                self._server.lose_power(self._random)
            self._server.start()
            return self._check(crashed_at, "always" if moment == "ending" else self._policy)
        except (AssertionError, ServerFailed) as error:
            error.add_note(
                f"killed while {moment}, seed {self._seed}, after {self.tally}; "
                f"the server's folder: {self._keep_evidence()}"
            )
            raise

    def _keep_evidence(self) -> str:
        """Where the server's folder is kept for who looks for the reason."""
        if not self._keeps_evidence:
            return "not kept"
        target = tempfile.mkdtemp(prefix="sharedstate-crash-")
        sockets = shutil.ignore_patterns("*.sock")
        shutil.copytree(self._server.folder, target, dirs_exist_ok=True, ignore=sockets)
        return target

    def _kill(self, moment: str) -> float:
        """Kill the server at a moment of its work. Returns when."""
        for worker in self._workers:
            worker.go()
        for worker in self._workers:
            worker.expect("going")
        time.sleep(self._random.uniform(*_WORKING_SECONDS))
        unfinished = self._unfinished()
        if moment in ("rewriting", "saving"):
            self._begin_child(moment)
            time.sleep(self._random.uniform(0, _CHILD_SECONDS))
        crashed_at = time.monotonic()
        if moment == "ending":
            self._server.stop()
        else:
            self._server.kill()
        self.tally.kills[moment] += 1
        if moment in ("rewriting", "saving"):
            # A child that had ended has given its file another name.
            self.tally.in_the_midst[moment] += bool(self._unfinished() - unfinished)
        for worker in self._workers:
            worker.expect("stopped")
        return crashed_at

    def _unfinished(self) -> set[Path]:
        return set(Path(self._server.folder).rglob("temp-*"))

    def _begin_child(self, moment: str) -> None:
        command = {"rewriting": "BGREWRITEAOF", "saving": "BGSAVE"}[moment]
        with sharedstate.connect(self._server.url) as state:
            try:
                state.backend.execute((command,))
            except CommandError as error:
                if "in progress" not in str(error):
                    raise  # By growth, one has begun by itself: as good.

    def _check(self, crashed_at: float, policy: str) -> Verdict:
        with sharedstate.connect(self._server.url) as state:
            self._check_ballast(state)
            workers = [
                Worker(
                    each.name,
                    each.base,
                    each.journal.read(),
                    Performer(state, each.name).observe(each.kind),
                )
                for each in self._workers
            ]
        self.tally.acknowledged += sum(
            max(0, worker.notes.acknowledged_count - worker.base.steps)
            for worker in workers
        )
        verdict = check(workers, policy, crashed_at)
        for each in self._workers:
            if verdict.kept[each.name] < each.base.steps:
                each.base = Model(each.kind)
            each.base.advance(verdict.kept[each.name])
        self.tally.add(verdict)
        return verdict

    # Ballast.

    def _load_ballast(self) -> None:
        """Durably: it is there before the first crash, and is not to be lost by any."""
        with sharedstate.connect(self._server.url) as state:
            execute = state.backend.execute
            execute(("CONFIG", "SET", "appendfsync", "always"))
            for start in range(0, self._ballast, 1000):
                state.backend.execute_many(
                    [_ballast(key) for key in range(start, start + 1000)]
                )
            execute(("CONFIG", "SET", "appendfsync", self._policy))

    def _check_ballast(self, state: State) -> None:
        last = self._ballast - 1
        for key in {0, last, self._random.randrange(self._ballast)}:
            _, name, value = _ballast(key)
            if state.backend.execute(("GET", name)) != value:
                raise BrokenPromise(f"{name} is gone, or has another value")


def _ballast(key: int) -> tuple[str, str, bytes]:
    return "SET", f"ballast:{key}", b"%090d" % key
