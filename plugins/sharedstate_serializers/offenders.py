"""Where in a value the part is that a serializer refuses: `value['jobs'][3]`.

Serializers do not keep track of the path while they work, which would slow every value
down. When one refuses, the value is walked again, here, to tell the user where.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sharedstate.errors import SerializationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MAX_DEPTH = 500
"""How deep a path is followed. No serializer here takes a value that is nested deeper."""

Complaint = str | None
"""Why a part is refused, or None."""


def refuse(
    value: object,
    complain: Callable[[object, bool], Complaint],
    name: str,
    *,
    otherwise: str,
) -> SerializationError:
    """The error for a value that the serializer `name` refuses.

    `complain(part, is_key)` tells what is wrong with one part, without looking inside.
    `otherwise` is what to say if no part is at fault by itself.
    """
    for path, part, is_key in _walk(value):
        complaint = complain(part, is_key)
        if complaint is not None:
            return SerializationError(f"{path}: {complaint}")
    return SerializationError(f"value: the serializer {name!r} cannot take it: {otherwise}")


def unknown_type(part: object, expected: str) -> str:
    """The complaint about a part of a type that does not come back equal."""
    kind = type(part)
    name = kind.__qualname__ if kind.__module__ == "builtins" else _full_name(kind)
    return f"expected {expected}, got {name}; serializers that take it: pickle"


def _full_name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _walk(value: object) -> Iterator[tuple[str, object, bool]]:
    """All parts with their paths, outer before inner, each container once."""
    seen: set[int] = set()
    stack: list[tuple[str, object, bool, int]] = [("value", value, False, 0)]
    while stack:
        path, part, is_key, depth = stack.pop()
        yield path, part, is_key
        if id(part) in seen or depth >= MAX_DEPTH:
            continue
        inner = list(_parts(path, part))
        if inner:
            seen.add(id(part))
        # Pushed in reverse, so that the first offender is the one that is told.
        stack += [(where, each, key, depth + 1) for where, each, key in reversed(inner)]


def _parts(path: str, part: Any) -> Iterator[tuple[str, object, bool]]:
    kind = type(part)
    if kind is dict:
        for key, each in part.items():
            yield f"key {key!r:.50} of {path}", key, True
            yield f"{path}[{key!r:.50}]", each, False
    elif kind is list or kind is tuple:
        for index, each in enumerate(part):
            yield f"{path}[{index}]", each, False
    elif kind is set or kind is frozenset:
        for each in part:
            yield f"an item of {path}", each, False
