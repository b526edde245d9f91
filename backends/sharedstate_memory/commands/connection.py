"""The connection: who the client is, which protocol and which database it uses."""

from __future__ import annotations

from sharedstate_memory import transactions
from sharedstate_memory.commands.arguments import Options, parse_integer
from sharedstate_memory.commands.clients import check_name
from sharedstate_memory.commands.registry import command, wrong_arity
from sharedstate_memory.replies import (
    OK,
    PONG,
    SYNTAX_ERROR,
    CommandFailure,
    Status,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sharedstate_memory.replies import Reply
    from sharedstate_memory.session import Session

_DEFAULT_USER = b"default"

_WRONG_PASSWORD = b"WRONGPASS invalid username-password pair or user is disabled."
_NO_PASSWORD = (
    b"ERR AUTH <password> called without any password configured for the default user."
    b" Are you sure your configuration is correct?"
)
_HELLO_NEEDS_AUTH = (
    b"NOAUTH HELLO must be called with the client already authenticated, otherwise the"
    b" HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client"
    b" and select the RESP protocol version at the same time"
)


@command("PING")
def ping(session: Session, argv: list[bytes]) -> Reply:
    """PONG, or what was sent along. Among the messages of RESP2 it looks like one."""
    if len(argv) > 2:
        raise CommandFailure(wrong_arity(argv[0]))
    if session.protocol == 2 and (session.channels or session.patterns):
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
    if len(argv) == 2 and session.engine.password is None:
        raise CommandFailure(_NO_PASSWORD)
    user = argv[1] if len(argv) == 3 else _DEFAULT_USER
    _authenticate(session, user, argv[-1])
    return OK


def _authenticate(session: Session, user: bytes, password: bytes) -> None:
    from hmac import compare_digest  # here, because most servers have no password

    wanted = session.engine.password
    is_right = wanted is None or compare_digest(wanted, password)
    if user != _DEFAULT_USER or not is_right:
        raise CommandFailure(_WRONG_PASSWORD)
    session.authenticated = True
    session.rest()


@command("HELLO")
def hello(session: Session, argv: list[bytes]) -> Reply:
    """Agree on a protocol; say who the client is and what it is called on the way."""
    protocol = _read_protocol(argv[1]) if len(argv) > 1 else session.protocol
    credentials, name = _read_hello_options(argv)
    if credentials is not None:
        _authenticate(session, *credentials)
    if not session.authenticated:
        raise CommandFailure(_HELLO_NEEDS_AUTH)
    if name is not None:
        session.name = name
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


def _read_hello_options(
    argv: list[bytes],
) -> tuple[tuple[bytes, bytes] | None, bytes | None]:
    credentials, name = None, None
    options = Options(argv, 2)
    for option in options:
        if option == b"AUTH" and options.left >= 2:
            credentials = (options.value(), options.value())
        elif option == b"SETNAME" and options.left >= 1:
            name = check_name(options.value())
        else:
            raise CommandFailure(b"ERR Syntax error in HELLO option '%s'" % option.lower())
    return credentials, name


@command("RESET")
def reset(session: Session, argv: list[bytes]) -> Reply:
    """Make the session as it was when it was opened."""
    session.engine.channels.leave_all(session)
    session.db = session.engine.databases[0]
    session.protocol = 2
    session.name = b""
    session.muting = None
    session.authenticated = session.engine.password is None
    transactions.discard(session)
    return Status(b"RESET")


@command("QUIT")
def quit_session(session: Session, argv: list[bytes]) -> Reply:
    """Say goodbye: the owner closes the session after the reply."""
    session.closing = True
    return OK
