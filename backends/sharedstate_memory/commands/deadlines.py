"""Deadlines as arguments: `EX 10`, `PXAT 1700000000000`."""

from __future__ import annotations

from sharedstate_memory.commands.arguments import INTEGER_MAX, parse_integer
from sharedstate_memory.replies import CommandFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sharedstate_memory.session import Session

# Whether the option counts seconds, and whether it counts from now.
DEADLINE_OPTIONS = {
    b"EX": (True, True),
    b"PX": (False, True),
    b"EXAT": (True, False),
    b"PXAT": (False, False),
}


def read_deadline(session: Session, name: bytes, option: bytes, text: bytes) -> int:
    """The absolute time, in milliseconds, that an option of the command `name` means.

    Raises the refusal of what is no number, not positive, or too far away.
    """
    in_seconds, is_relative = DEADLINE_OPTIONS[option]
    given = parse_integer(text)
    deadline_ms = given * 1000 if in_seconds else given
    base_ms = session.engine.now_ms if is_relative else 0
    if given <= 0 or deadline_ms + base_ms > INTEGER_MAX:
        raise CommandFailure(b"ERR invalid expire time in '%s' command" % name.lower())
    return deadline_ms + base_ms


def deadline_text(deadline_ms: int) -> bytes:
    """A deadline as an argument."""
    return b"%d" % deadline_ms
