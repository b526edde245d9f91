"""Sampling: keys of a database at random, and the one that expires first.

A random key is a random place of the order of keys, tried again if it is stale. Keys that
have a deadline are few among many, so they have a list of their own, made when eviction
first asks for it and anew when half of it is stale.
"""

from __future__ import annotations

from sharedstate_memory.key_order import STALE_KEPT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

    from sharedstate_memory.keyspace import Keyspace

# Places of the order can be stale, every second one at most.
_TRIES_FOR_A_SAMPLE = 8
_LEAST_TRIES = 32


def random_key(db: Keyspace) -> bytes | None:
    """A key, each as likely as the next but for those removed and made again."""
    order, randrange = db.order, db.engine.random.randrange
    while db.data:
        key = order[randrange(len(order))]
        if db.find(key) is not None:
            return key
    return None


def sample(db: Keyspace, count: int, *, volatile: bool) -> list[bytes]:
    """Up to so many keys at random, of those with a deadline if `volatile`. None are
    looked at for expiry, and one may come twice.
    """
    table: Collection[bytes] = db.deadlines if volatile else db.data
    if not table:
        return []
    order = _order_of_deadlines(db) if volatile else db.order
    randrange, length = db.engine.random.randrange, len(order)
    found: list[bytes] = []
    for _ in range(max(count * _TRIES_FOR_A_SAMPLE, _LEAST_TRIES)):
        key = order[randrange(length)]
        if key in table and not (volatile and _has_fields_alone(db, key)):
            found.append(key)
            if len(found) == count:
                break
    if found or (volatile and db.field_deadlines):
        return found
    return [next(iter(table))]


def note_volatile(db: Keyspace, key: bytes) -> None:
    """Add a key that has got a deadline to the list of such keys, if there is one. Where
    nobody samples any more, the list goes when half of it is stale.
    """
    if len(db.volatile_order) > 2 * len(db.deadlines) + STALE_KEPT:
        db.volatile_order = []
    else:
        db.volatile_order.append(key)


def _has_fields_alone(db: Keyspace, key: bytes) -> bool:
    """Whether fields of a hash expire, and not the key."""
    return key in db.field_deadlines and db.deadline_of(key) is None


def _order_of_deadlines(db: Keyspace) -> list[bytes]:
    """Every key with a deadline, and stale ones: listed anew when these are the half."""
    listed = len(db.volatile_order)
    if not listed or listed > 2 * len(db.deadlines) + STALE_KEPT:
        db.volatile_order = list(db.deadlines)
    return db.volatile_order


def earliest_deadline(db: Keyspace) -> tuple[int, bytes] | None:
    """The key that expires next, and when; exact to a bucket's width, unless fields
    of a hash come first: then the best of a sample.
    """
    key = db.buckets.first_key()
    if key is not None and key in db.field_deadlines:
        keys = sample(db, _TRIES_FOR_A_SAMPLE, volatile=True)
        key = min(keys, key=db.deadlines.__getitem__, default=None)
    return None if key is None else (db.deadlines[key], key)
