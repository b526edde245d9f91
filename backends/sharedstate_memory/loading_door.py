"""The door for loading: how keys come into a keyspace from a file.

Beside the door for change (`keyspace.py`), and for keys that are not there yet. It fills
the same tables: data, order, deadlines and buckets, clocks, and counts the same bytes.
What it leaves out is what nobody could want to know: nothing is counted as a change, has
an effect, an event, or breaks a watch. Many strings come in at once, at a fifth of the
cost of one by one.

Invariant: a key comes in wholly or not at all.
"""

from __future__ import annotations

from sharedstate_memory.field_deadlines import FieldDeadlines
from sharedstate_memory.sizes import CLOCK, KEY, STRING, size_of, total

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sharedstate_memory.keyspace import Keyspace, Value


class TakenError(Exception):
    """A key is there already, or comes twice."""

    def __init__(self, key: bytes) -> None:
        super().__init__(key)
        self.key = key


def admit(db: Keyspace, key: bytes, value: Value) -> None:
    """Let a key in. Raises TakenError if it is there."""
    if key in db.data:
        raise TakenError(key)
    db.data[key] = value
    db.order.append(key)
    db.engine.used_bytes += KEY + len(key) + size_of(value)
    if db.clock is not None:
        db.clock.touch(db.clocks, key)
        db.engine.used_bytes += CLOCK


def admit_strings(db: Keyspace, keys: list[bytes], values: list[bytes]) -> None:
    """Let keys in whose values are strings. Raises TakenError if one is there, or comes
    twice: then none is let in.
    """
    fresh = dict(zip(keys, values, strict=True))
    if len(fresh) < len(keys) or not db.data.keys().isdisjoint(fresh):
        raise TakenError(_first_taken(db, keys))
    db.data.update(fresh)
    db.order += keys
    db.engine.used_bytes += (KEY + STRING) * len(keys) + total(keys) + total(values)
    if db.clock is not None:
        for key in keys:
            db.clock.touch(db.clocks, key)
        db.engine.used_bytes += CLOCK * len(keys)


def let_expire(
    db: Keyspace,
    key: bytes,
    deadline_ms: int | None,
    fields: dict[bytes, int] | None = None,
) -> None:
    """Let a key that was let in expire at a time, and so its fields."""
    if fields is not None:
        FieldDeadlines(deadline_ms, fields).attach(db, key)
    elif deadline_ms is not None:
        db.schedule(key, deadline_ms)


def open_to_waiters(db: Keyspace) -> None:
    """Serve those who wait for keys that have come, when the unit ends."""
    for key in db.waiters.keys() & db.data.keys():
        db.engine.waits.note_ready(db, key)
        db.engine.pending = True


def _first_taken(db: Keyspace, keys: list[bytes]) -> bytes:
    seen: set[bytes] = set()
    for key in keys:
        if key in seen or key in db.data:
            return key
        seen.add(key)
    raise AssertionError("some key is taken")
