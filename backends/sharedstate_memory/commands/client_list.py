"""CLIENT LIST and KILL: which clients there are, and which of them have to go."""

from __future__ import annotations

from sharedstate_memory.client_facts import class_of, describe
from sharedstate_memory.commands.arguments import parse_integer
from sharedstate_memory.commands.registry import command
from sharedstate_memory.replies import (
    OK_LOOK_AGAIN,
    SYNTAX_ERROR,
    CommandFailure,
    Many,
    Verbatim,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import TypeAlias

    from sharedstate_memory.replies import Reply
    from sharedstate_memory.session import Session

    Filter: TypeAlias = Callable[[Session], bool]

_CLASSES = (b"normal", b"pubsub", b"replica", b"slave", b"master")
_NO_SUCH_CLIENT = b"ERR No such client"


@command("CLIENT|LIST")
def list_clients(session: Session, argv: list[bytes]) -> Reply:
    """Facts about the clients: all, those of a TYPE, or those whose ID is named."""
    lines = [describe(other) + b"\n" for other in _selected(session, argv)]
    return Verbatim(b"".join(lines))


def _selected(session: Session, argv: list[bytes]) -> Iterable[Session]:
    sessions = session.engine.sessions
    if len(argv) == 2:
        return sessions.values()
    option = argv[2].upper()
    if option == b"TYPE" and len(argv) == 4:
        wanted = _read_class(argv[3])
        return [other for other in sessions.values() if class_of(other) == wanted]
    if option == b"ID" and len(argv) > 3:
        ids = [parse_integer(word, b"ERR Invalid client ID") for word in argv[3:]]
        return [sessions[number] for number in ids if number in sessions]
    raise CommandFailure(SYNTAX_ERROR)


def _read_class(word: bytes) -> bytes:
    name = word.lower()
    if name not in _CLASSES:
        raise CommandFailure(b"ERR Unknown client type '%s'" % word)
    return name


@command("CLIENT|KILL")
def kill(session: Session, argv: list[bytes]) -> Reply:
    """Close connections: that of an address, or all to which the options apply."""
    if len(argv) == 3:
        return _kill_address(session, argv[2])
    filters, spares_caller = _read_filters(session, argv)
    victims = [
        other
        for other in session.engine.sessions.values()
        if all(applies(other) for applies in filters)
        and not (spares_caller and other is session)
    ]
    for victim in victims:
        session.engine.disconnect(victim)
    # Not a plain number if the caller is among them, so that it is looked at again.
    return Many([len(victims)]) if session.closing else len(victims)


def _kill_address(session: Session, address: bytes) -> Reply:
    for other in session.engine.sessions.values():
        if other.address == address:
            session.engine.disconnect(other)
            return OK_LOOK_AGAIN
    raise CommandFailure(_NO_SUCH_CLIENT)


def _read_filters(session: Session, argv: list[bytes]) -> tuple[list[Filter], bool]:
    """What a client must meet to be closed, and whether the caller is spared."""
    filters: list[Filter] = []
    spares_caller = True
    for option, value in _pairs(argv[2:]):
        if option == b"SKIPME":
            if value.upper() not in (b"YES", b"NO"):
                raise CommandFailure(SYNTAX_ERROR)
            spares_caller = value.upper() == b"YES"
        elif option in _FILTERS:
            filters.append(_FILTERS[option](session, value))
        else:
            raise CommandFailure(SYNTAX_ERROR)
    return filters, spares_caller


def _pairs(words: list[bytes]) -> Iterator[tuple[bytes, bytes]]:
    for at in range(0, len(words), 2):
        if at + 1 == len(words):
            raise CommandFailure(SYNTAX_ERROR)
        yield words[at].upper(), words[at + 1]


def _by_id(session: Session, value: bytes) -> Filter:
    refusal = b"ERR client-id should be greater than 0"
    wanted = parse_integer(value, refusal)
    if wanted < 1:
        raise CommandFailure(refusal)
    return lambda other: other.id == wanted


def _by_class(session: Session, value: bytes) -> Filter:
    wanted = _read_class(value)
    return lambda other: class_of(other) == wanted


def _by_address(session: Session, value: bytes) -> Filter:
    return lambda other: other.address == value


def _by_local_address(session: Session, value: bytes) -> Filter:
    wanted = value.decode("latin-1")

    def applies(other: Session) -> bool:
        return other.transport is not None and other.transport.facts()["laddr"] == wanted

    return applies


def _by_user(session: Session, value: bytes) -> Filter:
    if session.engine.users.get(value) is None:
        raise CommandFailure(b"ERR No such user '%s'" % value)
    return lambda other: other.user.name == value


def _by_age(session: Session, value: bytes) -> Filter:
    seconds = parse_integer(value, b"ERR maxage is not an integer or out of range")
    if seconds < 1:
        raise CommandFailure(b"ERR maxage should be greater than 0")
    latest_ms = session.engine.now_ms - 1000 * seconds
    return lambda other: other.opened_at_ms <= latest_ms


_FILTERS: dict[bytes, Callable[[Session, bytes], Filter]] = {
    b"ID": _by_id,
    b"TYPE": _by_class,
    b"ADDR": _by_address,
    b"LADDR": _by_local_address,
    b"USER": _by_user,
    b"MAXAGE": _by_age,
}
