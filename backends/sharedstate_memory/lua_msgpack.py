"""`cmsgpack` for scripts: MessagePack, with the choices of the library of that name.

Packing takes the shortest form of a number, a double that is exactly a float included;
a table whose keys are 1 to n is an array; what MessagePack has no type for is nil.
Unpacking is the `msgpack` package's.
"""

from __future__ import annotations

import struct

import msgpack  # type: ignore[import-untyped]
from lupa.lua51 import lua_type  # type: ignore[import-untyped]

from sharedstate_memory.lua_libraries import type_name, wrong_argument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

# Tables nested deeper are packed as nil, as by the original.
_DEEPEST = 16

_MOST_INTEGER = (1 << 63) - 1

_packer = msgpack.Packer(use_bin_type=True, unicode_errors="surrogateescape")


def _as_bytes(data: Any, name: str) -> bytes:
    if type(data) is bytes:
        return data
    if type(data) in (int, float):
        return b"%.14g" % data
    raise wrong_argument(1, name, f"string expected, got {type_name(data)}")


# -- packing


def _pack_all(*values: Any) -> bytes:
    if not values:
        raise wrong_argument(0, "pack", "MessagePack pack needs input.")
    return b"".join(_pack(value, 0) for value in values)


def _pack(value: Any, depth: int) -> bytes:
    if type(value) is bytes:
        # Strings have one type in Lua; the packer has its short forms for text only.
        value = value.decode("utf-8", "surrogateescape")
    elif type(value) is float:
        return _pack_float(value)
    elif lua_type(value) == "table" and depth < _DEEPEST:
        return _pack_table(value, depth + 1)
    packed: bytes = _packer.pack(value if isinstance(value, (bool, int, str)) else None)
    return packed


def _pack_float(value: float) -> bytes:
    try:
        short = struct.pack(">f", value)
    except OverflowError:
        return b"\xcb" + struct.pack(">d", value)
    if struct.unpack(">f", short)[0] == value:
        return b"\xca" + short
    return b"\xcb" + struct.pack(">d", value)


def _pack_table(table: Any, depth: int) -> bytes:
    pairs = list(table.items())
    keys = [key for key, _ in pairs]
    if all(type(key) is int for key in keys) and sorted(keys) == list(_counted(keys)):
        items = dict(pairs)
        head: bytes = _packer.pack_array_header(len(items))
        return head + b"".join(_pack(items[key], depth) for key in _counted(keys))
    head = _packer.pack_map_header(len(pairs))
    return head + b"".join(_pack(k, depth) + _pack(v, depth) for k, v in pairs)


def _counted(keys: list[Any]) -> range:
    return range(1, len(keys) + 1)


# -- unpacking


def _unpack_all(data: Any = None) -> tuple[Any, ...]:
    values, _ = _unpack(_as_bytes(data, "unpack"), 0, None)
    return tuple(values)


def _unpack_limit(data: Any = None, limit: Any = 0, offset: Any = 0) -> tuple[Any, ...]:
    values, end = _unpack(_as_bytes(data, "unpack_limit"), int(offset), int(limit))
    return (end, *values)


def _unpack_one(data: Any = None, offset: Any = 0) -> tuple[Any, ...]:
    return _unpack_limit(data, 1, offset)


def _unpack(data: bytes, offset: int, limit: int | None) -> tuple[list[Any], int]:
    """The values that stand in `data` from `offset` on, and where the next one begins;
    -1 if there is none.
    """
    if offset < 0 or (limit is not None and limit < 0):
        raise ValueError(
            f"Invalid request to unpack with offset of {offset} and limit of {limit}"
        )
    if offset > len(data):
        raise ValueError(f"Start offset {offset} greater than input length {len(data)}.")
    unpacker = msgpack.Unpacker(
        raw=True, strict_map_key=False, max_buffer_size=max(1, len(data))
    )
    unpacker.feed(data[offset:])
    values: list[Any] = []
    while offset + unpacker.tell() < len(data) and len(values) != (limit or None):
        values.append(_simplified(_next(unpacker)))
    end = offset + unpacker.tell()
    return values, -1 if limit is None or end >= len(data) else end


def _next(unpacker: msgpack.Unpacker) -> Any:
    try:
        return unpacker.unpack()
    except msgpack.OutOfData:
        raise ValueError("Missing bytes in input.") from None
    except (ValueError, TypeError):
        raise ValueError("Bad data format in input.") from None


def _simplified(value: Any) -> Any:
    """A value without what Lua has not: extension types, and the greatest integers."""
    if isinstance(value, list):
        return [_simplified(item) for item in value]
    if isinstance(value, dict):
        return {key: _simplified(item) for key, item in value.items()}
    if type(value) is int and value > _MOST_INTEGER:
        return float(value)
    return value if isinstance(value, (bytes, int, float)) else None


FUNCTIONS: dict[bytes, Callable[..., Any]] = {
    b"pack": _pack_all,
    b"unpack": _unpack_all,
    b"unpack_one": _unpack_one,
    b"unpack_limit": _unpack_limit,
}
"""The library's functions by name."""
