"""Keys of maps: what type they have, and how they become fields of a hash.

`str`, `int` and `bytes` travel as what they are, readable by people and by programs in
other languages. Any other key goes through the serializer, and is then the same key if
its bytes are the same: 1 and 1.0 are equal in a dict, and two keys here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sharedstate.errors import ConfigError, SerializationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sharedstate.backend import Argument
    from sharedstate.serializers import Serializer


class KeyCodec:
    """How the keys of one map travel.

    Keys of exactly the type `exact` go to the backend as they are: that is the hot path.
    All others go through `encode`, which refuses a wrong one with `TypeError`. `decode`
    turns a field back into a key.
    """

    __slots__ = ("decode", "encode", "exact")

    def __init__(
        self,
        exact: type[Any],
        encode: Callable[[Any], Argument],
        decode: Callable[[bytes], Any],
    ) -> None:
        self.exact = exact
        self.encode = encode
        self.decode = decode


def key_codec(kind: object, serializer: Serializer) -> KeyCodec:
    """The codec for keys of one type: `str`, `int`, `bytes`, or `object` for any.

    Raises `ConfigError` for another type.
    """
    if kind is object:
        return _any_keys(serializer)
    codec = _SIMPLE.get(kind)
    if codec is None:
        shown = kind.__name__ if isinstance(kind, type) else repr(kind)
        raise ConfigError(f"expected key=str, int, bytes or object, got {shown}")
    return codec


def _refusal(kind: str, key: object) -> TypeError:
    got = type(key)
    opened = got.__name__ if got in _SIMPLE else "object"
    return TypeError(
        f"expected a key of type {kind}, got {got.__name__}: {repr(key)[:80]}; "
        f"a map whose keys are such is opened with key={opened}"
    )


def _encode_text(key: object) -> str:
    if isinstance(key, str):
        return str.__str__(key)
    raise _refusal("str", key)


def _decode_text(field: bytes) -> str:
    try:
        return field.decode()
    except UnicodeDecodeError as error:
        raise _foreign("str", field) from error


def _encode_int(key: object) -> int:
    if isinstance(key, int) and not isinstance(key, bool):
        return int(key)
    raise _refusal("int", key)


def _decode_int(field: bytes) -> int:
    try:
        return int(field)
    except ValueError as error:
        raise _foreign("int", field) from error


def _encode_bytes(key: object) -> bytes:
    if isinstance(key, bytes):
        return bytes(key)
    raise _refusal("bytes", key)


def _foreign(kind: str, field: bytes) -> SerializationError:
    return SerializationError(
        f"expected a key of type {kind}, found the field {field[:80]!r}; "
        f"open the map with the key type that it was written with, or with key=bytes"
    )


class _Nothing:
    """No key is of this type, so that every key goes through `encode`."""


def _any_keys(serializer: Serializer) -> KeyCodec:
    dumps = serializer.dumps

    def encode(key: object) -> bytes:
        hash(key)  # What cannot be a key of a dict cannot be one here: raises TypeError.
        return dumps(key)

    return KeyCodec(_Nothing, encode, serializer.loads)


_SIMPLE: dict[object, KeyCodec] = {
    str: KeyCodec(str, _encode_text, _decode_text),
    int: KeyCodec(int, _encode_int, _decode_int),
    bytes: KeyCodec(bytes, _encode_bytes, bytes),
}
