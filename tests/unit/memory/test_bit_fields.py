"""Integers of any width in strings."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sharedstate_memory.commands.bit_fields import _Field
from sharedstate_memory.engine import Engine

if TYPE_CHECKING:
    from tests.unit.memory.conftest import Client


def test_fields_are_set_and_read(client: Client) -> None:
    assert client("BITFIELD k SET u8 0 255 SET i8 #1 -2 GET u4 4 GET i8 8") == [
        0,
        0,
        15,
        -2,
    ]
    assert client("GET k") == b"\xff\xfe"


def test_reading_alone_makes_no_string(client: Client) -> None:
    assert client("BITFIELD k GET u8 100") == [0]
    assert client("BITFIELD k") == []
    assert client("EXISTS k") == 0


def test_incrementing_wraps_unless_told_otherwise(client: Client) -> None:
    client("BITFIELD k SET u2 0 3 SET i4 4 7")
    assert client("BITFIELD k INCRBY u2 0 1 INCRBY i4 4 1") == [0, -8]


def test_overflow_saturates(client: Client) -> None:
    saturated = client("BITFIELD k OVERFLOW SAT INCRBY u2 0 9 INCRBY i4 4 -20 SET i4 8 9")
    assert saturated == [3, -8, 0]
    assert client("BITFIELD k GET i4 8") == [7]


def test_overflow_fails_one_operation_only(client: Client) -> None:
    client("SET k", b"\x0f")
    reply = client("BITFIELD k OVERFLOW FAIL INCRBY u4 4 1 SET u4 0 1 SET u4 0 16")
    assert reply == [None, 0, None]
    assert client("GET k") == b"\x1f"


def test_a_string_grows_even_if_nothing_fits(client: Client) -> None:
    assert client("BITFIELD k OVERFLOW FAIL SET u8 8 256") == [None]
    assert client("GET k") == b"\0\0"


def test_the_way_of_overflow_holds_until_the_next(client: Client) -> None:
    reply = client(
        "BITFIELD k OVERFLOW FAIL INCRBY u1 0 2 OVERFLOW SAT INCRBY u1 0 2 INCRBY u1 1 2"
    )
    assert reply == [None, 1, 1]


@pytest.mark.parametrize("kind", ["u64", "i65", "u0", "x8", "u", "U8", "i-1", "u08"])
def test_types_are_checked(client: Client, kind: str) -> None:
    assert client.refusal("BITFIELD k GET", kind, "0").startswith(
        "ERR Invalid bitfield type"
    )


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("GET u8", "ERR syntax error"),
        ("SET u8 0", "ERR syntax error"),
        ("OVERFLOW", "ERR syntax error"),
        ("WHAT u8 0", "ERR syntax error"),
        ("OVERFLOW WHAT", "ERR Invalid OVERFLOW type specified"),
        ("GET u8 -1", "ERR bit offset is not an integer or out of range"),
        ("GET u8 #x", "ERR bit offset is not an integer or out of range"),
        ("GET u8 #536870912", "ERR bit offset is not an integer or out of range"),
        ("SET u8 0 x", "ERR value is not an integer or out of range"),
    ],
)
def test_words_are_checked_before_anything_is_done(
    client: Client, words: str, text: str
) -> None:
    assert client.refusal(f"BITFIELD k SET u8 0 1 {words}") == text
    assert client("EXISTS k") == 0


def test_the_read_only_form_refuses_to_write(client: Client) -> None:
    assert client("BITFIELD_RO k GET u8 0 GET i8 #1") == [0, 0]
    text = "ERR BITFIELD_RO only supports the GET subcommand"
    assert client.refusal("BITFIELD_RO k SET u8 0 1") == text


def test_writing_what_was_there_is_no_change(client: Client, engine: Engine) -> None:
    client("BITFIELD k SET u8 0 7")
    before = engine.databases[0].dirty
    assert client("BITFIELD k SET u8 0 7 GET u8 0") == [7, 7]
    assert engine.databases[0].dirty == before


widths = st.one_of(
    st.integers(1, 63).map(lambda bits: b"u%d" % bits),
    st.integers(1, 64).map(lambda bits: b"i%d" % bits),
)


@given(
    value=st.binary(max_size=20),
    kind=widths,
    offset=st.integers(0, 99),
    number=st.integers(),
)
def test_what_fits_is_read_back_and_nothing_else_changes(
    value: bytes, kind: bytes, offset: int, number: int
) -> None:
    engine = Engine(clock_ms=lambda: 0, random=Random(0))
    session = engine.open_session(lambda reply: None)
    field = _Field(session, kind, b"%d" % offset)
    fitting = field.fit(number, b"WRAP")
    assert fitting is not None
    assert (number - fitting) % 2**field.bits == 0
    string = bytearray(value.ljust(field.end_byte, b"\0"))
    before = int.from_bytes(string)
    field.write(string, fitting)
    assert field.read(string) == fitting
    tail = 8 * len(string) - offset - field.bits
    mask = (2**field.bits - 1) << tail
    assert int.from_bytes(string) & ~mask == before & ~mask
