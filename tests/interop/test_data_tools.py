"""The tools for files, with those of Redis and with a real redis-server."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sharedstate.cli import main
from sharedstate.testing.background import wait_until
from sharedstate.testing.servers import RedisServer
from tests.data_files import FAR_MS, VARIED, log_of, snapshot_of, write_log
from tests.unit.server.started import client

pytestmark = pytest.mark.usefixtures("redis_is_installed")


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


def ends_well(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_redis_check_rdb_accepts_what_was_saved_of_a_damaged_snapshot(
    tmp_path: Path,
) -> None:
    path = tmp_path / "dump.rdb"
    whole = snapshot_of(VARIED)
    for size in range(100, len(whole), 20):
        path.write_bytes(whole[:size])
        assert main(("check", str(path), "--fix", "--yes")) == 1
        repaired = Path(f"{path}.repaired")
        if repaired.exists():
            assert ends_well("redis-check-rdb", str(repaired)), size
            repaired.unlink()


def test_redis_check_aof_accepts_a_repaired_log(tmp_path: Path) -> None:
    log = write_log(tmp_path, log_of(VARIED)[:-5], base=snapshot_of(VARIED[:3]))
    assert not ends_well("redis-check-aof", str(log / "appendonly.aof.manifest"))
    assert main(("check", str(log), "--fix", "--yes")) == 0
    assert ends_well("redis-check-aof", str(log / "appendonly.aof.manifest"))


def test_redis_starts_with_a_log_that_was_cut_in_the_middle(tmp_path: Path) -> None:
    first, rest = log_of([("SELECT", 0), ("SET", "a", "1")]), log_of([("SET", "b", "2")])
    log = write_log(tmp_path, first + b"*rubbish\r\n" + rest, rest)
    assert main(("check", str(log), "--fix", "--yes")) == 0
    with RedisServer("--dir", str(tmp_path), "--appendonly", "yes") as server:
        assert client(port=server.port).keys() == ["a"]


def test_a_snapshot_comes_into_redis(redis: RedisServer, tmp_path: Path) -> None:
    path = tmp_path / "dump.rdb"
    path.write_bytes(snapshot_of(VARIED))
    assert main(("restore", str(path), "--url", redis.url)) == 0
    one = client(port=redis.port)
    assert one.lrange("list", 0, -1) == ["b", "a", "b"]
    assert one.zrange("zset", 0, -1, withscores=True)[-1] == ("t", float("inf"))
    assert one.pexpiretime("hash") == FAR_MS
    assert one.fcall("f", 0) == 7
    one.select(3)
    assert one.get("other") == "v"


def test_what_redis_has_written_comes_back_into_redis_the_same(tmp_path: Path) -> None:
    settings = ("--appendonly", "yes", "--aof-timestamp-enabled", "yes")
    with RedisServer(*settings) as server:
        one = client(port=server.port)
        one.rpush("list", *range(2000))
        one.hset("hash", mapping={f"f{n}": n for n in range(1000)})
        one.zadd("zset", {f"m{n}": n / 3 for n in range(1000)})
        one.sadd("numbers", *range(300))
        one.set("timed", "v", pxat=FAR_MS)
        before = _digest(one)
        one.save()
        for name in ("dump.rdb", "appendonlydir"):
            path = str(Path(server.folder) / name)
            assert main(("check", path)) == 0
            assert main(("restore", path, "--url", server.url, "--replace")) == 0
            assert _digest(one) == before
        one.flushall()
        path = str(Path(server.folder) / "dump.rdb")
        assert main(("restore", path, "--url", server.url)) == 0
        assert _digest(one) == before


def _digest(one: Any) -> object:
    """All that there is, by keys."""
    readers: dict[str, Callable[[str], object]] = {
        "string": one.get,
        "list": lambda key: one.lrange(key, 0, -1),
        "set": one.smembers,
        "hash": one.hgetall,
        "zset": lambda key: one.zrange(key, 0, -1, withscores=True),
    }
    return {
        key: (one.pexpiretime(key), readers[one.type(key)](key)) for key in one.scan_iter()
    }


def test_deadlines_of_fields_are_refused_by_a_redis_that_has_none(
    redis: RedisServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = client(port=redis.port)
    if not one.info("server")["redis_version"].startswith(("6.", "7.0", "7.2")):
        pytest.skip("this redis-server has deadlines of fields")
    path = tmp_path / "dump.rdb"
    commands: list[Any] = [
        ("SET", "a", "v"),
        ("HSET", "h", "f", "v"),
        ("HPEXPIREAT", "h", FAR_MS, "FIELDS", "1", "f"),
    ]
    path.write_bytes(snapshot_of(commands))
    assert main(("restore", str(path), "--url", redis.url)) == 1
    assert "Redis 7.4 brought it). Nothing was written" in capsys.readouterr().err
    assert one.dbsize() == 0


def test_a_node_that_has_a_whole_cluster_takes_what_it_can_have(tmp_path: Path) -> None:
    path = tmp_path / "dump.rdb"
    big: list[Any] = [("RPUSH", "big", *map(str, range(2000))), *VARIED]
    path.write_bytes(snapshot_of(big))
    with RedisServer("--cluster-enabled", "yes") as server:
        one = client(port=server.port)
        one.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        wait_until(lambda: one.cluster("INFO")["cluster_state"] == "ok", 20.0)
        assert main(("restore", str(path), "--url", server.url)) == 2
        assert one.dbsize() == 0
        assert main(("restore", str(path), "--url", server.url, "--db", "0")) == 0
        assert one.dbsize() == 9
        assert one.llen("big") == 2000
        assert one.pexpiretime("hash") == FAR_MS
