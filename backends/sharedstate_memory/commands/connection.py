"""The connection: who the client is, which protocol and which database it uses."""

from __future__ import annotations

from sharedstate_memory import transactions
from sharedstate_memory.acl import DEFAULT
from sharedstate_memory.commands.arguments import parse_integer
from sharedstate_memory.commands.clients import check_name
from sharedstate_memory.commands.registry import command, wrong_arity
from sharedstate_memory.monitors import monitor_no_more
from sharedstate_memory.replies import (
    OK,
    OK_LOOK_AGAIN,
    PONG,
    SYNTAX_ERROR,
    CommandFailure,
    Status,
)
from sharedstate_memory.tracking import untrack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sharedstate_memory.replies import Reply
    from sharedstate_memory.session import Session

_NO_PASSWORD = (
    b"ERR AUTH <password> called without any password configured for the default user."
    b" Are you sure your configuration is correct?"
)
_HELLO_NEEDS_AUTH = (
    b"NOAUTH HELLO must be called with the client already authenticated, otherwise the"
    b" HELLO AUTH <user> <pass> option can be used to authenticate the client"
    b" and select the RESP protocol version at the same time"
)


@command("PING")
def ping(session: Session, argv: list[bytes]) -> Reply:
    """PONG, or what was sent along. Among the messages of RESP2 it looks like one."""
    if len(argv) > 2:
        raise CommandFailure(wrong_arity(argv[0]))
    if session.protocol == 2 and session.is_subscribed:
        return [b"pong", argv[1] if len(argv) == 2 else b""]
    return argv[1] if len(argv) == 2 else PONG


@command("ECHO")
def echo(session: Session, argv: list[bytes]) -> Reply:
    """What was sent."""
    return argv[1]


@command("SELECT")
def select(session: Session, argv: list[bytes]) -> Reply:
    """Use another database from now on."""
    index = parse_integer(argv[1])
    if not 0 <= index < len(session.engine.databases):
        raise CommandFailure(b"ERR DB index is out of range")
    session.db = session.engine.databases[index]
    return OK


@command("AUTH")
def authenticate(session: Session, argv: list[bytes]) -> Reply:
    """Say who the client is: a password, or a user and a password."""
    if len(argv) > 3:
        raise CommandFailure(SYNTAX_ERROR)
    users = session.engine.users
    if len(argv) == 2 and not users.default.needs_password:
        raise CommandFailure(_NO_PASSWORD)
    name = argv[1] if len(argv) == 3 else DEFAULT
    if not users.log_in(session, name, argv[-1]):
        return users.turn_away(session, name, argv[0])
    return OK_LOOK_AGAIN


@command("HELLO")
def hello(session: Session, argv: list[bytes]) -> Reply:
    """Agree on a protocol; say who the client is and what it is called on the way."""
    protocol = _read_protocol(argv[1]) if len(argv) > 1 else session.protocol
    refused = _take_hello_options(session, argv)
    if refused is not None:
        return session.engine.users.turn_away(session, refused, argv[0])
    if not session.authenticated:
        raise CommandFailure(_HELLO_NEEDS_AUTH)
    session.protocol = protocol
    session.rest_unless_queueing()
    return {
        b"server": b"redis",
        b"version": session.engine.redis_version.encode(),
        b"proto": protocol,
        b"id": session.id,
        b"mode": b"standalone",
        b"role": b"master",
        b"modules": [],
    }


def _read_protocol(text: bytes) -> int:
    protocol = parse_integer(
        text, b"ERR Protocol version is not an integer or out of range"
    )
    if protocol not in (2, 3):
        raise CommandFailure(b"NOPROTO unsupported protocol version")
    return protocol


def _take_hello_options(session: Session, argv: list[bytes]) -> bytes | None:
    """Do what each option of HELLO says, as they come: what one did stays done if the
    next is refused. Returns the name of a user as whom the login failed.
    """
    at = 2
    while at < len(argv):
        option, left = argv[at].upper(), len(argv) - at - 1
        if option == b"AUTH" and left >= 2:
            if not session.engine.users.log_in(session, argv[at + 1], argv[at + 2]):
                return argv[at + 1]
            at += 3
        elif option == b"SETNAME" and left >= 1:
            session.name = check_name(argv[at + 1])
            at += 2
        else:
            raise CommandFailure(b"ERR Syntax error in HELLO option '%s'" % argv[at])
    return None


@command("RESET")
def reset(session: Session, argv: list[bytes]) -> Reply:
    """Make the session as it was when it was opened."""
    engine = session.engine
    engine.channels.leave_all(session)
    session.db = engine.databases[0]
    session.protocol = 2
    session.name = b""
    session.muting = None
    session.no_evict = session.no_touch = False
    untrack(session)
    monitor_no_more(session)
    if session.bound is not None and engine.bindings is not None:
        engine.bindings.forget(session)
    transactions.discard(session)
    engine.users.log_out(session)
    return Status(b"RESET")


@command("QUIT")
def quit_session(session: Session, argv: list[bytes]) -> Reply:
    """Say goodbye: the owner closes the session after the reply."""
    if session.bound is not None:
        session.bound.is_left = True
    session.closing = True
    return OK_LOOK_AGAIN
