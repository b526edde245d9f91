"""What COMMAND tells of commands and nothing else depends on: tips for those who spread
commands over several servers, the group and the age of each command, and what took the
place of which.

The form is that of `key_specs.py`: a heading, and below it the names it is true of.

Source: https://redis.io/docs/latest/commands/ and
https://redis.io/docs/latest/develop/reference/command-tips/, as of Redis 7.0. The group
`sharedstate` is of commands that Redis has not, and its versions are ours.
"""

from __future__ import annotations

from functools import cache

from sharedstate.key_specs import read_blocks

_TIPS = """
nondeterministic_output
    DUMP PTTL TTL HRANDFIELD HSCAN SPOP SRANDMEMBER SSCAN ZRANDMEMBER ZSCAN TIME CLIENT|INFO
    LASTSAVE CLIENT|LIST OBJECT|ENCODING OBJECT|FREQ OBJECT|IDLETIME OBJECT|REFCOUNT
    HTTL HPTTL
nondeterministic_output_order
    HGETALL HKEYS HVALS SDIFF SINTER SMEMBERS SUNION COMMAND COMMAND|DOCS COMMAND|INFO
    COMMAND|LIST FUNCTION|LIST
nondeterministic_output request_policy:special
    SCAN
nondeterministic_output request_policy:all_shards
    RANDOMKEY
nondeterministic_output request_policy:all_shards response_policy:special
    INFO FUNCTION|STATS MEMORY|DOCTOR MEMORY|MALLOC-STATS MEMORY|STATS
nondeterministic_output request_policy:all_nodes
    SLOWLOG|GET
nondeterministic_output request_policy:all_nodes response_policy:agg_sum
    SLOWLOG|LEN
nondeterministic_output request_policy:all_nodes response_policy:special
    LATENCY|DOCTOR LATENCY|GRAPH LATENCY|HISTOGRAM LATENCY|HISTORY LATENCY|LATEST
nondeterministic_output_order request_policy:all_shards
    KEYS
request_policy:multi_shard
    MGET
request_policy:multi_shard response_policy:all_succeeded
    MSET
request_policy:multi_shard response_policy:agg_min
    MSETNX
request_policy:multi_shard response_policy:agg_sum
    DEL EXISTS TOUCH UNLINK
request_policy:all_shards response_policy:agg_min
    WAIT
request_policy:all_shards response_policy:agg_sum
    DBSIZE
request_policy:all_shards response_policy:agg_logical_and
    SCRIPT|EXISTS
request_policy:all_shards response_policy:all_succeeded
    PING FLUSHALL FLUSHDB FUNCTION|DELETE FUNCTION|FLUSH FUNCTION|LOAD FUNCTION|RESTORE
    MEMORY|PURGE
request_policy:all_shards response_policy:one_succeeded
    FUNCTION|KILL SCRIPT|KILL
request_policy:all_nodes response_policy:all_succeeded
    CONFIG|SET LATENCY|RESET SCRIPT|FLUSH SCRIPT|LOAD SLOWLOG|RESET
"""

# The group of the documentation, and the version of Redis that brought the command.
_ORIGINS = """
string 1.0.0
    DECR DECRBY GET GETSET INCR INCRBY MGET SET SETNX SUBSTR
string 1.0.1
    MSET MSETNX
string 2.0.0
    APPEND SETEX
string 2.2.0
    SETRANGE STRLEN
string 2.4.0
    GETRANGE
string 2.6.0
    INCRBYFLOAT PSETEX
string 6.2.0
    GETDEL GETEX
string 7.0.0
    LCS
bitmap 2.2.0
    GETBIT SETBIT
bitmap 2.6.0
    BITCOUNT BITOP
bitmap 2.8.7
    BITPOS
bitmap 3.2.0
    BITFIELD
bitmap 6.0.0
    BITFIELD_RO
generic 1.0.0
    DEL EXISTS EXPIRE KEYS MOVE RANDOMKEY RENAME RENAMENX SORT TTL TYPE
generic 1.2.0
    EXPIREAT
generic 2.2.0
    PERSIST
generic 2.2.3
    OBJECT OBJECT|ENCODING OBJECT|IDLETIME OBJECT|REFCOUNT
generic 2.6.0
    DUMP PEXPIRE PEXPIREAT PTTL RESTORE
generic 2.8.0
    SCAN
generic 3.0.0
    WAIT
generic 3.2.1
    TOUCH
generic 4.0.0
    UNLINK OBJECT|FREQ
generic 6.2.0
    COPY OBJECT|HELP
generic 7.0.0
    EXPIRETIME PEXPIRETIME SORT_RO
hash 2.0.0
    HDEL HEXISTS HGET HGETALL HINCRBY HKEYS HLEN HMGET HMSET HSET HSETNX HVALS
hash 2.6.0
    HINCRBYFLOAT
hash 2.8.0
    HSCAN
hash 3.2.0
    HSTRLEN
hash 6.2.0
    HRANDFIELD
hash 7.4.0
    HEXPIRE HPEXPIRE HEXPIREAT HPEXPIREAT HPERSIST HTTL HPTTL HEXPIRETIME HPEXPIRETIME
list 1.0.0
    LINDEX LLEN LPOP LPUSH LRANGE LREM LSET LTRIM RPOP RPUSH
list 1.2.0
    RPOPLPUSH
list 2.0.0
    BLPOP BRPOP
list 2.2.0
    BRPOPLPUSH LINSERT LPUSHX RPUSHX
list 6.0.6
    LPOS
list 6.2.0
    BLMOVE LMOVE
list 7.0.0
    BLMPOP LMPOP
set 1.0.0
    SADD SCARD SDIFF SDIFFSTORE SINTER SINTERSTORE SISMEMBER SMEMBERS SMOVE SPOP
    SRANDMEMBER SREM SUNION SUNIONSTORE
set 2.8.0
    SSCAN
set 6.2.0
    SMISMEMBER
set 7.0.0
    SINTERCARD
sorted-set 1.0.5
    ZRANGEBYSCORE
sorted-set 1.2.0
    ZADD ZCARD ZINCRBY ZRANGE ZREM ZREMRANGEBYSCORE ZREVRANGE ZSCORE
sorted-set 2.0.0
    ZCOUNT ZINTERSTORE ZRANK ZREMRANGEBYRANK ZREVRANK ZUNIONSTORE
sorted-set 2.2.0
    ZREVRANGEBYSCORE
sorted-set 2.8.0
    ZSCAN
sorted-set 2.8.9
    ZLEXCOUNT ZRANGEBYLEX ZREMRANGEBYLEX ZREVRANGEBYLEX
sorted-set 5.0.0
    BZPOPMAX BZPOPMIN ZPOPMAX ZPOPMIN
sorted-set 6.2.0
    ZDIFF ZDIFFSTORE ZINTER ZMSCORE ZRANDMEMBER ZRANGESTORE ZUNION
sorted-set 7.0.0
    BZMPOP ZINTERCARD ZMPOP
pubsub 2.0.0
    PSUBSCRIBE PUBLISH PUNSUBSCRIBE SUBSCRIBE UNSUBSCRIBE
pubsub 2.8.0
    PUBSUB PUBSUB|CHANNELS PUBSUB|NUMPAT PUBSUB|NUMSUB
pubsub 6.2.0
    PUBSUB|HELP
pubsub 7.0.0
    SPUBLISH SSUBSCRIBE SUNSUBSCRIBE PUBSUB|SHARDCHANNELS PUBSUB|SHARDNUMSUB
transactions 1.2.0
    EXEC MULTI
transactions 2.0.0
    DISCARD
transactions 2.2.0
    UNWATCH WATCH
scripting 2.6.0
    EVAL EVALSHA SCRIPT SCRIPT|EXISTS SCRIPT|FLUSH SCRIPT|KILL SCRIPT|LOAD
scripting 3.2.0
    SCRIPT|DEBUG
scripting 5.0.0
    SCRIPT|HELP
scripting 7.0.0
    EVAL_RO EVALSHA_RO FCALL FCALL_RO FUNCTION FUNCTION|DELETE FUNCTION|DUMP
    FUNCTION|FLUSH FUNCTION|HELP FUNCTION|KILL FUNCTION|LIST FUNCTION|LOAD
    FUNCTION|RESTORE FUNCTION|STATS
sharedstate 0.1.0
    SESSION SESSION|BIND SESSION|HELP SESSION|IDENTIFY SESSION|LIST SESSION|UNBIND
connection 1.0.0
    AUTH ECHO PING QUIT SELECT
connection 2.4.0
    CLIENT CLIENT|KILL CLIENT|LIST
connection 2.6.9
    CLIENT|GETNAME CLIENT|SETNAME
connection 2.9.50
    CLIENT|PAUSE
connection 3.2.0
    CLIENT|REPLY
connection 5.0.0
    CLIENT|HELP CLIENT|ID CLIENT|UNBLOCK
connection 6.0.0
    HELLO CLIENT|CACHING CLIENT|GETREDIR CLIENT|TRACKING
connection 6.2.0
    RESET CLIENT|INFO CLIENT|TRACKINGINFO CLIENT|UNPAUSE
connection 7.0.0
    CLIENT|NO-EVICT
connection 7.2.0
    CLIENT|NO-TOUCH CLIENT|SETINFO
server 1.0.0
    BGREWRITEAOF BGSAVE DBSIZE DEBUG FLUSHALL FLUSHDB INFO LASTSAVE MONITOR SAVE SHUTDOWN
server 2.0.0
    CONFIG CONFIG|GET CONFIG|RESETSTAT CONFIG|SET
server 2.2.12
    SLOWLOG SLOWLOG|GET SLOWLOG|LEN SLOWLOG|RESET
server 2.6.0
    TIME
server 2.8.0
    CONFIG|REWRITE
server 2.8.12
    ROLE
server 2.8.13
    COMMAND LATENCY COMMAND|COUNT COMMAND|GETKEYS COMMAND|INFO LATENCY|DOCTOR
    LATENCY|GRAPH LATENCY|HELP LATENCY|HISTORY LATENCY|LATEST LATENCY|RESET
server 4.0.0
    MEMORY SWAPDB MEMORY|DOCTOR MEMORY|HELP MEMORY|MALLOC-STATS MEMORY|PURGE MEMORY|STATS
    MEMORY|USAGE
server 5.0.0
    LOLWUT COMMAND|HELP CONFIG|HELP
server 6.0.0
    ACL ACL|CAT ACL|DELUSER ACL|GENPASS ACL|GETUSER ACL|HELP ACL|LIST ACL|LOAD ACL|LOG
    ACL|SAVE ACL|SETUSER ACL|USERS ACL|WHOAMI
server 6.2.0
    SLOWLOG|HELP
server 7.0.0
    ACL|DRYRUN COMMAND|DOCS COMMAND|GETKEYSANDFLAGS COMMAND|LIST LATENCY|HISTOGRAM
"""

# The version that made a command superfluous, and what to use in its place.
_REPLACED = """
2.0.0 GETRANGE
    SUBSTR
4.0.0 HSET with several fields
    HMSET
6.2.0 BLMOVE with RIGHT and LEFT
    BRPOPLPUSH
6.2.0 LMOVE with RIGHT and LEFT
    RPOPLPUSH
6.2.0 SET with GET
    GETSET
6.2.0 ZRANGE with BYLEX
    ZRANGEBYLEX
6.2.0 ZRANGE with BYSCORE
    ZRANGEBYSCORE
6.2.0 ZRANGE with REV
    ZREVRANGE
6.2.0 ZRANGE with REV and BYLEX
    ZREVRANGEBYLEX
6.2.0 ZRANGE with REV and BYSCORE
    ZREVRANGEBYSCORE
"""


@cache
def _tips() -> dict[str, str]:
    return read_blocks(_TIPS)


@cache
def _origins() -> dict[str, str]:
    return read_blocks(_ORIGINS)


@cache
def _replaced() -> dict[str, str]:
    return read_blocks(_REPLACED)


def tips_of(name: str) -> list[str]:
    """The tips of a command, by its upper-case name."""
    return _tips().get(name, "").split()


def group_of(name: str) -> str:
    """The group that the documentation has a command in."""
    return _origins()[name].split()[0]


def version_of(name: str) -> str:
    """The version of Redis that brought a command."""
    return _origins()[name].split()[1]


def successor_of(name: str) -> tuple[str, str] | None:
    """Since which version a command is superfluous, and what took its place."""
    heading = _replaced().get(name)
    if heading is None:
        return None
    version, _, successor = heading.partition(" ")
    return version, successor
