"""The JSON of a dump: one object a line, as docs/persistence.md describes it.

Bytes are text if they are UTF-8, and {"base64": "…"} if not. Elements of lists, sets and
hashes stand in arrays, for the names of an object could not be bytes. What has no order
of its own is sorted, so that dumps of the same data are the same.
"""

from __future__ import annotations

from collections import deque
from math import isinf

from sharedstate_memory.rdb.describe import type_name
from sharedstate_memory.rdb.walk import Library
from sharedstate_memory.replies import format_double
from sharedstate_memory.sorted_set import SortedSet
from sharedstate_server.tools.examining import library_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from sharedstate_memory.keyspace import Value
    from sharedstate_server.tools.contents import Item


def form_of(item: Item) -> dict[str, Any]:
    """What JSON says of a key, or of a library."""
    if isinstance(item, Library):
        return {"library": library_name(item.code), "code": text_or_base64(item.code)}
    form = {
        "db": item.database,
        "key": text_or_base64(item.name),
        "type": type_name(item),
        "value": _value(item.content.value),
        "expires_at_ms": item.deadline_ms,
    }
    fields = item.content.field_deadlines
    if fields:
        form["field_expires_at_ms"] = [
            [text_or_base64(name), fields[name]] for name in sorted(fields)
        ]
    return form


def encoder() -> Callable[[object], str]:
    """What makes a line of such an object."""
    from json import JSONEncoder

    return JSONEncoder(ensure_ascii=False, check_circular=False, allow_nan=False).encode


def text_or_base64(data: bytes) -> str | dict[str, str]:
    """Bytes as JSON has them."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        from base64 import b64encode

        return {"base64": b64encode(data).decode("ascii")}


def _value(value: Value) -> object:
    if isinstance(value, bytes):
        return text_or_base64(value)
    if isinstance(value, dict):
        pairs = sorted(value.items())
        return [[text_or_base64(name), text_or_base64(text)] for name, text in pairs]
    if isinstance(value, SortedSet):
        scored = sorted(value.scores().items(), key=lambda pair: (pair[1], pair[0]))
        return [[text_or_base64(member), _score(score)] for member, score in scored]
    elements = value if isinstance(value, deque) else sorted(value)
    return [text_or_base64(element) for element in elements]


def _score(score: float) -> float | str:
    """A number, but for what JSON has none for: "inf" and "-inf"."""
    return format_double(score).decode("ascii") if isinf(score) else score
