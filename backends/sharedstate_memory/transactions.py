"""Transactions: MULTI queues commands, EXEC runs them as one unit, WATCH makes it depend.

A session in a transaction is in the state `queueing`, in which commands are checked and
kept. A command that could not even be queued makes EXEC refuse the whole; one that fails
while running leaves the others done, as Redis has it.

What is queued is bounded by `client-query-buffer-limit`, as what is read and not executed
is. A transaction that is bigger is refused, and what it held is forgotten.

A watch is broken by whatever changes the key through the keyspace's door, expiry
included, the watching session's own writes too.
"""

from __future__ import annotations

from time import perf_counter

from sharedstate_memory.commands.registry import resolve_fully
from sharedstate_memory.pauses import is_like_write
from sharedstate_memory.replies import QUEUED, CommandFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from sharedstate.commands import CommandSpec
    from sharedstate_memory.commands.registry import Handler
    from sharedstate_memory.replies import Reply
    from sharedstate_memory.session import Session

# Executed at once in a transaction; everything else is queued.
_NOT_QUEUED = frozenset(("EXEC", "DISCARD", "MULTI", "WATCH", "QUIT", "RESET"))

_LIMIT = "client-query-buffer-limit"

# The limit of an engine whose owner has no such setting.
_MOST_BYTES = 1024 * 1024 * 1024

# What a queued word takes besides its bytes.
WORD_BYTES = 41

_TOO_BIG = (
    b"ERR the transaction is too big: its commands take more than"
    b" client-query-buffer-limit allows"
)
_ABORTED = b"EXECABORT Transaction discarded because of previous errors."


class Transaction:
    """The commands queued since MULTI, and whether all of them could be."""

    __slots__ = (
        "commands",
        "is_broken",
        "is_growing",
        "limit_bytes",
        "may_write",
        "size_bytes",
    )

    def __init__(self, limit_bytes: int) -> None:
        self.commands: list[tuple[Handler, list[bytes], CommandSpec]] = []
        self.limit_bytes = limit_bytes
        self.size_bytes = 0
        self.is_broken = False
        self.is_growing = False
        """Whether one of the commands may need memory."""
        self.may_write = False
        """Whether one of the commands may write, or send messages."""

    def add(self, handler: Handler, argv: list[bytes], spec: CommandSpec) -> None:
        """Queue a command. Raises CommandFailure if there are too many."""
        self.size_bytes += sum(map(len, argv), WORD_BYTES * len(argv))
        if self.size_bytes > self.limit_bytes:
            self.commands.clear()
            raise CommandFailure(_TOO_BIG)
        self.commands.append((handler, argv, spec))
        self.is_growing |= "denyoom" in spec.flags
        self.may_write |= is_like_write(spec)

    def refuse(self, session: Session, argv: list[bytes]) -> None:
        """Take note of a command that could not be queued."""
        self.is_broken = True
        if argv[0].upper() == b"EXEC":
            discard(session)


def begin(session: Session) -> None:
    """Queue the session's commands from now on."""
    settings = session.engine.settings
    has_limit = _LIMIT in settings
    session.transaction = Transaction(settings[_LIMIT] if has_limit else _MOST_BYTES)
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
        if spec.name not in _NOT_QUEUED:
            transaction.add(handler, argv, spec)
            return QUEUED
    except CommandFailure as failure:
        transaction.refuse(session, argv)
        return session.engine.note_rejection(argv, failure)
    session.engine.statistics.calls[argv[0]] += 1
    try:
        reply = handler(session, argv)
    except CommandFailure as failure:
        reply = session.engine.note_failure(argv, failure)
    if session.engine.pending:
        session.engine.settle(session.db.index, argv)
    return reply


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
    statistics = engine.statistics
    is_heard = engine.monitors is not None or engine.tracking is not None
    before = perf_counter()
    try:
        for handler, argv, spec in transaction.commands:
            statistics.calls[argv[0]] += 1
            try:
                if not session.user.is_unrestricted:
                    _require_permission(session, argv)
                if is_heard:
                    reply = _execute_heard(session, handler, argv, spec)
                else:
                    reply = handler(session, argv)
            except CommandFailure as failure:
                reply = engine.note_failure(argv, failure)
            before = statistics.note_time(session, argv, before)
            replies.append(reply)
            engine.end_command(session.db.index, argv)
    finally:
        # An interrupt, in a program of one process, must not leave it so.
        session.may_block = True
    return replies


def _execute_heard(
    session: Session, handler: Handler, argv: list[bytes], spec: CommandSpec
) -> Reply:
    """Execute a command when somebody monitors, or tracks what is read."""
    monitors, tracking = session.engine.monitors, session.engine.tracking
    if monitors is not None:
        monitors.feed_before(session, spec, argv)
    try:
        return handler(session, argv)
    finally:
        if monitors is not None:
            monitors.feed_after(session, spec, argv)
        if tracking is not None:
            tracking.note_read(spec, argv)


def _require_permission(session: Session, argv: list[bytes]) -> None:
    """Raise the refusal if the user may not do any more what it might when it was queued:
    rules can have changed since, and so can the user, by an AUTH among the commands.
    """
    refusal = session.user.refusal_since_queued(session, resolve_fully(argv)[3], argv)
    if refusal is not None:
        raise CommandFailure(refusal)


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
