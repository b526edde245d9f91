"""Strings as rows of bits: one bit, counting, searching, combining.

Bit 0 is the highest bit of the first byte, and what lies beyond a string is zero. Values
are immutable, so setting one bit copies the string. Strings are read as big integers, a
slice at a time: then counting and combining bits is done in C (about 1 ms for a megabyte),
and what that takes beside the string is bounded.
"""

from __future__ import annotations

from functools import reduce
from operator import and_, or_, xor

from sharedstate_memory.commands.arguments import parse_integer
from sharedstate_memory.commands.registry import command
from sharedstate_memory.commands.string_ranges import ends, longest_string, overwritten
from sharedstate_memory.replies import SYNTAX_ERROR, CommandFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sharedstate_memory.replies import Reply
    from sharedstate_memory.session import Session

# How many bytes become one integer. More would not be quicker.
_SLICE = 64 * 1024

_OPERATIONS = {b"AND": and_, b"OR": or_, b"XOR": xor}

_INVERTED = bytes(range(255, -1, -1))

# What a slice looks like that holds no bit of the wanted value, by that value.
_ALL_ONES = 2 ** (8 * _SLICE) - 1
_BLANK = (b"\xff" * _SLICE, b"\0" * _SLICE)

_NO_OFFSET = b"ERR bit offset is not an integer or out of range"
_NO_BIT = b"ERR bit is not an integer or out of range"
_NEITHER_BIT = b"ERR The bit argument must be 1 or 0."
_TOO_MANY_SOURCES = b"ERR BITOP NOT must be called with a single source key."


def read_bit_offset(session: Session, text: bytes, scale: int = 1) -> int:
    """The place of a bit, given as a multiple of `scale`, within the longest string."""
    offset = parse_integer(text, _NO_OFFSET) * scale
    if offset < 0 or offset >> 3 >= longest_string(session):
        raise CommandFailure(_NO_OFFSET)
    return offset


@command("SETBIT")
def set_bit(session: Session, argv: list[bytes]) -> Reply:
    """Set or clear a bit, with zero bytes up to it. Returns what it was."""
    key = argv[1]
    offset = read_bit_offset(session, argv[2])
    if argv[3] not in (b"0", b"1"):
        raise CommandFailure(_NO_BIT)
    old = session.db.typed(key, bytes) or b""
    at, mask = offset >> 3, 0x80 >> (offset & 7)
    is_longer = at >= len(old)
    byte = 0 if is_longer else old[at]
    was_set = byte & mask != 0
    is_other = was_set != (argv[3] == b"1")
    if is_other or is_longer:
        session.db.put(key, overwritten(old, at, bytes((byte ^ mask * is_other,))))
    return int(was_set)


@command("GETBIT")
def get_bit(session: Session, argv: list[bytes]) -> Reply:
    """A bit; 0 beyond the end."""
    offset = read_bit_offset(session, argv[2])
    byte = (session.db.read(argv[1], bytes) or b"")[offset >> 3 : (offset >> 3) + 1]
    return int(byte != b"" and byte[0] & 0x80 >> (offset & 7) != 0)


@command("BITCOUNT")
def count_bits(session: Session, argv: list[bytes]) -> Reply:
    """How many bits are set, in all or in a range of bytes or bits."""
    value = session.db.read(argv[1], bytes)
    if value is None:
        return 0
    if len(argv) == 2:
        return _count(value, 0, 8 * len(value) - 1)
    if len(argv) == 3 or len(argv) > 5:
        raise CommandFailure(SYNTAX_ERROR)
    start, end = parse_integer(argv[2]), parse_integer(argv[3])
    if start < 0 and end < 0 and start > end:
        return 0
    in_bits = _counts_bits(argv[4:])
    return _count(value, *_bit_range(value, start, end, in_bits=in_bits))


def _counts_bits(unit: list[bytes]) -> bool:
    """Whether a range is one of bits, as the word behind it says, if there is one."""
    name = unit[0].upper() if unit else b"BYTE"
    if name not in (b"BYTE", b"BIT"):
        raise CommandFailure(SYNTAX_ERROR)
    return name == b"BIT"


def _bit_range(value: bytes, start: int, end: int, *, in_bits: bool) -> tuple[int, int]:
    """The first and the last bit of a range. There are none if the last is lower."""
    if in_bits:
        return ends(start, end, 8 * len(value))
    first, last = ends(start, end, len(value))
    return 8 * first, 8 * last + 7


def _count(value: bytes, first: int, last: int) -> int:
    """How many bits are set from one place up to another, both in it."""
    if first > last:
        return 0
    view = memoryview(value)[first >> 3 : (last >> 3) + 1]
    count = sum(
        int.from_bytes(view[at : at + _SLICE]).bit_count()
        for at in range(0, len(view), _SLICE)
    )
    before = value[first >> 3] & ~(0xFF >> (first & 7))
    after = value[last >> 3] & 0x7F >> (last & 7)
    return count - before.bit_count() - after.bit_count()


@command("BITPOS")
def find_bit(session: Session, argv: list[bytes]) -> Reply:
    """The place of the first bit that is set, or clear; -1 without any.

    If no end is given, there are clear bits after the last byte.
    """
    bit = parse_integer(argv[2])
    if bit not in (0, 1):
        raise CommandFailure(_NEITHER_BIT)
    value = session.db.read(argv[1], bytes)
    if value is None:
        return -bit
    if len(argv) > 6:
        raise CommandFailure(SYNTAX_ERROR)
    start = parse_integer(argv[3]) if len(argv) > 3 else 0
    in_bits = _counts_bits(argv[5:])
    end = parse_integer(argv[4]) if len(argv) > 4 else -1
    first, last = _bit_range(value, start, end, in_bits=in_bits)
    if first > last:
        return -1
    place = _find(value, bit, first)
    if place <= last:
        return place
    return 8 * len(value) if bit == 0 and len(argv) <= 4 else -1


def _find(value: bytes, bit: int, first: int) -> int:
    """The place of the first such bit from a place on; behind the end without any."""
    at = first >> 3
    byte = (value[at] if bit else ~value[at]) & 0xFF >> (first & 7)
    if byte:
        return 8 * at + 8 - byte.bit_length()
    blank = _BLANK[bit]
    for start in range(at + 1, len(value), _SLICE):
        part = value[start : start + _SLICE]
        if not blank.startswith(part):
            number = int.from_bytes(part.ljust(_SLICE, blank[:1]))
            if bit == 0:
                number ^= _ALL_ONES
            return 8 * (start + _SLICE) - number.bit_length()
    return 8 * len(value)


@command("BITOP")
def combine_bits(session: Session, argv: list[bytes]) -> Reply:
    """Combine strings bit by bit and keep the result, as long as the longest of them.
    Returns its length; nothing is kept if it is zero.
    """
    operation, target = argv[1].upper(), argv[2]
    if operation != b"NOT" and operation not in _OPERATIONS:
        raise CommandFailure(SYNTAX_ERROR)
    if operation == b"NOT" and len(argv) > 4:
        raise CommandFailure(_TOO_MANY_SOURCES)
    db = session.db
    values = [db.read(key, bytes) or b"" for key in argv[3:]]
    result = _combine(operation, values)
    if result:
        db.overwrite(target, result, b"set")
    elif db.find(target) is not None:
        db.remove(target)
    return len(result)


def _combine(operation: bytes, values: list[bytes]) -> bytes:
    if operation == b"NOT":
        return values[0].translate(_INVERTED)
    combine = _OPERATIONS[operation]
    length = max(map(len, values))
    parts = []
    for at in range(0, length, _SLICE):
        # The lowest byte comes first, so that what is short ends in zeros.
        numbers = [int.from_bytes(value[at : at + _SLICE], "little") for value in values]
        size_bytes = min(_SLICE, length - at)
        parts.append(reduce(combine, numbers).to_bytes(size_bytes, "little"))
    return b"".join(parts)
