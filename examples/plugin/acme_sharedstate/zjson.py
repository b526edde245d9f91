"""The serializer `zjson`: JSON, compressed where that makes it smaller."""

from __future__ import annotations

import json
import zlib
from typing import Any

from sharedstate.errors import SerializationError
from sharedstate.serializers import Serializer

MAX_BYTES = 64 << 20
"""Most bytes that a value may have when unpacked. A few hostile bytes can unpack to
gigabytes."""

_PLAIN, _PACKED = b"j", b"z"


class ZJsonSerializer(Serializer):
    """Whatever comes back from JSON as it was. The first byte says if it is packed."""

    name = "zjson"
    mark = b"Z"  # b"M", b"J" and b"P" are those of sharedstate's own serializers

    def __init__(self, level: int = 6) -> None:
        self._level = level

    def encode(self, value: Any) -> bytes:
        """The value as JSON. Raises `SerializationError` if it would come back changed."""
        try:
            text = json.dumps(value, allow_nan=False, separators=(",", ":")).encode()
            is_exact = json.loads(text) == value
        except (TypeError, ValueError, RecursionError) as error:
            raise SerializationError(f"value: JSON does not take it: {error}") from error
        if not is_exact:
            raise SerializationError(
                f"value: JSON would change it: {value!r:.80}; "
                f"serializers that may take it: msgpack, pickle"
            )
        packed = zlib.compress(text, self._level)
        return _PACKED + packed if len(packed) < len(text) else _PLAIN + text

    def decode(self, data: bytes) -> Any:
        """The value. Raises `SerializationError` for whatever `encode` did not write."""
        try:
            text = _unpack(data[1:]) if data[:1] == _PACKED else data[1:]
            return json.loads(text)
        except (zlib.error, ValueError, RecursionError) as error:
            raise SerializationError(f"expected a zjson value: {error}") from error


def _unpack(data: bytes) -> bytes:
    unpacking = zlib.decompressobj()
    text = unpacking.decompress(data, MAX_BYTES)
    if not unpacking.eof:
        raise ValueError(f"it is cut off, or has more than {MAX_BYTES} bytes")
    return text
