"""Sorted sets: members with scores."""

from __future__ import annotations

from math import isnan

from sharedstate_memory.commands.arguments import parse_double
from sharedstate_memory.commands.registry import command
from sharedstate_memory.commands.scans import read_cursor, scan_elements
from sharedstate_memory.replies import (
    NOT_A_NUMBER,
    SYNTAX_ERROR,
    CommandFailure,
    format_double,
)
from sharedstate_memory.sorted_set import SortedSet

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sharedstate_memory.replies import Reply
    from sharedstate_memory.session import Session

_NOTHING = SortedSet()


def members_of(session: Session, key: bytes) -> SortedSet:
    """A sorted set to read from; an empty one if the key is not there."""
    return session.db.typed(key, SortedSet) or _NOTHING


class _Adding:
    """The options of ZADD, and what they come to for one member."""

    __slots__ = ("first_pair", "words")

    _NAMES = frozenset((b"NX", b"XX", b"GT", b"LT", b"CH", b"INCR"))

    def __init__(self, argv: list[bytes]) -> None:
        self.words: set[bytes] = set()
        self.first_pair = 2
        for word in argv[2:]:
            if word.upper() not in self._NAMES:
                break
            self.words.add(word.upper())
            self.first_pair += 1
        self._check(len(argv) - self.first_pair)

    def _check(self, length: int) -> None:
        if length == 0 or length % 2:
            raise CommandFailure(SYNTAX_ERROR)
        if {b"NX", b"XX"} <= self.words:
            raise CommandFailure(
                b"ERR XX and NX options at the same time are not compatible"
            )
        if len(self.words & {b"NX", b"GT", b"LT"}) > 1:
            raise CommandFailure(
                b"ERR GT, LT, and/or NX options at the same time are not compatible"
            )
        if b"INCR" in self.words and length > 2:
            raise CommandFailure(
                b"ERR INCR option supports a single increment-element pair"
            )

    def outcome(self, old: float | None, given: float) -> float | None:
        """The score a member gets that had `old`; None if it is to be left alone."""
        words = self.words
        if old is None:
            return None if b"XX" in words else given
        if b"NX" in words:
            return None
        new = old + given if b"INCR" in words else given
        if isnan(new):
            raise CommandFailure(NOT_A_NUMBER)
        if (b"GT" in words and new <= old) or (b"LT" in words and new >= old):
            return None
        return new


@command("ZADD")
def add(session: Session, argv: list[bytes]) -> Reply:
    """Give members their scores. Returns how many are new; with CH, how many are new or
    changed; with INCR, the score, or null if the options left the member alone.
    """
    adding = _Adding(argv)
    pairs = argv[adding.first_pair :]
    # Adding zero turns minus zero into zero: Redis keeps no sign of it.
    given = [parse_double(text) + 0.0 for text in pairs[::2]]
    key = argv[1]
    members = session.db.typed(key, SortedSet)
    is_new = members is None
    members = members or SortedSet()
    before, changed, score = len(members), 0, None
    for member, number in zip(pairs[1::2], given, strict=True):
        old = members.scores.get(member)
        score = adding.outcome(old, number)
        if score is not None and score != old:
            members.set(member, score)
            changed += 1
    if changed and is_new:
        session.db.put(key, members)
    elif changed:
        session.db.changed(key)
    if b"INCR" in adding.words:
        return score
    return changed if b"CH" in adding.words else len(members) - before


@command("ZINCRBY")
def increment(session: Session, argv: list[bytes]) -> Reply:
    """Add to a member's score. Returns the new score."""
    return add(session, [b"ZADD", argv[1], b"INCR", argv[2], argv[3]])


@command("ZREM")
def remove(session: Session, argv: list[bytes]) -> Reply:
    """Remove members. Returns how many were there."""
    members = members_of(session, argv[1])
    removed = sum(members.remove(member) for member in argv[2:])
    if removed:
        session.db.changed_or_empty(argv[1], members)
    return removed


@command("ZSCORE")
def score_of(session: Session, argv: list[bytes]) -> Reply:
    """A member's score."""
    return members_of(session, argv[1]).scores.get(argv[2])


@command("ZMSCORE")
def scores_of(session: Session, argv: list[bytes]) -> Reply:
    """The scores of some members; null for those that are not there."""
    scores = members_of(session, argv[1]).scores
    return [scores.get(member) for member in argv[2:]]


@command("ZCARD")
def count_members(session: Session, argv: list[bytes]) -> Reply:
    """How many members there are."""
    return len(members_of(session, argv[1]))


@command("ZRANK")
def rank(session: Session, argv: list[bytes]) -> Reply:
    """A member's place from the lowest score."""
    return members_of(session, argv[1]).rank(argv[2])


@command("ZREVRANK")
def reverse_rank(session: Session, argv: list[bytes]) -> Reply:
    """A member's place from the highest score."""
    members = members_of(session, argv[1])
    place = members.rank(argv[2])
    return None if place is None else len(members) - 1 - place


@command("ZSCAN")
def scan(session: Session, argv: list[bytes]) -> Reply:
    """Some members with their scores, and where to go on."""
    read_cursor(argv[2])
    scores = members_of(session, argv[1]).scores
    cursor, names = scan_elements(session, argv, scores)
    return [
        cursor,
        [part for name in names for part in (name, format_double(scores[name]))],
    ]
