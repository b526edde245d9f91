"""What is wrong with an RDB file or a payload: where, and why."""

from __future__ import annotations


class RdbError(ValueError):
    """The input is no RDB file, is damaged, or holds what this engine has not.

    `offset` counts the bytes from the start of the input to what is wrong: where an item
    begins that cannot be read, or where the input ends. Offsets into what was compressed
    or packed are those of the whole packed string.
    """

    def __init__(self, offset: int, reason: str) -> None:
        super().__init__(f"{reason} (at byte {offset})")
        self.offset = offset
        self.reason = reason


class UnsupportedTypeError(RdbError):
    """A key has a type that this engine has not: a stream, or one of a module."""
