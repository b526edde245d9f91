"""A `sharedstate-server` (or a redis-server) that a test starts, with its log."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Self

import redis

WAIT_SECONDS = 20.0

OURS = (sys.executable, "-m", "sharedstate_server.program")
REDIS = ("redis-server",)


def free_port() -> int:
    """A TCP port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Started:
    """A server process that was started with these words, in a folder of its own.

    A context manager: waits until the server says that it is ready, and kills it at the
    end if it still runs.
    """

    ready = "Ready to accept connections"
    """What its log has when it is."""

    def __init__(
        self,
        folder: Path,
        *words: str,
        program: tuple[str, ...] = OURS,
        text: str = "",
        environment: dict[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.log_path = folder / "log"
        self._words = [*program, *words]
        self._text = text
        self._environment = {**os.environ, **(environment or {})}

    def __enter__(self) -> Self:
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(
                self._words,
                cwd=self.folder,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=self._environment,
            )
        assert self.process.stdin is not None
        self.process.stdin.write(self._text.encode())
        self.process.stdin.close()
        self.wait_for(self.ready)
        return self

    def __exit__(self, *exit_information: object) -> None:
        self.process.kill()
        self.process.wait(WAIT_SECONDS)

    @property
    def log(self) -> str:
        return self.log_path.read_text()

    def wait_for(self, text: str) -> None:
        """Wait until the log has a text."""
        deadline = time.monotonic() + WAIT_SECONDS
        while text not in self.log:
            assert self.process.poll() is None, f"it has ended: {self.log}"
            assert time.monotonic() < deadline, f"no {text!r} in: {self.log}"
            time.sleep(0.01)

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal, and wait for the end. Returns the exit code."""
        self.process.send_signal(number)
        return self.process.wait(WAIT_SECONDS)


def client(port: int = 0, path: str | Path = "", **options: Any) -> Any:
    """A redis-py client. Its own types leave open whether a method is awaited."""
    address = {"unix_socket_path": str(path)} if path else {"port": port}
    return redis.Redis(**address, decode_responses=True, **options)


def run(folder: Path, *words: str, text: str = "") -> subprocess.CompletedProcess[str]:
    """Run a `sharedstate-server` that is expected to end by itself."""
    return subprocess.run(
        [*OURS, *words],
        cwd=folder,
        input=text,
        capture_output=True,
        text=True,
        timeout=WAIT_SECONDS,
        check=False,
    )
