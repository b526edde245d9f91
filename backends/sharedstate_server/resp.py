"""Replies become bytes, in both versions of the protocol.

An encoder is chosen when a connection chooses its version, so that no reply is asked
twice which version it is for.

Source: https://redis.io/docs/latest/develop/reference/protocol-spec/
"""

from __future__ import annotations

from sharedstate_memory.replies import (
    NULL_ARRAY,
    ErrorReply,
    Many,
    Push,
    Sentinel,
    Status,
    format_double,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Encoder = Callable[[object], bytes]


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
        parts = [head(len(reply))]  # type: ignore[arg-type]
        if kind is dict:
            for key, value in reply.items():  # type: ignore[attr-defined]
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


def _array_head(length: int) -> bytes:
    return b"*%d\r\n" % length


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
        float: lambda reply: encode_bulk(format_double(reply)),
    },
    {
        list: _array_head,
        tuple: _array_head,
        set: _array_head,
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
        bool: lambda reply: b"#t\r\n" if reply else b"#f\r\n",
        float: lambda reply: b",%b\r\n" % format_double(reply),
    },
    {
        list: _array_head,
        tuple: _array_head,
        set: lambda length: b"~%d\r\n" % length,
        Push: lambda length: b">%d\r\n" % length,
        Many: _no_head,
        dict: lambda length: b"%%%d\r\n" % length,
    },
)
"""Encode a reply for a connection that speaks RESP3."""
