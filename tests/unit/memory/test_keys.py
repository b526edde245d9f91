"""Keys, whatever they hold, and the order of keys that SCAN walks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from sharedstate_memory.engine import Engine
    from tests.unit.memory.conftest import Client


@pytest.mark.parametrize(
    ("made_by", "name"),
    [
        ("SET k v", b"string"),
        ("HSET k f v", b"hash"),
        ("RPUSH k v", b"list"),
        ("SADD k v", b"set"),
        ("ZADD k 1 v", b"zset"),
        ("GET k", b"none"),
    ],
)
def test_types_are_named(client: Client, made_by: str, name: bytes) -> None:
    client(made_by)
    assert client("TYPE k") == name


def test_deleting_counts_what_was_there(client: Client) -> None:
    client("MSET a 1 b 2 c 3")
    assert client("DEL a x a") == 1
    assert client("UNLINK b c") == 2
    assert client("DBSIZE") == 0


def test_existence_counts_repeated_keys(client: Client) -> None:
    client("SET a 1")
    assert client("EXISTS a a x") == 2


def test_renaming_moves_value_and_deadline(client: Client) -> None:
    client("SET a v PX 700")
    client("RPUSH b x")
    assert client("RENAME a b") == b"OK"
    assert client("GET b") == b"v"
    assert client("PTTL b") == 700
    assert client("EXISTS a") == 0


def test_renaming_refuses_what_is_not_there(client: Client) -> None:
    assert client.refusal("RENAME a b") == "ERR no such key"
    assert client.refusal("RENAMENX a b") == "ERR no such key"


def test_renaming_to_a_taken_name(client: Client) -> None:
    client("MSET a 1 b 2")
    assert client("RENAMENX a b") == 0
    assert client("RENAME a a") == b"OK"
    assert client("MGET a b") == [b"1", b"2"]


def test_a_big_container_survives_its_renaming(client: Client, engine: Engine) -> None:
    client("RPUSH a", *range(10_000))
    client("RENAME a b")
    engine.cron()
    assert client("LLEN b") == 10_000


def test_keys_match_patterns(client: Client) -> None:
    client("MSET one 1 two 2 three 3")
    assert sorted(client("KEYS t*")) == [b"three", b"two"]
    assert client("KEYS *n*") == [b"one"]


def test_flushing_one_database_or_all(client: Client) -> None:
    client("SET a 1")
    client("SELECT 1")
    client("SET a 1")
    client("FLUSHDB")
    assert client("DBSIZE") == 0
    client("SELECT 0")
    assert client("DBSIZE") == 1
    client("FLUSHALL ASYNC")
    assert client("DBSIZE") == 0
    assert client.refusal("FLUSHALL NOW") == "ERR syntax error"


def test_a_random_key_is_found_among_many_removed(client: Client) -> None:
    for number in range(60):
        client("SET", f"k{number}", "v")
    for number in range(59):
        client("DEL", f"k{number}")
    assert client("RANDOMKEY") == b"k59"
    client("DEL k59")
    assert client("RANDOMKEY") is None


def test_the_list_of_keys_does_not_grow_with_keys_that_come_and_go(
    client: Client, engine: Engine
) -> None:
    client("SET stays v")
    for number in range(1000):
        client("SET", f"k{number}", "v")
        client("DEL", f"k{number}")
    assert len(engine.databases[0].order) < 100
    assert client("SCAN 0 COUNT 1000") == [b"0", [b"stays"]]
