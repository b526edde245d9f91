"""Transactions on a bad network, and what they cost on a good one."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

import sharedstate
from sharedstate.errors import BackendError, ConsistencyError, IndeterminateError
from sharedstate.state import State
from sharedstate.structures.counter import Counter
from sharedstate.structures.map import Map
from sharedstate.testing.plugin import fresh_namespace
from sharedstate.testing.proxy import Proxy
from sharedstate.testing.servers import StoreServer

TIMEOUT = 1.0
LONG = 1000.0


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


def sent(proxy: Proxy, start: int) -> list[str]:
    """The names of the commands that went by, from one on."""
    return [command[0].decode().upper() for command in proxy.commands()[start:]]


def test_a_commit_whose_answer_was_lost_is_in_doubt_and_not_repeated(
    far: State, near: State, proxy: Proxy
) -> None:
    calls = []

    def add(hits: Counter) -> int:
        calls.append(hits.add(1))
        proxy.cut_replies_after(1)
        return calls[-1]

    with pytest.raises(IndeterminateError):
        far.transaction(far.counter("hits")).run(add)
    assert calls == [1]
    assert len(proxy.commands("EXEC")) == 1
    assert near.counter("hits").value == 1


def test_a_commit_that_is_not_answered_in_time_is_in_doubt(
    far: State, near: State, proxy: Proxy
) -> None:
    def add(hits: Counter) -> None:
        hits.add(1)
        proxy.stall()

    with pytest.raises(IndeterminateError):
        far.transaction(far.counter("hits")).run(add)
    assert len(proxy.commands("EXEC")) == 1


def test_a_commit_that_writes_nothing_is_never_in_doubt(far: State, proxy: Proxy) -> None:
    def read(hits: Counter) -> None:
        assert hits.value == 0
        proxy.cut_replies_after(1)

    with pytest.raises(BackendError) as caught:
        far.transaction(far.counter("hits")).run(read)
    assert not isinstance(caught.value, IndeterminateError)


@pytest.mark.parametrize("ttl", [None, LONG])
def test_a_read_whose_answer_was_lost_ends_the_transaction(
    far: State, near: State, proxy: Proxy, ttl: float | None
) -> None:
    stock, hits = far.map("stock"), far.counter("hits")
    stock.set_many({"apple": 1, "pear": 2}, ttl=ttl)

    def read(stock: Map[str, int], hits: Counter) -> None:
        hits.set(stock["apple"])
        proxy.cut_replies_after(1)
        stock["apple"] = stock["pear"]

    with pytest.raises(BackendError) as caught:
        far.transaction(stock, hits).run(read)
    assert not isinstance(caught.value, IndeterminateError)
    assert near.map("stock").copy() == {"apple": 1, "pear": 2}
    assert near.counter("hits").value == 0
    assert proxy.commands("EXEC") == []
    # The next one has another connection.
    assert far.transaction(hits).run(Counter.add) == 1


def test_only_what_is_asked_for_is_read(far: State, proxy: Proxy) -> None:
    stock, hits = far.map("stock"), far.counter("hits")
    stock.set_many({str(number): number for number in range(2000)})
    far.transaction(hits).run(lambda hits: hits.value)
    before = len(proxy.commands())

    def move(stock: Map[str, int], hits: Counter) -> None:
        stock["7"] += 1
        stock["8"] = stock["7"] + hits.add(stock["7"])
        del stock["7"]

    far.transaction(stock, hits).run(move)
    assert sent(proxy, before) == [
        *("WATCH", "HMGET", "GET"),
        *("MULTI", "HSET", "HDEL", "SET", "EXEC"),
    ]


def test_what_is_written_unread_is_not_watched(far: State, proxy: Proxy) -> None:
    hits = far.counter("hits")
    far.backend.execute(("PING",))
    before = len(proxy.commands())
    far.transaction(hits).run(lambda hits: hits.set(5))
    far.transaction(hits).run(lambda hits: None)
    assert sent(proxy, before) == ["MULTI", "SET", "EXEC"]


def test_a_map_with_lifetimes_is_read_and_written_by_scripts(
    far: State, proxy: Proxy
) -> None:
    leases = far.map("leases")
    leases.set("a", 1, ttl=LONG)
    far.transaction(leases).run(lambda leases: leases["a"])
    before = len(proxy.commands())

    def renew(leases: Map[str, int]) -> bool:
        return leases.touch("a", 2 * LONG)

    assert far.transaction(leases).run(renew)
    assert sent(proxy, before) == [
        *("WATCH", "HMGET", "EVALSHA"),
        *("MULTI", "EVAL", "EXEC"),
    ]
    assert (leases.ttl("a") or 0) > LONG


def test_a_forked_child_is_not_in_its_parents_transaction(near: State) -> None:
    hits = near.counter("hits")

    def fork(hits_now: Counter) -> None:
        hits_now.add(1)
        child = os.fork()
        if child == 0:
            code = 1
            try:
                hits_now.reset()
            except BackendError:
                code = 0
            finally:
                os._exit(code)
        assert os.waitpid(child, 0)[1] == 0

    near.transaction(hits, attempts=1).run(fork)
    assert hits.value == 1


def test_a_child_that_leaves_the_function_commits_nothing(near: State) -> None:
    hits = near.counter("hits")
    children = []

    def fork(hits_now: Counter) -> None:
        hits_now.set(hits_now.value + 5)
        children.append(os.fork())

    try:
        near.transaction(hits, attempts=1).run(fork)
    except BackendError:
        os._exit(7)
    finally:
        if children == [0]:
            os._exit(8)
    assert os.waitstatus_to_exitcode(os.waitpid(children[0], 0)[1]) == 7
    assert hits.value == 5


def test_a_commit_that_too_few_replicas_confirmed_is_done_once(
    redis_server: StoreServer, namespace: str
) -> None:
    options = "consistency=replicas&replicas=1&replicas_timeout=0.01"
    url = f"{redis_server.url}?{options}&namespace={namespace}"
    with sharedstate.connect(url) as state:
        hits = state.counter("hits")
        calls = []
        with pytest.raises(ConsistencyError):
            state.transaction(hits).run(lambda hits: calls.append(hits.add(1)))
        assert (calls, hits.value) == ([1], 1)
        assert state.transaction(hits).run(lambda hits: hits.value) == 1
