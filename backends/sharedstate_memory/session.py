"""Session: one client's conversation with the engine.

What a command does depends on the state its session is in, so `execute` is an attribute
that is swapped with the state, not a pile of conditions on every command:

    unauthenticated ── AUTH ──► plain ── MULTI ──► queueing ── EXEC, DISCARD ──► plain
                                plain ── SUBSCRIBE (RESP2) ──► subscribed ── … ──► plain
                                plain ── BLPOP … ──► blocked ── served, timed out ──► plain
                                  any ── close ──► closed

A state is a function of a session and a command's words. It never raises for bad input:
a refusal is an `ErrorReply`.

In front of a state stands a guard when there is something to guard against, and nothing
when there is not (`guards.py`): limited memory, a user who may not do everything, a pause,
a monitor, a script that does not end, a client that caches what it reads.
"""

from __future__ import annotations

from types import MethodType

from sharedstate_memory.commands.registry import (
    SPELLINGS,
    resolve,
    resolve_fully,
    wrong_arity,
)
from sharedstate_memory.guards import guard_of
from sharedstate_memory.replies import BLOCKED, NO_REPLY, CommandFailure, ErrorReply

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    from sharedstate_memory.acl_user import User
    from sharedstate_memory.bindings import Bound
    from sharedstate_memory.blocking import Wait
    from sharedstate_memory.commands.registry import Handler
    from sharedstate_memory.engine import Engine
    from sharedstate_memory.keyspace import Keyspace
    from sharedstate_memory.replies import Reply
    from sharedstate_memory.tracking import SessionTracking
    from sharedstate_memory.transactions import Transaction

    class Transport(Protocol):
        """What carries a session: a connection. The engine's way to it."""

        @property
        def output_bytes(self) -> int:
            """What is still to be sent."""

        def facts(self) -> dict[str, int | str]:
            """Fields of CLIENT LIST: sockets and buffers."""

        def close_soon(self) -> None:
            """End the connection after the command that runs."""

        def watch_peer(self) -> None:
            """Notice when the peer has gone, though nothing is sent or asked."""


_REFUSED = b"NOAUTH Authentication required."
_EXEC_ABORTED = b"EXECABORT Transaction discarded because of: "
_EXEC_REFUSED = _EXEC_ABORTED + _REFUSED
_OUT_OF_PLACE = (
    b"Can't execute '%s': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET"
    b" are allowed in this context"
)
_CLOSED = ErrorReply(b"ERR the session is closed")

# What a RESP2 client may say while it is subscribed: its replies could not be told from
# the messages.
_WHILE_SUBSCRIBED = frozenset(
    (
        "SUBSCRIBE",
        "SSUBSCRIBE",
        "PSUBSCRIBE",
        "UNSUBSCRIBE",
        "SUNSUBSCRIBE",
        "PUNSUBSCRIBE",
        "PING",
        "QUIT",
        "RESET",
    )
)


class Session:
    """One client: its database, its protocol, and the state its commands meet.

    Opened by `Engine.open_session`, ended by `Engine.close_session`. Not safe for
    threads: an engine and its sessions belong to one thread, or to one lock.
    """

    __slots__ = (
        "address",
        "authenticated",
        "bound",
        "channels",
        "closing",
        "db",
        "deliver",
        "engine",
        "execute",
        "id",
        "last_active_ms",
        "last_command",
        "library_name",
        "library_version",
        "may_block",
        "muting",
        "name",
        "no_evict",
        "no_touch",
        "opened_at_ms",
        "patterns",
        "protocol",
        "shard_channels",
        "state",
        "tracking",
        "transaction",
        "transport",
        "user",
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
        self.library_name = b""
        self.library_version = b""
        self.last_command = b""
        self.opened_at_ms = 0
        self.last_active_ms = 0
        self.no_evict = False
        self.no_touch = False
        self.transport: Transport | None = None
        self.user: User = engine.users.default
        self.tracking: SessionTracking | None = None
        self.bound: Bound | None = None
        self.closing = False
        self.authenticated = self.user.is_open
        self.may_block = True
        self.muting: Muting | None = None
        self.wait: Wait | None = None
        self.transaction: Transaction | None = None
        self.watched: list[tuple[Keyspace, bytes]] = []
        self.watch_broken = False
        self.channels: dict[bytes, None] = {}
        self.patterns: dict[bytes, None] = {}
        self.shard_channels: dict[bytes, None] = {}
        self.state: Handler
        self.execute: Callable[[list[bytes]], Reply]
        self.rest()

    @property
    def blocked(self) -> bool:
        """Whether a blocking command of this session waits for its reply."""
        return self.wait is not None

    @property
    def is_subscribed(self) -> bool:
        """Whether messages may come to this session."""
        return bool(self.channels or self.patterns or self.shard_channels)

    def enter(self, state: Handler) -> None:
        """Let the session's next commands meet another state."""
        self.state = state
        self.execute = MethodType(muted if self.muting else self.guarded(), self)

    def guarded(self) -> Handler:
        """The session's state, behind the guard it needs now."""
        return guard_of(self) or self.state

    def review(self) -> None:
        """Look again which guard is needed."""
        if not self.closing:
            self.enter(self.state)

    def rest(self) -> None:
        """Enter the state of a session in no transaction, as its other facts have it."""
        if self.closing:
            # Not bound: a session that is over does not keep itself alive.
            self.execute = closed
        elif not self.authenticated:
            self.enter(unauthenticated)
        elif self.protocol == 2 and self.is_subscribed:
            self.enter(subscribed)
        else:
            self.enter(plain)

    def rest_unless_queueing(self) -> None:
        """As `rest`, for what may have changed in the middle of a transaction."""
        if self.transaction is None:
            self.rest()

    def answer(self, reply: Reply) -> None:
        """Deliver the reply to a command that had to wait, unless replies are muted."""
        muting = self.muting
        if muting is not None:
            reply = NO_REPLY
            if not muting.is_for_good:
                self.muting = None
                self.enter(self.state)
        self.deliver(reply)

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
    try:
        handler, least, most, _ = SPELLINGS.get(argv[0]) or resolve(argv)
        if not least <= len(argv) <= most:
            raise CommandFailure(wrong_arity(argv[0]))
        engine.statistics.calls[argv[0]] += 1
        reply = handler(session, argv)
    except CommandFailure as failure:
        reply = engine.note_failure(argv, failure)
    if engine.pending:
        engine.settle(session.db.index, argv)
    return reply


def unauthenticated(session: Session, argv: list[bytes]) -> Reply:
    """Let only those commands pass that a client needs to say who it is."""
    try:
        spec = resolve_fully(argv)[3]
        if "no_auth" not in spec.flags:
            raise CommandFailure(_EXEC_REFUSED if spec.name == "EXEC" else _REFUSED)
    except CommandFailure as failure:
        return session.engine.note_rejection(argv, failure)
    return plain(session, argv)


def subscribed(session: Session, argv: list[bytes]) -> Reply:
    """Let only those commands pass that make sense among messages, in RESP2."""
    try:
        spec = resolve_fully(argv)[3]
        if spec.name not in _WHILE_SUBSCRIBED:
            head = _EXEC_ABORTED if spec.name == "EXEC" else b"ERR "
            raise CommandFailure(head + _OUT_OF_PLACE % spec.name.lower().encode())
    except CommandFailure as failure:
        return session.engine.note_rejection(argv, failure)
    return plain(session, argv)


def muted(session: Session, argv: list[bytes]) -> Reply:
    """Execute a command in the session's state and keep its reply back.

    The command that ends the muting (CLIENT REPLY ON) is answered; one skip is used up
    by the command after CLIENT REPLY SKIP.
    """
    muting = session.muting
    reply = session.guarded()(session, argv)
    if session.muting is None or reply is BLOCKED:
        return reply
    if session.muting is muting and not session.muting.is_for_good:
        session.muting = None
        session.enter(session.state)
    return NO_REPLY


def closed(argv: list[bytes]) -> Reply:
    """Refuse everything: the engine has forgotten this session."""
    return _CLOSED
