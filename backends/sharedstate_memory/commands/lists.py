"""Lists: both ends, places and ranges of one key."""

from __future__ import annotations

from collections import deque
from itertools import islice

from sharedstate_memory.commands.arguments import (
    parse_integer,
    parse_natural,
    places,
)
from sharedstate_memory.commands.list_search import find, read_options, remove_first
from sharedstate_memory.commands.registry import command, wrong_arity
from sharedstate_memory.replies import (
    NO_SUCH_KEY,
    NULL_ARRAY,
    OK,
    OUT_OF_RANGE,
    SYNTAX_ERROR,
    CommandFailure,
)
from sharedstate_memory.sizes import ITEM, total

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from sharedstate_memory.keyspace import Keyspace
    from sharedstate_memory.replies import Reply
    from sharedstate_memory.session import Session

_NOTHING: deque[bytes] = deque()

_NOT_POSITIVE = b"ERR value is out of range, must be positive"


def _items(session: Session, key: bytes) -> deque[bytes]:
    """A list to read from; an empty one if the key is not there."""
    return session.db.read(key, deque) or _NOTHING


def size_of_items(items: Sequence[bytes] | deque[bytes]) -> int:
    """By how much a list grows by some items."""
    return ITEM * len(items) + total(items)


@command("LPUSH", "LPUSHX")
def push_left(session: Session, argv: list[bytes]) -> Reply:
    """Add items in front, one after the other. Returns the length."""
    db = session.db
    key = argv[1]
    items = db.typed(key, deque)
    if items is None:
        return 0 if _is_conditional(argv) else _put_new(db, key, argv[:1:-1], b"lpush")
    # One item is the usual case, and the hot path.
    if len(argv) == 3:
        items.appendleft(argv[2])
        db.changed(key, ITEM + len(argv[2]), b"lpush")
        return len(items)
    items.extendleft(argv[2:])
    db.changed(key, size_of_items(argv[2:]), b"lpush")
    return len(items)


@command("RPUSH", "RPUSHX")
def push_right(session: Session, argv: list[bytes]) -> Reply:
    """Add items behind. Returns the length."""
    db = session.db
    key = argv[1]
    items = db.typed(key, deque)
    if items is None:
        return 0 if _is_conditional(argv) else _put_new(db, key, argv[2:], b"rpush")
    if len(argv) == 3:
        items.append(argv[2])
        db.changed(key, ITEM + len(argv[2]), b"rpush")
        return len(items)
    items.extend(argv[2:])
    db.changed(key, size_of_items(argv[2:]), b"rpush")
    return len(items)


def _is_conditional(argv: list[bytes]) -> bool:
    return argv[0][-1:] in (b"X", b"x")


def _put_new(db: Keyspace, key: bytes, items: list[bytes], event: bytes) -> int:
    db.put(key, deque(items), event)
    return len(items)


@command("LPOP")
def pop_left(session: Session, argv: list[bytes]) -> Reply:
    """Take an item from the front; with a count, so many."""
    if len(argv) > 2:
        return _pop_counted(session, argv, from_left=True)
    return pop_one(session.db, argv[1], from_left=True)


@command("RPOP")
def pop_right(session: Session, argv: list[bytes]) -> Reply:
    """Take an item from the end; with a count, so many. One is the hot path."""
    if len(argv) > 2:
        return _pop_counted(session, argv, from_left=False)
    db = session.db
    key = argv[1]
    items = db.typed(key, deque)
    if items is None:
        return None
    item: bytes = items.pop()
    db.changed(key, -ITEM - len(item), b"rpop")
    if not items:
        db.remove(key)
    return item


def pop_one(db: Keyspace, key: bytes, *, from_left: bool) -> bytes | None:
    """Take an item from a list; None if there is no list."""
    items = db.typed(key, deque)
    if items is None:
        return None
    item: bytes = items.popleft() if from_left else items.pop()
    db.changed(key, -ITEM - len(item), b"lpop" if from_left else b"rpop")
    if not items:
        db.remove(key)
    return item


def _pop_counted(session: Session, argv: list[bytes], *, from_left: bool) -> Reply:
    if len(argv) > 3:
        raise CommandFailure(wrong_arity(argv[0]))
    count = parse_natural(argv[2], _NOT_POSITIVE)
    items = session.db.typed(argv[1], deque)
    if items is None:
        return NULL_ARRAY
    if count == 0:
        return []
    return pop_many(session.db, argv[1], items, count, from_left=from_left)


def pop_many(
    db: Keyspace, key: bytes, items: deque[bytes], count: int, *, from_left: bool
) -> list[bytes]:
    """Take so many items from a list that is there, or all."""
    event = b"lpop" if from_left else b"rpop"
    if count >= len(items):
        popped = list(items if from_left else reversed(items))
        db.changed(key, 0, event)
        db.remove(key)
        return popped
    pop = items.popleft if from_left else items.pop
    popped = [pop() for _ in range(count)]
    db.changed(key, -size_of_items(popped), event)
    return popped


@command("LLEN")
def length(session: Session, argv: list[bytes]) -> Reply:
    """How many items there are."""
    return len(_items(session, argv[1]))


@command("LRANGE")
def get_range(session: Session, argv: list[bytes]) -> Reply:
    """The items from one place to another. Linear in the distance from the nearer end."""
    start, stop = parse_integer(argv[2]), parse_integer(argv[3])
    items = _items(session, argv[1])
    first, end = places(start, stop, len(items))
    if first == 0 and end >= len(items):
        return list(items)
    return _slice(items, first, max(first, end))


def _slice(items: deque[bytes], first: int, end: int) -> list[bytes]:
    behind = len(items) - end
    if first <= behind:
        return list(islice(items, first, end))
    found = list(islice(reversed(items), max(behind, 0), max(len(items) - first, 0)))
    found.reverse()
    return found


@command("LINDEX")
def get_place(session: Session, argv: list[bytes]) -> Reply:
    """The item at a place."""
    items = session.db.read(argv[1], deque)
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
    growth = len(argv[3]) - len(items[at])
    items[at] = argv[3]
    session.db.changed(argv[1], growth)
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
    if 2 * kept < len(items):
        _keep(session.db, argv[1], _slice(items, first, first + kept))
    else:
        gone = [items.pop() for _ in range(len(items) - end)]
        gone += [items.popleft() for _ in range(first)]
        session.db.changed(argv[1], -size_of_items(gone), b"ltrim")
    return OK


def _keep(db: Keyspace, key: bytes, kept: list[bytes]) -> None:
    """Let few of many items stay. The many are freed in slices."""
    if kept:
        db.put(key, deque(kept), b"ltrim")
    else:
        db.changed(key, 0, b"ltrim")
        db.remove(key)


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
    removed = remove_first(items, item, abs(count) or len(items))
    if count < 0:
        items.reverse()
    if removed:
        size = removed * (ITEM + len(item))
        session.db.changed_or_empty(argv[1], items, -size, b"lrem")
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
    session.db.changed(argv[1], ITEM + len(argv[4]))
    return len(items)


@command("LPOS")
def find_places(session: Session, argv: list[bytes]) -> Reply:
    """The place of an item, or of so many (COUNT), skipping some (RANK), not looking
    beyond some length (MAXLEN).
    """
    rank, count, most_compared = read_options(argv)
    items = _items(session, argv[1])
    found = find(items, argv[2], rank, most_compared)
    if count is None:
        return next(found, None)
    return list(islice(found, count or None))
