"""CLIENT: what a session is called, how it is answered, and who else is there."""

from __future__ import annotations

import sys

from sharedstate_memory.commands.arguments import Options, parse_integer
from sharedstate_memory.commands.registry import command, run_subcommand, subcommands
from sharedstate_memory.replies import (
    NO_REPLY,
    OK,
    SYNTAX_ERROR,
    CommandFailure,
    ErrorReply,
)
from sharedstate_memory.session import Muting

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from sharedstate_memory.replies import Reply
    from sharedstate_memory.session import Session

_UNBLOCKED = ErrorReply(
    b"UNBLOCKED client unblocked via CLIENT UNBLOCK",
)


@command("CLIENT")
def client(session: Session, argv: list[bytes]) -> Reply:
    """The subcommands of CLIENT."""
    return run_subcommand(session, argv, _CLIENT)


def check_name(name: bytes) -> bytes:
    """A client's name, which is one visible ASCII word. Raises the refusal."""
    if any(not 33 <= byte <= 126 for byte in name):
        raise CommandFailure(
            b"ERR Client names cannot contain spaces, newlines or special characters."
        )
    return name


def _get_id(session: Session, argv: list[bytes]) -> Reply:
    return session.id


def _get_name(session: Session, argv: list[bytes]) -> Reply:
    return session.name or None


def _set_name(session: Session, argv: list[bytes]) -> Reply:
    session.name = check_name(argv[2])
    return OK


def _set_info(session: Session, argv: list[bytes]) -> Reply:
    """Clients tell their library's name and version, which nothing here depends on."""
    if argv[2].upper() not in (b"LIB-NAME", b"LIB-VER"):
        raise CommandFailure(b"ERR Unrecognized option '%s'" % argv[2])
    check_name(argv[3])
    return OK


def _accept_switch(session: Session, argv: list[bytes]) -> Reply:
    """Eviction of clients and access clocks, which there is nothing to switch of."""
    if argv[2].upper() not in (b"ON", b"OFF"):
        raise CommandFailure(SYNTAX_ERROR)
    return OK


def _reply(session: Session, argv: list[bytes]) -> Reply:
    mode = argv[2].upper()
    if mode not in (b"ON", b"OFF", b"SKIP"):
        raise CommandFailure(SYNTAX_ERROR)
    was_off = session.muting is not None and session.muting.is_for_good
    if mode == b"ON":
        session.muting = None
    elif mode == b"OFF" or not was_off:
        session.muting = Muting(is_for_good=mode == b"OFF")
    session.enter(session.state)
    return OK if mode == b"ON" else NO_REPLY


def _unblock(session: Session, argv: list[bytes]) -> Reply:
    how = argv[3].upper() if argv[3:] else b"TIMEOUT"
    if how not in (b"TIMEOUT", b"ERROR"):
        raise CommandFailure(
            b"ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR",
        )
    other = session.engine.sessions.get(parse_integer(argv[2]))
    if other is None or other.wait is None:
        return 0
    waits = session.engine.waits
    return int(waits.cancel(other, _UNBLOCKED) if how == b"ERROR" else waits.cancel(other))


def _info(session: Session, argv: list[bytes]) -> Reply:
    return _describe(session) + b"\n"


def _list(session: Session, argv: list[bytes]) -> Reply:
    sessions: Iterable[Session] = session.engine.sessions.values()
    options = Options(argv, 2)
    for name in options:
        if name == b"TYPE":
            wanted = _read_type(options.value())
            sessions = [other for other in sessions if _type_of(other) == wanted]
        elif name == b"ID" and options.left:
            ids = {_read_id(options.value()) for _ in range(options.left)}
            sessions = [other for other in sessions if other.id in ids]
        else:
            raise CommandFailure(SYNTAX_ERROR)
    return b"".join(_describe(other) + b"\n" for other in sessions)


def _read_id(text: bytes) -> int:
    number = parse_integer(text, b"ERR Invalid client ID")
    if number < 1:
        raise CommandFailure(b"ERR Invalid client ID")
    return number


def _read_type(text: bytes) -> bytes:
    name = text.lower()
    if name not in (b"normal", b"pubsub", b"replica", b"slave", b"master"):
        raise CommandFailure(b"ERR Unknown client type '%s'" % text)
    return name


def _type_of(session: Session) -> bytes:
    return b"pubsub" if session.channels or session.patterns else b"normal"


def _describe(session: Session) -> bytes:
    """A session as one line of CLIENT LIST."""
    age_ms = session.engine.now_ms - session.opened_at_ms
    transaction = session.transaction
    flags = _flags(session)
    facts = {
        "id": session.id,
        "addr": session.address.decode("latin-1"),
        "name": session.name.decode("latin-1"),
        "age": age_ms // 1000,
        "flags": flags,
        "db": session.db.index,
        "sub": len(session.channels),
        "psub": len(session.patterns),
        "multi": -1 if transaction is None else len(transaction.commands),
        "user": "default",
        "resp": session.protocol,
    }
    return " ".join(f"{name}={fact}" for name, fact in facts.items()).encode("latin-1")


def _flags(session: Session) -> str:
    facts = {
        "P": session.channels or session.patterns,
        "x": session.transaction is not None,
        "b": session.wait is not None,
        "d": session.watch_broken,
        "c": session.closing,
    }
    return "".join(flag for flag, is_set in facts.items() if is_set) or "N"


_CLIENT = subcommands(
    "CLIENT",
    {
        b"ID": (_get_id, 2, 2),
        b"GETNAME": (_get_name, 2, 2),
        b"SETNAME": (_set_name, 3, 3),
        b"SETINFO": (_set_info, 4, 4),
        b"INFO": (_info, 2, 2),
        b"LIST": (_list, 2, sys.maxsize),
        b"NO-EVICT": (_accept_switch, 3, 3),
        b"NO-TOUCH": (_accept_switch, 3, 3),
        b"REPLY": (_reply, 3, 3),
        b"UNBLOCK": (_unblock, 3, 4),
    },
)
