"""Folders that vanish while the server runs, or cannot be written; and a first start that
is cut short.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from sharedstate.testing.background import wait_until
from tests.faults.disks import (
    POLICIES,
    Logged,
    SmallDisk,
    assert_kept,
)
from tests.unit.server.saving import RULES, SECONDS, Saving
from tests.unit.server.started import OURS, WAIT_SECONDS, run

EVERY_POLICY = pytest.mark.parametrize("policy", POLICIES)

GONE = "No such file or directory"


class TestVanishedFolders:
    """Somebody removes the folder while a server writes its log there."""

    @EVERY_POLICY
    @pytest.mark.parametrize("removed", ["data", "data/appendonlydir"])
    def test_writers_are_refused_until_it_is_back(
        self, tmp_path: Path, policy: str, removed: str
    ) -> None:
        with Logged(tmp_path, policy) as server:
            acknowledged = server.set_numbers(0, 10)
            shutil.rmtree(tmp_path / removed)
            if removed == "data":
                server.wait_until_refusing(GONE)
                assert server.client.get("1") == "x" * 100
                (tmp_path / removed).mkdir()
            else:
                # With `always`, what is noticed by is a write.
                wait_until(lambda: not server.is_open() or GONE in server.log, SECONDS)
            server.wait_until_open()
            assert_kept(server, acknowledged + server.set_numbers(10, 20))

    def test_always_acknowledges_nothing_that_nobody_will_find(
        self, tmp_path: Path
    ) -> None:
        with Logged(tmp_path, "always") as server:
            server.set_numbers(0, 10)
            shutil.rmtree(server.data)
            assert server.set_numbers(10, 20) == []

    @EVERY_POLICY
    def test_a_folder_that_was_moved_goes_on_where_it_is(
        self, tmp_path: Path, policy: str
    ) -> None:
        with Logged(tmp_path, policy) as server:
            acknowledged = server.set_numbers(0, 10)
            server.data.rename(tmp_path / "moved")
            acknowledged += server.set_numbers(10, 20)
            assert "Can't execute" in server.refusal("BGREWRITEAOF")
            acknowledged += server.set_numbers(20, 30)
            (tmp_path / "moved").rename(server.data)
            assert len(acknowledged) == 30
            assert_kept(server, acknowledged)

    def test_the_lock_is_taken_again_with_the_folder(self, tmp_path: Path) -> None:
        with Logged(tmp_path, "always") as server:
            shutil.rmtree(server.data)
            server.set_numbers(0, 1)
            server.data.mkdir()
            server.wait_until_open()
            words = ("--dir", str(server.data), "--appendonly", "yes", "--port", "0")
            ended = run(tmp_path, *words, "--unixsocket", "other")
            assert ended.returncode == 1
            assert f"in use by another server, pid {server.process.pid}" in ended.stdout

    def test_snapshots_go_on_when_the_folder_is_back(self, tmp_path: Path) -> None:
        folder = tmp_path / "data"
        folder.mkdir()
        with Saving(tmp_path, *RULES, "--dir", str(folder)) as server:
            server.client.set("k", "v")
            server.client.save()
            shutil.rmtree(folder)
            assert server.refusal("SAVE") == ""
            server.refusal("BGSAVE")
            assert server.refusal("SET", "k", "w").startswith("MISCONF Redis is")
            assert server.client.get("k") == "v"
            folder.mkdir()
            server.client.bgsave()
            assert server.wait_for_child()["rdb_last_bgsave_status"] == "ok"
            server.client.set("k", "w")


class TestReadOnlyFolders:
    """A disk that is mounted read-only."""

    @pytest.fixture
    def disk(self, tmp_path: Path) -> Iterator[SmallDisk]:
        with SmallDisk(tmp_path / "disk", "1m") as disk:
            yield disk

    @EVERY_POLICY
    def test_a_log_is_not_begun_there_and_stays_as_it_was(
        self, tmp_path: Path, disk: SmallDisk, policy: str
    ) -> None:
        with Logged(tmp_path, policy, disk=disk) as server:
            acknowledged = server.set_numbers(0, 10)
            server.end(signal.SIGKILL)
            disk.remount("ro")
            words = ["--dir", str(disk.folder), "--appendonly", "yes", "--port", "0"]
            words += ["--unixsocket", str(tmp_path / "s")]
            ended = subprocess.run(
                [*disk.entrance, *OURS, *words],
                capture_output=True,
                text=True,
                timeout=WAIT_SECONDS,
                check=False,
            )
            assert ended.returncode == 1
            assert "Read-only file system" in ended.stdout
            disk.remount("rw")
            assert server.again().keys() == set(acknowledged)

    def test_snapshots_wait_for_the_disk_to_be_writable(
        self, tmp_path: Path, disk: SmallDisk
    ) -> None:
        words = (*RULES, "--dir", str(disk.folder))
        disk.remount("ro")
        with Saving(tmp_path, *words, program=(*disk.entrance, *OURS)) as server:
            assert "nothing can be saved" in server.log
            server.client.set("k", "v")
            server.refusal("BGSAVE")
            assert server.refusal("SET", "k", "w").startswith("MISCONF Redis is")
            assert server.client.get("k") == "v"
            disk.remount("rw")
            server.client.bgsave()
            assert server.wait_for_child()["rdb_last_bgsave_status"] == "ok"
            server.client.set("k", "w")

    def test_a_log_is_not_switched_on_there(self, tmp_path: Path, disk: SmallDisk) -> None:
        disk.remount("ro")
        words = ("--save", "", "--dir", str(disk.folder))
        with Saving(tmp_path, *words, program=(*disk.entrance, *OURS)) as server:
            assert "Read-only file system" in server.refusal(
                "CONFIG", "SET", "appendonly", "yes"
            )
            server.client.set("k", "v")
            disk.remount("rw")
            server.client.config_set("appendonly", "yes")
            wait_until(lambda: "rewrite finished successfully" in server.log, SECONDS)
            server.client.set("l", "v")


class TestFirstStarts:
    """A server that dies while it begins its log: the next one begins."""

    @pytest.mark.parametrize(
        "place",
        [
            "aof.base-open",
            "aof.base-write",
            "aof.base-fsync",
            "aof.before-install",
            "aof.sync-folder",
            "aof.sync-folder@2",
            "aof.sync-folder@3",
            "aof.open",
            "aof.manifest",
            "aof.manifest@2",
            "aof.manifest-fsync",
            "aof.manifest-fsync@2",
            "aof.before-rename",
        ],
    )
    @pytest.mark.parametrize("what", ["kill", "error:EIO"])
    def test_a_log_that_was_not_begun_is_begun_by_the_next(
        self, tmp_path: Path, place: str, what: str
    ) -> None:
        name, _, hit = place.partition("@")
        with Logged(tmp_path, "always", "--appendonly", "no") as server:
            server.client.set("saved", 1)
            server.client.save()
            server.end(signal.SIGKILL)
        words = ("--dir", str(server.data), "--appendonly", "yes", "--port", "0")
        ended = subprocess.run(
            [*OURS, *words, "--unixsocket", str(tmp_path / "s")],
            capture_output=True,
            timeout=WAIT_SECONDS,
            check=False,
            env={**os.environ, "SHAREDSTATE_FAILPOINTS": f"{name}={what}@{hit or 1}"},
        )
        assert ended.returncode == (-signal.SIGKILL if "kill" in what else 1)
        with Logged(tmp_path, "always") as server:
            assert server.keys() == {"saved"}
            assert_kept(server, ["saved", *server.set_numbers(0, 5)])

    @pytest.mark.parametrize(
        ("place", "what"),
        [
            ("aof.base-write", "delay:60000"),
            ("aof.before-install", "kill"),
            ("aof.manifest", "kill@2"),
            ("aof.manifest", "kill@3"),
            ("aof.before-rename", "kill"),
        ],
    )
    def test_a_log_that_was_switched_on_and_not_begun_is_begun_by_the_next(
        self, tmp_path: Path, place: str, what: str
    ) -> None:
        with Logged(tmp_path, "always", "--appendonly", "no") as server:
            server.client.set("saved", 1)
            server.client.save()
            server.failpoint(place, what)
            server.client.config_set("appendonly", "yes")
            if what.startswith("delay"):
                wait_until(lambda: "rewriting started" in server.log, SECONDS)
                server.client.set("since", 1)
                server.end(signal.SIGKILL)
            assert server.process.wait(WAIT_SECONDS) == -signal.SIGKILL
        with Logged(tmp_path, "always") as server:
            assert server.keys() == {"saved"}
            assert_kept(server, ["saved", *server.set_numbers(0, 5)])
