"""RDB files and packed values, written by hand: also those that nothing writes any more.

Made from public descriptions of the forms, and by themselves: nothing here is asked of
the code that is tested, but the checksum.
"""

from __future__ import annotations

import io
import struct
import time
from random import Random
from typing import TYPE_CHECKING

from sharedstate_memory.engine import Engine
from sharedstate_memory.rdb.checksum import crc64
from sharedstate_memory.rdb.loader import load
from sharedstate_memory.rdb.source import RdbSource
from sharedstate_memory.rdb.writer import snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


def length(number: int) -> bytes:
    """A length, in the shortest form."""
    if number < 1 << 6:
        return bytes((number,))
    if number < 1 << 14:
        return bytes((0x40 | number >> 8, number & 0xFF))
    return b"\x80" + number.to_bytes(4, "big")


def string(text: bytes) -> bytes:
    """A string as it is."""
    return length(len(text)) + text


def strings(texts: Iterable[bytes]) -> bytes:
    """A count, and so many strings."""
    listed = list(texts)
    return length(len(listed)) + b"".join(map(string, listed))


def key(kind: int, value: bytes, name: bytes = b"k") -> bytes:
    """A key of a file."""
    return bytes((kind,)) + string(name) + value


def file(*items: bytes, version: int = 10, has_checksum: bool = True) -> bytes:
    """A file of database 0."""
    body = b"REDIS%04d\xfe\x00" % version + b"".join(items) + b"\xff"
    if version < 5:
        return body
    return body + (crc64(body) if has_checksum else bytes(8))


def payload(kind: int, value: bytes, version: int = 10) -> bytes:
    """What DUMP gives."""
    body = bytes((kind,)) + value + version.to_bytes(2, "little")
    return body + crc64(body)


# -- packed values


def listpack(texts: Iterable[bytes | int], count: int | None = None) -> bytes:
    """A listpack of strings and numbers."""
    listed = list(texts)
    entries = b"".join(map(_listpack_entry, listed))
    said = len(listed) if count is None else count
    return struct.pack("<IH", len(entries) + 7, said) + entries + b"\xff"


def _listpack_entry(text: bytes | int) -> bytes:
    entry = _listpack_number(text) if isinstance(text, int) else _listpack_text(text)
    return entry + back_length(len(entry))


def back_length(size: int) -> bytes:
    """The length at the end of an entry, as redis-server 7.0 writes it."""
    parts = [size & 0x7F]
    for limit in (128, 2**14 - 1, 2**21 - 1, 2**28 - 1):
        if size >= limit:
            parts.insert(0, size >> 7 * len(parts) & 0x7F)
    return bytes([parts[0], *(part | 0x80 for part in parts[1:])])


def _listpack_number(number: int) -> bytes:
    if 0 <= number < 128:
        return bytes((number,))
    if -(2**12) <= number < 2**12:
        return (0xC000 | number & 0x1FFF).to_bytes(2, "big")
    for mark, size in ((0xF1, 2), (0xF2, 3), (0xF3, 4), (0xF4, 8)):
        if -(1 << 8 * size - 1) <= number < 1 << 8 * size - 1:
            return bytes((mark,)) + number.to_bytes(size, "little", signed=True)
    raise ValueError(number)


def _listpack_text(text: bytes) -> bytes:
    if len(text) < 64:
        return bytes((0x80 | len(text),)) + text
    if len(text) < 4096:
        return (0xE000 | len(text)).to_bytes(2, "big") + text
    return b"\xf0" + len(text).to_bytes(4, "little") + text


def ziplist(texts: Iterable[bytes | int], count: int | None = None) -> bytes:
    """A ziplist of strings and numbers."""
    entries, before, last, said = b"", 0, 0, 0
    for text in texts:
        head = bytes((before,)) if before < 254 else b"\xfe" + struct.pack("<I", before)
        form = _ziplist_number(text) if isinstance(text, int) else _ziplist_text(text)
        last, before, said = len(entries), len(head + form), said + 1
        entries += head + form
    said = said if count is None else count
    return struct.pack("<IIH", len(entries) + 11, last + 10, said) + entries + b"\xff"


def _ziplist_number(number: int) -> bytes:
    if 0 <= number <= 12:
        return bytes((0xF1 + number,))
    for mark, size in ((0xFE, 1), (0xC0, 2), (0xF0, 3), (0xD0, 4), (0xE0, 8)):
        if -(1 << 8 * size - 1) <= number < 1 << 8 * size - 1:
            return bytes((mark,)) + number.to_bytes(size, "little", signed=True)
    raise ValueError(number)


def _ziplist_text(text: bytes) -> bytes:
    if len(text) < 64:
        return bytes((len(text),)) + text
    if len(text) < 2**14:
        return (0x4000 | len(text)).to_bytes(2, "big") + text
    return b"\x80" + len(text).to_bytes(4, "big") + text


def zipmap(fields: dict[bytes, bytes], spare: int = 0) -> bytes:
    """A zipmap, with some room behind each value."""
    parts = [
        _zipmap_length(len(name))
        + name
        + _zipmap_length(len(text))
        + bytes((spare,))
        + text
        + bytes(spare)
        for name, text in fields.items()
    ]
    return bytes((min(len(fields), 254),)) + b"".join(parts) + b"\xff"


def _zipmap_length(size: int) -> bytes:
    return bytes((size,)) if size < 254 else b"\xfe" + struct.pack("<I", size)


def intset(numbers: Iterable[int], size: int) -> bytes:
    """An intset whose numbers have so many bytes."""
    packed = [number.to_bytes(size, "little", signed=True) for number in numbers]
    return struct.pack("<II", size, len(packed)) + b"".join(packed)


# -- engines


def new_engine(clock_ms: Callable[[], int] | None = None) -> Engine:
    """An engine, with the time as it is unless another one is given."""
    return Engine(clock_ms=clock_ms or _now_ms, random=Random(1))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def loaded(data: bytes, engine: Engine | None = None, **options: bool) -> Engine:
    """An engine with what is in a file."""
    engine = engine or new_engine()
    for _ in load(RdbSource(io.BytesIO(data)), engine, **options):
        pass
    return engine


def saved(engine: Engine, *, compress: bool = True, checksum: bool = True) -> bytes:
    """A file with what is in an engine."""
    return b"".join(snapshot(engine, compress=compress, checksum=checksum))


class Dripping:
    """A file that gives so many bytes at once at most."""

    def __init__(self, data: bytes, limit: int) -> None:
        self._file = io.BytesIO(data)
        self._limit = limit

    def read(self, size: int, /) -> bytes:
        """So many bytes at most."""
        return self._file.read(min(size, self._limit))
