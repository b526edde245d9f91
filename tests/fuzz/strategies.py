"""What hostile clients send: commands at the edges, nearly valid protocol, and noise."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from hypothesis import strategies as st

from tests.fuzz.vocabulary import (
    FLOATS,
    KEYS,
    NUMBERS,
    OPTIONS,
    PATTERNS,
    SCRIPTS,
    TEXTS,
    Words,
    is_harmless,
    pack,
    specs,
)

_SPECS = list(specs().items())
_FUNCTIONS = (b"f", b"g")

keys = st.sampled_from(KEYS)

arguments = st.one_of(
    keys,
    st.sampled_from(NUMBERS),
    st.sampled_from(FLOATS),
    st.sampled_from(OPTIONS),
    st.sampled_from(OPTIONS),
    st.sampled_from(PATTERNS + TEXTS),
    st.binary(max_size=6),
)


@st.composite
def commands(draw: st.DrawFn) -> Words:
    """Any command of the table, with about as many arguments as it takes."""
    name, spec = draw(st.sampled_from(_SPECS))
    count = abs(spec.arity) - len(name)
    if spec.arity < 0:
        count += draw(st.integers(0, 5))
    count += draw(st.sampled_from((0,) * 14 + (-1, 1)))
    words = draw(st.lists(arguments, min_size=max(count, 0), max_size=max(count, 0)))
    if words and spec.first_key == 1:
        words[0] = draw(keys)
    if words and name[0] in (b"EVAL", b"EVAL_RO", b"SCRIPT", b"FUNCTION"):
        words[0] = draw(st.sampled_from(SCRIPTS))
    if words and name[0] in (b"FCALL", b"FCALL_RO"):
        words[0] = draw(st.sampled_from(_FUNCTIONS))
    return *name, *words


harmless_commands = commands().filter(is_harmless)


@st.composite
def calls(draw: st.DrawFn) -> Words:
    """A command that a script calls, or a function."""
    inner = draw(harmless_commands)
    if draw(st.booleans()):
        return b"EVAL", draw(st.sampled_from(SCRIPTS)), b"0", *inner
    return b"FCALL", draw(st.sampled_from(_FUNCTIONS)), b"0", *inner


@st.composite
def conversations(draw: st.DrawFn) -> list[Words]:
    """Commands in either protocol, some of them in scripts and transactions."""
    said = draw(st.lists(st.one_of(harmless_commands, calls()), min_size=1, max_size=6))
    way = draw(st.integers(0, 3))
    if way & 1:
        said.insert(0, (b"HELLO", b"3"))
    if way & 2:
        said.insert(draw(st.integers(0, len(said))), (b"MULTI",))
        said.append((b"EXEC",))
    return said


_COUNTS = (
    *(b"0", b"-1", b"-2", b"2", b"3", b"10", b"1048576", b"1048577", b"2147483647"),
    *(b"9223372036854775808", b"1" * 40, b"", b"x", b"1x", b" 1", b"+1", b"0x1", b"1.0"),
)
_ENDS = (b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r", b"", b"\r\r\n", b"\x00\r\n")
_OTHER_TYPES = (
    *(b"%1\r\n$1\r\na\r\n", b"~1\r\n", b">1\r\n", b"_\r\n", b"#t\r\n", b",1.5\r\n"),
    *(b"(12\r\n", b"=5\r\ntxt:x\r\n", b"|1\r\n", b"!3\r\nERR\r\n", b"+OK\r\n", b":1\r\n"),
    *(b"$?\r\n;2\r\nab\r\n;0\r\n", b"*?\r\n", b".\r\n", b"*1\r\n*1\r\n$4\r\nPING\r\n"),
)
_WEB = (
    b"GET / HTTP/1.1\r\n",
    b"POST / HTTP/1.1\r\n",
    b"Host: localhost\r\n",
    b"\x16\x03\x01",
)

_headers = st.tuples(
    st.sampled_from((b"*", b"$", b"*", b"$", b"%", b"")),
    st.one_of(st.sampled_from(_COUNTS), st.integers(0, 12).map(lambda n: b"%d" % n)),
    st.sampled_from(_ENDS),
).map(b"".join)

_lines = st.tuples(
    st.text("GETSPING '\"\\x41\t\0abé", max_size=20).map(lambda text: text.encode()),
    st.sampled_from(_ENDS),
).map(b"".join)

_pieces = st.one_of(
    _headers,
    _headers,
    _lines,
    st.sampled_from(_OTHER_TYPES + _WEB),
    st.sampled_from(
        (b"PING\r\n", b"*1\r\n$4\r\nPING\r\n", b"*2\r\n$3\r\nGET\r\n$4\r\nlist\r\n")
    ),
    st.binary(max_size=8),
    harmless_commands.map(pack),
)


@st.composite
def _damaged_frames(draw: st.DrawFn) -> bytes:
    """Valid commands in which some bytes were changed, removed or put in."""
    data = bytearray(b"".join(pack(words) for words in draw(conversations())))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        end = min(len(data), at + draw(st.integers(0, 4)))
        data[at:end] = draw(
            st.one_of(st.sampled_from(_COUNTS + _ENDS), st.binary(max_size=3))
        )
    return bytes(data)


streams: st.SearchStrategy[bytes] = st.one_of(
    st.binary(max_size=200),
    st.lists(_pieces, min_size=1, max_size=8).map(b"".join),
    st.lists(_lines, min_size=1, max_size=6).map(b"".join),
    _damaged_frames(),
)
"""Bytes that may be anything, and are often nearly right."""


@st.composite
def cut(draw: st.DrawFn, streams: st.SearchStrategy[bytes]) -> list[bytes]:
    """A stream in portions, up to every byte alone."""
    data = draw(streams)
    if draw(st.integers(0, 9)) == 0:
        return [data[at : at + 1] for at in range(min(len(data), 300))] + [data[300:]]
    places = sorted({*draw(st.lists(st.integers(0, len(data)), max_size=4)), 0, len(data)})
    return [data[start:end] for start, end in pairwise(places)]


def pack_all(said: Iterable[Words]) -> bytes:
    """A whole conversation as clients send it."""
    return b"".join(map(pack, said))
