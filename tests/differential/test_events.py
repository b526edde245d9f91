"""Keyspace notifications of all families: the same messages in the same order as Redis.

Left out is what answers at random, and what Redis 7.0 has not.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings

from sharedstate.testing.servers import RedisServer
from tests.differential.grammar import programs
from tests.differential.pair import OurEngine, RealRedis, Words

MAKERS = """
SET key value
RPUSH key value [value]
HSET key field value
SADD key member [member]
ZADD key score member
"""

STRINGS = """
SET key value EX seconds
SET key value KEEPTTL
SET key value flag
SETEX key seconds value
PSETEX key millis value
SETNX key value
GETSET key value
GETDEL key
GETEX key EX seconds
GETEX key PERSIST
GETEX key EXAT unixtime
MSET key value [key+value]
MSETNX key value [key+value]
APPEND key value
SETRANGE key offset value
INCR key
DECR key
INCRBY key int
DECRBY key int
INCRBYFLOAT key float
GET key
MGET key [key]
STRLEN key
GETRANGE key index index
LCS key key
SETBIT key place bit
GETBIT key place
BITCOUNT key
BITPOS key bit
BITOP operation key key [key]
BITFIELD key SET width multiple amount
BITFIELD key GET width multiple
BITFIELD_RO key GET width multiple
"""

KEYS = """
DEL key [key]
UNLINK key [key]
EXISTS key [key]
TOUCH key [key]
TYPE key
RENAME key key
RENAMENX key key
COPY key key
COPY key key REPLACE
COPY key key DB database
MOVE key database
EXPIRE key seconds
PEXPIRE key millis flag
EXPIREAT key unixtime
PERSIST key
TTL key
PEXPIRETIME key
OBJECT ENCODING key
SORT key STORE key
SORT key ALPHA STORE key
SORT_RO key
FLUSHDB
SWAPDB 0 database
SELECT database
SCAN 0
"""

CONTAINERS = """
LPUSH key value [value]
LPUSHX key value
RPUSHX key value
LPOP key
RPOP key count
LSET key index value
LINSERT key BEFORE value value
LREM key count value
LTRIM key index index
LMOVE key key side side
RPOPLPUSH key key
BLMOVE key key side side 0.01
BRPOPLPUSH key key 0.01
BLPOP key key 0.01
BRPOP key 0.01
LMPOP 2 key key side
BLMPOP 0.01 1 key side COUNT count
LLEN key
LRANGE key index index
LINDEX key index
LPOS key value
HSETNX key field value
HMSET key field value
HINCRBY key field int
HINCRBYFLOAT key field float
HDEL key field [field]
HGET key field
HMGET key field field
HGETALL key
HRANDFIELD key
HSCAN key 0
HLEN key
"""

SETS = """
SREM key member [member]
SMOVE key key member
SPOP key all
SINTERSTORE key key key
SUNIONSTORE key key key
SDIFFSTORE key key key
SINTER key key
SUNION key key
SDIFF key key
SINTERCARD 2 key key
SISMEMBER key member
SMISMEMBER key member
SRANDMEMBER key all
SSCAN key 0
ZADD key score member score member
ZADD key flag score member
ZADD key INCR score member
ZINCRBY key score member
ZREM key member [member]
ZPOPMIN key
ZPOPMAX key count
BZPOPMIN key key 0.01
BZPOPMAX key 0.01
ZMPOP 2 key key extreme
BZMPOP 0.01 1 key extreme COUNT count
ZREMRANGEBYSCORE key bound bound
ZREMRANGEBYRANK key index index
ZREMRANGEBYLEX key lex lex
ZUNIONSTORE key 2 key key
ZINTERSTORE key 2 key key
ZDIFFSTORE key 2 key key
ZRANGESTORE key key index index
ZRANGE key index index
ZRANGEBYSCORE key bound bound
ZSCORE key member
ZMSCORE key member
ZRANK key member
ZCOUNT key bound bound
ZLEXCOUNT key lex lex
ZUNION 2 key key
ZINTER 2 key key
ZDIFF 2 key key
ZINTERCARD 2 key key
ZRANDMEMBER key
ZSCAN key 0
"""

UNITS = """
MULTI
EXEC
EXEC
DISCARD
WATCH key
EVAL redis.pcall('set',KEYS[1],1)redis.pcall('incr',KEYS[2]) 2 key key
EVAL redis.pcall('get',KEYS[1])redis.pcall('append',KEYS[2],1) 2 key key
EVAL redis.call('lpush',KEYS[1],1)redis.call('del',KEYS[1]) 1 key
"""

_ASK = (b"CONFIG", b"SET", b"notify-keyspace-events")
_ALL = b"KEAmn"

Message = tuple[bytes, bytes]


@pytest.fixture(scope="module")
def listener(emptied_redis: RedisServer) -> Iterator[RealRedis]:
    """A client of the real Redis that hears every message."""
    listener = RealRedis(emptied_redis.unix_path)
    listener.ask([(*_ASK, _ALL), (b"PSUBSCRIBE", b"*")])
    yield listener
    listener.ask([(b"RESET",), (*_ASK, b"")])
    listener.close()


def told_by_redis(
    real: RealRedis, listener: RealRedis, program: list[Words]
) -> list[Message]:
    """What Redis publishes while it executes a program."""
    real.ask([(b"RESET",), (b"FLUSHALL",), (*_ASK, _ALL)])
    listener.hear()
    real.ask([*program, (b"RESET",)])
    return [(channel, message) for _, _, channel, message in listener.hear()]


def told_by_engine(program: list[Words]) -> list[Message]:
    """What the engine publishes while it executes a program."""
    engine = OurEngine().engine
    pushes: list[Any] = []
    listener = engine.open_session(pushes.append)
    listener.execute([*_ASK, _ALL])
    listener.execute([b"PSUBSCRIBE", b"*"])
    session = engine.open_session(lambda reply: None)
    for command in program:
        session.execute([*command])
        engine.cancel_wait(session)
    return [(channel, message) for _, _, channel, message in pushes]


@settings(settings.get_profile("differential"))
@given(
    program=programs(
        MAKERS + STRINGS + KEYS + CONTAINERS + SETS + UNITS, after=MAKERS, longest=40
    )
)
def test_messages(real: RealRedis, listener: RealRedis, program: list[Words]) -> None:
    assert told_by_engine(program) == told_by_redis(real, listener, program)
