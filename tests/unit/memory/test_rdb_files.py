"""RDB files: what goes into one comes out, through a door that keeps every table right."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sharedstate_memory.digest import digest_of_databases
from sharedstate_memory.rdb import format as form
from sharedstate_memory.rdb.describe import entries, type_name
from sharedstate_memory.rdb.encoding import PIECE_BYTES
from sharedstate_memory.rdb.errors import RdbError
from sharedstate_memory.rdb.loader import load
from sharedstate_memory.rdb.source import BLOCK_BYTES, RdbSource
from sharedstate_memory.rdb.walk import Key, Library
from sharedstate_memory.rdb.writer import snapshot
from tests.rdb_bytes import (
    Dripping,
    file,
    key,
    loaded,
    new_engine,
    saved,
    string,
    strings,
)
from tests.unit.memory.conftest import START_MS, Client, Clock
from tests.unit.memory.tables import check_engine

if TYPE_CHECKING:
    from sharedstate_memory.engine import Engine

LIBRARY = "#!lua name=mine\nredis.register_function('one', function() return 1 end)"


def _same(left: Engine, right: Engine) -> bool:
    return digest_of_databases(left.databases) == digest_of_databases(right.databases)


def _round_trip(engine: Engine) -> Engine:
    again = loaded(saved(engine), new_engine(engine.clock_ms))
    check_engine(again)
    assert _same(engine, again)
    return again


def _fill(client: Client, lines: str) -> None:
    for line in lines.strip().splitlines():
        client(line)


EVERYTHING = """
SET text hello
SET number -123456
SET big-number 123456789012
SET no-number 007
RPUSH list a b c 1 2 3 a
SADD set a b c
SADD numbers 1 2 300 -4000000
HSET hash a 1 b two c 3
ZADD zset 1 a 2.5 b -inf c inf d 0.1 e
SET timed x PX 5000
HSET timed-hash a 1
PEXPIRE timed-hash 7000
HSET fields a 1 b 2 c 3
HPEXPIRE fields 4000 FIELDS 2 a b
HSET both a 1 b 2
HPEXPIRE both 4000 FIELDS 1 a
PEXPIRE both 3000
SELECT 15
SET elsewhere x
SELECT 0
"""


# -- round trips


def test_everything_comes_back(client: Client) -> None:
    _fill(client, EVERYTHING)
    client("SET empty", b"")
    client("SET long", "abc" * 10_000)
    client("SET bytes", bytes(range(256)) * 5)
    client("SET", b"\xff" * 70, b"\0" * 300)
    again = _round_trip(client.engine)
    assert [len(db.data) for db in again.databases if db.data] == [17, 1]


def test_nothing_at_all_comes_back() -> None:
    _round_trip(new_engine())


@pytest.mark.parametrize("compress", [True, False])
@pytest.mark.parametrize("checksum", [True, False])
def test_a_file_is_read_with_and_without_its_checksum_and_compression(
    client: Client, compress: bool, checksum: bool
) -> None:
    client("SET long", "abc" * 1000)
    data = saved(client.engine, compress=compress, checksum=checksum)
    assert (len(data) < 1000) == compress
    assert (data[-8:] == bytes(8)) == (not checksum)
    assert _same(loaded(data), client.engine)


_texts = st.binary(max_size=12) | st.integers().map(lambda n: b"%d" % n)
_texts |= st.sampled_from([b"x" * 63, b"x" * 64, b"y" * 300, b"z" * 16384, b"12345678901"])
_COMMANDS = st.one_of(
    st.tuples(st.just(b"SET"), _texts, _texts),
    st.tuples(st.just(b"RPUSH"), _texts, _texts, _texts),
    st.tuples(st.just(b"SADD"), _texts, _texts, _texts),
    st.tuples(st.just(b"HSET"), _texts, _texts, _texts),
    st.tuples(
        st.just(b"ZADD"),
        _texts,
        st.floats(allow_nan=False).map(lambda n: repr(n).encode()),
        _texts,
    ),
    st.tuples(st.just(b"PEXPIRE"), _texts, st.integers(1, 10**12).map(lambda n: b"%d" % n)),
    st.tuples(st.just(b"SELECT"), st.sampled_from([b"0", b"1", b"9"])),
)


@given(commands=st.lists(_COMMANDS, max_size=30), limit=st.sampled_from([1, 7, 1 << 18]))
@settings(deadline=None)
def test_random_data_come_back_however_the_file_is_read(
    commands: list[tuple[bytes, ...]], limit: int
) -> None:
    engine = new_engine(Clock())
    session = engine.open_session(lambda reply: None)
    for words in commands:
        session.execute(list(words))
    again = new_engine(engine.clock_ms)
    for _ in load(RdbSource(Dripping(saved(engine), limit)), again):
        pass
    check_engine(again)
    assert _same(engine, again)


@pytest.mark.parametrize("kind", ["list", "set", "hash", "zset"])
def test_a_container_bigger_than_a_block_comes_back(client: Client, kind: str) -> None:
    numbers = [b"element:%d" % number for number in range(30_000)]
    if kind == "list":
        client("RPUSH k", *numbers)
    elif kind == "set":
        client("SADD k", *numbers)
    elif kind == "hash":
        client("HSET k", *[text for number in numbers for text in (number, number)])
    else:
        client("ZADD k", *[text for n in numbers for text in (n[8:], n)])
    assert len(saved(client.engine)) > BLOCK_BYTES
    _round_trip(client.engine)


def test_a_string_bigger_than_many_blocks_comes_back(client: Client) -> None:
    client("SET k", b"".join(b"%d" % (number * number) for number in range(300_000)))
    client("SET l x")
    data = saved(client.engine, compress=False)
    assert len(data) > 4 * BLOCK_BYTES
    assert _same(loaded(data), client.engine)


def test_a_file_comes_in_pieces(client: Client) -> None:
    client("DEBUG POPULATE 50000")
    client.engine.settings.load("enable-debug-command", ["yes"])
    client("DEBUG POPULATE 50000")
    client("HSET h", *[b"%d" % number for number in range(20_000)])
    pieces = list(snapshot(client.engine))
    assert len(pieces) > 10
    assert all(PIECE_BYTES <= len(piece) <= 3 * PIECE_BYTES for piece in pieces[:-1])
    assert _same(loaded(b"".join(pieces)), client.engine)


# -- what stands beside the keys


def test_deadlines_are_kept_and_what_is_over_is_left_out(
    client: Client, clock: Clock
) -> None:
    _fill(client, EVERYTHING)
    data = saved(client.engine)
    clock.advance(6000)
    source = RdbSource(io.BytesIO(data))
    again = new_engine(clock)
    for _ in load(source, again):
        pass
    check_engine(again)
    db = again.databases[0]
    assert (source.keys_loaded, source.keys_expired) == (12, 2)
    assert db.deadlines == {b"timed-hash": START_MS + 7000}
    assert db.data[b"fields"] == {b"c": b"3"}
    assert b"timed" not in db.data


def test_a_hash_whose_fields_are_all_over_is_left_out(client: Client, clock: Clock) -> None:
    _fill(client, "HSET h a 1 b 2\nHPEXPIRE h 100 FIELDS 2 a b")
    data = saved(client.engine)
    clock.advance(100)
    assert not loaded(data, new_engine(clock)).databases[0].data


def test_what_is_over_is_kept_for_a_log_that_follows(client: Client, clock: Clock) -> None:
    _fill(client, EVERYTHING)
    data = saved(client.engine)
    clock.advance(60_000)
    again = loaded(data, new_engine(clock), keeps_expired=True)
    check_engine(again)
    assert len(again.databases[0].data) == 13
    assert again.open_session(lambda reply: None).execute([b"GET", b"timed"]) is None


@pytest.mark.parametrize("policy", ["allkeys-lru", "allkeys-lfu"])
def test_clocks_are_kept_where_the_policy_asks_for_them(
    client: Client, clock: Clock, policy: str
) -> None:
    client(f"CONFIG SET maxmemory-policy {policy}")
    _fill(client, EVERYTHING)
    for _ in range(300):
        client("GET text")
    clock.advance(2000)
    client("GET number")
    data = saved(client.engine)
    again = new_engine(clock)
    Client(again)(f"CONFIG SET maxmemory-policy {policy}")
    loaded(data, again)
    check_engine(again)
    before, after = client.engine.databases[0], again.databases[0]
    question = "IDLETIME" if policy.endswith("lru") else "FREQ"
    session = again.open_session(lambda reply: None)
    for name in before.data:
        assert session.execute([b"OBJECT", question.encode(), name]) == client(
            f"OBJECT {question}", name
        )
    assert after.clocks.keys() == before.data.keys()


def test_clocks_are_left_out_where_nobody_asks(client: Client, clock: Clock) -> None:
    client("CONFIG SET maxmemory-policy allkeys-lru")
    _fill(client, EVERYTHING)
    again = loaded(saved(client.engine), new_engine(clock))
    check_engine(again)
    assert not again.databases[0].clocks


def test_keys_without_clocks_count_as_used_now(client: Client, clock: Clock) -> None:
    _fill(client, EVERYTHING)
    again = new_engine(clock)
    Client(again)("CONFIG SET maxmemory-policy allkeys-lru")
    loaded(saved(client.engine), again)
    check_engine(again)
    assert {*again.databases[0].clocks.values()} == {clock.now_ms}


def test_functions_are_kept(client: Client) -> None:
    client("FUNCTION LOAD", LIBRARY)
    again = loaded(saved(client.engine))
    assert again.open_session(lambda reply: None).execute([b"FCALL", b"one", b"0"]) == 1


def test_a_file_tells_of_itself(client: Client) -> None:
    data = b"".join(snapshot(client.engine, aux={b"aof-base": b"1"}))
    source = RdbSource(io.BytesIO(data))
    assert list(entries(source)) == []
    assert source.aux == {
        b"redis-ver": b"7.4.0",
        b"redis-bits": b"64",
        b"ctime": b"%d" % (START_MS // 1000),
        b"used-mem": b"0",
        b"aof-base": b"1",
    }


@pytest.mark.parametrize("has_fields", [False, True])
def test_the_version_is_the_least_that_has_what_is_there(
    client: Client, has_fields: bool
) -> None:
    _fill(client, "HSET h a 1\nPEXPIRE h 100")
    if has_fields:
        client("HPEXPIRE h 100 FIELDS 1 a")
    assert saved(client.engine)[:9] == (b"REDIS0012" if has_fields else b"REDIS0010")


def test_loading_is_no_change_and_nobody_is_told(client: Client, clock: Clock) -> None:
    _fill(client, EVERYTHING)
    data = saved(client.engine)
    other = Client(new_engine(clock))
    effects: list[list[bytes]] = []
    other.engine.on_effect = lambda database, argv: effects.append(argv)
    other("CONFIG SET notify-keyspace-events KEA")
    other("PSUBSCRIBE *")
    loaded(data, other.engine)
    other.engine.settle(0, [])
    assert effects == []
    assert other.delivered == []
    assert [db.dirty for db in other.engine.databases] == [0] * 16


def test_who_waits_for_a_key_gets_it_when_it_is_loaded(clock: Clock) -> None:
    waiting = Client(new_engine(clock))
    waiting("BLPOP list 0")
    loaded(file(key(form.LIST, strings([b"a"]), b"list")), waiting.engine)
    waiting.engine.settle(0, [])
    assert waiting.delivered == [[b"list", b"a"]]


# -- reading on, and in slices


def test_what_follows_a_file_is_left_to_others() -> None:
    source = RdbSource(io.BytesIO(file(key(0, string(b"v"))) + b"*1\r\n$4\r\nPING\r\n"))
    last = list(load(source, new_engine()))[-1]
    assert source.leftover == b"*1\r\n$4\r\nPING\r\n"
    assert last == source.offset


def test_loading_lets_others_have_their_turn(client: Client) -> None:
    client.engine.settings.load("enable-debug-command", ["yes"])
    client("DEBUG POPULATE 100000")
    data = saved(client.engine)
    offsets = list(load(RdbSource(io.BytesIO(data)), new_engine()))
    assert len(offsets) > 2
    assert offsets == sorted(offsets)
    assert offsets[-1] == len(data)


def test_keys_are_added_to_those_that_are_there_or_replace_them(client: Client) -> None:
    _fill(client, "SET a 1\nSET b 2\nRPUSH c x y")
    data = file(
        key(0, string(b"9"), b"b"), key(0, string(b"8"), b"c"), key(0, string(b"7"))
    )
    with pytest.raises(RdbError, match=r"key b'b' of database 0 comes twice"):
        loaded(data, client.engine)
    check_engine(client.engine)
    loaded(data, client.engine, replaces=True)
    check_engine(client.engine)
    assert client("MGET a b c k") == [b"1", b"9", b"8", b"7"]


# -- looking without an engine


def test_a_file_can_be_described(client: Client) -> None:
    client("FUNCTION LOAD", LIBRARY)
    _fill(client, EVERYTHING)
    items = list(entries(RdbSource(io.BytesIO(saved(client.engine)))))
    assert isinstance(items[0], Library)
    found = [item for item in items if isinstance(item, Key)]
    assert [(item.database, item.name, type_name(item).encode()) for item in found] == [
        (db.index, name, client(f"SELECT {db.index}") and client("TYPE", name))
        for db in client.engine.databases
        for name in db.data
    ]
    by_name = {item.name: item for item in found}
    assert by_name[b"timed"].deadline_ms == START_MS + 5000
    assert by_name[b"fields"].content.field_deadlines == {
        b"a": START_MS + 4000,
        b"b": START_MS + 4000,
    }
    offsets = [item.offset for item in items]
    assert offsets == sorted(offsets)
