"""Strings: reading and writing whole values."""

from __future__ import annotations

from sharedstate_memory.commands.arguments import Options
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


class _SetOptions:
    """What follows the value in SET."""

    __slots__ = ("condition", "deadline", "keeps_deadline", "wants_old")

    def __init__(self, argv: list[bytes]) -> None:
        self.condition = b""
        self.deadline: tuple[bytes, bytes] | None = None
        self.keeps_deadline = False
        self.wants_old = False
        options = Options(argv, 3)
        for name in options:
            if name == b"GET":
                self.wants_old = True
            elif name in (b"NX", b"XX") and self.condition in (b"", name):
                self.condition = name
            elif name == b"KEEPTTL" and self.deadline is None:
                self.keeps_deadline = True
            elif name in DEADLINE_OPTIONS and self._takes_deadline(name):
                self.deadline = (name, options.value())
            else:
                raise CommandFailure(SYNTAX_ERROR)

    def _takes_deadline(self, name: bytes) -> bool:
        # The same option may come again, and the last one counts.
        is_other = self.deadline is not None and self.deadline[0] != name
        return not (self.keeps_deadline or is_other)


def _set_with_options(session: Session, argv: list[bytes]) -> Reply:
    options = _SetOptions(argv)
    db, key, value = session.db, argv[1], argv[2]
    deadline_ms = None
    if options.deadline is not None:
        deadline_ms = read_deadline(session, argv[0], *options.deadline)
    old = db.read(key, bytes) if options.wants_old else db.find(key)
    is_refused = options.condition == (b"XX" if old is None else b"NX")
    if not is_refused:
        _store(session, key, value, deadline_ms, keeps_deadline=options.keeps_deadline)
    if options.wants_old:
        return old
    return None if is_refused else OK


def _store(
    session: Session,
    key: bytes,
    value: bytes,
    deadline_ms: int | None,
    *,
    keeps_deadline: bool = False,
) -> None:
    db = session.db
    kept_ms = db.deadline_of(key) if keeps_deadline else None
    db.overwrite(key, value, b"set")
    if kept_ms is not None:
        db.set_deadline(key, kept_ms, b"")
    effect = [b"SET", key, value]
    if deadline_ms is not None:
        db.set_deadline(key, deadline_ms)
        effect += [b"PXAT", b"%d" % deadline_ms]
    elif keeps_deadline:
        effect.append(b"KEEPTTL")
    if session.engine.effects is not None:
        session.engine.effects.replace(effect)


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
