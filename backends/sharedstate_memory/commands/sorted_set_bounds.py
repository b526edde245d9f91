"""Sorted sets: the ends of ranges as arguments.

Every range, whether by place, by score or by member, becomes a *finder*: a function that
turns it into places of a given set, from `first` up to `end`. Refusals are raised when the
finder is made, before the set is looked for.
"""

from __future__ import annotations

from math import isnan

from sharedstate_memory.commands.arguments import parse_integer, places
from sharedstate_memory.replies import CommandFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from sharedstate_memory.sorted_set import SortedSet

    Finder: TypeAlias = Callable[[SortedSet], tuple[int, int]]

_BAD_SCORE = b"ERR min or max is not a float"
_BAD_MEMBER = b"ERR min or max not valid string range item"

# What C takes for blanks in front of a number; Python takes them behind it, too.
_BLANKS = b" \t\n\v\f\r"


def by_place(start: bytes, stop: bytes, *, is_reverse: bool = False) -> Finder:
    """A range by place: both ends in it, negative from the end; in reverse, counted from
    the highest.
    """
    first, last = parse_integer(start), parse_integer(stop)

    def find(members: SortedSet) -> tuple[int, int]:
        low, end = places(first, last, len(members))
        return (len(members) - end, len(members) - low) if is_reverse else (low, end)

    return find


def by_score(start: bytes, stop: bytes) -> Finder:
    """A range by score, each end in it unless written as `(score`."""
    lowest, excludes_lowest = _read_score(start)
    highest, excludes_highest = _read_score(stop)

    def find(members: SortedSet) -> tuple[int, int]:
        return (
            members.place_of_score(lowest, after=excludes_lowest),
            members.place_of_score(highest, after=not excludes_highest),
        )

    return find


def _read_score(text: bytes) -> tuple[float, bool]:
    """An end by score, and whether it is left out. As lenient as C's strtod: blanks in
    front, hexadecimal, overflow, nothing at all for zero, the end at a zero byte.
    """
    is_exclusive = text.startswith(b"(")
    number = text[is_exclusive:].partition(b"\0")[0].lstrip(_BLANKS)
    try:
        score = _read_number(number) if number else 0.0
    except ValueError:
        raise CommandFailure(_BAD_SCORE) from None
    if isnan(score):
        raise CommandFailure(_BAD_SCORE)
    return score, is_exclusive


def _read_number(text: bytes) -> float:
    if b"_" in text or text != text.rstrip(_BLANKS):
        raise ValueError("a form that only Python knows")
    if b"x" in text or b"X" in text:
        return float.fromhex(text.decode("latin-1"))
    return float(text)


def by_member(start: bytes, stop: bytes) -> Finder:
    """A range by member in a set whose scores are all the same: `[member` is in it,
    `(member` is not, `-` is below and `+` above all members.
    """
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
