"""Sets: members without order or value."""

from __future__ import annotations

from sharedstate_memory.commands.arguments import parse_integer, parse_natural
from sharedstate_memory.commands.picking import pick_distinct, pick_many, pick_one
from sharedstate_memory.commands.registry import command
from sharedstate_memory.replies import SYNTAX_ERROR, CommandFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sharedstate_memory.replies import Reply
    from sharedstate_memory.session import Session

_NOTHING: set[bytes] = set()

_NOT_POSITIVE = b"ERR value is out of range, must be positive"


def _members(session: Session, key: bytes) -> set[bytes]:
    """A set to read from; an empty one if the key is not there."""
    return session.db.typed(key, set) or _NOTHING


@command("SADD")
def add(session: Session, argv: list[bytes]) -> Reply:
    """Add members. Returns how many are new."""
    key = argv[1]
    members = session.db.typed(key, set)
    if members is None:
        members = set(argv[2:])
        session.db.put(key, members)
        return len(members)
    before = len(members)
    members.update(argv[2:])
    if len(members) > before:
        session.db.changed(key)
    return len(members) - before


@command("SREM")
def remove(session: Session, argv: list[bytes]) -> Reply:
    """Remove members. Returns how many were there."""
    members = _members(session, argv[1])
    before = len(members)
    members.difference_update(argv[2:])
    removed = before - len(members)
    if removed:
        session.db.changed_or_empty(argv[1], members)
    return removed


@command("SISMEMBER")
def has_member(session: Session, argv: list[bytes]) -> Reply:
    """Whether a member is there."""
    return int(argv[2] in _members(session, argv[1]))


@command("SMISMEMBER")
def has_members(session: Session, argv: list[bytes]) -> Reply:
    """Of each of some members, whether it is there."""
    members = _members(session, argv[1])
    return [int(member in members) for member in argv[2:]]


@command("SMEMBERS")
def all_members(session: Session, argv: list[bytes]) -> Reply:
    """Every member. A copy: a later command of the unit may change the set."""
    return set(_members(session, argv[1]))


@command("SCARD")
def count_members(session: Session, argv: list[bytes]) -> Reply:
    """How many members there are."""
    return len(_members(session, argv[1]))


@command("SPOP")
def pop(session: Session, argv: list[bytes]) -> Reply:
    """Take a member at random; with a count, so many."""
    if len(argv) > 3:
        raise CommandFailure(SYNTAX_ERROR)
    is_many = len(argv) == 3
    count = parse_natural(argv[2], _NOT_POSITIVE) if is_many else 1
    key = argv[1]
    members = _members(session, key)
    picked = pick_distinct(session.engine.random, members, count)
    if picked:
        members.difference_update(picked)
        session.db.changed_or_empty(key, members)
        if session.engine.effects is not None:
            session.engine.effects.replace([b"SREM", key, *picked])
    if is_many:
        return set(picked)
    return picked[0] if picked else None


@command("SRANDMEMBER")
def random_members(session: Session, argv: list[bytes]) -> Reply:
    """A member at random; with a count, distinct ones, or repeated ones if negative."""
    if len(argv) > 3:
        raise CommandFailure(SYNTAX_ERROR)
    count = parse_integer(argv[2]) if len(argv) == 3 else 0
    members = _members(session, argv[1])
    random = session.engine.random
    if len(argv) == 2:
        return pick_one(random, members) if members else None
    if count < 0:
        return pick_many(random, members, -count)
    return pick_distinct(random, members, count)


@command("SMOVE")
def move(session: Session, argv: list[bytes]) -> Reply:
    """Move a member to another set. Returns whether it was there."""
    _, key, new_key, member = argv
    db = session.db
    members = db.typed(key, set)
    if members is None:
        return 0
    others = db.typed(new_key, set)
    if member not in members:
        return 0
    if key == new_key:
        return 1
    members.remove(member)
    db.changed_or_empty(key, members)
    if others is None:
        db.put(new_key, {member})
    else:
        others.add(member)
        db.changed(new_key)
    return 1


@command("SINTER")
def intersect(session: Session, argv: list[bytes]) -> Reply:
    """The members that are in all of some sets."""
    return _combine(session, b"SINTER", argv[1:])


@command("SUNION")
def unite(session: Session, argv: list[bytes]) -> Reply:
    """The members that are in any of some sets."""
    return _combine(session, b"SUNION", argv[1:])


@command("SDIFF")
def subtract(session: Session, argv: list[bytes]) -> Reply:
    """The members of the first set that are in none of the others."""
    return _combine(session, b"SDIFF", argv[1:])


@command("SINTERSTORE", "SUNIONSTORE", "SDIFFSTORE")
def combine_and_store(session: Session, argv: list[bytes]) -> Reply:
    """Keep what SINTER, SUNION or SDIFF gives under a key. Returns how many members."""
    operation = argv[0].upper().removesuffix(b"STORE")
    members = _combine(session, operation, argv[2:])
    if members:
        session.db.overwrite(argv[1], members)
    elif session.db.find(argv[1]) is not None:
        session.db.remove(argv[1])
    return len(members)


def _combine(session: Session, operation: bytes, keys: list[bytes]) -> set[bytes]:
    first, *others = [_members(session, key) for key in keys]
    if operation == b"SINTER":
        return first.intersection(*others)
    if operation == b"SUNION":
        return first.union(*others)
    return first.difference(*others)
