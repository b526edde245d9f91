"""CLIENT: what a session is called, how it is answered, and how it is treated."""

from __future__ import annotations

from sharedstate_memory.client_facts import describe
from sharedstate_memory.commands.registry import command
from sharedstate_memory.replies import (
    NO_REPLY,
    OK,
    SYNTAX_ERROR,
    CommandFailure,
    Verbatim,
)
from sharedstate_memory.session import Muting

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sharedstate_memory.replies import Reply
    from sharedstate_memory.session import Session


def check_name(name: bytes, what: bytes = b"Client names") -> bytes:
    """A client's name, which is one visible ASCII word. Raises the refusal."""
    if any(not 33 <= byte <= 126 for byte in name):
        raise CommandFailure(
            b"ERR %s cannot contain spaces, newlines or special characters." % what
        )
    return name


@command("CLIENT|ID")
def get_id(session: Session, argv: list[bytes]) -> Reply:
    """The number of the connection."""
    return session.id


@command("CLIENT|GETNAME")
def get_name(session: Session, argv: list[bytes]) -> Reply:
    """The name of the connection."""
    return session.name or None


@command("CLIENT|SETNAME")
def set_name(session: Session, argv: list[bytes]) -> Reply:
    """Name the connection."""
    session.name = check_name(argv[2])
    return OK


@command("CLIENT|SETINFO")
def set_info(session: Session, argv: list[bytes]) -> Reply:
    """Tell the name or the version of the client's library: LIB-NAME or LIB-VER."""
    option = argv[2].upper()
    if option not in (b"LIB-NAME", b"LIB-VER"):
        raise CommandFailure(b"ERR Unrecognized option '%s'" % argv[2])
    text = check_name(argv[3], option.lower())
    if option == b"LIB-NAME":
        session.library_name = text
    else:
        session.library_version = text
    return OK


@command("CLIENT|INFO")
def info(session: Session, argv: list[bytes]) -> Reply:
    """Facts about the connection, as a line of CLIENT LIST."""
    return Verbatim(describe(session) + b"\n")


@command("CLIENT|NO-EVICT")
def set_no_evict(session: Session, argv: list[bytes]) -> Reply:
    """Spare the connection when clients must go because memory is short: ON or OFF."""
    session.no_evict = _read_switch(argv[2])
    return OK


@command("CLIENT|NO-TOUCH")
def set_no_touch(session: Session, argv: list[bytes]) -> Reply:
    """Let the connection's commands not count as uses of their keys: ON or OFF."""
    session.no_touch = _read_switch(argv[2])
    session.review()
    return OK


def _read_switch(word: bytes) -> bool:
    switch = word.upper()
    if switch not in (b"ON", b"OFF"):
        raise CommandFailure(SYNTAX_ERROR)
    return switch == b"ON"


@command("CLIENT|REPLY")
def reply(session: Session, argv: list[bytes]) -> Reply:
    """Answer commands, or not, or not the next one: ON, OFF or SKIP."""
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
