"""What stands behind damage: the commands that can still be read there, for a preview.

Nothing says where the next command begins once one is damaged. So what looks like the
beginning of one is tried, and what can be read from there on is counted. That may be
something inside a value: a preview tells what is likely to be lost, never less than that.
"""

from __future__ import annotations

import os

from sharedstate_server.aof.units import BadError, CommandReader, CutError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

SHOWN_COMMANDS = 5
"""So many are shown of what would be dropped."""

# So often it is tried to find a next command: each time may cost a look at all the rest.
_MOST_TRIES = 1000

_BLOCK_BYTES = 256 * 1024

# `*1048576`, `$536870912` and their ends: a beginning is not longer.
_LONGEST_BEGINNING = 24

_SHOWN_WORDS = 6
_SHOWN_BYTES = 32


class Remainder:
    """What stands in a file from an offset on."""

    __slots__ = ("commands", "is_whole", "path", "shown", "size")

    def __init__(self, path: str, start: int) -> None:
        self.path = path
        self.commands = 0
        """How many commands can be read."""
        self.shown: list[str] = []
        """The first of them, in a readable form."""
        self.is_whole = True
        """Whether all of it was looked at."""
        with open(path, "rb") as file:
            self.size = os.fstat(file.fileno()).st_size - start
            for argv in _readable_commands(file, start):
                if argv is None:
                    self.is_whole = False
                    return
                self.commands += 1
                if self.commands <= SHOWN_COMMANDS:
                    self.shown.append(readable(argv))


def readable(argv: list[bytes]) -> str:
    """A command as a person reads it, on one line that is not too long."""
    words = [_quoted(word) for word in argv[:_SHOWN_WORDS]]
    if len(argv) > _SHOWN_WORDS:
        words.append(f"… {len(argv) - _SHOWN_WORDS} words more")
    return " ".join(words)


def _quoted(word: bytes) -> str:
    shown = repr(word[:_SHOWN_BYTES])[1:]
    is_plain = shown[1:-1].isalnum() and len(word) <= _SHOWN_BYTES
    return shown[1:-1] if is_plain else shown + "…" * (len(word) > _SHOWN_BYTES)


def _readable_commands(file: BinaryIO, start: int) -> Iterator[list[bytes] | None]:
    """The commands; None in the end if there may be more, but it would take too long."""
    size = os.fstat(file.fileno()).st_size
    at: int | None = start
    for _ in range(_MOST_TRIES):
        if at is None:
            return
        file.seek(at)
        reader = CommandReader(file, at, size)
        begun = at
        try:
            while argv := reader.command():
                yield argv
                begun = reader.offset
            return
        except (CutError, BadError):
            at = _next_beginning(file, begun + 1)
    if at is not None:
        yield None


def _next_beginning(file: BinaryIO, start: int) -> int | None:
    """Where something stands, from an offset on, that looks like a command's beginning."""
    import re

    pattern = re.compile(rb"(?<=\r\n)\*[1-9]\d{0,6}\r\n\$\d{1,9}\r\n")
    # What stands before a beginning belongs to the look, and so does half of one.
    at = max(start - 2, 0)
    file.seek(at)
    kept = b""
    while block := file.read(_BLOCK_BYTES):
        data = kept + block
        found = pattern.search(data)
        if found is not None:
            return at + found.start()
        kept = data[-_LONGEST_BEGINNING:]
        at += len(data) - len(kept)
    return None
