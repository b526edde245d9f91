"""The command table: what is known of each command before it is executed.

One line a command: its name, arity, first key, last key, step between keys, and flags,
in the order and with the meaning of the Redis documentation of COMMAND INFO. A negative
arity is a minimum. A last key of -1 is the last argument; a first key of 0 means that
there are none, or that they move (`movablekeys`).

Everything that needs to know something about commands in general reads it here: the
engine checks arity and binds its handlers by name, a client decides whether a lost
answer may be asked for again, a consistency level tells reads from writes.

Source: https://redis.io/docs/latest/commands/, as of Redis 7.0.
"""

from __future__ import annotations

_TABLE = """
GET 2 1 1 1 readonly fast
SET -3 1 1 1 write denyoom
SETNX 3 1 1 1 write denyoom fast
SETEX 4 1 1 1 write denyoom
PSETEX 4 1 1 1 write denyoom
GETSET 3 1 1 1 write denyoom fast
GETDEL 2 1 1 1 write fast
GETEX -2 1 1 1 write fast
APPEND 3 1 1 1 write denyoom fast
STRLEN 2 1 1 1 readonly fast
INCR 2 1 1 1 write denyoom fast
DECR 2 1 1 1 write denyoom fast
INCRBY 3 1 1 1 write denyoom fast
DECRBY 3 1 1 1 write denyoom fast
INCRBYFLOAT 3 1 1 1 write denyoom fast
MGET -2 1 -1 1 readonly fast
MSET -3 1 -1 2 write denyoom
MSETNX -3 1 -1 2 write denyoom
GETRANGE 4 1 1 1 readonly
SETRANGE 4 1 1 1 write denyoom
SUBSTR 4 1 1 1 readonly
DEL -2 1 -1 1 write
UNLINK -2 1 -1 1 write fast
EXISTS -2 1 -1 1 readonly fast
TYPE 2 1 1 1 readonly fast
EXPIRE -3 1 1 1 write fast
PEXPIRE -3 1 1 1 write fast
EXPIREAT -3 1 1 1 write fast
PEXPIREAT -3 1 1 1 write fast
TTL 2 1 1 1 readonly fast
PTTL 2 1 1 1 readonly fast
EXPIRETIME 2 1 1 1 readonly fast
PEXPIRETIME 2 1 1 1 readonly fast
PERSIST 2 1 1 1 write fast
KEYS 2 0 0 0 readonly
SCAN -2 0 0 0 readonly
DBSIZE 1 0 0 0 readonly fast
FLUSHDB -1 0 0 0 write
FLUSHALL -1 0 0 0 write
RENAME 3 1 2 1 write
RENAMENX 3 1 2 1 write fast
TOUCH -2 1 -1 1 readonly fast
RANDOMKEY 1 0 0 0 readonly
HGET 3 1 1 1 readonly fast
HSET -4 1 1 1 write denyoom fast
HSETNX 4 1 1 1 write denyoom fast
HMGET -3 1 1 1 readonly fast
HMSET -4 1 1 1 write denyoom fast
HDEL -3 1 1 1 write fast
HEXISTS 3 1 1 1 readonly fast
HLEN 2 1 1 1 readonly fast
HKEYS 2 1 1 1 readonly
HVALS 2 1 1 1 readonly
HGETALL 2 1 1 1 readonly
HINCRBY 4 1 1 1 write denyoom fast
HINCRBYFLOAT 4 1 1 1 write denyoom fast
HSTRLEN 3 1 1 1 readonly fast
HSCAN -3 1 1 1 readonly
HRANDFIELD -2 1 1 1 readonly
LPUSH -3 1 1 1 write denyoom fast
RPUSH -3 1 1 1 write denyoom fast
LPUSHX -3 1 1 1 write denyoom fast
RPUSHX -3 1 1 1 write denyoom fast
LPOP -2 1 1 1 write fast
RPOP -2 1 1 1 write fast
LLEN 2 1 1 1 readonly fast
LRANGE 4 1 1 1 readonly
LINDEX 3 1 1 1 readonly
LSET 4 1 1 1 write denyoom
LREM 4 1 1 1 write
LTRIM 4 1 1 1 write
LINSERT 5 1 1 1 write denyoom
LPOS -3 1 1 1 readonly
LMOVE 5 1 2 1 write denyoom
RPOPLPUSH 3 1 2 1 write denyoom
BLPOP -3 1 -2 1 write noscript blocking
BRPOP -3 1 -2 1 write noscript blocking
BLMOVE 6 1 2 1 write denyoom noscript blocking
BRPOPLPUSH 4 1 2 1 write denyoom noscript blocking
SADD -3 1 1 1 write denyoom fast
SREM -3 1 1 1 write fast
SISMEMBER 3 1 1 1 readonly fast
SMISMEMBER -3 1 1 1 readonly fast
SMEMBERS 2 1 1 1 readonly
SCARD 2 1 1 1 readonly fast
SPOP -2 1 1 1 write fast
SRANDMEMBER -2 1 1 1 readonly
SSCAN -3 1 1 1 readonly
SMOVE 4 1 2 1 write fast
SINTER -2 1 -1 1 readonly
SUNION -2 1 -1 1 readonly
SDIFF -2 1 -1 1 readonly
SINTERSTORE -3 1 -1 1 write denyoom
SUNIONSTORE -3 1 -1 1 write denyoom
SDIFFSTORE -3 1 -1 1 write denyoom
ZADD -4 1 1 1 write denyoom fast
ZREM -3 1 1 1 write fast
ZSCORE 3 1 1 1 readonly fast
ZMSCORE -3 1 1 1 readonly fast
ZCARD 2 1 1 1 readonly fast
ZCOUNT 4 1 1 1 readonly fast
ZINCRBY 4 1 1 1 write denyoom fast
ZRANK 3 1 1 1 readonly fast
ZREVRANK 3 1 1 1 readonly fast
ZRANGE -4 1 1 1 readonly
ZREVRANGE -4 1 1 1 readonly
ZRANGEBYSCORE -4 1 1 1 readonly
ZREVRANGEBYSCORE -4 1 1 1 readonly
ZREMRANGEBYSCORE 4 1 1 1 write
ZREMRANGEBYRANK 4 1 1 1 write
ZPOPMIN -2 1 1 1 write fast
ZPOPMAX -2 1 1 1 write fast
BZPOPMIN -3 1 -2 1 write noscript blocking fast
BZPOPMAX -3 1 -2 1 write noscript blocking fast
ZSCAN -3 1 1 1 readonly
MULTI 1 0 0 0 noscript fast stale loading allow_busy
EXEC 1 0 0 0 noscript stale loading
DISCARD 1 0 0 0 noscript fast stale loading allow_busy
WATCH -2 1 -1 1 noscript fast stale loading allow_busy
UNWATCH 1 0 0 0 noscript fast stale loading allow_busy
SUBSCRIBE -2 0 0 0 pubsub noscript stale loading
UNSUBSCRIBE -1 0 0 0 pubsub noscript stale loading
PSUBSCRIBE -2 0 0 0 pubsub noscript stale loading
PUNSUBSCRIBE -1 0 0 0 pubsub noscript stale loading
PUBLISH 3 0 0 0 pubsub fast stale loading
PUBSUB -2 0 0 0
EVAL -3 0 0 0 noscript stale movablekeys skip_monitor
EVALSHA -3 0 0 0 noscript stale movablekeys skip_monitor
EVAL_RO -3 0 0 0 readonly noscript stale movablekeys skip_monitor
EVALSHA_RO -3 0 0 0 readonly noscript stale movablekeys skip_monitor
SCRIPT -2 0 0 0
PING -1 0 0 0 fast
ECHO 2 0 0 0 fast stale loading
SELECT 2 0 0 0 fast stale loading
AUTH -2 0 0 0 noscript fast stale loading no_auth allow_busy
HELLO -1 0 0 0 noscript fast stale loading no_auth allow_busy
QUIT -1 0 0 0 noscript fast stale loading no_auth allow_busy
RESET 1 0 0 0 noscript fast stale loading no_auth allow_busy
CLIENT -2 0 0 0
TIME 1 0 0 0 fast stale loading
INFO -1 0 0 0 stale loading
COMMAND -1 0 0 0 stale loading
CONFIG -2 0 0 0
WAIT 3 0 0 0 noscript
SHUTDOWN -1 0 0 0 admin noscript stale loading allow_busy no_multi
ROLE 1 0 0 0 noscript fast stale loading
DEBUG -2 0 0 0 admin noscript stale loading
"""


class CommandSpec:
    """One line of the table."""

    __slots__ = ("arity", "first_key", "flags", "key_step", "last_key", "name")

    def __init__(self, line: str) -> None:
        name, arity, first_key, last_key, key_step, *flags = line.split()
        self.name = name
        self.arity = int(arity)
        self.first_key = int(first_key)
        self.last_key = int(last_key)
        self.key_step = int(key_step)
        self.flags = frozenset(flags)

    @property
    def is_write(self) -> bool:
        """Whether the command may change data."""
        return "write" in self.flags

    def accepts(self, length: int) -> bool:
        """Whether a command of so many words, its name included, has the right arity."""
        return length == self.arity if self.arity > 0 else length >= -self.arity

    def __repr__(self) -> str:
        return f"<CommandSpec {self.name} {self.arity}>"


COMMANDS: dict[str, CommandSpec] = {
    spec.name: spec for spec in map(CommandSpec, _TABLE.strip().splitlines())
}
"""The table, by upper-case name."""

# Commands outside the `readonly` ones that leave nothing behind when sent twice. WAIT is
# not one of them: on another connection it would speak of other writes, of none.
_HARMLESS = frozenset({"PING", "ECHO", "TIME", "INFO", "COMMAND", "ROLE", "PUBSUB"})


def find(name: object) -> CommandSpec | None:
    """The table's line for a command's name, given as str or bytes in any case."""
    text = name.decode("latin-1") if isinstance(name, bytes) else str(name)
    return COMMANDS.get(text.upper())


def is_repeatable(name: object) -> bool:
    """Whether a command may be sent again when its answer was lost.

    True for reads and for what changes nothing; False for writes and for the unknown.
    """
    spec = find(name)
    return spec is not None and ("readonly" in spec.flags or spec.name in _HARMLESS)


def is_write(name: object) -> bool:
    """Whether a command may change data. True for the unknown, to be safe."""
    spec = find(name)
    return spec is None or spec.is_write
