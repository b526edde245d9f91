"""A base of commands: the data of an engine as the shortest log that makes it.

What `aof-use-rdb-preamble no` asks for. Values come in commands of so many elements, so
that loading one is a slice's work, and deadlines behind them, absolute.
"""

from __future__ import annotations

from collections import deque
from itertools import islice

from sharedstate_memory.replies import format_double
from sharedstate_memory.sorted_set import SortedSet
from sharedstate_server.aof.packing import pack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sharedstate_memory.engine import Engine
    from sharedstate_memory.keyspace import Keyspace, Value

ELEMENTS_PER_COMMAND = 64
"""As in Redis."""

CHUNK_BYTES = 64 * 1024


def base_of_commands(engine: Engine) -> Iterator[bytes]:
    """The log in chunks of `CHUNK_BYTES` or more. Nothing may change meanwhile."""
    pieces: list[bytes] = []
    size = 0
    for argv in _commands(engine):
        piece = pack(argv)
        pieces.append(piece)
        size += len(piece)
        if size >= CHUNK_BYTES:
            yield b"".join(pieces)
            pieces.clear()
            size = 0
    if pieces:
        yield b"".join(pieces)


def _commands(engine: Engine) -> Iterator[tuple[bytes, ...]]:
    if engine.functions is not None:
        for library in engine.functions.libraries.values():
            yield (b"FUNCTION", b"LOAD", library.code)
    for db in engine.databases:
        if db.data:
            yield (b"SELECT", b"%d" % db.index)
            yield from _commands_of_database(db)


def _commands_of_database(db: Keyspace) -> Iterator[tuple[bytes, ...]]:
    for key, value in db.data.items():
        yield from _commands_of_value(key, value)
        deadline_ms = db.deadline_of(key) if key in db.deadlines else None
        if deadline_ms is not None:
            yield (b"PEXPIREAT", key, b"%d" % deadline_ms)
        if key in db.field_deadlines:
            yield from _field_deadlines(db, key)


def _commands_of_value(key: bytes, value: Value) -> Iterator[tuple[bytes, ...]]:
    if isinstance(value, bytes):
        yield (b"SET", key, value)
    elif isinstance(value, deque):
        yield from _sliced(b"RPUSH", key, value, ELEMENTS_PER_COMMAND)
    elif isinstance(value, dict):
        pairs = (part for pair in value.items() for part in pair)
        yield from _sliced(b"HSET", key, pairs, 2 * ELEMENTS_PER_COMMAND)
    elif isinstance(value, SortedSet):
        scored = value.scores().items()
        pairs = (
            part for member, score in scored for part in (format_double(score), member)
        )
        yield from _sliced(b"ZADD", key, pairs, 2 * ELEMENTS_PER_COMMAND)
    else:
        yield from _sliced(b"SADD", key, value, ELEMENTS_PER_COMMAND)


def _sliced(
    name: bytes, key: bytes, words: Iterable[bytes], count: int
) -> Iterator[tuple[bytes, ...]]:
    """Commands that have so many of the words each."""
    rest = iter(words)
    while part := tuple(islice(rest, count)):
        yield (name, key, *part)


def _field_deadlines(db: Keyspace, key: bytes) -> Iterator[tuple[bytes, ...]]:
    for field, deadline_ms in db.field_deadlines[key].scores().items():
        at = b"%d" % int(deadline_ms)
        yield (b"HPEXPIREAT", key, at, b"FIELDS", b"1", field)
