"""LZF: how strings are compressed in an RDB file.

A control byte begins each part of what is compressed:

    000nnnnn                     n + 1 bytes follow as they are
    lllddddd dddddddd            copy l + 2 bytes from d + 1 bytes back
    111ddddd llllllll dddddddd   copy l + 9 bytes from there

What is copied may begin before it has ended, and so repeat itself.

The work is done by LuaJIT (`lzf.lua`). Without that, Python decompresses by itself, and
nothing is compressed.

Source: http://software.schmorp.de/pkg/liblzf.html
"""

from __future__ import annotations

from itertools import accumulate, pairwise
from struct import pack

from sharedstate_memory.rdb.lua import program

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

# Each three bytes become so many at most: a longer copy cannot be said.
_MOST_COPIED = 264
_COPY_BYTES = 3

# Lengths that are longer have no place in a string of Lua.
_MOST_BYTES = 2**31 - 512

_LITERALS = 32
_LONG_COPY = 7


class LzfError(ValueError):
    """What was to be decompressed is damaged, or does not have the size it should."""


def compress(data: bytes, limit: int) -> bytes | None:
    """Data compressed to at most `limit` bytes; None if it does not become so small."""
    run = program("lzf")
    if run is None:
        return None
    compressed: bytes | None = run(True, data, limit)
    return compressed


def decompress(data: bytes, size: int) -> bytes:
    """The `size` bytes that were compressed. Takes no memory for a size that so much
    data cannot have. Raises LzfError.
    """
    return decompress_many([(data, size)])[0]


def decompress_many(pieces: Sequence[tuple[bytes, int]]) -> list[bytes]:
    """As `decompress`, of several strings: for short ones, at half the cost."""
    for data, size in pieces:
        if not 0 <= size <= min((len(data) // _COPY_BYTES + 1) * _MOST_COPIED, _MOST_BYTES):
            raise LzfError("so few compressed bytes cannot become so many")
    run = program("lzf")
    if run is None:
        return [_checked(decompress_slowly(data, size)) for data, size in pieces]
    sizes = [number for data, size in pieces for number in (len(data), size)]
    joined = b"".join([data for data, _ in pieces])
    total = sum(sizes[1::2])
    whole = _checked(run(False, joined, pack(f"<{len(sizes)}I", *sizes), total))
    stops = [*accumulate(sizes[1::2], initial=0)]
    return [whole[start:stop] for start, stop in pairwise(stops)]


def _checked(whole: bytes | None) -> bytes:
    if whole is None:
        raise LzfError("compressed bytes are damaged")
    return whole


def decompress_slowly(data: bytes, size: int) -> bytes | None:
    """As `decompress`, in Python alone; None for what is damaged."""
    out = bytearray()
    at = 0
    try:
        while at < len(data) and len(out) <= size:
            at = _expand(data, at, out)
    except (IndexError, ValueError):
        return None
    return bytes(out) if at == len(data) and len(out) == size else None


def _expand(data: bytes, at: int, out: bytearray) -> int:
    """Expand the part that begins at a place. Returns where the next one does."""
    control = data[at]
    at += 1
    if control < _LITERALS:
        out += data[at : at + control + 1]
        return at + control + 1
    length = control >> 5
    if length == _LONG_COPY:
        length += data[at]
        at += 1
    start = len(out) - ((control & 0x1F) << 8 | data[at]) - 1
    if start < 0:
        raise ValueError("a copy from before the beginning")
    length += 2
    source = out[start : start + length]
    # A part that repeats itself is copied whole as often as it is needed.
    out += (source * (length // len(source) + 1))[:length]
    return at + 1
