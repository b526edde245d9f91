"""LCS: the longest common subsequence of two strings.

The usual table has, for each pair of beginnings of the two strings, the length of what
they have in common, and is filled row by row. Along a row that length never falls, and
rises by one at most from a column to the next. So a row is one integer here, with a bit
for each column, clear where the length rises; and a whole row follows from the one before
by four operations on integers, which takes microseconds for thousands of columns.

Walking back through the table needs only those bits: where the two bytes differ, the
length is that of the row above if it rises at this column, and else that of the column
before. Of several longest ones, the walk so finds the one that Redis does.

Source: H. Hyyrö, "Bit-parallel LCS-length computation revisited" (2004);
https://redis.io/docs/latest/commands/lcs/
"""

from __future__ import annotations

from sharedstate_memory.commands.arguments import Options, parse_integer
from sharedstate_memory.commands.registry import command
from sharedstate_memory.commands.string_ranges import longest_string
from sharedstate_memory.replies import SYNTAX_ERROR, CommandFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from sharedstate_memory.replies import Reply
    from sharedstate_memory.session import Session

# What a place of the table takes in Redis, whose limit of length holds here too. A row is
# a thirtieth of that here.
_PLACE_BYTES = 4

_NO_STRINGS = b"ERR The specified keys must contain string values"
_TOO_LONG = b"ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len"
_CONTRADICTION = b"ERR If you want both the length and indexes, please just use IDX."


class _Options:
    """What follows the keys in LCS."""

    __slots__ = ("least_length", "wants_length", "wants_lengths", "wants_places")

    def __init__(self, argv: list[bytes]) -> None:
        self.wants_length = self.wants_places = self.wants_lengths = False
        self.least_length = 0
        options = Options(argv, 3)
        for name in options:
            if name == b"IDX":
                self.wants_places = True
            elif name == b"LEN":
                self.wants_length = True
            elif name == b"WITHMATCHLEN":
                self.wants_lengths = True
            elif name == b"MINMATCHLEN":
                self.least_length = parse_integer(options.value())
            else:
                raise CommandFailure(SYNTAX_ERROR)
        if self.wants_places and self.wants_length:
            raise CommandFailure(_CONTRADICTION)


@command("LCS")
def common_subsequence(session: Session, argv: list[bytes]) -> Reply:
    """The longest common subsequence of two strings, its length, or where it is."""
    left, right = _strings(session, argv[1:3])
    options = _Options(argv)
    size_bytes = (len(left) + 1) * (len(right) + 1) * _PLACE_BYTES
    if size_bytes > longest_string(session):
        raise CommandFailure(_TOO_LONG)
    if options.wants_length:
        return _length(left, right)
    matches = list(_walk_back(left, right))
    if options.wants_places:
        return {b"matches": _ranges(matches, options), b"len": len(matches)}
    return bytes(left[at] for at, _ in reversed(matches))


def _strings(session: Session, keys: list[bytes]) -> list[bytes]:
    values = [session.db.read_any(key) for key in keys]
    strings = [value for value in values if value is None or type(value) is bytes]
    if len(strings) < len(values):
        raise CommandFailure(_NO_STRINGS)
    return [string or b"" for string in strings]


def _rows(left: bytes, right: bytes) -> Iterator[int]:
    """The rows of the table, one for each byte of `left`, with the lowest bit for the
    first byte of `right`: clear where the length rises.
    """
    places = {byte: _places(byte, right) for byte in {*left} & {*right}}
    row = all_columns = (1 << len(right)) - 1
    for byte in left:
        matching = row & places.get(byte, 0)
        row = (row + matching | row - matching) & all_columns
        yield row


def _places(byte: int, string: bytes) -> int:
    """Where a byte is in a string: bits, the lowest for the first place."""
    digits = bytearray(b"0" * 256)
    digits[byte : byte + 1] = b"1"
    return int(string[::-1].translate(digits), 2)


def _length(left: bytes, right: bytes) -> int:
    row = (1 << len(right)) - 1
    for following in _rows(left, right):
        row = following
    return len(right) - row.bit_count()


def _walk_back(left: bytes, right: bytes) -> Iterator[tuple[int, int]]:
    """The places, in both strings, of the bytes in common, the last ones first."""
    rows = list(_rows(left, right))
    width = len(right) + 7 >> 3
    column = len(right) - 1
    for at in range(len(left) - 1, -1, -1):
        row = rows.pop().to_bytes(width, "little")
        byte = left[at]
        while (
            column >= 0 and right[column] != byte and row[column >> 3] >> (column & 7) & 1
        ):
            column -= 1
        if column < 0:
            return
        if right[column] == byte:
            yield at, column
            column -= 1


def _ranges(matches: list[tuple[int, int]], options: _Options) -> list[Reply]:
    """Runs of places that follow each other in both strings, those at the end first."""
    runs: list[tuple[int, int, int]] = []
    for left, right in matches:
        if runs and runs[-1][:2] == (left + 1, right + 1):
            runs[-1] = (left, right, runs[-1][2] + 1)
        else:
            runs.append((left, right, 1))
    return [
        [[left, left + length - 1], [right, right + length - 1]]
        + ([length] if options.wants_lengths else [])
        for left, right, length in runs
        if length >= options.least_length
    ]
