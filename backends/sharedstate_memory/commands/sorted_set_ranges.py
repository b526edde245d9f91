"""Sorted sets: ranges by place, by score and by member.

Every range is first turned into places from the lowest (`first` up to `end`), and then
read, counted or removed.
"""

from __future__ import annotations

from math import isnan

from sharedstate_memory.commands.arguments import Options, parse_integer, places
from sharedstate_memory.commands.registry import command
from sharedstate_memory.commands.sorted_sets import members_of
from sharedstate_memory.replies import SYNTAX_ERROR, CommandFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from sharedstate_memory.replies import Reply
    from sharedstate_memory.session import Session
    from sharedstate_memory.sorted_set import SortedSet

    Finder = Callable[[SortedSet], tuple[int, int]]

_BAD_SCORE = b"ERR min or max is not a float"
_BAD_MEMBER = b"ERR min or max not valid string range item"


class _Reading:
    """How a range is to be read."""

    __slots__ = ("by", "count", "is_reverse", "offset", "with_scores")

    def __init__(self, argv: list[bytes], allowed: frozenset[bytes]) -> None:
        self.by = b""
        self.offset, self.count = 0, -1
        self.is_reverse = False
        self.with_scores = False
        options = Options(argv, 4)
        for name in options:
            if name not in allowed:
                raise CommandFailure(SYNTAX_ERROR)
            if name == b"LIMIT":
                first, second = options.value(), options.value()
                self.offset, self.count = parse_integer(first), parse_integer(second)
            elif name == b"WITHSCORES":
                self.with_scores = True
            elif name == b"REV":
                self.is_reverse = True
            else:
                self.by = name
        if b"REV" in allowed:
            self._check()

    def _check(self) -> None:
        # A limit to everything passes for none.
        if self.count != -1 and not self.by:
            raise CommandFailure(
                b"ERR syntax error, LIMIT is only supported in combination with either"
                b" BYSCORE or BYLEX"
            )
        if self.with_scores and self.by == b"BYLEX":
            raise CommandFailure(
                b"ERR syntax error, WITHSCORES not supported in combination with BYLEX"
            )

    def limit(self, first: int, end: int) -> tuple[int, int]:
        """The places that LIMIT leaves of a range."""
        if self.offset < 0:
            return 0, 0
        if self.is_reverse:
            end -= self.offset
            return (first if self.count < 0 else max(end - self.count, first)), end
        first += self.offset
        return first, (end if self.count < 0 else min(first + self.count, end))


_ZRANGE_OPTIONS = frozenset((b"BYSCORE", b"BYLEX", b"REV", b"LIMIT", b"WITHSCORES"))
_BY_SCORE_OPTIONS = frozenset((b"LIMIT", b"WITHSCORES"))
_BY_PLACE_OPTIONS = frozenset((b"WITHSCORES",))


@command("ZRANGE")
def get_range(session: Session, argv: list[bytes]) -> Reply:
    """Members of a range by place, by score or by member."""
    reading = _Reading(argv, _ZRANGE_OPTIONS)
    return _read(session, argv, reading)


@command("ZREVRANGE")
def get_reverse_range(session: Session, argv: list[bytes]) -> Reply:
    """Members of a range by place from the highest."""
    reading = _Reading(argv, _BY_PLACE_OPTIONS)
    reading.is_reverse = True
    return _read(session, argv, reading)


@command("ZRANGEBYSCORE")
def get_range_by_score(session: Session, argv: list[bytes]) -> Reply:
    """Members whose scores are in a range."""
    reading = _Reading(argv, _BY_SCORE_OPTIONS)
    reading.by = b"BYSCORE"
    return _read(session, argv, reading)


@command("ZREVRANGEBYSCORE")
def get_reverse_range_by_score(session: Session, argv: list[bytes]) -> Reply:
    """Members whose scores are in a range, the highest first."""
    reading = _Reading(argv, _BY_SCORE_OPTIONS)
    reading.by = b"BYSCORE"
    reading.is_reverse = True
    return _read(session, argv, reading)


def _read(session: Session, argv: list[bytes], reading: _Reading) -> Reply:
    find = _finder(argv[2], argv[3], reading)
    members = members_of(session, argv[1])
    first, end = reading.limit(*find(members)) if members else (0, 0)
    if end <= first:
        return []
    pairs = members.pairs(first, end, reverse=reading.is_reverse)
    if not reading.with_scores:
        return [member for _, member in pairs]
    if session.protocol == 3:
        return [[member, score] for score, member in pairs]
    return [part for score, member in pairs for part in (member, score)]


def _finder(start: bytes, stop: bytes, reading: _Reading) -> Finder:
    """A function that finds the range in a set. Raises the refusal of bad ends."""
    if reading.by == b"":
        return _by_place(start, stop, is_reverse=reading.is_reverse)
    if reading.is_reverse:
        start, stop = stop, start
    return (_by_member if reading.by == b"BYLEX" else _by_score)(start, stop)


def _by_place(start: bytes, stop: bytes, *, is_reverse: bool = False) -> Finder:
    first, last = parse_integer(start), parse_integer(stop)

    def find(members: SortedSet) -> tuple[int, int]:
        low, end = places(first, last, len(members))
        return (len(members) - end, len(members) - low) if is_reverse else (low, end)

    return find


def _by_score(start: bytes, stop: bytes) -> Finder:
    lowest, excludes_lowest = _read_score(start)
    highest, excludes_highest = _read_score(stop)

    def find(members: SortedSet) -> tuple[int, int]:
        return (
            members.place_of_score(lowest, after=excludes_lowest),
            members.place_of_score(highest, after=not excludes_highest),
        )

    return find


def _read_score(text: bytes) -> tuple[float, bool]:
    is_exclusive = text.startswith(b"(")
    try:
        # No number at all is zero, for Redis reads it with strtod.
        score = float(text[is_exclusive:] or b"0")
    except ValueError:
        raise CommandFailure(_BAD_SCORE) from None
    if isnan(score) or b"_" in text:
        raise CommandFailure(_BAD_SCORE)
    return score, is_exclusive


def _by_member(start: bytes, stop: bytes) -> Finder:
    for text in (start, stop):
        if text not in (b"-", b"+") and not text.startswith((b"[", b"(")):
            raise CommandFailure(_BAD_MEMBER)

    def find(members: SortedSet) -> tuple[int, int]:
        return (
            _place_of_end(members, start, included=b"["),
            _place_of_end(members, stop, included=b"("),
        )

    return find


def _place_of_end(members: SortedSet, text: bytes, *, included: bytes) -> int:
    """Where a range by member begins or ends: before the member if the text opens with
    `included`, else after it.
    """
    if text in (b"-", b"+"):
        return 0 if text == b"-" else len(members)
    return members.place_of_member(text[1:], after=text[:1] != included)


@command("ZCOUNT")
def count_range(session: Session, argv: list[bytes]) -> Reply:
    """How many members have scores in a range."""
    find = _by_score(argv[2], argv[3])
    members = members_of(session, argv[1])
    first, end = find(members)
    return max(end - first, 0)


@command("ZREMRANGEBYSCORE")
def remove_range_by_score(session: Session, argv: list[bytes]) -> Reply:
    """Remove the members whose scores are in a range. Returns how many."""
    return _remove(session, argv[1], _by_score(argv[2], argv[3]))


@command("ZREMRANGEBYRANK")
def remove_range_by_place(session: Session, argv: list[bytes]) -> Reply:
    """Remove the members of a range by place. Returns how many."""
    return _remove(session, argv[1], _by_place(argv[2], argv[3]))


def _remove(session: Session, key: bytes, find: Finder) -> int:
    members = members_of(session, key)
    first, end = find(members)
    if end <= first:
        return 0
    removed = members.remove_places(first, end)
    session.db.changed_or_empty(key, members)
    return removed
