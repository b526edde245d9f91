"""The backends that have a server, while it dies, stalls and loses its network."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sharedstate.testing.fault_suite import FaultSuite
from sharedstate.testing.servers import BuiltInServer, RedisServer, StoreServer


class TestRedis(FaultSuite):
    """redis-py's connections against a real redis-server."""

    @pytest.fixture(scope="class")
    @classmethod
    def server(cls, redis_is_installed: None) -> Iterator[StoreServer]:
        with RedisServer() as server:
            yield server


class TestBuiltInServer(FaultSuite):
    """The lean client against the built-in server."""

    @pytest.fixture(scope="class")
    @classmethod
    def server(cls) -> Iterator[StoreServer]:
        with BuiltInServer() as server:
            yield server
