"""Values as they are written: each type in one form, the plain one.

Redis, when it reads them, packs what is small by its own settings. Big values come in
pieces, so that a caller writes while the rest is still to be made.
"""

from __future__ import annotations

from collections import deque
from itertools import chain
from struct import Struct

from sharedstate_memory.rdb import format as form
from sharedstate_memory.rdb.format import LONGEST_INTEGER, integer_bytes, length_bytes
from sharedstate_memory.rdb.lzf import compress
from sharedstate_memory.rdb.untouched import untouched

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sharedstate_memory.keyspace import Value
    from sharedstate_memory.sorted_set import SortedSet

LEAST_COMPRESSED = 256
"""Shorter strings are written as they are. To try to compress one takes about a
microsecond, three times what it takes to write it, and of 100 bytes it saves some 20.
"""

LENGTHS = [length_bytes(length) for length in range(1 << 14)]
"""Lengths as they are written, of strings up to 16 kB: of nearly all."""

# Compression has to save so much at least.
_LEAST_SAVED = 4

PIECE_BYTES = 1 << 16
"""A piece of a big value has about so many bytes, unless one element has more."""

# What a string adds to a piece beside its bytes, at least.
_LEAST_BYTES = 1

_pack_double = Struct("<d").pack


class Encoder:
    """Writes strings and values, with compression or without."""

    __slots__ = ("_compresses", "_untouched", "least_compressed")

    def __init__(self, *, compress: bool = True) -> None:
        self.least_compressed = LEAST_COMPRESSED if compress else len(LENGTHS)
        """Strings of so many bytes are given to `string`; shorter ones, but longer than
        the longest number, can be written by whoever is in a hurry.
        """
        self._compresses = compress
        self._untouched = untouched(LEAST_COMPRESSED if compress else None)

    def string(self, text: bytes) -> bytes:
        """A string in the shortest form that is worth its trouble."""
        length = len(text)
        if length <= LONGEST_INTEGER:
            return integer_bytes(text) or LENGTHS[length] + text
        if self._compresses and length >= LEAST_COMPRESSED:
            compressed = compress(text, length - _LEAST_SAVED)
            if compressed is not None:
                size = length_bytes(len(compressed))
                return b"\xc3" + size + length_bytes(length) + compressed
        return length_bytes(length) + text

    def value(self, value: Value) -> Iterator[bytes]:
        """A value, in pieces. Its type is what `type_of` says."""
        if type(value) is bytes:
            yield self.string(value)
            return
        yield length_bytes(len(value))
        if isinstance(value, dict):
            yield from self._fields(value)
        elif isinstance(value, (deque, set)):
            yield from self._strings(value)
        else:
            scored: SortedSet = value  # type: ignore[assignment]
            score_of = scored.known_score
            yield from _in_pieces(
                self.string(member) + _pack_double(score_of(member)) for member in scored
            )

    def _fields(self, fields: dict[bytes, bytes]) -> Iterator[bytes]:
        if self._untouched is None:
            yield from self._strings(chain.from_iterable(fields.items()))
            return
        for piece, other in self._untouched.fields(fields):
            yield piece
            if other is not None:
                yield from self._strings((other, fields[other]))

    def _strings(self, texts: Iterable[bytes]) -> Iterator[bytes]:
        """Strings one after the other, in pieces. The hot path of containers."""
        string, lengths, least = self.string, LENGTHS, self.least_compressed
        parts: list[bytes] = []
        size = 0
        for text in texts:
            length = len(text)
            # Strings that are neither long nor numbers stay as they are.
            if least > length > LONGEST_INTEGER or not (text.isdigit() or length >= least):
                parts += (lengths[length], text)
            else:
                parts.append(string(text))
            size += length + _LEAST_BYTES
            if size >= PIECE_BYTES:
                yield b"".join(parts)
                parts, size = [], 0
        yield b"".join(parts)

    def field_deadlines(
        self, fields: dict[bytes, bytes], deadlines: dict[bytes, int]
    ) -> Iterator[bytes]:
        """A hash with the deadlines of its fields, in pieces: each field behind its
        deadline, counted from the first of them, and from one; zero where it has none.
        """
        first_ms = min(deadlines.values())
        yield first_ms.to_bytes(8, "little") + length_bytes(len(fields))
        yield from _in_pieces(
            length_bytes(deadlines.get(name, first_ms - 1) - first_ms + 1)
            + self.string(name)
            + self.string(text)
            for name, text in fields.items()
        )


def _in_pieces(parts: Iterable[bytes]) -> Iterator[bytes]:
    gathered: list[bytes] = []
    size = 0
    for part in parts:
        gathered.append(part)
        size += len(part)
        if size >= PIECE_BYTES:
            yield b"".join(gathered)
            gathered, size = [], 0
    yield b"".join(gathered)


def type_of(value: Value) -> int:
    """The type that a value is written as."""
    if isinstance(value, bytes):
        return form.STRING
    if isinstance(value, dict):
        return form.HASH
    if isinstance(value, deque):
        return form.LIST
    return form.SET if isinstance(value, set) else form.ZSET
