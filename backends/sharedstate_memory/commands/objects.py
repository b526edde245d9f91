"""OBJECT: how a value is kept.

Values are kept in one way for each type here, so the encodings are those that Redis would
have given a value made anew, by the settings that say what counts as small. In Redis a
value that was big once keeps the encoding of a big one.
"""

from __future__ import annotations

from collections import deque
from itertools import chain

from sharedstate_memory.commands.arguments import parse_integer
from sharedstate_memory.commands.registry import command
from sharedstate_memory.replies import CommandFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from sharedstate_memory.keyspace import Value
    from sharedstate_memory.replies import Reply
    from sharedstate_memory.session import Session
    from sharedstate_memory.settings import Settings

# Strings up to this length share the memory of their object's head.
_EMBEDDED_BYTES = 44

# The numbers that Redis keeps once for all, and how often it says that they are used.
_SHARED_NUMBERS = 10_000
_SHARED_COUNT = 2**31 - 1


@command("OBJECT|ENCODING")
def encoding(session: Session, argv: list[bytes]) -> Reply:
    """How a key's value is kept; null without one."""
    value = session.db.find(argv[2])
    return None if value is None else encoding_of(session.engine.settings, value)


@command("OBJECT|REFCOUNT")
def reference_count(session: Session, argv: list[bytes]) -> Reply:
    """How many users a key's value has: one, but for small numbers; null without one."""
    value = session.db.find(argv[2])
    if value is None:
        return None
    if not isinstance(value, bytes) or not _is_integer(value):
        return 1
    return _SHARED_COUNT if 0 <= int(value) < _SHARED_NUMBERS else 1


@command("OBJECT|FREQ")
def frequency(session: Session, argv: list[bytes]) -> Reply:
    """How often a key was used lately, on a logarithmic scale; null without one."""
    if session.db.find(argv[2]) is None:
        return None
    return session.engine.eviction.frequency(session.db, argv[2])


@command("OBJECT|IDLETIME")
def idle_time(session: Session, argv: list[bytes]) -> Reply:
    """For how many seconds a key was not used; null without one."""
    if session.db.find(argv[2]) is None:
        return None
    return session.engine.eviction.idle_seconds(session.db, argv[2])


def encoding_of(settings: Settings, value: Value) -> bytes:
    """The encoding that Redis would have given a value. Linear in what counts as small."""
    if isinstance(value, bytes):
        return _encoding_of_string(value)
    if isinstance(value, deque):
        return b"quicklist"
    if isinstance(value, set):
        is_small = len(value) <= settings["set-max-intset-entries"]
        return b"intset" if is_small and all(map(_is_integer, value)) else b"hashtable"
    if isinstance(value, dict):
        parts = chain(value, value.values())
        is_compact = _is_compact(settings, "hash", len(value), parts)
        return b"listpack" if is_compact else b"hashtable"
    is_compact = _is_compact(settings, "zset", len(value), value)
    return b"listpack" if is_compact else b"skiplist"


def _is_compact(settings: Settings, kind: str, length: int, parts: Iterable[bytes]) -> bool:
    """Whether a container, and each part of it, is small enough for one piece of memory."""
    if length > settings[f"{kind}-max-listpack-entries"]:
        return False
    longest: int = settings[f"{kind}-max-listpack-value"]
    return all(len(part) <= longest for part in parts)


def _encoding_of_string(value: bytes) -> bytes:
    if _is_integer(value):
        return b"int"
    return b"embstr" if len(value) <= _EMBEDDED_BYTES else b"raw"


def _is_integer(text: bytes) -> bool:
    try:
        parse_integer(text)
    except CommandFailure:
        return False
    return True
