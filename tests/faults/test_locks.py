"""Locks on a bad network: what is lost is said to be lost, and nothing else is."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

import sharedstate
from sharedstate.backend import Capability
from sharedstate.errors import BackendError, LockLost
from sharedstate.state import State
from sharedstate.testing.background import SECONDS, in_background, wait_until
from sharedstate.testing.plugin import fresh_namespace
from sharedstate.testing.proxy import Proxy
from sharedstate.testing.servers import StoreServer

TTL = 1.5


@pytest.fixture(params=["built_in_server", "redis_server"])
def server(request: pytest.FixtureRequest) -> StoreServer:
    """Each kind of server in turn."""
    server: StoreServer = request.getfixturevalue(request.param)
    return server


@pytest.fixture
def proxy(server: StoreServer) -> Iterator[Proxy]:
    """A proxy before the server."""
    with Proxy(("127.0.0.1", server.port)) as proxy:
        yield proxy


@pytest.fixture
def namespace() -> str:
    """One that no other test uses."""
    return fresh_namespace()


@pytest.fixture
def near(server: StoreServer, namespace: str) -> Iterator[State]:
    """The state, reached without the proxy."""
    with sharedstate.connect(server.url, namespace=namespace) as state:
        yield state


@pytest.fixture
def far(server: StoreServer, proxy: Proxy, namespace: str) -> Iterator[State]:
    """The same state, reached through the proxy."""
    url = f"{server.scheme}://127.0.0.1:{proxy.port}"
    with sharedstate.connect(url, namespace=namespace, timeout=2 * TTL) as state:
        yield state


def test_a_grant_whose_answer_was_lost_is_not_granted_twice(
    far: State, near: State, proxy: Proxy
) -> None:
    lock = far.lock("a")
    with lock:
        pass
    proxy.cut_replies_after(1)
    with lock:
        assert lock.token == near.lock("a").info().fencing
    assert not near.lock("a").locked()


def test_a_release_whose_answer_was_lost_is_no_loss(
    far: State, near: State, proxy: Proxy
) -> None:
    lock = far.lock("a")
    with lock:
        pass
    with lock:
        proxy.cut_replies_after(1)
    assert not near.lock("a").locked()
    with lock:
        assert lock.owned()


def test_a_release_that_failed_may_be_tried_again(
    far: State, near: State, proxy: Proxy
) -> None:
    lock = far.lock("a")
    lock.acquire()
    proxy.refuse()
    proxy.cut()
    with pytest.raises(BackendError):
        lock.release()
    assert near.lock("a").locked()
    proxy.resume()
    lock.release()
    assert not near.lock("a").locked()


def test_a_release_that_failed_lets_the_lease_run_out(
    far: State, near: State, proxy: Proxy
) -> None:
    lock = far.lock("a", ttl=TTL)
    lock.acquire()
    proxy.refuse()
    proxy.cut()
    with pytest.raises(BackendError):
        lock.release()
    proxy.resume()
    assert near.lock("a").acquire(timeout=SECONDS)
    with pytest.raises(LockLost, match="releasing it failed"):
        lock.release()


def test_a_grant_that_nobody_heard_of_is_not_kept(
    far: State, near: State, proxy: Proxy
) -> None:
    lock = far.lock("a", ttl=3 * TTL)
    with lock:
        pass
    proxy.stall()
    with pytest.raises(BackendError):
        lock.acquire()
    assert near.lock("a").locked()
    proxy.resume()
    assert near.lock("a").acquire(timeout=SECONDS)


def test_a_store_that_hangs_does_not_delay_the_news_of_a_loss(
    far: State, near: State, proxy: Proxy
) -> None:
    lock, other = far.lock("a", ttl=TTL), near.lock("b", ttl=TTL)
    started = time.monotonic()
    with other:
        lock.acquire()
        proxy.stall()
        assert lock.lost.wait(SECONDS)
        # A renewal was sent after a third of that time and is not answered for long.
        assert time.monotonic() - started < 2 * TTL
        with pytest.raises(LockLost):
            lock.release()
        # Nor does it touch what is held elsewhere.
        assert not other.lost.wait(2 * TTL)


def test_a_short_failure_of_the_network_loses_nothing(
    far: State, near: State, proxy: Proxy
) -> None:
    with far.lock("a", ttl=4 * TTL) as lock:
        proxy.refuse()
        proxy.cut()
        # Renewals have begun to fail.
        wait_until(lambda: lock.remaining < 2 * TTL)
        proxy.resume()
        wait_until(lambda: lock.remaining > 3 * TTL)
        assert not lock.lost.is_set()
        assert lock.owned()


def test_who_waits_on_a_store_that_goes_away_gets_an_error(
    far: State, near: State, proxy: Proxy
) -> None:
    with near.lock("a") as lock:
        waiting = in_background(far.lock("a").acquire)
        wait_until(lambda: lock.info().waiters == 1)
        proxy.refuse()
        proxy.cut()
        with pytest.raises(BackendError):
            waiting.result(SECONDS)


@pytest.mark.parametrize("kind", ["token", "fair", "reentrant", "write", "semaphore"])
@pytest.mark.parametrize("fault", ["the command is late", "the reply is lost"])
def test_a_grant_that_nobody_heard_of_ends_with_its_lease(
    server: StoreServer, proxy: Proxy, near: State, namespace: str, kind: str, fault: str
) -> None:
    url = f"{server.scheme}://127.0.0.1:{proxy.port}"
    with sharedstate.connect(url, namespace=namespace, timeout=0.3) as far:
        lock = make(far, kind)
        with lock:
            pass
        if fault == "the command is late":
            proxy.command_delay_seconds = 1.0
        else:
            proxy.stall()
        with pytest.raises(BackendError):
            lock.acquire(timeout=0.1)
        proxy.command_delay_seconds = 0
        proxy.resume()
        assert not lock.owned() if kind != "semaphore" else True
        # Long enough for a late command to arrive, and for a session to keep it.
        wait_until(lambda: make(near, kind).acquire(timeout=2 * TTL), SECONDS)


def make(state: State, kind: str) -> Any:
    """A lock of a kind, whose lease is renewed."""
    if kind == "semaphore":
        return state.semaphore("a", 1, ttl=TTL)
    if kind == "write":
        return state.rwlock("a", ttl=TTL).write()
    return state.lock("a", strategy=kind, ttl=TTL)


def test_a_release_in_doubt_does_not_hide_that_the_session_had_ended(
    far: State, near: State, proxy: Proxy
) -> None:
    if Capability.SESSIONS not in far.capabilities:
        pytest.skip("without a session, nothing but time ends a lease")
    lock = far.lock("a", ttl=60)
    lock.acquire()
    # The server takes an orderly end for that of the process.
    proxy.hang_up()
    with near.lock("a").hold(SECONDS), pytest.raises(LockLost):
        lock.release()
