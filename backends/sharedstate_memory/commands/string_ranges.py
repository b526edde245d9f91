"""Strings: parts of values."""

from __future__ import annotations

from sharedstate_memory.commands.arguments import parse_integer
from sharedstate_memory.commands.registry import command
from sharedstate_memory.replies import CommandFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sharedstate_memory.replies import Reply
    from sharedstate_memory.session import Session

# Whatever the setting says, strings up to this length are allowed.
_ALWAYS_ALLOWED_BYTES = 1024 * 1024
_LONGEST_LOGGED_BYTES = 4 * 1024**3


@command("STRLEN")
def length(session: Session, argv: list[bytes]) -> Reply:
    """How many bytes a key holds."""
    return len(session.db.read(argv[1], bytes) or b"")


@command("APPEND")
def append(session: Session, argv: list[bytes]) -> Reply:
    """Add bytes to the end. Returns the new length. Costs a copy of the value."""
    old = session.db.typed(argv[1], bytes) or b""
    _check_length(session, len(old) + len(argv[2]))
    value = old + argv[2]
    session.db.put(argv[1], value)
    return len(value)


@command("GETRANGE", "SUBSTR")
def get_range(session: Session, argv: list[bytes]) -> Reply:
    """The bytes from one place to another, both in it, negative from the end."""
    start, end = parse_integer(argv[2]), parse_integer(argv[3])
    value = session.db.read(argv[1], bytes) or b""
    if start < 0 and end < 0 and start > end:
        return b""
    first, last = ends(start, end, len(value))
    return value[first : last + 1]


def ends(start: int, end: int, length: int) -> tuple[int, int]:
    """The first and the last place of a range in a string, or in its bits.

    An end before the beginning is the beginning: so it is for strings, and for nothing
    else (`arguments.places`). An empty range gives a last place below the first.
    """
    first = max(start + length if start < 0 else start, 0)
    last = max(end + length if end < 0 else end, 0)
    return first, min(last, length - 1)


@command("SETRANGE")
def set_range(session: Session, argv: list[bytes]) -> Reply:
    """Overwrite bytes from a place on, with zero bytes up to it. Returns the length."""
    offset, part = parse_integer(argv[2]), argv[3]
    if offset < 0:
        raise CommandFailure(b"ERR offset is out of range")
    old = session.db.typed(argv[1], bytes) or b""
    if not part:
        return len(old)
    _check_length(session, offset + len(part))
    value = overwritten(old, offset, part)
    session.db.put(argv[1], value)
    return len(value)


def overwritten(old: bytes, offset: int, part: bytes) -> bytes:
    """A string with a part of it replaced, and zero bytes up to there if it is shorter.
    Copies it once, however long it is.
    """
    view = memoryview(old)
    gap = bytes(max(offset - len(old), 0))
    return b"".join((view[:offset], gap, part, view[offset + len(part) :]))


def longest_string(session: Session) -> int:
    """How many bytes a key may hold. What a log says may have been written when more was
    allowed.
    """
    if session.engine.is_loading:
        return _LONGEST_LOGGED_BYTES
    most_bytes: int = session.engine.settings["proto-max-bulk-len"]
    return most_bytes


def _check_length(session: Session, size_bytes: int) -> None:
    if size_bytes > _ALWAYS_ALLOWED_BYTES and size_bytes > longest_string(session):
        raise CommandFailure(
            b"ERR string exceeds maximum allowed size (proto-max-bulk-len)"
        )
