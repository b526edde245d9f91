"""A server with a log in a folder of its own, and what a later one finds there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import redis

from sharedstate.testing.background import wait_until
from tests.unit.server.saving import SECONDS, Saving
from tests.unit.server.started import client

FOLDER = "appendonlydir"


class Logging(Saving):
    """A server with a log in `folder`."""

    def __init__(self, folder: Path, *words: str, **options: Any) -> None:
        words = ("--appendonly", "yes", "--save", "", *words)
        super().__init__(folder, *words, **options)

    @property
    def client(self) -> Any:
        """A new client, which does not ask again where it gets no answer."""
        return client(path=self.folder / "s", socket_timeout=SECONDS, retry=None)

    def names(self) -> list[str]:
        """The files of the log, as the manifest has them."""
        text = (self.folder / FOLDER / "appendonly.aof.manifest").read_text()
        return [line.split()[1] for line in text.splitlines()]

    def wait_for_rewrite(self) -> dict[str, Any]:
        """Wait until no rewrite runs or is to run, and its history is gone."""

        def is_over() -> bool:
            facts = self.persistence()
            runs = facts["aof_rewrite_in_progress"] or facts["aof_rewrite_scheduled"]
            return not runs and len(self.names()) == 2

        wait_until(is_over, SECONDS)
        return self.persistence()

    def wait_until_writable(self) -> None:
        def is_writable() -> bool:
            try:
                self.client.set("probe", 1)
            except redis.ResponseError as error:
                return not str(error).startswith("MISCONF")
            return True

        wait_until(is_writable, SECONDS)


def contents(folder: Path) -> dict[str, str]:
    """What a new server finds."""
    with Logging(folder) as server:
        one = server.client
        return {key: one.get(key) for key in one.scan_iter()}
