"""Keys that are strings: the loop in which most of a file is read.

Nearly all keys of most files are strings, so they are taken out of the source's buffer
here by places, many at a time: a third of the time that the walk from item to item takes.
The loop stops at what it does not know, and at what does not lie wholly in the buffer;
the walk goes on from there (`walk.py`), and takes the same forms in the same way.
"""

from __future__ import annotations

from struct import Struct

from sharedstate_memory.rdb.errors import RdbError
from sharedstate_memory.rdb.format import (
    COMPRESSED,
    DEADLINE_MS,
    FOUR_BYTES,
    FOURTEEN_BITS,
    INTEGER_8,
    INTEGER_16,
    INTEGER_32,
    STRING,
)
from sharedstate_memory.rdb.lzf import LzfError, decompress_many

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeAlias

    from sharedstate_memory.rdb.source import RdbSource

    # Compressed bytes, how many they claim to become, and their place in the buffer.
    Compressed: TypeAlias = tuple[bytes, int, int]

AT_ONCE = 2048
"""How many keys are read before others have their turn: about a millisecond."""

_deadline_at = Struct("<q").unpack_from

# A mark, a deadline, a type and the longest length that is read here.
_HEAD_BYTES = 1 + 8 + 1 + 2
_TYPE_AFTER_DEADLINE = 9
_BEGINNINGS = frozenset((STRING, DEADLINE_MS))

_NUMBERS = {
    INTEGER_8: Struct("<b").unpack_from,
    INTEGER_16: Struct("<h").unpack_from,
    INTEGER_32: Struct("<i").unpack_from,
}
_NUMBER_BYTES = {INTEGER_8: 1, INTEGER_16: 2, INTEGER_32: 4}


class StringKeys:
    """Some keys, with their values in the same order, and the deadlines of some.

    Values that are compressed stand there as they are, until all are expanded together.
    """

    __slots__ = ("deadlines", "expired", "keys", "values")

    def __init__(self) -> None:
        self.keys: list[bytes] = []
        self.values: list[bytes | Compressed] = []
        self.deadlines: list[tuple[bytes, int]] = []
        self.expired = 0
        """How many were left out because their time has come."""

    @property
    def expanded(self) -> list[bytes]:
        """The values, after `expand`."""
        return self.values  # type: ignore[return-value]

    def expand(self, offset: int) -> None:
        """Decompress what is compressed, from a buffer that begins at an offset. Raises
        RdbError.
        """
        values = self.values
        places = [place for place, value in enumerate(values) if type(value) is tuple]
        if not places:
            return
        pieces: list[Any] = [values[place] for place in places]
        try:
            whole = decompress_many([piece[:2] for piece in pieces])
        except LzfError:
            raise _damage(pieces, offset) from None
        for place, value in zip(places, whole, strict=True):
            values[place] = value

    def add_timed(
        self, key: bytes, value: bytes | Compressed, deadline_ms: int, now_ms: int
    ) -> None:
        """Take in a key with a deadline, unless that has come."""
        if deadline_ms <= now_ms and deadline_ms != -1:
            self.expired += 1
            return
        self.keys.append(key)
        self.values.append(value)
        if deadline_ms != -1:
            self.deadlines.append((key, deadline_ms))


def begins_string_key(source: RdbSource) -> bool:
    """Whether what comes next may be a string: it has a deadline, or is one."""
    at = source.at
    return at < len(source.buffer) and source.buffer[at] in _BEGINNINGS


def take_string_keys(source: RdbSource, now_ms: int) -> StringKeys:
    """The strings that come next in the buffer, up to so many. The hot path of loading."""
    found = StringKeys()
    keys, values = found.keys, found.values
    buffer, at = source.buffer, source.at
    size = len(buffer)
    last = size - _HEAD_BYTES
    for _ in range(AT_ONCE):
        if at > last:
            break
        start = at + 1
        is_timed = buffer[at]
        if is_timed:
            if is_timed != DEADLINE_MS or buffer[at + _TYPE_AFTER_DEADLINE]:
                break
            start += _TYPE_AFTER_DEADLINE
        length = buffer[start]
        stop = start + 1 + length
        key = buffer[start + 1 : stop]
        if length >= FOURTEEN_BITS:
            key, stop = _string(buffer, start)
        if stop >= size:
            break
        start = stop
        length = buffer[start]
        stop = start + 1 + length
        value: bytes | Compressed = buffer[start + 1 : stop]
        if length >= FOURTEEN_BITS:
            value, stop = _value(buffer, start)
        if stop > size:
            break
        if is_timed:
            found.add_timed(key, value, _deadline_at(buffer, at + 1)[0], now_ms)
        else:
            keys.append(key)
            values.append(value)
        at = stop
    found.expand(source.offset - source.at)
    source.at = at
    return found


def _value(buffer: bytes, at: int) -> tuple[bytes | Compressed, int]:
    """As `_string`, of what may also be compressed."""
    if buffer[at] != COMPRESSED:
        return _string(buffer, at)
    # As twice `_length`, spelled out for what is nearly always so: a twelfth of loading.
    if at + 4 < len(buffer) and (size := buffer[at + 1]) < FOURTEEN_BITS:
        whole_size, start = buffer[at + 2], at + 3
        if FOURTEEN_BITS <= whole_size < FOUR_BYTES:
            whole_size, start = (whole_size & 0x3F) << 8 | buffer[start], start + 1
        elif whole_size >= FOUR_BYTES:
            return _not_here(buffer)
    else:
        size, start = _length(buffer, at + 1)
        whole_size, start = _length(buffer, start)
    stop = start + size
    return (buffer[start:stop], whole_size, at), stop


def _string(buffer: bytes, at: int) -> tuple[bytes, int]:
    """A string that is longer, or a number, and where it stops: beyond the buffer if it
    has another form, or does not end in it.
    """
    first = buffer[at]
    if first < FOUR_BYTES:
        length, start = _length(buffer, at)
        return buffer[start : start + length], start + length
    unpack = _NUMBERS.get(first)
    stop = at + 1 + _NUMBER_BYTES.get(first, 0)
    if unpack is None or stop > len(buffer):
        return _not_here(buffer)
    return b"%d" % unpack(buffer, at + 1)[0], stop


def _length(buffer: bytes, at: int) -> tuple[int, int]:
    """A length of one or two bytes, and where it stops; beyond the buffer for others."""
    if at + 1 >= len(buffer) or buffer[at] >= FOUR_BYTES:
        return 0, len(buffer) + 1
    first = buffer[at]
    if first < FOURTEEN_BITS:
        return first, at + 1
    return (first & 0x3F) << 8 | buffer[at + 1], at + 2


def _not_here(buffer: bytes) -> tuple[bytes, int]:
    return b"", len(buffer) + 1


def _damage(pieces: list[Any], base: int) -> RdbError:
    """The error of the first of some compressed strings that is damaged."""
    for data, size, at in pieces:
        try:
            decompress_many([(data, size)])
        except LzfError as error:
            return RdbError(base + at, str(error))
    raise AssertionError("one of them is damaged")
