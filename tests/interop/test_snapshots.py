"""Snapshots that pass between our server and a real redis-server."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from tests.unit.server.saving import Saving
from tests.unit.server.started import OURS, REDIS, WAIT_SECONDS, client

Contents: TypeAlias = dict[tuple[int, str], tuple[int, object]]

pytestmark = pytest.mark.usefixtures("redis_is_installed")


def fill(server: Saving) -> Contents:
    """Put something of every kind into a server. Returns what it has then."""
    one = server.client
    one.mset({"text": "v" * 1000, "number": 12345, "negative": -7, "empty": ""})
    one.set("binary", "".join(map(chr, range(256))))
    one.set("volatile", "v", pxat=4_000_000_000_000)
    for size in (3, 2000):
        numbers = range(size)
        one.rpush(f"list:{size}", *numbers)
        one.sadd(f"numbers:{size}", *numbers)
        one.sadd(f"set:{size}", *(f"member:{n}" for n in numbers))
        one.hset(f"hash:{size}", mapping={f"f{n}": n for n in numbers})
        one.zadd(f"zset:{size}", {f"m{n}": n / 3 for n in numbers})
    one.zadd("limits", {"least": "-inf", "most": "+inf"})
    code = "#!lua name=l\nredis.register_function('f', function() return 7 end)"
    one.function_load(code)
    one.copy("text", "elsewhere", destination_db=5)
    return contents(server)


def contents(server: Saving) -> Contents:
    """All that a server has, as clients see it: of each key its deadline and value."""
    one = client(path=server.folder / "s").client()
    found: Contents = {}
    for database in (0, 5):
        one.select(database)
        for key in one.scan_iter():
            found[database, key] = one.pexpiretime(key), _value(one, key)
    return found


def _value(one: Any, key: str) -> object:
    match one.type(key):
        case "string":
            return one.get(key)
        case "list":
            return one.lrange(key, 0, -1)
        case "set":
            return one.smembers(key)
        case "hash":
            return one.hgetall(key)
        case "zset":
            return one.zrange(key, 0, -1, withscores=True)
        case other:
            raise AssertionError(f"{key} is a {other}")


@pytest.mark.parametrize(("writer", "reader"), [(OURS, REDIS), (REDIS, OURS)])
@pytest.mark.parametrize("command", ["SAVE", "BGSAVE", "SHUTDOWN"])
def test_a_snapshot_of_one_is_loaded_by_the_other(
    tmp_path: Path, writer: tuple[str, ...], reader: tuple[str, ...], command: str
) -> None:
    with Saving(tmp_path, "--save", "3600 100000", program=writer) as server:
        before = fill(server)
        if command == "SHUTDOWN":
            assert server.end() == 0
        else:
            server.client.execute_command(command)
            server.wait_for_child()
    with Saving(tmp_path, "--save", "", program=reader) as server:
        assert contents(server) == before
        assert server.client.fcall("f", 0) == 7


def test_redis_check_rdb_accepts_what_we_save(tmp_path: Path) -> None:
    with Saving(tmp_path, "--save", "") as server:
        fill(server)
        server.client.save()
    ended = subprocess.run(
        ["redis-check-rdb", "dump.rdb"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=WAIT_SECONDS,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout
    assert "RDB looks OK" in ended.stdout


@pytest.mark.parametrize("program", [OURS, REDIS])
class TestSameReplies:
    """What both programs say, word for word."""

    def test_refusals_and_states(self, tmp_path: Path, program: tuple[str, ...]) -> None:
        with Saving(tmp_path, "--save", "3600 1", program=program) as server:
            server.client.set("k", "v")
            (tmp_path / "dump.rdb" / "in the way").mkdir(parents=True)
            assert server.refusal("SAVE") == ""
            assert server.persistence()["rdb_last_bgsave_status"] == "ok"
            server.client.bgsave()
            assert server.wait_for_child()["rdb_last_bgsave_status"] == "err"
            for words in (("SET", "k", "w"), ("PING",), ("FLUSHALL",)):
                assert "unable to persist to disk" in server.refusal(*words)
            assert server.client.get("k") == "v"
            assert "Errors trying to SHUTDOWN" in server.refusal("SHUTDOWN")
            assert "Errors trying to SHUTDOWN" in server.refusal("SHUTDOWN", "SAVE")
            assert "syntax error" in server.refusal("BGSAVE", "NOW")

    def test_the_fields_of_info(self, tmp_path: Path, program: tuple[str, ...]) -> None:
        with Saving(tmp_path, "--save", "", program=program) as server:
            assert set(server.persistence()) >= set(_FIELDS.split())


_FIELDS = """
    loading async_loading current_cow_peak current_cow_size current_cow_size_age
    current_fork_perc current_save_keys_processed current_save_keys_total
    rdb_changes_since_last_save rdb_bgsave_in_progress rdb_last_save_time
    rdb_last_bgsave_status rdb_last_bgsave_time_sec rdb_current_bgsave_time_sec rdb_saves
    rdb_last_cow_size rdb_last_load_keys_expired rdb_last_load_keys_loaded aof_enabled
    aof_rewrite_in_progress aof_rewrite_scheduled aof_last_rewrite_time_sec
    aof_current_rewrite_time_sec aof_last_bgrewrite_status aof_rewrites
    aof_rewrites_consecutive_failures aof_last_write_status aof_last_cow_size
    module_fork_in_progress module_fork_last_cow_size
"""
