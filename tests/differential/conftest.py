"""The real Redis of the differential tests: their own, for they empty it all the time."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from sharedstate.testing.servers import RedisServer
from tests.differential.pair import RealRedis

# In CI every run tries the same, so that a failure is the change's own; elsewhere each
# run tries something new. To search for longer: DIFFERENTIAL_EXAMPLES=5000.
settings.register_profile(
    "differential",
    max_examples=int(os.environ.get("DIFFERENTIAL_EXAMPLES", "150")),
    deadline=None,
    database=None,
    derandomize=bool(os.environ.get("CI")),
    print_blob=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture(scope="session")
def emptied_redis(redis_is_installed: None) -> Iterator[RedisServer]:
    """A redis-server that tests may empty."""
    with RedisServer() as server:
        yield server


@pytest.fixture(scope="session")
def real(emptied_redis: RedisServer) -> Iterator[RealRedis]:
    """A connection to it."""
    connection = RealRedis(emptied_redis.unix_path)
    yield connection
    connection.close()
