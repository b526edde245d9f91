"""Writing an RDB file: a snapshot of everything that an engine holds.

It comes in pieces of some 64 kB, each key after the other as it stands in the data, and
the engine must not change meanwhile: that is why snapshots are made in a forked child, or
while nobody is served. Nothing of the engine is changed by it, so that a child shares as
much memory with its parent as the interpreter lets it.

Keys that are strings, in databases without clocks, are written where they are, without
being touched (`untouched.py`); where that cannot be done, by a loop of their own, in a
fifth of the time of others.
"""

from __future__ import annotations

from operator import length_hint

from sharedstate_memory.rdb import format as form
from sharedstate_memory.rdb.checksum import START, crc64
from sharedstate_memory.rdb.encoding import (
    LEAST_COMPRESSED,
    LENGTHS,
    PIECE_BYTES,
    Encoder,
    type_of,
)
from sharedstate_memory.rdb.format import LONGEST_INTEGER, length_bytes
from sharedstate_memory.rdb.untouched import untouched

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from sharedstate_memory.engine import Engine
    from sharedstate_memory.keyspace import Keyspace, Value
    from sharedstate_memory.rdb.untouched import Untouched

# Of four or five for each key; of keys whose values are not big.
_PARTS_AT_ONCE = 2048
_BIG = len(LENGTHS)


def _tell_nobody(keys_done: int) -> None:
    """Nobody follows how far it is."""


def snapshot(
    engine: Engine,
    *,
    aux: Mapping[bytes, bytes] | None = None,
    compress: bool = True,
    checksum: bool = True,
    on_piece: Callable[[int], None] = _tell_nobody,
) -> Iterator[bytes]:
    """A whole file, in pieces of `PIECE_BYTES` and more. `aux` are fields beside the usual
    ones, such as `{b"aof-base": b"1"}`. Without compression strings stay as they are;
    without a checksum it is zeros, which nobody checks. `on_piece` is called before each
    piece but the last, with how many keys have been written.
    """
    sum_so_far = START
    parts: list[bytes] = []
    size = 0
    written = _Snapshot(engine, compress=compress)
    for part in written.parts(aux or {}):
        parts.append(part)
        size += len(part)
        if size >= PIECE_BYTES:
            piece = b"".join(parts)
            sum_so_far = crc64(piece, sum_so_far) if checksum else START
            on_piece(written.keys_done)
            yield piece
            parts, size = [], 0
    piece = b"".join(parts)
    yield piece + (crc64(piece, sum_so_far) if checksum else START)


class _Snapshot:
    """One snapshot of an engine, part by part."""

    __slots__ = ("_begun", "_encoder", "_engine", "_items", "_untouched")

    def __init__(self, engine: Engine, *, compress: bool) -> None:
        self._engine = engine
        self._encoder = Encoder(compress=compress)
        self._untouched = untouched(LEAST_COMPRESSED if compress else None)
        # The keys of the databases so far, and what is left of those of the last one.
        self._begun = 0
        self._items: Iterator[tuple[bytes, Value]] = iter(())

    @property
    def keys_done(self) -> int:
        """How many keys have been written."""
        untouched_count = 0 if self._untouched is None else self._untouched.count
        return untouched_count + self._begun - length_hint(self._items)

    def parts(self, aux: Mapping[bytes, bytes]) -> Iterator[bytes]:
        """The file up to its checksum."""
        engine = self._engine
        yield form.MAGIC + b"%04d" % self._version()
        yield from self._aux(
            {
                b"redis-ver": engine.redis_version.encode(),
                b"redis-bits": b"64",
                b"ctime": b"%d" % (engine.clock_ms() // 1000),
                b"used-mem": b"%d" % engine.used_bytes,
                **aux,
            }
        )
        yield from self._libraries()
        for db in engine.databases:
            if db.data:
                yield from self._database(db)
        yield bytes((form.EOF,))

    def _version(self) -> int:
        has_field_deadlines = any(db.field_deadlines for db in self._engine.databases)
        return form.FIELD_DEADLINES_VERSION if has_field_deadlines else form.PLAIN_VERSION

    def _aux(self, fields: Mapping[bytes, bytes]) -> Iterator[bytes]:
        string = self._encoder.string
        for name, value in fields.items():
            yield bytes((form.AUX,)) + string(name) + string(value)

    def _libraries(self) -> Iterator[bytes]:
        functions = self._engine.functions
        for library in () if functions is None else functions.libraries.values():
            yield bytes((form.FUNCTION,)) + self._encoder.string(library.code)

    def _database(self, db: Keyspace) -> Iterator[bytes]:
        yield bytes((form.SELECT,)) + length_bytes(db.index)
        timed = sum(db.deadline_of(key) is not None for key in db.field_deadlines)
        timed += len(db.deadlines) - len(db.field_deadlines)
        yield bytes((form.RESIZE,)) + length_bytes(len(db.data)) + length_bytes(timed)
        if db.clock is None and self._untouched is not None:
            yield from self._keys_untouched(db, self._untouched)
            return
        self._begun += len(db.data)
        self._items = iter(db.data.items())
        if db.clock is None:
            yield from self._keys_quickly(db)
        else:
            for key, value in self._items:
                yield from self._key(db, key, value)

    # -- keys

    def _keys_untouched(self, db: Keyspace, strings: Untouched) -> Iterator[bytes]:
        """Keys without clocks: strings where they are, others as they come."""
        for piece, other in strings.keys(db.data, db.deadlines):
            yield piece
            if other is not None:
                self._begun += 1
                yield from self._key(db, other, db.data[other])

    def _keys_quickly(self, db: Keyspace) -> Iterator[bytes]:
        """Keys without clocks: strings by a loop of their own, the hot path of saving."""
        encoder, lengths = self._encoder, LENGTHS
        least, string = encoder.least_compressed, encoder.string
        named = [b"\0" + length for length in lengths[: form.FOURTEEN_BITS]]
        deadlines = db.deadlines
        parts: list[bytes] = []
        for key, value in self._items:
            if type(value) is not bytes or len(value) >= _BIG or len(key) >= len(named):
                yield b"".join(parts)
                parts = []
                yield from self._key(db, key, value)
                continue
            if deadlines and key in deadlines:
                parts.append(_deadline(deadlines[key]))
            if LONGEST_INTEGER < len(value) < least:
                parts += (named[len(key)], key, lengths[len(value)], value)
            else:
                parts += (named[len(key)], key, string(value))
            if len(parts) >= _PARTS_AT_ONCE:
                yield b"".join(parts)
                parts = []
        yield b"".join(parts)

    def _key(self, db: Keyspace, key: bytes, value: Value) -> Iterator[bytes]:
        """A key with all that is to be said of it."""
        fields = db.field_deadlines.get(key)
        kind = type_of(value) if fields is None else form.HASH_DEADLINES
        yield self._facts(db, key) + bytes((kind,)) + length_bytes(len(key)) + key
        if fields is None:
            yield from self._encoder.value(value)
        else:
            hashed: dict[bytes, bytes] = value  # type: ignore[assignment]
            yield from self._encoder.field_deadlines(hashed, fields.deadlines())

    def _facts(self, db: Keyspace, key: bytes) -> bytes:
        """What stands in front of a key: its deadline, and its use."""
        deadline_ms = db.deadline_of(key)
        facts = b"" if deadline_ms is None else _deadline(deadline_ms)
        if db.clock is None:
            return facts
        idle_seconds, count = self._engine.eviction.use_of(db, key)
        if idle_seconds is not None:
            facts += bytes((form.IDLE,)) + length_bytes(idle_seconds)
        if count is not None:
            facts += bytes((form.FREQUENCY, count))
        return facts


def _deadline(deadline_ms: int) -> bytes:
    return bytes((form.DEADLINE_MS,)) + deadline_ms.to_bytes(8, "little", signed=True)
