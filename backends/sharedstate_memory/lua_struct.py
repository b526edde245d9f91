"""`struct` for scripts: binary data by a format string.

    <  >        little, big order from here on              !n  align to n at most
    b B h H l L T i[n] I[n]     whole numbers               x   a byte of padding
    f d         a float, a double                           c[n]  n characters
    s           a string that ends with a zero byte         (blank) nothing

`c0` takes the whole string when packing, and when unpacking as many characters as the
number before it says. Source: http://www.inf.puc-rio.br/~roberto/struct/
"""

from __future__ import annotations

import struct
import sys

from sharedstate_memory.lua_libraries import (
    integer_at,
    number_at,
    text_at,
    truncate,
    wrong_argument,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any, Literal, TypeAlias

    Order: TypeAlias = Literal["little", "big"]
    Given: TypeAlias = tuple[Any, ...]

# Of those without a number behind them.
_SIZES = {"b": 1, "B": 1, "h": 2, "H": 2, "l": 8, "L": 8, "T": 8, "f": 4, "d": 8, "x": 1}
_NUMBERS = frozenset("bBhHlLTiIfd")
_MOST_BYTES = 32
_NATIVE_ALIGNMENT = 8
_MOST_INT = (1 << 31) - 1
# Nobody can interrupt what takes a format apart.
_LONGEST_FORMAT = 1 << 17
_WORD = (1 << 64) - 1
_ORDERS: dict[str, Order] = {"<": "little", ">": "big"}


class _Field:
    """One item of a format: its letter, size, byte order and alignment."""

    __slots__ = ("alignment", "letter", "order", "size")

    def __init__(self, letter: str, size: int, order: Order, alignment: int) -> None:
        self.letter = letter
        self.size = size
        self.order = order
        self.alignment = alignment

    def padding(self, at: int) -> int:
        """How many bytes to leave before this field, at an offset."""
        if self.size == 0 or self.letter == "c":
            return 0
        # Of sizes that are no power of two, this makes what the original makes of them.
        align = min(self.size, self.alignment)
        return (align - (at & align - 1)) & align - 1


def _parse(given: Given, name: str) -> Iterator[_Field]:
    letters = text_at(given, 0, name).partition(b"\0")[0].decode("latin-1")
    if len(letters) > _LONGEST_FORMAT:
        raise wrong_argument(0, name, "format is too long")
    order: Order = sys.byteorder
    alignment, at = 1, 0
    while at < len(letters):
        letter, at = letters[at], at + 1
        count = None
        if letter in "iIc!":
            count, at = _read_count(letters, at)
        if letter in _ORDERS:
            order = _ORDERS[letter]
        elif letter == "!":
            alignment = _checked_alignment(count)
        elif letter.isalnum() and letter.isascii():
            yield _Field(letter, _size_of(letter, count), order, alignment)
        elif letter != " ":
            raise _invalid(letter, name)


def _read_count(letters: str, at: int) -> tuple[int | None, int]:
    """The number that begins somewhere, if one does, and where it ends."""
    start = at
    while at < len(letters) and letters[at] in "0123456789":
        at += 1
    if start == at:
        return None, at
    if at - start > len(str(_MOST_INT)) or int(letters[start:at]) > _MOST_INT:
        raise ValueError("integral size overflow")
    return int(letters[start:at]), at


def _checked_alignment(count: int | None) -> int:
    alignment = _NATIVE_ALIGNMENT if count is None else count
    if alignment == 0 or alignment & alignment - 1:
        raise ValueError(f"alignment {alignment} is not a power of 2")
    return alignment


def _size_of(letter: str, count: int | None) -> int:
    """The size of a field; 0 if it is not fixed, or there is no such field."""
    if letter == "c":
        return 1 if count is None else count
    if letter in "iI":
        size = 4 if count is None else count
        if size > _MOST_BYTES:
            raise ValueError(f"integral size {size} is larger than limit of {_MOST_BYTES}")
        return size
    return _SIZES.get(letter, 0)


def _invalid(letter: str, name: str) -> ValueError:
    return wrong_argument(0, name, f"invalid format option '{letter}'")


# -- packing


def _pack(given: Given) -> bytes:
    out = bytearray()
    at = 1
    for field in _parse(given, "pack"):
        out += bytes(field.padding(len(out)))
        if field.letter == "x":
            out += b"\0"
        else:
            # What is missing is nil.
            out += _pack_field(field, given if at < len(given) else (*given, None), at)
            at += 1
    return bytes(out)


def _pack_field(field: _Field, given: Given, at: int) -> bytes:
    if field.letter in "sc":
        return _pack_string(field, given, at)
    if field.letter not in _NUMBERS:
        raise _invalid(field.letter, "pack")
    number = number_at(given, at, "pack")
    if field.letter in "fd":
        code = ("<" if field.order == "little" else ">") + field.letter
        try:
            return struct.pack(code, number)
        except OverflowError:
            return struct.pack(code, float("inf") if number > 0 else float("-inf"))
    # A word of 64 bits, whose bytes are cut off, or followed by zeros.
    whole = int(number) if 2.0**63 <= number < 2.0**64 else truncate(number)
    return _resized((whole & _WORD).to_bytes(8, "little"), field)


def _resized(little: bytes, field: _Field) -> bytes:
    resized = little[: field.size].ljust(field.size, b"\0")
    return resized if field.order == "little" else resized[::-1]


def _pack_string(field: _Field, given: Given, at: int) -> bytes:
    value = text_at(given, at, "pack")
    if field.letter == "s":
        return value + b"\0"
    if len(value) < field.size:
        raise wrong_argument(at + 1, "pack", "string too short")
    return value[: field.size or None]


# -- unpacking


def _unpack(given: Given) -> tuple[Any, ...]:
    form = text_at(given, 0, "unpack")
    data = text_at(given, 1, "unpack")
    at = integer_at(given, 2, "unpack", default=1) - 1
    if at == -1:
        raise wrong_argument(2, "unpack", "offset must be 1 or greater")
    if form and not 0 <= at <= len(data):
        raise _too_short()
    values: list[Any] = []
    for field in _parse(given, "unpack"):
        at += field.padding(at)
        _require_bytes(data, at, field.size)
        size = field.size
        if field.letter == "s":
            size = _length_of_string(data, at) + 1
        elif field.letter == "c" and size == 0:
            size = _take_size(values)
            _require_bytes(data, at, size)
        if field.letter != "x":
            values.append(_unpack_field(field, data[at : at + size]))
        at += size
    return (*values, truncate(at + 1))


def _length_of_string(data: bytes, at: int) -> int:
    end = data.find(b"\0", at)
    if end < 0:
        raise ValueError("unfinished string in data")
    return end - at


def _too_short() -> ValueError:
    return wrong_argument(1, "unpack", "data string too short")


def _require_bytes(data: bytes, at: int, size: int) -> None:
    if size < 0 or at + size > len(data):
        raise _too_short()


def _take_size(values: list[Any]) -> int:
    """The number before a `c0`, which is its size and no value."""
    try:
        return truncate(number_at(values[-1:], 0, "unpack"))
    except ValueError:
        raise ValueError("format 'c0' needs a previous size") from None
    finally:
        del values[-1:]


def _unpack_field(field: _Field, data: bytes) -> Any:
    if field.letter == "c":
        return data
    if field.letter == "s":
        return data[:-1]
    if field.letter not in _NUMBERS:
        raise _invalid(field.letter, "unpack")
    if field.letter in "fd":
        return struct.unpack(
            ("<" if field.order == "little" else ">") + field.letter, data
        )[0]
    number = int.from_bytes(data, field.order, signed=field.letter.islower())
    return number if -(1 << 63) <= number < 1 << 63 else float(number)


# -- sizes


def _size(given: Given) -> int:
    at = 0
    for field in _parse(given, "size"):
        if field.letter == "s":
            raise wrong_argument(0, "size", "option 's' has no fixed size")
        if field.letter == "c" and field.size == 0:
            raise wrong_argument(0, "size", "option 'c0' has no fixed size")
        at += field.padding(at) + field.size
    return at


FUNCTIONS: dict[bytes, Callable[[Given], Any]] = {
    b"pack": _pack,
    b"unpack": _unpack,
    b"size": _size,
}
"""The library's functions by name."""
