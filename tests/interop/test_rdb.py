"""RDB beside a real redis-server: it takes our files and payloads, and we take its.

Every form in which it keeps a value is met by setting its thresholds. Forms that it no
longer writes are made by hand, and must mean the same to both.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sharedstate_memory.digest import digest_of_key, digest_of_value
from sharedstate_memory.rdb import format as form
from sharedstate_memory.rdb.payload import PayloadError, dump_value, restore_value
from tests.differential.pair import OurEngine
from tests.interop.real_redis import ENCODINGS, FileServer
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

if TYPE_CHECKING:
    from sharedstate_memory.engine import Engine

LIBRARY = b"#!lua name=mine\nredis.register_function('one', function() return 1 end)"

_NUMBERS = [
    sign * (1 << bits) + more
    for bits in (0, 4, 7, 12, 15, 16, 23, 31, 32, 62)
    for sign in (1, -1)
    for more in (-1, 0, 1)
] + [2**63 - 1, -(2**63)]
_TEXTS = [b"", b"a", b"007", b"1.5", b" 1", b"-0", b"\0\xff" * 20]
_TEXTS += [b"x" * size for size in (63, 64, 127, 128, 253, 254, 4095, 4096)]
_ELEMENTS = sorted({*_TEXTS, *(b"%d" % number for number in _NUMBERS)})
# Minus zero is left out: here it is zero.
_SCORES = [b"0", b"1", b"-1", b"0.1", b"1e300", b"-5e-324", b"inf", b"-inf", b"3.14"]


@pytest.fixture(scope="module")
def real(redis_is_installed: None) -> Iterator[FileServer]:
    """A redis-server of this module's own."""
    server = FileServer()
    yield server
    server.close()


def _fill(real: FileServer) -> None:
    """Give it values of every type, big and small, in two databases."""
    for text in _ELEMENTS:
        real("SET", b"string:" + text, text)
    real("SET", "long", b"hello world " * 500)
    real("SET", "huge", bytes(range(256)) * 300)
    real("RPUSH", "list", *_ELEMENTS, *_ELEMENTS)
    real("RPUSH", "big-list", *range(3000), b"y" * 9000, b"x" * 70_000)
    real("RPUSH", "bound-list", b"x" * 16377, b"x" * 16378, b"x" * 16379)
    real("SADD", "numbers", *range(-20, 300, 7))
    real("SADD", "wide-numbers", *_NUMBERS)
    real("SADD", "set", *_ELEMENTS)
    real("HSET", "hash", *(word for text in _ELEMENTS for word in (text, text)))
    real("HSET", "small-hash", "f", "v")
    scored = zip(_SCORES * 10, _ELEMENTS, strict=False)
    real("ZADD", "zset", *(word for pair in scored for word in pair))
    real("ZADD", "small-zset", "1", "a", "2.5", "b")
    for name in ("list", "set", "hash", "zset", "long", "numbers"):
        real("COPY", name, "timed:" + name)
        real("PEXPIREAT", "timed:" + name, 4_000_000_000_123)
    real("COPY", "hash", "hash", "DB", 15)


def _names(real: FileServer) -> list[bytes]:
    return sorted(real("KEYS", "*"))


# -- whole files


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_we_load_its_files_and_it_loads_ours(real: FileServer, encoding: str) -> None:
    real.empty(encoding)
    _fill(real)
    real("FUNCTION", "LOAD", LIBRARY)
    before = real.digest()
    ours = loaded(real.save())
    assert sorted(ours.databases[0].data) == _names(real)
    for name in _names(real):
        assert _our_digest(ours, name) == real.digest_of(name), name
    assert real.load(saved(ours)) == b"OK"
    assert real.digest() == before
    assert real("FCALL", "one", 0) == 1


def _our_digest(engine: Engine, name: bytes) -> str:
    db = engine.databases[0]
    return digest_of_value(db.data[name], db.deadline_of(name))


def test_an_engine_and_the_server_that_loads_its_file_are_the_same(
    real: FileServer, tmp_path: Path
) -> None:
    real.empty()
    ours = OurEngine()
    ours.ask([(b"SET", b"k", b"v"), (b"PEXPIRE", b"k", b"100000"), (b"SADD", b"s", b"1")])
    ours.ask([(b"SELECT", b"7"), (b"ZADD", b"z", b"1.25", b"m")])
    for compress in (True, False):
        for checksum in (True, False):
            data = saved(ours.engine, compress=compress, checksum=checksum)
            assert real.load(data) == b"OK"
            assert real("PEXPIRETIME", "k") == ours.engine.databases[0].deadlines[b"k"]
            again = loaded(real.save())
            for db, other in zip(ours.engine.databases, again.databases, strict=True):
                digests = [{digest_of_key(d, name) for name in d.data} for d in (db, other)]
                assert digests[0] == digests[1]


@pytest.mark.parametrize("policy", ["allkeys-lru", "allkeys-lfu"])
def test_how_keys_were_used_is_carried_both_ways(real: FileServer, policy: str) -> None:
    real.empty()
    real("CONFIG", "SET", "maxmemory-policy", policy)
    try:
        option, value = ("IDLETIME", 1000) if policy.endswith("lru") else ("FREQ", 99)
        real("RESTORE", "k", 0, payload(0, string(b"v")), option, value)
        ours = new_engine()
        ours.open_session(_nobody).execute(
            [b"CONFIG", b"SET", b"maxmemory-policy", policy.encode()]
        )
        loaded(real.save(), ours)
        asked = [b"OBJECT", option.encode(), b"k"]
        assert abs(ours.open_session(_nobody).execute(asked) - value) <= 60  # type: ignore[operator]
        assert real.load(saved(ours)) == b"OK"
        assert abs(real(*asked) - value) <= 60
    finally:
        real("CONFIG", "SET", "maxmemory-policy", "noeviction")


def _nobody(reply: Any) -> None:
    """Nothing comes out of band."""


@pytest.mark.parametrize("encoding", ["packed", "plain"])
def test_the_checker_of_redis_accepts_our_files(
    real: FileServer, tmp_path: Path, encoding: str
) -> None:
    real.empty(encoding)
    _fill(real)
    ours = loaded(real.save())
    path = tmp_path / "ours.rdb"
    path.write_bytes(saved(ours))
    checked = subprocess.run(
        ["redis-check-rdb", str(path)], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout
    assert "RDB looks OK" in checked.stdout
    assert f"{sum(len(db.data) for db in ours.databases)} keys read" in checked.stdout


# -- payloads


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_payloads_are_carried_both_ways(real: FileServer, encoding: str) -> None:
    real.empty(encoding)
    _fill(real)
    for name in _names(real):
        before = real("DEBUG", "DIGEST-VALUE", name)
        value = restore_value(real("DUMP", name)).value
        deadline_ms = real("PEXPIRETIME", name)
        at = None if deadline_ms < 0 else deadline_ms
        assert digest_of_value(value, at) == real.digest_of(name), name
        words = [name, max(deadline_ms, 0), dump_value(value), "REPLACE", "ABSTTL"]
        assert real("RESTORE", *words) == b"OK"
        assert real("DEBUG", "DIGEST-VALUE", name) == before, name


_text = st.binary(max_size=70) | st.integers(-(2**65), 2**65).map(lambda n: b"%d" % n)
_scores = st.floats(allow_nan=False).map(lambda score: score + 0.0)
_values = st.one_of(
    _text.map(lambda text: [b"SET", b"k", text]),
    st.lists(_text, min_size=1).map(lambda texts: [b"RPUSH", b"k", *texts]),
    st.lists(_text, min_size=1).map(lambda texts: [b"SADD", b"k", *texts]),
    st.lists(st.tuples(_text, _text), min_size=1).map(
        lambda pairs: [b"HSET", b"k", *(word for pair in pairs for word in pair)]
    ),
    st.lists(st.tuples(_scores, _text), min_size=1).map(
        lambda pairs: [
            b"ZADD",
            b"k",
            *(word for score, text in pairs for word in (repr(score).encode(), text)),
        ]
    ),
)


@given(words=_values, encoding=st.sampled_from(["packed", "plain"]))
@settings(
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_random_values_are_carried_both_ways(
    real: FileServer, words: list[bytes], encoding: str
) -> None:
    real.empty(encoding)
    ours = OurEngine()
    assert real(*words) == ours.ask([tuple(words)])[0]
    (dump,) = ours.ask([(b"DUMP", b"k")])
    assert real("RESTORE", "copy", 0, dump) == b"OK"
    assert len({*real("DEBUG", "DIGEST-VALUE", "k", "copy")}) == 1
    assert ours.ask([(b"RESTORE", b"copy", b"0", real("DUMP", "k"))]) == [b"OK"]
    db = ours.engine.databases[0]
    assert digest_of_value(db.data[b"k"], None) == digest_of_value(db.data[b"copy"], None)
    assert digest_of_value(db.data[b"k"], None) == real.digest_of(b"copy")


# -- forms that are no longer written

_OLD: dict[str, tuple[int, bytes]] = {
    "list": (form.LIST, strings(_ELEMENTS)),
    "set": (form.SET, strings(_ELEMENTS)),
    "zset with scores as text": (form.ZSET_TEXT, b"\x03\x01a\x032.5\x01b\xfe\x01c\xff"),
    "hash": (form.HASH, b"\x02\x01f\x01v\x01g\xc0\x05"),
    "zset": (form.ZSET, b"\x01\x01a" + bytes(6) + b"\xf0\x3f"),
    "zipmap": (form.HASH_ZIPMAP, string(zipmap({b"f": b"v", b"g": b"x" * 300}, spare=3))),
    "list in a ziplist": (form.LIST_ZIPLIST, string(ziplist([*_TEXTS, *_NUMBERS]))),
    "uncounted ziplist": (form.LIST_ZIPLIST, string(ziplist([b"a", 5], 0xFFFF))),
    "intset": (form.SET_INTSET, string(intset([-70_000, 0, 5], 4))),
    "wide intset": (form.SET_INTSET, string(intset([-(2**63), 2**40], 8))),
    "zset in a ziplist": (form.ZSET_ZIPLIST, string(ziplist([b"a", -3, b"b", b"2.5"]))),
    "hash in a ziplist": (form.HASH_ZIPLIST, string(ziplist([b"f", b"v", b"g", 70_000]))),
    "quicklist": (
        form.LIST_OF_ZIPLISTS,
        b"\x02" + string(ziplist([b"a", 5])) + string(ziplist([b"x" * 300, 13])),
    ),
    "hash in a listpack": (form.HASH_LISTPACK, string(listpack([b"f", -5000, b"g", 200]))),
    "zset in a listpack": (form.ZSET_LISTPACK, string(listpack([b"a", 1, b"b", b"inf"]))),
    "quicklist of listpacks": (
        form.LIST_OF_LISTPACKS,
        b"\x02\x01" + string(b"plain") + b"\x02" + string(listpack([*_TEXTS, *_NUMBERS])),
    ),
}


@pytest.mark.parametrize("name", _OLD)
def test_old_forms_mean_the_same_to_both(real: FileServer, name: str) -> None:
    real.empty()
    kind, value = _OLD[name]
    dump = payload(kind, value, 6)
    assert real("RESTORE", "k", 0, dump) == b"OK"
    assert digest_of_value(restore_value(dump).value, None) == real.digest_of(b"k")


@pytest.mark.parametrize("version", [3, 4, 6, 7, 8, 9])
def test_old_files_mean_the_same_to_both(real: FileServer, version: int) -> None:
    items = [key(kind, value, name.encode()) for name, (kind, value) in _OLD.items()]
    deadline = b"\xfd" + (2_100_000_000).to_bytes(4, "little")
    data = file(deadline + items[0], *items[1:], version=version)
    assert real.load(data) == b"OK"
    ours = loaded(data)
    assert sorted(ours.databases[0].data) == _names(real)
    for name in _names(real):
        assert _our_digest(ours, name) == real.digest_of(name), name


_BAD: dict[str, tuple[int, bytes]] = {
    "a member twice": (form.SET, strings([b"a", b"a"])),
    "a field twice": (form.HASH, b"\x02" + b"\x01f\x01v" * 2),
    "a packed field twice": (form.HASH_LISTPACK, string(listpack([b"a", 1, b"a", 1]))),
    "no number": (form.ZSET, b"\x01\x01a" + bytes(6) + b"\xf8\x7f"),
    "nothing": (form.LIST, b"\x00"),
    "no type": (99, b"\x00"),
    "a stream": (15, b"\x00"),
    "half a pair": (form.HASH_LISTPACK, string(listpack([b"a"]))),
    "a lying listpack": (
        form.HASH_LISTPACK,
        string(listpack([b"a", 1])[:-2] + b"\x05\xff"),
    ),
    "a lying ziplist": (form.HASH_ZIPLIST, string(ziplist([b"a", 1], 7))),
    "a lying length": (form.STRING, b"\x80\xff\xff\xff\xffa"),
    "a short intset": (form.SET_INTSET, string(intset([1, 2], 2)[:-1])),
    "an intset out of order": (form.SET_INTSET, string(intset([2, 1], 2))),
    "a damaged string": (form.STRING, b"\xc3\x03\x05\x00a\x20"),
}


@pytest.mark.parametrize("name", _BAD)
def test_what_it_refuses_is_refused_here(real: FileServer, name: str) -> None:
    real.empty()
    real("CONFIG", "SET", "sanitize-dump-payload", "yes")
    dump = payload(*_BAD[name])
    assert real("RESTORE", "k", 0, dump).text == b"ERR Bad data format"
    with pytest.raises(PayloadError, match="Bad data format"):
        restore_value(dump)
