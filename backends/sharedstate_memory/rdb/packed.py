"""Packed values: several strings in one, as Redis keeps small containers in memory.

    listpack   bytes (4), count (2), entries, 0xff      since Redis 7
    ziplist    bytes (4), place of the last entry (4), count (2), entries, 0xff
    zipmap     count (1), entries, 0xff                 before Redis 2.6
    intset     bytes of a number (4), count (4), numbers in their order

Numbers have their lowest byte first. An entry of a listpack ends with its own length, an
entry of a ziplist begins with that of the one before; so they can be walked backwards.
Whatever such a string says of itself is checked: it may come from anybody.

Source: the specification at https://github.com/antirez/listpack, the descriptions of the
others at https://rdb.fnordig.de/file_format.html, and what redis-server takes.
"""

from __future__ import annotations

from itertools import pairwise
from struct import Struct, unpack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_END = 0xFF

# What a count of two bytes says when there are too many to be counted.
_UNCOUNTED = 0xFFFF

_LISTPACK_HEAD = Struct("<IH")
_ZIPLIST_HEAD = Struct("<IIH")
_INTSET_HEAD = Struct("<II")
_FORMS_OF_NUMBERS = {2: "h", 4: "i", 8: "q"}

_SMALL_NUMBERS = [b"%d" % number for number in range(128)]

# Lengths of entries at which redis-server takes a byte more than it needs to say them.
_WIDE_LENGTHS = frozenset((2**14 - 1, 2**21 - 1, 2**28 - 1))


class PackedError(ValueError):
    """A packed value is damaged."""


def unpack_listpack(data: bytes) -> list[bytes]:
    """The strings in a listpack. Linear. Raises PackedError."""
    end = len(data) - 1
    if end < _LISTPACK_HEAD.size or data[end] != _END:
        raise PackedError("a listpack without an end")
    size, count = _LISTPACK_HEAD.unpack_from(data)
    if size != len(data):
        raise PackedError(f"a listpack of {len(data)} bytes that claims to have {size}")
    texts: list[bytes] = []
    at = _LISTPACK_HEAD.size
    while at < end:
        first = data[at]
        if first < 0x80:
            text, stop = _SMALL_NUMBERS[first], at + 1
        elif first < 0xC0:
            stop = at + 1 + (first & 0x3F)
            text = data[at + 1 : stop]
        else:
            text, stop = _long_entry(data, at)
        if stop >= end:
            raise PackedError("an entry of a listpack goes beyond its end")
        length = stop - at
        if length == data[stop] and length < 0x80:
            at = stop + 1
        else:
            at = _skip_back_length(data, stop, length)
        texts.append(text)
    if at != end or count not in (len(texts), _UNCOUNTED):
        raise PackedError(f"a listpack of {len(texts)} entries that claims to have {count}")
    return texts


def _long_entry(data: bytes, at: int) -> tuple[bytes, int]:
    """An entry of a listpack whose first byte is 0xc0 or more, and where it stops."""
    first = data[at]
    if first < 0xE0:
        number = (first & 0x1F) << 8 | data[at + 1]
        return b"%d" % (number - (number >> 12 << 13)), at + 2
    if first < 0xF0:
        stop = at + 2 + ((first & 0x0F) << 8 | data[at + 1])
        return data[at + 2 : stop], stop
    if first == 0xF0:
        start = at + 5
        stop = start + int.from_bytes(data[at + 1 : start], "little")
        return data[start:stop], stop
    size = {0xF1: 2, 0xF2: 3, 0xF3: 4, 0xF4: 8}.get(first)
    if size is None:
        raise PackedError(f"0x{first:02x} begins no entry of a listpack")
    stop = at + 1 + size
    return b"%d" % int.from_bytes(data[at + 1 : stop], "little", signed=True), stop


def _skip_back_length(data: bytes, at: int, length: int) -> int:
    """The place behind the length of an entry, which is said from back to front."""
    for extra in (0, 1) if length in _WIDE_LENGTHS else (0,):
        expected = back_length(length, extra)
        if data.startswith(expected, at):
            return at + len(expected)
    raise PackedError(f"an entry of a listpack that does not end with its length, {length}")


def back_length(length: int, extra_bytes: int = 0) -> bytes:
    """The length of an entry of a listpack: seven bits a byte, the lowest last."""
    parts = [length & 0x7F]
    while length := length >> 7:
        parts.append(length & 0x7F)
    parts += [0] * extra_bytes
    parts[:-1] = [part | 0x80 for part in parts[:-1]]
    return bytes(reversed(parts))


def unpack_ziplist(data: bytes) -> list[bytes]:
    """The strings in a ziplist. Linear. Raises PackedError."""
    end = len(data) - 1
    if end < _ZIPLIST_HEAD.size or data[end] != _END:
        raise PackedError("a ziplist without an end")
    size, last, count = _ZIPLIST_HEAD.unpack_from(data)
    if size != len(data):
        raise PackedError(f"a ziplist of {len(data)} bytes that claims to have {size}")
    texts: list[bytes] = []
    at = before = _ZIPLIST_HEAD.size
    while at < end:
        start = at + (5 if data[at] == 0xFE else 1)
        claimed = data[at] if start == at + 1 else _u32(data, at + 1)
        if claimed != at - before:
            raise PackedError("an entry of a ziplist has a wrong length of the one before")
        before = at
        text, at = _ziplist_entry(data, start) if start < end else (b"", end + 1)
        if at > end:
            raise PackedError("an entry of a ziplist goes beyond its end")
        texts.append(text)
    if before != last:
        raise PackedError("a ziplist that is wrong about its last entry")
    if count not in (len(texts), _UNCOUNTED):
        raise PackedError(f"a ziplist of {len(texts)} entries that claims to have {count}")
    return texts


def _ziplist_entry(data: bytes, at: int) -> tuple[bytes, int]:
    """The text of an entry whose form is said at a place, and where it stops."""
    form = data[at]
    if form < 0xC0:
        return _ziplist_text(data, at, form)
    if 0xF1 <= form <= 0xFD:
        return b"%d" % (form - 0xF1), at + 1
    size = {0xC0: 2, 0xD0: 4, 0xE0: 8, 0xF0: 3, 0xFE: 1}.get(form)
    if size is None:
        raise PackedError(f"0x{form:02x} begins no entry of a ziplist")
    stop = at + 1 + size
    return b"%d" % int.from_bytes(data[at + 1 : stop], "little", signed=True), stop


def _ziplist_text(data: bytes, at: int, form: int) -> tuple[bytes, int]:
    # Of lengths alone, the highest byte comes first here.
    if form < 0x40:
        start, length = at + 1, form
    elif form < 0x80:
        start, length = at + 2, (form & 0x3F) << 8 | data[at + 1]
    elif form == 0x80:
        start, length = at + 5, int.from_bytes(data[at + 1 : at + 5], "big")
    else:
        raise PackedError(f"0x{form:02x} begins no entry of a ziplist")
    return data[start : start + length], start + length


def unpack_zipmap(data: bytes) -> list[bytes]:
    """The fields and values in a zipmap, one after the other. Raises PackedError."""
    end = len(data) - 1
    if end < 1 or data[end] != _END:
        raise PackedError("a zipmap without an end")
    texts: list[bytes] = []
    at = 1
    while at < end:
        for spare_bytes in (0, 1):
            length, start = _zipmap_length(data, at)
            # Behind a value's length stands how much room is left behind the value.
            start += spare_bytes
            at = start + length
            texts.append(data[start:at])
            at += data[start - 1] if spare_bytes and start <= end else 0
            if at > end:
                raise PackedError("an entry of a zipmap goes beyond its end")
    count = data[0]
    if count < 0xFE and count != len(texts) // 2:
        raise PackedError(
            f"a zipmap of {len(texts) // 2} fields that claims to have {count}"
        )
    return texts


def _zipmap_length(data: bytes, at: int) -> tuple[int, int]:
    """A length in a zipmap, and where what it belongs to starts."""
    first = data[at]
    if first < 0xFE:
        return first, at + 1
    if first == 0xFE:
        return _u32(data, at + 1), at + 5
    raise PackedError("an entry of a zipmap without a length")


def unpack_intset(data: bytes) -> list[bytes]:
    """The numbers in an intset, as texts. Raises PackedError."""
    if len(data) < _INTSET_HEAD.size:
        raise PackedError("an intset without a head")
    size, count = _INTSET_HEAD.unpack_from(data)
    if size not in _FORMS_OF_NUMBERS or len(data) != _INTSET_HEAD.size + size * count:
        raise PackedError(f"an intset of {len(data)} bytes with {count} numbers of {size}")
    numbers = unpack(f"<{count}{_FORMS_OF_NUMBERS[size]}", data[_INTSET_HEAD.size :])
    if any(left >= right for left, right in pairwise(numbers)):
        raise PackedError("an intset whose numbers are not in order")
    return [b"%d" % number for number in numbers]


def pairs(texts: list[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """Strings two by two. Raises PackedError if one is left over."""
    if len(texts) % 2:
        raise PackedError("a packed value with half a pair")
    return zip(texts[::2], texts[1::2], strict=True)


def _u32(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 4], "little")
