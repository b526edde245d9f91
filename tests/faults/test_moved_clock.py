"""A wall clock that jumps: deadlines are its times, and nothing else goes by it."""

from __future__ import annotations

import signal
from pathlib import Path

import psutil
import pytest

from sharedstate.testing.background import wait_until
from tests.faults.disks import LOG_REFUSAL, POLICIES, Logged, assert_kept, log_files
from tests.faults.moved_clock import MovedClock
from tests.unit.server.saving import RULES, SECONDS, Saving

DAY_S = 86_400.0

EVERY_POLICY = pytest.mark.parametrize("policy", POLICIES)
BOTH_WAYS = pytest.mark.parametrize("jump_s", [DAY_S, -DAY_S], ids=["forwards", "back"])


@pytest.fixture
def clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MovedClock:
    """A clock of the servers of a test. They find its module from here."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    return MovedClock(tmp_path / "clock")


@EVERY_POLICY
@BOTH_WAYS
def test_everything_acknowledged_is_kept(
    tmp_path: Path, clock: MovedClock, policy: str, jump_s: float
) -> None:
    words = ("--aof-timestamp-enabled", "yes")
    with Logged(tmp_path, policy, *words, program=clock.program) as server:
        acknowledged = server.set_numbers(0, 10)
        clock.move_to(jump_s)
        acknowledged += server.set_numbers(10, 20)
        server.client.bgrewriteaof()
        assert server.wait_for_rewrite()["aof_last_bgrewrite_status"] == "ok"
        acknowledged += server.set_numbers(20, 30)
        clock.move_to(0.0)
        acknowledged += server.set_numbers(30, 40)
        assert len(acknowledged) == 40
        assert_kept(server, acknowledged)


@BOTH_WAYS
def test_deadlines_in_the_log_and_in_a_snapshot_are_the_same_times(
    tmp_path: Path, clock: MovedClock, jump_s: float
) -> None:
    for words in (("--appendonly", "yes"), ("--appendonly", "no", *RULES)):
        with Logged(tmp_path, "always", *words, program=clock.program) as server:
            clock.move_to(jump_s)
            server.client.set("k", 1, ex=1000)
            server.client.hset("h", "f", 1)
            server.client.execute_command("HPEXPIRE", "h", 5000_000, "FIELDS", 1, "f")
            asked = ("PEXPIRETIME", "k"), ("HPEXPIRETIME", "h", "FIELDS", 1, "f")
            times = [server.client.execute_command(*words) for words in asked]
            server.end()
            clock.move_to(0.0 if jump_s > 0 else jump_s + 100)
            with server:
                assert [server.client.execute_command(*words) for words in asked] == times
                server.client.flushall()
                clock.move_to(0.0)


@EVERY_POLICY
def test_what_expires_by_a_jump_is_gone_for_good(
    tmp_path: Path, clock: MovedClock, policy: str
) -> None:
    with Logged(tmp_path, policy, program=clock.program) as server:
        server.client.set("k", 1, ex=1000)
        server.client.set("stays", 1)
        clock.move_to(DAY_S)
        wait_until(lambda: server.keys() == {"stays"}, SECONDS)
        server.wait_until_written()
        server.end(signal.SIGKILL)
        clock.move_to(0.0)
        with server:
            assert server.keys() == {"stays"}


def test_what_expires_while_no_server_runs_is_gone_at_the_start(
    tmp_path: Path, clock: MovedClock
) -> None:
    with Logged(tmp_path, "always", program=clock.program) as server:
        server.client.set("k", 1, ex=1000)
        server.client.set("stays", 1)
        server.end(signal.SIGKILL)
        clock.move_to(DAY_S)
        with server:
            assert not server.client.exists("k")
            server.end(signal.SIGKILL)
        clock.move_to(0.0)
        with server:
            assert server.client.exists("stays")


@BOTH_WAYS
def test_everysec_goes_on_to_sync(tmp_path: Path, clock: MovedClock, jump_s: float) -> None:
    with Logged(tmp_path, "everysec", program=clock.program) as server:
        server.set_numbers(0, 10)
        clock.move_to(jump_s)
        # A sync that fails is one that was tried.
        server.failpoint("aof.base-fsync", "error:EIO")
        server.failpoint("aof.fsync", "error:EIO")
        server.set_numbers(10, 11)
        wait_until(lambda: server.told().startswith(LOG_REFUSAL), 4.0)


@BOTH_WAYS
def test_an_idle_server_stays_idle(
    tmp_path: Path, clock: MovedClock, jump_s: float
) -> None:
    words = ("--save", "3600 1")
    with Logged(tmp_path, "everysec", *words, program=clock.program) as server:
        server.set_numbers(0, 10)
        waiting = server.client
        process = psutil.Process(server.process.pid)
        clock.move_to(jump_s)
        server.set_numbers(10, 11)
        before = process.cpu_times()
        # Half a second, by which time a client is told by the server.
        waiting.execute_command("DEBUG", "SLEEP", 0)
        assert waiting.blpop("nothing", 0.5) is None
        after = process.cpu_times()
        spent_s = after.user + after.system - before.user - before.system
        assert spent_s < 0.25


@BOTH_WAYS
def test_the_rules_of_snapshots_go_on(
    tmp_path: Path, clock: MovedClock, jump_s: float
) -> None:
    with Saving(tmp_path, "--save", "1 1", program=clock.program) as server:
        clock.move_to(jump_s)
        server.client.set("k", "v")
        wait_until(lambda: "terminated with success" in server.log, SECONDS)
        facts = server.persistence()
        assert facts["rdb_last_bgsave_time_sec"] >= 0
        assert server.client.lastsave() is not None


def test_a_rule_does_not_begin_early(tmp_path: Path, clock: MovedClock) -> None:
    with Saving(tmp_path, "--save", "3600 1", program=clock.program) as server:
        server.client.set("k", "v")
        clock.move_to(DAY_S)
        assert server.client.blpop("nothing", 0.5) is None
        assert not server.persistence()["rdb_bgsave_in_progress"]
        assert server.persistence()["rdb_saves"] == 0


def test_annotations_that_go_back_in_time_are_loaded(
    tmp_path: Path, clock: MovedClock
) -> None:
    words = ("--aof-timestamp-enabled", "yes")
    with Logged(tmp_path, "always", *words, program=clock.program) as server:
        for jump_s in (0.0, DAY_S, -DAY_S):
            clock.move_to(jump_s)
            server.client.set(f"at {jump_s}", 1)
        (log,) = log_files(server.data)
        assert log.read_bytes().count(b"#TS:") == 3
        had = server.keys()
        assert server.again().keys() == had
