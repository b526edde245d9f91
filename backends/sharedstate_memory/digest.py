"""Digests: numbers by which two sets of keys can be told to be equal, or not.

A key's digest comes from its name, its type, its content and its deadline; that of many
keys from those of each, in no order. Order counts in a list and nowhere else. So whoever
can read a server's keys, ours or another's, can say what `DEBUG DIGEST` must answer.

The form is our own: it is not that of Redis.
"""

from __future__ import annotations

from collections import deque
from hashlib import sha1

from sharedstate_memory.replies import format_double
from sharedstate_memory.sorted_set import SortedSet

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from sharedstate_memory.keyspace import Keyspace, Value

NOTHING = "0" * 40
"""The digest of no key at all."""


def digest_of_databases(databases: Iterable[Keyspace]) -> str:
    """The digest of all keys of some databases."""
    return combine(
        _sign(b"%d" % db.index, combine(digest_of_key(db, key) for key in db.data).encode())
        for db in databases
        if db.data
    )


def digest_of_key(db: Keyspace, key: bytes) -> str:
    """The digest of a key that is there, with its name."""
    return _sign(b"key", key, digest_of_content(db, key).encode())


def digest_of_content(db: Keyspace, key: bytes) -> str:
    """The digest of a key that is there, without its name."""
    digest = digest_of_value(db.data[key], db.deadline_of(key))
    fields = db.field_deadlines.get(key)
    if fields is None:
        return digest
    deadlines = fields.scores().items()
    return combine([digest, *(_sign(b"field", name, b"%d" % at) for name, at in deadlines)])


def digest_of_value(value: Value, deadline_ms: int | None) -> str:
    """The digest of a value and its deadline, in milliseconds since the epoch."""
    deadline = b"" if deadline_ms is None else b"%d" % deadline_ms
    return _sign(b"value", _content(value).encode(), deadline)


def _content(value: Value) -> str:
    if isinstance(value, bytes):
        return _sign(b"string", value)
    if isinstance(value, deque):
        return _sign(b"list", *value)
    if isinstance(value, dict):
        return combine(_sign(b"hash", field, item) for field, item in value.items())
    if isinstance(value, SortedSet):
        return combine(
            _sign(b"zset", member, format_double(score))
            for member, score in value.scores().items()
        )
    return combine(_sign(b"set", member) for member in value)


def combine(digests: Iterable[str]) -> str:
    """A digest of several, whatever their order."""
    total = sum(int(digest, 16) for digest in digests) % (1 << 160)
    return f"{total:040x}"


def _sign(*parts: bytes) -> str:
    """A digest of several strings, in their order: each with its length in front."""
    signed = sha1(usedforsecurity=False)
    for part in parts:
        signed.update(b"%d:%b" % (len(part), part))
    return signed.hexdigest()
