"""Sorted sets: ranges by place and by score, read, counted, kept and removed."""

from __future__ import annotations

from sharedstate_memory.commands.arguments import Options, parse_integer
from sharedstate_memory.commands.registry import command
from sharedstate_memory.commands.sorted_set_bounds import by_member, by_place, by_score
from sharedstate_memory.commands.sorted_sets import members_of
from sharedstate_memory.replies import SYNTAX_ERROR, CommandFailure
from sharedstate_memory.sizes import SCORED
from sharedstate_memory.sorted_set import SortedSet

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sharedstate_memory.commands.sorted_set_bounds import Finder
    from sharedstate_memory.replies import Reply
    from sharedstate_memory.session import Session
    from sharedstate_memory.sorted_set import Pair


class Reading:
    """How a range is to be read: where from, by what, in which order, and how much."""

    __slots__ = ("_options", "by", "count", "is_reverse", "offset", "with_scores")

    def __init__(self, by: bytes = b"", *, is_reverse: bool = False) -> None:
        self.by = by
        self.is_reverse = is_reverse
        self.offset, self.count = 0, -1
        self.with_scores = False

    def read_options(
        self, argv: list[bytes], start: int, allowed: frozenset[bytes]
    ) -> Reading:
        """Read the options from a place on. Raises the refusal of others, of those that
        say again what by or in which order, and of those that do not go together.
        """
        options = Options(argv, start)
        for name in options:
            if name not in allowed:
                raise CommandFailure(SYNTAX_ERROR)
            if name == b"LIMIT":
                first, second = options.value(), options.value()
                self.offset, self.count = parse_integer(first), parse_integer(second)
            elif name == b"WITHSCORES":
                self.with_scores = True
            else:
                self._choose(name)
        self._check()
        return self

    def _choose(self, name: bytes) -> None:
        if self.is_reverse if name == b"REV" else self.by:
            raise CommandFailure(SYNTAX_ERROR)
        if name == b"REV":
            self.is_reverse = True
        else:
            self.by = name

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

    def finder(self, start: bytes, stop: bytes) -> Finder:
        """A function that finds the range in a set. Raises the refusal of bad ends."""
        if not self.by:
            return by_place(start, stop, is_reverse=self.is_reverse)
        if self.is_reverse:
            start, stop = stop, start
        return (by_member if self.by == b"BYLEX" else by_score)(start, stop)

    def places(self, find: Finder, members: SortedSet) -> tuple[int, int]:
        """The places of the range in a set, as LIMIT leaves them."""
        first, end = find(members)
        if not self.by:
            return first, end
        if self.offset < 0:
            return 0, 0
        if self.is_reverse:
            end -= self.offset
            return (first if self.count < 0 else max(end - self.count, first)), end
        first += self.offset
        return first, (end if self.count < 0 else min(first + self.count, end))


ALL_BUT_SCORES = frozenset((b"BYSCORE", b"BYLEX", b"REV", b"LIMIT"))
_ALL = ALL_BUT_SCORES | {b"WITHSCORES"}
LIMIT_AND_SCORES = frozenset((b"LIMIT", b"WITHSCORES"))


@command("ZRANGE")
def get_range(session: Session, argv: list[bytes]) -> Reply:
    """Members of a range by place, by score or by member."""
    return read(session, argv, Reading().read_options(argv, 4, _ALL))


@command("ZREVRANGE")
def get_reverse_range(session: Session, argv: list[bytes]) -> Reply:
    """Members of a range by place from the highest."""
    reading = Reading(is_reverse=True)
    return read(session, argv, reading.read_options(argv, 4, LIMIT_AND_SCORES))


@command("ZRANGEBYSCORE")
def get_range_by_score(session: Session, argv: list[bytes]) -> Reply:
    """Members whose scores are in a range."""
    reading = Reading(b"BYSCORE")
    return read(session, argv, reading.read_options(argv, 4, LIMIT_AND_SCORES))


@command("ZREVRANGEBYSCORE")
def get_reverse_range_by_score(session: Session, argv: list[bytes]) -> Reply:
    """Members whose scores are in a range, the highest first."""
    reading = Reading(b"BYSCORE", is_reverse=True)
    return read(session, argv, reading.read_options(argv, 4, LIMIT_AND_SCORES))


def read(session: Session, argv: list[bytes], reading: Reading) -> Reply:
    """The members, or pairs, of a range whose ends are the second and third argument."""
    find = reading.finder(argv[2], argv[3])
    members = members_of(session, argv[1])
    first, end = reading.places(find, members)
    if reading.with_scores:
        pairs = members.pairs(first, end)
        if reading.is_reverse:
            pairs.reverse()
        return with_scores(session, pairs)
    names = members.members(first, end)
    if reading.is_reverse:
        names.reverse()
    return names


def with_scores(session: Session, pairs: list[Pair]) -> list[Reply]:
    """Members with their scores as a reply: pairs in RESP3, flat in RESP2."""
    if session.protocol == 3:
        return [[member, score] for score, member in pairs]
    return [part for score, member in pairs for part in (member, score)]


@command("ZRANGESTORE")
def store_range(session: Session, argv: list[bytes]) -> Reply:
    """Keep the members of a range under another key. Returns how many."""
    reading = Reading().read_options(argv, 5, ALL_BUT_SCORES)
    find = reading.finder(argv[3], argv[4])
    members = members_of(session, argv[2])
    pairs = members.pairs(*reading.places(find, members))
    return store(session, argv[1], {member: score for score, member in pairs})


def store(session: Session, key: bytes, scores: dict[bytes, float]) -> int:
    """Keep members under a key in place of anything; none remove it. Returns how many."""
    if scores:
        session.db.overwrite(key, SortedSet(scores))
    elif session.db.find(key) is not None:
        session.db.remove(key)
    return len(scores)


@command("ZCOUNT")
def count_range(session: Session, argv: list[bytes]) -> Reply:
    """How many members have scores in a range."""
    return count(session, argv[1], by_score(argv[2], argv[3]))


def count(session: Session, key: bytes, find: Finder) -> int:
    """How many members are in a range."""
    first, end = find(members_of(session, key))
    return max(end - first, 0)


@command("ZREMRANGEBYSCORE")
def remove_range_by_score(session: Session, argv: list[bytes]) -> Reply:
    """Remove the members whose scores are in a range. Returns how many."""
    return remove(session, argv[1], by_score(argv[2], argv[3]))


@command("ZREMRANGEBYRANK")
def remove_range_by_place(session: Session, argv: list[bytes]) -> Reply:
    """Remove the members of a range by place. Returns how many."""
    return remove(session, argv[1], by_place(argv[2], argv[3]))


def remove(session: Session, key: bytes, find: Finder) -> int:
    """Remove the members of a range. Returns how many."""
    db = session.db
    members = db.typed(key, SortedSet)
    if members is None:
        return 0
    first, end = find(members)
    if end <= first:
        return 0
    if end - first == len(members):
        # As a whole, so that a big one is freed in slices.
        db.changed(key)
        db.remove(key)
        return end - first
    count = end - first
    db.changed(key, -SCORED * count - 2 * members.drop_places(first, end))
    return count
