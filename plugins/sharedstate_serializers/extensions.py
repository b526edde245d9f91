"""What msgpack has no type for: its extension types, one code each.

    code  type                 payload
    1     datetime             msgpack [text, fold, zone]; zone as of `time`
    2     date                 ISO text
    3     time                 msgpack [text, fold, zone]: zone None, the key of a
                               ZoneInfo, or [offset, name or None] of a fixed offset
    4     timedelta            msgpack [days, seconds, microseconds]
    5     Decimal              text
    6     UUID                 16 bytes
    7, 8  set, frozenset       msgpack array, sorted by bytes: equal sets are equal bytes
    9     tuple                msgpack array
    10    int beyond 64 bits   two's complement, big-endian
    11    complex              msgpack [real, imaginary]

Codes are written to stores: they are never given another meaning.

Only exact types are taken. A namedtuple or an enum would come back as a plain tuple or
number; they are refused, as is a tzinfo of a class of somebody else's.

The modules of these types are imported when a value of theirs is met, for most programs
never store a Decimal. A type is recognised by name first and then by identity.
"""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Any

import msgpack  # type: ignore[import-untyped]  # it has no stubs

from sharedstate.errors import SerializationError

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_NESTING = 32
"""How deep tuples and sets may nest. Each level is a call of the decoder within itself,
with some 70 KB of C stack: at 200 levels a hostile value would end the process."""

_unpackb = msgpack.unpackb

DATETIME, DATE, TIME, TIMEDELTA, DECIMAL, UUID = 1, 2, 3, 4, 5, 6
SET, FROZENSET, TUPLE, INTEGER, COMPLEX = 7, 8, 9, 10, 11


def pack(value: object, depth: int = 0) -> bytes:
    """The bytes of a value. Raises TypeError, ValueError, OverflowError, RecursionError."""
    data: bytes = msgpack.packb(value, strict_types=True, default=ENCODE[depth])
    return data


def unpack(data: bytes, depth: int = 0) -> Any:
    """The value of bytes. Raises much; see `MsgpackSerializer.decode`."""
    return _unpackb(data, strict_map_key=False, ext_hook=DECODE[depth])


def is_extension(value: object) -> bool:
    """Whether a value is of a type that is stored as an extension."""
    return _find_encoder(type(value)) is not None


def _encode(value: object, *, depth: int) -> object:
    """Called by msgpack for what it does not know. `depth` counts what it is inside of."""
    encoder = _find_encoder(type(value))
    if encoder is None:
        raise TypeError(f"no extension type for {type(value).__name__}")
    if depth >= MAX_NESTING:
        raise RecursionError(f"tuples and sets nest deeper than {MAX_NESTING}")
    code, data = encoder(value, depth + 1)
    return msgpack.ExtType(code, data)


def _decode(code: int, data: bytes, *, depth: int) -> object:
    decoder = _DECODERS.get(code)
    if decoder is None:
        raise SerializationError(f"unknown extension type {code}")
    if depth >= MAX_NESTING:
        raise RecursionError(f"tuples and sets nest deeper than {MAX_NESTING}")
    return decoder(data, depth + 1)


# One hook for each depth: they know where they are without keeping any state.
ENCODE = [partial(_encode, depth=depth) for depth in range(MAX_NESTING + 1)]
DECODE = [partial(_decode, depth=depth) for depth in range(MAX_NESTING + 1)]


def _find_encoder(kind: type) -> Callable[[Any, int], tuple[int, bytes]] | None:
    encoder = _ENCODERS.get(kind)
    if encoder is None:
        place = _NAMED.get((kind.__module__, kind.__qualname__))
        # The name may be anybody's: only the class itself counts.
        if place and getattr(sys.modules.get(kind.__module__), kind.__name__, None) is kind:
            encoder = _ENCODERS[kind] = place
    return encoder


def _encode_datetime(value: Any, depth: int) -> tuple[int, bytes]:
    text = value.replace(tzinfo=None, fold=0).isoformat()
    return DATETIME, pack([text, value.fold, _describe_zone(value.tzinfo)], depth)


def _decode_datetime(data: bytes, depth: int) -> object:
    from datetime import datetime

    text, fold, zone = unpack(data, depth)
    return datetime.fromisoformat(text).replace(fold=fold, tzinfo=_rebuild_zone(zone))


def _encode_date(value: Any, depth: int) -> tuple[int, bytes]:
    return DATE, value.isoformat().encode()


def _decode_date(data: bytes, depth: int) -> object:
    from datetime import date

    return date.fromisoformat(data.decode())


def _encode_time(value: Any, depth: int) -> tuple[int, bytes]:
    text = value.replace(tzinfo=None, fold=0).isoformat()
    return TIME, pack([text, value.fold, _describe_zone(value.tzinfo)], depth)


def _decode_time(data: bytes, depth: int) -> object:
    from datetime import time

    text, fold, zone = unpack(data, depth)
    return time.fromisoformat(text).replace(fold=fold, tzinfo=_rebuild_zone(zone))


def _describe_zone(zone: Any) -> object:
    if zone is None:
        return None
    from datetime import timezone

    if type(zone) is timezone:
        offset, name = zone.utcoffset(None), zone.tzname(None)
        plain = name == timezone(offset).tzname(None)
        return [[offset.days, offset.seconds, offset.microseconds], None if plain else name]
    from zoneinfo import ZoneInfo

    if type(zone) is ZoneInfo and zone.key:
        return zone.key
    raise TypeError(f"no extension type for the time zone {zone!r:.100}")


def _rebuild_zone(zone: Any) -> Any:
    if zone is None:
        return None
    if isinstance(zone, str):
        from zoneinfo import ZoneInfo

        return ZoneInfo(zone)
    from datetime import timedelta, timezone

    offset, name = zone
    # Without a name, so that the offset zero is `timezone.utc` itself.
    return timezone(timedelta(*offset), *([name] if name is not None else []))


def _encode_timedelta(value: Any, depth: int) -> tuple[int, bytes]:
    return TIMEDELTA, pack([value.days, value.seconds, value.microseconds], depth)


def _decode_timedelta(data: bytes, depth: int) -> object:
    from datetime import timedelta

    return timedelta(*unpack(data, depth))


def _encode_decimal(value: Any, depth: int) -> tuple[int, bytes]:
    return DECIMAL, str(value).encode()


def _decode_decimal(data: bytes, depth: int) -> object:
    from decimal import Decimal

    return Decimal(data.decode())


def _encode_uuid(value: Any, depth: int) -> tuple[int, bytes]:
    return UUID, value.bytes


def _decode_uuid(data: bytes, depth: int) -> object:
    import uuid

    return uuid.UUID(bytes=data)


def _encode_set(value: Any, depth: int, code: int) -> tuple[int, bytes]:
    header: bytes = msgpack.Packer().pack_array_header(len(value))
    return code, header + b"".join(sorted(pack(each, depth) for each in value))


def _encode_tuple(value: Any, depth: int) -> tuple[int, bytes]:
    return TUPLE, pack(list(value), depth)


def _encode_int(value: int, depth: int) -> tuple[int, bytes]:
    return INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True)


def _encode_complex(value: complex, depth: int) -> tuple[int, bytes]:
    return COMPLEX, pack([value.real, value.imag], depth)


_ENCODERS: dict[type, Callable[[Any, int], tuple[int, bytes]]] = {
    tuple: _encode_tuple,
    set: partial(_encode_set, code=SET),
    frozenset: partial(_encode_set, code=FROZENSET),
    int: _encode_int,
    complex: _encode_complex,
}

_NAMED: dict[tuple[str, str], Callable[[Any, int], tuple[int, bytes]]] = {
    ("datetime", "datetime"): _encode_datetime,
    ("datetime", "date"): _encode_date,
    ("datetime", "time"): _encode_time,
    ("datetime", "timedelta"): _encode_timedelta,
    ("decimal", "Decimal"): _encode_decimal,
    ("uuid", "UUID"): _encode_uuid,
}

_DECODERS: dict[int, Callable[[bytes, int], object]] = {
    DATETIME: _decode_datetime,
    DATE: _decode_date,
    TIME: _decode_time,
    TIMEDELTA: _decode_timedelta,
    DECIMAL: _decode_decimal,
    UUID: _decode_uuid,
    SET: lambda data, depth: set(unpack(data, depth)),
    FROZENSET: lambda data, depth: frozenset(unpack(data, depth)),
    TUPLE: lambda data, depth: tuple(unpack(data, depth)),
    INTEGER: lambda data, depth: int.from_bytes(data, "big", signed=True),
    COMPLEX: lambda data, depth: complex(*unpack(data, depth)),
}
