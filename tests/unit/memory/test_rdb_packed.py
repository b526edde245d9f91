"""Packed values: every form of an entry is read, and nothing that is wrong about itself."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sharedstate_memory.rdb.packed import (
    PackedError,
    unpack_intset,
    unpack_listpack,
    unpack_ziplist,
    unpack_zipmap,
)
from tests import rdb_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

# Around every bound at which a number or a length gets another form.
_NUMBERS = [
    sign * (1 << bits) + more
    for bits in (0, 3, 4, 6, 7, 12, 13, 15, 16, 23, 24, 31, 32)
    for sign in (1, -1)
    for more in (-1, 0, 1)
] + [2**63 - 1, -(2**63)]
_SIZES = [0, 1, 63, 64, 125, 126, 127, 252, 253, 254, 4095, 4096]
_LONG_SIZES = [16376, 16377, 16378, 16379, 16383, 16384, 70_000]

_TEXTS = [b"x" * size for size in [*_SIZES, *_LONG_SIZES]]


def _as_texts(entries: list[bytes | int]) -> list[bytes]:
    return [entry if isinstance(entry, bytes) else b"%d" % entry for entry in entries]


@pytest.mark.parametrize("count", [None, 0xFFFF])
def test_a_listpack_is_read_whatever_is_in_it(count: int | None) -> None:
    entries: list[bytes | int] = [*_NUMBERS, *_TEXTS, *_NUMBERS]
    data = rdb_bytes.listpack(entries, count)
    assert unpack_listpack(data) == _as_texts(entries)


@pytest.mark.parametrize("count", [None, 0xFFFF])
def test_a_ziplist_is_read_whatever_is_in_it(count: int | None) -> None:
    entries: list[bytes | int] = [*_NUMBERS, *_TEXTS, *_NUMBERS]
    data = rdb_bytes.ziplist(entries, count)
    assert unpack_ziplist(data) == _as_texts(entries)


def test_the_length_of_an_entry_at_a_bound_may_be_said_in_its_shortest_form() -> None:
    text = b"x" * 16378
    data = bytearray(rdb_bytes.listpack([text]))
    assert data[-4:] == b"\x00\xff\xff\xff"
    data[-4:-1] = b"\x7f\xff"
    data[:4] = len(data).to_bytes(4, "little")
    assert unpack_listpack(bytes(data)) == [text]


def test_a_zipmap_is_read_whatever_is_in_it() -> None:
    fields = {b"%d" % size: b"x" * size for size in _SIZES}
    flat = [text for field in fields.items() for text in field]
    assert unpack_zipmap(rdb_bytes.zipmap(fields)) == flat
    assert unpack_zipmap(rdb_bytes.zipmap(fields, spare=3)) == flat


def test_a_zipmap_of_many_fields_does_not_say_how_many() -> None:
    fields = {b"%d" % number: b"" for number in range(300)}
    assert len(unpack_zipmap(rdb_bytes.zipmap(fields))) == 600


@pytest.mark.parametrize("size", [2, 4, 8])
def test_an_intset_is_read_in_every_width(size: int) -> None:
    most = 1 << 8 * size - 1
    numbers = [-most, -1, 0, 1, most - 1]
    assert unpack_intset(rdb_bytes.intset(numbers, size)) == [b"%d" % n for n in numbers]


def _claiming(data: bytes, at: int, value: bytes) -> bytes:
    return data[:at] + value + data[at + len(value) :]


_PACK = rdb_bytes.listpack([b"abc", 5, b"d"])
_ZIP = rdb_bytes.ziplist([b"abc", 5, b"d"])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        _PACK[:-1],
        _PACK + b"\xff",
        _PACK[:-1] + b"\xfe",
        _claiming(_PACK, 0, b"\xff\xff\xff\xff"),
        _claiming(_PACK, 4, b"\x02"),
        _claiming(_PACK, 4, b"\x04"),
        _claiming(_PACK, 6, b"\xbf"),
        _claiming(_PACK, 6, b"\xff"),
        _claiming(_PACK, 6, b"\xf5"),
        _claiming(_PACK, 6, b"\xf0\xff\xff\xff\xff"),
        _claiming(_PACK, 6, b"\xf4"),
        _claiming(_PACK, 10, b"\x05"),
        _claiming(_PACK, 12, b"\x81"),
    ],
)
def test_a_listpack_that_is_wrong_about_itself_is_refused(data: bytes) -> None:
    with pytest.raises(PackedError):
        unpack_listpack(data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        _ZIP[:-1],
        _ZIP + b"\xff",
        _claiming(_ZIP, 0, b"\xff\xff"),
        _claiming(_ZIP, 4, b"\x0a"),
        _claiming(_ZIP, 8, b"\x02"),
        _claiming(_ZIP, 10, b"\x01"),
        _claiming(_ZIP, 10, b"\xfe\x00\x00\x00\x00"),
        _claiming(_ZIP, 11, b"\x3f"),
        _claiming(_ZIP, 11, b"\x80\xff\xff\xff\xff"),
        _claiming(_ZIP, 11, b"\x90"),
        _claiming(_ZIP, 11, b"\xff"),
        _claiming(_ZIP, 15, b"\x04"),
        rdb_bytes.ziplist([])[:-1] + b"\xfe",
    ],
)
def test_a_ziplist_that_is_wrong_about_itself_is_refused(data: bytes) -> None:
    with pytest.raises(PackedError):
        unpack_ziplist(data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"\x01\x01a\x01\x00b",
        b"\x02\x01a\x01\x00b\xff",
        b"\x01\x01a\x01\x09b\xff",
        b"\x01\x09a\x01\x00b\xff",
        b"\x01\x01a\xff",
        b"\x01\xff\x01\x00b\xff",
        b"\x01\xfe\xff\xff\xff\xffa\x01\x00b\xff",
    ],
)
def test_a_zipmap_that_is_wrong_about_itself_is_refused(data: bytes) -> None:
    with pytest.raises(PackedError):
        unpack_zipmap(data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x02\x00\x00\x00",
        rdb_bytes.intset([1, 2], 2)[:-1],
        rdb_bytes.intset([1, 2], 2) + b"\0\0",
        rdb_bytes.intset([2, 1], 4),
        rdb_bytes.intset([1, 1], 4),
        b"\x03\x00\x00\x00\x00\x00\x00\x00",
        b"\x02\x00\x00\x00\xff\xff\xff\xff",
    ],
)
def test_an_intset_that_is_wrong_about_itself_is_refused(data: bytes) -> None:
    with pytest.raises(PackedError):
        unpack_intset(data)


_UNPACKERS: list[Callable[[bytes], list[bytes]]] = [
    unpack_listpack,
    unpack_ziplist,
    unpack_zipmap,
    unpack_intset,
]


@given(
    data=st.one_of(
        st.binary(max_size=64),
        st.lists(st.binary(max_size=20) | st.integers(-(2**63), 2**63 - 1)).map(
            rdb_bytes.listpack
        ),
        st.lists(st.binary(max_size=20) | st.integers(-(2**63), 2**63 - 1)).map(
            rdb_bytes.ziplist
        ),
    ),
    changes=st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), max_size=3),
)
def test_whatever_comes_is_read_or_refused(
    data: bytes, changes: list[tuple[int, int]]
) -> None:
    changed = bytearray(data)
    for at, value in changes:
        if at < len(changed):
            changed[at] = value
    for unpack in _UNPACKERS:
        try:
            texts = unpack(bytes(changed))
        except PackedError:
            continue
        assert sum(map(len, texts)) <= 20 * len(changed)


def test_the_numbers_of_the_tests_meet_every_form() -> None:
    assert all(left != right for left, right in pairwise(sorted({*_NUMBERS})))
