"""RdbSource: the bytes of an RDB file, read in blocks, counted and summed.

What is parsed stands in `buffer`, from `at` on. Parsers of what is short may look at both
themselves, and move `at` when they are done; whatever may be longer than the buffer, or
lie across its end, is asked for by `take` and what is built on it.

Memory is bounded by what is really there: a length is believed only as far as bytes come.
"""

from __future__ import annotations

from struct import Struct

from sharedstate_memory.rdb.checksum import START, crc64
from sharedstate_memory.rdb.errors import RdbError
from sharedstate_memory.rdb.format import (
    COMPRESSED,
    EIGHT_BYTES,
    FOUR_BYTES,
    FOURTEEN_BITS,
    INTEGER_8,
    INTEGER_16,
    INTEGER_32,
)
from sharedstate_memory.rdb.lzf import LzfError, decompress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class Readable(Protocol):
        """A file that is open for reading bytes."""

        def read(self, size: int, /) -> bytes:
            """So many bytes at most; none at the end."""


BLOCK_BYTES = 1 << 18
"""How much is read at once. With more, the processor's cache no longer holds it."""

_INTEGER_BYTES = {INTEGER_8: 1, INTEGER_16: 2, INTEGER_32: 4}

_take_double = Struct("<d").unpack


class RdbSource:
    """Bytes to be parsed, from a file whose position is where they begin.

    `leftover` is what was read from the file beyond the last byte that was parsed: whoever
    goes on with the file (the log behind a preamble) takes these bytes first. `offset` is
    how many bytes were parsed. `version` and `aux` are those of the file, as far as it was
    parsed, and `announced` how many keys it says that a database has.
    """

    __slots__ = (
        "_base",
        "_checksum",
        "_file",
        "_is_summed",
        "_summed",
        "announced",
        "at",
        "aux",
        "buffer",
        "keys_expired",
        "keys_loaded",
        "version",
    )

    def __init__(self, file: Readable) -> None:
        self._file: Readable | None = file
        self._base = 0
        self._checksum = START
        self._is_summed = True
        # The bytes of the buffer before this one are in the checksum.
        self._summed = 0
        self.buffer = b""
        self.at = 0
        self.version = 0
        self.aux: dict[bytes, bytes] = {}
        self.announced: dict[int, int] = {}
        self.keys_loaded = 0
        self.keys_expired = 0

    @classmethod
    def of_bytes(cls, data: bytes) -> RdbSource:
        """A source of bytes that are there already, and have no checksum."""
        source = cls.__new__(cls)
        cls.__init__(source, None)  # type: ignore[arg-type]
        source.buffer = data
        source._is_summed = False
        return source

    @property
    def offset(self) -> int:
        """How many bytes were parsed."""
        return self._base + self.at

    @property
    def leftover(self) -> bytes:
        """The bytes that were read from the file and not parsed."""
        return self.buffer[self.at :]

    @property
    def is_at_end(self) -> bool:
        """Whether no byte is left."""
        return self.at == len(self.buffer) and not self.refill()

    # -- the checksum

    def sum_no_more(self) -> None:
        """Work out no checksum: nobody will ask for it."""
        self._is_summed = False

    def checksum(self) -> bytes:
        """The checksum of what was parsed."""
        self._sum_up()
        return self._checksum

    def _sum_up(self) -> None:
        if self._is_summed and self._summed < self.at:
            self._checksum = crc64(self.buffer[self._summed : self.at], self._checksum)
        self._summed = self.at

    # -- bytes

    def refill(self) -> bool:
        """Read a block more, behind what is left of the buffer. False at the end."""
        block = b"" if self._file is None else self._file.read(BLOCK_BYTES)
        if not block:
            return False
        self._sum_up()
        self._base += self.at
        self.buffer = self.buffer[self.at :] + block
        self.at = self._summed = 0
        return True

    def take(self, size: int) -> bytes:
        """The next so many bytes. Raises RdbError if there are not so many."""
        start = self.at
        stop = start + size
        if stop <= len(self.buffer):
            self.at = stop
            return self.buffer[start:stop]
        return self._take_in_pieces(size)

    def _take_in_pieces(self, size: int) -> bytes:
        start = self.offset
        pieces: list[bytes] = []
        while size > len(self.buffer) - self.at:
            pieces.append(self.leftover)
            size -= len(pieces[-1])
            self.at = len(self.buffer)
            if not self.refill():
                raise RdbError(
                    self.offset,
                    f"the input ends {size} bytes early, in what began at {start}",
                )
        pieces.append(self.take(size))
        return b"".join(pieces)

    def take_byte(self) -> int:
        """The next byte."""
        at = self.at
        if at < len(self.buffer):
            self.at = at + 1
            return self.buffer[at]
        return self.take(1)[0]

    def take_number(self, size: int) -> int:
        """A number of so many bytes, the lowest first, with a sign."""
        return int.from_bytes(self.take(size), "little", signed=True)

    def take_double(self) -> float:
        """A double, in eight bytes."""
        value: float = _take_double(self.take(8))[0]
        return value

    # -- lengths and strings

    def take_length(self) -> int:
        """A length. Raises RdbError for what is none."""
        start = self.offset
        first = self.take_byte()
        if first < FOURTEEN_BITS:
            return first
        if first < FOUR_BYTES:
            return (first & 0x3F) << 8 | self.take_byte()
        if first == FOUR_BYTES:
            return int.from_bytes(self.take(4), "big")
        if first == EIGHT_BYTES:
            return int.from_bytes(self.take(8), "big")
        raise RdbError(start, f"a length was expected, but 0x{first:02x} begins none")

    def take_string(self) -> bytes:
        """A string, in any of its forms."""
        # A short one in the buffer, spelled out: names of keys and fields are such.
        buffer, at = self.buffer, self.at
        if at < len(buffer):
            stop = at + 1 + buffer[at]
            if buffer[at] < FOURTEEN_BITS and stop <= len(buffer):
                self.at = stop
                return buffer[at + 1 : stop]
        else:
            self.refill()
        return self._take_other_string()

    def _take_other_string(self) -> bytes:
        first = self.buffer[self.at] if self.at < len(self.buffer) else 0
        if first < INTEGER_8:
            return self.take(self.take_length())
        if first in _INTEGER_BYTES:
            self.at += 1
            return b"%d" % self.take_number(_INTEGER_BYTES[first])
        if first == COMPRESSED:
            self.at += 1
            return self._take_compressed()
        raise RdbError(self.offset, f"a string was expected, but 0x{first:02x} begins none")

    def _take_compressed(self) -> bytes:
        start = self.offset - 1
        size = self.take_length()
        whole_size = self.take_length()
        data = self.take(size)
        try:
            return decompress(data, whole_size)
        except LzfError as error:
            raise RdbError(start, str(error)) from None
