"""The quick way of the parser takes what the careful way takes, and nothing else.

Any bytes, mostly such as nearly are commands, are fed in any portions to a parser as it
is, and to one that goes from mark to mark only: commands and errors are the same.
"""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sharedstate_server import requests
from sharedstate_server.requests import RequestParser

Commands = list[list[bytes]]

# What a stream is made of, so that few bytes are enough to go wrong in many ways.
_pieces = st.one_of(
    st.sampled_from(
        [
            *(b"*0", b"*1", b"*2", b"*3", b"*03", b"*-1", b"*64", b"*", b"*1048577", b"*x"),
            *(b"$0", b"$1", b"$2", b"$3", b"$03", b"$-1", b"$256", b"$", b"$3 ", b"$+1"),
            *(b"", b"a", b"GET", b"\r", b"\n", b"\r\n", b"*1\r\n$1\r\nx\r\n", b"x" * 256),
            *(b"'open", b"POST", b"\xa0", b" "),
        ]
    ),
    st.binary(max_size=4),
)


@st.composite
def _packed(draw: st.DrawFn) -> bytes:
    """A command that is well made, or has one part changed."""
    words = draw(st.lists(_pieces, max_size=4))
    parts = [b"*%d" % len(words)]
    for word in words:
        parts += [b"$%d" % len(word), word]
    if draw(st.booleans()):
        parts[draw(st.integers(0, len(parts) - 1))] = draw(_pieces)
    return b"".join(part + b"\r\n" for part in parts)


_alike = st.builds(
    lambda words, count: (
        (b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(w), w) for w in words))
        * count
    ),
    st.lists(_pieces, min_size=1, max_size=3),
    st.integers(2, 5),
)
_streams = st.lists(
    st.one_of(_packed(), _alike, _pieces, _pieces.map(lambda piece: piece + b"\r\n")),
    max_size=6,
).map(b"".join)


class CarefulParser(RequestParser):
    """A parser that knows no short cut."""

    __slots__ = ()

    def feed(self, data: bytes) -> Commands:
        return self._feed_more(data)


def read(parser: RequestParser, portions: list[bytes]) -> tuple[Commands, str | None]:
    """Everything a parser makes of some portions."""
    commands: Commands = []
    for portion in portions:
        commands += parser.feed(portion)
        while parser.is_paused:
            commands += parser.feed(b"")
    return commands, None if parser.error is None else str(parser.error)


@settings(max_examples=400)
@given(_streams, st.lists(st.integers(0, 400), max_size=4))
def test_both_ways_make_the_same_of_any_bytes(stream: bytes, cuts: list[int]) -> None:
    bounds = sorted({0, len(stream), *(min(cut, len(stream)) for cut in cuts)})
    portions = [stream[a:b] for a, b in pairwise(bounds)]
    careful = read(CarefulParser(), portions)
    assert read(RequestParser(), portions) == careful
    # The portions do not matter either.
    assert read(CarefulParser(), [stream] if stream else []) == careful


@given(_streams)
def test_what_is_held_is_no_more_than_what_came(stream: bytes) -> None:
    parser = RequestParser()
    read(parser, [stream[at : at + 5] for at in range(0, len(stream), 5)])
    assert 0 <= parser.held_bytes <= len(stream)


@pytest.mark.parametrize("line", [b"\n", b"a\n", b"*0\r\n"])
def test_lines_that_cost_much_are_taken_a_share_at_a_time(line: bytes) -> None:
    parser = RequestParser()
    data = line * (4 * requests.STEPS_PER_FEED)
    commands = parser.feed(data)
    assert parser.is_paused
    assert parser.is_unusual
    assert parser.held_bytes == 3 * len(data) / 4
    while parser.is_paused:
        commands += parser.feed(b"")
    assert len(commands) in (0, 4 * requests.STEPS_PER_FEED)
    assert not parser.is_unusual
    assert parser.held_bytes == 0


def test_what_follows_a_login_waits_until_its_limits_are_known() -> None:
    login, big = b"*2\r\n$4\r\nAUTH\r\n$1\r\nx\r\n", b"*11\r\n" + b"$1\r\nx\r\n" * 11
    stranger, known = (RequestParser(is_limited=True) for _ in range(2))
    for parser in (stranger, known):
        assert parser.feed(login + big) == [[b"AUTH", b"x"]]
        assert parser.is_paused
        assert parser.error is None
    known.lift_limits()
    assert known.feed(b"") == [[b"x"] * 11]
    assert stranger.feed(b"") == []
    assert "unauthenticated" in str(stranger.error)


def test_a_parser_that_has_taken_much_is_usual_again_afterwards() -> None:
    parser = RequestParser()
    word = b"x" * (2 * requests.UNUSUAL_BYTES)
    data = b"*2\r\n$4\r\nECHO\r\n$%d\r\n%b\r\n" % (len(word), word)
    assert parser.feed(data[:-10]) == []
    assert parser.is_unusual
    assert parser.feed(data[-10:]) == [[b"ECHO", word]]
    assert not parser.is_unusual
