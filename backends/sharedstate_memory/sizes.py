"""Sizes: what data costs in memory, as counted for INFO and `maxmemory`.

The interpreter cannot be asked what it has handed out, so what is kept is counted: every
change adds the difference it makes. A count has to be cheap, so each string costs its
length and a constant, and each place in a container costs a constant: what CPython takes
for it on average, its share of the tables that are half empty included. Measured with a
million keys, the sum stays within a few per cent of what the process grows by
(`benchmarks/memory.py`).

Invariant: `Engine.used_bytes` is the sum of `size_of_entry` over all keys, deadlines
included, and of what is still to be disposed of.
"""

from __future__ import annotations

from collections import deque
from itertools import islice
from sys import getsizeof

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from sharedstate_memory.keyspace import Keyspace, Value

STRING = 44
"""A string beside its bytes: the object's head, and what rounding to 16 bytes adds. A
little more than on average, for data has many strings of 16 and 32 bytes.
"""

PLACE = 44
"""A place in a dict: hash, two references, and the share of the places left free."""

KEY = STRING + PLACE + 9
"""A key beside its bytes and value: its string, its places in the dict and the order."""

DEADLINE = PLACE + 32 + 48
"""A deadline: its place, its number, and its place in a bucket of time."""

CLOCK = PLACE
"""The time of a key's last use, while an eviction policy asks for it."""

FIELD = 2 * STRING + PLACE
"""A field of a hash beside the bytes of its name and value."""

MEMBER = STRING + 44
"""A member of a set beside its bytes."""

ITEM = STRING + 9
"""An item of a list beside its bytes."""

SCORED = 2 * STRING + PLACE + 8 + 11
"""A member of a sorted set beside its bytes, which count twice, for they are kept by
themselves and behind the score: two strings, the score, a place, and one in the order.
"""

HASH = 64
SET = 248
LIST = 760
SORTED_SET = 250
"""An empty container of each kind, with the room it begins with."""


def total(strings: Iterable[bytes]) -> int:
    """The bytes of some strings, without what objects cost."""
    return sum(map(len, strings))


def size_of(value: Value) -> int:
    """What a value costs, without its key. Linear in the number of its elements."""
    kind = type(value)
    if kind is bytes:
        return STRING + len(value)
    if kind is dict:
        pairs = total(value) + total(value.values())  # type: ignore[union-attr, arg-type]
        return HASH + FIELD * len(value) + pairs
    if kind is set:
        return SET + MEMBER * len(value) + total(value)  # type: ignore[arg-type]
    if kind is deque:
        return LIST + ITEM * len(value) + total(value)  # type: ignore[arg-type]
    # A member of a sorted set is kept twice: by itself, and behind its score.
    return SORTED_SET + SCORED * len(value) + 2 * total(value)  # type: ignore[arg-type]


def estimate_of(value: Value, samples: int) -> int:
    """As `size_of`, judging a container by so many of its elements; by all for 0."""
    if type(value) is bytes or not 0 < samples < len(value):
        return size_of(value)
    if isinstance(value, dict):
        looked_at = sum(len(f) + len(v) for f, v in islice(value.items(), samples))
    else:
        looked_at = total(islice(value, samples))  # type: ignore[arg-type]
        if not isinstance(value, (set, deque)):
            looked_at *= 2
    base, each = _parts_of(value)
    return base + each * len(value) + looked_at * len(value) // samples


def _parts_of(value: Value) -> tuple[int, int]:
    """What a container costs when empty, and what an element does beside its bytes."""
    if isinstance(value, dict):
        return HASH, FIELD
    if isinstance(value, set):
        return SET, MEMBER
    if isinstance(value, deque):
        return LIST, ITEM
    return SORTED_SET, SCORED


def unevenness_of(databases: Iterable[Keyspace]) -> int:
    """By how much the tables of keys take more than is counted for their places, or less.

    A dict that has just grown is half empty, so that a place takes from 30 to 60 bytes. In
    a container that hardly matters; the table of a million keys can be asked. What it
    keeps of places whose keys have gone counts up to a bound only, or else an eviction
    could not end before the last key.
    """
    return sum(
        _beyond(getsizeof(db.data), PLACE * len(db.data))
        + _beyond(getsizeof(db.deadlines), PLACE * len(db.deadlines))
        for db in databases
        if db.data
    )


def _beyond(size_bytes: int, counted: int) -> int:
    return max(min(size_bytes - counted, counted // 2), -counted // 2)


def size_of_entry(key: bytes, value: Value) -> int:
    """What a key and its value cost, without its deadline."""
    return KEY + len(key) + size_of(value)
