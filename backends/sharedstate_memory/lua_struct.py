"""`struct` for scripts: binary data by a format string.

    <  >  =     little, big, native order from here on      !n  align to n at most
    b B h H l L t T i[n] I[n]   whole numbers               x   a byte of padding
    f d         a float, a double                           c[n]  n characters
    s           a string that ends with a zero byte         (blank) nothing

`c0` takes the whole string when packing, and when unpacking as many characters as the
number before it says. Source: http://www.inf.puc-rio.br/~roberto/struct/
"""

from __future__ import annotations

import struct
import sys

from sharedstate_memory.lua_libraries import as_number, type_name, wrong_argument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any, Literal

    Order = Literal["little", "big"]

_SIZES = {"b": 1, "h": 2, "i": 4, "l": 8, "t": 8, "f": 4, "d": 8, "x": 1}
_MOST_BYTES = 32
_NATIVE_ALIGNMENT = 8


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
        align = min(self.size, self.alignment)
        if self.letter in "csx" or align <= 1:
            return 0
        return -at % align


def _parse(text: Any, name: str) -> Iterator[_Field]:
    if type(text) is not bytes:
        raise wrong_argument(1, name, f"string expected, got {type_name(text)}")
    letters = text.decode("latin-1")
    order: Order = sys.byteorder
    alignment, at = 1, 0
    while at < len(letters):
        letter, at = letters[at], at + 1
        digits = letters[
            at : at + len(letters[at:]) - len(letters[at:].lstrip("0123456789"))
        ]
        if letter in "iIc!":
            at += len(digits)
        if letter in "<>=":
            order = {"<": "little", ">": "big", "=": sys.byteorder}[letter]  # type: ignore[assignment]
        elif letter == "!":
            alignment = int(digits) if digits else _NATIVE_ALIGNMENT
        elif letter != " ":
            yield _Field(letter, _size_of(letter, digits, name), order, alignment)


def _size_of(letter: str, digits: str, name: str) -> int:
    if letter == "c":
        return int(digits) if digits else 1
    if letter == "s":
        return 0
    if letter.lower() not in _SIZES or letter in "FDX":
        raise wrong_argument(1, name, f"invalid format option '{letter}'")
    size = int(digits) if digits and letter in "iI" else _SIZES[letter.lower()]
    if size > _MOST_BYTES:
        raise ValueError(f"integral size {size} is larger than limit of {_MOST_BYTES}")
    return size


# -- packing


def _pack(form: Any = None, *values: Any) -> bytes:
    out = bytearray()
    index = 0
    for field in _parse(form, "pack"):
        out += bytes(field.padding(len(out)))
        if field.letter == "x":
            out += b"\0"
            continue
        value = values[index] if index < len(values) else None
        index += 1
        out += _pack_field(field, value, index + 1)
    return bytes(out)


def _pack_field(field: _Field, value: Any, index: int) -> bytes:
    if field.letter in "sc":
        return _pack_string(field, value, index)
    number = as_number(value, index, "pack")
    if field.letter in "fd":
        code = ("<" if field.order == "little" else ">") + field.letter
        try:
            return struct.pack(code, number)
        except OverflowError:
            return struct.pack(code, float("inf") if number > 0 else float("-inf"))
    whole = int(number) if abs(number) < 2.0**63 else -(1 << 63)
    return (whole & ((1 << 8 * field.size) - 1)).to_bytes(field.size, field.order)


def _pack_string(field: _Field, value: Any, index: int) -> bytes:
    if type(value) in (int, float):
        value = b"%.14g" % value
    if type(value) is not bytes:
        raise wrong_argument(index, "pack", f"string expected, got {type_name(value)}")
    if field.letter == "s":
        return value + b"\0"
    if len(value) < field.size:
        raise wrong_argument(index, "pack", "string too short")
    return value[: field.size or None]


# -- unpacking


def _unpack(form: Any = None, data: Any = None, position: Any = 1) -> tuple[Any, ...]:
    if type(data) is not bytes:
        raise wrong_argument(2, "unpack", f"string expected, got {type_name(data)}")
    at = int(as_number(position, 3, "unpack")) - 1
    if at < 0:
        raise wrong_argument(3, "unpack", "offset must be 1 or greater")
    values: list[Any] = []
    for field in _parse(form, "unpack"):
        at += field.padding(at)
        if field.letter == "s":
            end = data.find(b"\0", at)
            if end < 0:
                raise ValueError("unfinished string in data")
            values.append(data[at:end])
            at = end + 1
            continue
        size = field.size
        if field.letter == "c" and size == 0:
            if not values or type(values[-1]) is bytes:
                raise ValueError("format 'c0' needs a previous size")
            size = int(values.pop())
        if size < 0 or at + size > len(data):
            raise wrong_argument(2, "unpack", "data string too short")
        if field.letter != "x":
            values.append(_unpack_field(field, data[at : at + size]))
        at += size
    return (*values, at + 1)


def _unpack_field(field: _Field, data: bytes) -> Any:
    if field.letter == "c":
        return data
    if field.letter in "fd":
        return struct.unpack(
            ("<" if field.order == "little" else ">") + field.letter, data
        )[0]
    number = int.from_bytes(data, field.order, signed=field.letter.islower())
    return number if -(1 << 63) <= number < 1 << 63 else float(number)


# -- sizes


def _size(form: Any = None) -> int:
    at = 0
    for field in _parse(form, "size"):
        if field.letter == "s":
            raise wrong_argument(1, "size", "variable-size format in size")
        if field.letter == "c" and field.size == 0:
            raise wrong_argument(1, "size", "variable-length format in size")
        at += field.padding(at) + field.size
    return at


FUNCTIONS: dict[bytes, Callable[..., Any]] = {
    b"pack": _pack,
    b"unpack": _unpack,
    b"size": _size,
}
"""The library's functions by name."""
