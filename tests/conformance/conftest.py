"""One program, every backend: `shared_state` stands for each of them in turn."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import sharedstate
from sharedstate.backend import Backend
from sharedstate.state import State
from sharedstate.testing.plugin import fresh_namespace
from sharedstate.testing.servers import BuiltInServer, RedisServer

BACKENDS = ("memory", "local", "server", "redis")


@pytest.fixture(params=BACKENDS)
def store_url(request: pytest.FixtureRequest) -> str:
    """The URL of each backend in turn: only the servers that are used are started.

    A test module that is for some backends only parametrises it,
    with `indirect=True`.
    """
    name: str = request.param
    if name == "memory":
        return "memory://"
    if name == "local":
        url: str = request.getfixturevalue("shared_server")
        return url
    if name == "server":
        built_in: BuiltInServer = request.getfixturevalue("built_in_server")
        return built_in.url
    redis: RedisServer = request.getfixturevalue("redis_server")
    return redis.unix_url


@pytest.fixture
def shared_state(store_url: str, request: pytest.FixtureRequest) -> Iterator[State]:
    """Open shared state with a fresh namespace, on each backend in turn.

    A test class with a `strategy` has its locks by that strategy.
    """
    strategy = getattr(request.cls, "strategy", "token")
    namespace = fresh_namespace()
    with sharedstate.connect(store_url, namespace=namespace, lock=strategy) as state:
        yield state


@pytest.fixture
def backend(shared_state: State) -> Backend:
    """The backend below `shared_state`: keys are not put into its namespace."""
    return shared_state.backend
