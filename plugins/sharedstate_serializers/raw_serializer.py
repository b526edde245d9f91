"""Bytes as they are: no mark, no numbers, for sharing with programs in other languages."""

from __future__ import annotations

from typing import Any

from sharedstate.errors import SerializationError
from sharedstate.serializers import Serializer


class RawSerializer(Serializer):
    """Stores bytes, and nothing else."""

    name = "raw"
    mark = b""

    def encode(self, value: Any) -> bytes:
        """The bytes themselves. Raises `SerializationError` for anything else."""
        if type(value) is not bytes:
            raise SerializationError(
                f"value: the serializer 'raw' takes bytes only, got "
                f"{type(value).__name__}; encode it first, or use 'msgpack'"
            )
        return value

    def decode(self, data: bytes) -> Any:
        """The bytes themselves."""
        return data

    # What is raw has no mark, so that the stored form is the value.
    dumps = encode
    loads = decode
