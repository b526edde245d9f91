"""CLIENT PAUSE, UNPAUSE and UNBLOCK: letting clients wait, and ending a wait."""

from __future__ import annotations

from sharedstate_memory.blocking import Hold
from sharedstate_memory.commands.arguments import parse_integer
from sharedstate_memory.commands.registry import command
from sharedstate_memory.pauses import pause
from sharedstate_memory.replies import OK, CommandFailure, ErrorReply

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sharedstate_memory.replies import Reply
    from sharedstate_memory.session import Session

_UNBLOCKED = ErrorReply(b"UNBLOCKED client unblocked via CLIENT UNBLOCK")

# A pause that is longer is for ever: a server does not run for a thousand years.
_LONGEST_MS = 1000 * 365 * 24 * 3600 * 1000


@command("CLIENT|PAUSE")
def pause_clients(session: Session, argv: list[bytes]) -> Reply:
    """Hold all commands back (ALL), or those that write (WRITE), for milliseconds."""
    _limit_words(argv, 4)
    mode = argv[3].upper() if argv[3:] else b"ALL"
    if mode not in (b"ALL", b"WRITE"):
        raise CommandFailure(b"ERR CLIENT PAUSE mode must be WRITE or ALL")
    pause_ms = parse_integer(argv[2], b"ERR timeout is not an integer or out of range")
    if pause_ms < 0:
        raise CommandFailure(b"ERR timeout is negative")
    if session.transport is None:
        raise CommandFailure(b"ERR CLIENT PAUSE: there are no connections to hold back")
    until_ms = session.engine.now_ms + min(pause_ms, _LONGEST_MS)
    pause(session.engine, until_ms, is_total=mode == b"ALL")
    return OK


@command("CLIENT|UNPAUSE")
def end_pause(session: Session, argv: list[bytes]) -> Reply:
    """End a pause before its time. Who was held back is served after this command."""
    if session.engine.pause is not None:
        session.engine.pause.until_ms = 0
    return OK


@command("CLIENT|UNBLOCK")
def unblock(session: Session, argv: list[bytes]) -> Reply:
    """End the wait of another client, as if its time had passed, or with an ERROR."""
    _limit_words(argv, 4)
    how = argv[3].upper() if argv[3:] else b"TIMEOUT"
    if how not in (b"TIMEOUT", b"ERROR"):
        raise CommandFailure(b"ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR")
    other = session.engine.sessions.get(parse_integer(argv[2]))
    if other is None or other.wait is None or isinstance(other.wait, Hold):
        return 0
    waits = session.engine.waits
    return int(waits.cancel(other, _UNBLOCKED) if how == b"ERROR" else waits.cancel(other))


def _limit_words(argv: list[bytes], most: int) -> None:
    if len(argv) > most:
        raise CommandFailure(
            b"ERR unknown subcommand or wrong number of arguments for '%s'. Try CLIENT"
            b" HELP." % argv[1]
        )
