"""A memory state, and a namespace on a real Redis."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from sharedstate import State, connect
from sharedstate.testing.servers import RedisServer


@pytest.fixture
def state() -> Iterator[State]:
    """A state that nobody else sees."""
    with connect("memory://") as opened:
        yield opened


@pytest.fixture
def remote_state(redis_server: RedisServer) -> Iterator[State]:
    """A state that other processes could reach, with a namespace of its own."""
    with connect(redis_server.unix_url, namespace=os.urandom(8).hex()) as opened:
        yield opened
