"""Values as they stand in an RDB file: read, whatever form Redis has given them.

To read a big value takes long, so readers are generators that pause every millisecond or
less, and return what they read. `read_at_once` is for who does not care.

Everything is checked: members and fields that come twice, scores that are no numbers,
packed values that are wrong about themselves. An empty container is no damage here; what
becomes of it is for the caller to say.
"""

from __future__ import annotations

from collections import deque
from math import inf, isnan

from sharedstate_memory.rdb import format as form
from sharedstate_memory.rdb.errors import RdbError
from sharedstate_memory.rdb.packed import (
    PackedError,
    pairs,
    unpack_intset,
    unpack_listpack,
    unpack_ziplist,
    unpack_zipmap,
)
from sharedstate_memory.rdb.strings import (
    AT_ONCE,
    batches,
    scored_batches,
    take_strings,
)
from sharedstate_memory.sorted_set import SortedSet

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sized
    from typing import Any, TypeAlias, TypeVar

    from sharedstate_memory.keyspace import Value
    from sharedstate_memory.rdb.source import RdbSource

    T = TypeVar("T")
    Steps: TypeAlias = Generator[None, None, T]

MAX_FIELD_DEADLINE_MS = 2**48 - 1
"""Deadlines of fields have 48 bits in a file."""

_MOST_DIGITS = 20

# A score as text: what stands in place of its length.
_TEXT_SCORES = {254: inf, 255: -inf}
_TEXT_NAN = 253


class Content:
    """A value, and the deadlines of its fields if it is a hash that has any."""

    __slots__ = ("field_deadlines", "value")

    def __init__(
        self, value: Value, field_deadlines: dict[bytes, int] | None = None
    ) -> None:
        self.value = value
        self.field_deadlines = field_deadlines or None


def read_content(source: RdbSource, kind: int) -> Steps[Content]:
    """Read the value of a type. Raises RdbError for what is damaged or no type."""
    start = source.offset
    if kind in (form.HASH_DEADLINES, form.HASH_DEADLINES_LISTPACK):
        return (yield from _DEADLINE_READERS[kind](source))
    reader = _READERS.get(kind)
    if reader is None:
        raise RdbError(start - 1, f"a type was expected, but {kind} is none")
    try:
        return Content((yield from reader(source)))
    except PackedError as error:
        raise RdbError(start, str(error)) from None


def read_at_once(steps: Steps[T]) -> T:
    """What a reader returns, without a pause."""
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            result: T = stop.value
            return result


# -- written one by one


def _read_string(source: RdbSource) -> Steps[Value]:
    return source.take_string()
    yield


def _read_list(source: RdbSource) -> Steps[Value]:
    count = source.take_length()
    if count <= AT_ONCE:
        return deque(take_strings(source, count))
    value: deque[bytes] = deque()
    for batch in batches(source, count):
        value.extend(batch)
        yield
    return value


def _read_set(source: RdbSource) -> Steps[Value]:
    count = source.take_length()
    if count <= AT_ONCE:
        return _build_set(take_strings(source, count))
    value: set[bytes] = set()
    taken = 0
    for batch in batches(source, count):
        taken += len(batch)
        value.update(batch)
        _check_count(value, taken)
        yield
    return value


def _read_hash(source: RdbSource) -> Steps[Value]:
    count = 2 * source.take_length()
    if count <= AT_ONCE:
        return _build_hash(take_strings(source, count))
    value: dict[bytes, bytes] = {}
    taken = 0
    for batch in batches(source, count):
        taken += len(batch) // 2
        value.update(pairs(batch))
        _check_count(value, taken)
        yield
    return value


def _read_sorted_set(source: RdbSource) -> Steps[Value]:
    scores: dict[bytes, float] = {}
    count = 0
    for batch in scored_batches(source, source.take_length()):
        count += len(batch)
        scores.update(batch)
        _check_count(scores, count)
        yield
    return _sorted_set(scores)


def _read_text_sorted_set(source: RdbSource) -> Steps[Value]:
    scores: dict[bytes, float] = {}
    for count in range(1, source.take_length() + 1):
        member = source.take_string()
        scores[member] = _take_text_score(source)
        _check_count(scores, count)
        yield
    return _sorted_set(scores)


def _take_text_score(source: RdbSource) -> float:
    length = source.take_byte()
    if length in _TEXT_SCORES:
        return _TEXT_SCORES[length]
    if length == _TEXT_NAN:
        raise PackedError("a score that is no number")
    return _score(source.take(length))


# -- packed


def _packed(
    unpack: Callable[[bytes], list[bytes]], build: Callable[[list[bytes]], Value]
) -> Any:
    """A reader of a value that is one packed string."""

    def read(source: RdbSource) -> Steps[Value]:
        return build(unpack(source.take_string()))
        yield

    return read


def _build_set(members: list[bytes]) -> Value:
    value = set(members)
    _check_count(value, len(members))
    return value


def _build_hash(texts: list[bytes]) -> Value:
    value = dict(pairs(texts))
    _check_count(value, len(texts) // 2)
    return value


def _build_sorted_set(texts: list[bytes]) -> Value:
    scores = {member: _score(text) for member, text in pairs(texts)}
    _check_count(scores, len(texts) // 2)
    return _sorted_set(scores)


def _read_ziplists(source: RdbSource) -> Steps[Value]:
    value: deque[bytes] = deque()
    for _ in range(source.take_length()):
        value.extend(unpack_ziplist(source.take_string()))
        yield
    return value


def _read_listpacks(source: RdbSource) -> Steps[Value]:
    value: deque[bytes] = deque()
    for _ in range(source.take_length()):
        piece = source.take_length()
        if piece == form.PLAIN_PIECE:
            value.append(source.take_string())
        elif piece == form.PACKED_PIECE:
            value.extend(unpack_listpack(source.take_string()))
        else:
            raise PackedError(f"{piece} is no form of a piece of a list")
        yield
    return value


# -- hashes whose fields have deadlines


def _read_hash_deadlines(source: RdbSource) -> Steps[Content]:
    """Each field behind its deadline, counted from the first of them, and from one, for
    zero says that it has none.
    """
    first_ms = int.from_bytes(source.take(8), "little")
    fields: dict[bytes, bytes] = {}
    deadlines: dict[bytes, int] = {}
    for count in range(1, source.take_length() + 1):
        start = source.offset
        after = source.take_length()
        name, fields_value = take_strings(source, 2)
        if after:
            deadlines[name] = _field_deadline(first_ms + after - 1, start)
        fields[name] = fields_value
        if len(fields) != count:
            raise RdbError(start, f"the field {name!r} comes twice")
        yield
    return Content(fields, deadlines)


def _read_hash_deadlines_listpack(source: RdbSource) -> Steps[Content]:
    """Name, value and deadline by turns, in one listpack; zero says that it has none."""
    source.take(8)
    start = source.offset
    try:
        texts = unpack_listpack(source.take_string())
        if len(texts) % 3:
            raise PackedError("a packed hash with a part of a field")
        fields = dict(zip(texts[::3], texts[1::3], strict=True))
        _check_count(fields, len(texts) // 3)
    except PackedError as error:
        raise RdbError(start, str(error)) from None
    yield
    timed = zip(texts[::3], texts[2::3], strict=True)
    deadlines = {name: _text_deadline(text, start) for name, text in timed if text != b"0"}
    return Content(fields, deadlines)


def _text_deadline(text: bytes, offset: int) -> int:
    is_number = text.isdigit() and len(text) < _MOST_DIGITS
    return _field_deadline(int(text) if is_number else -1, offset)


def _field_deadline(deadline_ms: int, offset: int) -> int:
    if not 0 <= deadline_ms <= MAX_FIELD_DEADLINE_MS:
        raise RdbError(offset, "a deadline of a field is out of range")
    return deadline_ms


# -- checks


def _check_count(value: Sized, count: int) -> None:
    if len(value) != count:
        raise PackedError("an element comes twice")


def _score(text: bytes) -> float:
    try:
        score = float(text)
    except ValueError:
        raise PackedError(f"{text!r} is no score") from None
    if b"_" in text or text != text.strip():
        raise PackedError(f"{text!r} is no score")
    return score


def _sorted_set(scores: dict[bytes, float]) -> SortedSet:
    if any(map(isnan, scores.values())):
        raise PackedError("a score that is no number")
    return SortedSet(scores)


_DEADLINE_READERS: dict[int, Callable[[RdbSource], Steps[Content]]] = {
    form.HASH_DEADLINES: _read_hash_deadlines,
    form.HASH_DEADLINES_LISTPACK: _read_hash_deadlines_listpack,
}

_READERS: dict[int, Callable[[RdbSource], Steps[Value]]] = {
    form.STRING: _read_string,
    form.LIST: _read_list,
    form.SET: _read_set,
    form.ZSET_TEXT: _read_text_sorted_set,
    form.HASH: _read_hash,
    form.ZSET: _read_sorted_set,
    form.HASH_ZIPMAP: _packed(unpack_zipmap, _build_hash),
    form.LIST_ZIPLIST: _packed(unpack_ziplist, deque),
    form.SET_INTSET: _packed(unpack_intset, _build_set),
    form.ZSET_ZIPLIST: _packed(unpack_ziplist, _build_sorted_set),
    form.HASH_ZIPLIST: _packed(unpack_ziplist, _build_hash),
    form.LIST_OF_ZIPLISTS: _read_ziplists,
    form.HASH_LISTPACK: _packed(unpack_listpack, _build_hash),
    form.ZSET_LISTPACK: _packed(unpack_listpack, _build_sorted_set),
    form.LIST_OF_LISTPACKS: _read_listpacks,
    form.SET_LISTPACK: _packed(unpack_listpack, _build_set),
}
