"""`sharedstate check --fix`: what is cut off, what is kept, and who is asked."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.data_files import END_OF_UNITS, LOG, VARIED, log_of, snapshot_of, write_log

Command = Callable[..., Any]


def last_end(size: int) -> int:
    """The end of the last whole unit among the first so many bytes."""
    return max(end for end in END_OF_UNITS if end <= size)


@pytest.fixture
def dump_file(tmp_path: Path) -> Path:
    path = tmp_path / "dump.rdb"
    path.write_bytes(snapshot_of(VARIED))
    return path


def test_a_log_that_is_cut_anywhere_is_repaired_to_its_last_whole_unit(
    run: Command, tmp_path: Path
) -> None:
    path = tmp_path / "appendonly.aof"
    for size in range(len(LOG)):
        path.write_bytes(LOG[:size])
        # What has ended well needs no repair.
        is_sound = last_end(size) == size or LOG[last_end(size) : size].endswith(b"00\r\n")
        assert run("check", str(path)).code == (0 if is_sound else 1), size
        assert run("check", str(path), "--fix", "--yes").code == 0
        assert path.read_bytes() == LOG[: size if is_sound else last_end(size)]
        assert run("check", str(path)).code == 0


def test_a_log_with_any_byte_flipped_is_sound_or_repaired_to_a_beginning(
    tmp_path: Path, run: Command
) -> None:
    path = tmp_path / "appendonly.aof"
    for place in range(len(LOG)):
        damaged = bytearray(LOG)
        damaged[place] ^= 0x11
        path.write_bytes(damaged)
        if run("check", str(path)).code:
            assert run("check", str(path), "--fix", "--yes").code == 0, place
            assert bytes(damaged).startswith(path.read_bytes())
            assert len(path.read_bytes()) in END_OF_UNITS
            assert run("check", str(path)).code == 0
        for copy in tmp_path.glob("*.damaged"):
            assert copy.read_bytes() == damaged
            copy.unlink()


def test_a_half_transaction_is_dropped_after_it_was_shown(
    run: Command, tmp_path: Path
) -> None:
    log = write_log(tmp_path, LOG + log_of([("MULTI",), ("SET", "half", "v")]))
    path = log / "appendonly.aof.1.incr.aof"
    ended = run("check", str(tmp_path), "--fix", "--yes")
    assert ended.code == 0
    assert "with 2 commands that can be read\n    MULTI\n    SET half v\n" in ended.out
    assert f"copied to {path}.damaged" in ended.out
    assert path.read_bytes() == LOG


def test_damage_in_the_middle_drops_all_that_follows_and_says_so(
    run: Command, tmp_path: Path
) -> None:
    rest = log_of([("SET", f"k{n}", "v") for n in range(50)])
    path = tmp_path / "appendonly.aof"
    path.write_bytes(LOG + b"*x\r\n" + rest)
    ended = run("check", str(path), "--fix", "--yes")
    assert ended.code == 0
    assert f"damaged at byte {len(LOG)}" in ended.out
    assert "with 50 commands that can be read" in ended.out
    assert "    SET k0 v\n" in ended.out
    assert "… and 45 more" in ended.out
    assert path.read_bytes() == LOG
    assert Path(f"{path}.damaged").read_bytes() == LOG + b"*x\r\n" + rest


def test_files_behind_the_damaged_one_leave_the_log_and_are_kept(
    run: Command, tmp_path: Path
) -> None:
    later = log_of([("SET", "later", "v")])
    log = write_log(tmp_path, LOG[:-3], later)
    ended = run("check", str(tmp_path), "--fix", "--yes")
    assert ended.code == 0
    assert "and the log goes on in other files" not in run("check", str(log)).out
    assert "    SET later v" in ended.out
    dropped = log / "appendonly.aof.2.incr.aof"
    assert not dropped.exists()
    assert Path(f"{dropped}.dropped").read_bytes() == later
    assert "seq 2" not in (log / "appendonly.aof.manifest").read_text()


def test_to_repair_one_file_of_a_log_is_to_repair_the_log(
    run: Command, tmp_path: Path
) -> None:
    log = write_log(tmp_path, LOG[:-3], LOG, LOG)
    path = log / "appendonly.aof.1.incr.aof"
    assert run("check", str(path), "--fix", "--yes").code == 0
    assert run("check", str(log)).code == 0
    assert path.read_bytes() == LOG[: last_end(len(LOG) - 3)]
    assert not (log / "appendonly.aof.3.incr.aof").exists()


def test_a_damaged_base_can_be_saved_in_part(run: Command, tmp_path: Path) -> None:
    log = write_log(tmp_path, LOG, base=snapshot_of(VARIED)[:-20])
    base = log / "appendonly.aof.1.base.rdb"
    assert run("check", str(base), "--fix", "--yes").code == 1
    assert run("check", f"{base}.repaired").code == 0


def test_nothing_is_repaired_without_a_yes(run: Command, tmp_path: Path) -> None:
    path = tmp_path / "appendonly.aof"
    path.write_bytes(LOG[:-3])
    ended = run("check", str(path), "--fix")
    assert ended.code == 1
    assert "--yes says that it may be done" in ended.out
    assert path.read_bytes() == LOG[:-3]
    assert sorted(tmp_path.iterdir()) == [path]


class Terminal(io.StringIO):
    """Somebody at a keyboard, who has typed something."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("typed", "code"), [("y\n", 0), ("n\n", 1), ("\n", 1)])
def test_who_sits_at_a_terminal_is_asked(
    run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, typed: str, code: int
) -> None:
    path = tmp_path / "appendonly.aof"
    path.write_bytes(LOG[:-3])
    monkeypatch.setattr(sys, "stdin", Terminal(typed))
    assert run("check", str(path), "--fix").code == code
    assert (path.read_bytes() == LOG[:-3]) is bool(code)


def test_a_copy_never_takes_the_place_of_another(run: Command, tmp_path: Path) -> None:
    path = tmp_path / "appendonly.aof"
    for tail in (b"*1\r\n", b"*2\r\n"):
        path.write_bytes(LOG + tail)
        assert run("check", str(path), "--fix", "--yes").code == 0
    assert Path(f"{path}.damaged").read_bytes() == LOG + b"*1\r\n"
    assert Path(f"{path}.damaged.2").read_bytes() == LOG + b"*2\r\n"


def test_what_can_be_read_of_a_snapshot_goes_into_a_new_file(
    run: Command, dump_file: Path
) -> None:
    damaged = dump_file.read_bytes()[:-30]
    dump_file.write_bytes(damaged)
    ended = run("check", str(dump_file), "--fix", "--yes")
    assert ended.code == 1
    assert "of 8, so that" in ended.out
    assert dump_file.read_bytes() == damaged
    assert run("check", f"{dump_file}.repaired").code == 0


def test_a_snapshot_cut_anywhere_gives_a_sound_one_if_a_key_is_whole(
    run: Command, dump_file: Path
) -> None:
    whole = dump_file.read_bytes()
    for size in range(0, len(whole), 3):
        dump_file.write_bytes(whole[:size])
        ended = run("check", str(dump_file), "--fix", "--yes")
        repaired = Path(f"{dump_file}.repaired")
        assert repaired.exists() or "Nothing can be read" in ended.out
        if repaired.exists():
            assert run("check", str(repaired)).code == 0
            repaired.unlink()


def test_a_wrong_checksum_is_told_as_what_it_is(run: Command, dump_file: Path) -> None:
    damaged = bytearray(dump_file.read_bytes())
    damaged[-1] ^= 1
    dump_file.write_bytes(damaged)
    ended = run("check", str(dump_file), "--fix", "--yes")
    assert "the checksum says that something in them is not as it" in ended.out


def test_a_damaged_base_is_not_cut(run: Command, tmp_path: Path) -> None:
    base = snapshot_of(VARIED)[:-20]
    log = write_log(tmp_path, LOG, base=base)
    path = log / "appendonly.aof.1.base.rdb"
    ended = run("check", str(log), "--fix", "--yes")
    assert ended.code == 1
    assert "cannot be repaired by cutting" in ended.out
    assert f"`sharedstate check {path} --fix` writes what can be read of it" in ended.out
    assert path.read_bytes() == base


def test_of_a_base_in_which_no_key_is_whole_nothing_is_promised(
    run: Command, tmp_path: Path
) -> None:
    log = write_log(tmp_path, LOG, base=snapshot_of(VARIED)[:12])
    ended = run("check", str(log), "--fix", "--yes")
    assert ended.code == 1
    assert "can be read: put a backup in its place" in ended.out
    assert "--fix" not in ended.out


@pytest.mark.parametrize("name", ["appendonly.aof.1.incr.aof", "appendonly.aof.manifest"])
def test_a_log_with_a_file_missing_is_damaged_and_stays(
    run: Command, tmp_path: Path, name: str
) -> None:
    log = write_log(tmp_path, LOG, LOG)
    (log / name).unlink()
    left = sorted(log.iterdir())
    ended = run("check", str(log), "--fix", "--yes")
    assert ended.code == 1
    assert f"{log / name} is missing" in ended.out
    assert "put it back from a backup" in ended.out
    assert sorted(log.iterdir()) == left


@pytest.mark.parametrize("text", ["", "rubbish\n"])
def test_a_manifest_that_says_nothing_is_to_come_from_a_backup(
    run: Command, tmp_path: Path, text: str
) -> None:
    log = write_log(tmp_path, LOG)
    manifest = log / "appendonly.aof.manifest"
    manifest.write_text(text)
    ended = run("check", str(log), "--fix", "--yes")
    assert ended.code == 1
    assert f"put {manifest} back from a backup" in ended.out
    assert manifest.read_text() == text


def test_a_command_of_no_log_is_damage_with_a_warning(run: Command, tmp_path: Path) -> None:
    path = tmp_path / "appendonly.aof"
    path.write_bytes(LOG + log_of([("XADD", "s", "*", "f", "v")]))
    ended = run("check", str(path), "--fix")
    assert f"damaged at byte {len(LOG)}: the command 'XADD' is not known" in ended.out
    assert "If another server wrote this log, it may be whole" in ended.out


def test_a_preview_of_much_rubbish_ends_soon(run: Command, tmp_path: Path) -> None:
    path = tmp_path / "appendonly.aof"
    path.write_bytes(b"*x" + b"\r\n*9\r\n$100\r\n" * 50_000)
    assert run("check", str(path), "--fix", "--yes").code == 0
