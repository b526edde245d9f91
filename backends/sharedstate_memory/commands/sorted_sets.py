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
from sharedstate_memory.sizes import SCORED
from sharedstate_memory.sorted_set import ADDED, UNCHANGED, SortedSet

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from sharedstate_memory.replies import Reply
    from sharedstate_memory.session import Session

_NOTHING = SortedSet()

# Numbers of these characters alone, and not longer, are in a double's range.
_PLAIN = b"0123456789.-+"
_PLAIN_LENGTH = 24


def members_of(session: Session, key: bytes) -> SortedSet:
    """A sorted set that a command only reads; an empty one if the key is not there."""
    return session.db.read(key, SortedSet) or _NOTHING


def size_of_members(members: Iterable[bytes]) -> int:
    """What some members of sorted sets cost, as counted in `sizes.py`."""
    return sum([SCORED + 2 * len(member) for member in members])


def parse_score(text: bytes) -> float:
    """A score. Raises the refusal of what is none; usual numbers take the short way."""
    if len(text) <= _PLAIN_LENGTH and not text.translate(None, _PLAIN):
        try:
            return float(text)
        except ValueError:
            pass  # Refused below, with all else that is no number.
    return parse_double(text)


@command("ZADD")
def add(session: Session, argv: list[bytes]) -> Reply:
    """Give members their scores. Returns how many are new; with CH, how many are new or
    changed; with INCR, the score, or null if the options left the member alone.
    """
    db, key, text = session.db, argv[1], argv[2]
    # One pair and no option is the usual call, and flat: half of the general time.
    if len(argv) == 4 and text.isdigit() and len(text) <= _PLAIN_LENGTH:
        score = float(text)
    elif len(argv) == 4 and not text.isalpha():
        score = parse_score(text)
    else:
        return _add(session, key, _Adding(argv))
    member = argv[3]
    members = db.typed(key, SortedSet)
    if members is None:
        db.put(key, SortedSet({member: score}))
        return 1
    did = members.set(member, score)
    if did == ADDED:
        db.changed(key, SCORED + 2 * len(member))
        return 1
    if did != UNCHANGED:
        db.changed(key)
    return 0


class _Adding:
    """The options of ZADD, its pairs, and how many members they make or change."""

    __slots__ = ("changed", "growth", "new", "pairs", "words")

    _NAMES = frozenset((b"NX", b"XX", b"GT", b"LT", b"CH", b"INCR"))

    def __init__(self, argv: list[bytes]) -> None:
        self.words: set[bytes] = set()
        self.new, self.changed, self.growth = 0, 0, 0
        first_pair = 2
        for word in argv[2:]:
            if word.upper() not in self._NAMES:
                break
            self.words.add(word.upper())
            first_pair += 1
        pairs = argv[first_pair:]
        self._check(len(pairs))
        self.pairs = list(zip(pairs[1::2], map(parse_score, pairs[::2]), strict=True))

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

    def apply(self, members: SortedSet) -> float | None:
        """Add the pairs to a set. Returns the last score; None if it was left alone."""
        outcome: float | None = None
        for member, given in self.pairs:
            outcome = self._outcome(members, member, given) if self.words else given
            if outcome is None:
                continue
            did = members.set(member, outcome)
            self.changed += did != UNCHANGED
            if did == ADDED:
                self.new += 1
                self.growth += SCORED + 2 * len(member)
        return outcome

    def _outcome(self, members: SortedSet, member: bytes, given: float) -> float | None:
        """The score that a member is to get; None if it is to be left alone."""
        words = self.words
        old = members.score(member)
        if old is None:
            return None if b"XX" in words else given
        if b"NX" in words:
            return None
        new = _sum(old, given) if b"INCR" in words else given
        if (b"GT" in words and new <= old) or (b"LT" in words and new >= old):
            return None
        return new


def _add(session: Session, key: bytes, adding: _Adding) -> Reply:
    db = session.db
    members = db.typed(key, SortedSet)
    is_increment = b"INCR" in adding.words
    event = b"zincr" if is_increment else b"zadd"
    if members is None:
        members = SortedSet()
        outcome = adding.apply(members)
        if members:
            db.put(key, members, event)
    else:
        outcome = adding.apply(members)
        if adding.changed:
            db.changed(key, adding.growth, event)
    if is_increment:
        return outcome
    return adding.changed if b"CH" in adding.words else adding.new


def _sum(left: float, right: float) -> float:
    total = left + right
    if isnan(total):
        raise CommandFailure(NOT_A_NUMBER)
    return total


@command("ZINCRBY")
def increment(session: Session, argv: list[bytes]) -> Reply:
    """Add to a member's score. Returns the new score."""
    _, key, text, member = argv
    number = parse_score(text)
    db = session.db
    members = db.typed(key, SortedSet)
    if members is None:
        db.put(key, SortedSet({member: number}), b"zincr")
        return number
    old = members.score(member)
    if old is None:
        members.set(member, number)
        db.changed(key, SCORED + 2 * len(member), b"zincr")
        return number
    number = _sum(old, number)
    if members.set(member, number) != UNCHANGED:
        db.changed(key, 0, b"zincr")
    return number


@command("ZREM")
def remove(session: Session, argv: list[bytes]) -> Reply:
    """Remove members. Returns how many were there."""
    members = session.db.typed(argv[1], SortedSet)
    if members is None:
        return 0
    removed = [member for member in argv[2:] if members.remove(member)]
    if removed:
        session.db.changed_or_empty(argv[1], members, -size_of_members(removed))
    return len(removed)


@command("ZSCORE")
def score_of(session: Session, argv: list[bytes]) -> Reply:
    """A member's score."""
    return members_of(session, argv[1]).score(argv[2])


@command("ZMSCORE")
def scores_of(session: Session, argv: list[bytes]) -> Reply:
    """The scores of some members; null for those that are not there."""
    return list(map(members_of(session, argv[1]).score, argv[2:]))


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
    members = members_of(session, argv[1])
    cursor, names = scan_elements(session, argv, members.by_member)
    scores = map(format_double, map(members.known_score, names))
    return [cursor, [part for pair in zip(names, scores, strict=True) for part in pair]]
