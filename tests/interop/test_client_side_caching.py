"""redis-py caches what it has read, and the built-in server tells it what has changed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import redis
from redis.cache import CacheConfig

from sharedstate.testing.plugin import fresh_namespace
from sharedstate.testing.servers import BuiltInServer


@pytest.fixture
def key() -> str:
    """A name that no other test uses."""
    return fresh_namespace()


@pytest.fixture
def writer(built_in_server: BuiltInServer) -> Iterator[Any]:
    """A client without a cache."""
    with redis.Redis(port=built_in_server.port) as client:
        yield client


@pytest.fixture
def reader(built_in_server: BuiltInServer) -> Iterator[Any]:
    """A client with a cache."""
    with redis.Redis(
        port=built_in_server.port, protocol=3, cache_config=CacheConfig()
    ) as client:
        yield client


def gets(writer: Any) -> int:
    """How often the server has been asked for a string."""
    calls = writer.info("commandstats").get("cmdstat_get", {"calls": 0})["calls"]
    return int(calls)


def test_what_was_read_is_not_asked_for_again(writer: Any, reader: Any, key: str) -> None:
    writer.set(key, "value")
    before = gets(writer)
    assert [reader.get(key) for _ in range(5)] == [b"value"] * 5
    assert gets(writer) == before + 1


@pytest.mark.parametrize("way", ["set", "append", "delete", "expire"])
def test_what_was_changed_is_asked_for_again(
    writer: Any, reader: Any, key: str, way: str
) -> None:
    writer.set(key, "old")
    assert reader.get(key) == b"old"
    if way == "delete":
        writer.delete(key)
    elif way == "expire":
        writer.pexpireat(key, 1)
    else:
        getattr(writer, way)(key, "new")
    assert reader.get(key) == {"set": b"new", "append": b"oldnew"}.get(way)


def test_one_s_own_change_is_seen(reader: Any, key: str) -> None:
    reader.set(key, "old")
    assert reader.get(key) == b"old"
    reader.set(key, "new")
    assert reader.get(key) == b"new"


def test_a_pipeline_s_changes_are_seen(writer: Any, reader: Any, key: str) -> None:
    reader.hset(key, "field", "old")
    assert reader.hget(key, "field") == b"old"
    with writer.pipeline() as pipeline:
        pipeline.hset(key, "field", "middle").hset(key, "field", "new").execute()
    assert reader.hget(key, "field") == b"new"


def test_replies_of_many_kinds_are_kept(writer: Any, reader: Any, key: str) -> None:
    writer.rpush(f"{key}:l", "a", "b")
    writer.sadd(f"{key}:s", "a")
    writer.zadd(f"{key}:z", {"a": 1.5})
    for _ in range(2):
        assert reader.lrange(f"{key}:l", 0, -1) == [b"a", b"b"]
        assert reader.smembers(f"{key}:s") == {b"a"}
        assert reader.zscore(f"{key}:z", "a") == 1.5
    assert reader.get_cache().size == 3
