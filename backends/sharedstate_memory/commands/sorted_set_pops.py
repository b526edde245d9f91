"""Sorted sets: taking the lowest or the highest, and waiting for one."""

from __future__ import annotations

from sharedstate_memory.blocking import NOT_SERVED
from sharedstate_memory.commands.arguments import parse_natural, parse_timeout_ms
from sharedstate_memory.commands.registry import command
from sharedstate_memory.commands.sorted_sets import members_of
from sharedstate_memory.replies import NULL_ARRAY, SYNTAX_ERROR, CommandFailure
from sharedstate_memory.sorted_set import SortedSet

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sharedstate_memory.replies import Reply
    from sharedstate_memory.session import Session
    from sharedstate_memory.sorted_set import Pair

_LOWEST, _HIGHEST = 0, -1


@command("ZPOPMIN")
def pop_lowest(session: Session, argv: list[bytes]) -> Reply:
    """Take the member with the lowest score, or so many."""
    return _pop_many(session, argv, _LOWEST)


@command("ZPOPMAX")
def pop_highest(session: Session, argv: list[bytes]) -> Reply:
    """Take the member with the highest score, or so many."""
    return _pop_many(session, argv, _HIGHEST)


def _pop_many(session: Session, argv: list[bytes], which: int) -> Reply:
    if len(argv) > 3:
        raise CommandFailure(SYNTAX_ERROR)
    is_many = len(argv) == 3
    count = 1
    if is_many:
        count = parse_natural(argv[2], b"ERR value is out of range, must be positive")
    members = members_of(session, argv[1])
    pairs = [members.pop(which) for _ in range(min(count, len(members)))]
    if pairs:
        session.db.changed_or_empty(argv[1], members)
    if is_many and session.protocol == 3:
        return [[member, score] for score, member in pairs]
    return [part for score, member in pairs for part in (member, score)]


@command("BZPOPMIN")
def blocking_pop_lowest(session: Session, argv: list[bytes]) -> Reply:
    """As ZPOPMIN of the first of some sets that has a member, or wait."""
    return _blocking_pop(session, argv, _LOWEST)


@command("BZPOPMAX")
def blocking_pop_highest(session: Session, argv: list[bytes]) -> Reply:
    """As ZPOPMAX of the first of some sets that has a member, or wait."""
    return _blocking_pop(session, argv, _HIGHEST)


def _blocking_pop(session: Session, argv: list[bytes], which: int) -> Reply:
    timeout_ms = parse_timeout_ms(argv[-1], session.engine.now_ms)
    keys = argv[1:-1]
    for key in keys:
        if session.db.typed(key, SortedSet) is not None:
            return _reply(key, _pop(session, key, which))

    def serve(key: bytes) -> Reply:
        if type(session.db.find(key)) is not SortedSet:
            return NOT_SERVED
        return _reply(key, _pop(session, key, which))

    return session.engine.waits.block(
        session, keys, serve, null=NULL_ARRAY, timeout_ms=timeout_ms
    )


def _pop(session: Session, key: bytes, which: int) -> Pair:
    members = members_of(session, key)
    pair = members.pop(which)
    session.db.changed_or_empty(key, members)
    if session.engine.effects is not None:
        name = b"ZPOPMIN" if which == _LOWEST else b"ZPOPMAX"
        session.engine.effects.replace([name, key])
    return pair


def _reply(key: bytes, pair: Pair) -> list[Reply]:
    score, member = pair
    return [key, member, score]
