"""Keys, whatever they hold."""

from __future__ import annotations

from collections import deque

from sharedstate_memory.commands.registry import command
from sharedstate_memory.glob import compile_glob
from sharedstate_memory.moving import move
from sharedstate_memory.replies import (
    NO_SUCH_KEY,
    OK,
    SYNTAX_ERROR,
    CommandFailure,
    Status,
)
from sharedstate_memory.sampling import random_key as pick_key

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sharedstate_memory.keyspace import Value
    from sharedstate_memory.replies import Reply
    from sharedstate_memory.session import Session

_TYPE_NAMES: dict[type, Status] = {
    bytes: Status(b"string"),
    dict: Status(b"hash"),
    deque: Status(b"list"),
    set: Status(b"set"),
    type(None): Status(b"none"),
}
# Sorted sets are left out above because their module loads with their commands.
_SORTED_SET = Status(b"zset")


def type_name(value: Value | None) -> Status:
    """What Redis calls the type of a value."""
    return _TYPE_NAMES.get(type(value), _SORTED_SET)


@command("TYPE")
def type_of(session: Session, argv: list[bytes]) -> Reply:
    """The type of a key's value; `none` without one."""
    return type_name(session.db.peek(argv[1]))


@command("DEL", "UNLINK")
def delete(session: Session, argv: list[bytes]) -> Reply:
    """Remove keys. Returns how many were there."""
    db = session.db
    count = 0
    deadlines = db.deadlines
    for key in argv[1:]:
        # As `find`, spelled out because every lock is released here.
        if key in deadlines:
            db.expire_if_due(key)
        if key in db.data:
            db.remove(key)
            count += 1
    return count


@command("EXISTS")
def exists(session: Session, argv: list[bytes]) -> Reply:
    """How many of the keys are there; a key given twice counts twice."""
    peek = session.db.peek
    if len(argv) == 2:
        # Half the time of a sum, and scripts ask much about one key.
        return 0 if peek(argv[1]) is None else 1
    return sum(peek(key) is not None for key in argv[1:])


@command("TOUCH")
def touch(session: Session, argv: list[bytes]) -> Reply:
    """Use keys, so that they are not the next to be evicted. Returns how many are there."""
    read = session.db.read_any
    return sum(read(key) is not None for key in argv[1:])


@command("KEYS")
def keys(session: Session, argv: list[bytes]) -> Reply:
    """Every key that matches. Reads them all in one go: for debugging."""
    matches = compile_glob(argv[1])
    found = [key for key in session.db.data if matches(key)]
    return [key for key in found if session.db.find(key) is not None]


@command("DBSIZE")
def database_size(session: Session, argv: list[bytes]) -> Reply:
    """How many keys there are, those included that expired unnoticed."""
    return len(session.db.data)


@command("RANDOMKEY")
def random_key(session: Session, argv: list[bytes]) -> Reply:
    """Some key; null without any."""
    return pick_key(session.db)


@command("FLUSHDB")
def flush_database(session: Session, argv: list[bytes]) -> Reply:
    """Remove every key of the database."""
    _check_flush(argv)
    session.db.flush()
    return OK


@command("FLUSHALL")
def flush_all(session: Session, argv: list[bytes]) -> Reply:
    """Remove every key of every database."""
    _check_flush(argv)
    for db in session.engine.databases:
        db.flush()
    if session.engine.persistence is not None:
        session.engine.persistence.on_flush_all()
    return OK


def _check_flush(argv: list[bytes]) -> None:
    # Values are freed in slices either way, so SYNC and ASYNC are the same.
    if len(argv) > 2 or (len(argv) == 2 and argv[1].upper() not in (b"SYNC", b"ASYNC")):
        raise CommandFailure(SYNTAX_ERROR)


@command("RENAME")
def rename(session: Session, argv: list[bytes]) -> Reply:
    """Move a value to another key, in place of what that held."""
    _, key, new_key = argv
    if session.db.find(key) is None:
        raise CommandFailure(NO_SUCH_KEY)
    if key != new_key:
        _move(session, key, new_key)
    return OK


@command("RENAMENX")
def rename_if_absent(session: Session, argv: list[bytes]) -> Reply:
    """Move a value to a key that is not there. Returns 1, or 0 if it is."""
    _, key, new_key = argv
    if session.db.find(key) is None:
        raise CommandFailure(NO_SUCH_KEY)
    if session.db.find(new_key) is not None:
        return 0
    _move(session, key, new_key)
    return 1


def _move(session: Session, key: bytes, new_key: bytes) -> None:
    db = session.db
    move((db, key), (db, new_key), b"rename_from", b"rename_to")
