"""Hashes: when their fields expire.

    HEXPIRE key seconds [NX|XX|GT|LT] FIELDS numfields field …

As EXPIRE is for keys, with an answer for each field. Redis has these commands since 7.4;
where its documentation leaves something open, keys are the model.

Source: https://redis.io/docs/latest/commands/hexpire/
"""

from __future__ import annotations

from sharedstate_memory.commands.arguments import parse_integer
from sharedstate_memory.commands.deadlines import deadline_text
from sharedstate_memory.commands.hashes import remove_fields
from sharedstate_memory.commands.registry import command
from sharedstate_memory.field_deadlines import let_expire
from sharedstate_memory.replies import CommandFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sharedstate_memory.field_deadlines import FieldDeadlines
    from sharedstate_memory.replies import Reply
    from sharedstate_memory.session import Session

# What is answered for a field.
NO_FIELD = -2
NO_DEADLINE = -1
CONDITION_NOT_MET = 0
DEADLINE_SET = 1
FIELD_REMOVED = 2

# Deadlines of fields have 46 bits: they end in the year 4199.
MAX_DEADLINE_MS = 2**46 - 1

_CONDITIONS = (b"NX", b"XX", b"GT", b"LT")

_NEGATIVE = b"ERR invalid expire time, must be >= 0"
_NO_FIELDS_WORD = b"ERR Mandatory argument FIELDS is missing or not at the right position"
_NO_NUMBER = b"ERR Parameter `numFields` should be greater than 0"
_OTHER_NUMBER = b"ERR The `numfields` parameter must match the number of arguments"


@command("HEXPIRE")
def expire(session: Session, argv: list[bytes]) -> Reply:
    """Let fields expire after some seconds."""
    return _expire(session, argv, session.engine.now_ms, unit_ms=1000)


@command("HPEXPIRE")
def expire_milliseconds(session: Session, argv: list[bytes]) -> Reply:
    """Let fields expire after some milliseconds."""
    return _expire(session, argv, session.engine.now_ms, unit_ms=1)


@command("HEXPIREAT")
def expire_at(session: Session, argv: list[bytes]) -> Reply:
    """Let fields expire at a time in seconds since the epoch."""
    return _expire(session, argv, 0, unit_ms=1000)


@command("HPEXPIREAT")
def expire_at_milliseconds(session: Session, argv: list[bytes]) -> Reply:
    """Let fields expire at a time in milliseconds since the epoch."""
    return _expire(session, argv, 0, unit_ms=1)


def _expire(
    session: Session, argv: list[bytes], base_ms: int, *, unit_ms: int
) -> list[int]:
    db, key = session.db, argv[1]
    fields = db.typed(key, dict)
    deadline_ms = _read_deadline(argv, base_ms, unit_ms)
    condition = argv[3].upper() if argv[3].upper() in _CONDITIONS else b""
    names = _read_names(argv, 4 if condition else 3)
    if fields is None:
        return [NO_FIELD] * len(names)
    call = _Expiring(db.field_deadlines.get(key), condition, deadline_ms)
    if session.engine.has_come(deadline_ms):
        return _remove(session, key, fields, names, call)
    answers = [call.answer(name) if name in fields else NO_FIELD for name in names]
    if call.chosen:
        let_expire(db, key, call.chosen, deadline_ms)
        db.changed(key, 0, b"hexpire")
        _replace_effect(session, b"HPEXPIREAT", key, deadline_ms, call.chosen)
    return answers


def _remove(
    session: Session,
    key: bytes,
    fields: dict[bytes, bytes],
    names: list[bytes],
    call: _Expiring,
) -> list[int]:
    """As the others, for a time that has passed: the fields are removed at once."""
    answers = []
    for name in names:
        # Named twice, it is gone the second time.
        is_there = name in fields and name not in call.chosen
        answer = call.answer(name) if is_there else NO_FIELD
        answers.append(FIELD_REMOVED if answer == DEADLINE_SET else answer)
    remove_fields(session.db, key, fields, call.chosen)
    if session.engine.effects is not None:
        session.engine.effects.replace([b"HDEL", key, *call.chosen])
    return answers


class _Expiring:
    """One call: the fields that it is to set a deadline of."""

    __slots__ = ("_condition", "_deadline_ms", "_old", "chosen")

    def __init__(
        self, old: FieldDeadlines | None, condition: bytes, deadline_ms: int
    ) -> None:
        self._old = old
        self._condition = condition
        self._deadline_ms = deadline_ms
        self.chosen: dict[bytes, None] = {}

    def answer(self, name: bytes) -> int:
        """The answer for a field that is there; it is chosen if its condition is met."""
        old_ms = None if self._old is None else self._old.deadline_of(name)
        if name in self.chosen:
            old_ms = self._deadline_ms
        if not self._allows(old_ms):
            return CONDITION_NOT_MET
        self.chosen[name] = None
        return DEADLINE_SET

    def _allows(self, old_ms: int | None) -> bool:
        """Whether a field with this deadline gets the new one. None is later than any."""
        if not self._condition:
            return True
        if old_ms is None:
            return self._condition in (b"NX", b"LT")
        if self._condition == b"XX":
            return True
        if self._condition == b"GT":
            return self._deadline_ms > old_ms
        return self._condition == b"LT" and self._deadline_ms < old_ms


def _read_deadline(argv: list[bytes], base_ms: int, unit_ms: int) -> int:
    given = parse_integer(argv[2])
    if given < 0:
        raise CommandFailure(_NEGATIVE)
    deadline_ms = base_ms + given * unit_ms
    if deadline_ms > MAX_DEADLINE_MS:
        name = argv[0].lower()
        raise CommandFailure(b"ERR invalid expire time in '%s' command" % name)
    return deadline_ms


def _read_names(argv: list[bytes], start: int) -> list[bytes]:
    """The fields after `FIELDS numfields`."""
    if argv[start].upper() != b"FIELDS":
        raise CommandFailure(_NO_FIELDS_WORD)
    number = parse_integer(argv[start + 1], _NO_NUMBER)
    if number < 1:
        raise CommandFailure(_NO_NUMBER)
    names = argv[start + 2 :]
    if number != len(names):
        raise CommandFailure(_OTHER_NUMBER)
    return names


def _replace_effect(
    session: Session, name: bytes, key: bytes, at_ms: int, fields: Iterable[bytes]
) -> None:
    if session.engine.effects is not None:
        words = [*fields]
        start = [name, key, deadline_text(at_ms), b"FIELDS", b"%d" % len(words)]
        session.engine.effects.replace(start + words)


@command("HPERSIST")
def persist(session: Session, argv: list[bytes]) -> Reply:
    """Let fields stay for ever."""
    db, key = session.db, argv[1]
    fields = db.typed(key, dict)
    names = _read_names(argv, 2)
    if fields is None:
        return [NO_FIELD] * len(names)
    timed = db.field_deadlines.get(key, ())
    answers = []
    kept: dict[bytes, None] = {}
    for name in names:
        if name not in fields:
            answers.append(NO_FIELD)
        elif name not in timed or name in kept:
            answers.append(NO_DEADLINE)
        else:
            kept[name] = None
            answers.append(DEADLINE_SET)
    if kept:
        db.field_deadlines[key].forget(db, key, kept)
        db.changed(key, 0, b"hpersist")
    return answers


@command("HTTL")
def seconds_left(session: Session, argv: list[bytes]) -> Reply:
    """How many seconds fields have left, rounded up; -1 for ever; -2 without the field."""
    now_ms = session.engine.now_ms
    return _deadlines(session, argv, lambda at_ms: (at_ms - now_ms + 999) // 1000)


@command("HPTTL")
def milliseconds_left(session: Session, argv: list[bytes]) -> Reply:
    """As HTTL, in milliseconds."""
    now_ms = session.engine.now_ms
    return _deadlines(session, argv, lambda at_ms: at_ms - now_ms)


@command("HEXPIRETIME")
def deadlines(session: Session, argv: list[bytes]) -> Reply:
    """When fields expire, in seconds since the epoch; -1 never; -2 without the field."""
    return _deadlines(session, argv, lambda at_ms: (at_ms + 999) // 1000)


@command("HPEXPIRETIME")
def deadlines_milliseconds(session: Session, argv: list[bytes]) -> Reply:
    """As HEXPIRETIME, in milliseconds."""
    return _deadlines(session, argv, lambda at_ms: at_ms)


def _deadlines(
    session: Session, argv: list[bytes], told: Callable[[int], int]
) -> list[int]:
    db, key = session.db, argv[1]
    fields = db.read(key, dict)
    names = _read_names(argv, 2)
    if fields is None:
        return [NO_FIELD] * len(names)
    timed = db.field_deadlines.get(key)
    answers = []
    for name in names:
        at_ms = None if timed is None else timed.deadline_of(name)
        if at_ms is not None:
            answers.append(told(at_ms))
        else:
            answers.append(NO_DEADLINE if name in fields else NO_FIELD)
    return answers
