"""Session: one client's conversation with the engine.

What a command does depends on the state its session is in, so `execute` is an attribute
that is swapped with the state, not a pile of conditions on every command:

    unauthenticated ── AUTH ──► plain ── MULTI ──► queueing ── EXEC, DISCARD ──► plain
                                plain ── SUBSCRIBE (RESP2) ──► subscribed ── … ──► plain
                                plain ── BLPOP … ──► blocked ── served, timed out ──► plain
                                  any ── close ──► closed

A state is a function of a session and a command's words. It never raises for bad input:
a refusal is an `ErrorReply`.
"""

from __future__ import annotations

from types import MethodType

from sharedstate_memory.commands.registry import SPELLINGS, resolve, wrong_arity
from sharedstate_memory.replies import NO_REPLY, CommandFailure, ErrorReply

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from sharedstate_memory.blocking import Wait
    from sharedstate_memory.commands.registry import Handler
    from sharedstate_memory.engine import Engine
    from sharedstate_memory.keyspace import Keyspace
    from sharedstate_memory.replies import Reply
    from sharedstate_memory.transactions import Transaction

_NO_AUTHENTICATION = ErrorReply(b"NOAUTH Authentication required.")
_CLOSED = ErrorReply(b"ERR the session is closed")

# What a RESP2 client may say while it is subscribed: its replies could not be told from
# the messages.
_WHILE_SUBSCRIBED = frozenset(
    ("SUBSCRIBE", "UNSUBSCRIBE", "PSUBSCRIBE", "PUNSUBSCRIBE", "PING", "QUIT", "RESET")
)


class Session:
    """One client: its database, its protocol, and the state its commands meet.

    Opened by `Engine.open_session`, ended by `Engine.close_session`. Not safe for
    threads: an engine and its sessions belong to one thread, or to one lock.
    """

    __slots__ = (
        "address",
        "authenticated",
        "channels",
        "closing",
        "db",
        "deliver",
        "engine",
        "execute",
        "id",
        "may_block",
        "muting",
        "name",
        "opened_at_ms",
        "patterns",
        "protocol",
        "state",
        "transaction",
        "wait",
        "watch_broken",
        "watched",
    )

    def __init__(
        self, engine: Engine, session_id: int, deliver: Callable[[Reply], None]
    ) -> None:
        self.engine = engine
        self.id = session_id
        self.deliver = deliver
        self.db: Keyspace = engine.databases[0]
        self.protocol = 2
        self.name = b""
        self.address = b""
        self.opened_at_ms = 0
        self.closing = False
        self.authenticated = engine.password is None
        self.may_block = True
        self.muting: Muting | None = None
        self.wait: Wait | None = None
        self.transaction: Transaction | None = None
        self.watched: list[tuple[Keyspace, bytes]] = []
        self.watch_broken = False
        self.channels: dict[bytes, None] = {}
        self.patterns: dict[bytes, None] = {}
        self.state: Handler
        self.execute: Callable[[list[bytes]], Reply]
        self.rest()

    @property
    def blocked(self) -> bool:
        """Whether a blocking command of this session waits for its reply."""
        return self.wait is not None

    def enter(self, state: Handler) -> None:
        """Let the session's next commands meet another state."""
        self.state = state
        self.execute = MethodType(state if self.muting is None else muted, self)

    def rest(self) -> None:
        """Enter the state of a session in no transaction, as its other facts have it."""
        if self.closing:
            # Not bound: a session that is over does not keep itself alive.
            self.execute = closed
        elif not self.authenticated:
            self.enter(unauthenticated)
        elif self.protocol == 2 and (self.channels or self.patterns):
            self.enter(subscribed)
        else:
            self.enter(plain)

    def rest_unless_queueing(self) -> None:
        """As `rest`, for what may have changed in the middle of a transaction."""
        if self.transaction is None:
            self.rest()

    def __repr__(self) -> str:
        return f"<Session {self.id} db={self.db.index}>"


class Muting:
    """That CLIENT REPLY holds replies back: for good, or for one command more."""

    __slots__ = ("is_for_good",)

    def __init__(self, *, is_for_good: bool) -> None:
        self.is_for_good = is_for_good


def plain(session: Session, argv: list[bytes]) -> Reply:
    """Execute a command and what follows from it. The hot path: flat on purpose."""
    engine = session.engine
    engine.processed += 1
    try:
        handler, least, most, _ = SPELLINGS.get(argv[0]) or resolve(argv)
        if not least <= len(argv) <= most:
            raise CommandFailure(wrong_arity(argv[0]))
        reply = handler(session, argv)
    except CommandFailure as failure:
        reply = failure.reply
    if engine.pending:
        engine.settle(session.db.index, argv)
    return reply


def unauthenticated(session: Session, argv: list[bytes]) -> Reply:
    """Let only those commands pass that a client needs to say who it is."""
    try:
        spec = resolve(argv)[3]
    except CommandFailure as failure:
        return failure.reply
    return plain(session, argv) if "no_auth" in spec.flags else _NO_AUTHENTICATION


def subscribed(session: Session, argv: list[bytes]) -> Reply:
    """Let only those commands pass that make sense among messages, in RESP2."""
    try:
        spec = resolve(argv)[3]
    except CommandFailure as failure:
        return failure.reply
    if spec.name in _WHILE_SUBSCRIBED:
        return plain(session, argv)
    return ErrorReply(
        b"ERR Can't execute '%s': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT"
        b" / RESET are allowed in this context" % spec.name.lower().encode()
    )


def muted(session: Session, argv: list[bytes]) -> Reply:
    """Execute a command in the session's state and keep its reply back.

    The command that ends the muting (CLIENT REPLY ON) is answered; one skip is used up
    by the command after CLIENT REPLY SKIP.
    """
    muting = session.muting
    reply = session.state(session, argv)
    if session.muting is None:
        return reply
    if session.muting is muting and not session.muting.is_for_good:
        session.muting = None
        session.enter(session.state)
    return NO_REPLY


def closed(argv: list[bytes]) -> Reply:
    """Refuse everything: the engine has forgotten this session."""
    return _CLOSED
