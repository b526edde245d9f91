"""Replies become bytes, in both versions of the protocol.

There is an encoder for each version (`turn.ENCODERS`). A long aggregate is encoded some
members at a time.

Source: https://redis.io/docs/latest/develop/reference/protocol-spec/
"""

from __future__ import annotations

from itertools import chain, islice

from sharedstate_memory.replies import (
    NULL_ARRAY,
    Attributes,
    BigNumber,
    ErrorReply,
    Many,
    Members,
    Push,
    Sentinel,
    Status,
    Verbatim,
    format_double,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Encoder = Callable[[object], bytes]


# An aggregate of more members than this is encoded so many at a time.
_PORTION = 1024


class ProtocolError(Exception):
    """The peer's mistake: what it sent is not the protocol. The connection must end."""


def encode_bulk(reply: bytes) -> bytes:
    """A binary-safe string."""
    return b"$%d\r\n%b\r\n" % (len(reply), reply)


def encode_integer(reply: int) -> bytes:
    """A whole number."""
    return b":%d\r\n" % reply


def _encode_status(reply: Status) -> bytes:
    return b"+%b\r\n" % reply


def _encode_verbatim(reply: Verbatim) -> bytes:
    """Text with its format in front."""
    return b"=%d\r\n%b:%b\r\n" % (len(reply) + 4, reply.format, reply)


def _encode_error(reply: ErrorReply) -> bytes:
    return b"-%b\r\n" % reply.text


def _make_encoder(
    null: bytes,
    null_array: bytes,
    scalars: dict[type, Callable[..., bytes]],
    heads: dict[type, Callable[[int], bytes]],
) -> Encoder:
    """An encoder from the parts in which the two versions of the protocol differ.

    `heads` gives the line that opens an aggregate of so many members.
    """

    def encode(reply: object) -> bytes:
        if reply is None:
            return null
        if reply is NULL_ARRAY:
            return null_array
        kind = type(reply)
        scalar = scalars.get(kind)
        if scalar is not None:
            return scalar(reply)
        head = heads[kind]
        length = len(reply)  # type: ignore[arg-type]
        parts = [head(length)]
        if length > _PORTION:
            return b"".join(chain(parts, _portions(reply, encode)))
        if isinstance(reply, dict):
            for key, value in reply.items():
                parts += (encode(key), encode(value))
            return b"".join(parts)
        # Flat for what lists are mostly made of: half the time for a hundred strings.
        for item in reply:  # type: ignore[attr-defined]
            if type(item) is bytes:
                parts.append(b"$%d\r\n%b\r\n" % (len(item), item))
            else:
                parts.append(encode(item))
        return b"".join(parts)

    return encode


def _portions(reply: object, encode: Encoder) -> Iterator[bytes]:
    """The members of a long aggregate, some at a time: all their pieces at once would take
    ten times as much memory as what is sent.
    """
    items = chain.from_iterable(reply.items()) if isinstance(reply, dict) else reply
    members = iter(items)  # type: ignore[call-overload]
    while portion := [*islice(members, _PORTION)]:
        yield b"".join(
            [
                b"$%d\r\n%b\r\n" % (len(item), item)
                if type(item) is bytes
                else encode(item)
                for item in portion
            ]
        )


def _array_head(length: int) -> bytes:
    return b"*%d\r\n" % length


def _set_head(length: int) -> bytes:
    return b"~%d\r\n" % length


def _encode_sentinel(reply: Sentinel) -> bytes:
    """BLOCKED and NO_REPLY: nothing to send, now or at all."""
    return b""


def _no_head(length: int) -> bytes:
    return b""


_SHARED_SCALARS: dict[type, Callable[..., bytes]] = {
    bytes: encode_bulk,
    int: encode_integer,
    Status: _encode_status,
    ErrorReply: _encode_error,
    Sentinel: _encode_sentinel,
}

encode_resp2: Encoder = _make_encoder(
    b"$-1\r\n",
    b"*-1\r\n",
    _SHARED_SCALARS
    | {
        bool: encode_integer,
        Verbatim: encode_bulk,
        BigNumber: encode_bulk,
        float: lambda reply: encode_bulk(format_double(reply)),
    },
    {
        list: _array_head,
        tuple: _array_head,
        set: _array_head,
        Members: _array_head,
        Push: _array_head,
        Many: _no_head,
        dict: lambda length: b"*%d\r\n" % (2 * length),
    },
)
"""Encode a reply for a connection that speaks RESP2, as all do until they say HELLO 3."""

encode_resp3: Encoder = _make_encoder(
    b"_\r\n",
    b"_\r\n",
    _SHARED_SCALARS
    | {
        Verbatim: _encode_verbatim,
        BigNumber: lambda reply: b"(%b\r\n" % reply,
        bool: lambda reply: b"#t\r\n" if reply else b"#f\r\n",
        float: lambda reply: b",%b\r\n" % format_double(reply),
    },
    {
        list: _array_head,
        tuple: _array_head,
        set: _set_head,
        Members: _set_head,
        Push: lambda length: b">%d\r\n" % length,
        Many: _no_head,
        dict: lambda length: b"%%%d\r\n" % length,
        Attributes: lambda length: b"|%d\r\n" % length,
    },
)
"""Encode a reply for a connection that speaks RESP3."""
