"""Programs of a folder, and its server: what tests of `local:///folder` share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

import sharedstate
from sharedstate.state import State
from sharedstate.testing.background import wait_until


class Joiner:
    """Connects to a folder, as one more program would."""

    def __init__(self, folder: Path) -> None:
        self._url = f"local://{folder}"
        self._states: list[State] = []

    def __call__(self, **options: Any) -> State:
        self._states.append(sharedstate.connect(self._url, **options))
        return self._states[-1]

    def close(self) -> None:
        for state in self._states:
            state.close()


@contextmanager
def joining(folder: Path) -> Iterator[Joiner]:
    """Joins a folder; in the end, everybody has left, and its server has been killed."""
    joiner = Joiner(folder)
    try:
        yield joiner
    finally:
        joiner.close()
        kill_servers(folder)


def kill_servers(folder: Path) -> None:
    """Kill what was started for a folder, which is one of its words."""
    for process in psutil.process_iter(["cmdline"]):
        if str(folder) in (process.info["cmdline"] or ()):
            process.kill()


def server_of(state: State) -> int:
    """The process id of the server."""
    facts: bytes = state.backend.execute(("INFO", "server"))
    line = next(line for line in facts.split() if line.startswith(b"process_id:"))
    return int(line.partition(b":")[2])


def setting(state: State, name: str) -> str:
    reply: list[bytes] = state.backend.execute(("CONFIG", "GET", name))
    return reply[1].decode()


def leave(state: State) -> None:
    """Close the last program's state, and wait until its server has ended."""
    server = psutil.Process(server_of(state))
    state.close()
    wait_until(lambda: has_ended(server))


def kill_server(state: State) -> None:
    """SIGKILL the server, and wait until it has gone, and its connections with it."""
    server = psutil.Process(server_of(state))
    server.kill()
    wait_until(lambda: has_ended(server))


def has_ended(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
