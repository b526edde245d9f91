"""RDB files that others wrote: every form they have, and what is refused by name."""

from __future__ import annotations

import io

import pytest

from sharedstate_memory.rdb import format as form
from sharedstate_memory.rdb.errors import RdbError, UnsupportedTypeError
from sharedstate_memory.rdb.loader import load
from sharedstate_memory.rdb.source import RdbSource
from tests.rdb_bytes import (
    Dripping,
    file,
    intset,
    key,
    length,
    listpack,
    loaded,
    new_engine,
    string,
    strings,
    ziplist,
    zipmap,
)
from tests.unit.memory.tables import check_engine

# -- forms that are only read


FORMS: list[tuple[int, bytes, object]] = [
    (form.STRING, b"\xc0\xfe", b"-2"),
    (form.STRING, b"\xc1\xe8\x03", b"1000"),
    (form.STRING, b"\xc2\x00\x00\x01\x00", b"65536"),
    (form.STRING, b"\xc3\x05\x0a\x00a\xe0\x00\x00", b"a" * 10),
    (form.STRING, b"\x80\x00\x00\x00\x01x", b"x"),
    (form.STRING, b"\x81\x00\x00\x00\x00\x00\x00\x00\x01x", b"x"),
    (form.STRING, b"\x40\x01x", b"x"),
    (form.LIST, strings([b"a", b"", b"a"]), [b"a", b"", b"a"]),
    (form.LIST, b"\x02\xc0\x05\xc3\x05\x0a\x00a\xe0\x00\x00", [b"5", b"a" * 10]),
    (form.SET, strings([b"a", b"b"]), {b"a", b"b"}),
    (form.HASH, b"\x01" + string(b"f") + string(b"v"), {b"f": b"v"}),
    (form.ZSET_TEXT, b"\x02\x01a\x032.5\x01b\xfe", {b"a": 2.5, b"b": float("inf")}),
    (form.ZSET_TEXT, b"\x01\x01a\xff", {b"a": float("-inf")}),
    (form.ZSET, b"\x01\x01a" + bytes(6) + b"\xf0\x3f", {b"a": 1.0}),
    (form.HASH_ZIPMAP, string(zipmap({b"f": b"v"}, spare=2)), {b"f": b"v"}),
    (form.LIST_ZIPLIST, string(ziplist([b"a", 1, 1])), [b"a", b"1", b"1"]),
    (form.SET_INTSET, string(intset([-5, 7], 2)), {b"-5", b"7"}),
    (form.ZSET_ZIPLIST, string(ziplist([b"a", b"2.5"])), {b"a": 2.5}),
    (form.HASH_ZIPLIST, string(ziplist([b"f", 5])), {b"f": b"5"}),
    (
        form.LIST_OF_ZIPLISTS,
        b"\x02" + string(ziplist([b"a"])) + string(ziplist([1000])),
        [b"a", b"1000"],
    ),
    (form.HASH_LISTPACK, string(listpack([b"f", 70_000])), {b"f": b"70000"}),
    (
        form.ZSET_LISTPACK,
        string(listpack([b"a", -7, 3, b"-inf"])),
        {b"a": -7, b"3": -1e999},
    ),
    (
        form.LIST_OF_LISTPACKS,
        b"\x02\x01" + string(b"plain") + b"\x02" + string(listpack([b"a", 5])),
        [b"plain", b"a", b"5"],
    ),
    (form.SET_LISTPACK, string(listpack([b"a", 5])), {b"a", b"5"}),
]


@pytest.mark.parametrize(("kind", "value", "meaning"), FORMS)
@pytest.mark.parametrize("limit", [1, 1 << 18])
def test_every_form_of_a_value_is_read(
    kind: int, value: bytes, meaning: object, limit: int
) -> None:
    data = file(key(0, string(b"x"), b"first"), key(kind, value), key(0, b"\x00", b"last"))
    engine = new_engine()
    for _ in load(RdbSource(Dripping(data, limit)), engine):
        pass
    check_engine(engine)
    assert _shown(engine.databases[0].data[b"k"]) == meaning
    assert engine.databases[0].data.keys() == {b"first", b"k", b"last"}


def _shown(value: object) -> object:
    if hasattr(value, "scores"):
        return value.scores()
    return value if isinstance(value, (bytes, dict, set)) else list(value)  # type: ignore[call-overload]


def test_deadlines_in_seconds_and_milliseconds_are_read() -> None:
    engine = loaded(
        file(
            b"\xfd" + (2_000_000_000).to_bytes(4, "little") + key(0, string(b"v"), b"s"),
            b"\xfc" + (2_000_000_000_123).to_bytes(8, "little") + key(0, b"\x00", b"ms"),
            b"\xfc" + b"\xff" * 8 + key(0, b"\x00", b"none"),
            b"\xfd" + b"\xff" * 4 + key(0, b"\x00", b"over"),
        )
    )
    assert engine.databases[0].deadlines == {
        b"s": 2_000_000_000_000,
        b"ms": 2_000_000_000_123,
    }
    assert engine.databases[0].data.keys() == {b"s", b"ms", b"none"}


def test_what_only_other_servers_need_is_passed_over() -> None:
    engine = loaded(
        file(
            b"\xfb\x05\x03",
            b"\xf4\x01\x02\x03",
            b"\xfa" + string(b"lua") + string(b"return 1"),
            b"\xf8\x05" + key(0, string(b"v"), b"idle"),
            b"\xf9\x07" + key(0, string(b"v"), b"used"),
        )
    )
    assert engine.databases[0].data == {b"idle": b"v", b"used": b"v"}


@pytest.mark.parametrize("version", [1, 4, 5, 6, 7, 9, 11, 12])
def test_files_of_every_version_are_read(version: int) -> None:
    data = file(key(0, string(b"v")), version=version)
    source = RdbSource(io.BytesIO(data + b"more"))
    engine = new_engine()
    for _ in load(source, engine):
        pass
    assert source.version == version
    assert source.leftover == b"more"
    assert engine.databases[0].data == {b"k": b"v"}


@pytest.mark.parametrize("kind", [form.LIST, form.SET, form.HASH, form.ZSET])
def test_an_empty_container_is_no_key(kind: int) -> None:
    engine = loaded(file(key(kind, b"\x00"), key(0, string(b"v"), b"other")))
    assert engine.databases[0].data == {b"other": b"v"}


FIRST_MS = 4_000_000_000_000


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (
            form.HASH_DEADLINES,
            FIRST_MS.to_bytes(8, "little")
            + b"\x03\x01\x01a\x011\x00\x01b\x012\x40\x65\x01c\x013",
        ),
        (
            form.HASH_DEADLINES_LISTPACK,
            FIRST_MS.to_bytes(8, "little")
            + string(listpack([b"a", 1, FIRST_MS, b"c", 3, FIRST_MS + 100, b"b", 2, 0])),
        ),
    ],
)
def test_deadlines_of_fields_are_read(kind: int, value: bytes) -> None:
    engine = loaded(file(key(kind, value), version=12))
    check_engine(engine)
    db = engine.databases[0]
    assert db.data[b"k"] == {b"a": b"1", b"b": b"2", b"c": b"3"}
    assert db.field_deadlines[b"k"].deadlines() == {b"a": FIRST_MS, b"c": FIRST_MS + 100}


# -- what is refused by name


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        (15, "a stream"),
        (19, "a stream"),
        (21, "a stream"),
        (6, "a value of a module"),
        (7, "a value of a module"),
        (22, "a hash of a preview of Redis 7.4"),
        (23, "a hash of a preview of Redis 7.4"),
    ],
)
def test_what_is_not_there_is_refused_by_name_and_key(kind: int, what: str) -> None:
    first = key(0, string(b"v"), b"first")
    with pytest.raises(UnsupportedTypeError) as caught:
        loaded(file(first, key(kind, b"\x00", b"the-key")))
    assert str(caught.value) == (
        f"the key b'the-key' of database 0 is {what}, which is not supported (at byte"
        f" {11 + len(first)})"
    )


def test_data_of_modules_are_refused_by_name() -> None:
    number = 0
    for letter in "ReJSON-RL":
        letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
        number = number << 6 | letters.index(letter)
    mark = b"\xf7\x81" + (number << 10 | 3).to_bytes(8, "big")
    with pytest.raises(UnsupportedTypeError, match="module 'ReJSON-RL'"):
        loaded(file(mark))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "the input ends"),
        (b"PNG..........", "an RDB file begins with REDIS"),
        (b"REDISxxxx", "an RDB file begins with REDIS"),
        (b"REDIS0013\xff", "version 13 of the format, where 12 is the latest"),
        (b"REDIS0000\xff", "version 0 of the format"),
        (file(b"\xfe\x10", key(0, string(b"v"))), "a key of database 16, but there are 16"),
        (file(key(77, b"")), "77 is none"),
        (file(key(0, b"\xc4x")), "0xc4 begins none"),
        (file(key(2, b"\xc0")), "0xc0 begins none"),
        (file(b"\xf5" + string(b"no library")), "a library that cannot be loaded"),
        (file(key(0, b"\x00"))[:-1] + b"x", "the checksum of the file is"),
    ],
)
def test_what_is_wrong_is_told(data: bytes, reason: str) -> None:
    with pytest.raises(RdbError, match=reason):
        loaded(data)


def test_a_checksum_is_checked_only_if_it_is_wanted_and_there() -> None:
    loaded(file(key(0, b"\x00"))[:-1] + b"x", checksum=False)
    loaded(file(key(0, b"\x00"), has_checksum=False))


def test_a_length_of_the_tests_has_every_form() -> None:
    assert [length(n)[:1] for n in (0, 63, 64, 16383, 16384)] == [
        b"\x00",
        b"\x3f",
        b"\x40",
        b"\x7f",
        b"\x80",
    ]
