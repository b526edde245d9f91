"""Checking what a keyspace keeps beside its data against the data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sharedstate_memory.expiry import BUCKET_BITS
from sharedstate_memory.key_order import STALE_KEPT
from tests.unit.memory.recount import assert_counted

if TYPE_CHECKING:
    from collections.abc import Set

    from sharedstate_memory.engine import Engine
    from sharedstate_memory.keyspace import Keyspace


def check_engine(engine: Engine) -> None:
    """Check that of every database, and what all of them count."""
    assert_counted(engine)
    for db in engine.databases:
        check_tables(db)


def check_tables(db: Keyspace, hidden: Set[bytes] = frozenset()) -> None:
    """Check that order, deadlines, buckets and clocks are those of the keys that are
    there, and of those that a pause has hidden.
    """
    keys = db.data.keys() | hidden
    assert keys <= {*db.order}
    assert len(db.order) <= 2 * len(keys) + STALE_KEPT + 1
    assert db.deadlines.keys() <= keys
    assert not db.volatile_order or db.deadlines.keys() <= {*db.volatile_order}
    assert db.clocks.keys() <= keys
    assert db.field_deadlines.keys() <= db.deadlines.keys()
    _check_buckets(db)
    for key in db.field_deadlines.keys() - hidden:
        fields, timed = db.data[key], db.field_deadlines[key]
        assert type(fields) is dict
        assert 0 < len(timed) <= len(fields)
        assert {*timed} <= fields.keys()
        assert db.deadlines[key] == timed.first_ms
    assert all(len(value) > 0 for value in db.data.values() if type(value) is not bytes)


def _check_buckets(db: Keyspace) -> None:
    found: list[tuple[int, bytes]] = []
    for number, keys in db.buckets.keys.items():
        found += [(number, key) for key in ((keys,) if isinstance(keys, bytes) else keys)]
    wanted = [(at_ms >> BUCKET_BITS, key) for key, at_ms in db.deadlines.items()]
    assert sorted(found) == sorted(wanted)
