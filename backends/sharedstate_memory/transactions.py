"""Transactions: MULTI queues commands, EXEC runs them as one unit, WATCH makes it depend.

A session in a transaction is in the state `queueing`, in which commands are checked and
kept. A command that could not even be queued makes EXEC refuse the whole; one that fails
while running leaves the others done, as Redis has it.

A watch is broken by whatever changes the key through the keyspace's door, expiry
included, the watching session's own writes too.
"""

from __future__ import annotations

from sharedstate_memory.commands.registry import resolve_fully
from sharedstate_memory.replies import QUEUED, CommandFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from sharedstate_memory.commands.registry import Handler
    from sharedstate_memory.replies import Reply
    from sharedstate_memory.session import Session

# Executed at once in a transaction; everything else is queued.
_NOT_QUEUED = frozenset(("EXEC", "DISCARD", "MULTI", "WATCH", "QUIT", "RESET"))

_ABORTED = b"EXECABORT Transaction discarded because of previous errors."


class Transaction:
    """The commands queued since MULTI, and whether all of them could be."""

    __slots__ = ("commands", "is_broken")

    def __init__(self) -> None:
        self.commands: list[tuple[Handler, list[bytes]]] = []
        self.is_broken = False


def begin(session: Session) -> None:
    """Queue the session's commands from now on."""
    session.transaction = Transaction()
    session.enter(queueing)


def queueing(session: Session, argv: list[bytes]) -> Reply:
    """Queue a command, or refuse it and with it the transaction."""
    transaction = session.transaction
    if transaction is None:
        raise RuntimeError("a session queues without a transaction")
    try:
        handler, _, _, spec = resolve_fully(argv)
        if "no_multi" in spec.flags:
            raise CommandFailure(b"ERR Command not allowed inside a transaction")
    except CommandFailure as failure:
        return _refuse(session, transaction, argv, failure)
    if spec.name not in _NOT_QUEUED:
        transaction.commands.append((handler, argv))
        return QUEUED
    try:
        reply = handler(session, argv)
    except CommandFailure as failure:
        reply = failure.reply
    if session.engine.pending:
        session.engine.settle(session.db.index, argv)
    return reply


def _refuse(
    session: Session,
    transaction: Transaction,
    argv: list[bytes],
    failure: CommandFailure,
) -> Reply:
    transaction.is_broken = True
    if argv[0].upper() == b"EXEC":
        discard(session)
    return failure.reply


def discard(session: Session) -> None:
    """Forget the queued commands and the watches."""
    session.transaction = None
    unwatch(session)
    session.rest()


def execute(session: Session) -> Reply:
    """Run the queued commands as one unit. None when a watched key was changed.

    Raises CommandFailure, having done nothing, if a command could not be queued.
    """
    transaction = session.transaction
    if transaction is None:
        raise CommandFailure(b"ERR EXEC without MULTI")
    is_stale = has_stale_watch(session)
    discard(session)
    if transaction.is_broken:
        raise CommandFailure(_ABORTED)
    return None if is_stale else _run(session, transaction)


def _run(session: Session, transaction: Transaction) -> list[Reply]:
    engine = session.engine
    session.may_block = False
    replies: list[Reply] = []
    for handler, argv in transaction.commands:
        try:
            reply = handler(session, argv)
        except CommandFailure as failure:
            reply = failure.reply
        replies.append(reply)
        engine.end_command(session.db.index, argv)
    session.may_block = True
    return replies


def watch(session: Session, keys: Iterable[bytes]) -> None:
    """Let the next EXEC do nothing if one of these keys changes before it."""
    if session.watch_broken:
        return
    db = session.db
    for key in keys:
        db.find(key)
        watchers = db.watchers.setdefault(key, {})
        if session not in watchers:
            watchers[session] = None
            session.watched.append((db, key))
    db.review_attention()


def unwatch(session: Session) -> None:
    """Forget the session's watches, and that one was broken."""
    for db, key in session.watched:
        watchers = db.watchers[key]
        del watchers[session]
        if not watchers:
            del db.watchers[key]
            db.review_attention()
    session.watched.clear()
    session.watch_broken = False


def has_stale_watch(session: Session) -> bool:
    """Whether a watched key was changed or has expired."""
    for db, key in session.watched:
        db.find(key)
    return session.watch_broken
