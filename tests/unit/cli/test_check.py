"""`sharedstate check`: what files hold, what is wrong with them, and repairs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

import sharedstate
from sharedstate.testing.background import wait_until
from sharedstate.testing.servers import BuiltInServer
from sharedstate_server.data_folder import DataFolder
from sharedstate_server.tools.examining import examine_file, examine_log
from sharedstate_server.tools.places import log_in
from tests.data_files import FAR_MS, LOG, PAST_MS, VARIED, snapshot_of, write_log
from tests.privileges import without_privilege
from tests.unit.server.started import client

Command = Callable[..., Any]


@pytest.fixture
def dump_file(tmp_path: Path) -> Path:
    path = tmp_path / "dump.rdb"
    path.write_bytes(snapshot_of(VARIED))
    return path


def test_a_sound_snapshot_is_described(run: Command, dump_file: Path) -> None:
    ended = run("check", str(dump_file))
    assert ended.code == 0
    for text in (
        "version 10",
        "database 0: 8 keys, of which 2 expire and 0 have expired",
        "    string: 4",
        "database 3: 1 key,",
        "functions: shop",
        "  sound",
    ):
        assert text in ended.out


def test_keys_whose_time_has_come_are_counted(run: Command, tmp_path: Path) -> None:
    path = tmp_path / "dump.rdb"
    commands: list[Any] = [("SET", "k", "v", "PXAT", PAST_MS)]
    path.write_bytes(snapshot_of(commands, now_ms=1))
    assert "1 expire and 1 have expired" in run("check", str(path)).out


def test_what_is_found_can_be_had_as_json(run: Command, dump_file: Path) -> None:
    found = run("check", str(dump_file), "--json").data
    assert found["sound"] is True
    (file,) = found["found"]
    assert file["damage"] is None
    assert file["snapshot"]["functions"] == ["shop"]
    assert file["snapshot"]["databases"]["3"]["types"]["string"]["keys"] == 1


def test_a_log_is_described_file_by_file(run: Command, tmp_path: Path) -> None:
    log = write_log(tmp_path, LOG, base=snapshot_of(VARIED))
    ended = run("check", str(log))
    assert ended.code == 0
    for text in (
        "a log of 2 files",
        "7 commands in 4 units",
        "written from 2023-11-14 22:13:20 UTC to 2023-11-14 22:13:20 UTC",
        "the log is sound",
    ):
        assert text in ended.out


@pytest.mark.parametrize(
    "place", ["", "appendonlydir", "appendonlydir/appendonly.aof.manifest"]
)
def test_a_log_is_found_by_its_folder_the_data_folder_or_its_manifest(
    run: Command, tmp_path: Path, place: str
) -> None:
    write_log(tmp_path, LOG)
    assert "the log is sound" in run("check", str(tmp_path / place)).out


def test_a_folder_has_its_snapshots_and_its_logs_checked(
    run: Command, dump_file: Path
) -> None:
    write_log(dump_file.parent, LOG[:-1])
    ended = run("check", str(dump_file.parent))
    assert ended.code == 1
    assert "dump.rdb" in ended.out
    assert "torn at byte" in ended.out


def test_content_counts_and_not_the_name(run: Command, tmp_path: Path) -> None:
    path = tmp_path / "backup.txt"
    path.write_bytes(LOG)
    assert "7 commands in 4 units" in run("check", str(path)).out
    path.write_bytes(snapshot_of(VARIED))
    assert "functions: shop" in run("check", str(path)).out
    path.write_bytes(snapshot_of(VARIED) + LOG)
    both = run("check", str(path))
    assert both.code == 0
    assert "functions: shop" in both.out
    assert "7 commands in 4 units" in both.out


def test_what_is_neither_is_damaged_and_stays(run: Command, tmp_path: Path) -> None:
    path = tmp_path / "letter"
    path.write_bytes(b"Dear Sir")
    ended = run("check", str(path), "--fix", "--yes")
    assert ended.code == 1
    assert "neither a snapshot" in ended.out
    assert path.read_bytes() == b"Dear Sir"


def test_an_empty_folder_and_a_missing_file_are_wrong_usage(
    run: Command, tmp_path: Path
) -> None:
    assert run("check", str(tmp_path)).code == 2
    assert run("check", str(tmp_path / "none")).code == 2


def test_files_that_a_crash_has_left_are_named(run: Command, tmp_path: Path) -> None:
    log = write_log(tmp_path, LOG)
    (log / "appendonly.aof.9.incr.aof").write_bytes(b"")
    ended = run("check", str(log))
    assert ended.code == 0
    assert "appendonly.aof.9.incr.aof: left by a crash" in ended.out


# -- damage


def test_a_snapshot_that_is_cut_anywhere_is_damaged(tmp_path: Path) -> None:
    whole = snapshot_of(VARIED)
    path = tmp_path / "dump.rdb"
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        damage = examine_file(str(path)).damage
        assert damage is not None, size
        assert damage.offset is not None
        assert damage.sound_bytes <= damage.offset <= size


def test_a_snapshot_with_any_byte_flipped_is_damaged(tmp_path: Path) -> None:
    whole = snapshot_of(VARIED)
    path = tmp_path / "dump.rdb"
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 0x41
        path.write_bytes(damaged)
        assert examine_file(str(path)).damage is not None, place


def test_a_tear_that_is_not_at_the_end_of_the_log_is_damage(tmp_path: Path) -> None:
    found = examine_log(log_in(str(write_log(tmp_path, LOG[:-3], LOG))))  # type: ignore[arg-type]
    assert found.damage is not None
    assert found.damage.kind == "damaged"
    assert found.damage.reason.endswith("and the log goes on in other files")


# -- servers


def test_a_folder_in_use_is_refused_with_the_pid(run: Command, tmp_path: Path) -> None:
    write_log(tmp_path, LOG)
    holder = DataFolder()
    holder.take(str(tmp_path))
    try:
        for words in ((str(tmp_path),), (str(tmp_path / "appendonlydir"), "--fix")):
            ended = run("check", *words)
            assert ended.code == 2
            assert "is in use by" in ended.err
            assert f"pid {os.getpid()}" in ended.err
    finally:
        holder.free()
    assert run("check", str(tmp_path)).code == 0


def test_the_folder_of_a_programs_store_is_in_use_while_it_runs(
    run: Command, tmp_path: Path
) -> None:
    folder = tmp_path / "store"
    with sharedstate.connect(f"local://{folder}", linger=0.0) as state:
        state.counter("hits").add(1)
        ended = run("check", str(folder))
    assert ended.code == 2
    assert "is in use by a server, pid" in ended.err
    wait_until(lambda: run("check", str(folder)).code == 0, 20.0)


def test_a_copy_of_a_log_that_grows_meanwhile_is_sound_once_it_is_repaired(
    run: Command, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    settings = ("--set", "appendonly=yes", "--set", f"dir={tmp_path}")
    with BuiltInServer(*settings) as server, client(server.port) as one:
        for number in range(150):
            one.rpush("list", number)
        pipe = one.pipeline()
        for number in range(20_000):
            pipe.set(f"k{number}", number)
        writing = Thread(target=pipe.execute)
        writing.start()
        shutil.copytree(tmp_path / "appendonlydir", copy)
        writing.join()
    run("check", str(copy), "--fix", "--yes")
    assert run("check", str(copy)).code == 0
    (key,) = [
        json.loads(line)
        for line in run("dump", str(copy), "--json", "--match", "list").out.splitlines()
    ]
    assert key["value"] == [str(number) for number in range(150)]


def test_the_snapshot_of_a_folder_in_use_can_be_looked_at_and_not_repaired(
    run: Command, dump_file: Path
) -> None:
    holder = DataFolder()
    holder.take(str(dump_file.parent))
    try:
        assert run("check", str(dump_file)).code == 0
        assert run("check", str(dump_file), "--fix").code == 2
    finally:
        holder.free()


def test_a_repair_leaves_no_lock_behind(run: Command, tmp_path: Path) -> None:
    log = write_log(tmp_path, LOG[:-1])
    assert run("check", str(tmp_path), "--fix", "--yes").code == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == [log.name]


def test_deadlines_of_any_size_can_be_told(run: Command, tmp_path: Path) -> None:
    path = tmp_path / "dump.rdb"
    path.write_bytes(snapshot_of([("SET", "k", "v", "PXAT", 2**62), ("SET", "l", FAR_MS)]))
    assert run("check", str(path)).code == 0


# -- what is no data, or may not be read


@pytest.mark.parametrize("command", ["check", "dump", "restore"])
def test_what_is_no_regular_file_is_refused_at_once(
    run: Command, tmp_path: Path, command: str
) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    for path in (str(fifo), "/dev/null", "/dev/zero"):
        store = ("--url", "server://127.0.0.1:1") if command == "restore" else ()
        ended = run(command, path, *store)
        assert ended.code == 2
        assert f"{path} is no regular file" in ended.err


@pytest.mark.parametrize(
    ("name", "code", "told"),
    [
        ("dump.rdb", 1, "damaged at byte 0: the file is empty"),
        ("backup", 1, "damaged at byte 0: the file is empty"),
        ("appendonly.aof", 0, "sound, and empty"),
    ],
)
def test_an_empty_file_is_called_empty(
    run: Command, tmp_path: Path, name: str, code: int, told: str
) -> None:
    path = tmp_path / name
    path.write_bytes(b"")
    ended = run("check", str(path))
    assert ended.code == code
    assert f"  {told}\n" in ended.out
    assert "version" not in ended.out
    assert run("dump", str(path)).code == code


def test_a_base_that_has_become_empty_is_damage(run: Command, tmp_path: Path) -> None:
    log = write_log(tmp_path, LOG, base=snapshot_of(VARIED))
    base = log / "appendonly.aof.1.base.rdb"
    base.write_bytes(b"")
    ended = run("check", str(tmp_path), "--fix", "--yes")
    assert ended.code == 1
    assert "is empty" in ended.out
    assert str(base) in ended.out.splitlines()[-1]
    assert "backup" in ended.out.splitlines()[-1]
    assert "the log is sound" not in ended.out


@pytest.mark.parametrize("command", ["check", "dump"])
@pytest.mark.parametrize("name", ["appendonly.aof.1.incr.aof", "appendonly.aof.manifest"])
def test_a_file_that_may_not_be_read_is_named_and_not_called_damaged(
    tmp_path: Path, name: str, command: str
) -> None:
    path = write_log(tmp_path, LOG) / name
    path.chmod(0)
    ended = subprocess.run(
        [*without_privilege(), sys.executable, "-m", "sharedstate", command, str(tmp_path)],
        capture_output=True,
        text=True,
        env=os.environ | {"COLUMNS": "1000"},
        check=False,
    )
    assert ended.returncode == 2
    assert f"{path}: Permission denied" in ended.stderr
    assert "damaged" not in ended.stdout + ended.stderr


# -- which of them a server would load


def test_of_a_log_and_a_snapshot_it_says_which_a_server_would_load(
    run: Command, dump_file: Path
) -> None:
    folder = dump_file.parent
    log = write_log(folder, LOG)
    os.utime(log / "appendonly.aof.1.incr.aof", (1, 1))
    ended = run("check", str(folder))
    manifest = log / "appendonly.aof.manifest"
    assert f"a server that keeps a log (appendonly yes) loads {manifest}" in ended.out
    assert f"not {dump_file}, which is newer: to have that, move {log} away" in ended.out
    loads = {"appendonly yes": str(manifest), "appendonly no": str(dump_file)}
    assert run("check", str(folder), "--json").data["loads"] == loads


def test_of_a_log_that_never_began_and_a_snapshot_the_snapshot_is_loaded(
    run: Command, dump_file: Path
) -> None:
    log = dump_file.parent / "appendonlydir"
    log.mkdir()
    (log / "appendonly.aof.1.incr.aof").write_bytes(b"")
    ended = run("check", str(dump_file.parent))
    assert f"a server loads {dump_file}" in ended.out
    loads = run("check", str(dump_file.parent), "--json").data["loads"]
    assert set(loads.values()) == {str(dump_file)}


def test_where_there_is_nothing_to_choose_nothing_is_said_of_it(
    run: Command, dump_file: Path
) -> None:
    assert "loads" not in run("check", str(dump_file.parent)).out
    write_log(dump_file.parent, LOG)
    assert "loads" not in run("check", str(dump_file)).out
