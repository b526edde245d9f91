"""Strings: numbers in decimal text."""

from __future__ import annotations

from sharedstate_memory.commands.arguments import INTEGER_MAX, INTEGER_MIN, parse_integer
from sharedstate_memory.commands.registry import command
from sharedstate_memory.longdouble import add, parse_number
from sharedstate_memory.replies import NOT_A_FLOAT, WRONG_TYPE, CommandFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sharedstate_memory.replies import Reply
    from sharedstate_memory.session import Session


@command("INCRBY")
def increment_by(session: Session, argv: list[bytes]) -> Reply:
    """Add an integer. Returns the new value."""
    return _add(session, argv[1], parse_integer(argv[2]))


@command("INCR")
def increment(session: Session, argv: list[bytes]) -> Reply:
    """Add one. Returns the new value."""
    return _add(session, argv[1], 1)


@command("DECR")
def decrement(session: Session, argv: list[bytes]) -> Reply:
    """Subtract one. Returns the new value."""
    return _add(session, argv[1], -1)


@command("DECRBY")
def decrement_by(session: Session, argv: list[bytes]) -> Reply:
    """Subtract an integer. Returns the new value."""
    amount = parse_integer(argv[2])
    if amount == INTEGER_MIN:
        raise CommandFailure(b"ERR decrement would overflow")
    return _add(session, argv[1], -amount)


def _add(session: Session, key: bytes, amount: int) -> int:
    # Spelled out rather than by `typed`: counters are a hot path.
    db = session.db
    if key in db.deadlines:
        db.expire_if_due(key)
    old = db.data.get(key)
    if old is not None:
        if type(old) is not bytes:
            raise CommandFailure(WRONG_TYPE)
        amount += parse_integer(old)
        if not INTEGER_MIN <= amount <= INTEGER_MAX:
            raise CommandFailure(b"ERR increment or decrement would overflow")
    db.put(key, b"%d" % amount, b"incrby")
    return amount


@command("INCRBYFLOAT")
def increment_by_float(session: Session, argv: list[bytes]) -> Reply:
    """Add a number with a fraction. Returns the new value."""
    key = argv[1]
    old = session.db.typed(key, bytes)
    number = parse_number(b"0" if old is None else old, NOT_A_FLOAT)
    value = add(number, parse_number(argv[2], NOT_A_FLOAT))
    session.db.put(key, value)
    if session.engine.effects is not None:
        session.engine.effects.replace([b"SET", key, value, b"KEEPTTL"])
    return value
