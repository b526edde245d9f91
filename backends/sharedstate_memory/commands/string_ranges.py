"""Strings: parts of values."""

from __future__ import annotations

from sharedstate_memory.commands.arguments import parse_integer
from sharedstate_memory.commands.registry import command
from sharedstate_memory.replies import CommandFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sharedstate_memory.replies import Reply
    from sharedstate_memory.session import Session

# The longest string a key may hold, as in Redis.
MAX_STRING_BYTES = 512 * 1024 * 1024


@command("STRLEN")
def length(session: Session, argv: list[bytes]) -> Reply:
    """How many bytes a key holds."""
    return len(session.db.typed(argv[1], bytes) or b"")


@command("APPEND")
def append(session: Session, argv: list[bytes]) -> Reply:
    """Add bytes to the end. Returns the new length. Costs a copy of the value."""
    old = session.db.typed(argv[1], bytes) or b""
    _check_length(len(old) + len(argv[2]))
    value = old + argv[2]
    session.db.put(argv[1], value)
    return len(value)


@command("GETRANGE", "SUBSTR")
def get_range(session: Session, argv: list[bytes]) -> Reply:
    """The bytes from one place to another, both in it, negative from the end."""
    start, end = parse_integer(argv[2]), parse_integer(argv[3])
    value = session.db.typed(argv[1], bytes) or b""
    if start < 0 and end < 0 and start > end:
        return b""
    first = max(start + len(value) if start < 0 else start, 0)
    # An end before the beginning is the beginning, here and nowhere else.
    last = max(end + len(value) if end < 0 else end, 0)
    return value[first : last + 1]


@command("SETRANGE")
def set_range(session: Session, argv: list[bytes]) -> Reply:
    """Overwrite bytes from a place on, with zero bytes up to it. Returns the length."""
    offset, part = parse_integer(argv[2]), argv[3]
    if offset < 0:
        raise CommandFailure(b"ERR offset is out of range")
    old = session.db.typed(argv[1], bytes) or b""
    if not part:
        return len(old)
    _check_length(offset + len(part))
    value = old[:offset].ljust(offset, b"\0") + part + old[offset + len(part) :]
    session.db.put(argv[1], value)
    return len(value)


def _check_length(size_bytes: int) -> None:
    if size_bytes > MAX_STRING_BYTES:
        raise CommandFailure(
            b"ERR string exceeds maximum allowed size (proto-max-bulk-len)"
        )
