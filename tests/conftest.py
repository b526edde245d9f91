"""What all tests share: the real servers, and the way to be without one.

Servers are started when the first test asks for them, once for each pytest process (a
worker of xdist is one), and end with it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from sharedstate.testing.servers import BuiltInServer, RedisServer, find_redis_server


@pytest.fixture(scope="session")
def redis_is_installed() -> None:
    """Skip a test where redis-server is missing; in CI, where it must not be, fail."""
    if find_redis_server() is not None:
        return
    reason = "redis-server is not installed: apt-get install redis-server"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def redis_server(redis_is_installed: None) -> Iterator[RedisServer]:
    """A real redis-server for tests that do it no harm."""
    with RedisServer() as server:
        yield server


@pytest.fixture(scope="session")
def built_in_server() -> Iterator[BuiltInServer]:
    """The built-in server over TCP, for tests that do it no harm."""
    with BuiltInServer() as server:
        yield server
