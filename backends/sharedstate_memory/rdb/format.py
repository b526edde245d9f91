"""The RDB format: its marks, and how lengths and strings are written.

    file     "REDIS" and four digits, the version; items; EOF; CRC-64 of all before
    item     an opcode and what belongs to it, or a key:
             [deadline] [idle time or frequency] type, name, value

    length   00xxxxxx                     in 6 bits
             01xxxxxx xxxxxxxx            in 14 bits
             10000000, 4 bytes            in 32 bits, highest byte first
             10000001, 8 bytes            in 64 bits, highest byte first
    string   a length and so many bytes; or
             11000000, 11000001, 11000010 a number of 1, 2 or 4 bytes, lowest first
             11000011, two lengths        compressed bytes (`lzf.py`), and how many they
                                          become

Source: the description at https://rdb.fnordig.de/file_format.html, and what redis-server
writes and takes.
"""

from __future__ import annotations

MAGIC = b"REDIS"

MOST_VERSION = 12
"""The latest version that is read: that of Redis 7.4."""

PLAIN_VERSION = 10
"""The version of Redis 7.0, in which everything is written but deadlines of fields."""

FIELD_DEADLINES_VERSION = 12
"""The version of Redis 7.4, which brought deadlines of fields."""

FIRST_CHECKED_VERSION = 5
"""Older files end without a checksum."""

CHECKSUM_BYTES = 8

# -- opcodes: what an item begins with that is no key

SLOT_INFO = 244
FUNCTION = 245
FUNCTION_BEFORE_RELEASE = 246
MODULE_AUX = 247
IDLE = 248
FREQUENCY = 249
AUX = 250
RESIZE = 251
DEADLINE_MS = 252
DEADLINE_S = 253
SELECT = 254
EOF = 255

# -- types: how the value of a key is written

STRING = 0
LIST = 1
SET = 2
ZSET_TEXT = 3
HASH = 4
ZSET = 5
HASH_ZIPMAP = 9
LIST_ZIPLIST = 10
SET_INTSET = 11
ZSET_ZIPLIST = 12
HASH_ZIPLIST = 13
LIST_OF_ZIPLISTS = 14
HASH_LISTPACK = 16
ZSET_LISTPACK = 17
LIST_OF_LISTPACKS = 18
SET_LISTPACK = 20
HASH_DEADLINES = 24
HASH_DEADLINES_LISTPACK = 25

REFUSED_TYPES = {
    6: "a value of a module",
    7: "a value of a module",
    15: "a stream",
    19: "a stream",
    21: "a stream",
    22: "a hash of a preview of Redis 7.4",
    23: "a hash of a preview of Redis 7.4",
}
"""Types that are known, and that this engine has not."""

# -- what a length or a string begins with

FOURTEEN_BITS = 0x40
FOUR_BYTES = 0x80
EIGHT_BYTES = 0x81
INTEGER_8 = 0xC0
INTEGER_16 = 0xC1
INTEGER_32 = 0xC2
COMPRESSED = 0xC3

# A piece of a list: a string by itself, or a listpack of several.
PLAIN_PIECE, PACKED_PIECE = 1, 2

LONGEST_INTEGER = 11
"""No longer is the text of a number that is written as one: a sign and ten digits."""


def length_bytes(length: int) -> bytes:
    """A length as it is written."""
    if length < FOURTEEN_BITS:
        return bytes((length,))
    if length < FOURTEEN_BITS << 8:
        return (FOURTEEN_BITS << 8 | length).to_bytes(2, "big")
    if length < 1 << 32:
        return b"\x80" + length.to_bytes(4, "big")
    return b"\x81" + length.to_bytes(8, "big")


def integer_bytes(text: bytes) -> bytes | None:
    """A text as the number that it is; None for one that is none, or has a form or a size
    that would not come back the same.
    """
    # Most texts are none: to find out by an exception takes ten times as long.
    if not (text.isdigit() or (text[:1] == b"-" and text[1:].isdigit())):
        return None
    number = int(text)
    if b"%d" % number != text:
        return None
    for mark, bits in ((b"\xc0", 8), (b"\xc1", 16), (b"\xc2", 32)):
        if -(1 << bits - 1) <= number < 1 << bits - 1:
            return mark + number.to_bytes(bits // 8, "little", signed=True)
    return None
