"""BITFIELD: integers of any width, at any bit of a string.

All words are read before the string is touched. A call that only reads leaves the string
as it is; any other first makes it as long as its highest place to be written, even if
nothing is written in the end because it would overflow.
"""

from __future__ import annotations

from sharedstate_memory.commands.arguments import Options, parse_integer
from sharedstate_memory.commands.bits import read_bit_offset
from sharedstate_memory.commands.registry import command
from sharedstate_memory.replies import SYNTAX_ERROR, CommandFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sharedstate_memory.replies import Reply
    from sharedstate_memory.session import Session

_NO_TYPE = (
    b"ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not"
    b" supported but i64 is."
)
_NO_OVERFLOW = b"ERR Invalid OVERFLOW type specified"
_ONLY_READS = b"ERR BITFIELD_RO only supports the GET subcommand"

# How many words follow the name of an operation, at least.
_WORDS = {b"GET": 2, b"SET": 3, b"INCRBY": 3, b"OVERFLOW": 1}

# A value is given as a signed integer; an unsigned field takes its 64 bits as they are.
_WORD_MASK = 2**64 - 1


class _Field:
    """An integer in a string: its place, its width, and whether it has a sign."""

    __slots__ = ("bits", "is_signed", "offset")

    def __init__(self, session: Session, kind: bytes, offset: bytes) -> None:
        self.is_signed = kind[:1] == b"i"
        self.bits = parse_integer(kind[1:], _NO_TYPE)
        if kind[:1] not in (b"i", b"u") or not 1 <= self.bits <= 63 + self.is_signed:
            raise CommandFailure(_NO_TYPE)
        if offset[:1] == b"#":
            self.offset = read_bit_offset(session, offset[1:], self.bits)
        else:
            self.offset = read_bit_offset(session, offset)

    @property
    def end_byte(self) -> int:
        """The place behind the field's last byte."""
        return (self.offset + self.bits + 7) >> 3

    def read(self, string: bytes | bytearray) -> int:
        """The field's value. What is beyond the end is zero."""
        number = self._surroundings(string) >> self._shift & (1 << self.bits) - 1
        if self.is_signed and number >> (self.bits - 1):
            number -= 1 << self.bits
        return number

    def write(self, string: bytearray, number: int) -> None:
        """Put a value that fits into a string that is long enough."""
        first, end = self.offset >> 3, self.end_byte
        mask = (1 << self.bits) - 1
        around = self._surroundings(string) & ~(mask << self._shift)
        around |= (number & mask) << self._shift
        string[first:end] = around.to_bytes(end - first)

    def fit(self, number: int, overflow: bytes) -> int | None:
        """What of a number goes into the field: all of it if it can, and else as the way
        of `overflow` has it. None for nothing.
        """
        low = -1 << self.bits - 1 if self.is_signed else 0
        high = low + (1 << self.bits) - 1
        if low <= number <= high:
            return number
        if overflow == b"FAIL":
            return None
        if overflow == b"SAT":
            return high if number > high else low
        return (number - low & (1 << self.bits) - 1) + low

    @property
    def _shift(self) -> int:
        return -(self.offset + self.bits) & 7

    def _surroundings(self, string: bytes | bytearray) -> int:
        """The bytes that the field has a part in, as one integer."""
        first, end = self.offset >> 3, self.end_byte
        return int.from_bytes(string[first:end].ljust(end - first, b"\0"))


class _Operation:
    """What to do with one field, and what came of it: its value before and after, None
    if what it should be does not fit.
    """

    __slots__ = ("_number", "_overflow", "after", "before", "field", "name")

    def __init__(self, name: bytes, field: _Field, number: int, overflow: bytes) -> None:
        self.name = name
        self.field = field
        self._number = number
        self._overflow = overflow
        self.before = 0
        self.after: int | None = 0

    @property
    def is_read(self) -> bool:
        """Whether it only reads."""
        return self.name == b"GET"

    @property
    def reply(self) -> int | None:
        """What is answered to it, once it is done."""
        return self.after if self.after is None or self.name != b"SET" else self.before

    def run(self, string: bytearray) -> None:
        """Do it."""
        self.before = self.after = self.field.read(string)
        if self.is_read:
            return
        self.after = self.field.fit(self._wanted, self._overflow)
        if self.after is not None:
            self.field.write(string, self.after)

    @property
    def _wanted(self) -> int:
        if self.name == b"INCRBY":
            return self.before + self._number
        return self._number if self.field.is_signed else self._number & _WORD_MASK


@command("BITFIELD")
def bit_field(session: Session, argv: list[bytes]) -> Reply:
    """Read, set and increment integers in a string, one after the other."""
    operations = _read_operations(session, argv)
    writes = [operation for operation in operations if not operation.is_read]
    if not writes:
        return _read_fields(session, argv[1], operations)
    old = session.db.typed(argv[1], bytes) or b""
    string = bytearray(old)
    string += bytes(max(0, *(each.field.end_byte - len(old) for each in writes)))
    for operation in operations:
        operation.run(string)
    has_grown = len(string) > len(old)
    done = [each for each in writes if each.after is not None]
    is_written = any(has_grown or each.before != each.after for each in done)
    if is_written or has_grown:
        session.db.put(argv[1], bytes(string), b"setbit" if is_written else b"")
    return [operation.reply for operation in operations]


@command("BITFIELD_RO")
def bit_field_read_only(session: Session, argv: list[bytes]) -> Reply:
    """Read integers in a string."""
    operations = _read_operations(session, argv)
    if not all(operation.is_read for operation in operations):
        raise CommandFailure(_ONLY_READS)
    return _read_fields(session, argv[1], operations)


def _read_fields(session: Session, key: bytes, operations: list[_Operation]) -> Reply:
    string = session.db.read(key, bytes) or b""
    return [operation.field.read(string) for operation in operations]


def _read_operations(session: Session, argv: list[bytes]) -> list[_Operation]:
    operations = []
    overflow = b"WRAP"
    options = Options(argv, 2)
    for name in options:
        if options.left < _WORDS.get(name, len(argv)):
            raise CommandFailure(SYNTAX_ERROR)
        if name == b"OVERFLOW":
            overflow = options.value().upper()
            if overflow not in (b"WRAP", b"SAT", b"FAIL"):
                raise CommandFailure(_NO_OVERFLOW)
            continue
        field = _Field(session, options.value(), options.value())
        number = 0 if name == b"GET" else parse_integer(options.value())
        operations.append(_Operation(name, field, number, overflow))
    return operations
