"""Strings that are saved without being touched: the same bytes as by looking at them, and
no count of references changed meanwhile.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from io import BytesIO
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sharedstate_memory.engine import Engine
from sharedstate_memory.rdb import untouched, writer
from sharedstate_memory.rdb.loader import load
from sharedstate_memory.rdb.source import RdbSource
from sharedstate_memory.rdb.untouched import Untouched
from sharedstate_memory.rdb.writer import snapshot

pytestmark = pytest.mark.skipif(
    untouched.untouched(None) is None, reason="not possible with this interpreter"
)

NOW_MS = 1_700_000_000_000

texts = st.one_of(
    st.binary(max_size=40),
    st.integers(-(2**40), 2**40).map(lambda number: b"%d" % number),
    st.sampled_from([b"-", b"-0", b"00", b"0", b"+1", b"1e3", b"2147483648", b"a" * 300]),
    st.builds(lambda one, count: one * count, st.binary(max_size=5), st.integers(0, 5000)),
)
hashes = st.dictionaries(texts, texts, min_size=1, max_size=20)


def engine_with(data: dict[bytes, object], deadlines: Iterable[bytes] = ()) -> Engine:
    engine = Engine(clock_ms=lambda: NOW_MS, random=Random(0))
    for key, value in data.items():
        engine.databases[0].put(key, value)  # type: ignore[arg-type]
    for number, key in enumerate(deadlines):
        # By another object than the one that is the key.
        engine.databases[0].set_deadline(bytes(bytearray(key)), NOW_MS + number + 1)
    return engine


def saved(engine: Engine, *, compress: bool = True) -> bytes:
    return b"".join(snapshot(engine, compress=compress))


@given(st.dictionaries(texts, texts | hashes), st.data(), st.booleans())
def test_what_is_saved_so_is_what_there_was(
    data: dict[bytes, object], draw: st.DataObject, compress: bool
) -> None:
    timed = draw.draw(st.lists(st.sampled_from(sorted(data)), unique=True)) if data else []
    engine = engine_with(data, timed)
    loaded = engine_with({})
    for _ in load(RdbSource(BytesIO(saved(engine, compress=compress))), loaded):
        pass
    assert loaded.databases[0].data == engine.databases[0].data
    assert loaded.databases[0].deadlines == engine.databases[0].deadlines


@given(st.dictionaries(texts, texts))
def test_keys_have_the_bytes_that_they_have_when_they_are_looked_at(
    data: dict[bytes, object],
) -> None:
    engine = engine_with(data, list(data)[::2])
    quick = saved(engine)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writer, "untouched", lambda least: None)
        assert saved(engine) == quick


def test_pieces_do_not_depend_on_where_they_end() -> None:
    generator = Random(1)
    data = {
        b"key:%d" % number: generator.randbytes(generator.randrange(200_000))
        for number in range(100)
    }
    data[b"huge"] = generator.randbytes(3 << 20)
    engine = engine_with({**data, b"hash": dict(data)})
    assert saved(engine).count(data[b"huge"]) == 2
    assert len(saved(engine)) > 2 * sum(map(len, data.values()))


def test_keys_that_were_removed_are_not_saved() -> None:
    engine = engine_with({b"key:%d" % number: b"v" for number in range(1000)})
    for number in range(0, 1000, 3):
        engine.databases[0].remove(b"key:%d" % number)
    content = saved(engine)
    assert b"key:3\x01v" not in content
    assert content.count(b"\x01v") == 666


def test_no_reference_is_counted() -> None:
    data = {b"key:%d" % number: b"value of %d" % number for number in range(1000)}
    strings = untouched.untouched(None)
    assert strings is not None
    value = data[b"key:7"]
    before = sys.getrefcount(value)
    during = [sys.getrefcount(value) for _ in strings.keys(data, {b"key:7": 1})]
    assert during
    assert set(during) == {before}
    assert strings.count == 1000


def test_an_interpreter_that_is_another_is_left_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    untouched._program.cache_clear()
    monkeypatch.setattr(sys, "abiflags", "t")
    assert untouched.untouched(None) is None
    untouched._program.cache_clear()


def test_what_does_not_do_as_it_should_is_not_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    untouched._program.cache_clear()
    monkeypatch.setattr(untouched, "_EXPECTED", (b"something else",))
    assert untouched.untouched(None) is None
    untouched._program.cache_clear()


def test_two_at_the_same_time_do_not_mix() -> None:
    strings = untouched.untouched(None)
    assert isinstance(strings, Untouched)
    one = {b"a%d" % number: b"v" * 100 for number in range(5000)}
    two = {b"b%d" % number: b"w" * 100 for number in range(5000)}
    alone = [[*strings.keys(data, dict.fromkeys(data, 9))] for data in (one, two)]
    pairs = zip(
        strings.keys(one, dict.fromkeys(one, 9)),
        strings.keys(two, dict.fromkeys(two, 9)),
        strict=True,
    )
    assert [[*pieces] for pieces in zip(*pairs, strict=True)] == alone
