"""MULTI and what belongs to it. The work is done in `sharedstate_memory.transactions`."""

from __future__ import annotations

from sharedstate_memory import transactions
from sharedstate_memory.commands.registry import command
from sharedstate_memory.replies import NULL_ARRAY, OK, CommandFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sharedstate_memory.replies import Reply
    from sharedstate_memory.session import Session


@command("MULTI")
def multi(session: Session, argv: list[bytes]) -> Reply:
    """Queue the commands that follow."""
    if session.transaction is not None:
        raise CommandFailure(b"ERR MULTI calls can not be nested")
    transactions.begin(session)
    return OK


@command("EXEC")
def execute(session: Session, argv: list[bytes]) -> Reply:
    """Run the queued commands; a null array if a watched key was changed."""
    replies = transactions.execute(session)
    return NULL_ARRAY if replies is None else replies


@command("DISCARD")
def discard(session: Session, argv: list[bytes]) -> Reply:
    """Forget the queued commands."""
    if session.transaction is None:
        raise CommandFailure(b"ERR DISCARD without MULTI")
    transactions.discard(session)
    return OK


@command("WATCH")
def watch(session: Session, argv: list[bytes]) -> Reply:
    """Let the next EXEC do nothing if one of these keys changes before it."""
    if session.transaction is not None:
        raise CommandFailure(b"ERR WATCH inside MULTI is not allowed")
    transactions.watch(session, argv[1:])
    return OK


@command("UNWATCH")
def unwatch(session: Session, argv: list[bytes]) -> Reply:
    """Forget the watches."""
    transactions.unwatch(session)
    return OK
