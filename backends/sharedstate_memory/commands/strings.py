"""Strings: reading and writing whole values."""

from __future__ import annotations

from functools import lru_cache

from sharedstate_memory.commands.arguments import Options, parse_integer
from sharedstate_memory.commands.deadlines import (
    DEADLINE_OPTIONS,
    deadline_text,
    read_deadline,
)
from sharedstate_memory.commands.registry import command, wrong_arity
from sharedstate_memory.replies import OK, SYNTAX_ERROR, CommandFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sharedstate_memory.replies import Reply
    from sharedstate_memory.session import Session


@command("GET")
def get(session: Session, argv: list[bytes]) -> Reply:
    """The value of a key."""
    # Spelled out here it would be 16 ns faster of 285: not worth a second reader.
    return session.db.read(argv[1], bytes)


@command("SET")
def set_value(session: Session, argv: list[bytes]) -> Reply:
    """Set a key, whatever it held."""
    if len(argv) > 3:
        return _set_with_options(session, argv)
    session.db.overwrite(argv[1], argv[2])
    return OK


def _read_options(*words: bytes) -> tuple[bytes, bytes, bytes, int, bool, bool]:
    """What follows the value in SET: the condition, the option that gives a deadline and
    its number, that as milliseconds from now (0 if it has to be looked at each time),
    whether the old deadline stays, and whether the old value is asked for.
    """
    condition = unit = text = b""
    keeps_deadline = wants_old = False
    options = Options([*words], 0)
    for name in options:
        if name == b"GET":
            wants_old = True
        elif name in (b"NX", b"XX") and condition in (b"", name):
            condition = name
        elif name == b"KEEPTTL" and not unit:
            keeps_deadline = True
        elif name in DEADLINE_OPTIONS and unit in (b"", name) and not keeps_deadline:
            # The same option may come again, and the last one counts.
            unit, text = name, options.value()
        else:
            raise CommandFailure(SYNTAX_ERROR)
    lease_ms = 0
    if unit:
        in_seconds, is_relative = DEADLINE_OPTIONS[unit]
        given = parse_integer(text)
        if is_relative and 0 < given < _ANY_TIME_OFF:
            lease_ms = given * 1000 if in_seconds else given
    return condition, unit, text, lease_ms, keeps_deadline, wants_old


# Programs come with the same few options again and again, those who take locks above all:
# to remember them takes a fifth of the time of reading them. What is remembered is short:
# three words have room for one number only, which is no longer than numbers are.
_remember_options = lru_cache(256)(_read_options)
_WORDS_REMEMBERED = 3

# Of any unit, so much from now is no time that could not be told.
_ANY_TIME_OFF = 1 << 50


def _set_with_options(session: Session, argv: list[bytes]) -> Reply:
    read = _remember_options if len(argv) <= 3 + _WORDS_REMEMBERED else _read_options
    condition, unit, text, lease_ms, keeps_deadline, wants_old = read(*argv[3:])
    db, key = session.db, argv[1]
    deadline_ms = None
    if lease_ms:
        deadline_ms = session.engine.now_ms + lease_ms
    elif unit:
        deadline_ms = read_deadline(session, argv[0], unit, text)
    old = db.read(key, bytes) if wants_old else db.find(key) if condition else None
    if condition == (b"XX" if old is None else b"NX"):
        return old if wants_old else None
    if keeps_deadline:
        _store_keeping_deadline(session, key, argv[2])
    else:
        _store(session, key, argv[2], deadline_ms)
    return old if wants_old else OK


def _store(session: Session, key: bytes, value: bytes, deadline_ms: int | None) -> None:
    db = session.db
    db.overwrite(key, value, b"set")
    if deadline_ms is not None:
        db.set_deadline(key, deadline_ms)
    effects = session.engine.effects
    if effects is not None:
        end = [] if deadline_ms is None else [b"PXAT", deadline_text(deadline_ms)]
        effects.replace([b"SET", key, value, *end])


def _store_keeping_deadline(session: Session, key: bytes, value: bytes) -> None:
    db = session.db
    # A key that has expired leaves no deadline to keep.
    kept_ms = None if db.find(key) is None else db.deadline_of(key)
    db.overwrite(key, value, b"set")
    if kept_ms is not None:
        db.set_deadline(key, kept_ms, b"")
    if session.engine.effects is not None:
        session.engine.effects.replace([b"SET", key, value, b"KEEPTTL"])


@command("SETNX")
def set_if_absent(session: Session, argv: list[bytes]) -> Reply:
    """Set a key that is not there."""
    if session.db.find(argv[1]) is not None:
        return 0
    session.db.overwrite(argv[1], argv[2], b"set")
    return 1


@command("SETEX")
def set_with_seconds(session: Session, argv: list[bytes]) -> Reply:
    """Set a key that expires after some seconds."""
    deadline_ms = read_deadline(session, argv[0], b"EX", argv[2])
    _store(session, argv[1], argv[3], deadline_ms)
    return OK


@command("PSETEX")
def set_with_milliseconds(session: Session, argv: list[bytes]) -> Reply:
    """Set a key that expires after some milliseconds."""
    deadline_ms = read_deadline(session, argv[0], b"PX", argv[2])
    _store(session, argv[1], argv[3], deadline_ms)
    return OK


@command("GETSET")
def get_and_set(session: Session, argv: list[bytes]) -> Reply:
    """Set a key and return what it held."""
    old = session.db.read(argv[1], bytes)
    _store(session, argv[1], argv[2], None)
    return old


@command("GETDEL")
def get_and_delete(session: Session, argv: list[bytes]) -> Reply:
    """Remove a key and return what it held."""
    old = session.db.read(argv[1], bytes)
    if old is not None:
        session.db.remove(argv[1])
        if session.engine.effects is not None:
            session.engine.effects.replace([b"DEL", argv[1]])
    return old


@command("GETEX")
def get_and_expire(session: Session, argv: list[bytes]) -> Reply:
    """The value of a key, whose deadline is set or cleared on the way."""
    options = Options(argv, 2)
    name = next(iter(options), b"PERSIST")
    text = options.value() if name in DEADLINE_OPTIONS else b""
    if options.left or (name not in DEADLINE_OPTIONS and name != b"PERSIST"):
        raise CommandFailure(SYNTAX_ERROR)
    value = session.db.read(argv[1], bytes)
    if value is None:
        return None
    if text:
        _set_deadline(session, argv[1], read_deadline(session, argv[0], name, text))
    elif len(argv) > 2:
        session.db.clear_deadline(argv[1])
        if session.engine.effects is not None:
            session.engine.effects.replace([b"PERSIST", argv[1]])
    return value


def _set_deadline(session: Session, key: bytes, deadline_ms: int) -> None:
    effect = [b"PEXPIREAT", key, deadline_text(deadline_ms)]
    if session.engine.has_come(deadline_ms):
        session.db.remove(key)
        effect = [b"DEL", key]
    else:
        session.db.set_deadline(key, deadline_ms)
    if session.engine.effects is not None:
        session.engine.effects.replace(effect)


@command("MGET")
def get_many(session: Session, argv: list[bytes]) -> Reply:
    """The values of some keys; null for what is no string."""
    values = map(session.db.read_any, argv[1:])
    return [value if type(value) is bytes else None for value in values]


@command("MSET")
def set_many(session: Session, argv: list[bytes]) -> Reply:
    """Set some keys, all at once."""
    if len(argv) % 2 == 0:
        raise CommandFailure(wrong_arity(argv[0]))
    overwrite = session.db.overwrite
    for at in range(1, len(argv), 2):
        overwrite(argv[at], argv[at + 1], b"set")
    return OK


@command("MSETNX")
def set_many_if_absent(session: Session, argv: list[bytes]) -> Reply:
    """Set some keys, all at once, if none of them is there."""
    if len(argv) % 2 == 0:
        raise CommandFailure(wrong_arity(argv[0]))
    if any(session.db.find(key) is not None for key in argv[1::2]):
        return 0
    set_many(session, argv)
    return 1
