"""LZF and CRC-64, in Lua and in Python."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sharedstate_memory.rdb import lzf
from sharedstate_memory.rdb.checksum import START, crc64, update_slowly
from sharedstate_memory.rdb.lzf import LzfError, compress, decompress, decompress_slowly

_LIVELY = st.lists(st.sampled_from([b"a", b"bc", b"def", b"\0" * 40, b"hello"])).map(
    b"".join
)


def test_the_checksum_is_that_of_the_catalogue() -> None:
    assert crc64(b"123456789")[::-1].hex() == "e9c6d914c4b8d9ca"
    assert update_slowly(b"123456789", START)[::-1].hex() == "e9c6d914c4b8d9ca"


@given(data=st.binary(max_size=100), split=st.integers(0, 100))
def test_a_checksum_can_be_worked_out_in_parts(data: bytes, split: int) -> None:
    assert crc64(data[split:], crc64(data[:split])) == crc64(data)
    assert update_slowly(data, START) == crc64(data)


def test_a_checksum_of_much_is_that_of_its_parts() -> None:
    data = bytes(range(256)) * 9000
    assert crc64(data) == crc64(data[1_000_001:], crc64(data[:1_000_001]))


@given(data=_LIVELY | st.binary(max_size=600))
def test_what_was_compressed_comes_back(data: bytes) -> None:
    compressed = compress(data, max(len(data) - 4, 0))
    if compressed is None:
        return
    assert len(compressed) <= max(len(data) - 4, 0)
    assert decompress(compressed, len(data)) == data
    assert decompress_slowly(compressed, len(data)) == data


@pytest.mark.parametrize("size", [300, 8191, 8192, 8193, 70_000, 2_000_000])
def test_what_repeats_itself_becomes_small(size: int) -> None:
    data = (bytes(range(97)) * (size // 97 + 1))[:size]
    compressed = compress(data, size - 1)
    assert compressed is not None
    assert len(compressed) < 200 + size // 60
    assert decompress(compressed, size) == data


def test_what_does_not_become_smaller_is_not_compressed() -> None:
    assert compress(bytes(range(256)), 252) is None
    assert compress(b"a" * 100, 3) is None
    assert compress(b"a" * 100, 50) is not None


_DAMAGED = [
    (b"\x05ab", 6),
    (b"\x00a\x20", 4),
    (b"\x00a\x20\x05", 4),
    (b"\x00a\xe0\x00", 10),
    (b"\x00a\x20\x00", 3),
    (b"\x00a\x20\x00", 5),
    (b"\x00a", 2),
    (b"", 1),
]


@pytest.mark.parametrize(("data", "size"), _DAMAGED)
def test_what_is_damaged_is_refused(data: bytes, size: int) -> None:
    with pytest.raises(LzfError):
        decompress(data, size)
    assert decompress_slowly(data, size) is None


@given(data=st.binary(max_size=60), size=st.integers(0, 2000))
def test_lua_and_python_take_the_same(data: bytes, size: int) -> None:
    try:
        whole = decompress(data, size)
    except LzfError:
        assert decompress_slowly(data, size) is None
    else:
        assert decompress_slowly(data, size) == whole


@pytest.mark.parametrize("size", [2**63, 2**40, 2**31, 1_000_000])
def test_no_memory_is_taken_for_what_cannot_be(size: int) -> None:
    with pytest.raises(LzfError, match="so few"):
        decompress(b"\x00a" + b"\xe0\xff\x00" * 10, size)


def test_without_lua_nothing_is_compressed_and_everything_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = b"hello" * 100
    compressed = compress(data, 400)
    assert compressed is not None
    monkeypatch.setattr(lzf, "program", lambda name: None)
    assert compress(data, 400) is None
    assert lzf.decompress_many([(compressed, 500), (b"\x00a", 1)]) == [data, b"a"]
    with pytest.raises(LzfError):
        lzf.decompress(compressed, 499)
