"""The quick way to read a log: portions become commands, in C.

hiredis parses what a log consists of at some 0.2 µs a command. It is lenient, and does not
say where it stands. So what it gives is looked at once more, column by column: commands
are lists of strings, and what they take in the file is summed up, because strings and
their lengths have one form only. Whatever does not fit is *unusual*: an annotation, damage,
a cut. Then the file is read from the last sure place on by the careful way (`units.py`).
"""

from __future__ import annotations

from collections import Counter
from itertools import chain

import hiredis

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

PORTION_BYTES = 32 * 1024
"""What is fed at once. With much more, hiredis moves what is left again and again."""

_ONLY_LISTS = {list}
_ONLY_BYTES = {bytes}

# `$`, `*` and two times CRLF, besides the digits and the word itself.
_AROUND_WORD = 5
_AROUND_COUNT = 3

_BEGINS = (b"MULTI", b"multi")
_ENDS = (b"EXEC", b"exec")


class UnusualError(Exception):
    """What the quick way cannot tell."""


class QuickParser:
    """The commands in a stream of bytes that begins with one."""

    __slots__ = ("_gets", "_reader")

    def __init__(self) -> None:
        self._reader = hiredis.Reader()
        self._gets = self._reader.gets

    def feed(self, data: bytes) -> list[list[bytes]]:
        """The commands that are complete with these bytes. Raises `UnusualError`."""
        self._reader.feed(data)
        try:
            commands = list(iter(self._gets, False))
        except (hiredis.HiredisError, MemoryError, RecursionError) as error:
            raise UnusualError from error
        if not set(map(type, commands)) <= _ONLY_LISTS or not all(commands):
            raise UnusualError
        return commands


def size_of(commands: Sequence[list[bytes]]) -> int:
    """How many bytes these commands take in a file. Raises `UnusualError` for what is no
    list of strings.
    """
    words = [*chain.from_iterable(commands)]
    if not set(map(type, words)) <= _ONLY_BYTES:
        raise UnusualError
    return _sum(map(len, words), _AROUND_WORD, 1) + _sum(
        map(len, commands), _AROUND_COUNT, 0
    )


def _sum(lengths: Iterable[int], around: int, times: int) -> int:
    """The sizes of headers of such lengths, and of so many times what they announce."""
    return sum(
        count * (len(str(length)) + around + times * length)
        for length, count in Counter(lengths).items()
    )


def whole_units(commands: Sequence[list[bytes]], *, is_begun: bool) -> int:
    """How many of the commands belong to whole units: all but those of a transaction that
    has not ended. `is_begun` tells that the first is in the middle of one.
    """
    for place in range(len(commands) - 1, -1, -1):
        name = commands[place][0]
        if name in _ENDS:
            return place + 1
        if name in _BEGINS:
            return place
    return 0 if is_begun else len(commands)
