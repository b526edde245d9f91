"""Where the keys of a command are, and what becomes of them: the command table's second
half, read only by those who ask.

A line that is not indented says where keys are and how they are used; the lines below it
name the commands that this is true of. Several places are joined by a plus.

    RW access @1 0 1        from word 1 up to 0 words further on, every word
    RO access @1 -1 1       from word 1 up to the last word
    RO access @2 #0 1 1     word 2 says how many keys there are; they begin 1 after it
    OW update ?             somewhere: only the command's own syntax tells

RO, RW, OW and RM say that a key's value is read, changed, replaced, or removed. `access`
means that its content comes to light (a length or an existence is no content); `update`,
`insert` and `delete` say what changes. A `not_key` is a shard channel.

Source: https://redis.io/docs/latest/develop/reference/key-specs/ and the pages of the
commands, as of Redis 7.0; the expiry of hash fields as of 7.4.
"""

from __future__ import annotations

from functools import cache

_KEY_SPECS = """
RO @1 0 1
    STRLEN TYPE HEXISTS HLEN HSTRLEN LLEN SCARD SISMEMBER ZCARD
RO @1 -1 1
    EXISTS TOUCH WATCH
RO @2 0 1
    MEMORY|USAGE OBJECT|ENCODING OBJECT|FREQ OBJECT|IDLETIME OBJECT|REFCOUNT
RO access @1 0 1
    GET GETRANGE SUBSTR BITCOUNT BITFIELD_RO BITPOS GETBIT EXPIRETIME PEXPIRETIME PTTL TTL
    DUMP HGET HGETALL HKEYS HMGET HRANDFIELD HSCAN HVALS HTTL HPTTL HEXPIRETIME HPEXPIRETIME
    LINDEX LPOS LRANGE SMEMBERS SMISMEMBER SRANDMEMBER SSCAN
    ZCOUNT ZLEXCOUNT ZMSCORE ZRANDMEMBER ZRANGE ZRANGEBYLEX ZRANGEBYSCORE ZRANK ZREVRANGE
    ZREVRANGEBYLEX ZREVRANGEBYSCORE ZREVRANK ZSCAN ZSCORE
RO access @1 1 1
    LCS
RO access @1 -1 1
    MGET SDIFF SINTER SUNION
RO access @1 #0 1 1
    SINTERCARD ZDIFF ZINTER ZINTERCARD ZUNION
RO access @2 #0 1 1
    EVAL_RO EVALSHA_RO FCALL_RO
RO access @1 0 1 + RO access ?
    SORT_RO
RO access @1 0 1 + RO access ? + OW update ?
    SORT
RO access @1 0 1 + OW update @2 0 1
    COPY
RW insert @1 0 1
    APPEND HSETNX LINSERT LPUSH LPUSHX RPUSH RPUSHX SADD
RW update @1 0 1
    SETRANGE EXPIRE EXPIREAT PERSIST PEXPIRE PEXPIREAT HMSET HSET LSET ZADD
    HEXPIRE HPEXPIRE HEXPIREAT HPEXPIREAT HPERSIST
RW delete @1 0 1
    HDEL LREM LTRIM SREM ZREM ZREMRANGEBYLEX ZREMRANGEBYRANK ZREMRANGEBYSCORE
RW access update @1 0 1
    DECR DECRBY GETEX GETSET INCR INCRBY INCRBYFLOAT SETBIT MOVE HINCRBY HINCRBYFLOAT
    ZINCRBY
RW access update @2 #0 1 1
    EVAL EVALSHA FCALL
RW access update @6 #0 1 1
    SESSION|BIND
RW access update variable_flags @1 0 1
    SET BITFIELD
RW access delete @1 0 1
    GETDEL LPOP RPOP SPOP ZPOPMAX ZPOPMIN
RW access delete @1 -2 1
    BLPOP BRPOP BZPOPMAX BZPOPMIN
RW access delete @1 #0 1 1
    LMPOP ZMPOP
RW access delete @2 #0 1 1
    BLMPOP BZMPOP
RW access delete @1 0 1 + OW update @2 0 1
    RENAME
RW access delete @1 0 1 + OW insert @2 0 1
    RENAMENX
RW access delete @1 0 1 + RW insert @2 0 1
    BLMOVE BRPOPLPUSH LMOVE RPOPLPUSH SMOVE
RW update @1 0 1 + RO access @2 -1 1
    SINTERSTORE
OW update @1 0 1
    RESTORE PSETEX SETEX
OW update @1 -1 2
    MSET
OW insert @1 0 1
    SETNX
OW insert @1 -1 2
    MSETNX
OW update @1 0 1 + RO access @2 0 1
    ZRANGESTORE
OW update @1 0 1 + RO access @2 -1 1
    SDIFFSTORE SUNIONSTORE
OW update @1 0 1 + RO access @2 #0 1 1
    ZDIFFSTORE ZINTERSTORE ZUNIONSTORE
OW update @2 0 1 + RO access @3 -1 1
    BITOP
RM delete @1 -1 1
    DEL UNLINK
not_key @1 0 1
    SPUBLISH
not_key @1 -1 1
    SSUBSCRIBE SUNSUBSCRIBE
"""


class KeySpec:
    """One place of keys. `first` is None for a place that only the syntax tells.

    `last` counts from `first`, or from the end if it is negative. For a place with a
    count, `first` is the word of the count and `offset` leads from it to the first key.
    """

    __slots__ = ("first", "flags", "is_counted", "last", "offset", "step")

    def __init__(self, text: str) -> None:
        words = text.split()
        place = next((at for at, word in enumerate(words) if word[0] in "@?"), len(words))
        self.flags = tuple(words[:place])
        self.first: int | None = None
        self.is_counted = False
        self.last, self.offset, self.step = 0, 0, 1
        if words[place] != "?":
            self.first = int(words[place][1:])
            self._read_end(words[place + 1 :])

    def _read_end(self, words: list[str]) -> None:
        self.step = int(words[-1])
        self.is_counted = words[0].startswith("#")
        if self.is_counted:
            self.offset = int(words[1])
        else:
            self.last = int(words[0])

    def __repr__(self) -> str:
        return f"<KeySpec {' '.join(self.flags)} @{self.first}>"


def read_blocks(text: str) -> dict[str, str]:
    """What stands above each name, for text in which headings have indented lines of
    names below them.
    """
    found: dict[str, str] = {}
    heading = ""
    for line in text.strip().splitlines():
        if line.startswith(" "):
            found.update(dict.fromkeys(line.split(), heading))
        else:
            heading = line
    return found


@cache
def key_specs() -> dict[str, tuple[KeySpec, ...]]:
    """The places of keys, by a command's upper-case name (`OBJECT|FREQ`). What is not in
    here has no keys.
    """
    headings = read_blocks(_KEY_SPECS)
    made = {
        heading: tuple(map(KeySpec, heading.split(" + ")))
        for heading in set(headings.values())
    }
    return {name: made[heading] for name, heading in headings.items()}
