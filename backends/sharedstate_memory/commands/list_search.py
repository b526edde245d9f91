"""Looking for items in lists: what LPOS and LREM do, one item after the other."""

from __future__ import annotations

from itertools import islice

from sharedstate_memory.commands.arguments import (
    INTEGER_MIN,
    Options,
    parse_integer,
    parse_natural,
)
from sharedstate_memory.replies import SYNTAX_ERROR, CommandFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Iterator

_RANK_ZERO = (
    b"ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ..."
    b" or use negative to start from the end of the list"
)


def read_options(argv: list[bytes]) -> tuple[int, int | None, int]:
    """LPOS's options: the rank of the first match that is wanted, how many are (None for
    one that is not in a list), and how many items are looked at (zero for all).
    """
    rank, count, most_compared = 1, None, 0
    options = Options(argv, 3)
    for name in options:
        if name == b"RANK":
            rank = parse_integer(options.value())
            if rank == 0:
                raise CommandFailure(_RANK_ZERO)
        elif name == b"COUNT":
            count = parse_natural(options.value(), b"ERR COUNT can't be negative")
        elif name == b"MAXLEN":
            most_compared = parse_natural(options.value(), b"ERR MAXLEN can't be negative")
        else:
            raise CommandFailure(SYNTAX_ERROR)
    return rank, count, most_compared


def find(items: deque[bytes], item: bytes, rank: int, most_compared: int) -> Iterator[int]:
    """The places of an item, from the rank on: from the end if that is negative."""
    compared = items if rank > 0 else reversed(items)
    # The lowest integer has no positive twin: as its rank, Redis skips nothing.
    to_skip = 0 if rank == INTEGER_MIN else abs(rank) - 1
    for at, other in enumerate(islice(compared, most_compared or None)):
        if other != item:
            continue
        if to_skip:
            to_skip -= 1
        else:
            yield at if rank > 0 else len(items) - 1 - at


def remove_first(items: deque[bytes], item: bytes, count: int) -> int:
    """Remove the first so many items equal to one. Returns how many. Looking is left to C
    where it can be, which takes a third of the time.
    """
    if count == 1:
        return _remove_one(items, item)
    matching = items.count(item)
    if matching == 0:
        return 0
    if count >= matching:
        kept = [other for other in items if other != item]
    else:
        kept = _without_first(items, item, count)
    items.clear()
    items.extend(kept)
    return min(count, matching)


def _remove_one(items: deque[bytes], item: bytes) -> int:
    try:
        items.remove(item)
    except ValueError:
        return 0
    return 1


def _without_first(items: deque[bytes], item: bytes, count: int) -> list[bytes]:
    kept = []
    rest = iter(items)
    for other in rest:
        if other != item:
            kept.append(other)
            continue
        count -= 1
        if count == 0:
            break
    kept += rest
    return kept
