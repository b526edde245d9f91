"""Keys as commands: what writes a key into any store that speaks Redis's commands.

    string  SET          list  RPUSH      set  SADD
    hash    HSET         zset  ZADD       deadlines  PEXPIREAT, HPEXPIREAT: absolute

Big containers come in portions, each a command that a store executes in a moment.
"""

from __future__ import annotations

from collections import deque
from itertools import islice

from sharedstate_memory.replies import format_double
from sharedstate_memory.sorted_set import SortedSet

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sharedstate.backend import Command
    from sharedstate_memory.keyspace import Value
    from sharedstate_memory.rdb.values import Content

PORTION_ELEMENTS = 512
"""A portion has at most so many elements,"""

PORTION_BYTES = 256 * 1024
"""and stops growing at so many bytes."""

_FIELDS_PER_COMMAND = 512


def portions(name: bytes, value: Value) -> Iterator[Command]:
    """The commands that give a key its value. One for a key that is not big."""
    if isinstance(value, bytes):
        yield ("SET", name, value)
    elif isinstance(value, dict):
        yield from _sliced("HSET", name, value.items())
    elif isinstance(value, SortedSet):
        scored = value.scores().items()
        yield from _sliced(
            "ZADD", name, ((format_double(score), member) for member, score in scored)
        )
    elif isinstance(value, deque):
        yield from _sliced("RPUSH", name, ((element,) for element in value))
    else:
        yield from _sliced("SADD", name, ((element,) for element in value))


def _sliced(
    command: str, name: bytes, elements: Iterable[tuple[bytes, ...]]
) -> Iterator[Command]:
    words: list[bytes] = []
    count = size = 0
    for element in elements:
        words += element
        count += 1
        size += sum(map(len, element))
        if count >= PORTION_ELEMENTS or size >= PORTION_BYTES:
            yield (command, name, *words)
            words, count, size = [], 0, 0
    if words:
        yield (command, name, *words)


def deadline_commands(
    name: bytes, deadline_ms: int | None, content: Content
) -> Iterator[Command]:
    """The commands that let a key and its fields expire when they should."""
    if deadline_ms is not None:
        yield ("PEXPIREAT", name, deadline_ms)
    moments: dict[int, list[bytes]] = {}
    for field, at_ms in (content.field_deadlines or {}).items():
        moments.setdefault(at_ms, []).append(field)
    for at_ms, fields in moments.items():
        rest = iter(fields)
        while part := tuple(islice(rest, _FIELDS_PER_COMMAND)):
            yield ("HPEXPIREAT", name, at_ms, "FIELDS", len(part), *part)


def without_expired(deadline_ms: int | None, content: Content, now_ms: int) -> bool:
    """Take the fields whose time has come out of a value. False if nothing is left of the
    key, or its own time has come.
    """
    if deadline_ms is not None and deadline_ms <= now_ms:
        return False
    fields, value = content.field_deadlines, content.value
    if fields and isinstance(value, dict):
        for field in [field for field, at_ms in fields.items() if at_ms <= now_ms]:
            del fields[field], value[field]
    return bool(value) or isinstance(value, bytes)


def size_of(command: Command) -> int:
    """How many bytes a command has, about."""
    return sum(len(word) if isinstance(word, bytes) else 8 for word in command)


_SUFFIX = b":sharedstate-restore"


def temporary_name(name: bytes) -> bytes:
    """Where a big container is built until it is whole. The same each time, so that who
    repeats clears away what an interruption has left; in the key's own cluster slot.
    """
    tag = name.partition(b"{")[2].partition(b"}")
    if tag[0] and tag[1]:
        return name + _SUFFIX
    return b"{" + name + b"}" + _SUFFIX
