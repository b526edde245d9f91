"""Waiting for broadcasts on a bad network: nothing that was told is missed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import sharedstate
from sharedstate.backend import Capability
from sharedstate.errors import BackendError, BrokenBarrierError
from sharedstate.state import State
from sharedstate.testing.background import SECONDS, in_background, listeners, wait_until
from sharedstate.testing.plugin import fresh_namespace
from sharedstate.testing.proxy import Proxy
from sharedstate.testing.servers import BuiltInServer, RedisServer, StoreServer

TIMEOUT = 1.0
"""The `timeout` of those behind the proxy: how long a store may be away."""


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
    with sharedstate.connect(url, namespace=namespace, timeout=TIMEOUT) as state:
        yield state


def pass_by(structure: Any) -> None:
    """Tell who waits, and leave nothing to be seen of it."""
    if hasattr(structure, "count_down"):
        structure.count_down()
        structure.reset()
    else:
        structure.set()
        structure.clear()


@pytest.fixture(params=["event", "latch"])
def pick(request: pytest.FixtureRequest) -> Callable[[State], Any]:
    """Takes the structure under test from a state."""
    if request.param == "event":
        return lambda state: state.event("a")
    return lambda state: state.latch("a", 1)


@pytest.mark.parametrize("how", ["cut", "hang_up"])
def test_what_is_told_while_the_connection_is_broken_is_not_missed(
    far: State, near: State, proxy: Proxy, pick: Callable[[State], Any], how: str
) -> None:
    structure = pick(near)
    waiting = in_background(lambda: pick(far).wait(SECONDS))
    wait_until(lambda: listeners(structure) == 1)
    proxy.refuse()
    getattr(proxy, how)()
    wait_until(lambda: listeners(structure) == 0)
    pass_by(structure)
    proxy.resume()
    assert waiting.result(SECONDS) is True


def test_who_was_cut_off_waits_on(
    far: State, near: State, proxy: Proxy, pick: Callable[[State], Any]
) -> None:
    structure = pick(near)
    waiting = in_background(lambda: pick(far).wait(SECONDS))
    for _ in range(3):
        wait_until(lambda: listeners(structure) == 1)
        proxy.cut()
        wait_until(lambda: listeners(structure) == 0)
    wait_until(lambda: listeners(structure) == 1)
    pass_by(structure)
    assert waiting.result(SECONDS) is True


def test_a_store_that_stays_away_is_an_error(
    far: State, near: State, proxy: Proxy, pick: Callable[[State], Any]
) -> None:
    waiting = in_background(lambda: pick(far).wait())
    wait_until(lambda: listeners(pick(near)) == 1)
    proxy.refuse()
    proxy.cut()
    with pytest.raises(BackendError):
        waiting.result(SECONDS)


def test_a_store_that_stays_away_does_not_make_a_wait_longer(
    far: State, near: State, proxy: Proxy
) -> None:
    started = time.monotonic()
    waiting = in_background(lambda: far.event("a").wait(TIMEOUT / 2))
    wait_until(lambda: listeners(near.event("a")) == 1)
    proxy.refuse()
    proxy.cut()
    with pytest.raises(BackendError):
        waiting.result(SECONDS)
    assert time.monotonic() - started >= TIMEOUT / 2


def test_a_server_that_hangs_is_an_error_when_the_time_is_over(
    far: State, near: State, proxy: Proxy
) -> None:
    waiting = in_background(lambda: far.event("a").wait(TIMEOUT / 2))
    wait_until(lambda: listeners(near.event("a")) == 1)
    proxy.stall()
    with pytest.raises(BackendError):
        waiting.result(SECONDS)


def test_a_party_that_was_cut_off_passes_with_its_round(
    far: State, near: State, proxy: Proxy
) -> None:
    barrier = near.barrier("a", 2)
    waiting = in_background(lambda: far.barrier("a", 2).wait(SECONDS))
    wait_until(lambda: listeners(barrier) == 1)
    proxy.refuse()
    proxy.cut()
    wait_until(lambda: listeners(barrier) == 0)
    assert barrier.wait(SECONDS) == 1
    proxy.resume()
    assert waiting.result(SECONDS) == 0
    assert barrier.n_waiting == 0


@pytest.mark.parametrize("is_last", [True, False])
def test_a_party_whose_coming_was_not_answered_comes_once(
    far: State, near: State, proxy: Proxy, is_last: bool
) -> None:
    here, there = near.barrier("a", 2), far.barrier("a", 2)

    def come() -> int:
        wait_until(lambda: is_last or here.n_waiting == 1)
        return here.wait(SECONDS)

    # The first round opens the connections; of the second, the first answer is lost.
    for answers_lost in (False, True):
        waiting = in_background(come)
        wait_until(lambda: not is_last or here.n_waiting == 1)
        if answers_lost:
            proxy.cut_replies_after(1)
        assert there.wait(SECONDS) == int(is_last)
        assert waiting.result(SECONDS) == int(not is_last)
        assert here.n_waiting == 0


def test_a_party_that_loses_the_store_is_not_waited_for(
    far: State, near: State, proxy: Proxy
) -> None:
    """It is present until its lease is over: then the barrier is broken."""
    if Capability.SESSIONS in near.capabilities:
        pytest.skip("a session that was cut off leaves a lease of a minute")
    here, there = near.barrier("a", 2, lease=1.0), far.barrier("a", 2, lease=1.0)
    waiting = in_background(lambda: there.wait())
    wait_until(lambda: listeners(here) == 1)
    proxy.refuse()
    proxy.cut()
    with pytest.raises(BackendError):
        waiting.result(SECONDS)
    wait_until(lambda: _is_broken(here))


def _is_broken(barrier: Any) -> bool:
    """Whether somebody who comes finds a barrier broken, by the death of a party."""
    seconds, _ = barrier._context.backend.execute(("TIME",))
    present = barrier._context.key("present")
    ends = barrier._context.backend.execute(("ZRANGE", present, 0, 0, "WITHSCORES"))
    if float(ends[1]) >= int(seconds) * 1000:
        return False
    with pytest.raises(BrokenBarrierError, match="died"):
        barrier.wait(SECONDS)
    return True


def test_a_place_whose_answer_was_lost_is_in_doubt(
    far: State, near: State, proxy: Proxy
) -> None:
    ours = far.rate_limiter("a", limit=5, period=3600.0)
    theirs = near.rate_limiter("a", limit=5, period=3600.0)
    assert ours.try_acquire()
    proxy.cut_replies_after(1)
    with pytest.raises(sharedstate.IndeterminateError):
        ours.try_acquire()
    assert theirs.remaining == 3
    assert ours.try_acquire(3)


@pytest.fixture(params=["built in", "redis"])
def keeper(
    request: pytest.FixtureRequest, redis_is_installed: None, tmp_path: Path
) -> Iterator[StoreServer]:
    """A server that keeps its data, each kind in turn."""
    if request.param == "built in":
        server: StoreServer = BuiltInServer(
            "--dir", str(tmp_path), "--durability", "always"
        )
    else:
        server = RedisServer("--appendonly", "yes", "--appendfsync", "always")
    with server:
        yield server


def test_who_waits_does_not_notice_that_the_server_is_started_anew(
    keeper: StoreServer,
) -> None:
    with sharedstate.connect(keeper.url, timeout=SECONDS) as state:
        event, barrier = state.event("a"), state.barrier("a", 2, lease=SECONDS)
        waiting = in_background(lambda: event.wait(2 * SECONDS))
        coming = in_background(lambda: barrier.wait(2 * SECONDS))
        wait_until(lambda: listeners(event) == listeners(barrier) == 1)
        keeper.kill()
        keeper.start()
        wait_until(lambda: listeners(event) == listeners(barrier) == 1)
        event.set()
        event.clear()
        assert waiting.result(SECONDS) is True
        assert {barrier.wait(SECONDS), coming.result(SECONDS)} == {0, 1}
