"""OBJECT: what is told of how values are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from sharedstate_memory.engine import Engine
    from tests.unit.memory.conftest import Client


@pytest.mark.parametrize(
    ("maker", "encoding"),
    [
        ("SET k 12", b"int"),
        ("SET k 012", b"embstr"),
        ("SET k " + 44 * "x", b"embstr"),
        ("SET k " + 45 * "x", b"raw"),
        ("RPUSH k x", b"quicklist"),
        ("SADD k 1 -2", b"intset"),
        ("SADD k 1 x", b"hashtable"),
        ("HSET k f v", b"listpack"),
        ("HSET k f " + 65 * "x", b"hashtable"),
        ("ZADD k 1 m", b"listpack"),
        ("ZADD k 1 " + 65 * "x", b"skiplist"),
    ],
)
def test_encodings_depend_on_kind_and_size(
    client: Client, maker: str, encoding: bytes
) -> None:
    client(maker)
    assert client("OBJECT ENCODING k") == encoding


@pytest.mark.parametrize(
    ("setting", "maker", "encoding"),
    [
        ("set-max-intset-entries", "SADD k 1 2 3", b"hashtable"),
        ("hash-max-listpack-entries", "HSET k a 1 b 2 c 3", b"hashtable"),
        ("hash-max-listpack-value", "HSET k abc 1", b"hashtable"),
        ("zset-max-listpack-entries", "ZADD k 1 a 2 b 3 c", b"skiplist"),
        ("zset-max-listpack-value", "ZADD k 1 abc", b"skiplist"),
    ],
)
def test_what_counts_as_small_is_a_setting(
    client: Client, engine: Engine, setting: str, maker: str, encoding: bytes
) -> None:
    client(maker)
    assert client("OBJECT ENCODING k") != encoding
    engine.settings.change([(setting, "2")])
    assert client("OBJECT ENCODING k") == encoding


def test_small_numbers_are_shared(client: Client) -> None:
    client("MSET small 9999 big 10000 text x")
    assert client("OBJECT REFCOUNT small") == 2**31 - 1
    assert client("OBJECT REFCOUNT big") == 1
    assert client("OBJECT REFCOUNT text") == 1


def test_clocks_follow_the_policy(client: Client, engine: Engine) -> None:
    client("SET k v")
    assert client("OBJECT IDLETIME k") == 0
    assert client.refusal("OBJECT FREQ k").startswith("ERR An LFU maxmemory policy is not")
    engine.settings.change([("maxmemory-policy", "allkeys-lfu")])
    client("GET k")
    assert client("OBJECT FREQ k") > 0
    assert client.refusal("OBJECT IDLETIME k").startswith("ERR An LFU maxmemory policy is")


def test_asking_about_a_key_is_no_use_of_it(client: Client, engine: Engine) -> None:
    client("SET k v")
    engine.settings.change([("maxmemory-policy", "allkeys-lfu")])
    for command in ("OBJECT ENCODING", "TYPE", "TTL", "EXISTS"):
        client(f"{command} k")
    assert client("OBJECT FREQ k") == 0
    client("TOUCH k")
    assert client("OBJECT FREQ k") > 0


@pytest.mark.parametrize("subcommand", ["ENCODING", "REFCOUNT", "FREQ", "IDLETIME"])
def test_nothing_is_known_of_a_missing_key(client: Client, subcommand: str) -> None:
    assert client(f"OBJECT {subcommand} none") is None


def test_object_refuses_what_makes_no_sense(client: Client) -> None:
    text = "ERR unknown subcommand 'WHAT'. Try OBJECT HELP."
    assert client.refusal("OBJECT WHAT k") == text
    assert client.refusal("OBJECT ENCODING").startswith("ERR wrong number of arguments")
    assert b"ENCODING" in client("OBJECT HELP")
