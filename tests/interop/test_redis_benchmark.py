"""redis-benchmark, unmodified: every test of its own whose commands are there."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable

import pytest

from sharedstate.testing.servers import BuiltInServer

Benchmark = Callable[..., str]

# Its default tests, without the one for streams.
TESTS = (
    *("ping_inline", "ping_mbulk", "set", "get", "incr", "lpush", "rpush", "lpop", "rpop"),
    *("sadd", "hset", "spop", "zadd", "zpopmin", "lrange", "mset"),
)
# LRANGE has five, for which a list is filled.
MEASURED = len(TESTS) + 4


@pytest.fixture
def benchmark(built_in_server: BuiltInServer, redis_is_installed: None) -> Benchmark:
    """Runs redis-benchmark, and returns what it printed."""
    program = shutil.which("redis-benchmark")
    if program is None:
        pytest.skip("redis-benchmark is not installed: apt-get install redis-tools")

    def run(*words: str) -> str:
        command = [program, "-p", str(built_in_server.port), "-n", "1000", *words]
        ended = subprocess.run(
            command, capture_output=True, text=True, timeout=50, check=False
        )
        assert ended.returncode == 0, ended.stderr
        assert "rror" not in ended.stdout + ended.stderr
        return ended.stdout

    return run


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("-3",),
        ("-P", "16", "-r", "1000", "-d", "100"),
        ("-k", "0", "-c", "10"),
    ],
    ids=" ".join,
)
def test_every_test_is_run(benchmark: Benchmark, options: tuple[str, ...]) -> None:
    printed = benchmark("--csv", "-t", ",".join(TESTS), *options)
    assert len(printed.splitlines()[1:]) >= MEASURED


def test_threads_of_clients_are_served(benchmark: Benchmark) -> None:
    printed = benchmark("--csv", "-t", "set,get", "--threads", "2")
    assert len(printed.splitlines()) == 3


def test_a_command_of_one_s_own_is_measured(benchmark: Benchmark) -> None:
    words = ("eval", "return redis.call('incr', KEYS[1])", "1", "own:__rand_int__")
    assert "requests per second" in benchmark("-q", "-r", "100", *words)
