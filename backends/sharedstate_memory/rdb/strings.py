"""Many strings at once: the loops in which big values are read.

Short strings as they are, wholly in the source's buffer, are taken from it by places, at
a third of the cost of `RdbSource.take_string`; any other in the usual way.
"""

from __future__ import annotations

from struct import Struct

from sharedstate_memory.rdb.format import FOUR_BYTES, FOURTEEN_BITS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from sharedstate_memory.rdb.source import RdbSource

AT_ONCE = 1024
"""How many strings are read before others have their turn: well under a millisecond."""

_double_at = Struct("<d").unpack_from
_DOUBLE_BYTES = 8


def batches(source: RdbSource, count: int) -> Iterator[list[bytes]]:
    """So many strings, some at a time."""
    while count > 0:
        taken = take_strings(source, min(count, AT_ONCE))
        count -= len(taken)
        yield taken


def take_strings(source: RdbSource, count: int) -> list[bytes]:
    """So many strings."""
    taken: list[bytes] = []
    while len(taken) < count:
        _take_short(source, count, taken)
        if len(taken) < count:
            taken.append(source.take_string())
    return taken


def _take_short(source: RdbSource, count: int, taken: list[bytes]) -> None:
    """Take short strings until there are `count`, or something else comes."""
    buffer, at = source.buffer, source.at
    # A length may take two bytes.
    last = len(buffer) - 2
    while at <= last and len(taken) < count:
        length, start = buffer[at], at + 1
        if length >= FOURTEEN_BITS:
            if length >= FOUR_BYTES:
                break
            length = (length & 0x3F) << 8 | buffer[start]
            start += 1
        stop = start + length
        if stop > len(buffer):
            break
        taken.append(buffer[start:stop])
        at = stop
    source.at = at


def scored_batches(source: RdbSource, count: int) -> Iterator[list[tuple[bytes, float]]]:
    """So many members with their scores, in binary, some at a time."""
    while count > 0:
        taken: list[tuple[bytes, float]] = []
        _take_short_scored(source, min(count, AT_ONCE), taken)
        if not taken:
            member = source.take_string()
            taken.append((member, source.take_double()))
        count -= len(taken)
        yield taken


def _take_short_scored(
    source: RdbSource, count: int, taken: list[tuple[bytes, float]]
) -> None:
    buffer, at = source.buffer, source.at
    last = len(buffer) - 1 - _DOUBLE_BYTES
    while at <= last and len(taken) < count:
        length = buffer[at]
        stop = at + 1 + length
        if length >= FOURTEEN_BITS or stop > last + 1:
            break
        taken.append((buffer[at + 1 : stop], _double_at(buffer, stop)[0]))
        at = stop + _DOUBLE_BYTES
    source.at = at
