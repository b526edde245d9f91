"""Loading: an RDB file becomes keys and functions of an engine.

Keys that are strings come many at a time (`string_keys.py`), and go on together through
the door for loading (`loading_door.py`). All others are walked over one by one.
"""

from __future__ import annotations

from time import perf_counter

from sharedstate_memory.loading_door import (
    TakenError,
    admit,
    admit_strings,
    let_expire,
    open_to_waiters,
)
from sharedstate_memory.rdb.errors import RdbError
from sharedstate_memory.rdb.string_keys import begins_string_key, take_string_keys
from sharedstate_memory.rdb.walk import Library, Walker
from sharedstate_memory.replies import CommandFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from sharedstate_memory.engine import Engine
    from sharedstate_memory.keyspace import Keyspace
    from sharedstate_memory.rdb.source import RdbSource
    from sharedstate_memory.rdb.values import Content
    from sharedstate_memory.rdb.walk import Key

SLICE_S = 0.004
"""How long is worked before the caller has its turn."""

_LONG_AGO_MS = -(2**64)


def load(
    source: RdbSource,
    engine: Engine,
    *,
    checksum: bool = True,
    keeps_expired: bool = False,
    replaces: bool = False,
) -> Iterator[int]:
    """Load all keys and functions of a file, beside what the engine holds.

    Yields how many bytes were parsed, every few milliseconds of work and at the end: then
    the source stands right behind the file, which something else may follow
    (`source.leftover`). `source.aux`, `keys_loaded` and `keys_expired` tell of it.

    No effects, no events, no watches broken, `dirty` as it was. Keys whose time has come
    are left out, unless a log follows that was written before it had (`keeps_expired`).
    A key or a library that is there already is refused; with `replaces`, replaced.

    Raises RdbError. What came before the damage is loaded then: the caller flushes.
    """
    loading = _Loading(source, engine, keeps_expired=keeps_expired, replaces=replaces)
    walker = Walker(source, checksum=checksum)
    walker.begin()
    give_up_at = perf_counter() + SLICE_S
    for _ in loading.run(walker):
        if perf_counter() >= give_up_at:
            yield source.offset
            give_up_at = perf_counter() + SLICE_S
    for db in engine.databases:
        open_to_waiters(db)
    yield source.offset


class _Loading:
    """One file on its way into an engine."""

    __slots__ = ("_engine", "_now_ms", "_replaces", "_source")

    def __init__(
        self, source: RdbSource, engine: Engine, *, keeps_expired: bool, replaces: bool
    ) -> None:
        self._source = source
        self._engine = engine
        self._replaces = replaces
        # What is due by then is left out.
        self._now_ms = _LONG_AGO_MS if keeps_expired else engine.clock_ms()

    def run(self, walker: Walker) -> Iterator[None]:
        """Load everything, with a pause every millisecond or less."""
        while True:
            while not self._replaces and self._load_strings(walker.database):
                yield
            item = yield from walker.step()
            if item is None:
                return
            if isinstance(item, Library):
                self._load_library(item)
            else:
                self._load_key(item)
            yield

    def _database(self, index: int, offset: int) -> Keyspace:
        databases = self._engine.databases
        if index < len(databases):
            return databases[index]
        raise RdbError(offset, f"a key of database {index}, but there are {len(databases)}")

    def _load_strings(self, index: int) -> bool:
        """Load the strings that come next, some at a time. Whether there were any."""
        source = self._source
        if not begins_string_key(source):
            return False
        offset = source.offset
        found = take_string_keys(source, self._now_ms)
        db = self._database(index, offset)
        try:
            admit_strings(db, found.keys, found.expanded)
        except TakenError as error:
            raise _taken(offset, db, error) from None
        for key, deadline_ms in found.deadlines:
            let_expire(db, key, deadline_ms)
        source.keys_loaded += len(found.keys)
        source.keys_expired += found.expired
        return bool(found.keys or found.expired)

    def _load_key(self, item: Key) -> None:
        db = self._database(item.database, item.offset)
        content = item.content
        if not content.value and type(content.value) is not bytes:
            return  # As redis-server does: an empty container is no key.
        if self._is_over(item.deadline_ms) or not self._drop_fields(content):
            self._source.keys_expired += 1
            return
        if self._replaces and item.name in db.data:
            db.remove(item.name)
        try:
            admit(db, item.name, content.value)
        except TakenError as error:
            raise _taken(item.offset, db, error) from None
        let_expire(db, item.name, item.deadline_ms, content.field_deadlines)
        self._engine.eviction.note_use(db, item.name, item.idle_seconds, item.frequency)
        self._source.keys_loaded += 1

    def _is_over(self, deadline_ms: int | None) -> bool:
        return deadline_ms is not None and deadline_ms <= self._now_ms

    def _drop_fields(self, content: Content) -> bool:
        """Leave out the fields of a hash whose time has come. False if none stays."""
        deadlines = content.field_deadlines
        if deadlines is None:
            return True
        fields: dict[bytes, bytes] = content.value  # type: ignore[assignment]
        for name in [name for name, at_ms in deadlines.items() if self._is_over(at_ms)]:
            del deadlines[name], fields[name]
        content.field_deadlines = deadlines or None
        return bool(fields)

    def _load_library(self, library: Library) -> None:
        from sharedstate_memory.functions import functions_of

        functions = functions_of(self._engine)
        try:
            functions.restore([library.code], flush=False, replace=self._replaces)
        except CommandFailure as failure:
            text = failure.reply.text.decode("utf-8", "replace")
            raise RdbError(
                library.offset, f"a library that cannot be loaded: {text}"
            ) from None


def _taken(offset: int, db: Keyspace, error: TakenError) -> RdbError:
    return RdbError(offset, f"the key {error.key!r} of database {db.index} comes twice")
