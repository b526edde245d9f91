"""Payloads: what DUMP and FUNCTION DUMP give, and RESTORE and FUNCTION RESTORE take.

    DUMP             a type, and a value as in a file
    FUNCTION DUMP    for each library its opcode, and its text
    at the end       the version of the format, 2 bytes; CRC-64 of all before, 8 bytes

They may come from anybody, so all of it is always checked: there is no payload that is
taken on trust, whatever `sanitize-dump-payload` says.

Source: https://redis.io/docs/latest/commands/dump/ and .../function-dump/
"""

from __future__ import annotations

from sharedstate_memory.rdb import format as form
from sharedstate_memory.rdb.checksum import crc64
from sharedstate_memory.rdb.encoding import Encoder, type_of
from sharedstate_memory.rdb.errors import RdbError
from sharedstate_memory.rdb.source import RdbSource
from sharedstate_memory.rdb.values import read_at_once, read_content

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sharedstate_memory.keyspace import Value
    from sharedstate_memory.rdb.values import Content

_VERSION_BYTES = 2
_FOOTER_BYTES = _VERSION_BYTES + form.CHECKSUM_BYTES


class PayloadError(ValueError):
    """What was to be restored is no payload. Its text says why, as Redis does."""


# -- values


def dump_value(value: Value, field_deadlines: dict[bytes, int] | None = None) -> bytes:
    """The payload of a value, and of the deadlines of its fields if it has any. Redis 7.0
    can read it, unless there are such.
    """
    encoder = Encoder()
    if not field_deadlines:
        kind, pieces = type_of(value), encoder.value(value)
        return _signed([bytes((kind,)), *pieces], form.PLAIN_VERSION)
    fields: dict[bytes, bytes] = value  # type: ignore[assignment]
    pieces = encoder.field_deadlines(fields, field_deadlines)
    mark = bytes((form.HASH_DEADLINES,))
    return _signed([mark, *pieces], form.FIELD_DEADLINES_VERSION)


def restore_value(payload: bytes) -> Content:
    """The value in a payload, which is not empty. Raises PayloadError, from an RdbError if
    it is the value that is damaged.
    """
    source = RdbSource.of_bytes(_body(payload))
    try:
        kind = source.take_byte()
        if kind in form.REFUSED_TYPES:
            raise RdbError(0, f"{form.REFUSED_TYPES[kind]}, which is not supported")
        content = read_at_once(read_content(source, kind))
        _check_whole(source, content)
    except RdbError as error:
        raise PayloadError("Bad data format") from error
    return content


def _check_whole(source: RdbSource, content: Content) -> None:
    if not source.is_at_end:
        raise RdbError(source.offset, "the value ends before the payload")
    if not content.value and type(content.value) is not bytes:
        raise RdbError(0, "an empty container")


# -- functions


def dump_functions(texts: Iterable[bytes]) -> bytes:
    """The payload of some libraries, given by their texts."""
    encoder = Encoder()
    mark = bytes((form.FUNCTION,))
    return _signed((mark + encoder.string(text) for text in texts), form.PLAIN_VERSION)


def restore_functions(payload: bytes) -> list[bytes]:
    """The texts of the libraries in a payload. Raises PayloadError."""
    return list(_texts(RdbSource.of_bytes(_body(payload))))


def _texts(source: RdbSource) -> Iterator[bytes]:
    while not source.is_at_end:
        mark = source.take_byte()
        if mark == form.FUNCTION_BEFORE_RELEASE:
            raise PayloadError("Failed loading engine name")
        if mark != form.FUNCTION:
            raise PayloadError("given type is not a function")
        try:
            yield source.take_string()
        except RdbError as error:
            raise PayloadError("Failed loading library payload") from error


# -- what stands at the end


def _signed(pieces: Iterable[bytes], version: int) -> bytes:
    body = b"".join(pieces) + version.to_bytes(_VERSION_BYTES, "little")
    return body + crc64(body)


def _body(payload: bytes) -> bytes:
    """A payload without its footer, which must be right."""
    body, footer = payload[: -form.CHECKSUM_BYTES], payload[-_FOOTER_BYTES:]
    version = int.from_bytes(footer[:_VERSION_BYTES], "little")
    is_whole = len(footer) == _FOOTER_BYTES and version <= form.MOST_VERSION
    if not is_whole or crc64(body) != footer[_VERSION_BYTES:]:
        raise PayloadError("DUMP payload version or checksum are wrong")
    return body[:-_VERSION_BYTES]
