"""Snapshots when the disk, the child or the parent fails: what was there stays, writers are
told, and all is well again when the disk is.
"""

from __future__ import annotations

import os
import resource
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import redis

from sharedstate.testing.background import wait_until
from tests.privileges import without_privilege
from tests.unit.server.saving import RULES, SECONDS, Saving
from tests.unit.server.started import OURS, WAIT_SECONDS, run

MISCONF = (
    "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to"
    " persist to disk. Commands that may modify the data set are disabled, because this"
    " instance is configured to report errors during writes if RDB snapshotting fails"
    " (stop-writes-on-bgsave-error option). Please check the Redis logs for details about"
    " the RDB error."
)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Saving]:
    """A server with rules, and a snapshot of one key."""
    with Saving(tmp_path, *RULES) as server:
        server.client.set("first", 1)
        server.client.save()
        yield server


def keys_after_restart(server: Saving) -> set[str]:
    """What a server finds that is started in the same folder."""
    server.end(signal.SIGKILL)
    with Saving(server.folder, *RULES) as again:
        return set(again.client.keys())


def temporary_files(server: Saving) -> list[Path]:
    return [*server.folder.glob("temp-*.rdb")]


def refuses_writes(server: Saving) -> bool:
    try:
        server.client.set("probe", 1)
    except redis.ResponseError as error:
        return str(error) == MISCONF
    return False


class TestTheDisk:
    """Errors of the system while a child saves."""

    @pytest.mark.parametrize(
        "failpoint",
        [
            "rdb.open=error:EACCES",
            "rdb.write=error:ENOSPC",
            "rdb.write=error:EIO@2",
            "rdb.fsync=error:EIO",
            "rdb.before-rename=error:EROFS",
        ],
    )
    def test_writers_are_refused_until_a_save_succeeds(
        self, server: Saving, failpoint: str
    ) -> None:
        name, _, spec = failpoint.partition("=")
        server.populate()
        server.failpoint(name, spec)
        server.client.bgsave()
        assert server.wait_for_child()["rdb_last_bgsave_status"] == "err"
        assert refuses_writes(server)
        assert server.client.get("first") == "1"
        assert not temporary_files(server)
        server.failpoint(name, "off")
        server.client.bgsave()
        assert server.wait_for_child()["rdb_last_bgsave_status"] == "ok"
        assert not refuses_writes(server)

    def test_what_was_saved_before_stays(self, server: Saving) -> None:
        server.failpoint("rdb.write", "error:ENOSPC")
        server.client.set("second", 1)
        server.client.bgsave()
        server.wait_for_child()
        assert keys_after_restart(server) == {"first"}

    def test_short_writes_are_gone_on_with(self, server: Saving) -> None:
        server.populate(200)
        server.failpoint("rdb.write", "short:100")
        server.client.bgsave()
        assert server.wait_for_child()["rdb_last_bgsave_status"] == "ok"
        assert len(keys_after_restart(server)) == 201

    def test_a_full_disk_is_survived(self, server: Saving) -> None:
        server.populate(5000)
        limits = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)
        limit = (100_000, limits[1])
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, limit)
        server.client.bgsave()
        assert server.wait_for_child()["rdb_last_bgsave_status"] == "err"
        assert "File too large" in server.log
        assert refuses_writes(server)
        assert not temporary_files(server)
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, limits)
        server.client.bgsave()
        assert server.wait_for_child()["rdb_last_bgsave_status"] == "ok"
        assert len(keys_after_restart(server)) == 5001

    def test_a_failed_save_in_the_foreground_says_so(self, server: Saving) -> None:
        server.failpoint("rdb.fsync", "error:EIO*1")
        server.client.set("second", 1)
        assert server.refusal("SAVE") == ""
        assert "Input/output error" in server.log
        assert not refuses_writes(server)
        assert server.persistence()["rdb_changes_since_last_save"] == 2
        assert keys_after_restart(server) == {"first"}

    def test_writers_are_not_refused_if_that_is_not_wanted(self, server: Saving) -> None:
        server.failpoint("rdb.fsync", "error:EIO*1")
        server.client.bgsave()
        server.wait_for_child()
        assert refuses_writes(server)
        server.client.config_set("stop-writes-on-bgsave-error", "no")
        assert not refuses_writes(server)
        server.client.config_set("stop-writes-on-bgsave-error", "yes")
        assert refuses_writes(server)
        server.client.config_set("save", "")
        assert not refuses_writes(server)

    def test_a_rule_tries_again_after_some_seconds(self, tmp_path: Path) -> None:
        with Saving(tmp_path, "--save", "1 1") as server:
            server.failpoint("rdb.write", "error:ENOSPC*1")
            server.client.set("k", "v")
            wait_until(lambda: "Background saving error" in server.log, SECONDS)
            wait_until(lambda: "terminated with success" in server.log, SECONDS)
            failed, succeeded = (
                float(line.split()[4].split(":")[2])
                for line in server.log.splitlines()
                if "Background saving error" in line or "with success" in line
            )
            assert 4.5 < (succeeded - failed) % 60 < 9

    def test_a_folder_that_vanished_is_told_of(self, tmp_path: Path) -> None:
        folder = tmp_path / "data"
        folder.mkdir()
        with Saving(tmp_path, *RULES, "--dir", str(folder)) as server:
            shutil.rmtree(folder)
            server.client.set("k", "v")
            assert server.refusal("SAVE") == ""
            assert "No such file or directory" in server.log
            assert server.refusal("BGSAVE") == ""
            assert server.persistence()["rdb_last_bgsave_status"] == "err"
            assert refuses_writes(server)
            assert server.client.get("k") == "v"

    def test_a_folder_that_is_read_only_is_told_of(self, tmp_path: Path) -> None:
        folder = tmp_path / "data"
        folder.mkdir(mode=0o500)
        program = (*without_privilege(), *OURS)
        words = (*RULES, "--dir", str(folder))
        with Saving(tmp_path, *words, program=program) as server:
            assert "nothing can be saved" in server.log
            server.client.set("k", "v")
            assert server.refusal("SAVE") == ""
            server.refusal("BGSAVE")
            assert refuses_writes(server)
            assert server.client.get("k") == "v"
            folder.chmod(0o700)
            server.client.bgsave()
            assert server.wait_for_child()["rdb_last_bgsave_status"] == "ok"
            assert not refuses_writes(server)


class TestTheEnd:
    """A server that was told to end, and cannot save."""

    def test_it_goes_on(self, server: Saving) -> None:
        server.failpoint("rdb.write", "error:ENOSPC*2")
        server.client.set("second", 1)
        assert "Errors trying to SHUTDOWN" in server.refusal("SHUTDOWN")
        server.process.send_signal(signal.SIGTERM)
        server.wait_for("Errors trying to shut down")
        assert server.client.get("second") == "1"
        assert server.end() == 0
        with Saving(server.folder, *RULES) as again:
            assert again.client.get("second") == "1"

    @pytest.mark.parametrize("word", ["FORCE", "NOSAVE"])
    def test_it_ends_if_it_must(self, server: Saving, word: str) -> None:
        server.failpoint("rdb.write", "error:ENOSPC")
        server.client.set("second", 1)
        with pytest.raises(redis.ConnectionError):
            server.client.execute_command("SHUTDOWN", word)
        assert server.process.wait(WAIT_SECONDS) == 0
        assert keys_after_restart(server) == {"first"}


class TestProcesses:
    """Who is killed in the middle of a save."""

    def test_a_killed_child_leaves_nothing(self, server: Saving) -> None:
        server.populate()
        server.slow_down()
        server.client.bgsave()
        wait_until(lambda: bool(temporary_files(server)), SECONDS)
        os.kill(server.child_pid(), signal.SIGKILL)
        assert server.wait_for_child()["rdb_last_bgsave_status"] == "err"
        assert "terminated by signal 9" in server.log
        assert not temporary_files(server)
        assert keys_after_restart(server) == {"first"}

    def test_a_killed_parent_takes_its_child_with_it(self, server: Saving) -> None:
        server.populate()
        server.slow_down()
        server.client.bgsave()
        child = psutil.Process(server.child_pid())
        wait_until(lambda: bool(temporary_files(server)), SECONDS)
        server.end(signal.SIGKILL)
        child.wait(SECONDS)
        with Saving(server.folder, *RULES) as again:
            assert again.client.keys() == ["first"]
            assert not temporary_files(again)

    @pytest.mark.parametrize(
        "failpoint", ["rdb.write=kill@2", "rdb.fsync=kill", "rdb.before-rename=kill"]
    )
    def test_a_parent_that_dies_in_a_save_leaves_the_old_file(
        self, server: Saving, failpoint: str
    ) -> None:
        server.populate()
        server.failpoint(*failpoint.split("="))
        with pytest.raises(redis.ConnectionError):
            server.client.execute_command("SAVE")
        assert server.process.wait(WAIT_SECONDS) == -signal.SIGKILL
        assert keys_after_restart(server) == {"first"}
        assert not temporary_files(server)

    def test_a_parent_that_dies_behind_the_rename_leaves_the_new_file(
        self, server: Saving
    ) -> None:
        server.client.set("second", 1)
        server.failpoint("rdb.sync-folder", "kill")
        with pytest.raises(redis.ConnectionError):
            server.client.execute_command("SAVE")
        assert keys_after_restart(server) == {"first", "second"}

    def test_clients_hear_nothing_of_a_child(self, server: Saving) -> None:
        waiting = server.client.pubsub()
        waiting.subscribe("c")
        assert waiting.get_message(timeout=SECONDS)
        server.populate()
        server.slow_down()
        server.client.bgsave()
        os.kill(server.child_pid(), signal.SIGTERM)
        server.wait_for_child()
        assert "scheduling shutdown" not in server.log
        server.client.publish("c", "still here")
        message = waiting.get_message(timeout=SECONDS)
        assert message is not None
        assert message["data"] == "still here"


class TestDamagedFiles:
    """Files that cannot be loaded stop the start, and stay as they are."""

    @pytest.mark.parametrize(
        ("damage", "told"),
        [
            (lambda data: data[:-20], "at byte"),
            (lambda data: data[:-1] + bytes([data[-1] ^ 1]), "checksum"),
            (lambda data: b"", "at byte 0"),
            (lambda data: b"RUBBISH" + data, "at byte 0"),
        ],
    )
    def test_the_start_ends_with_the_place_and_what_to_do(
        self, server: Saving, damage: Callable[[bytes], bytes], told: str
    ) -> None:
        server.end()
        path = server.folder / "dump.rdb"
        damaged = damage(path.read_bytes())
        path.write_bytes(damaged)
        ended = run(server.folder, "--port", "0", "--unixsocket", "s", *RULES)
        assert ended.returncode == 1
        assert "Bad file format reading the snapshot" in ended.stdout
        assert told in ended.stdout
        assert "sharedstate check" in ended.stdout
        assert path.read_bytes() == damaged

    def test_a_file_that_cannot_be_read_stops_the_start(self, server: Saving) -> None:
        server.end()
        (server.folder / "dump.rdb").unlink()
        (server.folder / "dump.rdb").mkdir()
        ended = run(server.folder, "--port", "0", "--unixsocket", "s", *RULES)
        assert ended.returncode == 1
        assert "Is a directory" in ended.stdout
