"""Locks over the end of their store: what is kept is held, and tokens always rise."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import sharedstate
from sharedstate.errors import BackendError, LockLost
from sharedstate.state import State
from sharedstate.testing.background import SECONDS, in_background, wait_until
from sharedstate.testing.lock_lease_suite import wait_until_renewed
from tests.faults.crash_harness import AbruptServer, KeepingRedis, KeepingServer

TTL = 6.0


@pytest.fixture(params=[KeepingServer, KeepingRedis])
def server(request: pytest.FixtureRequest) -> Iterator[AbruptServer]:
    """A server of each kind that keeps what it has acknowledged."""
    if request.param is KeepingRedis:
        request.getfixturevalue("redis_is_installed")
    with request.param("always") as server:
        yield server


@pytest.fixture
def state(server: AbruptServer) -> Iterator[State]:
    """The state on it."""
    with sharedstate.connect(server.url) as state:
        yield state


def restart(server: AbruptServer) -> None:
    """Kill the server, and start it again with what it has kept."""
    server.kill()
    server.start()


def test_a_holder_keeps_its_lock_over_a_restart(server: AbruptServer, state: State) -> None:
    lock = state.lock("a", ttl=TTL)
    with lock:
        token = lock.token
        restart(server)
        wait_until_renewed(lock)
        assert (lock.owned(), lock.token) == (True, token)
        with sharedstate.connect(server.url) as other:
            assert not other.lock("a").acquire(blocking=False)
    with lock:
        assert lock.token > token


def test_who_waits_over_a_restart_is_served_or_told(
    server: AbruptServer, state: State
) -> None:
    lock = state.lock("a", ttl=TTL)
    lock.acquire()
    waiting = in_background(state.lock("a").acquire)
    wait_until(lambda: lock.info().waiters == 1)
    restart(server)
    wait_until_renewed(lock)
    lock.release()
    try:
        assert waiting.result(SECONDS)
    except BackendError:
        # It noticed while the store was away. Nothing of it stands in anybody's way.
        with state.lock("a").hold(SECONDS):
            pass


def test_tokens_rise_though_the_store_forgets_everything(
    server: AbruptServer, state: State
) -> None:
    lock = state.lock("a", ttl=TTL)
    lock.acquire()
    token = lock.token
    state.backend.execute(("FLUSHALL",))
    with state.lock("a") as other:
        assert other.token > token
        with pytest.raises(LockLost):
            lock.renew()
    restart(server)
    with state.lock("a") as other:
        assert other.token > token


def test_who_died_with_the_server_leaves_its_lock_when_the_lease_ends(
    server: AbruptServer, state: State
) -> None:
    gone = sharedstate.connect(server.url)
    gone.lock("a", ttl=1, renew=False).acquire()
    server.kill()
    gone.close()
    server.start()
    with state.lock("a").hold(SECONDS) as lock:
        assert lock.owned()
