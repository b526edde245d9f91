"""Sorted sets: taking the lowest or the highest, and waiting for one."""

from __future__ import annotations

from sharedstate_memory.blocking import NOT_SERVED
from sharedstate_memory.commands.arguments import (
    Options,
    parse_integer,
    parse_natural,
    parse_timeout_ms,
)
from sharedstate_memory.commands.registry import command
from sharedstate_memory.commands.sorted_sets import size_of_members
from sharedstate_memory.replies import NULL_ARRAY, SYNTAX_ERROR, CommandFailure
from sharedstate_memory.sorted_set import SortedSet

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from sharedstate_memory.replies import Reply
    from sharedstate_memory.session import Session
    from sharedstate_memory.sorted_set import Pair

    Take = Callable[[bytes], Reply]

_LOWEST, _HIGHEST = b"ZPOPMIN", b"ZPOPMAX"
"""Which end is taken from, by the command that does it."""

_ENDS = {b"MIN": _LOWEST, b"MAX": _HIGHEST}

_NOT_POSITIVE = b"ERR value is out of range, must be positive"
_BAD_KEY_COUNT = b"ERR numkeys should be greater than 0"
_BAD_COUNT = b"ERR count should be greater than 0"


@command("ZPOPMIN")
def pop_lowest(session: Session, argv: list[bytes]) -> Reply:
    """Take the member with the lowest score, or so many."""
    return _pop_from(session, argv, _LOWEST)


@command("ZPOPMAX")
def pop_highest(session: Session, argv: list[bytes]) -> Reply:
    """Take the member with the highest score, or so many."""
    return _pop_from(session, argv, _HIGHEST)


def _pop_from(session: Session, argv: list[bytes], end: bytes) -> Reply:
    if len(argv) > 3:
        raise CommandFailure(SYNTAX_ERROR)
    is_many = len(argv) == 3
    count = parse_natural(argv[2], _NOT_POSITIVE) if is_many else 1
    pairs = _take(session, argv[1], end, count)
    if is_many and session.protocol == 3:
        return [[member, score] for score, member in pairs]
    return [part for score, member in pairs for part in (member, score)]


def _take(session: Session, key: bytes, end: bytes, count: int) -> list[Pair]:
    """Take so many pairs from one end, or all there are, the outermost first."""
    db = session.db
    members = db.typed(key, SortedSet)
    if members is None or count == 0:
        return []
    length = len(members)
    if end == _LOWEST:
        pairs = members.pop_places(0, min(count, length))
    else:
        pairs = members.pop_places(max(length - count, 0), length)
        pairs.reverse()
    growth = -size_of_members([member for _, member in pairs])
    db.changed_or_empty(key, members, growth, end.lower())
    return pairs


@command("BZPOPMIN")
def blocking_pop_lowest(session: Session, argv: list[bytes]) -> Reply:
    """As ZPOPMIN of the first of some sets that has a member, or wait."""
    return _pop_one_or_wait(session, argv, _LOWEST)


@command("BZPOPMAX")
def blocking_pop_highest(session: Session, argv: list[bytes]) -> Reply:
    """As ZPOPMAX of the first of some sets that has a member, or wait."""
    return _pop_one_or_wait(session, argv, _HIGHEST)


def _pop_one_or_wait(session: Session, argv: list[bytes], end: bytes) -> Reply:
    timeout_ms = parse_timeout_ms(argv[-1], session.engine.now_ms)

    def take(key: bytes) -> Reply:
        ((score, member),) = _take(session, key, end, 1)
        _replace_effect(session, [end, key])
        return [key, member, score]

    return _serve_or_wait(session, argv[1:-1], take, timeout_ms)


class _ManyPop:
    """The arguments of ZMPOP, and of BZMPOP but for the timeout."""

    __slots__ = ("_count", "_end", "_session", "keys")

    def __init__(self, session: Session, argv: list[bytes], start: int) -> None:
        """`start` is the place of the number of keys."""
        self._session = session
        length = parse_integer(argv[start], _BAD_KEY_COUNT)
        if length < 1:
            raise CommandFailure(_BAD_KEY_COUNT)
        self.keys = argv[start + 1 : start + 1 + length]
        options = Options(argv, start + 1 + length)
        end = _ENDS.get(options.value().upper())
        if end is None:
            raise CommandFailure(SYNTAX_ERROR)
        self._end = end
        self._count = _read_count(options)

    def take(self, key: bytes) -> Reply:
        """Take from a set that is there. Returns the reply."""
        pairs = _take(self._session, key, self._end, self._count)
        _replace_effect(self._session, [self._end, key, b"%d" % len(pairs)])
        return [key, [[member, score] for score, member in pairs]]


def _read_count(options: Options) -> int:
    count = 0
    for name in options:
        if name != b"COUNT" or count:
            raise CommandFailure(SYNTAX_ERROR)
        count = parse_integer(options.value(), _BAD_COUNT)
        if count < 1:
            raise CommandFailure(_BAD_COUNT)
    return count or 1


@command("ZMPOP")
def pop_from_first(session: Session, argv: list[bytes]) -> Reply:
    """Take the lowest (MIN) or highest (MAX), or so many (COUNT), of the first of some
    sets that has a member.
    """
    pop = _ManyPop(session, argv, 1)
    for key in pop.keys:
        if session.db.typed(key, SortedSet) is not None:
            return pop.take(key)
    return NULL_ARRAY


@command("BZMPOP")
def blocking_pop_from_first(session: Session, argv: list[bytes]) -> Reply:
    """As ZMPOP, or wait until one of the sets has a member."""
    pop = _ManyPop(session, argv, 2)
    timeout_ms = parse_timeout_ms(argv[1], session.engine.now_ms)
    return _serve_or_wait(session, pop.keys, pop.take, timeout_ms)


def _serve_or_wait(
    session: Session, keys: list[bytes], take: Take, timeout_ms: int
) -> Reply:
    """Take from the first of some sets that is there, or wait for one."""
    for key in keys:
        if session.db.typed(key, SortedSet) is not None:
            return take(key)

    def serve(key: bytes) -> Reply:
        if type(session.db.find(key)) is not SortedSet:
            return NOT_SERVED
        return take(key)

    return session.engine.waits.block(
        session, keys, serve, null=NULL_ARRAY, timeout_ms=timeout_ms
    )


def _replace_effect(session: Session, argv: list[bytes]) -> None:
    if session.engine.effects is not None:
        session.engine.effects.replace(argv)
