"""Hashes: fields with values under one key."""

from __future__ import annotations

from sharedstate_memory.commands.arguments import INTEGER_MAX, INTEGER_MIN, parse_integer
from sharedstate_memory.commands.picking import pick_distinct, pick_many, pick_one
from sharedstate_memory.commands.registry import command, wrong_arity
from sharedstate_memory.longdouble import add, parse_number
from sharedstate_memory.replies import (
    NOT_A_FLOAT,
    OK,
    SYNTAX_ERROR,
    WRONG_TYPE,
    CommandFailure,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sharedstate_memory.replies import Reply
    from sharedstate_memory.session import Session

_NOTHING: dict[bytes, bytes] = {}


def _fields(session: Session, key: bytes) -> dict[bytes, bytes]:
    """A hash to read from; an empty one if the key is not there."""
    return session.db.typed(key, dict) or _NOTHING


@command("HGET")
def get(session: Session, argv: list[bytes]) -> Reply:
    """The value of a field. Spelled out rather than by `typed`: half the cost."""
    db = session.db
    key = argv[1]
    if key in db.deadlines:
        db.expire_if_due(key)
    fields = db.data.get(key)
    if type(fields) is dict:
        return fields.get(argv[2])
    if fields is None:
        return None
    raise CommandFailure(WRONG_TYPE)


@command("HSET")
def set_fields(session: Session, argv: list[bytes]) -> Reply:
    """Set fields. Returns how many are new."""
    if len(argv) % 2:
        raise CommandFailure(wrong_arity(argv[0]))
    db = session.db
    key = argv[1]
    fields = db.typed(key, dict)
    if fields is None:
        fields = dict(zip(argv[2::2], argv[3::2], strict=True))
        db.put(key, fields)
        return len(fields)
    before = len(fields)
    if len(argv) == 4:
        fields[argv[2]] = argv[3]
    else:
        fields.update(zip(argv[2::2], argv[3::2], strict=True))
    db.changed(key)
    return len(fields) - before


@command("HMSET")
def set_fields_plainly(session: Session, argv: list[bytes]) -> Reply:
    """Set fields."""
    set_fields(session, argv)
    return OK


@command("HSETNX")
def set_field_if_absent(session: Session, argv: list[bytes]) -> Reply:
    """Set a field that is not there. Returns 1, or 0 if it is."""
    _, key, field, value = argv
    if field in _fields(session, key):
        return 0
    _set_field(session, key, field, value)
    return 1


def _set_field(session: Session, key: bytes, field: bytes, value: bytes) -> None:
    fields = session.db.typed(key, dict)
    if fields is None:
        session.db.put(key, {field: value})
    else:
        fields[field] = value
        session.db.changed(key)


@command("HMGET")
def get_fields(session: Session, argv: list[bytes]) -> Reply:
    """The values of some fields; null for those that are not there."""
    fields = _fields(session, argv[1])
    return [fields.get(field) for field in argv[2:]]


@command("HDEL")
def delete_fields(session: Session, argv: list[bytes]) -> Reply:
    """Remove fields. Returns how many were there."""
    key = argv[1]
    fields = _fields(session, key)
    count = 0
    for field in argv[2:]:
        if fields.pop(field, None) is not None:
            count += 1
    if count:
        session.db.changed_or_empty(key, fields)
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
    old = _fields(session, key).get(field)
    if old is not None:
        amount += parse_integer(old, b"ERR hash value is not an integer")
        if not INTEGER_MIN <= amount <= INTEGER_MAX:
            raise CommandFailure(b"ERR increment or decrement would overflow")
    _set_field(session, key, field, b"%d" % amount)
    return amount


@command("HINCRBYFLOAT")
def increment_field_by_float(session: Session, argv: list[bytes]) -> Reply:
    """Add a number with a fraction to a field. Returns the new value."""
    _, key, field, text = argv
    increment = parse_number(text, NOT_A_FLOAT)
    if increment is None:
        raise CommandFailure(b"ERR value is NaN or Infinity")
    old = _fields(session, key).get(field, b"0")
    value = add(parse_number(old, b"ERR hash value is not a float"), increment)
    _set_field(session, key, field, value)
    if session.engine.effects is not None:
        session.engine.effects.replace([b"HSET", key, field, value])
    return value


@command("HRANDFIELD")
def random_fields(session: Session, argv: list[bytes]) -> Reply:
    """A field at random; with a count, distinct ones, or repeated ones if negative."""
    count = parse_integer(argv[2]) if len(argv) > 2 else 0
    if len(argv) > 4 or (len(argv) == 4 and argv[3].upper() != b"WITHVALUES"):
        raise CommandFailure(SYNTAX_ERROR)
    fields = _fields(session, argv[1])
    random = session.engine.random
    if len(argv) == 2:
        return pick_one(random, fields) if fields else None
    pick = pick_distinct if count >= 0 else pick_many
    picked = pick(random, fields, abs(count))
    if len(argv) == 3:
        return picked
    if session.protocol == 3:
        return [[field, fields[field]] for field in picked]
    return [part for field in picked for part in (field, fields[field])]
