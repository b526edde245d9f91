"""CRC-64 as RDB files and payloads have it: the polynomial of Jones, bits reflected.

A gigabyte a second by LuaJIT (`checksum.lua`). Without that the table is Python's to walk,
at some megabytes a second: then `rdbchecksum no` is worth its while.

The state is the eight bytes that the file has at its end.

Source: https://reveng.sourceforge.io/crc-catalogue/17plus.htm (CRC-64/REDIS)
"""

from __future__ import annotations

from functools import cache

from sharedstate_memory.rdb.lua import program

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

START = bytes(8)
"""The checksum of nothing."""

_POLYNOMIAL = 0x95AC9329AC4BC9B5

# To start Lua takes as long as to sum up 50 kB without. So the first ones, if they are
# small, are summed up in Python: a server with few data starts the sooner.
_SMALL = 4096
_first_ones = iter(range(8))

# As little as makes the cost of a call nothing; Lua copies what it is given.
_MOST_AT_ONCE = 1 << 20


def crc64(data: bytes, before: bytes = START) -> bytes:
    """The checksum of what follows bytes that had the checksum `before`."""
    if len(data) <= _SMALL and next(_first_ones, None) is not None:
        return update_slowly(data, before)
    update = _updater()
    if len(data) <= _MOST_AT_ONCE:
        return update(data, before)
    for start in range(0, len(data), _MOST_AT_ONCE):
        before = update(data[start : start + _MOST_AT_ONCE], before)
    return before


@cache
def _updater() -> Callable[[bytes, bytes], bytes]:
    return program("checksum") or update_slowly


def update_slowly(data: bytes, before: bytes) -> bytes:
    """As `crc64`, in Python alone."""
    table = _table()
    crc = int.from_bytes(before, "little")
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc.to_bytes(8, "little")


@cache
def _table() -> list[int]:
    return [_crc_of_byte(byte) for byte in range(256)]


def _crc_of_byte(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ (_POLYNOMIAL if byte & 1 else 0)
    return byte
