"""The manifest: what it says, what it refuses, and how it comes and goes as a whole."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from sharedstate_server import failpoints
from sharedstate_server.aof.errors import AofError
from sharedstate_server.aof.folder import LogFolder
from sharedstate_server.aof.manifest import Manifest

if TYPE_CHECKING:
    from pathlib import Path

BASE = "file appendonly.aof.1.base.rdb seq 1 type b\n"
FIRST = "file appendonly.aof.1.incr.aof seq 1 type i\n"
SECOND = "file appendonly.aof.2.incr.aof seq 2 type i\n"
OLD = "file appendonly.aof.0.base.rdb seq 7 type h\n"


def parse(text: str) -> Manifest:
    return Manifest.parse(text, "m")


@pytest.fixture
def folder(tmp_path: Path) -> LogFolder:
    folder = LogFolder(str(tmp_path / "appendonlydir"), "appendonly.aof")
    folder.make()
    return folder


def test_files_are_loaded_in_their_order_and_history_is_not() -> None:
    manifest = parse(OLD + BASE + FIRST + SECOND)
    assert [file.name for file in manifest.files] == [
        "appendonly.aof.1.base.rdb",
        "appendonly.aof.1.incr.aof",
        "appendonly.aof.2.incr.aof",
    ]
    assert [file.name for file in manifest.history] == ["appendonly.aof.0.base.rdb"]


def test_it_is_written_as_it_was_read() -> None:
    assert parse(BASE + OLD + FIRST + SECOND).text() == BASE + OLD + FIRST + SECOND


@pytest.mark.parametrize(
    "line",
    [
        "# a comment\n" + BASE,
        BASE.replace("file", "FILE"),
        BASE.replace(" ", "   "),
        BASE.replace("\n", "\r\n"),
        BASE.replace(" seq", " startoffset 5 seq"),
        'file "appendonly.aof.1.base.rdb" seq 1 type b\n',
    ],
)
def test_what_redis_takes_is_taken(line: str) -> None:
    assert parse(line + FIRST).text() == BASE + FIRST


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        ("# nothing\n", "names no file"),
        (BASE + FIRST[:-1], "cut off"),
        (BASE + "\n" + FIRST, "line 2"),
        ("hello\n", "pairs"),
        ("file a seq 1\n", "lacks `type`"),
        ("file a seq 1 type x\n", "unknown type"),
        ("file a seq 0 type b\n", "sequence number"),
        ("file a seq -1 type b\n", "sequence number"),
        ("file a seq one type b\n", "sequence number"),
        ("file ../a seq 1 type b\n", "a path"),
        ("file .. seq 1 type b\n", "a path"),
        (BASE + BASE, "second base"),
        (BASE + SECOND + FIRST, "order"),
        (BASE + FIRST + FIRST, "order"),
        ('file "a seq 1 type b\n', "quotes"),
        ("#" * 10 + "\n" + "file " + "a" * 2000 + " seq 1 type b\n", "too long"),
    ],
)
def test_what_is_wrong_is_refused_with_its_reason(text: str, reason: str) -> None:
    with pytest.raises(AofError, match=reason):
        parse(text)


def test_a_name_with_blanks_survives() -> None:
    manifest = Manifest()
    manifest = manifest.with_increment(manifest.next_increment('my "own" log'))
    assert parse(manifest.text()).increments[0].name == 'my "own" log.1.incr.aof'


def test_a_new_base_makes_history_of_all_but_what_followed_it() -> None:
    manifest = parse(BASE + FIRST + SECOND)
    base = manifest.next_base("appendonly.aof", is_snapshot=False)
    changed = manifest.with_base(base, manifest.increments[1:])
    assert [file.name for file in changed.files] == [
        "appendonly.aof.2.base.aof",
        "appendonly.aof.2.incr.aof",
    ]
    assert [file.sequence for file in changed.history] == [1, 1]
    assert changed.without_history().history == ()


def test_an_increment_is_not_named_as_one_that_is_to_be_deleted() -> None:
    """A log that is off is rewritten to a base alone, and goes on when it is on again."""
    manifest = parse(BASE + FIRST)
    base = manifest.next_base("appendonly.aof", is_snapshot=True)
    changed = manifest.with_base(base, ())
    increment = changed.next_increment("appendonly.aof")
    assert increment.name not in changed.names
    assert increment.sequence > manifest.increments[-1].sequence


@pytest.mark.parametrize(
    "place", ["aof.manifest", "aof.manifest-fsync", "aof.before-rename"]
)
def test_a_manifest_that_cannot_be_written_leaves_the_one_before(
    folder: LogFolder, place: str
) -> None:
    folder.replace_manifest(parse(BASE))
    failpoints.arm(place, "error:EIO")
    try:
        with pytest.raises(OSError, match="Input/output"):
            folder.replace_manifest(parse(BASE + FIRST))
    finally:
        failpoints.arm(place, "off")
    kept = folder.read_manifest()
    assert kept is not None
    assert kept.text() == BASE


def test_a_folder_without_a_log_has_no_manifest(folder: LogFolder) -> None:
    assert folder.read_manifest() is None
    assert not folder.has_log()


def test_files_without_a_manifest_are_not_begun_anew(folder: LogFolder) -> None:
    with open(folder.path + "/appendonly.aof.1.incr.aof", "wb") as file:
        file.write(b"*1\r\n")
    with pytest.raises(AofError, match="there is no manifest"):
        folder.read_manifest()


@pytest.mark.parametrize("text", ["", "garbage\n", BASE + BASE])
def test_a_manifest_that_is_damaged_is_to_be_put_back(folder: LogFolder, text: str) -> None:
    with open(folder.manifest_path, "w") as file:
        file.write(text)
    with pytest.raises(AofError, match="nor can `sharedstate check --fix`"):
        folder.read_manifest()


def test_what_the_system_refuses_is_no_damage(folder: LogFolder) -> None:
    # Not a missing permission, which root has anyway.
    os.mkdir(folder.manifest_path)
    with pytest.raises(IsADirectoryError) as caught:
        folder.read_manifest()
    assert caught.value.filename == folder.manifest_path


def test_orphans_are_what_looks_like_a_log_and_is_not_named(folder: LogFolder) -> None:
    manifest = parse(BASE + FIRST)
    ours = ["appendonly.aof.2.incr.aof", "appendonly.aof.9.base.aof"]
    ours += ["temp-rewriteaof-bg-12.aof", "temp-appendonly.aof.manifest"]
    others = ["appendonly.aof.1.incr.aof", "appendonly.aof.manifest", "notes.txt"]
    others += ["other.aof.1.incr.aof", "appendonly.aof.x.incr.aof"]
    for name in ours + others:
        with open(f"{folder.path}/{name}", "wb"):
            pass
    names = [path.rpartition("/")[2] for path in folder.orphans(manifest)]
    assert sorted(names) == sorted(ours)


def test_a_log_of_old_becomes_the_base(folder: LogFolder) -> None:
    with open(folder.old_path, "wb") as file:
        file.write(b"*1\r\n$8\r\nFLUSHALL\r\n")
    assert folder.has_log()
    assert folder.take_over_old_log()
    manifest = folder.read_manifest()
    assert manifest is not None
    assert manifest.text() == "file appendonly.aof seq 1 type b\n"
    assert folder.size_of(manifest.files[0]) == 18
    assert not folder.take_over_old_log()


def test_a_crash_between_naming_and_moving_a_log_of_old_is_made_good(
    folder: LogFolder,
) -> None:
    folder.replace_manifest(parse("file appendonly.aof seq 1 type b\n"))
    with open(folder.old_path, "wb") as file:
        file.write(b"*1\r\n$8\r\nFLUSHALL\r\n")
    assert folder.take_over_old_log()
    assert "appendonly.aof" in folder.names()


def test_a_log_of_old_beside_a_newer_one_is_left_alone(folder: LogFolder) -> None:
    folder.replace_manifest(parse(BASE))
    with open(folder.old_path, "wb") as file:
        file.write(b"*1\r\n$8\r\nFLUSHALL\r\n")
    assert not folder.take_over_old_log()
