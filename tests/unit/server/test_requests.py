"""Bytes become commands: whole, byte by byte, with a tail, and hostile."""

from __future__ import annotations

from itertools import pairwise

import hiredis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sharedstate_server.inline import split_inline
from sharedstate_server.requests import MAX_WORDS, RequestParser
from sharedstate_server.resp import ProtocolError

Commands = list[list[bytes]]

# Words that look like protocol, and words longer than the fast way takes.
_words = st.one_of(
    st.binary(max_size=12),
    st.sampled_from([b"", b"\r\n", b"$1", b"*1\r\n$1\r\nx\r\n", b"x" * 5000]),
)
_commands = st.lists(st.lists(_words, min_size=1, max_size=5), max_size=6)


def pack(commands: Commands) -> bytes:
    return b"".join(
        b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(w), w) for w in words)
        for words in commands
    )


def parse(*portions: bytes) -> Commands:
    parser = RequestParser()
    commands = [command for portion in portions for command in parser.feed(portion)]
    if parser.error is not None:
        raise parser.error
    return commands


def test_packing_here_is_what_clients_send() -> None:
    words = (b"SET", b"k", b"a\r\nb")
    assert pack([list(words)]) == hiredis.pack_command(words)  # type: ignore[arg-type]


@given(_commands)
def test_commands_come_out_as_they_were_packed(commands: Commands) -> None:
    assert parse(pack(commands)) == commands


@given(_commands)
def test_commands_come_out_when_every_byte_comes_alone(commands: Commands) -> None:
    data = pack(commands)
    assert parse(*(data[i : i + 1] for i in range(len(data)))) == commands


@given(_commands, st.lists(st.integers(0, 20_000), max_size=6))
def test_commands_come_out_however_they_are_cut(
    commands: Commands, cuts: list[int]
) -> None:
    data = pack(commands)
    bounds = sorted({0, *(min(cut, len(data)) for cut in cuts), len(data)})
    portions = [data[a:b] for a, b in pairwise(bounds)]
    assert parse(*portions) == commands


@given(_commands)
def test_empty_lines_between_commands_mean_nothing(commands: Commands) -> None:
    assert parse(b"\r\n".join(pack([command]) for command in commands)) == commands


def test_inline_commands_and_arrays_may_alternate() -> None:
    data = b"PING\r\n*1\r\n$4\r\nQUIT\r\nECHO 'hello you'\n*1\r\n$4\r\nTIME\r\n"
    assert parse(data) == [[b"PING"], [b"QUIT"], [b"ECHO", b"hello you"], [b"TIME"]]


def test_an_array_of_no_words_is_no_command() -> None:
    assert parse(b"*0\r\n*-1\r\n*1\r\n$4\r\nPING\r\n") == [[b"PING"]]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"*1\r\n:5\r\n", "expected '\\$', got ':'"),
        (b"*1\r\n*1\r\n$4\r\nPING\r\n", "expected '\\$', got '\\*'"),
        (b"*1\r\n\r\n", "expected '\\$'"),
        (b"*2\r\n$4\r\nECHO\r\n$-1\r\n", "invalid bulk length"),
        (b"*1\r\n$9223372036854775807\r\n", "invalid bulk length"),
        (b"*1\r\n$+4\r\nPING\r\n", "invalid bulk length"),
        (b"*1\r\n$4\r\nPINGxx", "expected CRLF"),
        (b"*x\r\n", "invalid multibulk length"),
        (b"*%d\r\n" % (MAX_WORDS + 1), "invalid multibulk length"),
        (b"*" + b"9" * 70_000, "too big mbulk count"),
        (b"A" * 70_000, "too big inline request"),
        (b"ECHO 'open\r\n", "unbalanced quotes"),
    ],
)
def test_nonsense_is_an_error_that_says_what_is_wrong(data: bytes, reason: str) -> None:
    with pytest.raises(ProtocolError, match=reason):
        parse(data)


def test_commands_before_an_error_come_out() -> None:
    parser = RequestParser()
    assert parser.feed(b"PING\r\n*1\r\n:5\r\n") == [[b"PING"]]
    assert parser.error is not None


def test_a_limit_holds_before_the_value_comes() -> None:
    parser = RequestParser()
    parser.max_word_bytes = 10
    assert parser.feed(b"*1\r\n$11\r\n") == []
    assert str(parser.error) == "invalid bulk length"


@given(st.binary(max_size=60))
def test_no_bytes_at_all_raise_anything_else(data: bytes) -> None:
    parser = RequestParser()
    for command in parser.feed(data):
        assert command
        assert all(type(word) is bytes for word in command)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"SET key value\r", [b"SET", b"key", b"value"]),
        (b'SET key "two words"', [b"SET", b"key", b"two words"]),
        (b'ECHO "\\x41\\n\\"q\\""', [b"ECHO", b'A\n"q"']),
        (b"ECHO 'it\\'s'", [b"ECHO", b"it's"]),
        (b"ECHO ''", [b"ECHO", b""]),
        (b"   ", []),
    ],
)
def test_an_inline_command_is_split_as_a_person_means_it(
    line: bytes, words: list[bytes]
) -> None:
    assert split_inline(line) == words


@pytest.mark.parametrize("line", [b'ECHO "open', b"ECHO 'open", b'ECHO "a"b'])
def test_open_or_glued_quotes_are_a_protocol_error(line: bytes) -> None:
    with pytest.raises(ProtocolError, match="unbalanced quotes"):
        split_inline(line)
