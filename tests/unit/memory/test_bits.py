"""Strings as rows of bits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sharedstate_memory.commands.bits import _SLICE, _combine, _count, _find
from tests.unit.memory.recount import assert_counted

if TYPE_CHECKING:
    from sharedstate_memory.engine import Engine
    from tests.unit.memory.conftest import Client

NO_OFFSET = "ERR bit offset is not an integer or out of range"


def _bits(value: bytes) -> str:
    return "".join(f"{byte:08b}" for byte in value)


def test_a_bit_is_set_and_read(client: Client) -> None:
    assert client("SETBIT k 9 1") == 0
    assert client("GET k") == b"\x00\x40"
    assert client("GETBIT k 9") == 1
    assert client("GETBIT k 8") == 0
    assert client("GETBIT k 100") == 0
    assert client("SETBIT k 9 0") == 1
    assert client("GET k") == b"\0\0"


def test_clearing_a_bit_makes_room_for_it(client: Client) -> None:
    assert client("SETBIT k 20 0") == 0
    assert client("STRLEN k") == 3


def test_setting_a_bit_that_is_set_changes_nothing(
    client: Client, effects: list[tuple[int, list[bytes]]]
) -> None:
    client("SETBIT k 3 1")
    effects.clear()
    assert client("SETBIT k 3 1") == 1
    assert effects == []


@pytest.mark.parametrize("offset", ["-1", "x", "", "4294967296", "99999999999999999999"])
def test_bits_have_places_within_the_longest_string(client: Client, offset: str) -> None:
    assert client.refusal("SETBIT k", offset, "1") == NO_OFFSET
    assert client.refusal("GETBIT k", offset) == NO_OFFSET


def test_the_longest_string_is_a_setting(client: Client, engine: Engine) -> None:
    engine.settings.change([("proto-max-bulk-len", "1mb")])
    assert client("SETBIT k 8388607 1") == 0
    assert client.refusal("SETBIT k 8388608 1") == NO_OFFSET
    assert client.refusal("APPEND k x").startswith("ERR string exceeds maximum")


@pytest.mark.parametrize("bit", ["2", "-1", "x", ""])
def test_a_bit_is_zero_or_one(client: Client, bit: str) -> None:
    text = "ERR bit is not an integer or out of range"
    assert client.refusal("SETBIT k 0", bit) == text


@pytest.mark.parametrize(
    ("range_", "count"),
    [
        ("", 26),
        ("0 0", 4),
        ("1 1", 6),
        ("0 -1 BYTE", 26),
        ("5 30 BIT", 17),
        ("-1 -2", 0),
        ("0 -100", 4),
        ("100 200", 0),
    ],
)
def test_bits_are_counted(client: Client, range_: str, count: int) -> None:
    client("SET k foobar")
    assert client(f"BITCOUNT k {range_}") == count


def test_counting_refuses_half_a_range(client: Client) -> None:
    client("SET k v")
    assert client.refusal("BITCOUNT k 0") == "ERR syntax error"
    assert client.refusal("BITCOUNT k 0 -1 BITS") == "ERR syntax error"
    assert client("BITCOUNT none 0") == 0


def test_bits_are_found(client: Client) -> None:
    client("SET k", b"\xff\xf0\x00")
    assert client("BITPOS k 0") == 12
    assert client("BITPOS k 1 2") == -1
    assert client("BITPOS k 0 1 1 BYTE") == 12
    assert client("BITPOS k 0 0 11 BIT") == -1
    assert client("BITPOS k 1 9 -1 BIT") == 9


def test_clear_bits_follow_the_end_unless_an_end_is_given(client: Client) -> None:
    client("SET k", b"\xff\xff")
    assert client("BITPOS k 0") == 16
    assert client("BITPOS k 0 0 -1") == -1
    assert client("BITPOS none 0") == 0
    assert client("BITPOS none 1") == -1


def test_strings_are_combined_as_if_as_long_as_the_longest(client: Client) -> None:
    client("SET a", b"\xff\x0f")
    client("SET b", b"\xf0")
    assert client("BITOP AND to a b") == 2
    assert client("GET to") == b"\xf0\x00"
    client("BITOP OR to a b nothing")
    assert client("GET to") == b"\xff\x0f"
    client("BITOP XOR to a b")
    assert client("GET to") == b"\x0f\x0f"
    client("BITOP NOT to a")
    assert client("GET to") == b"\x00\xf0"


def test_combining_nothing_removes_the_target(client: Client) -> None:
    client("SET to v")
    assert client("BITOP AND to x y") == 0
    assert client("EXISTS to") == 0


def test_combining_drops_the_deadline_of_the_target(client: Client) -> None:
    client("SET to v PX 500")
    client("SET a v")
    client("BITOP NOT to a")
    assert client("PTTL to") == -1


def test_combining_refuses_what_makes_no_sense(client: Client) -> None:
    client("RPUSH l x")
    text = "ERR BITOP NOT must be called with a single source key."
    assert client.refusal("BITOP NOT to a b") == text
    assert client.refusal("BITOP NAND to a b") == "ERR syntax error"
    assert client.refusal("BITOP AND to l").startswith("WRONGTYPE")


def test_bytes_stay_counted(client: Client, engine: Engine) -> None:
    client("SETBIT a 100 1")
    client("SETBIT a 3 1")
    client("BITFIELD b SET u8 #40 1")
    client("BITOP OR c a b")
    client("BITOP AND c none")
    assert_counted(engine)


strings = st.binary(max_size=40).flatmap(
    # Long runs of one byte, so that whole slices are passed over.
    lambda ends: st.sampled_from((0, 1, _SLICE - 1, 2 * _SLICE)).flatmap(
        lambda length: st.sampled_from((b"\0", b"\xff")).map(
            lambda byte: ends + byte * length + ends
        )
    )
)


@given(value=strings, places=st.tuples(st.integers(0, 999), st.integers(0, 999)))
def test_counting_and_finding_in_any_range(value: bytes, places: tuple[int, int]) -> None:
    first, last = sorted(place % (8 * len(value) or 1) for place in places)
    text = _bits(value)
    if value:
        assert _count(value, first, last) == text[first : last + 1].count("1")
        for bit in (0, 1):
            place = text.find(str(bit), first)
            assert _find(value, bit, first) == (len(text) if place < 0 else place)


@given(values=st.lists(strings, min_size=1, max_size=3))
def test_combining_any_strings(values: list[bytes]) -> None:
    longest = max(map(len, values))
    numbers = [int.from_bytes(value.ljust(longest, b"\0")) for value in values]
    united = 0
    for number in numbers:
        united |= number
    assert _combine(b"OR", values) == united.to_bytes(longest)
