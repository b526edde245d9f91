"""Hostile files and payloads: an error with an offset, bounded memory, and no crash.

Files come from disks that lie, payloads from anybody who may RESTORE.
"""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sharedstate_memory.rdb import format as form
from sharedstate_memory.rdb.errors import RdbError
from sharedstate_memory.rdb.payload import PayloadError, restore_value
from tests.rdb_bytes import (
    file,
    intset,
    key,
    listpack,
    loaded,
    new_engine,
    payload,
    saved,
    string,
    strings,
    ziplist,
    zipmap,
)
from tests.unit.memory.recount import assert_counted
from tests.unit.memory.tables import check_tables

if TYPE_CHECKING:
    from sharedstate_memory.engine import Engine

_HUGE = [
    b"\x80\xff\xff\xff\xff",
    b"\x81\x80\x00\x00\x00\x00\x00\x00\x00",
    b"\x81\xff\xff\xff\xff\xff\xff\xff\xff",
]
_NAN = bytes(6) + b"\xf8\x7f"

# Every type, small.
_VALUES: list[tuple[int, bytes]] = [
    (form.STRING, string(b"hello")),
    (form.STRING, b"\xc3\x05\x0a\x00a\xe0\x00\x00"),
    (form.LIST, strings([b"a", b"b"])),
    (form.SET, strings([b"a", b"b"])),
    (form.ZSET_TEXT, b"\x02\x01a\x032.5\x01b\xfe"),
    (form.HASH, b"\x02" + b"".join(map(string, (b"f", b"v", b"g", b"w")))),
    (form.ZSET, b"\x01\x01a" + bytes(6) + b"\xf0\x3f"),
    (form.HASH_ZIPMAP, string(zipmap({b"f": b"v", b"g": b"w"}))),
    (form.LIST_ZIPLIST, string(ziplist([b"a", 1, 70_000]))),
    (form.SET_INTSET, string(intset([-5, 7], 2))),
    (form.ZSET_ZIPLIST, string(ziplist([b"a", b"2.5"]))),
    (form.HASH_ZIPLIST, string(ziplist([b"f", 5]))),
    (form.LIST_OF_ZIPLISTS, b"\x01" + string(ziplist([b"a"]))),
    (form.HASH_LISTPACK, string(listpack([b"f", 70_000]))),
    (form.ZSET_LISTPACK, string(listpack([b"a", -7]))),
    (form.LIST_OF_LISTPACKS, b"\x02\x01\x01p\x02" + string(listpack([b"a", 5]))),
    (form.SET_LISTPACK, string(listpack([b"a", 5]))),
    (form.HASH_DEADLINES, bytes(5) + b"\x04\0\0\x02\x05\x01a\x011\x00\x01b\x012"),
    (form.HASH_DEADLINES_LISTPACK, bytes(8) + string(listpack([b"a", 1, 2**42]))),
]


def _attempt(data: bytes, *, checksum: bool = True) -> Engine | None:
    """Load what may be damaged. What is loaded, then or before the damage, is in order."""
    engine = new_engine()
    failure: RdbError | None = None
    try:
        loaded(data, engine, checksum=checksum)
    except RdbError as error:
        failure = error
    assert_counted(engine)
    for db in engine.databases:
        check_tables(db)
    if failure is None:
        return engine
    assert 0 <= failure.offset <= len(data)
    assert str(failure).endswith(f"(at byte {failure.offset})")
    return None


def _example() -> bytes:
    facts = b"\xfa\x01a\x01b\xfb\x05\x01" + b"\xfc" + bytes(5) + b"\x01\x02\x03\xf8\x05"
    items = [key(kind, value, b"%d" % at) for at, (kind, value) in enumerate(_VALUES)]
    return file(facts + items[0], *items[1:], version=12)


def test_the_example_is_good() -> None:
    engine = _attempt(_example())
    assert engine is not None
    assert len(engine.databases[0].data) == len(_VALUES)


def test_a_file_that_is_cut_anywhere_is_refused_there() -> None:
    data = _example()
    for size in range(len(data)):
        for checksum in (True, False):
            with pytest.raises(RdbError) as caught:
                loaded(data[:size], checksum=checksum)
            assert caught.value.offset <= size


@pytest.mark.parametrize("change", [0x01, 0x80, 0xFF])
def test_a_file_of_which_any_byte_is_another_is_refused_or_read(change: int) -> None:
    data = _example()
    for at in range(len(data)):
        damaged = data[:at] + bytes((data[at] ^ change,)) + data[at + 1 :]
        _attempt(damaged, checksum=False)
        assert _attempt(damaged) is None or _is_old(damaged), at


def _is_old(data: bytes) -> bool:
    """Whether a file is of a version from before checksums, and has none to be wrong."""
    return data.startswith((b"REDIS0002", b"REDIS0003"))


def _engine_with_everything() -> Engine:
    engine = new_engine()
    session = engine.open_session(lambda reply: None)
    for line in (
        "SET a hello",
        "RPUSH l a b 1",
        "SADD s a b",
        "HSET h f v g w",
        "ZADD z 1 a 2.5 b",
        "PEXPIRE a 100000",
        "HPEXPIRE h 100000 FIELDS 1 f",
    ):
        session.execute(line.encode().split())
    session.execute([b"SET", b"long", b"abc" * 200])
    return engine


@pytest.mark.parametrize("change", [0x01, 0x80, 0xFF])
def test_our_own_files_survive_the_same(change: int) -> None:
    data = saved(_engine_with_everything())
    for at in range(len(data)):
        damaged = data[:at] + bytes((data[at] ^ change,)) + data[at + 1 :]
        _attempt(damaged, checksum=False)
        assert _attempt(damaged) is None or _is_old(damaged), at


@pytest.mark.parametrize("kind", range(256))
def test_any_type_with_any_length_is_refused_or_read(kind: int) -> None:
    for value in [b"", b"\x00", b"\x01", *_HUGE, b"\xc3\x01" + _HUGE[1]]:
        _attempt(file(key(kind, value), version=12))
        _attempt(file(bytes((kind,)) + value, version=12))


@pytest.mark.parametrize("huge", _HUGE)
@pytest.mark.parametrize("kind", [0, 1, 2, 3, 4, 5, 9, 10, 11, 12, 13, 14, 16, 17, 18, 20])
def test_a_length_is_believed_only_as_far_as_bytes_come(kind: int, huge: bytes) -> None:
    data = file(key(kind, huge + b"\x01a" * 1000))
    tracemalloc.start()
    try:
        assert _attempt(data) is None
        assert tracemalloc.get_traced_memory()[1] < 3_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "value",
    [
        b"\xc3\x04\x81\x7f\xff\xff\xff\xff\xff\xff\xff\x00a\xe0\xff",
        b"\xc3\x04\x80\x7f\xff\xff\xff\x00a\xe0\xff",
        b"\xc3\x81\x7f\xff\xff\xff\xff\xff\xff\xff\x05\x00a\xe0\xff",
    ],
)
def test_what_claims_to_become_huge_takes_no_memory(value: bytes) -> None:
    tracemalloc.start()
    try:
        assert _attempt(file(key(0, value))) is None
        assert tracemalloc.get_traced_memory()[1] < 3_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (form.SET, strings([b"a", b"b", b"a"])),
        (form.HASH, b"\x02" + b"\x01f\x01v" * 2),
        (form.ZSET, b"\x02" + (b"\x01a" + bytes(8)) * 2),
        (form.ZSET_TEXT, b"\x02" + b"\x01a\x011" * 2),
        (form.HASH_ZIPMAP, string(b"\x02" + b"\x01f\x01\x00v" * 2 + b"\xff")),
        (form.ZSET_ZIPLIST, string(ziplist([b"a", 1, b"a", 2]))),
        (form.HASH_ZIPLIST, string(ziplist([b"a", 1, b"a", 2]))),
        (form.HASH_LISTPACK, string(listpack([b"a", 1, b"a", 2]))),
        (form.ZSET_LISTPACK, string(listpack([b"a", 1, b"a", 2]))),
        (form.SET_LISTPACK, string(listpack([b"1", 1]))),
        (form.SET_INTSET, string(intset([1, 1], 2))),
        (form.HASH_DEADLINES, bytes(8) + b"\x02" + b"\x00\x01f\x01v" * 2),
        (form.HASH_DEADLINES_LISTPACK, bytes(8) + string(listpack([b"a", 1, 0] * 2))),
    ],
)
def test_what_comes_twice_is_refused(kind: int, value: bytes) -> None:
    with pytest.raises(RdbError, match=r"twice|not in order"):
        loaded(file(key(kind, value), version=12))


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (form.ZSET, b"\x01\x01a" + _NAN),
        (form.ZSET_TEXT, b"\x01\x01a\xfd"),
        (form.ZSET_TEXT, b"\x01\x01a\x03nan"),
        (form.ZSET_TEXT, b"\x01\x01a\x031_0"),
        (form.ZSET_LISTPACK, string(listpack([b"a", b"nan"]))),
        (form.ZSET_ZIPLIST, string(ziplist([b"a", b"x"]))),
    ],
)
def test_scores_that_are_none_are_refused(kind: int, value: bytes) -> None:
    with pytest.raises(RdbError, match=r"no number|no score"):
        loaded(file(key(kind, value)))


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (form.HASH_LISTPACK, string(listpack([b"a"]))),
        (form.ZSET_LISTPACK, string(listpack([b"a", 1, b"b"]))),
        (form.HASH_ZIPLIST, string(ziplist([b"a"]))),
        (form.HASH_DEADLINES_LISTPACK, bytes(8) + string(listpack([b"a", 1]))),
        (form.HASH_DEADLINES_LISTPACK, bytes(8) + string(listpack([b"a", 1, 2**48]))),
        (form.HASH_DEADLINES_LISTPACK, bytes(8) + string(listpack([b"a", 1, -5]))),
        (form.HASH_DEADLINES_LISTPACK, bytes(8) + string(listpack([b"a", 1, b"9" * 5000]))),
        (form.HASH_DEADLINES, b"\xff" * 8 + b"\x01\x01\x01f\x01v"),
        (form.LIST_OF_LISTPACKS, b"\x01\x03\x01a"),
    ],
)
def test_values_with_a_part_that_does_not_fit_are_refused(kind: int, value: bytes) -> None:
    with pytest.raises(RdbError):
        loaded(file(key(kind, value), version=12))


# -- offsets


def test_the_offset_is_that_of_what_is_wrong() -> None:
    good = [key(0, string(b"v" * 100), b"%d" % number) for number in range(500)]
    broken = b"\xc3\x05\x0a\x00a\xe0\xff\x00"
    data = file(*good, key(0, broken, b"broken"), *[key(0, b"\x00", b"x")])
    with pytest.raises(RdbError) as caught:
        loaded(data)
    assert caught.value.offset == data.index(broken)


def test_the_offset_of_a_key_that_comes_twice_is_near_it() -> None:
    with pytest.raises(RdbError, match=r"key b'k' of database 0 comes twice"):
        loaded(file(key(0, b"\x00"), key(0, b"\x00")))


# -- fuzz


def _changed(data: bytes, changes: list[tuple[int, bytes, int]]) -> bytes:
    for at, inserted, removed in changes:
        at %= len(data) + 1
        data = data[:at] + inserted + data[at + removed :]
    return data


_items = st.sampled_from(_VALUES).flatmap(
    lambda value: st.binary(max_size=3).map(lambda name: key(*value, name))
)
_changes = st.lists(
    st.tuples(
        st.integers(0, 2000),
        st.binary(max_size=4) | st.sampled_from(_HUGE),
        st.integers(0, 4),
    ),
    max_size=4,
)


@given(items=st.lists(_items | st.binary(max_size=8), max_size=6), changes=_changes)
@settings(deadline=None, max_examples=300)
def test_whatever_stands_in_a_file_is_read_or_refused(
    items: list[bytes], changes: list[tuple[int, bytes, int]]
) -> None:
    _attempt(_changed(file(*items, version=12), changes), checksum=False)


@given(value=st.sampled_from(_VALUES), changes=_changes)
@settings(deadline=None, max_examples=300)
def test_whatever_stands_in_a_payload_is_read_or_refused(
    value: tuple[int, bytes], changes: list[tuple[int, bytes, int]]
) -> None:
    kind, body = value
    damaged = _changed(bytes((kind,)) + body, changes)
    whole = payload(damaged[0] if damaged else 0, damaged[1:], 12)
    try:
        content = restore_value(whole)
    except PayloadError as error:
        refusal = str(error)
    else:
        refusal = ""
        assert type(content.value) is bytes or len(content.value) > 0
    assert refusal in ("", "Bad data format")


@pytest.mark.parametrize(("kind", "body"), _VALUES)
def test_a_payload_that_is_cut_or_changed_anywhere_is_refused(
    kind: int, body: bytes
) -> None:
    whole = payload(kind, body, 12)
    restore_value(whole)
    for at in range(len(whole)):
        flipped = bytes((whole[at] ^ 0x81,))
        for damaged in (whole[:at], whole[:at] + flipped + whole[at + 1 :]):
            with pytest.raises(PayloadError, match="version or checksum"):
                restore_value(damaged)
        with pytest.raises(PayloadError, match=r"Bad data format|version or"):
            restore_value(payload(kind, body[: min(at, len(body) - 1)], 12))


def test_the_parsers_have_no_door_to_files() -> None:
    import sharedstate_memory.rdb as package

    for path in Path(package.__path__[0]).glob("*.py"):
        if path.name != "lua.py":  # It reads the Lua beside it.
            assert "open(" not in path.read_text(encoding="utf-8"), path
