"""Full disks: real ones, that are small, and files that may not grow any more."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests.faults.disks import (
    LOG_REFUSAL,
    POLICIES,
    Logged,
    LoggedRedis,
    SmallDisk,
    assert_kept,
    limited,
)
from tests.unit.server.saving import RULES, Saving
from tests.unit.server.started import OURS, WAIT_SECONDS

EVERY_POLICY = pytest.mark.parametrize("policy", POLICIES)

NO_SPACE = "No space left on device"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """A disk of half a megabyte."""
    with SmallDisk(tmp_path / "disk", "512k") as disk:
        yield disk


class TestTheLog:
    """The increment has no room."""

    @EVERY_POLICY
    def test_writers_are_refused_until_there_is_room(
        self, tmp_path: Path, disk: SmallDisk, policy: str
    ) -> None:
        with Logged(tmp_path, policy, disk=disk) as server:
            acknowledged = server.set_numbers(0, 50)
            disk.fill()
            acknowledged += server.set_numbers(50, 5000)
            assert 50 <= len(acknowledged) < 200
            server.wait_until_refusing(NO_SPACE)
            assert server.client.get("1") == "x" * 100
            disk.clear()
            server.wait_until_open()
            acknowledged += server.set_numbers(5000, 5050)
            assert_kept(server, acknowledged)

    @EVERY_POLICY
    def test_a_server_that_dies_then_begins_on_the_full_disk(
        self, tmp_path: Path, disk: SmallDisk, policy: str
    ) -> None:
        with Logged(tmp_path, policy, disk=disk) as server:
            acknowledged = server.set_numbers(0, 50)
            disk.fill()
            acknowledged += server.set_numbers(50, 5000)
            had = server.keys()
            found = server.again().keys()
            # But with always, one turn may be acknowledged and not be written.
            assert len(set(acknowledged) - found) <= (policy != "always")
            assert found <= had
            disk.clear()
            acknowledged = [*found, *server.set_numbers(6000, 6010)]
            server.wait_until_open()
            assert_kept(server, acknowledged)

    @EVERY_POLICY
    def test_a_server_that_ends_then_leaves_what_can_be_loaded(
        self, tmp_path: Path, disk: SmallDisk, policy: str
    ) -> None:
        with Logged(tmp_path, policy, disk=disk) as server:
            acknowledged = server.set_numbers(0, 50)
            disk.fill()
            acknowledged += server.set_numbers(50, 5000)
            server.wait_until_refusing(NO_SPACE)
            server.end()
            assert "The end of the append only file cannot be written" in server.log
            found = server.again().keys()
            assert len(set(acknowledged) - found) <= (policy != "always")

    @EVERY_POLICY
    def test_what_cannot_be_taken_back_is_gone_on_with(
        self, tmp_path: Path, disk: SmallDisk, policy: str
    ) -> None:
        with Logged(
            tmp_path, policy, disk=disk, failpoints="aof.truncate=error:EIO"
        ) as server:
            acknowledged = server.set_numbers(0, 50)
            disk.fill()
            acknowledged += server.set_numbers(50, 5000)
            server.wait_until_refusing(NO_SPACE)
            disk.clear()
            server.wait_until_open()
            acknowledged += server.set_numbers(5000, 5050)
            assert_kept(server, acknowledged)

    def test_what_is_torn_there_is_cut_off_at_the_next_start(
        self, tmp_path: Path, disk: SmallDisk
    ) -> None:
        with Logged(
            tmp_path, "always", disk=disk, failpoints="aof.truncate=error:EIO"
        ) as server:
            acknowledged = server.set_numbers(0, 50)
            disk.fill()
            acknowledged += server.set_numbers(50, 5000)
            assert server.again().keys() == set(acknowledged)

    @EVERY_POLICY
    def test_a_file_that_may_not_grow_is_a_full_disk(
        self, tmp_path: Path, policy: str
    ) -> None:
        with Logged(tmp_path, policy) as server, limited(server, 5000) as unlimit:
            acknowledged = server.set_numbers(0, 200)
            assert 10 < len(acknowledged) < 200
            server.wait_until_refusing("File too large")
            unlimit()
            server.wait_until_open()
            acknowledged += server.set_numbers(200, 250)
            assert_kept(server, acknowledged)

    @pytest.mark.usefixtures("redis_is_installed")
    def test_clients_are_told_what_redis_tells_them(self, tmp_path: Path) -> None:
        told = []
        for kind in (Logged, LoggedRedis):
            folder = tmp_path / kind.__name__
            folder.mkdir()
            with (
                SmallDisk(folder / "disk", "512k") as disk,
                kind(folder, "everysec", disk=disk) as server,
            ):
                disk.fill()
                server.set_numbers(0, 5000)
                server.wait_until_refusing(NO_SPACE)
                told.append([answer(server, *words) for words in ASKED])
        assert told[0] == told[1]
        assert told[0][0] == LOG_REFUSAL + NO_SPACE


ASKED = (
    ("SET", "k", "v"),
    ("PING",),
    ("DEL", "nothing"),
    ("FLUSHALL",),
    ("GET", "nothing"),
    ("PUBLISH", "channel", "message"),
    ("CONFIG", "SET", "maxmemory", "0"),
    ("EVAL", "return redis.call('SET', 'k', 'v')", "0"),
    ("EVAL", "#!lua\nreturn 1", "0"),
    ("EVAL", "#!lua flags=no-writes\nreturn 1", "0"),
    ("SCRIPT", "LOAD", "return 1"),
    ("FUNCTION", "FLUSH"),
)


def answer(server: Saving, *words: str) -> str:
    """What a client is answered, error or not."""
    try:
        return str(server.client.execute_command(*words))
    except redis.ResponseError as error:
        return str(error)


class TestRewrites:
    """There is no room for a base."""

    @EVERY_POLICY
    def test_a_base_without_room_leaves_the_log_as_it_was(
        self, tmp_path: Path, disk: SmallDisk, policy: str
    ) -> None:
        with Logged(tmp_path, policy, disk=disk) as server:
            server.client.config_set("rdbcompression", "no")
            server.client.mset(dict.fromkeys(range(2500), "x" * 100))
            server.client.bgrewriteaof()
            facts = server.wait_for_rewrite()
            assert facts["aof_last_bgrewrite_status"] == "err"
            assert NO_SPACE in server.log
            assert server.told() == ""
            assert_kept(server, [*map(str, range(2500))])

    def test_a_full_disk_lets_a_rewrite_make_room(
        self, tmp_path: Path, disk: SmallDisk
    ) -> None:
        with Logged(tmp_path, "everysec", disk=disk) as server:
            for _ in range(300):
                server.set_numbers(0, 10)
            server.client.bgrewriteaof()
            assert server.wait_for_rewrite()["aof_last_bgrewrite_status"] == "ok"
            assert_kept(server, [*map(str, range(10))])


class TestTheStart:
    """There is no room to begin."""

    @EVERY_POLICY
    def test_it_is_told_and_the_next_one_begins(
        self, tmp_path: Path, disk: SmallDisk, policy: str
    ) -> None:
        disk.fill()
        words = ["--dir", str(disk.folder), "--appendonly", "yes", "--port", "0"]
        words += ["--appendfsync", policy, "--unixsocket", str(tmp_path / "s")]
        ended = subprocess.run(
            [*disk.entrance, *OURS, *words],
            capture_output=True,
            text=True,
            timeout=WAIT_SECONDS,
            check=False,
        )
        assert ended.returncode == 1
        assert NO_SPACE in ended.stdout
        disk.clear()
        with Logged(tmp_path, policy, disk=disk) as server:
            assert_kept(server, server.set_numbers(0, 20))


class TestSnapshots:
    """There is no room for a snapshot."""

    def test_writers_are_refused_until_one_succeeds(
        self, tmp_path: Path, disk: SmallDisk
    ) -> None:
        words = (*RULES, "--dir", str(disk.folder), "--rdbcompression", "no")
        with Saving(tmp_path, *words, program=(*disk.entrance, *OURS)) as server:
            server.client.set("first", 1)
            server.client.save()
            server.populate(1000)
            disk.fill()
            server.client.bgsave()
            assert server.wait_for_child()["rdb_last_bgsave_status"] == "err"
            assert NO_SPACE in server.log
            told = "MISCONF Redis is configured to save RDB snapshots, but"
            assert answer(server, "SET", "k", "v").startswith(told)
            assert server.client.get("first") == "1"
            assert not [*disk.seen().glob("temp-*")]
            # Nothing of the one before was touched.
            server.end(9)
            with Saving(tmp_path, *words, program=(*disk.entrance, *OURS)) as again:
                assert again.client.keys() == ["first"]
                disk.clear()
                again.populate(1000)
                again.client.bgsave()
                assert again.wait_for_child()["rdb_last_bgsave_status"] == "ok"
