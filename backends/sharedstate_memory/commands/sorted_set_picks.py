"""Sorted sets: members at random. Every place is as likely as the next."""

from __future__ import annotations

from sharedstate_memory.commands.picking import (
    MAX_REPEATED,
    check_doubled,
    read_count,
)
from sharedstate_memory.commands.registry import command
from sharedstate_memory.commands.sorted_set_ranges import with_scores
from sharedstate_memory.commands.sorted_sets import members_of
from sharedstate_memory.replies import SYNTAX_ERROR, CommandFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from random import Random

    from sharedstate_memory.replies import Reply
    from sharedstate_memory.session import Session
    from sharedstate_memory.sorted_set import Pair, SortedSet

_OUT_OF_RANGE = b"ERR value is out of range"

# Reading one place takes as long as reading so many that lie together.
_PLACE_COST = 4


@command("ZRANDMEMBER")
def pick(session: Session, argv: list[bytes]) -> Reply:
    """A member at random; with a count, so many different ones, or, if it is negative,
    so many that may be the same.
    """
    if len(argv) > 2:
        return _pick_several(session, argv)
    members = members_of(session, argv[1])
    if not members:
        return None
    place = session.engine.random.randrange(len(members))
    return members.members(place, place + 1)[0]


def _pick_several(session: Session, argv: list[bytes]) -> Reply:
    count = read_count(argv[2])
    is_with_scores = len(argv) == 4 and argv[3].upper() == b"WITHSCORES"
    if len(argv) > 3 and not is_with_scores:
        raise CommandFailure(SYNTAX_ERROR)
    if is_with_scores:
        check_doubled(count)
    members = members_of(session, argv[1])
    pairs = _pick(session.engine.random, members, count) if members else []
    if is_with_scores:
        return with_scores(session, pairs)
    return [member for _, member in pairs]


def _pick(random: Random, members: SortedSet, count: int) -> list[Pair]:
    length = len(members)
    if count >= length:
        return members.pairs(0, length)
    if count < -MAX_REPEATED:
        raise CommandFailure(_OUT_OF_RANGE)
    if count >= 0:
        places = random.sample(range(length), count)
    else:
        places = random.choices(range(length), k=-count)
    if len(places) < length // _PLACE_COST:
        return [members.pairs(place, place + 1)[0] for place in places]
    pairs = members.pairs(0, length)
    return [pairs[place] for place in places]
