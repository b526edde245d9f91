"""The writer: what stands in the file, also after writes that the disk took by halves."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from sharedstate_server import failpoints
from sharedstate_server.aof.packing import pack, pack_all
from sharedstate_server.aof.writer import LogWriter

if TYPE_CHECKING:
    from pathlib import Path

SELECT = b"*2\r\n$6\r\nSELECT\r\n$1\r\n%d\r\n"
SET = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\n%d\r\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def writer(path: Path) -> Iterator[LogWriter]:
    writer = LogWriter()
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    writer.go_on_in(fd, 0)
    yield writer
    for place in ("aof.write", "aof.truncate"):
        failpoints.arm(place, "off")
    os.close(fd)


def take(writer: LogWriter, number: int, database: int = 0) -> None:
    writer.take(database, [b"SET", b"k", b"%d" % number])


def test_effects_are_written_in_order_and_select_their_database(
    writer: LogWriter, path: Path
) -> None:
    take(writer, 1)
    take(writer, 2)
    writer.write()
    take(writer, 3)
    take(writer, 4, database=5)
    writer.write()
    expected = SELECT % 0 + SET % 1 + SET % 2 + SET % 3 + SELECT % 5 + SET % 4
    assert path.read_bytes() == expected
    assert writer.size == len(expected)
    assert not writer


def test_another_file_begins_with_its_database(
    writer: LogWriter, path: Path, tmp_path: Path
) -> None:
    take(writer, 1)
    writer.write()
    fd = os.open(tmp_path / "next", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    before = writer.go_on_in(fd, 0)
    take(writer, 2)
    writer.write()
    assert (tmp_path / "next").read_bytes() == SELECT % 0 + SET % 2
    os.close(writer.go_on_in(before, 0))


def test_annotations_stand_in_front_when_a_second_has_passed(
    writer: LogWriter, path: Path
) -> None:
    writer.has_times = True
    take(writer, 1)
    writer.write()
    line, _, rest = path.read_bytes().partition(b"\r\n")
    assert line.startswith(b"#TS:")
    assert line[4:].isdigit()
    assert rest == SELECT % 0 + SET % 1


@pytest.mark.parametrize("size", [1, 20, 50])
def test_a_write_that_was_short_is_gone_on_with(
    writer: LogWriter, path: Path, size: int
) -> None:
    failpoints.arm("aof.write", f"short:{size}*2")
    take(writer, 1)
    take(writer, 2)
    writer.write()
    assert path.read_bytes() == SELECT % 0 + SET % 1 + SET % 2


def test_a_write_that_fails_waits(writer: LogWriter, path: Path) -> None:
    failpoints.arm("aof.write", "error:ENOSPC*1")
    take(writer, 1)
    with pytest.raises(OSError, match="No space"):
        writer.write()
    take(writer, 2)
    assert path.read_bytes() == b""
    writer.write()
    assert path.read_bytes() == SELECT % 0 + SET % 1 + SET % 2


def test_a_write_that_fails_in_the_middle_is_taken_back(
    writer: LogWriter, path: Path
) -> None:
    take(writer, 1)
    writer.write()
    whole = path.read_bytes()
    take(writer, 2)
    with room_for(len(whole) + 10), pytest.raises(OSError, match="too large"):
        writer.write()
    assert path.read_bytes() == whole
    assert writer.size == len(whole)
    writer.write()
    assert path.read_bytes() == whole + SET % 2


def test_what_cannot_be_taken_back_is_gone_on_with(writer: LogWriter, path: Path) -> None:
    failpoints.arm("aof.truncate", "error:EIO")
    take(writer, 1)
    with room_for(10), pytest.raises(OSError, match="too large"):
        writer.write()
    assert path.read_bytes() == (SELECT % 0)[:10]
    assert writer.size == 10
    writer.write()
    assert path.read_bytes() == SELECT % 0 + SET % 1
    assert writer.size == len(SELECT % 0 + SET % 1)


@contextmanager
def room_for(size_bytes: int) -> Iterator[None]:
    """Let files be no bigger than this: a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_big_words_and_long_commands_are_packed_like_small_ones() -> None:
    commands = [
        [b"SET", b"k", b"v" * 5000],
        [b"DEL", *(b"%d" % number for number in range(100))],
        [b"PING"],
        [b"SET", b"", b""],
    ]
    assert pack_all(commands) == b"".join(pack(tuple(argv)) for argv in commands)
    assert pack_all(commands[3:]) == pack(tuple(commands[3]))
    assert pack_all([]) == b""
