"""msgpack, the default: compact, quick, and exact.

What comes back is equal to what was stored, and of the same type: int, float, str,
bytes, bool, None, list and dict, and the types of `extensions.py`. Everything else is
refused, with its place in the value. Two liberties: a bytearray or memoryview comes
back as bytes, and nan as nan, which equals nothing.

Values come from a store that others may write to. The decoder allocates no more than
the bytes it has can fill, nesting is bounded, and whatever is wrong with the bytes is
one `SerializationError`.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from sharedstate.errors import SerializationError
from sharedstate.serializers import Serializer, load_foreign

if TYPE_CHECKING:
    from collections.abc import Callable

    from sharedstate_serializers.offenders import Complaint

_NATIVE = frozenset(
    {str, bytes, float, bool, type(None), int, list, dict, bytearray, memoryview}
)

MAX_KEPT_BYTES = 1 << 20
"""A packer that packed more than this is not kept, for its buffer stays as large."""

_MARK = b"M"


def _load() -> None:
    """Import msgpack, and let the functions below be the real ones from now on.

    It takes 5 ms, which a program that shares only counters and numbers never spends.
    """
    import msgpack  # type: ignore[import-untyped]  # it has no stubs

    from sharedstate_serializers.extensions import ENCODE, unpack

    global _pack_scalar, _new_packer, _unpack
    # Packing a scalar runs no Python code, so that one packer serves all threads under
    # the GIL. A packer for each call, as msgpack.packb has it, takes three times as long.
    _pack_scalar = msgpack.Packer(strict_types=True).pack
    _new_packer = partial(msgpack.Packer, strict_types=True, default=ENCODE[0])
    _unpack = unpack


def _pack_first_scalar(value: object) -> bytes:
    _load()
    return _pack_scalar(value)


def _make_first_packer() -> Any:
    _load()
    return _new_packer()


def _unpack_first(data: bytes) -> Any:
    _load()
    return _unpack(data)


_pack_scalar: Callable[[object], bytes] = _pack_first_scalar
_new_packer: Callable[[], Any] = _make_first_packer
_unpack: Callable[[bytes], Any] = _unpack_first

_SCALARS = frozenset({str, float, bool, bytes, type(None)})


class MsgpackSerializer(Serializer):
    """Plain data and the types of `extensions.py`, as msgpack."""

    name = "msgpack"
    mark = _MARK

    def __init__(self) -> None:
        # Packers that nobody uses now. A packer calls back into Python, where another
        # thread may run, so each is used by one call at a time.
        self._packers: list[Any] = []

    def dumps(self, value: Any) -> bytes:
        """The stored form of a value: a number's decimal text, or mark and bytes."""
        # On the way of every value. Flat on purpose: 0.2 µs for a short string.
        kind = type(value)
        try:
            if kind in _SCALARS:
                return _MARK + _pack_scalar(value)
            if kind is int:
                return b"%d" % value
        except ValueError:
            pass  # a lone surrogate, a number of thousands of digits: `encode` says
        return _MARK + self.encode(value)

    def encode(self, value: Any) -> bytes:
        """msgpack of a value. Raises `SerializationError` with the path of what it
        refuses."""
        try:
            packer = self._packers.pop()
        except IndexError:
            packer = _new_packer()
        try:
            data: bytes = packer.pack(value)
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            from sharedstate_serializers.offenders import refuse

            raise refuse(value, _complain, self.name, otherwise=str(error)) from error
        if len(data) <= MAX_KEPT_BYTES:
            self._packers.append(packer)
        return data

    def loads(self, data: bytes) -> Any:
        """The value of a stored form."""
        if data[:1] != _MARK:
            if data.isdigit():
                return int(data)  # what `load_foreign` would say, at a third of the time
            return load_foreign(data, self)
        try:
            return _unpack(data[1:])
        except Exception as error:  # see `decode`
            raise _malformed(data, error) from error

    def decode(self, data: bytes) -> Any:
        """The value of msgpack bytes. Raises `SerializationError`."""
        try:
            return _unpack(data)
        except Exception as error:
            # Hostile bytes can raise anything that msgpack, datetime, decimal or a
            # list as the key of a dict can raise. It is always the same mistake.
            raise _malformed(data, error) from error


def _malformed(data: bytes, error: Exception) -> SerializationError:
    return SerializationError(
        f"expected a msgpack value, got {len(data)} bytes that are not one: "
        f"{type(error).__name__}: {error}"
    )


def _complain(part: object, is_key: bool) -> Complaint:
    from sharedstate_serializers.extensions import is_extension
    from sharedstate_serializers.offenders import unknown_type

    if type(part) is str:
        try:
            part.encode()
        except UnicodeEncodeError:
            return "expected text that UTF-8 can carry, got a lone surrogate"
    elif not (type(part) in _NATIVE or is_extension(part)):
        return unknown_type(part, "plain data, a date or time, Decimal, UUID, set or tuple")
    zone = getattr(part, "tzinfo", None)
    if zone is not None and type(zone).__qualname__ not in ("timezone", "ZoneInfo"):
        return unknown_type(zone, "a time zone that is a timezone or a ZoneInfo")
    return None
