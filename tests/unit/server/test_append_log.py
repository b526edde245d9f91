"""The append-only log of a server: what it keeps, and how it is made anew."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import redis

from sharedstate.testing.background import wait_until
from tests.unit.server.logged import FOLDER, Logging, contents
from tests.unit.server.saving import SECONDS, Saving
from tests.unit.server.started import run


@pytest.mark.parametrize("policy", ["always", "everysec", "no"])
def test_what_was_acknowledged_survives_a_kill(tmp_path: Path, policy: str) -> None:
    with Logging(tmp_path, "--appendfsync", policy) as server:
        for number in range(50):
            server.client.set(f"k{number}", number)
        server.end(signal.SIGKILL)
    assert contents(tmp_path) == {f"k{number}": str(number) for number in range(50)}


def test_a_clean_end_leaves_everything(tmp_path: Path) -> None:
    with Logging(tmp_path) as server:
        server.client.set("k", "v")
        assert server.end() == 0
    assert contents(tmp_path) == {"k": "v"}


def test_strings_that_were_allowed_when_they_were_written_are_loaded(
    tmp_path: Path,
) -> None:
    half = "x" * 1024 * 1024
    with Logging(tmp_path) as server:
        for _ in range(2):
            server.client.append("k", half)
        server.client.setrange("l", 2 * len(half), "end")
        server.end(signal.SIGKILL)
    with Logging(tmp_path, "--proto-max-bulk-len", "1mb") as server:
        assert server.client.strlen("k") == 2 * len(half)
        assert server.client.strlen("l") == 2 * len(half) + 3
        with pytest.raises(redis.ResponseError, match="exceeds maximum allowed size"):
            server.client.append("k", "x")


def test_without_a_log_nothing_of_it_is_imported(tmp_path: Path) -> None:
    with Saving(tmp_path, "--save", "") as server:
        maps = Path(f"/proc/{server.process.pid}/maps").read_text()
        server.client.set("k", "v")
        assert "hiredis" not in maps
        assert not (tmp_path / FOLDER).exists()


# Rewriting.


@pytest.mark.parametrize("preamble", ["yes", "no"])
def test_a_rewrite_leaves_a_base_and_what_came_behind_it(
    tmp_path: Path, preamble: str
) -> None:
    with Logging(tmp_path, "--aof-use-rdb-preamble", preamble) as server:
        one = server.client
        for number in range(100):
            one.set("k", number)
        one.set("volatile", "v", pxat=4_000_000_000_000)
        assert one.execute_command("BGREWRITEAOF") in (
            "Background append only file rewriting started",
            True,
        )
        facts = server.wait_for_rewrite()
        assert facts["aof_last_bgrewrite_status"] == "ok"
        assert facts["aof_rewrites"] == 1
        form = "rdb" if preamble == "yes" else "aof"
        assert server.names() == [
            f"appendonly.aof.2.base.{form}",
            "appendonly.aof.2.incr.aof",
        ]
        one.set("late", "x")
        assert sorted(os.listdir(tmp_path / FOLDER)) == sorted(
            [*server.names(), "appendonly.aof.manifest"]
        )
        server.end(signal.SIGKILL)
    with Logging(tmp_path) as server:
        one = server.client
        assert (one.get("k"), one.get("late"), one.dbsize()) == ("99", "x", 3)
        assert one.pexpiretime("volatile") == 4_000_000_000_000


def test_a_rewrite_waits_for_a_child_that_saves(tmp_path: Path) -> None:
    with Logging(tmp_path) as server:
        server.populate()
        server.slow_down()
        server.client.bgsave()
        asked = server.client.execute_command("BGREWRITEAOF")
        assert "scheduled" in str(asked) or asked is True
        assert server.persistence()["aof_rewrite_scheduled"] == 1
        server.failpoint("rdb.write", "off")
        server.wait_for_rewrite()
        assert "2.base" in server.names()[0]


def test_one_rewrite_at_a_time(tmp_path: Path) -> None:
    with Logging(tmp_path) as server:
        server.failpoint("aof.base-write", "delay:300")
        server.client.bgrewriteaof()
        assert "already in progress" in server.refusal("BGREWRITEAOF")
        server.wait_for_rewrite()


def test_changes_during_a_rewrite_are_kept(tmp_path: Path) -> None:
    with Logging(tmp_path) as server:
        server.populate(2000)
        server.failpoint("aof.base-write", "delay:100")
        server.client.bgrewriteaof()
        for number in range(200):
            server.client.set("k", number)
        server.client.delete("key:1")
        server.wait_for_rewrite()
        server.end(signal.SIGKILL)
    with Logging(tmp_path) as server:
        assert server.client.get("k") == "199"
        assert server.client.dbsize() == 2000


def test_a_log_that_has_grown_is_rewritten(tmp_path: Path) -> None:
    words = ("--auto-aof-rewrite-min-size", "20kb", "--auto-aof-rewrite-percentage", "100")
    with Logging(tmp_path, *words) as server:
        pipeline = server.client.pipeline(transaction=False)
        for _ in range(500):
            pipeline.set("k", "v" * 50)
        pipeline.execute()
        wait_until(lambda: server.persistence()["aof_rewrites"] == 1, SECONDS)
        facts = server.wait_for_rewrite()
        assert facts["aof_current_size"] < 1000
        assert facts["aof_base_size"] < 1000


@pytest.mark.parametrize("hit", [1, 2])
@pytest.mark.parametrize(
    "place",
    [
        "aof.open",
        "aof.manifest",
        "aof.manifest-fsync",
        "aof.before-rename",
        "aof.sync-folder",
        "aof.before-install",
    ],
)
def test_a_kill_anywhere_in_a_rewrite_leaves_everything(
    tmp_path: Path, place: str, hit: int
) -> None:
    with Logging(tmp_path) as server:
        server.client.set("before", "1")
        server.failpoint(place, f"kill@{hit}")
        for _ in range(2):
            if server.process.poll() is None:
                rewrite_until_it_ends(server)
        assert server.process.wait(SECONDS) == -signal.SIGKILL
    assert contents(tmp_path) == {"before": "1"}


def rewrite_until_it_ends(server: Logging) -> None:
    """Have the log rewritten, until that is over, or the server is."""
    try:
        server.client.bgrewriteaof()
        server.wait_for_rewrite()
    except redis.ConnectionError:
        server.process.wait(SECONDS)


@pytest.mark.parametrize("place", ["aof.base-open", "aof.base-write", "aof.base-fsync"])
def test_a_child_that_is_killed_leaves_everything(tmp_path: Path, place: str) -> None:
    with Logging(tmp_path) as server:
        server.client.set("before", "1")
        server.failpoint(place, "kill")
        server.client.bgrewriteaof()
        server.client.set("after", "2")
        wait_until(lambda: server.persistence()["aof_last_bgrewrite_status"] == "err", 20)
        server.end(signal.SIGKILL)
    assert contents(tmp_path) == {"before": "1", "after": "2"}


@pytest.mark.parametrize(
    "place", ["aof.base-write", "aof.base-fsync", "aof.before-install"]
)
def test_a_rewrite_that_fails_costs_nothing_but_itself(tmp_path: Path, place: str) -> None:
    with Logging(tmp_path) as server:
        server.client.set("a", "1")
        server.failpoint(place, "error:ENOSPC*1")
        server.client.bgrewriteaof()
        wait_until(lambda: server.persistence()["aof_last_bgrewrite_status"] == "err", 20)
        assert not [*(tmp_path / FOLDER).glob("temp-rewrite*")]
        server.client.set("b", "2")
        server.client.bgrewriteaof()
        facts = server.wait_for_rewrite()
        assert facts["aof_last_bgrewrite_status"] == "ok"
        server.end(signal.SIGKILL)
    assert contents(tmp_path) == {"a": "1", "b": "2"}


def test_what_a_crash_has_left_is_deleted_at_the_start(tmp_path: Path) -> None:
    with Logging(tmp_path) as server:
        server.client.set("a", "1")
        server.end()
    for name in ("appendonly.aof.7.base.rdb", "temp-rewriteaof-bg-99999.aof"):
        (tmp_path / FOLDER / name).write_bytes(b"rubbish")
    with Logging(tmp_path) as server:
        wait_until(lambda: len(os.listdir(tmp_path / FOLDER)) == 3, SECONDS)
        assert server.client.get("a") == "1"


# Switching it on and off.


def test_a_log_can_be_switched_on_while_running(tmp_path: Path) -> None:
    with Saving(tmp_path, "--save", "") as server:
        one = server.client
        one.set("early", "1")
        one.config_set("appendonly", "yes")
        one.set("late", "2")
        wait_until(lambda: server.persistence()["aof_rewrites"] == 1, SECONDS)
        wait_until(lambda: not server.persistence()["aof_rewrite_in_progress"], SECONDS)
        assert server.persistence()["aof_enabled"] == 1
        one.set("later", "3")
        server.end(signal.SIGKILL)
    assert contents(tmp_path) == {"early": "1", "late": "2", "later": "3"}


def test_a_server_does_not_end_before_a_log_that_is_switched_on_has_its_data(
    tmp_path: Path,
) -> None:
    with Saving(tmp_path, "--save", "") as server:
        one = server.client
        one.set("early", "1")
        server.failpoint("aof.base-write", "error:EIO")
        one.config_set("appendonly", "yes")
        assert "Errors trying to SHUTDOWN" in server.refusal("SHUTDOWN")
        assert "can't exit" in server.log
        server.failpoint("aof.base-write", "off")
        wait_until(lambda: (tmp_path / FOLDER / "appendonly.aof.manifest").exists(), 20)
        assert server.end() == 0
    assert contents(tmp_path) == {"early": "1"}


@pytest.mark.parametrize("word", ["NOSAVE", "FORCE"])
def test_a_server_that_must_end_does_so_without_its_log(tmp_path: Path, word: str) -> None:
    with Saving(tmp_path, "--save", "") as server:
        one = server.client
        server.failpoint("aof.base-write", "error:EIO")
        one.config_set("appendonly", "yes")
        with pytest.raises(redis.ConnectionError):
            one.execute_command("SHUTDOWN", word)
        assert server.process.wait(SECONDS) == 0


def test_a_blocked_client_takes_nothing_while_the_log_is_loaded_again(
    tmp_path: Path,
) -> None:
    with Logging(tmp_path) as server:
        one, waiting = server.client, server.client
        one.rpush("k", "a")
        one.lpop("k")
        connection = waiting.connection_pool.get_connection()
        connection.send_command("BLPOP", "k", "l", "0")
        wait_until(lambda: one.info("clients")["blocked_clients"] == 1, SECONDS)
        one.execute_command("DEBUG", "LOADAOF")
        assert one.info("clients")["blocked_clients"] == 1
        one.rpush("k", "b")
        assert connection.read_response() == ["k", "b"]


def test_a_log_that_is_switched_on_is_begun_at_once(tmp_path: Path) -> None:
    with Saving(tmp_path, "--save", "") as server:
        server.failpoint("aof.base-write", "delay:300")
        pipeline = server.client.pipeline(transaction=False)
        pipeline.config_set("appendonly", "yes").info("persistence").set("k", "v")
        facts = pipeline.execute()[1]
        assert facts["aof_rewrite_in_progress"] == 1
        assert facts["aof_rewrite_scheduled"] == 0
        wait_until(lambda: not server.persistence()["aof_rewrite_in_progress"], SECONDS)
        server.end(signal.SIGKILL)
    assert contents(tmp_path) == {"k": "v"}


def test_a_log_that_a_transaction_switches_on_is_begun_behind_it(tmp_path: Path) -> None:
    with Saving(tmp_path, "--save", "") as server:
        pipeline = server.client.pipeline(transaction=True)
        pipeline.set("k", "1").config_set("appendonly", "yes")
        pipeline.info("persistence").set("l", "2")
        assert pipeline.execute()[2]["aof_rewrite_scheduled"] == 1
        manifest = tmp_path / FOLDER / "appendonly.aof.manifest"
        wait_until(manifest.exists, SECONDS)
        server.end(signal.SIGKILL)
    assert contents(tmp_path) == {"k": "1", "l": "2"}


def test_a_log_that_never_began_is_told_of_at_the_next_start(tmp_path: Path) -> None:
    with Saving(tmp_path, "--save", "") as server:
        server.failpoint("aof.base-write", "delay:60000")
        server.client.config_set("appendonly", "yes")
        server.client.set("k", "v")
        server.end(signal.SIGKILL)
    with Logging(tmp_path) as server:
        assert "its server ended before its first base was written" in server.log
        assert str(tmp_path / FOLDER) in server.log
    with Logging(tmp_path) as server:
        assert "first base was written" not in server.log


def test_a_log_can_be_switched_off_while_running(tmp_path: Path) -> None:
    with Logging(tmp_path) as server:
        one = server.client
        one.set("early", "1")
        one.config_set("appendonly", "no")
        one.set("late", "2")
        assert server.persistence()["aof_enabled"] == 0
        server.end(signal.SIGKILL)
    assert contents(tmp_path) == {"early": "1"}


def test_a_log_that_is_switched_on_takes_the_place_of_an_old_one(tmp_path: Path) -> None:
    with Logging(tmp_path) as server:
        one = server.client
        one.set("early", "1")
        one.config_set("appendonly", "no")
        one.flushall()
        one.set("other", "2")
        one.config_set("appendonly", "yes")
        wait_until(lambda: len(server.names()) == 2 and "2.base" in server.names()[0], 20)
        server.end(signal.SIGKILL)
    assert contents(tmp_path) == {"other": "2"}


def test_a_rewrite_without_a_log_leaves_a_base(tmp_path: Path) -> None:
    with Saving(tmp_path, "--save", "") as server:
        server.client.set("a", "1")
        server.client.bgrewriteaof()
        path = tmp_path / FOLDER / "appendonly.aof.manifest"
        wait_until(path.exists, SECONDS)
        server.end()
    assert contents(tmp_path) == {"a": "1"}


def test_the_folder_cannot_be_left_while_the_log_is_written(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    with Logging(tmp_path, "--enable-protected-configs", "yes") as server:
        refusal = server.refusal("CONFIG", "SET", "dir", str(tmp_path / "other"))
        assert "another folder" in refusal
        server.client.set("a", "1")
        server.end()
    assert contents(tmp_path) == {"a": "1"}


def test_a_snapshot_that_was_there_first_is_taken_over(tmp_path: Path) -> None:
    with Saving(tmp_path, "--save", "3600 1000000") as saving:
        saving.client.set("a", "1")
        saving.client.save()
        saving.end()
    with Logging(tmp_path) as server:
        assert server.client.get("a") == "1"
        server.client.set("b", "2")
        server.end(signal.SIGKILL)
    os.unlink(tmp_path / "dump.rdb")
    assert contents(tmp_path) == {"a": "1", "b": "2"}


# Loading.


def test_what_was_loaded_is_told_and_the_snapshot_that_was_not(tmp_path: Path) -> None:
    with Logging(tmp_path) as server:
        server.client.mset({"a": "1", "b": "2"})
        server.client.save()
        server.end()
    with Logging(tmp_path) as server:
        assert "DB loaded from append only file: " in server.log
        assert f"seconds, 2 keys from {tmp_path / FOLDER}" in server.log
        assert f"{tmp_path / 'dump.rdb'} was not loaded, because there" in server.log
        server.end()
    with Saving(tmp_path, "--appendonly", "no") as server:
        assert "DB loaded from disk: " in server.log
        assert f"seconds, 2 keys from {tmp_path / 'dump.rdb'}" in server.log
        assert f"{tmp_path / FOLDER} was not loaded: appendonly is no" in server.log
        server.end()
    (tmp_path / "dump.rdb").unlink()
    with Logging(tmp_path) as server:
        assert "was not loaded" not in server.log


@pytest.mark.parametrize("size", [0, 100])
def test_a_base_that_lost_its_content_stops_the_start(tmp_path: Path, size: int) -> None:
    with Logging(tmp_path) as server:
        server.client.set("a", "1")
        server.client.bgrewriteaof()
        server.wait_for_rewrite()
        server.end()
    base = tmp_path / FOLDER / "appendonly.aof.2.base.rdb"
    base.write_bytes(bytes(size))
    ended = run(tmp_path, "--appendonly", "yes", "--port", "0", "--unixsocket", "s")
    assert ended.returncode == 1
    assert str(base) in ended.stdout
    assert "a backup of the whole folder" in ended.stdout
    assert base.stat().st_size == size


def test_a_log_of_old_is_loaded_and_taken_over(tmp_path: Path) -> None:
    (tmp_path / "appendonly.aof").write_bytes(b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n")
    assert contents(tmp_path) == {"a": "1"}
    assert not (tmp_path / "appendonly.aof").exists()
    assert contents(tmp_path) == {"a": "1"}


def test_a_torn_end_is_cut_off_and_told(tmp_path: Path) -> None:
    with Logging(tmp_path) as server:
        server.client.set("a", "1")
        server.client.set("b", "2")
        server.end()
    path = tmp_path / FOLDER / "appendonly.aof.1.incr.aof"
    size = path.stat().st_size
    with open(path, "rb+") as file:
        file.truncate(size - 3)
    with Logging(tmp_path) as server:
        assert server.client.keys() == ["a"]
        assert "cut off at" in server.log
        server.client.set("c", "3")
        server.end(signal.SIGKILL)
    assert contents(tmp_path) == {"a": "1", "c": "3"}


def test_damage_stops_the_start_and_says_what_to_do(tmp_path: Path) -> None:
    with Logging(tmp_path) as server:
        server.client.set("a", "1")
        server.end()
    path = tmp_path / FOLDER / "appendonly.aof.1.incr.aof"
    path.write_bytes(b"rubbish\r\n" + path.read_bytes())
    ended = run(tmp_path, "--appendonly", "yes", "--port", "0", "--unixsocket", "s")
    assert ended.returncode != 0
    told = ended.stdout + ended.stderr
    assert "at byte 0" in told
    assert "sharedstate check" in told
