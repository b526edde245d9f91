"""Lists: both ends, places and ranges of one key."""

from __future__ import annotations

from collections import deque
from itertools import islice

from sharedstate_memory.commands.arguments import (
    Options,
    parse_integer,
    parse_natural,
    places,
)
from sharedstate_memory.commands.registry import command, wrong_arity
from sharedstate_memory.replies import (
    NO_SUCH_KEY,
    NULL_ARRAY,
    OK,
    OUT_OF_RANGE,
    SYNTAX_ERROR,
    CommandFailure,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from sharedstate_memory.replies import Reply
    from sharedstate_memory.session import Session

_NOTHING: deque[bytes] = deque()

_NOT_POSITIVE = b"ERR value is out of range, must be positive"


def _items(session: Session, key: bytes) -> deque[bytes]:
    """A list to read from; an empty one if the key is not there."""
    return session.db.typed(key, deque) or _NOTHING


@command("LPUSH", "LPUSHX")
def push_left(session: Session, argv: list[bytes]) -> Reply:
    """Add items in front, one after the other. Returns the length."""
    items = session.db.typed(argv[1], deque)
    if items is not None:
        items.extendleft(argv[2:])
        session.db.changed(argv[1])
        return len(items)
    return 0 if _is_conditional(argv) else _put_new(session, argv[1], argv[:1:-1])


@command("RPUSH", "RPUSHX")
def push_right(session: Session, argv: list[bytes]) -> Reply:
    """Add items behind. Returns the length."""
    items = session.db.typed(argv[1], deque)
    if items is not None:
        items.extend(argv[2:])
        session.db.changed(argv[1])
        return len(items)
    return 0 if _is_conditional(argv) else _put_new(session, argv[1], argv[2:])


def _is_conditional(argv: list[bytes]) -> bool:
    return argv[0][-1:] in (b"X", b"x")


def _put_new(session: Session, key: bytes, items: list[bytes]) -> int:
    session.db.put(key, deque(items))
    return len(items)


@command("LPOP")
def pop_left(session: Session, argv: list[bytes]) -> Reply:
    """Take an item from the front; with a count, so many."""
    if len(argv) > 2:
        return _pop_many(session, argv, from_left=True)
    items = session.db.typed(argv[1], deque)
    if items is None:
        return None
    item: bytes = items.popleft()
    session.db.changed_or_empty(argv[1], items)
    return item


@command("RPOP")
def pop_right(session: Session, argv: list[bytes]) -> Reply:
    """Take an item from the end; with a count, so many."""
    if len(argv) > 2:
        return _pop_many(session, argv, from_left=False)
    items = session.db.typed(argv[1], deque)
    if items is None:
        return None
    item: bytes = items.pop()
    session.db.changed_or_empty(argv[1], items)
    return item


def _pop_many(session: Session, argv: list[bytes], *, from_left: bool) -> Reply:
    if len(argv) > 3:
        raise CommandFailure(wrong_arity(argv[0]))
    count = parse_natural(argv[2], _NOT_POSITIVE)
    items = session.db.typed(argv[1], deque)
    if items is None:
        return NULL_ARRAY
    if count == 0:
        return []
    pop = items.popleft if from_left else items.pop
    popped = [pop() for _ in range(min(count, len(items)))]
    session.db.changed_or_empty(argv[1], items)
    return popped


@command("LLEN")
def length(session: Session, argv: list[bytes]) -> Reply:
    """How many items there are."""
    return len(_items(session, argv[1]))


@command("LRANGE")
def get_range(session: Session, argv: list[bytes]) -> Reply:
    """The items from one place to another. Linear in the distance from the front."""
    start, stop = parse_integer(argv[2]), parse_integer(argv[3])
    items = _items(session, argv[1])
    first, end = places(start, stop, len(items))
    if first == 0 and end >= len(items):
        return list(items)
    return list(islice(items, first, max(first, end)))


@command("LINDEX")
def get_place(session: Session, argv: list[bytes]) -> Reply:
    """The item at a place."""
    items = session.db.typed(argv[1], deque)
    if items is None:
        return None
    at = parse_integer(argv[2])
    return items[at] if -len(items) <= at < len(items) else None


@command("LSET")
def set_place(session: Session, argv: list[bytes]) -> Reply:
    """Replace the item at a place."""
    items = session.db.typed(argv[1], deque)
    if items is None:
        raise CommandFailure(NO_SUCH_KEY)
    at = parse_integer(argv[2])
    if not -len(items) <= at < len(items):
        raise CommandFailure(OUT_OF_RANGE)
    items[at] = argv[3]
    session.db.changed(argv[1])
    return OK


@command("LTRIM")
def trim(session: Session, argv: list[bytes]) -> Reply:
    """Keep only the items from one place to another."""
    start, stop = parse_integer(argv[2]), parse_integer(argv[3])
    items = session.db.typed(argv[1], deque)
    if items is None:
        return OK
    first, end = places(start, stop, len(items))
    kept = max(end - first, 0)
    if kept == len(items):
        return OK
    if kept == 0:
        session.db.remove(argv[1])
        return OK
    for _ in range(len(items) - end):
        items.pop()
    for _ in range(first):
        items.popleft()
    session.db.changed(argv[1])
    return OK


@command("LREM")
def remove(session: Session, argv: list[bytes]) -> Reply:
    """Remove items equal to one: so many from the front, or from the end if negative,
    or all if zero. Returns how many.
    """
    count, item = parse_integer(argv[2]), argv[3]
    items = session.db.typed(argv[1], deque)
    if items is None:
        return 0
    if count < 0:
        items.reverse()
    removed = _remove_first(items, item, abs(count) or len(items))
    if count < 0:
        items.reverse()
    if removed:
        session.db.changed_or_empty(argv[1], items)
    return removed


def _remove_first(items: deque[bytes], item: bytes, count: int) -> int:
    kept = []
    removed = 0
    for other in items:
        if removed < count and other == item:
            removed += 1
        else:
            kept.append(other)
    if removed:
        items.clear()
        items.extend(kept)
    return removed


@command("LINSERT")
def insert(session: Session, argv: list[bytes]) -> Reply:
    """Insert an item beside another. Returns the length; -1 if that is not there."""
    where = argv[2].upper()
    if where not in (b"BEFORE", b"AFTER"):
        raise CommandFailure(SYNTAX_ERROR)
    items = session.db.typed(argv[1], deque)
    if items is None:
        return 0
    if argv[3] not in items:
        return -1
    items.insert(items.index(argv[3]) + (where == b"AFTER"), argv[4])
    session.db.changed(argv[1])
    return len(items)


@command("LPOS")
def find_places(session: Session, argv: list[bytes]) -> Reply:
    """The place of an item, or of so many (COUNT), skipping some (RANK), not looking
    beyond some length (MAXLEN).
    """
    rank, count, most_compared = _read_lpos_options(argv)
    items = _items(session, argv[1])
    found = _find(items, argv[2], rank, most_compared)
    if count is None:
        return next(found, None)
    return list(islice(found, count or None))


def _read_lpos_options(argv: list[bytes]) -> tuple[int, int | None, int]:
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


_RANK_ZERO = (
    b"ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ..."
    b" or use negative to start from the end of the list"
)


def _find(items: deque[bytes], item: bytes, rank: int, most_compared: int) -> Iterator[int]:
    compared = items if rank > 0 else reversed(items)
    to_skip = abs(rank) - 1
    for at, other in enumerate(islice(compared, most_compared or None)):
        if other != item:
            continue
        if to_skip:
            to_skip -= 1
        else:
            yield at if rank > 0 else len(items) - 1 - at
