"""Sets: members without order or value."""

from __future__ import annotations

from itertools import islice

from sharedstate_memory.commands.arguments import Options, parse_integer, parse_natural
from sharedstate_memory.commands.picking import pick, read_count
from sharedstate_memory.commands.registry import command
from sharedstate_memory.replies import SYNTAX_ERROR, CommandFailure
from sharedstate_memory.sizes import MEMBER, total

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from sharedstate_memory.keyspace import Keyspace
    from sharedstate_memory.replies import Reply
    from sharedstate_memory.session import Session

_NOTHING: set[bytes] = set()

_NOT_POSITIVE = b"ERR value is out of range, must be positive"


def _members(session: Session, key: bytes) -> set[bytes]:
    """A set to read from; an empty one if the key is not there."""
    return session.db.read(key, set) or _NOTHING


def _size_of_members(members: Collection[bytes]) -> int:
    """By how much a set grows by some members."""
    return MEMBER * len(members) + total(members)


@command("SADD")
def add(session: Session, argv: list[bytes]) -> Reply:
    """Add members. Returns how many are new."""
    db = session.db
    key = argv[1]
    members = db.typed(key, set)
    if members is None:
        members = set(argv[2:])
        db.put(key, members)
        return len(members)
    # One member is the usual case, and the hot path.
    if len(argv) == 3:
        member = argv[2]
        if member in members:
            return 0
        members.add(member)
        db.changed(key, MEMBER + len(member))
        return 1
    return _add_many(db, key, members, argv[2:])


def _add_many(db: Keyspace, key: bytes, members: set[bytes], given: list[bytes]) -> int:
    new = set(given) - members
    if new:
        members |= new
        db.changed(key, _size_of_members(new))
    return len(new)


@command("SREM")
def remove(session: Session, argv: list[bytes]) -> Reply:
    """Remove members. Returns how many were there."""
    members = session.db.typed(argv[1], set)
    if members is None:
        return 0
    gone = members.intersection(argv[2:])
    if gone:
        _remove(session.db, argv[1], members, gone, b"srem")
    return len(gone)


def _remove(
    db: Keyspace, key: bytes, members: set[bytes], gone: Collection[bytes], event: bytes
) -> None:
    """Remove members that are there, and the key with the last one."""
    if len(gone) == len(members):
        # Left as it is, so that a big one is freed in slices.
        db.changed(key, 0, event)
        db.remove(key)
    else:
        members.difference_update(gone)
        db.changed(key, -_size_of_members(gone), event)


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
    members = session.db.typed(key, set) or _NOTHING
    picked = session.engine.draws.different(members, count)
    if picked:
        _remove(session.db, key, members, picked, b"spop")
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
    count = read_count(argv[2]) if len(argv) == 3 else 0
    members = _members(session, argv[1])
    draws = session.engine.draws
    if len(argv) == 2:
        return draws.one(members) if members else None
    return pick(draws, members, count)


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
    _remove(db, key, members, (member,), b"srem")
    if others is None:
        db.put(new_key, {member}, b"sadd")
    elif member not in others:
        others.add(member)
        db.changed(new_key, MEMBER + len(member), b"sadd")
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
    """A new set. In C throughout, and never longer than the sets that matter are."""
    sets = [_members(session, key) for key in keys]
    if operation == b"SUNION":
        return set().union(*sets)
    if operation == b"SDIFF":
        return _subtract(sets[0], sets[1:])
    smallest, *others = sorted(sets, key=len)
    return smallest.intersection(*others)


def _subtract(first: set[bytes], others: list[set[bytes]]) -> set[bytes]:
    """Walk through what is left, or through the other set: whichever is shorter."""
    left = first.copy()
    for other in others:
        if len(other) < len(left):
            left.difference_update(other)
        else:
            left = left - other
    return left


@command("SINTERCARD")
def count_intersection(session: Session, argv: list[bytes]) -> Reply:
    """How many members are in all of some sets; counting ends at LIMIT."""
    keys, limit = _read_intersection(argv)
    if not limit:
        return len(_combine(session, b"SINTER", keys))
    smallest, *others = sorted([_members(session, key) for key in keys], key=len)
    common: Iterable[bytes] = smallest
    for other in others:
        common = filter(other.__contains__, common)
    return len(list(islice(common, limit)))


def _read_intersection(argv: list[bytes]) -> tuple[list[bytes], int]:
    refusal = b"ERR numkeys should be greater than 0"
    number = parse_integer(argv[1], refusal)
    if number < 1:
        raise CommandFailure(refusal)
    if number > len(argv) - 2:
        raise CommandFailure(b"ERR Number of keys can't be greater than number of args")
    limit = 0
    options = Options(argv, 2 + number)
    for name in options:
        if name != b"LIMIT":
            raise CommandFailure(SYNTAX_ERROR)
        limit = parse_natural(options.value(), b"ERR LIMIT can't be negative")
    return argv[2 : 2 + number], limit
