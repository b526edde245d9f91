"""A server that loads its data: clients that connect meanwhile wait, and do not notice."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

import sharedstate
from sharedstate.errors import BackendTimeout
from sharedstate.testing.background import wait_until
from sharedstate.testing.servers import RedisServer
from tests.faults.crash_harness import AbruptServer

KEYS = 1000


class SlowlyLoadingRedis(AbruptServer, RedisServer):
    """A real redis-server that loads its snapshot slowly."""

    def load_for(self, milliseconds: int) -> None:
        """Kill it, and start it again so that loading takes about so long."""
        self.kill()
        self.arguments = (
            "--key-load-delay",
            str(milliseconds * 1000 // KEYS),
            "--loading-process-events-interval-bytes",
            "1024",
        )
        self.begin()
        wait_until(self._listens)

    def load_at_once(self) -> None:
        """Kill it, and start it again, without any delay."""
        self.arguments = ()
        self.restart()

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


@pytest.fixture(scope="module")
def loading_server(redis_is_installed: None) -> Iterator[SlowlyLoadingRedis]:
    with SlowlyLoadingRedis() as server:
        with sharedstate.connect(server.url) as state:
            commands = [("SET", f"key:{number}", "x" * 50) for number in range(KEYS)]
            state.backend.execute_many(commands)
            state.counter("hits").add(41)
            state.backend.execute(("SAVE",))
        yield server


@pytest.mark.parametrize("scheme", ["server", "redis"])
def test_who_connects_while_a_server_loads_waits(
    loading_server: SlowlyLoadingRedis, scheme: str
) -> None:
    url = f"{scheme}://127.0.0.1:{loading_server.port}"
    loading_server.load_for(milliseconds=600)
    with sharedstate.connect(url, connect_timeout=20) as state:
        assert state.counter("hits").value == 41


@pytest.mark.parametrize("scheme", ["server", "redis"])
def test_who_has_waited_long_enough_is_told_why(
    loading_server: SlowlyLoadingRedis, scheme: str
) -> None:
    url = f"{scheme}://127.0.0.1:{loading_server.port}"
    loading_server.load_for(milliseconds=20_000)
    with pytest.raises(BackendTimeout, match=r"still loads its data after 0\.3 s"):
        sharedstate.connect(url, connect_timeout=0.3)


def test_how_far_loading_is_and_how_long_it_takes_is_told(
    loading_server: SlowlyLoadingRedis,
) -> None:
    loading_server.load_for(milliseconds=20_000)
    url = f"server://127.0.0.1:{loading_server.port}"
    with pytest.raises(BackendTimeout, match=r"\d+ % done, about \d+ s left"):
        sharedstate.connect(url, connect_timeout=0.3)


@pytest.mark.parametrize("scheme", ["server", "redis"])
def test_an_open_connection_finds_a_server_that_comes_back_loading(
    loading_server: SlowlyLoadingRedis, scheme: str
) -> None:
    loading_server.load_at_once()
    url = f"{scheme}://127.0.0.1:{loading_server.port}"
    with sharedstate.connect(url, connect_timeout=20) as state:
        assert state.counter("hits").value == 41
        loading_server.load_for(milliseconds=600)
        assert state.counter("hits").value == 41
