"""Sorted sets: ranges by member, of sets whose scores are all the same."""

from __future__ import annotations

from sharedstate_memory.commands.registry import command
from sharedstate_memory.commands.sorted_set_bounds import by_member
from sharedstate_memory.commands.sorted_set_ranges import (
    LIMIT_AND_SCORES,
    Reading,
    count,
    read,
    remove,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sharedstate_memory.replies import Reply
    from sharedstate_memory.session import Session


@command("ZRANGEBYLEX")
def get_range_by_member(session: Session, argv: list[bytes]) -> Reply:
    """The members between two members."""
    # WITHSCORES is known here, for the sake of its own refusal.
    reading = Reading(b"BYLEX")
    return read(session, argv, reading.read_options(argv, 4, LIMIT_AND_SCORES))


@command("ZREVRANGEBYLEX")
def get_reverse_range_by_member(session: Session, argv: list[bytes]) -> Reply:
    """The members between two members, the greatest first."""
    reading = Reading(b"BYLEX", is_reverse=True)
    return read(session, argv, reading.read_options(argv, 4, LIMIT_AND_SCORES))


@command("ZLEXCOUNT")
def count_range_by_member(session: Session, argv: list[bytes]) -> Reply:
    """How many members are between two members."""
    return count(session, argv[1], by_member(argv[2], argv[3]))


@command("ZREMRANGEBYLEX")
def remove_range_by_member(session: Session, argv: list[bytes]) -> Reply:
    """Remove the members between two members. Returns how many."""
    return remove(session, argv[1], by_member(argv[2], argv[3]))
