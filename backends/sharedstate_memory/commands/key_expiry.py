"""Keys: when they expire."""

from __future__ import annotations

from sharedstate_memory.commands.arguments import INTEGER_MAX, INTEGER_MIN, parse_integer
from sharedstate_memory.commands.deadlines import deadline_text
from sharedstate_memory.commands.registry import command
from sharedstate_memory.replies import CommandFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sharedstate_memory.replies import Reply
    from sharedstate_memory.session import Session

NO_KEY = -2
NO_DEADLINE = -1


@command("EXPIRE")
def expire(session: Session, argv: list[bytes]) -> Reply:
    """Let a key expire after some seconds."""
    return _expire(session, argv, session.engine.now_ms, unit_ms=1000)


@command("PEXPIRE")
def expire_milliseconds(session: Session, argv: list[bytes]) -> Reply:
    """Let a key expire after some milliseconds."""
    return _expire(session, argv, session.engine.now_ms, unit_ms=1)


@command("EXPIREAT")
def expire_at(session: Session, argv: list[bytes]) -> Reply:
    """Let a key expire at a time in seconds since the epoch."""
    return _expire(session, argv, 0, unit_ms=1000)


@command("PEXPIREAT")
def expire_at_milliseconds(session: Session, argv: list[bytes]) -> Reply:
    """Let a key expire at a time in milliseconds since the epoch."""
    return _expire(session, argv, 0, unit_ms=1)


def _expire(session: Session, argv: list[bytes], base_ms: int, *, unit_ms: int) -> int:
    conditions = _read_conditions(argv[3:])
    deadline_ms = parse_integer(argv[2]) * unit_ms
    if not INTEGER_MIN <= deadline_ms <= INTEGER_MAX - base_ms:
        name = argv[0].lower()
        raise CommandFailure(b"ERR invalid expire time in '%s' command" % name)
    deadline_ms += base_ms
    db, key = session.db, argv[1]
    if db.find(key) is None:
        return 0
    if not _allows(conditions, db.deadline_of(key), deadline_ms):
        return 0
    effect = [b"PEXPIREAT", key, deadline_text(deadline_ms)]
    if session.engine.has_come(deadline_ms):
        db.remove(key)
        effect = [b"DEL", key]
    else:
        db.set_deadline(key, deadline_ms)
    if session.engine.effects is not None:
        session.engine.effects.replace(effect)
    return 1


def _read_conditions(words: list[bytes]) -> set[bytes]:
    conditions = set()
    for word in words:
        condition = word.upper()
        if condition not in (b"NX", b"XX", b"GT", b"LT"):
            raise CommandFailure(b"ERR Unsupported option %s" % word)
        conditions.add(condition)
    if b"NX" in conditions and len(conditions) > 1:
        raise CommandFailure(
            b"ERR NX and XX, GT or LT options at the same time are not compatible"
        )
    if {b"GT", b"LT"} <= conditions:
        raise CommandFailure(b"ERR GT and LT options at the same time are not compatible")
    return conditions


def _allows(conditions: set[bytes], old_ms: int | None, new_ms: int) -> bool:
    """Whether a key with this deadline may get that one. None is later than any."""
    if b"NX" in conditions and old_ms is not None:
        return False
    if b"XX" in conditions and old_ms is None:
        return False
    if b"GT" in conditions and (old_ms is None or new_ms <= old_ms):
        return False
    return not (b"LT" in conditions and old_ms is not None and new_ms >= old_ms)


@command("PERSIST")
def persist(session: Session, argv: list[bytes]) -> Reply:
    """Let a key stay for ever. Returns whether it had a deadline."""
    if session.db.find(argv[1]) is None:
        return 0
    return int(session.db.clear_deadline(argv[1]))


@command("TTL")
def seconds_left(session: Session, argv: list[bytes]) -> Reply:
    """How many seconds a key has left, rounded; -1 for ever; -2 without the key."""
    left_ms = _time_left_ms(session, argv[1])
    return left_ms if left_ms < 0 else (left_ms + 500) // 1000


@command("PTTL")
def milliseconds_left(session: Session, argv: list[bytes]) -> Reply:
    """As TTL, in milliseconds."""
    return _time_left_ms(session, argv[1])


@command("EXPIRETIME")
def deadline(session: Session, argv: list[bytes]) -> Reply:
    """When a key expires, in seconds since the epoch; -1 never; -2 without the key."""
    deadline_ms = _deadline_ms(session, argv[1])
    return deadline_ms if deadline_ms < 0 else (deadline_ms + 500) // 1000


@command("PEXPIRETIME")
def deadline_milliseconds(session: Session, argv: list[bytes]) -> Reply:
    """As EXPIRETIME, in milliseconds."""
    return _deadline_ms(session, argv[1])


def _deadline_ms(session: Session, key: bytes) -> int:
    if session.db.peek(key) is None:
        return NO_KEY
    deadline_ms = session.db.deadline_of(key)
    return NO_DEADLINE if deadline_ms is None else deadline_ms


def _time_left_ms(session: Session, key: bytes) -> int:
    deadline_ms = _deadline_ms(session, key)
    return deadline_ms if deadline_ms < 0 else deadline_ms - session.engine.now_ms
