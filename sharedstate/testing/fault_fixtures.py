"""What suites under faults share: a backend behind a proxy, and patience with a limit."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from sharedstate.backend import Backend

from .proxy import Proxy
from .servers import StoreServer

TIMEOUT_SECONDS = 0.3
"""The `timeout` of the backends under test: what a stalled call may take."""

SLACK_SECONDS = 2.0
"""What a busy machine may add to that."""

OpenBackend = Callable[..., Backend]
KeyMaker = Callable[[str], str]


class FaultFixtures:
    """What suites under faults need, but for the fixture `server`."""

    @pytest.fixture
    def key(self) -> KeyMaker:
        """Makes names that no other test uses."""
        token = os.urandom(8).hex()
        return lambda name: f"faults:{{{token}}}:{name}"

    @pytest.fixture
    def open_backend(self) -> Iterator[OpenBackend]:
        """Opens backends by URL, and closes them after the test."""
        import sharedstate

        opened: list[Backend] = []

        def open_one(url: str, **options: Any) -> Backend:
            options.setdefault("timeout", TIMEOUT_SECONDS)
            backend = sharedstate.connect(url, **options).backend
            opened.append(backend)
            return backend

        yield open_one
        for backend in opened:
            backend.close()

    @pytest.fixture
    def proxy(self, server: StoreServer) -> Iterator[Proxy]:
        """A proxy before the server."""
        with Proxy(("127.0.0.1", server.port)) as proxy:
            yield proxy

    @pytest.fixture
    def backend(
        self, proxy: Proxy, server: StoreServer, open_backend: OpenBackend
    ) -> Backend:
        """A backend that reaches the server through the proxy."""
        return open_backend(f"{server.scheme}://127.0.0.1:{proxy.port}")


class within:
    """Fails if its block took longer than so many seconds, and some slack."""

    def __init__(self, seconds: float) -> None:
        self._limit = seconds + SLACK_SECONDS

    def __enter__(self) -> None:
        self._started = time.monotonic()

    def __exit__(self, *details: object) -> None:
        took = time.monotonic() - self._started
        assert took < self._limit, f"took {took:.1f} seconds, of {self._limit:g} allowed"


def wait_until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Ask until a condition holds; fail if it never does."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition never came true"
        time.sleep(0.005)
