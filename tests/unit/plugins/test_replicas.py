"""The level `replicas`, on a real Redis with and without a real replica."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from sharedstate import ConfigError, ConsistencyError, State, connect
from sharedstate.backend import Script
from sharedstate.testing.servers import RedisServer

WRITE = Script("write", "return redis.call('incr', KEYS[1])")
READ = Script("read", "return redis.call('get', KEYS[1])", repeatable=True)


def open_state(url: str, replicas: int, timeout: str) -> State:
    return connect(
        url,
        namespace=os.urandom(8).hex(),
        consistency="replicas",
        replicas=replicas,
        replicas_timeout=timeout,
    )


@pytest.fixture
def alone(redis_server: RedisServer) -> Iterator[State]:
    """A state that wants a replica, on a server that has none."""
    with open_state(redis_server.url, 1, "20ms") as state:
        yield state


@pytest.fixture(scope="module")
def replicated(redis_is_installed: None) -> Iterator[RedisServer]:
    """A server with one replica in step."""
    with (
        RedisServer("--repl-diskless-sync-delay", "0") as primary,
        RedisServer("--replicaof", "127.0.0.1", str(primary.port)),
        connect(primary.url) as state,
    ):
        state.backend.execute(("SET", "first", "1"))
        assert state.backend.execute(("WAIT", 1, 20_000)) == 1
        yield primary


def test_a_write_that_no_replica_confirmed_is_told_and_done(alone: State) -> None:
    with pytest.raises(ConsistencyError, match="0 of 1 replicas") as caught:
        alone.backend.execute(("SET", "k", "v"))
    assert (caught.value.wanted, caught.value.got) == (1, 0)
    assert alone.backend.execute(("GET", "k")) == b"v"


def test_reads_do_not_wait(alone: State) -> None:
    backend = alone.backend
    assert backend.execute(("GET", "no")) is None
    assert backend.execute_many([("GET", "no"), ("EXISTS", "no")]) == [None, 0]
    assert backend.transact([("GET", "no")]) == [None]
    assert backend.run_script(READ, ["no"]) is None
    assert backend.wait_for(("BLPOP", "no"), 0.01) is None


def test_every_way_to_write_is_confirmed(alone: State) -> None:
    backend = alone.backend
    with pytest.raises(ConsistencyError):
        backend.execute_many([("GET", "a"), ("INCR", "a")])
    with pytest.raises(ConsistencyError):
        backend.transact([("INCR", "a")])
    with pytest.raises(ConsistencyError):
        backend.run_script(WRITE, ["a"])
    with pytest.raises(ConsistencyError):
        backend.execute((b"eval", WRITE.body, 1, "a"))
    assert backend.execute(("GET", "a")) == b"4"


def test_a_transaction_that_did_nothing_is_not_confirmed(alone: State) -> None:
    with alone.backend.watch(["w"]) as watch:
        with pytest.raises(ConsistencyError):
            alone.backend.execute(("SET", "w", "1"))
        assert alone.backend.transact([("SET", "w", "2")], watching=watch) is None


def test_writes_that_a_replica_has_are_done(replicated: RedisServer) -> None:
    with open_state(replicated.url, 1, "20s") as state:
        backend = state.backend
        assert backend.execute(("INCR", "b")) == 1
        assert backend.execute_many([("INCR", "b"), ("GET", "b")]) == [2, b"2"]
        assert backend.transact([("INCR", "b")]) == [3]
        assert backend.run_script(WRITE, ["b"]) == 4
        assert state.counter("c").add(5) == 5


def test_more_replicas_than_there_are_do_not_confirm(replicated: RedisServer) -> None:
    with (
        open_state(replicated.url, 2, "50ms") as state,
        pytest.raises(ConsistencyError) as caught,
    ):
        state.backend.execute(("INCR", "b"))
    assert (caught.value.wanted, caught.value.got) == (2, 1)


def test_a_backend_without_replication_is_refused() -> None:
    with pytest.raises(ConfigError, match="lacks what is required: replication"):
        connect("memory://", consistency="replicas")


@pytest.mark.parametrize(
    ("option", "value"), [("replicas", 0), ("replicas_timeout", 0), ("replicas", "2")]
)
def test_options_out_of_range_are_refused(option: str, value: object) -> None:
    with pytest.raises(ConfigError, match=option):
        connect({"url": "redis://nowhere", "consistency": "replicas", option: value})


def test_the_options_belong_to_the_level() -> None:
    with pytest.raises(ConfigError, match=r"'replicas'.*is of replicas"):
        connect("redis://nowhere", replicas=1)
