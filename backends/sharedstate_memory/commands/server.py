"""The server: its time, its state, its end."""

from __future__ import annotations

from sharedstate_memory.blocking import NOT_SERVED
from sharedstate_memory.commands.arguments import parse_integer
from sharedstate_memory.commands.registry import command
from sharedstate_memory.replies import (
    NO_REPLY,
    SYNTAX_ERROR,
    CommandFailure,
    Verbatim,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sharedstate_memory.replies import Reply
    from sharedstate_memory.session import Session

_SHUTDOWN_WORDS = frozenset((b"NOSAVE", b"SAVE", b"NOW", b"FORCE"))
_CANNOT_SHUT_DOWN = b"ERR Errors trying to SHUTDOWN. Check logs."


@command("TIME")
def time(session: Session, argv: list[bytes]) -> Reply:
    """Seconds since the epoch, and microseconds of the second."""
    seconds, microseconds = divmod(session.engine.now_us, 1_000_000)
    return [b"%d" % seconds, b"%d" % microseconds]


@command("INFO")
def info(session: Session, argv: list[bytes]) -> Reply:
    """Facts about the server, by sections."""
    from sharedstate_memory.information import describe  # here: starting does without it

    sections = {word.decode("latin-1").lower() for word in argv[1:]}
    return Verbatim(describe(session.engine, sections).encode())


@command("ROLE")
def role(session: Session, argv: list[bytes]) -> Reply:
    """What the server is to others: a primary without replicas."""
    return [b"master", 0, []]


@command("WAIT")
def wait(session: Session, argv: list[bytes]) -> Reply:
    """Wait for replicas to have the client's writes. There are none to wait for."""
    wanted = parse_integer(argv[1])
    timeout_ms = parse_integer(argv[2], b"ERR timeout is not an integer or out of range")
    if timeout_ms < 0:
        raise CommandFailure(b"ERR timeout is negative")
    if wanted <= 0:
        return 0
    return session.engine.waits.block(session, (), _never, null=0, timeout_ms=timeout_ms)


def _never(key: bytes) -> Reply:
    return NOT_SERVED


@command("SHUTDOWN")
def shutdown(session: Session, argv: list[bytes]) -> Reply:
    """Ask the owner of the engine to end. It saves first if it is to, and does not end if
    that fails.
    """
    words = frozenset(word.upper() for word in argv[1:])
    if words == {b"ABORT"}:
        raise CommandFailure(b"ERR No shutdown in progress.")
    if not words <= _SHUTDOWN_WORDS or words >= {b"SAVE", b"NOSAVE"}:
        raise CommandFailure(SYNTAX_ERROR)
    busy = session.engine.busy
    if busy is not None and b"NOSAVE" not in words:
        raise CommandFailure(busy.refusal)
    shut_down = session.engine.on_shutdown
    if shut_down is None or not shut_down(words):
        raise CommandFailure(_CANNOT_SHUT_DOWN)
    return NO_REPLY
