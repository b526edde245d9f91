"""Replies become bytes in both versions of the protocol."""

from __future__ import annotations

import hiredis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sharedstate_memory.replies import (
    BLOCKED,
    NO_REPLY,
    NULL_ARRAY,
    OK,
    ErrorReply,
    Many,
    Push,
)
from sharedstate_server.resp import encode_resp2, encode_resp3


@pytest.mark.parametrize(
    ("reply", "resp2", "resp3"),
    [
        (b"a\r\nb", b"$4\r\na\r\nb\r\n", b"$4\r\na\r\nb\r\n"),
        (-7, b":-7\r\n", b":-7\r\n"),
        (OK, b"+OK\r\n", b"+OK\r\n"),
        (ErrorReply(b"ERR no"), b"-ERR no\r\n", b"-ERR no\r\n"),
        (None, b"$-1\r\n", b"_\r\n"),
        (NULL_ARRAY, b"*-1\r\n", b"_\r\n"),
        (True, b":1\r\n", b"#t\r\n"),
        (1.5, b"$3\r\n1.5\r\n", b",1.5\r\n"),
        (float("-inf"), b"$4\r\n-inf\r\n", b",-inf\r\n"),
        ([1, [b"x", None]], b"*2\r\n:1\r\n*2\r\n$1\r\nx\r\n$-1\r\n", None),
        ({b"k": 1}, b"*2\r\n$1\r\nk\r\n:1\r\n", b"%1\r\n$1\r\nk\r\n:1\r\n"),
        ({b"m"}, b"*1\r\n$1\r\nm\r\n", b"~1\r\n$1\r\nm\r\n"),
        (Push([b"message"]), b"*1\r\n$7\r\nmessage\r\n", b">1\r\n$7\r\nmessage\r\n"),
        (Many([1, 2]), b":1\r\n:2\r\n", b":1\r\n:2\r\n"),
        (BLOCKED, b"", b""),
        (NO_REPLY, b"", b""),
    ],
)
def test_each_reply_has_its_form_in_each_version(
    reply: object, resp2: bytes, resp3: bytes | None
) -> None:
    assert encode_resp2(reply) == resp2
    if resp3 is not None:
        assert encode_resp3(reply) == resp3


_plain_replies = st.recursive(
    st.none() | st.integers(-(2**63), 2**63 - 1) | st.binary(max_size=20),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=12,
)


@given(_plain_replies)
def test_a_client_reads_back_what_was_encoded(reply: object) -> None:
    for encode in (encode_resp2, encode_resp3):
        reader = hiredis.Reader()
        reader.feed(encode(reply))
        assert reader.gets() == reply
