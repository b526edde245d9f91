"""The append-only log of a server whose disk fails, or is slow: who is told what."""

from __future__ import annotations

import resource
import signal
import time
from pathlib import Path

import pytest
import redis

from sharedstate.testing.background import wait_until
from tests.unit.server.logged import FOLDER, Logging, contents
from tests.unit.server.saving import SECONDS


def test_a_write_that_fails_is_not_acknowledged(tmp_path: Path) -> None:
    with Logging(tmp_path, "--appendfsync", "always") as server:
        one = server.client
        one.set("a", "1")
        server.failpoint("aof.write", "error:ENOSPC")
        with pytest.raises(redis.ConnectionError):
            server.client.execute_command("SET", "b", "2")
        assert server.refusal("SET", "c", "3").startswith("MISCONF Errors writing to the")
        assert server.persistence()["aof_last_write_status"] == "err"
        assert server.client.get("a") == "1"
        server.failpoint("aof.write", "off")
        server.wait_until_writable()
        assert server.persistence()["aof_last_write_status"] == "ok"
        # Its outcome was not known: now it is.
        assert server.client.get("b") == "2"
        server.end(signal.SIGKILL)
    assert contents(tmp_path) == {"a": "1", "b": "2", "probe": "1"}


def test_a_disk_that_is_full_leaves_whole_units(tmp_path: Path) -> None:
    with Logging(tmp_path, "--appendfsync", "always") as server:
        server.client.set("a", "1")
        size = (tmp_path / FOLDER / server.names()[1]).stat().st_size
        limits = (size + 30, resource.RLIM_INFINITY)
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, limits)
        with pytest.raises(redis.ConnectionError):
            server.client.execute_command("MSET", "b", "2", "c", "3")
        assert server.refusal("SET", "d", "4").startswith("MISCONF")
        server.end(signal.SIGKILL)
    # As if it had never been asked for: nobody was told that it was done.
    assert (tmp_path / FOLDER / "appendonly.aof.1.incr.aof").stat().st_size == size
    assert contents(tmp_path) == {"a": "1"}


def test_a_sync_that_fails_is_not_acknowledged_and_the_log_is_made_anew(
    tmp_path: Path,
) -> None:
    with Logging(tmp_path, "--appendfsync", "always") as server:
        server.client.set("a", "1")
        server.failpoint("aof.fsync", "error:EIO*3")
        with pytest.raises(redis.ConnectionError):
            server.client.execute_command("SET", "b", "2")
        assert server.client.get("a") == "1"
        server.wait_until_writable()
        assert "2.base.rdb" in server.names()[0]
        assert server.persistence()["aof_last_write_status"] == "ok"
        server.end(signal.SIGKILL)
    assert contents(tmp_path) == {"a": "1", "b": "2", "probe": "1"}


def test_with_everysec_a_sync_that_fails_is_told_to_writers(tmp_path: Path) -> None:
    with Logging(tmp_path) as server:
        server.client.set("a", "1")
        server.failpoint("aof.fsync", "error:EIO")

        def is_refused() -> bool:
            try:
                server.client.set("b", "2")
            except redis.ResponseError as error:
                return str(error).startswith("MISCONF")
            return False

        wait_until(is_refused, SECONDS)
        server.failpoint("aof.fsync", "off")
        server.wait_until_writable()
        server.end(signal.SIGKILL)
    assert contents(tmp_path) == {"a": "1", "b": "2", "probe": "1"}


def test_with_everysec_a_write_that_fails_is_made_up_for(tmp_path: Path) -> None:
    with Logging(tmp_path) as server:
        server.failpoint("aof.write", "error:ENOSPC")
        server.client.set("a", "1")
        assert server.refusal("SET", "b", "2").startswith("MISCONF")
        server.failpoint("aof.write", "off")
        server.wait_until_writable()
        server.end(signal.SIGKILL)
    assert contents(tmp_path) == {"a": "1", "probe": "1"}


def test_expired_keys_are_written_when_the_disk_is_back(tmp_path: Path) -> None:
    with Logging(tmp_path) as server:
        server.client.set("volatile", "v", px=200)
        server.failpoint("aof.write", "error:ENOSPC")
        server.client.set("a", "1")
        wait_until(lambda: not server.client.exists("volatile"), SECONDS)
        server.failpoint("aof.write", "off")
        server.wait_until_writable()
        server.end(signal.SIGKILL)
    text = b"".join(path.read_bytes() for path in (tmp_path / FOLDER).glob("*.incr.aof"))
    assert text.index(b"volatile") < text.index(b"DEL\r\n$8\r\nvolatile")


def test_writers_are_not_held_up_for_long_by_a_slow_sync(tmp_path: Path) -> None:
    with Logging(tmp_path) as server:
        one = server.client
        server.failpoint("aof.fsync", "delay:4000*1")
        one.set("k", "0")
        wait_until(lambda: server.persistence()["aof_pending_bio_fsync"] == 1, SECONDS)
        started = time.monotonic()
        number = 0
        while not server.persistence()["aof_delayed_fsync"]:
            number += 1
            one.set("k", number)
            assert time.monotonic() - started < SECONDS
        assert time.monotonic() - started > 1.5
        assert "fsync is taking too long" in server.log
        server.end(signal.SIGKILL)
    assert contents(tmp_path) == {"k": str(number)}


def test_everybody_is_answered_with_always(tmp_path: Path) -> None:
    with Logging(tmp_path, "--appendfsync", "always") as server:
        server.failpoint("aof.fsync", "delay:5")
        writers = [server.client for _ in range(5)]
        for turn in range(20):
            pipelines = [one.pipeline(transaction=False) for one in writers]
            for place, pipeline in enumerate(pipelines):
                pipeline.incr("n").get("n").set(f"k{place}", turn)
            for pipeline in pipelines:
                assert len(pipeline.execute()) == 3
        assert server.client.get("n") == "100"
        writers[0].config_set("appendfsync", "everysec")
        assert writers[1].incr("n") == 101
        server.end(signal.SIGKILL)
    assert contents(tmp_path)["n"] == "101"


def test_debug_loadaof_loads_what_was_written(tmp_path: Path) -> None:
    with Logging(tmp_path) as server:
        one = server.client
        one.set("a", "1")
        one.execute_command("DEBUG", "LOADAOF")
        assert one.get("a") == "1"
        one.set("b", "2")
        server.end(signal.SIGKILL)
    assert contents(tmp_path) == {"a": "1", "b": "2"}
