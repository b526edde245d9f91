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
        (b"*" + b"9" * 70_000, "too big count"),
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


@pytest.mark.parametrize(
    "data", [b"*11\r\n", b"*1\r\n$16385\r\n", pack([[b"x"] * 11]), pack([[b"x" * 16385]])]
)
def test_a_strangers_limits_hold_before_anything_is_waited_for(data: bytes) -> None:
    parser = RequestParser(is_limited=True)
    assert parser.feed(data) == []
    assert "unauthenticated" in str(parser.error)
    parser = RequestParser(is_limited=True)
    parser.lift_limits()
    parser.feed(data)
    assert parser.error is None


def test_after_an_error_nothing_comes_out() -> None:
    parser = RequestParser()
    parser.feed(b"*x\r\n")
    assert parser.feed(b"PING\r\n") == []


@pytest.mark.parametrize("line", [b"POST / HTTP/1.1\r\n", b"host: localhost\r\n"])
def test_what_a_browser_sends_is_an_error(line: bytes) -> None:
    parser = RequestParser()
    assert parser.feed(line + b"SET pwned yes\r\n") == []
    assert parser.error is not None


def test_a_long_command_is_not_read_again_for_every_byte() -> None:
    class Counting(RequestParser):
        __slots__ = ("steps",)

        def _step(self, data: bytes, start: int) -> int:
            self.steps = getattr(self, "steps", 0) + 1
            return super()._step(data, start)

    parser = Counting()
    words = [b"%d" % number for number in range(2000)]
    data = pack([words])
    commands = [c for i in range(0, len(data), 7) for c in parser.feed(data[i : i + 7])]
    assert commands == [words]
    assert parser.steps < 2 * len(words) + len(data) / 7


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
