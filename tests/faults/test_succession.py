"""Semaphores, conditions, elections and `Once` on a bad network."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest

import sharedstate
from sharedstate.errors import BackendError, LockLost
from sharedstate.state import State
from sharedstate.structures.condition import Condition
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


def test_permits_whose_grant_was_not_answered_are_granted_once(
    far: State, near: State, proxy: Proxy
) -> None:
    semaphore = far.semaphore("a", 3)
    with semaphore:
        pass
    proxy.cut_replies_after(1)
    assert semaphore.acquire(n=2)
    assert (semaphore.held, near.semaphore("a", 3).value) == (2, 1)
    assert semaphore.token == near.semaphore("a", 3).info().fencing


@pytest.mark.parametrize("n", [1, 3])
def test_a_release_of_permits_that_was_not_answered_happens_once(
    far: State, near: State, proxy: Proxy, n: int
) -> None:
    semaphore, other = far.semaphore("a", 4), near.semaphore("a", 4)
    semaphore.acquire(n=3)
    other.acquire()
    proxy.cut_replies_after(1)
    semaphore.release(n)
    assert (semaphore.held, other.value) == (3 - n, n)


@pytest.mark.parametrize("n", [1, 3])
def test_a_release_of_permits_that_failed_may_be_tried_again(
    far: State, near: State, proxy: Proxy, n: int
) -> None:
    semaphore = far.semaphore("a", 3)
    semaphore.acquire(n=3)
    proxy.refuse()
    proxy.cut()
    with pytest.raises(BackendError):
        semaphore.release(n)
    assert (semaphore.held, near.semaphore("a", 3).value) == (3, 0)
    proxy.resume()
    semaphore.release(n)
    assert (semaphore.held, near.semaphore("a", 3).value) == (3 - n, n)


def test_permits_whose_release_failed_are_lost_in_the_end(
    far: State, near: State, proxy: Proxy
) -> None:
    semaphore = far.semaphore("a", 2, ttl=TTL)
    semaphore.acquire(n=2)
    proxy.refuse()
    proxy.cut()
    with pytest.raises(BackendError):
        semaphore.release(2)
    proxy.resume()
    assert near.semaphore("a", 2).acquire(timeout=SECONDS, n=2)
    with pytest.raises(LockLost, match="releasing it failed"):
        semaphore.release(2)


def test_who_waits_for_permits_gets_them_after_a_cut(
    far: State, near: State, proxy: Proxy
) -> None:
    held, waiter = near.semaphore("a", 2), far.semaphore("a", 2)
    held.acquire(n=2)
    waiting = in_background(partial(waiter.acquire, n=2))
    wait_until(lambda: held.info().waiters == 1)
    proxy.cut()
    held.release()
    held.release()
    assert waiting.result(SECONDS)
    assert (waiter.held, held.info().waiters) == (2, 0)


def _wait(condition: Condition) -> bool:
    with condition:
        return condition.wait(SECONDS)


def test_a_notice_during_a_cut_is_not_lost(far: State, near: State, proxy: Proxy) -> None:
    condition = near.condition("a")
    waiting = in_background(partial(_wait, far.condition("a")))
    wait_until(lambda: condition.n_waiting == 1 and not condition.locked())
    proxy.refuse()
    proxy.cut()
    with condition:
        condition.notify_all()
    proxy.resume()
    assert waiting.result(SECONDS)
    assert (condition.n_waiting, condition.locked()) == (0, False)


def test_a_notice_that_was_not_answered_is_given_once(
    far: State, near: State, proxy: Proxy
) -> None:
    condition, notifier = near.condition("a"), far.condition("a")
    waiting = [in_background(partial(_wait, near.condition("a"))) for _ in range(2)]
    wait_until(lambda: condition.n_waiting == 2 and not condition.locked())
    with notifier:
        proxy.cut_replies_after(1)
        notifier.notify()
    wait_until(lambda: any(future.done() for future in waiting))
    assert condition.n_waiting == 1
    with condition:
        condition.notify()
    assert [future.result(SECONDS) for future in waiting] == [True, True]


def test_who_waits_for_a_notice_of_a_store_that_goes_away_gets_an_error(
    far: State, near: State, proxy: Proxy
) -> None:
    condition, mine = near.condition("a"), far.condition("a")
    waiting = in_background(partial(_wait, mine))
    wait_until(lambda: condition.n_waiting == 1 and not condition.locked())
    proxy.refuse()
    proxy.cut()
    with pytest.raises(BackendError):
        waiting.result(SECONDS)
    assert not mine.owned()


def test_a_leader_that_is_cut_off_is_told_and_stands_again(
    far: State, near: State, proxy: Proxy
) -> None:
    told: list[int] = []
    election = far.election("a", ttl=TTL, on_elected=told.append, on_lost=told.append)
    other = near.election("a", ttl=TTL)
    with election:
        assert election.wait_elected(SECONDS)
        with other:
            wait_until(lambda: near.election("a").info().waiters == 1)
            proxy.stall()
            wait_until(lambda: len(told) == 2)
            assert not election.is_leader
            proxy.resume()
            # Either its lease has ended on the store by now, or it gave it back.
            assert other.wait_elected(SECONDS)
            wait_until(lambda: near.election("a").info().waiters == 1)
        assert election.wait_elected(SECONDS)
        wait_until(lambda: len(told) == 3)
    assert told[0] == told[1] < told[2] == told[3]


def test_a_candidate_survives_an_outage(far: State, near: State, proxy: Proxy) -> None:
    leader, election = near.election("a", ttl=TTL), far.election("a", ttl=TTL)
    leader.start()
    assert leader.wait_elected(SECONDS)
    with election:
        wait_until(lambda: leader.info().waiters == 1)
        proxy.refuse()
        proxy.cut()
        leader.stop()
        proxy.resume()
        assert election.wait_elected(SECONDS)


def test_a_candidate_stops_without_a_store(far: State, near: State, proxy: Proxy) -> None:
    with near.election("a", ttl=TTL) as leader:
        assert leader.wait_elected(SECONDS)
        election = far.election("a", ttl=TTL)
        election.start()
        wait_until(lambda: leader.info().waiters == 1)
        proxy.refuse()
        proxy.cut()
        assert election.stop(SECONDS)


def test_a_result_whose_writing_was_not_answered_is_the_result(
    far: State, near: State, proxy: Proxy
) -> None:
    def work() -> str:
        proxy.cut_replies_after(1)
        return "done"

    assert far.once("b").run(lambda: 1) == 1
    assert far.once("a").run(work) == "done"
    assert near.once("a").result() == "done"


def test_a_run_that_is_cut_off_is_followed(far: State, near: State, proxy: Proxy) -> None:
    def work() -> str:
        proxy.refuse()
        proxy.cut()
        return "cut off"

    assert far.once("b").run(lambda: 1) == 1
    with pytest.raises(BackendError):
        far.once("a", ttl=TTL).run(work)
    assert near.once("a", ttl=TTL).run(lambda: "followed", timeout=SECONDS) == "followed"


def test_who_waits_for_a_result_gets_it_after_a_cut(
    far: State, near: State, proxy: Proxy
) -> None:
    def work() -> str:
        wait_until(lambda: near.once("a").info().waiters == 1)
        proxy.cut()
        return "done"

    running = in_background(partial(near.once("a").run, work))
    wait_until(lambda: bool(near.once("a").info().holders))
    assert far.once("a").run(work) == "done"
    assert running.result(SECONDS) == "done"
