"""Moving: values that go elsewhere as a whole, with their deadlines: to another key, to
another database, or with all the others of their database.

What is moved is not copied and not freed on the way, however big it is. What is copied
shares nothing with the original that could change.

This is a part of the door for change (`keyspace.py`).
"""

from __future__ import annotations

from sharedstate_memory.sizes import size_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sharedstate_memory.keyspace import Keyspace

    # A key, and the database that it is in.
    Place = tuple[Keyspace, bytes]

# What of a keyspace belongs to its keys, and not to who watches it or waits there.
_CONTENTS = (
    "buckets",
    "clocks",
    "compaction",
    "data",
    "deadlines",
    "field_deadlines",
    "order",
    "volatile_order",
)


def move(source: Place, target: Place, event: bytes, event_there: bytes) -> None:
    """Move the value of a key that is there, in place of what the target held. The events
    are those of the two keys.
    """
    db, key = source
    deadline_ms = db.deadline_of(key)
    fields = db.field_deadlines.get(key)
    if fields is not None:
        fields.leave(db, key)
    value = db.take(key)
    target[0].receive(target[1], value)
    _tell(source, event)
    _tell(target, event_there)
    if fields is not None:
        fields.arrive(*target)
    elif deadline_ms is not None:
        target[0].set_deadline(target[1], deadline_ms, b"")


def copy(source: Place, target: Place) -> None:
    """Copy the value of a key that is there, in place of what the target held. Linear."""
    db, key = source
    value = db.data[key]
    copied = value if isinstance(value, bytes) else value.copy()
    deadline_ms = db.deadline_of(key)
    fields = db.field_deadlines.get(key)
    db.engine.used_bytes += size_of(copied)
    target[0].receive(target[1], copied)
    _tell(target, b"copy_to")
    if fields is not None:
        fields.copy().attach(*target)
    elif deadline_ms is not None:
        target[0].set_deadline(target[1], deadline_ms, b"")


def _tell(place: Place, event: bytes) -> None:
    db, key = place
    if db.engine.events is not None:
        db.engine.events.add(db.index, key, event)


def exchange(left: Keyspace, right: Keyspace) -> None:
    """Let two databases have each other's keys. In constant time, but for the keys that
    somebody watches or waits for: a watch is broken if its key was in either database,
    and whoever waits for a key that has come is served.
    """
    for db in (left, right):
        for key in db.watchers:
            if key in left.data or key in right.data:
                db.break_watches(key)
    for name in _CONTENTS:
        ours = getattr(left, name)
        setattr(left, name, getattr(right, name))
        setattr(right, name, ours)
    for db in (left, right):
        db.dirty += 1
        for key in db.waiters.keys() & db.data.keys():
            db.engine.waits.note_ready(db, key)
    left.mark_effect()
    # Clients that cache are told of keys without their databases.
    if left.engine.tracking is not None:
        left.engine.tracking.forget_everything()
