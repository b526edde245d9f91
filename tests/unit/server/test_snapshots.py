"""Snapshots: SAVE, BGSAVE, the rules, and what comes back after a start."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from sharedstate.testing.background import wait_until
from sharedstate_server import data_folder
from tests.unit.server.saving import RULES, SECONDS, Saving
from tests.unit.server.started import WAIT_SECONDS, run


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Saving]:
    """A server that keeps nothing unless it is told to."""
    with Saving(tmp_path, "--save", "") as server:
        yield server


class TestSaving:
    """What SAVE and BGSAVE do and say."""

    def test_what_was_saved_comes_back(self, server: Saving) -> None:
        one = server.client
        one.set("k", "v", px=10_000_000)
        one.rpush("list", *range(300))
        one.hset("hash", mapping={"f": "v"})
        one.zadd("zset", {"m": 1.5})
        one.sadd("set", "a", "b")
        digest = one.execute_command("DEBUG DIGEST")
        assert one.save()
        server.end(signal.SIGKILL)
        with Saving(server.folder, "--save", "") as again:
            assert again.client.execute_command("DEBUG DIGEST") == digest
            assert again.persistence()["rdb_last_load_keys_loaded"] == 5

    def test_a_child_saves_while_others_are_served(self, server: Saving) -> None:
        server.populate()
        server.slow_down()
        assert server.client.bgsave()
        facts = server.persistence()
        assert facts["rdb_bgsave_in_progress"] == 1
        assert facts["current_save_keys_total"] == 5000
        server.client.set("later", 1)
        assert server.persistence()["rdb_bgsave_in_progress"] == 1
        server.wait_for_child()
        server.end(signal.SIGKILL)
        with Saving(server.folder, "--save", "") as again:
            assert again.client.dbsize() == 5000

    def test_a_save_leaves_nothing_else_in_the_folder(self, server: Saving) -> None:
        server.client.set("k", "v")
        server.client.save()
        server.client.bgsave()
        server.wait_for_child()
        server.end()
        assert {path.name for path in server.folder.iterdir()} == {
            "dump.rdb",
            "log",
            "s.lock",
        }

    def test_there_is_one_child_at_a_time(self, server: Saving) -> None:
        server.populate()
        server.slow_down()
        server.client.bgsave()
        told = "Background save already in progress"
        for words in (("BGSAVE",), ("BGSAVE", "SCHEDULE"), ("SAVE",)):
            assert server.refusal(*words) == told

    def test_in_a_transaction_it_waits_for_the_end(self, server: Saving) -> None:
        pipe = server.client.pipeline(transaction=True)
        pipe.set("a", 1).execute_command("BGSAVE").set("b", 2)
        pipe.execute()
        wait_until(lambda: server.persistence()["rdb_saves"], SECONDS)
        server.wait_for_child()
        server.end(signal.SIGKILL)
        with Saving(server.folder, "--save", "") as again:
            assert again.client.mget("a", "b") == ["1", "2"]

    def test_changes_during_a_save_stay_counted(self, server: Saving) -> None:
        server.populate()
        server.slow_down()
        server.client.bgsave()
        server.client.incr("n")
        server.client.incr("n")
        assert server.persistence()["rdb_changes_since_last_save"] == 5002
        facts = server.wait_for_child()
        assert facts["rdb_changes_since_last_save"] == 2

    def test_the_time_of_the_last_save_is_told(self, server: Saving) -> None:
        before = int(time.time())
        server.client.save()
        assert int(server.client.execute_command("LASTSAVE").timestamp()) >= before

    def test_facts_of_the_child_are_measured(self, server: Saving) -> None:
        server.populate(50_000)
        server.client.bgsave()
        facts = server.wait_for_child()
        assert facts["rdb_last_bgsave_status"] == "ok"
        assert facts["rdb_last_bgsave_time_sec"] >= 0
        assert 0 < facts["rdb_last_cow_size"] < 100_000_000
        stats = server.client.info("stats")
        assert stats["total_forks"] == 1
        assert stats["latest_fork_usec"] > 0

    def test_flushall_ends_the_child_and_saves_nothing_if_there_are_no_rules(
        self, server: Saving
    ) -> None:
        server.populate()
        server.slow_down()
        server.client.bgsave()
        server.client.flushall()
        facts = server.wait_for_child()
        assert facts["rdb_last_bgsave_status"] == "ok"
        assert not [*server.folder.glob("*.rdb")]

    def test_debug_reload_keeps_what_there_is(self, server: Saving) -> None:
        one = server.client
        one.set("k", "v")
        one.execute_command(
            "FUNCTION",
            "LOAD",
            "#!lua name=l\nredis.register_function('f', function() return 1 end)",
        )
        digest = one.execute_command("DEBUG DIGEST")
        assert one.execute_command("DEBUG", "RELOAD") == "OK"
        assert one.execute_command("DEBUG DIGEST") == digest
        assert one.execute_command("FCALL", "f", 0) == 1
        one.set("k", "newer")
        assert one.execute_command("DEBUG", "RELOAD", "NOSAVE", "NOFLUSH", "MERGE") == "OK"
        assert one.get("k") == "v"
        assert "Error trying to load" in server.refusal(
            "DEBUG", "RELOAD", "NOSAVE", "NOFLUSH"
        )
        assert "only supports" in server.refusal("DEBUG", "RELOAD", "SOON")


class TestRules:
    """`save SECONDS CHANGES`."""

    def test_a_rule_that_is_met_saves(self, tmp_path: Path) -> None:
        with Saving(tmp_path, "--save", "1 2") as server:
            server.client.set("a", 1)
            server.client.set("b", 1)
            wait_until(lambda: (tmp_path / "dump.rdb").exists(), SECONDS)
            server.wait_for_child()
            assert "2 changes in 1 seconds. Saving..." in server.log

    def test_rules_can_be_changed(self, server: Saving) -> None:
        server.client.config_set("save", "1 1")
        assert server.client.config_get("save") == {"save": "1 1"}
        server.client.set("a", 1)
        wait_until(lambda: server.persistence()["rdb_saves"], SECONDS)
        server.wait_for_child()
        server.client.config_set("save", "")
        server.client.set("b", 1)
        server.end()
        with Saving(server.folder, "--save", "") as again:
            assert again.client.get("a") == "1"
            assert again.client.get("b") is None

    def test_redis_defaults_hold_if_nothing_is_said(self, tmp_path: Path) -> None:
        with Saving(tmp_path) as server:
            shown = server.client.config_get("save")
            assert shown == {"save": "3600 1 300 100 60 10000"}

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_with_rules_a_signal_saves_before_the_end(
        self, tmp_path: Path, number: int
    ) -> None:
        with Saving(tmp_path, *RULES) as server:
            server.client.set("k", "v")
            assert server.end(number) == 0
        with Saving(tmp_path, *RULES) as server:
            assert server.client.get("k") == "v"

    @pytest.mark.parametrize(
        ("rules", "words", "is_saved"),
        [
            (RULES, "", True),
            (RULES, "NOSAVE", False),
            (RULES, "NOW FORCE", True),
            (("--save", ""), "", False),
            (("--save", ""), "SAVE", True),
        ],
    )
    def test_shutdown_saves_as_its_words_say(
        self, tmp_path: Path, rules: tuple[str, ...], words: str, is_saved: bool
    ) -> None:
        with Saving(tmp_path, *rules) as server:
            server.client.set("k", "v")
            with pytest.raises(redis.ConnectionError):
                server.client.execute_command("SHUTDOWN", *words.split())
            assert server.process.wait(WAIT_SECONDS) == 0
        assert (tmp_path / "dump.rdb").exists() == is_saved

    def test_a_signal_follows_its_setting(self, tmp_path: Path) -> None:
        words = (*RULES, "--shutdown-on-sigterm", "nosave")
        with Saving(tmp_path, *words) as server:
            server.client.set("k", "v")
            assert server.end() == 0
        assert not (tmp_path / "dump.rdb").exists()

    def test_the_end_ends_the_child_too(self, server: Saving) -> None:
        server.populate()
        server.slow_down()
        server.client.bgsave()
        child = server.child_pid()
        server.end()
        with pytest.raises(ProcessLookupError):
            os.kill(child, 0)
        assert not [*server.folder.glob("*.rdb")]

    def test_flushall_saves_the_emptiness(self, tmp_path: Path) -> None:
        with Saving(tmp_path, *RULES) as server:
            server.client.set("k", "v")
            server.client.save()
            server.client.flushall()
            server.end(signal.SIGKILL)
        with Saving(tmp_path, *RULES) as server:
            assert server.client.dbsize() == 0


class TestFolders:
    """Where snapshots are."""

    def test_a_folder_in_use_is_refused_with_the_pid(self, tmp_path: Path) -> None:
        with Saving(tmp_path, *RULES) as server:
            ended = run(tmp_path, "--port", "0", "--unixsocket", "t", *RULES)
            assert ended.returncode == 1
            assert f"in use by another server, pid {server.process.pid}" in ended.stdout

    def test_a_second_server_that_saves_nothing_may_share_it(self, tmp_path: Path) -> None:
        other = tmp_path / "other"
        other.mkdir()
        with (
            Saving(tmp_path, *RULES),
            Saving(other, "--save", "", "--dir", str(tmp_path)) as second,
        ):
            for words in (("SAVE",), ("BGSAVE",)):
                began_at = time.monotonic()
                told = second.refusal(*words)
                # Nobody is served meanwhile.
                assert time.monotonic() - began_at < data_folder.WAIT_SECONDS / 2
                assert f"the folder {tmp_path} is in use by another server, pid" in told
            assert "in use by another server" in second.log
            assert "in use" in second.refusal("CONFIG", "SET", "save", "1 1")

    def test_a_folder_in_use_cannot_be_moved_into(self, tmp_path: Path) -> None:
        other = tmp_path / "other"
        other.mkdir()
        open_dir = ("--enable-protected-configs", "yes")
        with (
            Saving(tmp_path, *RULES, *open_dir) as server,
            Saving(other, *RULES),
        ):
            assert "in use" in server.refusal("CONFIG", "SET", "dir", str(other))
            assert server.client.config_get("dir") == {"dir": str(tmp_path)}
            server.client.set("k", "v")
            server.client.save()
            assert (tmp_path / "dump.rdb").exists()

    def test_dir_and_dbfilename_say_where(self, tmp_path: Path) -> None:
        other = tmp_path / "other"
        other.mkdir()
        words = ("--save", "", "--dir", str(other), "--dbfilename", "mine.rdb")
        with Saving(tmp_path, *words) as server:
            server.client.set("k", "v")
            server.client.save()
        assert (other / "mine.rdb").exists()
        with Saving(tmp_path, *words) as server:
            assert server.client.get("k") == "v"

    def test_a_server_that_keeps_nothing_leaves_nothing(self, server: Saving) -> None:
        server.client.set("k", "v")
        server.end()
        assert {path.name for path in server.folder.iterdir()} == {"log", "s.lock"}

    @pytest.mark.parametrize(
        "words",
        [
            ("SAVE",),
            ("BGSAVE",),
            ("CONFIG", "SET", "save", "1 1"),
            ("CONFIG", "SET", "appendonly", "yes"),
        ],
    )
    def test_who_needs_a_folder_in_use_is_told_by_whom(
        self, tmp_path: Path, words: tuple[str, ...]
    ) -> None:
        other = tmp_path / "other"
        other.mkdir()
        with (
            Saving(tmp_path, *RULES) as first,
            Saving(other, "--save", "", "--dir", str(tmp_path)) as second,
        ):
            told = second.refusal(*words)
            assert (
                f"{tmp_path} is in use by another server, pid {first.process.pid}" in told
            )


class TestSettings:
    """What is written as the settings ask for."""

    def test_without_compression_a_file_is_bigger(self, server: Saving) -> None:
        server.client.set("k", "a" * 10_000)
        server.client.save()
        small = (server.folder / "dump.rdb").stat().st_size
        server.client.config_set("rdbcompression", "no")
        server.client.save()
        assert (server.folder / "dump.rdb").stat().st_size > 10_000 > 10 * small

    def test_without_checksum_it_is_zeros(self, tmp_path: Path) -> None:
        with Saving(tmp_path, "--save", "", "--rdbchecksum", "no") as server:
            server.client.save()
        assert (tmp_path / "dump.rdb").read_bytes().endswith(bytes(8))
