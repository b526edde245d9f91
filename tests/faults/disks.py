"""Disks that fail on demand, and servers whose log is on them.

    with SmallDisk(folder, "1m") as disk, Logged(folder, "always", disk=disk) as server: …

A small disk is a tmpfs that nobody else sees: it is mounted in a namespace of its own,
which a process holds, and goes when that process does. Servers enter the namespace.
"""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, Self

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from sharedstate.testing.background import wait_until
from tests.unit.server.saving import SECONDS, Saving
from tests.unit.server.started import OURS, REDIS, client

POLICIES = ("always", "everysec", "no")

LOG_REFUSAL = "MISCONF Errors writing to the AOF file: "

CANNOT_REWRITE = "Can't execute an AOF background rewriting"

_HOLD = 'mount -t tmpfs -o size={size} none "$1" && echo held && exec cat'


class SmallDisk:
    """A folder that is a disk of its own. Not where nothing can be mounted: skips."""

    def __init__(self, folder: Path, size: str) -> None:
        require_mounts()
        self.folder = folder
        folder.mkdir()
        self._holder = subprocess.Popen(
            [*_NAMESPACE, "sh", "-c", _HOLD.format(size=size), "sh", str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == b"held\n"

    @property
    def entrance(self) -> tuple[str, ...]:
        """The words that let a program run where the disk is."""
        pid = str(self._holder.pid)
        words = ("--user", "--preserve-credentials", "--mount", "--wd=/")
        return ("nsenter", "--target", pid, *words)

    def seen(self, path: str | Path = "") -> Path:
        """What is on the disk, as this process can see it."""
        return Path(f"/proc/{self._holder.pid}/root{self.folder}", path)

    def fill(self) -> None:
        """Leave no room."""
        with self.seen("ballast").open("ab", buffering=0) as file:
            for size in (1 << 20, 4096):
                with suppress(OSError):
                    while file.write(bytes(size)):
                        pass

    def clear(self) -> None:
        """Let there be room again."""
        self.seen("ballast").unlink()

    def remount(self, options: str) -> None:
        """Mount it anew, such as read-only: not while a file of it is open for writing."""
        command = [*self.entrance, "mount", "-o", f"remount,{options}", str(self.folder)]
        subprocess.run(command, check=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exit_information: object) -> None:
        self._holder.kill()
        self._holder.communicate()


_NAMESPACE = ("unshare", "--user", "--map-root-user", "--mount")


@cache
def _can_mount() -> bool:
    if shutil.which("unshare") is None or shutil.which("nsenter") is None:
        return False
    with tempfile.TemporaryDirectory() as folder:
        command = [*_NAMESPACE, "mount", "-t", "tmpfs", "none", folder]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0


def require_mounts() -> None:
    """Skip a test where nothing can be mounted."""
    if not _can_mount():
        pytest.skip("a small disk needs the right to mount one in a namespace")


class Logged(Saving):
    """A server with a log, on Unix socket `folder/s`, its data in `folder/data` or on a
    disk. `words` come behind the settings of the log.
    """

    def __init__(
        self,
        folder: Path,
        policy: str,
        *words: str,
        disk: SmallDisk | None = None,
        failpoints: str = "",
        program: tuple[str, ...] = OURS,
    ) -> None:
        self.data = folder / "data" if disk is None else disk.folder
        self.data.mkdir(exist_ok=True)
        log = ("--appendonly", "yes", "--appendfsync", policy, "--save", "")
        super().__init__(
            folder,
            *("--dir", str(self.data), *log, *words),
            program=(disk.entrance if disk else ()) + program,
            environment={"SHAREDSTATE_FAILPOINTS": failpoints},
        )

    @property
    def once(self) -> Any:
        """A new client of it, that sends nothing twice."""
        retry = Retry(NoBackoff(), 0)
        return client(path=self.folder / "s", socket_timeout=SECONDS, retry=retry)

    def again(self) -> Self:
        """Kill the process if it runs, and start another one in the same folder, without
        faults.
        """
        self.end(signal.SIGKILL)
        self._environment.pop("SHAREDSTATE_FAILPOINTS", None)
        return self.__enter__()

    def set_numbers(self, first: int, last: int) -> list[str]:
        """Set keys named by numbers, one at a time, until one is not acknowledged or all
        are. Returns those that were.
        """
        acknowledged = []
        once = self.once
        try:
            for number in range(first, last):
                once.set(number, "x" * 100)
                acknowledged.append(str(number))
        except redis.RedisError:
            # What was asked is how far it comes.
            return acknowledged
        return acknowledged

    def is_open(self) -> bool:
        """Whether writers are let in."""
        try:
            self.once.set("probe", 1)
        except redis.RedisError:
            return False
        return True

    def wait_until_open(self) -> None:
        """Wait until writers are let in again."""
        wait_until(self.is_open, SECONDS)

    def wait_until_refusing(self, reason: str) -> None:
        """Wait until a writer, and only a writer, is told a reason."""
        wait_until(lambda: self.told() == LOG_REFUSAL + reason, SECONDS)

    def told(self) -> str:
        """The error that a writer gets; empty if it gets none."""
        try:
            self.once.set("probe", 1)
        except redis.RedisError as error:
            return str(error)
        return ""

    def try_to_rewrite(self) -> None:
        """Ask for a rewrite, which may fail at once."""
        try:
            self.client.bgrewriteaof()
        except redis.ResponseError as error:
            if CANNOT_REWRITE not in str(error):
                raise

    def wait_for_rewrite(self) -> dict[str, Any]:
        """Wait until no rewrite is under way or to come. Returns INFO persistence."""

        def is_over() -> bool:
            facts = self.persistence()
            names = ("aof_rewrite_in_progress", "aof_rewrite_scheduled")
            return not any(facts[name] for name in names)

        wait_until(is_over, SECONDS)
        return self.persistence()

    def wait_until_written(self) -> None:
        """Wait until the system has all: with `everysec`, what is written during a sync
        waits for its end, acknowledged or not.
        """
        wait_until(lambda: not self.persistence()["aof_buffer_length"], SECONDS)

    def keys(self) -> set[str]:
        """Every key but the probe."""
        return set(self.client.keys()) - {"probe"}


class LoggedRedis(Logged):
    """A redis-server, likewise."""

    def __init__(self, folder: Path, policy: str, disk: SmallDisk | None = None) -> None:
        super().__init__(folder, policy, disk=disk, program=REDIS)


@contextmanager
def limited(server: Saving, size: int) -> Iterator[Callable[[], None]]:
    """Let no file of a server, nor of its children, be longer, until what this gives is
    called.
    """
    before = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (size, before[1]))
    yield lambda: _unlimit(server, before)


def _unlimit(server: Saving, limits: tuple[int, int]) -> None:
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, limits)


def assert_kept(server: Logged, acknowledged: list[str]) -> None:
    """A killed server finds what was acknowledged, and nothing that it did not have."""
    had = server.keys()
    assert had >= set(acknowledged)
    server.wait_until_written()
    found = server.again().keys()
    assert found >= set(acknowledged)
    assert found <= had


def log_files(folder: Path) -> list[Path]:
    """The increments of a log, the newest last."""
    found = folder.glob("appendonlydir/*.incr.aof")
    return sorted(found, key=lambda path: int(path.name.split(".")[2]))


def is_root() -> bool:
    """Whether permissions do not bind this process."""
    return os.geteuid() == 0
