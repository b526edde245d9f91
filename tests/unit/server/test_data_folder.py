"""The data folder: it is one server's, and what killed ones left goes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from sharedstate_server import data_folder
from sharedstate_server.data_folder import LOCK_NAME, DataFolder, FolderInUseError


@pytest.fixture
def folder() -> Iterator[DataFolder]:
    folder = DataFolder()
    yield folder
    folder.free()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_folder, "WAIT_SECONDS", 0.0)


@pytest.mark.usefixtures("impatient")
def test_a_folder_in_use_is_refused_with_the_pid_of_who_has_it(
    folder: DataFolder, tmp_path: Path
) -> None:
    folder.take(str(tmp_path))
    other = DataFolder()
    with pytest.raises(
        FolderInUseError, match=f"in use by another server, pid {os.getpid()}"
    ):
        other.take(str(tmp_path))
    assert not other.is_held


def test_who_does_not_wait_is_refused_at_once(
    folder: DataFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", pytest.fail)
    folder.take(str(tmp_path))
    with pytest.raises(FolderInUseError):
        DataFolder().take(str(tmp_path), waits=False)


def test_a_folder_that_was_left_is_free_and_clean(tmp_path: Path) -> None:
    one = DataFolder()
    one.take(str(tmp_path))
    one.free()
    assert not list(tmp_path.iterdir())
    two = DataFolder()
    two.take(str(tmp_path))
    assert two.is_held
    two.free()


def test_a_lock_file_that_a_killed_server_left_is_no_obstacle(
    folder: DataFolder, tmp_path: Path
) -> None:
    (tmp_path / LOCK_NAME).write_text("999999999\n")
    folder.take(str(tmp_path))
    assert (tmp_path / LOCK_NAME).read_text() == f"{os.getpid()}\n"


@pytest.mark.usefixtures("impatient")
def test_who_may_not_have_another_folder_keeps_its_own(
    folder: DataFolder, tmp_path: Path
) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    folder.take(str(tmp_path / "a"))
    other = DataFolder()
    other.take(str(tmp_path / "b"))
    with pytest.raises(FolderInUseError):
        folder.take(str(tmp_path / "b"))
    assert folder.is_held
    assert folder.path == str(tmp_path / "a")
    other.free()
    folder.take(str(tmp_path / "b"))
    assert not (tmp_path / "a" / LOCK_NAME).exists()


def test_temporary_files_of_the_dead_are_removed_and_no_others(
    folder: DataFolder, tmp_path: Path
) -> None:
    pid = os.fork()
    if not pid:
        os._exit(0)
    os.waitpid(pid, 0)
    kept = {f"temp-{os.getppid()}.rdb", "temp-x.rdb", "temp-.rdb", "mytemp-1.rdb"}
    for name in {f"temp-{pid}.rdb", "temp-99999999999999999999.rdb", *kept}:
        (tmp_path / name).touch()
    folder.take(str(tmp_path))
    assert {path.name for path in tmp_path.iterdir()} == kept | {LOCK_NAME}


def test_the_lock_is_no_way_to_write_elsewhere(folder: DataFolder, tmp_path: Path) -> None:
    target = tmp_path / "precious"
    target.write_text("all of it")
    (tmp_path / LOCK_NAME).symlink_to(target)
    with pytest.raises(OSError, match="symbolic"):
        folder.take(str(tmp_path))
    assert target.read_text() == "all of it"
