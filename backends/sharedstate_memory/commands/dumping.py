"""DUMP and RESTORE: a key's value as bytes, to be carried elsewhere and back.

The bytes are a piece of an RDB file (`rdb/payload.py`), so that other servers take them.
"""

from __future__ import annotations

from sharedstate_memory.commands.arguments import (
    INTEGER_MAX,
    Options,
    parse_integer,
)
from sharedstate_memory.commands.deadlines import deadline_text
from sharedstate_memory.commands.registry import command
from sharedstate_memory.loading_door import let_expire
from sharedstate_memory.rdb.payload import PayloadError, dump_value, restore_value
from sharedstate_memory.replies import OK, SYNTAX_ERROR, CommandFailure
from sharedstate_memory.sizes import size_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sharedstate_memory.rdb.values import Content
    from sharedstate_memory.replies import Reply
    from sharedstate_memory.session import Session

_BUSY = b"BUSYKEY Target key name already exists."
_INVALID_TTL = b"ERR Invalid TTL value, must be >= 0"
_INVALID_IDLE_TIME = b"ERR Invalid IDLETIME value, must be >= 0"
_INVALID_FREQUENCY = b"ERR Invalid FREQ value, must be >= 0 and <= 255"
_MOST_FREQUENT = 255


@command("DUMP")
def dump(session: Session, argv: list[bytes]) -> Reply:
    """Return a key's value as bytes that RESTORE takes; null without the key."""
    db, key = session.db, argv[1]
    value = db.read_any(key)
    if value is None:
        return None
    fields = db.field_deadlines.get(key)
    return dump_value(value, None if fields is None else fields.deadlines())


@command("RESTORE")
def restore(session: Session, argv: list[bytes]) -> Reply:
    """RESTORE key ttl payload [REPLACE] [ABSTTL] [IDLETIME seconds] [FREQ count]: give a
    key the value in a payload.
    """
    db, key = session.db, argv[1]
    options = _RestoreOptions(argv)
    if not options.replaces and db.find(key) is not None:
        raise CommandFailure(_BUSY)
    deadline_ms = _read_deadline(session, argv[2], options)
    try:
        content = restore_value(argv[3])
    except PayloadError as error:
        raise CommandFailure(b"ERR " + str(error).encode()) from None
    if deadline_ms is not None and session.engine.has_come(deadline_ms):
        _remove(session, key)
        return OK
    _place(session, key, content, deadline_ms)
    session.engine.eviction.note_use(db, key, options.idle_seconds, options.frequency)
    _note_effect(session, argv, options, deadline_ms)
    return OK


class _RestoreOptions:
    """The words after the payload."""

    __slots__ = ("frequency", "idle_seconds", "is_absolute", "replaces")

    def __init__(self, argv: list[bytes]) -> None:
        self.replaces = self.is_absolute = False
        self.idle_seconds: int | None = None
        self.frequency: int | None = None
        options = Options(argv, 4)
        for name in options:
            if name == b"REPLACE":
                self.replaces = True
            elif name == b"ABSTTL":
                self.is_absolute = True
            else:
                self._read_use(name, options)

    def _read_use(self, name: bytes, options: Options) -> None:
        """One of the options that say how the key was used: not both."""
        if name == b"IDLETIME" and options.left and self.frequency is None:
            self.idle_seconds = parse_integer(options.value())
            if self.idle_seconds < 0:
                raise CommandFailure(_INVALID_IDLE_TIME)
        elif name == b"FREQ" and options.left and self.idle_seconds is None:
            self.frequency = parse_integer(options.value())
            if not 0 <= self.frequency <= _MOST_FREQUENT:
                raise CommandFailure(_INVALID_FREQUENCY)
        else:
            raise CommandFailure(SYNTAX_ERROR)


def _read_deadline(session: Session, text: bytes, options: _RestoreOptions) -> int | None:
    given = parse_integer(text)
    if given < 0:
        raise CommandFailure(_INVALID_TTL)
    if given == 0:
        return None
    deadline_ms = given if options.is_absolute else session.engine.now_ms + given
    if deadline_ms > INTEGER_MAX:
        raise CommandFailure(b"ERR invalid expire time in 'restore' command")
    return deadline_ms


def _remove(session: Session, key: bytes) -> None:
    """What is over when it comes is not there; nor is what it would have replaced."""
    db, effects = session.db, session.engine.effects
    if db.find(key) is None:
        return
    db.remove(key)
    if effects is not None:
        effects.replace([b"DEL", key])


def _place(session: Session, key: bytes, content: Content, deadline_ms: int | None) -> None:
    db, engine = session.db, session.engine
    engine.used_bytes += size_of(content.value)
    db.receive(key, content.value)
    if engine.events is not None:
        engine.events.add(db.index, key, b"restore")
    let_expire(db, key, deadline_ms, content.field_deadlines)


def _note_effect(
    session: Session, argv: list[bytes], options: _RestoreOptions, deadline_ms: int | None
) -> None:
    """Let the effect have a deadline that is the same anywhere."""
    effects = session.engine.effects
    if effects is None or deadline_ms is None or options.is_absolute:
        return
    head = [*argv[:2], deadline_text(deadline_ms), *argv[3:]]
    effects.replace([*head, b"ABSTTL"])
