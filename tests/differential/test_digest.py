"""Digests: what DEBUG DIGEST says is what anybody can work out who reads the keys.

A random program runs on both stores. Then a real Redis is read with usual commands, and
the digest of what was read must be the engine's: so neither content nor deadlines differ,
and the digest sees all of both.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings

from sharedstate_memory.digest import NOTHING, digest_of_value
from sharedstate_memory.sorted_set import SortedSet
from tests.differential.grammar import programs
from tests.differential.pair import KEYS, OurEngine, RealRedis, Words

if TYPE_CHECKING:
    from sharedstate_memory.keyspace import Value

EVERYTHING = """
SET key value
SET key value PXAT unixmillis
APPEND key value
SETRANGE key offset value
INCRBYFLOAT key float
PEXPIREAT key unixmillis
EXPIREAT key unixtime flag
PERSIST key
RPUSH key value [value]
LPUSH key value
LPOP key
LREM key int value
LINSERT key BEFORE value value
LTRIM key index index
HSET key field value [field+value]
HDEL key field
HINCRBY key field int
HINCRBYFLOAT key field float
SADD key member [member]
SREM key member
SMOVE key key member
SUNIONSTORE key key [key]
ZADD key score member [score+member]
ZINCRBY key score member
ZREM key member
ZPOPMIN key count
RENAME key key
COPY key key REPLACE
DEL key
"""

profile = settings.get_profile("differential")


@given(program=programs(EVERYTHING, longest=40))
@profile
def test_the_engines_digests_are_those_of_what_redis_holds(
    real: RealRedis, program: list[Words]
) -> None:
    ours = OurEngine()
    ours.engine.settings.load("enable-debug-command", ["yes"])
    real.ask([(b"FLUSHALL",)])
    for store in (real, ours):
        store.ask(program)
    digests = ours.ask([(b"DEBUG", b"DIGEST-VALUE", *KEYS)])[0]
    assert digests == [_digest(real, key) for key in KEYS]


def _digest(real: RealRedis, key: bytes) -> bytes:
    kind, deadline_ms = real.ask([(b"TYPE", key), (b"PEXPIRETIME", key)])
    if kind == b"none":
        return NOTHING.encode()
    value = _READERS[bytes(kind)](real, key)
    return digest_of_value(value, None if deadline_ms < 0 else deadline_ms).encode()


def _read(real: RealRedis, *command: bytes) -> Any:
    return real.ask([command])[0]


def _read_hash(real: RealRedis, key: bytes) -> Value:
    flat = _read(real, b"HGETALL", key)
    return dict(zip(flat[::2], flat[1::2], strict=True))


def _read_sorted_set(real: RealRedis, key: bytes) -> Value:
    flat = _read(real, b"ZRANGE", key, b"0", b"-1", b"WITHSCORES")
    return SortedSet(dict(zip(flat[::2], map(float, flat[1::2]), strict=True)))


_READERS = {
    b"string": lambda real, key: _read(real, b"GET", key),
    b"list": lambda real, key: deque(_read(real, b"LRANGE", key, b"0", b"-1")),
    b"set": lambda real, key: set(_read(real, b"SMEMBERS", key)),
    b"hash": _read_hash,
    b"zset": _read_sorted_set,
}
