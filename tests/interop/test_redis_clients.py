"""Unmodified Redis clients talk to the built-in server."""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

import sharedstate
from sharedstate.testing.plugin import fresh_namespace
from sharedstate.testing.servers import BuiltInServer

Cli = Callable[..., str]


@pytest.fixture
def key() -> str:
    """A name that no other test uses."""
    return fresh_namespace()


@pytest.fixture
def cli(built_in_server: BuiltInServer, redis_is_installed: None) -> Cli:
    """Runs redis-cli, and returns what it printed."""
    program = shutil.which("redis-cli") or "valkey-cli"

    def run(*words: str, text: str | None = None) -> str:
        command = [program, "-p", str(built_in_server.port), *words]
        ended = subprocess.run(
            command, input=text, capture_output=True, text=True, timeout=20, check=False
        )
        assert ended.returncode == 0, ended.stderr
        return ended.stdout.strip()

    return run


class TestRedisCli:
    """The command-line client of Redis."""

    def test_it_sets_and_gets(self, cli: Cli, key: str) -> None:
        assert cli("SET", key, "value") == "OK"
        assert cli("GET", key) == "value"

    def test_it_shows_errors(self, cli: Cli, key: str) -> None:
        cli("SET", key, "value")
        assert cli("LPUSH", key, "x").startswith("WRONGTYPE")

    def test_it_speaks_the_third_protocol(self, cli: Cli, key: str) -> None:
        cli("HSET", key, "field", "value")
        assert cli("-3", "--json", "HGETALL", key) == '{"field":"value"}'

    def test_it_reads_commands_from_its_input(self, cli: Cli, key: str) -> None:
        text = "\n".join([f"INCR {key}"] * 50)
        assert cli(text=text).splitlines()[-1] == "50"

    def test_it_pipes_raw_protocol(self, cli: Cli, key: str) -> None:
        one = f"*2\r\n$4\r\nINCR\r\n${len(key)}\r\n{key}\r\n"
        assert "errors: 0, replies: 500" in cli("--pipe", text=one * 500)
        assert cli("GET", key) == "500"

    def test_it_scans_keys(self, cli: Cli, key: str) -> None:
        cli("MSET", f"{key}:a", "1", f"{key}:b", "2")
        found = cli("--scan", "--pattern", f"{key}:*")
        assert sorted(found.splitlines()) == [f"{key}:a", f"{key}:b"]

    def test_it_runs_scripts(self, cli: Cli, key: str) -> None:
        script = "return redis.call('incrby', KEYS[1], ARGV[1])"
        assert cli("EVAL", script, "1", key, "5") == "5"

    def test_it_sees_what_a_structure_stored(
        self, cli: Cli, built_in_server: BuiltInServer, key: str
    ) -> None:
        with sharedstate.connect(built_in_server.url, namespace=key) as state:
            state.counter("hits").add(3)
        names = cli("--scan", "--pattern", f"{key}:*").splitlines()
        assert [cli("GET", name) for name in names] == ["3"]


@pytest.mark.parametrize("protocol", [2, 3])
class TestRedisPy:
    """The Python client of Redis, with either protocol."""

    @pytest.fixture
    def client(self, built_in_server: BuiltInServer, protocol: int) -> Iterator[Any]:
        # Its own types leave open whether a method is awaited.
        with redis.Redis(port=built_in_server.port, protocol=protocol) as client:
            yield client

    def test_strings_hashes_lists_sets_and_sorted_sets(self, client: Any, key: str) -> None:
        assert client.set(f"{key}:s", b"\x00\xff", ex=60)
        assert client.get(f"{key}:s") == b"\x00\xff"
        assert 0 < client.ttl(f"{key}:s") <= 60
        client.hset(f"{key}:h", mapping={"a": 1, "b": 2})
        assert client.hgetall(f"{key}:h") == {b"a": b"1", b"b": b"2"}
        client.rpush(f"{key}:l", 1, 2)
        assert client.lrange(f"{key}:l", 0, -1) == [b"1", b"2"]
        client.sadd(f"{key}:m", "x")
        assert client.smembers(f"{key}:m") == {b"x"}
        client.zadd(f"{key}:z", {"a": 1.5})
        assert client.zscore(f"{key}:z", "a") == 1.5

    def test_a_pipeline_is_atomic(self, client: Any, key: str) -> None:
        with client.pipeline() as pipeline:
            assert pipeline.set(key, 1).incr(key).execute() == [True, 2]

    def test_an_optimistic_transaction_sees_the_change_of_another(
        self, client: Any, key: str
    ) -> None:
        with client.pipeline() as pipeline:
            pipeline.watch(key)
            client.set(key, "theirs")
            pipeline.multi()
            pipeline.set(key, "ours")
            with pytest.raises(redis.WatchError):
                pipeline.execute()

    def test_a_registered_script_runs(self, client: Any, key: str) -> None:
        script = client.register_script("return redis.call('incrby', KEYS[1], ARGV[1])")
        assert script(keys=[key], args=[2]) == 2
        assert script(keys=[key], args=[2]) == 4

    def test_blocking_pops_wake(self, client: Any, key: str) -> None:
        timer = threading.Timer(0.05, client.rpush, (key, "item"))
        timer.start()
        assert list(client.blpop(key, timeout=20)) == [key.encode(), b"item"]
        timer.join()

    def test_messages_arrive(self, client: Any, key: str) -> None:
        with client.pubsub() as pubsub:
            pubsub.subscribe(key)
            assert pubsub.get_message(timeout=10)["type"] == "subscribe"
            client.publish(key, "hello")
            assert pubsub.get_message(timeout=10)["data"] == b"hello"

    def test_redis_py_s_lock_works(self, client: Any, key: str) -> None:
        with client.lock(key, timeout=10) as lock:
            assert lock.owned()
            assert not client.lock(key, timeout=10).acquire(blocking=False)

    def test_the_server_tells_about_itself(self, client: Any) -> None:
        assert "redis_version" in client.info()
        assert client.ping()


def test_redis_benchmark_runs(
    built_in_server: BuiltInServer, redis_is_installed: None
) -> None:
    program = shutil.which("redis-benchmark")
    if program is None:
        pytest.skip("redis-benchmark is not installed: apt-get install redis-tools")
    words = ("-t", "set,get,incr,lpush,lpop,sadd,hset", "-n", "2000", "-P", "4", "-q")
    ended = subprocess.run(
        [program, "-p", str(built_in_server.port), *words],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("requests per second") == 7
