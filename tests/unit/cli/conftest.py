"""The command, run in this process on a store that lasts for the whole session."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import sharedstate
from sharedstate.cli import main


@dataclass(frozen=True, slots=True)
class Ended:
    """What a command wrote, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        """What was written, as JSON."""
        return json.loads(self.out)


Command = Callable[..., Ended]


@pytest.fixture(scope="session")
def store_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder: Path = tmp_path_factory.mktemp("store")
    url = f"local://{folder}"
    with sharedstate.connect(url):  # Keeps the folder's server from ending in between.
        yield url


@pytest.fixture
def namespace() -> str:
    return f"cli-{os.urandom(6).hex()}"


@pytest.fixture
def state(store_url: str, namespace: str) -> Iterator[sharedstate.State]:
    with sharedstate.connect(store_url, namespace=namespace) as state:
        yield state


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """Runs a command line, with no settings but those that it gives."""
    for name in list(os.environ):
        if name.startswith("SHAREDSTATE_"):
            monkeypatch.delenv(name)

    def run_command(*arguments: str) -> Ended:
        code = main(arguments)
        captured = capsys.readouterr()
        return Ended(code, captured.out, captured.err)

    return run_command


@pytest.fixture
def on_store(run: Command, store_url: str, namespace: str) -> Command:
    """Runs a command line on the session's store, in the test's namespace."""

    def run_command(*arguments: str) -> Ended:
        return run("--url", store_url, "--namespace", namespace, *arguments)

    return run_command
