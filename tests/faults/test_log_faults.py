"""The log when single calls of the system fail, by named failpoints: writers are told,
readers go on, and once the disk is well again all that was acknowledged is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pytest
import redis

from sharedstate.testing.background import wait_until
from tests.faults.disks import (
    CANNOT_REWRITE,
    LOG_REFUSAL,
    POLICIES,
    Logged,
    assert_kept,
    log_files,
)
from tests.unit.server.saving import SECONDS

Start: TypeAlias = Callable[..., Logged]

EVERY_POLICY = pytest.mark.parametrize("policy", POLICIES)
SYNCING = pytest.mark.parametrize("policy", ["always", "everysec"])


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts the server of a test."""
    started: list[Logged] = []

    def start(policy: str, *words: str, failpoints: str = "") -> Logged:
        server = Logged(tmp_path, policy, *words, failpoints=failpoints).__enter__()
        started.append(server)
        return server

    yield start
    for server in started:
        server.__exit__()


class TestWrites:
    """Writing to the increment fails."""

    @EVERY_POLICY
    @pytest.mark.parametrize(
        ("error", "reason"),
        [("ENOSPC", "No space left on device"), ("EROFS", "Read-only file system")],
    )
    def test_writers_are_refused_until_it_succeeds(
        self, start: Start, policy: str, error: str, reason: str
    ) -> None:
        server = start(policy)
        acknowledged = server.set_numbers(0, 20)
        server.failpoint("aof.write", f"error:{error}")
        acknowledged += server.set_numbers(20, 40)
        assert server.told() == LOG_REFUSAL + reason
        assert server.client.get("1") == "x" * 100
        assert server.persistence()["aof_last_write_status"] == "err"
        server.failpoint("aof.write", "off")
        server.wait_until_open()
        assert server.persistence()["aof_last_write_status"] == "ok"
        assert "AOF write error looks solved" in server.log
        acknowledged += server.set_numbers(40, 60)
        assert len(acknowledged) >= 40
        assert_kept(server, acknowledged)

    def test_always_acknowledges_nothing_that_it_could_not_write(
        self, start: Start
    ) -> None:
        server = start("always")
        server.failpoint("aof.write", "error:EIO")
        with pytest.raises(redis.ConnectionError):
            server.once.set("k", 1)
        assert server.refusal("SET", "k", "2").startswith(LOG_REFUSAL)
        assert server.again().keys() == set()

    def test_always_lets_nobody_read_in_that_turn_what_is_not_written(
        self, start: Start
    ) -> None:
        server = start("always")
        server.failpoint("aof.write", "error:EIO")
        pipe = server.once.pipeline(transaction=False).set("k", 1).get("k")
        with pytest.raises(redis.ConnectionError):
            pipe.execute()

    @EVERY_POLICY
    def test_faults_from_the_start_on_are_survived(self, start: Start, policy: str) -> None:
        server = start(policy, failpoints="aof.write=error:EIO*2")
        server.set_numbers(0, 1)
        server.wait_until_refusing("Input/output error")
        server.wait_until_open()
        assert_kept(server, server.set_numbers(10, 20))

    @EVERY_POLICY
    @pytest.mark.parametrize("size", [1, 7])
    def test_short_writes_are_gone_on_with(
        self, start: Start, policy: str, size: int
    ) -> None:
        server = start(policy, failpoints=f"aof.write=short:{size}")
        acknowledged = server.set_numbers(0, 20)
        assert len(acknowledged) == 20
        assert server.told() == ""
        assert_kept(server, acknowledged)

    @EVERY_POLICY
    def test_a_disk_that_takes_nothing_is_one_that_fails(
        self, start: Start, policy: str
    ) -> None:
        server = start(policy)
        server.failpoint("aof.write", "short:0")
        server.set_numbers(0, 1)
        server.wait_until_refusing("nothing was written")
        server.failpoint("aof.write", "off")
        server.wait_until_open()

    def test_keys_that_expire_meanwhile_stay_gone(self, start: Start) -> None:
        server = start("always")
        server.client.set("k", 1, px=100)
        server.failpoint("aof.write", "error:ENOSPC")
        server.set_numbers(0, 1)
        wait_until(lambda: not server.client.exists("k"), SECONDS)
        server.failpoint("aof.write", "off")
        server.wait_until_open()
        assert server.again().keys() == {"0"}

    def test_scripts_and_transactions_are_refused_as_a_whole(self, start: Start) -> None:
        server = start("everysec")
        server.failpoint("aof.write", "error:EIO")
        server.set_numbers(0, 1)
        script = "return redis.call('SET', 'k', 1)"
        assert server.refusal("EVAL", script, 0).startswith(LOG_REFUSAL)
        assert server.client.eval("return redis.call('GET', '0')", 0) == "x" * 100
        pipe = server.client.pipeline(transaction=True).set("k", 1).set("l", 1)
        with pytest.raises(redis.RedisError, match=r"MISCONF|EXECABORT"):
            pipe.execute()
        assert server.keys() == {"0"}


class TestSyncs:
    """fsync fails: what was written may be lost, though the system says otherwise."""

    @SYNCING
    def test_the_log_is_written_anew_and_writers_let_in(
        self, start: Start, policy: str
    ) -> None:
        server = start(policy, failpoints="aof.fsync=error:EIO*1@2")
        acknowledged = []
        for number in range(1000, 100_000):
            acknowledged += server.set_numbers(number, number + 1)
            if "Fail to fsync the AOF file: Input/output error" in server.log:
                break
        server.wait_until_open()
        server.wait_for_rewrite()
        assert server.persistence()["aof_last_write_status"] == "ok"
        acknowledged += server.set_numbers(10, 20)
        assert_kept(server, acknowledged)

    @SYNCING
    def test_writers_are_refused_while_it_cannot_be_written_anew(
        self, start: Start, policy: str
    ) -> None:
        server = start(policy)
        acknowledged = server.set_numbers(0, 10)
        server.failpoint("aof.base-fsync", "error:EIO")
        server.failpoint("aof.fsync", "error:EIO")
        server.set_numbers(10, 11)
        server.wait_until_refusing("Input/output error")
        wait_until(lambda: server.persistence()["aof_last_bgrewrite_status"] == "err")
        assert server.client.get("1") == "x" * 100
        for name in ("aof.base-fsync", "aof.fsync"):
            server.failpoint(name, "off")
        server.wait_until_open()
        assert_kept(server, acknowledged)

    def test_always_acknowledges_nothing_that_it_could_not_sync(self, start: Start) -> None:
        server = start("always")
        server.failpoint("aof.base-fsync", "error:EIO")
        server.failpoint("aof.fsync", "error:EIO*1")
        with pytest.raises(redis.ConnectionError):
            server.once.set("k", 1)
        assert server.refusal("SET", "k", "2").startswith(LOG_REFUSAL)

    def test_no_does_not_sync(self, start: Start) -> None:
        server = start("no", failpoints="aof.fsync=error:EIO")
        acknowledged = server.set_numbers(0, 50)
        assert len(acknowledged) == 50
        assert_kept(server, acknowledged)

    @EVERY_POLICY
    def test_a_rewrite_that_cannot_end_its_increment_ends_well_later(
        self, start: Start, policy: str
    ) -> None:
        server = start(policy)
        acknowledged = server.set_numbers(0, 10)
        server.failpoint("aof.fsync", "error:EIO*1")
        assert CANNOT_REWRITE in server.refusal("BGREWRITEAOF")
        server.wait_until_open()
        assert_kept(server, acknowledged + server.set_numbers(10, 20))

    def test_a_slow_disk_delays_nobody_for_long_and_loses_nothing(
        self, start: Start
    ) -> None:
        server = start("everysec")
        server.failpoint("aof.fsync", "delay:3000*1")
        server.set_numbers(0, 1)
        wait_until(lambda: bool(server.persistence()["aof_pending_bio_fsync"]), SECONDS)
        acknowledged = server.set_numbers(1, 100)
        assert len(acknowledged) == 99
        wait_until(lambda: bool(server.persistence()["aof_delayed_fsync"]), SECONDS)
        assert "Asynchronous AOF fsync is taking too long" in server.log
        assert_kept(server, acknowledged)


class TestRewrites:
    """A rewrite fails, anywhere: the log is as good as before."""

    @pytest.mark.parametrize(
        "failpoint",
        [
            "aof.open=error:EMFILE*1",
            "aof.manifest=error:ENOSPC*1",
            "aof.manifest-fsync=error:EIO*1",
            "aof.before-rename=error:EROFS*1",
            "aof.before-rename=error:EROFS*1@2",
            "aof.sync-folder=error:EIO*1",
            "aof.sync-folder=error:EIO*1@2",
            "aof.sync-folder=error:EIO*1@3",
            "aof.base-open=error:EACCES*1",
            "aof.base-write=error:ENOSPC*1",
            "aof.base-fsync=error:EIO*1",
            "aof.before-install=error:EROFS*1",
        ],
    )
    def test_nothing_is_lost_and_nobody_is_refused(
        self, start: Start, failpoint: str
    ) -> None:
        server = start("always")
        acknowledged = server.set_numbers(0, 20)
        server.failpoint(*failpoint.split("="))
        server.try_to_rewrite()
        acknowledged += server.set_numbers(20, 40)
        facts = server.wait_for_rewrite()
        assert facts["aof_last_bgrewrite_status"] == "err"
        assert len(acknowledged) == 40
        assert not [*server.data.glob("appendonlydir/temp-rewrite*")]
        assert_kept(server, acknowledged)
        server.client.bgrewriteaof()
        assert server.wait_for_rewrite()["aof_last_bgrewrite_status"] == "ok"
        acknowledged += server.set_numbers(40, 50)
        assert_kept(server, acknowledged)

    @pytest.mark.parametrize("failpoint", ["aof.sync-folder", "aof.before-rename"])
    @pytest.mark.parametrize("hit", [1, 2, 3])
    def test_the_next_one_makes_up_for_it(
        self, start: Start, failpoint: str, hit: int
    ) -> None:
        server = start("always")
        acknowledged = server.set_numbers(0, 20)
        server.failpoint(failpoint, f"error:EIO*1@{hit}")
        for first in (20, 30):
            server.try_to_rewrite()
            server.wait_for_rewrite()
            acknowledged += server.set_numbers(first, first + 10)
        assert len(acknowledged) == 40
        assert_kept(server, acknowledged)
        assert len(log_files(server.data)) <= 2

    def test_short_writes_of_a_base_are_gone_on_with(self, start: Start) -> None:
        server = start("always", failpoints="aof.base-write=short:50;aof.manifest=short:9")
        acknowledged = server.set_numbers(0, 20)
        server.client.bgrewriteaof()
        assert server.wait_for_rewrite()["aof_last_bgrewrite_status"] == "ok"
        assert_kept(server, acknowledged)

    @pytest.mark.parametrize(
        "failpoint", ["aof.open=error:EMFILE*1", "aof.base-write=error:EIO*1"]
    )
    def test_a_log_that_is_switched_on_begins_when_it_can(
        self, start: Start, failpoint: str
    ) -> None:
        server = start("always", "--appendonly", "no")
        acknowledged = server.set_numbers(0, 20)
        server.failpoint(*failpoint.split("="))
        server.client.config_set("appendonly", "yes")
        wait_until(lambda: "AOF rewrite finished successfully" in server.log, SECONDS)
        server.end(9)
        with Logged(server.folder, "always") as again:
            assert again.keys() == set(acknowledged)
