"""Units: the careful way to read a file of a log, command by command, with offsets.

    #TS:1700000000 CRLF                       when what follows was written: let pass
    *3 CRLF $3 CRLF SET CRLF $1 CRLF ...      a unit: one command
    *1 CRLF $5 CRLF MULTI CRLF ... EXEC       a unit: a transaction, or not at all

For tools, and for what the quick way (`parsing.py`) has met and cannot tell: where exactly
a log ends that was cut off, and where exactly it is damaged. Reads each byte once, and
believes a length only as far as the file goes. Some 4 µs for a small command.
"""

from __future__ import annotations

import os
import re
from itertools import islice

from sharedstate_memory.commands.registry import lookup

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

# More than any effect has: one may name every member of a set, or hold what a setting of
# `proto-max-bulk-len` lets in. The file's size is what bounds the memory.
_MAX_HEADER_BYTES = 32
_MAX_WORDS = 2**31 - 1
_MAX_WORD_BYTES = 2**32

# Longer annotations are none.
_MAX_LINE_BYTES = 1024

_BLOCK_BYTES = 64 * 1024

# `*2147483647`, `$4294967296` and three line ends.
_BEGINNING = re.compile(rb"\r\n\*[1-9]\d{0,9}\r\n\$\d{1,10}\r\n")
_LONGEST_BEGINNING = 28
_END = b"\r\n"

# So many beginnings are tried: the first is one, where a length was wrong.
_MOST_TRIES = 1000

# What an annotation of the time begins with.
_TIME = b"#TS:"

MULTI = b"MULTI"
EXEC = b"EXEC"


class Trouble(Exception):
    """Why no unit follows, at `offset`. `is_torn` says that the file ends in the middle of
    one, as it does after a crash; otherwise it is damaged.
    """

    def __init__(self, offset: int, reason: str, *, is_torn: bool) -> None:
        super().__init__(reason)
        self.offset = offset
        self.reason = reason
        self.is_torn = is_torn


class Unit:
    """Commands that are executed together, and where in the file they stand. `time_s` is
    the last annotation in front of them: when they were written, if the file says so.
    """

    __slots__ = ("commands", "end", "start", "time_s")

    def __init__(
        self, start: int, end: int, commands: list[list[bytes]], time_s: int | None
    ) -> None:
        self.start = start
        self.end = end
        self.commands = commands
        self.time_s = time_s


def units_of(file: BinaryIO, start: int = 0) -> Iterator[Unit]:
    """The units of a file from an offset on. Annotations belong to the unit after them.

    Raises `Trouble`, whose offset is the end of the last whole unit if the file is torn
    there, and the place of the damage if it is not.
    """
    size = os.fstat(file.fileno()).st_size
    file.seek(start)
    reader = CommandReader(file, start, size)
    commands: list[list[bytes]] = []
    try:
        while argv := reader.command():
            name = argv[0].upper()
            if name == MULTI and not commands:
                commands = [argv]
                continue
            if commands:
                commands.append(argv)
                if name != EXEC:
                    continue
            yield Unit(start, reader.offset, commands or [argv], reader.time_s)
            start, commands = reader.offset, []
    except CutError:
        raise _torn(start, size) from None
    except BadError as error:
        if _is_blank(file, error.offset):
            # A file system may have noted the size and not the bytes when power failed.
            raise _torn(start, size) from None
        raise Trouble(reader.offset, str(error), is_torn=False) from None
    if commands:
        raise _torn(start, size)


def _torn(start: int, size: int) -> Trouble:
    return Trouble(start, f"the last {size - start} bytes are no whole unit", is_torn=True)


def has_commands_behind(file: BinaryIO, start: int) -> bool:
    """Whether whole commands stand behind a tear, that of the unit which begins at
    `start`. A crash leaves none there; a length that is wrong does, since all that follows
    passes for a part of one word. So does the lost end of a transaction: then commands
    that nobody knows stand in it.
    """
    size = os.fstat(file.fileno()).st_size
    file.seek(start)
    reader = CommandReader(file, start, size)
    try:
        while argv := reader.command():
            if lookup(argv[0]) is None:
                return True
    except (CutError, BadError):
        # The tear: behind it, it is to be found where the next command begins.
        pass
    beginnings = _beginnings(file, reader.offset)
    return any(_is_command(file, at, size) for at in islice(beginnings, _MOST_TRIES))


def _beginnings(file: BinaryIO, start: int) -> Iterator[int]:
    """Where something stands, behind an offset, that looks like a command's beginning."""
    at, kept = start, b""
    while True:
        file.seek(at + len(kept))
        if not (block := file.read(_BLOCK_BYTES)):
            return
        data = kept + block
        for found in _BEGINNING.finditer(data):
            yield at + found.start() + len(_END)
        # Half a beginning may be in this block, and half in the next.
        kept = data[-_LONGEST_BEGINNING:]
        at += len(data) - len(kept)


def _is_command(file: BinaryIO, at: int, size: int) -> bool:
    file.seek(at)
    try:
        return bool(CommandReader(file, at, size).command())
    except (CutError, BadError):
        return False


class CutError(Exception):
    """The file ends where there should be more."""


class BadError(Exception):
    """What stands there, from `offset` on, is not what must."""

    def __init__(self, offset: int, reason: str) -> None:
        super().__init__(reason)
        self.offset = offset


class CommandReader:
    """One command after the other, from where the file stands. `offset` is where the next
    item is expected, and `time_s` the time of the last annotation.
    """

    __slots__ = ("_file", "_size", "offset", "time_s")

    def __init__(self, file: BinaryIO, offset: int, size: int) -> None:
        self._file = file
        self._size = size
        self.offset = offset
        self.time_s: int | None = None

    def command(self) -> list[bytes]:
        """The next command; none at the end of the file. Raises `CutError`, `BadError`."""
        while True:
            if self.offset == self._size:
                return []
            first = self._file.peek(1)[:1]  # type: ignore[attr-defined]
            if first != b"#":
                break
            line = self._line(_MAX_LINE_BYTES, b"#")
            self.offset += len(line)
            if line.startswith(_TIME) and line[len(_TIME) : -2].isdigit():
                self.time_s = int(line[len(_TIME) : -2])
        count = self._number(b"*", 1, _MAX_WORDS)
        return [self._word() for _ in range(count)]

    def _word(self) -> bytes:
        length = self._number(b"$", 0, _MAX_WORD_BYTES)
        if self.offset + length + 2 > self._size:
            raise CutError
        word = self._file.read(length)
        end = self._file.read(2)
        if end != b"\r\n":
            at = self.offset + length + (end[:1] == b"\r")
            raise BadError(at, f"expected CRLF behind a word, found {end!r}")
        self.offset += length + 2
        return word

    def _number(self, mark: bytes, least: int, most: int) -> int:
        line = self._line(_MAX_HEADER_BYTES, mark)
        digits = line[1:-2]
        if line[:1] != mark or not digits.isdigit() or not least <= int(digits) <= most:
            reason = f"expected {mark.decode()} and a number, found {line!r}"
            raise BadError(self.offset, reason)
        self.offset += len(line)
        return int(digits)

    def _line(self, most: int, mark: bytes) -> bytes:
        """A line with its end, which is not counted yet."""
        line = self._file.readline(most)
        if line.endswith(b"\r\n"):
            return line
        start = line.partition(b"\0")[0]
        is_start = start[:1] in (b"", mark) and b"\n" not in start
        if is_start and self.offset + len(line) == self._size and start == line:
            raise CutError
        at = self.offset + (len(start) if is_start else 0)
        raise BadError(at, f"expected a line that ends with CRLF, found {line[:64]!r}")


def _is_blank(file: BinaryIO, start: int) -> bool:
    """Whether nothing but zero bytes stand from here to the end."""
    file.seek(start)
    while block := file.read(_BLOCK_BYTES):
        if block.count(0) != len(block):
            return False
    return True
