"""Keys that are copied, moved to another database, or swapped with all the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sharedstate_memory.attention import Attention
from sharedstate_memory.keyspace import Keyspace
from sharedstate_memory.moving import _CONTENTS
from tests.unit.memory.recount import assert_counted

if TYPE_CHECKING:
    from collections.abc import Callable

    from sharedstate_memory.engine import Engine
    from tests.unit.memory.conftest import Client, Clock


@pytest.mark.parametrize(
    ("maker", "change", "read"),
    [
        ("SET a v", "APPEND b w", "GET {}"),
        ("HSET a f v", "HSET b g w", "HGETALL {}"),
        ("RPUSH a x y", "RPUSH b z", "LRANGE {} 0 -1"),
        ("SADD a x y", "SADD b z", "SMEMBERS {}"),
        ("ZADD a 1 x 2 y", "ZADD b 3 z", "ZRANGE {} 0 -1"),
    ],
)
def test_a_copy_has_a_life_of_its_own(
    client: Client, engine: Engine, maker: str, change: str, read: str
) -> None:
    client(maker)
    before = client(read.format("a"))
    assert client("COPY a b") == 1
    assert client(read.format("b")) == before
    client(change)
    assert client(read.format("a")) == before
    assert client(read.format("b")) != before
    assert_counted(engine)


def test_a_copy_has_the_deadline_of_the_original(client: Client) -> None:
    client("SET a v PX 700")
    client("COPY a b")
    assert client("PTTL b") == 700


def test_fields_keep_their_deadlines_wherever_they_go(
    client: Client, engine: Engine, clock: Clock
) -> None:
    client("HSET a f v g w")
    client("HPEXPIRE a 500 FIELDS 1 f")
    client("COPY a b")
    client("MOVE a 1")
    assert client("HPTTL b FIELDS 2 f g") == [500, -1]
    clock.advance(501)
    assert client("HKEYS b") == [b"g"]
    client("SELECT 1")
    assert client("HKEYS a") == [b"g"]
    assert_counted(engine)


def test_a_copy_does_not_replace_unless_told_to(client: Client) -> None:
    client("SET a new PX 700")
    client("SET b old")
    assert client("COPY a b") == 0
    assert client("GET b") == b"old"
    assert client("COPY a b REPLACE") == 1
    assert client("GET b") == b"new"


def test_copying_to_another_database(client: Client) -> None:
    client("SET a v")
    assert client("COPY a a DB 3") == 1
    client("SELECT 3")
    assert client("GET a") == b"v"


def test_copying_refuses_what_makes_no_sense(client: Client) -> None:
    same = "ERR source and destination objects are the same"
    assert client.refusal("COPY a a") == same
    assert client.refusal("COPY a b DB 16") == "ERR DB index is out of range"
    assert client.refusal("COPY a b DB x") == "ERR value is not an integer or out of range"
    assert client.refusal("COPY a b DB") == "ERR syntax error"
    assert client("COPY a b") == 0


def test_moving_takes_value_and_deadline_along(client: Client, engine: Engine) -> None:
    client("SET a v PX 700")
    assert client("MOVE a 1") == 1
    assert client("EXISTS a") == 0
    client("SELECT 1")
    assert client("GET a") == b"v"
    assert client("PTTL a") == 700
    assert_counted(engine)


def test_moving_stops_at_a_key_that_is_taken(client: Client) -> None:
    client("SET a v")
    client("COPY a a DB 1")
    assert client("MOVE a 1") == 0
    assert client("GET a") == b"v"
    assert client("MOVE none 1") == 0
    same = "ERR source and destination objects are the same"
    assert client.refusal("MOVE a 0") == same


def test_a_big_container_survives_its_moving(client: Client, engine: Engine) -> None:
    client("RPUSH a", *range(10_000))
    client("MOVE a 1")
    engine.cron()
    client("SELECT 1")
    assert client("LLEN a") == 10_000
    assert_counted(engine)


def test_renaming_frees_what_it_replaces(client: Client, engine: Engine) -> None:
    client("SET a v PX 700")
    client("RPUSH b", *range(10_000))
    client("RENAME a b")
    assert client("PTTL b") == 700
    assert_counted(engine)


def test_swapped_databases_have_each_others_keys(
    client: Client, connect: Callable[[], Client], engine: Engine, clock: Clock
) -> None:
    other = connect()
    other("SELECT 1")
    client("SET a zero PX 700")
    other("MSET a one b one")
    assert client("SWAPDB 0 1") == b"OK"
    assert client("MGET a b") == [b"one", b"one"]
    assert other("GET a") == b"zero"
    assert other("PTTL a") == 700
    clock.advance(701)
    assert other("EXISTS a") == 0
    assert client("DBSIZE") == 2
    assert_counted(engine)


def test_what_a_database_keeps_beside_its_keys_is_all_known() -> None:
    """A table that is new belongs here, or to what is swapped."""
    place = "_only_log attentive clock dirty engine expired_fields hits index misses"
    place += " waiters watchers"
    assert {*Keyspace.__slots__, *Attention.__slots__} == {*place.split(), *_CONTENTS}


def test_swapping_refuses_what_is_no_database(client: Client) -> None:
    assert client.refusal("SWAPDB x 0") == "ERR invalid first DB index"
    assert client.refusal("SWAPDB 0 x") == "ERR invalid second DB index"
    assert client.refusal("SWAPDB 0 16") == "ERR DB index is out of range"
    assert client("SWAPDB 3 3") == b"OK"


@pytest.mark.parametrize("database", [0, 1])
def test_swapping_breaks_watches_of_keys_in_either_database(
    client: Client, connect: Callable[[], Client], database: int
) -> None:
    client("SELECT", database)
    client("SET a v")
    for watched, there in ((0, "a"), (1, "a"), (0, "none")):
        watcher = connect()
        watcher("SELECT", watched)
        watcher("WATCH", there)
        client("SWAPDB 0 1")
        watcher("MULTI")
        watcher("PING")
        assert isinstance(watcher("EXEC"), list) == (there == "none")


def test_swapping_serves_who_waits_for_a_key_that_comes(
    client: Client, connect: Callable[[], Client]
) -> None:
    waiter = connect()
    waiter("BLPOP l 0")
    client("SELECT 1")
    client("RPUSH l x")
    client("SWAPDB 0 1")
    assert waiter.delivered == [[b"l", b"x"]]


@pytest.mark.parametrize(
    "command", ["COPY l k", "RENAME l k", "MOVE l 1", "SORT l ALPHA STORE k"]
)
def test_a_list_that_comes_serves_who_waits_for_it(
    client: Client, connect: Callable[[], Client], command: str
) -> None:
    waiter = connect()
    waiter("SELECT", int(command.startswith("MOVE")))
    waiter("BLPOP k l 0" if command.startswith("MOVE") else "BLPOP k 0")
    client("RPUSH l x")
    client(command)
    assert [reply[1] for reply in waiter.delivered] == [b"x"]


def test_an_expired_key_is_neither_copied_nor_moved(client: Client, clock: Clock) -> None:
    client("SET a v PX 5")
    clock.advance(6)
    assert client("COPY a b") == 0
    client("SET a v PX 5")
    clock.advance(6)
    assert client("MOVE a 1") == 0


def test_effects_name_the_database(
    client: Client, effects: list[tuple[int, list[bytes]]]
) -> None:
    client("SELECT 2")
    client("SET a v")
    client("MOVE a 3")
    client("SWAPDB 2 3")
    assert effects == [
        (2, [b"SET", b"a", b"v"]),
        (2, [b"MOVE", b"a", b"3"]),
        (2, [b"SWAPDB", b"2", b"3"]),
    ]


@pytest.mark.parametrize("replace", ["COPY from {} REPLACE", "SORT from STORE {}"])
def test_a_scan_does_not_miss_keys_that_are_replaced(client: Client, replace: str) -> None:
    client("RPUSH from 1")
    names = {b"k%d" % number for number in range(200)}
    client("MSET", *(word for name in names for word in (name, "v")))
    cursor, page = client("SCAN 0 COUNT 10")
    found = {*page}
    while cursor != b"0":
        for name in names:
            client(replace.format(name.decode()))
            client("SET comes v")
            client("DEL comes")
        cursor, page = client("SCAN", cursor, "COUNT", 10)
        found.update(page)
    assert names <= found
