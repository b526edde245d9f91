"""Saving strings without touching them.

A forked child shares its parent's memory until one of them writes to it, and to look at a
Python object is to write to it: its references are counted in its head. So a child that
saves a million small strings copies all of them. What is here reads them where they are,
by a loop of LuaJIT that counts nothing (`untouched.lua`), and is several times as fast
as well. It goes through dicts by `PyDict_Next`, which is part of the interpreter's own
interface, and reads the head of `bytes` objects, which has not changed since Python 3.3.

Where the interpreter or LuaJIT is another, `untouched` gives None: it is tried on a small
dict first, and on nothing where the interpreter is not CPython. Sets, lists and sorted
sets are not for this: they are saved as anywhere else, by looking at them.

Invariant: nobody changes the dict while it is gone through.
"""

from __future__ import annotations

import sys
from functools import cache

from sharedstate_memory.rdb.lua import program

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

PIECE_BYTES = 1 << 16

# Longer strings are Python's to write: what is compressed at once takes memory.
_LONGEST = 1 << 20

_NEVER = 1 << 40

_SAMPLE: dict[bytes, Any] = {b"key": b"value of a key", b"-300": b"", b"odd": 1, b"k": b"v"}
_DEADLINES = {b"k": 1 << 40}
_EXPECTED = (
    b"\0\3key\16value of a key\0\4-300\0",
    b"odd",
    b"\xfc\0\0\0\0\0\1\0\0\0\1k\1v",
    None,
)


class Untouched:
    """Writes the strings of dicts. `least_compressed` is the length from which on they are
    compressed; None for never. `count` is how many keys or fields were written so far.
    """

    __slots__ = ("_least", "_run", "count")

    def __init__(self, run: Callable[..., Any], least_compressed: int | None) -> None:
        self._run = run
        self.count = 0
        self._least = _NEVER if least_compressed is None else least_compressed

    def keys(
        self, data: dict[bytes, Any], deadlines: dict[bytes, int]
    ) -> Iterator[tuple[bytes, bytes | None]]:
        """Write the keys of a database that are strings, with their deadlines, in pieces.
        With each comes the name of the key behind it if that is none: it is the caller's.
        """
        gathered = self._run(False, id(deadlines), len(deadlines)) if deadlines else None
        return self._pieces(data, gathered, is_database=True)

    def fields(self, data: dict[bytes, bytes]) -> Iterator[tuple[bytes, bytes | None]]:
        """Write the fields of a hash, likewise: a name is that of one that is long."""
        return self._pieces(data, None, is_database=False)

    def _pieces(
        self, data: dict[bytes, Any], deadlines: Any, *, is_database: bool
    ) -> Iterator[tuple[bytes, bytes | None]]:
        position = 0
        while True:
            written, position, count, odd = self._run(
                True,
                id(data),
                id(bytes),
                position,
                PIECE_BYTES,
                is_database,
                self._least,
                _LONGEST,
                program("lzf"),
                deadlines,
            )
            if not written and odd is None:
                return
            self.count += count
            yield written, odd


def untouched(least_compressed: int | None) -> Untouched | None:
    """What writes strings without touching them; None where that cannot be done."""
    run = _program()
    return None if run is None else Untouched(run, least_compressed)


@cache
def _program() -> Callable[..., Any] | None:
    """The loop, if it does here what it should."""
    # Those built for debugging, or to run without the global lock, have other heads.
    is_usual = sys.implementation.name == "cpython" and not sys.abiflags
    is_wide = sys.maxsize > 2**32 and sys.byteorder == "little"
    if not (is_usual and is_wide) or hasattr(sys, "getobjects"):
        return None
    run = program("untouched")
    if run is None:
        return None
    got = [
        part for piece in Untouched(run, None).keys(_SAMPLE, _DEADLINES) for part in piece
    ]
    return run if tuple(got) == _EXPECTED else None
