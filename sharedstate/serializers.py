"""Serializers: how a value becomes bytes, and comes back equal.

Every stored value says what it is by its first byte, so that a reader with another
serializer gets an error that names the format, and not rubbish:

    first byte      the value is
    0-9  or  -      a whole number in decimal text, whatever the serializer
    anything else   the mark of the serializer that wrote it, then its bytes

Whole numbers have the same form everywhere for a reason: the store can add to them
(HINCRBY), and people can read them. The `raw` serializer has no mark and no numbers;
its bytes are exactly the caller's, for sharing with programs in other languages.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from sharedstate.errors import SerializationError

MARKS: dict[bytes, str] = {b"M": "msgpack", b"J": "json", b"P": "pickle"}
"""The marks of the serializers that come with sharedstate."""

_NUMBER_STARTS = frozenset(b"-0123456789")


class Serializer(ABC):
    """What a serializer plugin provides: a mark, `encode` and `decode`."""

    name: str
    """The name by which it is chosen."""

    mark: bytes
    """One byte, not a digit and not `-`, that no other serializer in use has."""

    @abstractmethod
    def encode(self, value: Any) -> bytes:
        """The bytes to store, without mark.

        Raises `SerializationError`, naming the path of the offending part and the
        serializers that would take it, if the value would not come back equal.
        """

    @abstractmethod
    def decode(self, data: bytes) -> Any:
        """The value of bytes that `encode` returned. Raises `SerializationError`."""

    def dumps(self, value: Any) -> bytes:
        """The stored form of a value: a number's decimal text, or mark and bytes."""
        if type(value) is int:
            try:
                return b"%d" % value
            except ValueError:
                pass  # thousands of digits, which Python does not write by default
        return self.mark + self.encode(value)

    def loads(self, data: bytes) -> Any:
        """The value of a stored form."""
        mark = data[:1]
        if mark == self.mark:
            return self.decode(data[1:])
        return load_foreign(data, self)


def load_foreign(data: bytes, serializer: Serializer) -> Any:
    """The value of bytes that do not bear the serializer's mark: a number, or an error."""
    if data and data[0] in _NUMBER_STARTS:
        try:
            return int(data)
        except ValueError:
            pass
    mark = data[:1]
    wrote = MARKS.get(mark)
    origin = f"written by the serializer {wrote!r}" if wrote else f"marked {mark!r}"
    raise SerializationError(
        f"expected a value of the serializer {serializer.name!r} "
        f"(marked {serializer.mark!r}), got {len(data)} bytes {origin}; "
        f"open the structure with the serializer that wrote it"
        + (f": serializer={wrote!r}" if wrote else "")
    )
