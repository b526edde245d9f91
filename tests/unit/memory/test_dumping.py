"""DUMP and RESTORE: what they do beside carrying a value. The values are for others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sharedstate_memory.digest import digest_of_databases
from sharedstate_memory.replies import NULL_ARRAY
from tests.rdb_bytes import listpack, payload, string
from tests.unit.memory.conftest import START_MS, Client, Clock
from tests.unit.memory.recount import assert_counted
from tests.unit.memory.tables import check_tables

if TYPE_CHECKING:
    from collections.abc import Callable

    from sharedstate_memory.engine import Engine

Effects = list[tuple[int, list[bytes]]]

HELLO = payload(0, string(b"hello"))


def _check(engine: Engine) -> None:
    assert_counted(engine)
    check_tables(engine.databases[0])


@pytest.mark.parametrize(
    "line",
    [
        "SET k v",
        "RPUSH k a b",
        "SADD k a b",
        "HSET k f v",
        "ZADD k 1.5 a -inf b",
        "SET k 12",
    ],
)
def test_a_value_is_carried_to_another_key(client: Client, line: str) -> None:
    client(line)
    client("PEXPIRE k 1000")
    assert client("RESTORE other 0", client("DUMP k")) == b"OK"
    client.engine.settings.load("enable-debug-command", ["yes"])
    client("PERSIST k")
    assert len({*client("DEBUG DIGEST-VALUE k other")}) == 1
    assert client("PTTL other") == -1
    _check(client.engine)


def test_deadlines_of_fields_are_carried_with_their_hash(client: Client) -> None:
    client("HSET k f 1 g 2")
    client("HPEXPIRE k 1000 FIELDS 1 f")
    dump = client("DUMP k")
    assert dump[-10:-8] == b"\x0c\x00"
    client("RESTORE other 500", dump)
    assert client("HPTTL other FIELDS 2 f g") == [1000, -1]
    assert client("PTTL other") == 500
    _check(client.engine)


def test_fields_that_are_over_go_like_any(client: Client, clock: Clock) -> None:
    client("HSET k f 1 g 2")
    client("HPEXPIRE k 1000 FIELDS 1 f")
    dump = client("DUMP k")
    clock.advance(1000)
    client("RESTORE other 0", dump)
    assert client("HGETALL other") == {b"g": b"2"}
    _check(client.engine)


def test_there_is_no_dump_without_a_key(client: Client) -> None:
    assert client("DUMP k") is None


def test_a_dump_is_a_use_of_the_key(client: Client, clock: Clock) -> None:
    client("CONFIG SET maxmemory-policy allkeys-lru")
    client("SET k v")
    clock.advance(5000)
    client("DUMP k")
    assert client("OBJECT IDLETIME k") == 0


@pytest.mark.parametrize(
    ("words", "deadline_ms"),
    [("0", -1), ("1500", START_MS + 1500), (f"{START_MS + 99} ABSTTL", START_MS + 99)],
)
def test_a_restored_key_has_the_deadline_that_is_given(
    client: Client, words: str, deadline_ms: int
) -> None:
    ttl, *options = words.split()
    assert client(f"RESTORE k {ttl}", HELLO, *options) == b"OK"
    assert client("GET k") == b"hello"
    assert client("PEXPIRETIME k") == deadline_ms
    _check(client.engine)


def test_a_key_is_replaced_only_if_that_is_asked_for(client: Client) -> None:
    client("RPUSH k a b")
    client("PEXPIRE k 1000")
    assert client.refusal("RESTORE k 0", HELLO) == (
        "BUSYKEY Target key name already exists."
    )
    assert client("RESTORE k 0", HELLO, "REPLACE") == b"OK"
    assert (client("GET k"), client("PTTL k")) == (b"hello", -1)
    _check(client.engine)


def test_what_is_over_when_it_comes_is_not_there(client: Client, effects: Effects) -> None:
    assert client("RESTORE k 5", HELLO, "ABSTTL") == b"OK"
    assert effects == []
    client("SET k v")
    assert client("RESTORE k 5", HELLO, "ABSTTL", "REPLACE") == b"OK"
    assert client("EXISTS k") == 0
    assert effects[1:] == [(0, [b"DEL", b"k"])]
    _check(client.engine)


def test_the_effect_has_a_deadline_that_is_the_same_anywhere(
    client: Client, effects: Effects
) -> None:
    client("RESTORE k 1500", HELLO, "REPLACE")
    client("RESTORE l 0", HELLO)
    client(f"RESTORE m {START_MS + 9}", HELLO, "ABSTTL")
    assert [argv for _, argv in effects] == [
        [b"RESTORE", b"k", b"%d" % (START_MS + 1500), HELLO, b"REPLACE", b"ABSTTL"],
        [b"RESTORE", b"l", b"0", HELLO],
        [b"RESTORE", b"m", b"%d" % (START_MS + 9), HELLO, b"ABSTTL"],
    ]


def test_who_follows_the_effects_has_the_same(
    client: Client, effects: Effects, connect: Callable[[], Client]
) -> None:
    client("HSET h f 1 g 2")
    client("HPEXPIRE h 1000 FIELDS 1 f")
    client("RESTORE k 700", client("DUMP h"))
    before = digest_of_databases(client.engine.databases)
    client.engine.on_effect = None
    noted = list(effects)
    client("FLUSHALL")
    for _, argv in noted:
        client.session.execute(argv)
    assert digest_of_databases(client.engine.databases) == before


def test_the_events_are_those_of_a_key_that_is_new(
    client: Client, connect: Callable[[], Client]
) -> None:
    client("CONFIG SET notify-keyspace-events EAn")
    listener = connect()
    listener("PSUBSCRIBE *")
    client("RESTORE k 1000", HELLO)
    client("RESTORE k 0", HELLO, "REPLACE")
    client("RESTORE k 1", HELLO, "REPLACE", "ABSTTL")
    names = [message[2].rpartition(b":")[2] for message in listener.delivered]
    assert names == [b"new", b"restore", b"new", b"restore", b"del"]


def test_watches_are_broken_and_waiting_clients_served(
    client: Client, connect: Callable[[], Client]
) -> None:
    watching, waiting = connect(), connect()
    watching("WATCH k")
    waiting("BLPOP k 0")
    watching("MULTI")
    client("RESTORE k 0", payload(16 + 2, b"\x01\x02" + string(listpack([b"a", b"b"]))))
    assert waiting.delivered == [[b"k", b"a"]]
    assert watching("EXEC") is NULL_ARRAY


def test_how_a_key_was_used_is_restored_where_the_policy_asks(client: Client) -> None:
    client("CONFIG SET maxmemory-policy allkeys-lru")
    client("RESTORE k 0", HELLO, "IDLETIME", 77)
    assert client("OBJECT IDLETIME k") == 77
    client("RESTORE k 0", HELLO, "REPLACE", "FREQ", 77)
    assert client("OBJECT IDLETIME k") == 0
    client("CONFIG SET maxmemory-policy allkeys-lfu")
    client("RESTORE l 0", HELLO, "FREQ", 77)
    assert client("OBJECT FREQ l") == 77
    _check(client.engine)


def test_nothing_changes_if_a_payload_is_refused(client: Client, effects: Effects) -> None:
    client("SET k v")
    assert client.refusal("RESTORE k 0", HELLO[:-1], "REPLACE") == (
        "ERR DUMP payload version or checksum are wrong"
    )
    for bad in (payload(15, b"\x00"), payload(1, b"\x00"), payload(0, string(b"v") + b"x")):
        assert client.refusal("RESTORE k 0", bad, "REPLACE") == "ERR Bad data format"
    assert client("GET k") == b"v"
    assert len(effects) == 1


@pytest.mark.parametrize(("version", "is_taken"), [(1, True), (12, True), (13, False)])
def test_payloads_up_to_the_latest_version_are_taken(
    client: Client, version: int, is_taken: bool
) -> None:
    reply = client("RESTORE k 0", payload(0, string(b"v"), version))
    assert (reply == b"OK") == is_taken
