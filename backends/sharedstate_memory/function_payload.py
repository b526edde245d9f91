"""The payload of FUNCTION DUMP and FUNCTION RESTORE: the texts of libraries.

It is a piece of an RDB file, so that libraries can be carried to a redis-server and back:

    for each library   opcode 245, its text as an RDB string
    at the end         the version of the format, 2 bytes; CRC-64 of all before, 8 bytes

Texts are written as they are. Redis compresses them (LZF); that is read, too.

Source: https://redis.io/docs/latest/commands/function-dump/, and the descriptions of the
RDB format and of CRC-64/Redis (Jones) that are public.
"""

from __future__ import annotations

from functools import cache
from itertools import islice

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

VERSION = 10
"""Of the format, as Redis 7.0 writes it. Older ones are read."""

_LIBRARY = 245
_LIBRARY_BEFORE_RELEASE = 246
_FOOTER_BYTES = 10
_POLYNOMIAL = 0x95AC9329AC4BC9B5

# What a length begins with; below, it stands in the byte itself.
_FOURTEEN_BITS, _FOUR_BYTES, _EIGHT_BYTES = 0x40, 0x80, 0x81
# What stands in place of a length: a number's bytes follow, or compressed ones.
_INTEGER_BYTES = {b"\xc0": 1, b"\xc1": 2, b"\xc2": 4}
_COMPRESSED = b"\xc3"

# Of LZF: below, so many literal bytes and one; and the length that another byte adds to.
_LITERALS = 32
_LONG_COPY = 7


class PayloadError(ValueError):
    """What was to be restored is no payload. Its text says why, as Redis does."""


def dump(texts: Iterable[bytes]) -> bytes:
    """The payload of some libraries, given by their texts."""
    body = b"".join(map(_dump_library, texts)) + VERSION.to_bytes(2, "little")
    return body + crc64(body).to_bytes(8, "little")


def load(payload: bytes) -> list[bytes]:
    """The texts of the libraries in a payload. Raises PayloadError."""
    body, footer = payload[:-8], payload[-_FOOTER_BYTES:]
    version = int.from_bytes(footer[:2], "little")
    is_whole = len(footer) == _FOOTER_BYTES and version <= VERSION
    if not is_whole or crc64(body).to_bytes(8, "little") != footer[2:]:
        raise PayloadError("DUMP payload version or checksum are wrong")
    reader = _Reader(body[:-2])
    texts: list[bytes] = []
    while not reader.is_at_end:
        texts.append(reader.read_library())
    return texts


def crc64(data: bytes) -> int:
    """CRC-64 with the polynomial of Jones, as Redis uses it."""
    table = _crc_table()
    crc = 0
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc


@cache
def _crc_table() -> list[int]:
    return [_crc_of_byte(byte) for byte in range(256)]


def _crc_of_byte(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ (_POLYNOMIAL if byte & 1 else 0)
    return byte


def _dump_library(text: bytes) -> bytes:
    return bytes((_LIBRARY, _EIGHT_BYTES)) + len(text).to_bytes(8, "big") + text


class _Reader:
    """Reads libraries from where the last one ended."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def is_at_end(self) -> bool:
        """Whether everything was read."""
        return self._at == len(self._data)

    def read_library(self) -> bytes:
        """The text of the next library."""
        opcode = self._take(1)[0]
        if opcode == _LIBRARY_BEFORE_RELEASE:
            raise PayloadError("Failed loading engine name")
        if opcode != _LIBRARY:
            raise PayloadError("given type is not a function")
        return self._read_string()

    def _read_string(self) -> bytes:
        first = self._data[self._at : self._at + 1]
        if first == _COMPRESSED:
            self._at += 1
            return self._read_compressed()
        if first in _INTEGER_BYTES:
            self._at += 1
            value = int.from_bytes(self._take(_INTEGER_BYTES[first]), "little", signed=True)
            return b"%d" % value
        return self._take(self._read_length())

    def _read_compressed(self) -> bytes:
        compressed_length = self._read_length()
        length = self._read_length()
        text = decompress(self._take(compressed_length), length)
        if len(text) != length:
            raise _unreadable()
        return text

    def _read_length(self) -> int:
        """A length: in 6 bits, in 14 bits, or in the 4 or 8 bytes that follow a mark."""
        first = self._take(1)[0]
        if first < _FOURTEEN_BITS:
            return first
        if first < _FOUR_BYTES:
            return (first & 0x3F) << 8 | self._take(1)[0]
        if first in (_FOUR_BYTES, _EIGHT_BYTES):
            return int.from_bytes(self._take(4 if first == _FOUR_BYTES else 8), "big")
        raise _unreadable()

    def _take(self, length: int) -> bytes:
        taken = self._data[self._at : self._at + length]
        if len(taken) < length:
            raise _unreadable()
        self._at += length
        return taken


def decompress(data: bytes, limit: int) -> bytes:
    """What LZF has compressed. A control byte begins a run of literal bytes, or says how
    far back, and for how long, to copy from what is there already. Raises PayloadError
    for what is none, and for more than `limit` bytes.

    Source: http://software.schmorp.de/pkg/liblzf.html
    """
    out = bytearray()
    source = iter(data)
    for control in source:
        if control < _LITERALS:
            literals = bytes(islice(source, control + 1))
            if len(literals) <= control:
                raise _unreadable()
            out += literals
        else:
            _copy_back(out, control, source)
        if len(out) > limit:
            raise _unreadable()
    return bytes(out)


def _copy_back(out: bytearray, control: int, source: Iterator[int]) -> None:
    try:
        length = control >> 5
        if length == _LONG_COPY:
            length += next(source)
        start = len(out) - ((control & 0x1F) << 8 | next(source)) - 1
    except StopIteration:
        raise _unreadable() from None
    if start < 0:
        raise _unreadable()
    # Byte by byte: what is copied may begin before it has ended.
    for at in range(start, start + length + 2):
        out.append(out[at])


def _unreadable() -> PayloadError:
    return PayloadError("Failed loading library payload")
