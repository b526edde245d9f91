"""Hashes: fields with values under one key.

Fields may have deadlines (`field_expiry.py`). A command that reads need not know: what has
expired is gone before it sees the hash. A command that sets or removes a field makes its
deadline forgotten; one that adds to a value leaves it.
"""

from __future__ import annotations

from sharedstate_memory.commands.arguments import INTEGER_MAX, INTEGER_MIN, parse_integer
from sharedstate_memory.commands.picking import check_doubled, pick, read_count
from sharedstate_memory.commands.registry import command, wrong_arity
from sharedstate_memory.longdouble import add, parse_number
from sharedstate_memory.replies import (
    NOT_A_FLOAT,
    OK,
    SYNTAX_ERROR,
    CommandFailure,
)
from sharedstate_memory.sizes import FIELD, total

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from sharedstate_memory.keyspace import Keyspace
    from sharedstate_memory.replies import Reply
    from sharedstate_memory.session import Session

_NOTHING: dict[bytes, bytes] = {}


def _fields(session: Session, key: bytes) -> dict[bytes, bytes]:
    """A hash to read from; an empty one if the key is not there."""
    return session.db.read(key, dict) or _NOTHING


@command("HGET")
def get(session: Session, argv: list[bytes]) -> Reply:
    """The value of a field."""
    fields: dict[bytes, bytes] | None = session.db.read(argv[1], dict)
    return None if fields is None else fields.get(argv[2])


@command("HSET")
def set_fields(session: Session, argv: list[bytes]) -> Reply:
    """Set fields. Returns how many are new. One field is the usual case, and the hot
    path.
    """
    db = session.db
    if len(argv) != 4:
        return _set_many(db, argv)
    _, key, field, value = argv
    fields = db.typed(key, dict)
    if fields is None:
        db.put(key, {field: value}, b"hset")
        return 1
    if db.field_deadlines:
        _forget_deadlines(db, key, (field,))
    old = fields.get(field)
    fields[field] = value
    if old is None:
        db.changed(key, FIELD + len(field) + len(value), b"hset")
        return 1
    db.changed(key, len(value) - len(old), b"hset")
    return 0


def _set_many(db: Keyspace, argv: list[bytes]) -> int:
    if len(argv) % 2:
        raise CommandFailure(wrong_arity(argv[0]))
    key = argv[1]
    given = dict(zip(argv[2::2], argv[3::2], strict=True))
    fields = db.typed(key, dict)
    if fields is None:
        db.put(key, given, b"hset")
        return len(given)
    _forget_deadlines(db, key, given)
    replaced = fields.keys() & given.keys()
    added = len(given) - len(replaced)
    growth = FIELD * added + total(given) + total(given.values())
    growth -= total(replaced) + total(map(fields.__getitem__, replaced))
    fields.update(given)
    db.changed(key, growth, b"hset")
    return added


def _forget_deadlines(db: Keyspace, key: bytes, names: Iterable[bytes]) -> None:
    """Let some fields stay for ever, whatever happens to them now."""
    if key in db.field_deadlines:
        db.field_deadlines[key].forget(db, key, names)


@command("HMSET")
def set_fields_plainly(session: Session, argv: list[bytes]) -> Reply:
    """Set fields."""
    set_fields(session, argv)
    return OK


@command("HSETNX")
def set_field_if_absent(session: Session, argv: list[bytes]) -> Reply:
    """Set a field that is not there. Returns 1, or 0 if it is."""
    _, key, field, value = argv
    fields = session.db.typed(key, dict)
    if fields is not None and field in fields:
        return 0
    _alter(session.db, key, fields, field, value, b"hset")
    return 1


def _alter(
    db: Keyspace,
    key: bytes,
    fields: dict[bytes, bytes] | None,
    field: bytes,
    value: bytes,
    event: bytes,
) -> None:
    """Give a field another value. Its deadline stays."""
    if fields is None:
        db.put(key, {field: value}, event)
        return
    old = fields.get(field)
    growth = FIELD + len(field) if old is None else -len(old)
    fields[field] = value
    db.changed(key, growth + len(value), event)


@command("HMGET")
def get_fields(session: Session, argv: list[bytes]) -> Reply:
    """The values of some fields; null for those that are not there."""
    fields = _fields(session, argv[1])
    return [fields.get(field) for field in argv[2:]]


@command("HDEL")
def delete_fields(session: Session, argv: list[bytes]) -> Reply:
    """Remove fields. Returns how many were there."""
    fields = session.db.typed(argv[1], dict)
    if fields is None:
        return 0
    return remove_fields(session.db, argv[1], fields, argv[2:])


def remove_fields(
    db: Keyspace, key: bytes, fields: dict[bytes, bytes], names: Iterable[bytes]
) -> int:
    """Remove some fields of a hash, and the key with the last one. Returns how many were
    there.
    """
    count = size = 0
    for name in names:
        value = fields.pop(name, None)
        if value is not None:
            count += 1
            size += FIELD + len(name) + len(value)
    if count:
        _forget_deadlines(db, key, names)
        db.changed_or_empty(key, fields, -size, b"hdel")
    return count


@command("HEXISTS")
def has_field(session: Session, argv: list[bytes]) -> Reply:
    """Whether a field is there."""
    return int(argv[2] in _fields(session, argv[1]))


@command("HLEN")
def count_fields(session: Session, argv: list[bytes]) -> Reply:
    """How many fields there are."""
    return len(_fields(session, argv[1]))


@command("HKEYS")
def field_names(session: Session, argv: list[bytes]) -> Reply:
    """Every field."""
    return list(_fields(session, argv[1]))


@command("HVALS")
def values(session: Session, argv: list[bytes]) -> Reply:
    """Every value."""
    return list(_fields(session, argv[1]).values())


@command("HGETALL")
def get_all(session: Session, argv: list[bytes]) -> Reply:
    """Every field with its value. A copy: a later command of the unit may change it."""
    return dict(_fields(session, argv[1]))


@command("HSTRLEN")
def value_length(session: Session, argv: list[bytes]) -> Reply:
    """How many bytes a field's value has."""
    return len(_fields(session, argv[1]).get(argv[2], b""))


@command("HINCRBY")
def increment_field(session: Session, argv: list[bytes]) -> Reply:
    """Add an integer to a field. Returns the new value."""
    _, key, field, text = argv
    amount = parse_integer(text)
    fields = session.db.typed(key, dict)
    old = None if fields is None else fields.get(field)
    if old is not None:
        amount += parse_integer(old, b"ERR hash value is not an integer")
        if not INTEGER_MIN <= amount <= INTEGER_MAX:
            raise CommandFailure(b"ERR increment or decrement would overflow")
    _alter(session.db, key, fields, field, b"%d" % amount, b"hincrby")
    return amount


@command("HINCRBYFLOAT")
def increment_field_by_float(session: Session, argv: list[bytes]) -> Reply:
    """Add a number with a fraction to a field. Returns the new value."""
    _, key, field, text = argv
    db = session.db
    increment = parse_number(text, NOT_A_FLOAT)
    if increment is None:
        raise CommandFailure(b"ERR value is NaN or Infinity")
    fields = db.typed(key, dict)
    old = b"0" if fields is None else fields.get(field, b"0")
    value = add(parse_number(old, b"ERR hash value is not a float"), increment)
    _alter(db, key, fields, field, value, b"hincrbyfloat")
    if session.engine.effects is not None:
        session.engine.effects.replace(*_setting(db, key, field, value))
    return value


def _setting(db: Keyspace, key: bytes, field: bytes, value: bytes) -> list[list[bytes]]:
    """The commands that give a field its value and the deadline that it has already."""
    effects = [[b"HSET", key, field, value]]
    if key in db.field_deadlines:
        deadline_ms = db.field_deadlines[key].deadline_of(field)
        if deadline_ms is not None:
            at = b"%d" % deadline_ms
            effects.append([b"HPEXPIREAT", key, at, b"FIELDS", b"1", field])
    return effects


@command("HRANDFIELD")
def random_fields(session: Session, argv: list[bytes]) -> Reply:
    """A field at random; with a count, distinct ones, or repeated ones if negative."""
    count = read_count(argv[2]) if len(argv) > 2 else 0
    if len(argv) > 4 or (len(argv) == 4 and argv[3].upper() != b"WITHVALUES"):
        raise CommandFailure(SYNTAX_ERROR)
    if len(argv) == 4:
        check_doubled(count)
    fields = _fields(session, argv[1])
    draws = session.engine.draws
    if len(argv) == 2:
        return draws.one(fields) if fields else None
    picked = pick(draws, fields, count)
    if len(argv) == 3:
        return picked
    if session.protocol == 3:
        return [[field, fields[field]] for field in picked]
    return [part for field in picked for part in (field, fields[field])]
