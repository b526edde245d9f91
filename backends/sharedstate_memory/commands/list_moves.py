"""Lists: moving items from key to key, and waiting for items.

Whoever waits is served after the command that brought the item, when no command runs: so
every change here names its event.
"""

from __future__ import annotations

from collections import deque

from sharedstate_memory.blocking import NOT_SERVED
from sharedstate_memory.commands.arguments import parse_timeout_ms
from sharedstate_memory.commands.lists import pop_one
from sharedstate_memory.commands.registry import command
from sharedstate_memory.replies import NULL_ARRAY, SYNTAX_ERROR, CommandFailure
from sharedstate_memory.sizes import ITEM

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sharedstate_memory.keyspace import Keyspace
    from sharedstate_memory.replies import Reply
    from sharedstate_memory.session import Session

_LEFT, _RIGHT = b"LEFT", b"RIGHT"


@command("LMOVE")
def move(session: Session, argv: list[bytes]) -> Reply:
    """Take an item from one end of a list and add it to one end of another."""
    ends = _read_ends(argv)
    moved = _move(session, argv[1], argv[2], *ends)
    return None if moved is NOT_SERVED else moved


@command("RPOPLPUSH")
def pop_and_push(session: Session, argv: list[bytes]) -> Reply:
    """Take an item from the end of a list and add it to the front of another."""
    moved = _move(session, argv[1], argv[2], _RIGHT, _LEFT)
    return None if moved is NOT_SERVED else moved


@command("BLMOVE")
def blocking_move(session: Session, argv: list[bytes]) -> Reply:
    """As LMOVE, waiting for an item."""
    ends = _read_ends(argv)
    return _blocking_move(session, argv, *ends)


@command("BRPOPLPUSH")
def blocking_pop_and_push(session: Session, argv: list[bytes]) -> Reply:
    """As RPOPLPUSH, waiting for an item."""
    return _blocking_move(session, argv, _RIGHT, _LEFT)


def _read_ends(argv: list[bytes]) -> tuple[bytes, bytes]:
    origin, goal = argv[3].upper(), argv[4].upper()
    if not {origin, goal} <= {_LEFT, _RIGHT}:
        raise CommandFailure(SYNTAX_ERROR)
    return origin, goal


def _blocking_move(
    session: Session, argv: list[bytes], origin: bytes, goal: bytes
) -> Reply:
    timeout_ms = parse_timeout_ms(argv[-1], session.engine.now_ms)
    key, new_key = argv[1], argv[2]
    moved = _move(session, key, new_key, origin, goal)
    if moved is not NOT_SERVED:
        return moved

    def serve(_: bytes) -> Reply:
        if type(session.db.find(key)) is not deque:
            return NOT_SERVED
        return _move(session, key, new_key, origin, goal)

    # Redis answers with a null array if the time passed, and in a transaction with a null.
    null = NULL_ARRAY if session.may_block else None
    return session.engine.waits.block(
        session, [key], serve, null=null, timeout_ms=timeout_ms
    )


def _move(
    session: Session, key: bytes, new_key: bytes, origin: bytes, goal: bytes
) -> Reply:
    """Move an item. NOT_SERVED without one. Raises WRONGTYPE, having moved nothing."""
    db = session.db
    items = db.typed(key, deque)
    if items is None:
        return NOT_SERVED
    others = db.typed(new_key, deque)
    item: bytes = items.popleft() if origin == _LEFT else items.pop()
    _push(db, new_key, others, item, goal)
    size = ITEM + len(item)
    db.changed_or_empty(key, items, -size, b"lpop" if origin == _LEFT else b"rpop")
    if session.engine.effects is not None:
        session.engine.effects.replace([b"LMOVE", key, new_key, origin, goal])
    return item


def _push(
    db: Keyspace, key: bytes, items: deque[bytes] | None, item: bytes, goal: bytes
) -> None:
    event = b"lpush" if goal == _LEFT else b"rpush"
    if items is None:
        db.put(key, deque((item,)), event)
        return
    add = items.appendleft if goal == _LEFT else items.append
    add(item)
    db.changed(key, ITEM + len(item), event)


@command("BLPOP")
def blocking_pop_left(session: Session, argv: list[bytes]) -> Reply:
    """Take an item from the front of the first of some lists that has one, or wait."""
    return _blocking_pop(session, argv, from_left=True)


@command("BRPOP")
def blocking_pop_right(session: Session, argv: list[bytes]) -> Reply:
    """Take an item from the end of the first of some lists that has one, or wait."""
    return _blocking_pop(session, argv, from_left=False)


def _blocking_pop(session: Session, argv: list[bytes], *, from_left: bool) -> Reply:
    timeout_ms = parse_timeout_ms(argv[-1], session.engine.now_ms)
    keys = argv[1:-1]
    for key in keys:
        if session.db.typed(key, deque) is not None:
            return _pop(session, key, from_left=from_left)

    def serve(key: bytes) -> Reply:
        if type(session.db.find(key)) is not deque:
            return NOT_SERVED
        return _pop(session, key, from_left=from_left)

    return session.engine.waits.block(
        session, keys, serve, null=NULL_ARRAY, timeout_ms=timeout_ms
    )


def _pop(session: Session, key: bytes, *, from_left: bool) -> Reply:
    item = pop_one(session.db, key, from_left=from_left)
    if session.engine.effects is not None:
        session.engine.effects.replace([b"LPOP" if from_left else b"RPOP", key])
    return [key, item]
