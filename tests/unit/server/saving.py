"""A server that saves snapshots in a folder of its own, started for a test; and how to wait
for what it does in the background.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import redis

from sharedstate.testing.background import wait_until
from tests.unit.server.started import OURS, Started, client

SECONDS = 20.0

RULES = ("--save", "3600", "1000000")
"""Rules that no test comes up to: what they ask for is a save at the end."""

FEW = ("--databases", "16", "--enable-debug-command", "yes", "--port", "0")


class Saving(Started):
    """A server on a Unix socket, `folder/s`, that keeps its snapshot in `folder`."""

    ready = "ready to accept connections at"

    def __init__(
        self,
        folder: Path,
        *words: str,
        program: tuple[str, ...] = OURS,
        environment: dict[str, str] | None = None,
    ) -> None:
        fixed = ("--unixsocket", str(folder / "s"), *FEW)
        super().__init__(folder, *fixed, *words, program=program, environment=environment)

    @property
    def client(self) -> Any:
        """A new client of it."""
        return client(path=self.folder / "s", socket_timeout=SECONDS)

    def persistence(self) -> dict[str, Any]:
        """INFO persistence."""
        facts: dict[str, Any] = self.client.info("persistence")
        return facts

    def wait_for_child(self) -> dict[str, Any]:
        """Wait until no child saves. Returns INFO persistence."""
        wait_until(lambda: not self.persistence()["rdb_bgsave_in_progress"], SECONDS)
        return self.persistence()

    def child_pid(self) -> int:
        """The pid of the child that saves, as the log tells it."""
        return int(self.log.rpartition("started by pid ")[2].split()[0])

    def slow_down(self) -> None:
        """Let saving take long enough for a test to do something meanwhile."""
        self.client.execute_command("DEBUG", "FAILPOINT", "rdb.write", "delay:100")

    def failpoint(self, name: str, spec: str) -> None:
        self.client.execute_command("DEBUG", "FAILPOINT", name, spec)

    def populate(self, count: int = 5000) -> None:
        self.client.execute_command("DEBUG", "POPULATE", count, "key", 100)

    def refusal(self, *words: str | int) -> str:
        """The error that a command must meet."""
        try:
            reply = self.client.execute_command(*words)
        except redis.ResponseError as error:
            return str(error)
        raise AssertionError(f"{words} was answered {reply!r}")
