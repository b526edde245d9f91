"""The command table as data. `commands.py` reads it.

One line a command: its name, arity, first key, last key, step between keys, flags, and
categories (with an @), with the meaning of the Redis documentation of COMMAND INFO. A
negative arity is a minimum. A last key of -1 is the last argument; a first key of 0 means
that there are none, or that they move (`movablekeys`). A category that follows from a flag
is not written (`commands._IMPLIED`).

Source: https://redis.io/docs/latest/commands/, as of Redis 7.0; CLIENT SETINFO and
NO-TOUCH as of 7.2, and the expiry of hash fields as of 7.4. SESSION is ours.
"""

from __future__ import annotations

COMMAND_TABLE = """
APPEND 3 1 1 1 write denyoom fast @string
DECR 2 1 1 1 write denyoom fast @string
DECRBY 3 1 1 1 write denyoom fast @string
GET 2 1 1 1 readonly fast @string
GETDEL 2 1 1 1 write fast @string
GETEX -2 1 1 1 write fast @string
GETRANGE 4 1 1 1 readonly @string
GETSET 3 1 1 1 write denyoom fast @string
INCR 2 1 1 1 write denyoom fast @string
INCRBY 3 1 1 1 write denyoom fast @string
INCRBYFLOAT 3 1 1 1 write denyoom fast @string
LCS -3 1 2 1 readonly @string
MGET -2 1 -1 1 readonly fast @string
MSET -3 1 -1 2 write denyoom @string
MSETNX -3 1 -1 2 write denyoom @string
PSETEX 4 1 1 1 write denyoom @string
SET -3 1 1 1 write denyoom @string
SETEX 4 1 1 1 write denyoom @string
SETNX 3 1 1 1 write denyoom fast @string
SETRANGE 4 1 1 1 write denyoom @string
STRLEN 2 1 1 1 readonly fast @string
SUBSTR 4 1 1 1 readonly @string
BITCOUNT -2 1 1 1 readonly @bitmap
BITFIELD -2 1 1 1 write denyoom @bitmap
BITFIELD_RO -2 1 1 1 readonly fast @bitmap
BITOP -4 2 -1 1 write denyoom @bitmap
BITPOS -3 1 1 1 readonly @bitmap
GETBIT 3 1 1 1 readonly fast @bitmap
SETBIT 4 1 1 1 write denyoom @bitmap
COPY -3 1 2 1 write denyoom @keyspace
DEL -2 1 -1 1 write @keyspace
DUMP 2 1 1 1 readonly @keyspace
EXISTS -2 1 -1 1 readonly fast @keyspace
EXPIRE -3 1 1 1 write fast @keyspace
EXPIREAT -3 1 1 1 write fast @keyspace
EXPIRETIME 2 1 1 1 readonly fast @keyspace
KEYS 2 0 0 0 readonly @keyspace @dangerous
MOVE 3 1 1 1 write fast @keyspace
OBJECT -2 0 0 0
PERSIST 2 1 1 1 write fast @keyspace
PEXPIRE -3 1 1 1 write fast @keyspace
PEXPIREAT -3 1 1 1 write fast @keyspace
PEXPIRETIME 2 1 1 1 readonly fast @keyspace
PTTL 2 1 1 1 readonly fast @keyspace
RANDOMKEY 1 0 0 0 readonly @keyspace
RENAME 3 1 2 1 write @keyspace
RENAMENX 3 1 2 1 write fast @keyspace
RESTORE -4 1 1 1 write denyoom @keyspace @dangerous
SCAN -2 0 0 0 readonly @keyspace
SORT -2 1 1 1 write denyoom movablekeys @set @sortedset @list @dangerous
SORT_RO -2 1 1 1 readonly movablekeys @set @sortedset @list @dangerous
TOUCH -2 1 -1 1 readonly fast @keyspace
TTL 2 1 1 1 readonly fast @keyspace
TYPE 2 1 1 1 readonly fast @keyspace
UNLINK -2 1 -1 1 write fast @keyspace
WAIT 3 0 0 0 noscript @connection
HDEL -3 1 1 1 write fast @hash
HEXISTS 3 1 1 1 readonly fast @hash
HGET 3 1 1 1 readonly fast @hash
HGETALL 2 1 1 1 readonly @hash
HINCRBY 4 1 1 1 write denyoom fast @hash
HINCRBYFLOAT 4 1 1 1 write denyoom fast @hash
HKEYS 2 1 1 1 readonly @hash
HLEN 2 1 1 1 readonly fast @hash
HMGET -3 1 1 1 readonly fast @hash
HMSET -4 1 1 1 write denyoom fast @hash
HRANDFIELD -2 1 1 1 readonly @hash
HSCAN -3 1 1 1 readonly @hash
HSET -4 1 1 1 write denyoom fast @hash
HSETNX 4 1 1 1 write denyoom fast @hash
HSTRLEN 3 1 1 1 readonly fast @hash
HVALS 2 1 1 1 readonly @hash
HEXPIRE -6 1 1 1 write denyoom fast @hash
HPEXPIRE -6 1 1 1 write denyoom fast @hash
HEXPIREAT -6 1 1 1 write denyoom fast @hash
HPEXPIREAT -6 1 1 1 write denyoom fast @hash
HPERSIST -5 1 1 1 write fast @hash
HTTL -5 1 1 1 readonly fast @hash
HPTTL -5 1 1 1 readonly fast @hash
HEXPIRETIME -5 1 1 1 readonly fast @hash
HPEXPIRETIME -5 1 1 1 readonly fast @hash
BLMOVE 6 1 2 1 write denyoom noscript blocking @list
BLMPOP -5 0 0 0 write blocking movablekeys @list
BLPOP -3 1 -2 1 write noscript blocking @list
BRPOP -3 1 -2 1 write noscript blocking @list
BRPOPLPUSH 4 1 2 1 write denyoom noscript blocking @list
LINDEX 3 1 1 1 readonly @list
LINSERT 5 1 1 1 write denyoom @list
LLEN 2 1 1 1 readonly fast @list
LMOVE 5 1 2 1 write denyoom @list
LMPOP -4 0 0 0 write movablekeys @list
LPOP -2 1 1 1 write fast @list
LPOS -3 1 1 1 readonly @list
LPUSH -3 1 1 1 write denyoom fast @list
LPUSHX -3 1 1 1 write denyoom fast @list
LRANGE 4 1 1 1 readonly @list
LREM 4 1 1 1 write @list
LSET 4 1 1 1 write denyoom @list
LTRIM 4 1 1 1 write @list
RPOP -2 1 1 1 write fast @list
RPOPLPUSH 3 1 2 1 write denyoom @list
RPUSH -3 1 1 1 write denyoom fast @list
RPUSHX -3 1 1 1 write denyoom fast @list
SADD -3 1 1 1 write denyoom fast @set
SCARD 2 1 1 1 readonly fast @set
SDIFF -2 1 -1 1 readonly @set
SDIFFSTORE -3 1 -1 1 write denyoom @set
SINTER -2 1 -1 1 readonly @set
SINTERCARD -3 0 0 0 readonly movablekeys @set
SINTERSTORE -3 1 -1 1 write denyoom @set
SISMEMBER 3 1 1 1 readonly fast @set
SMEMBERS 2 1 1 1 readonly @set
SMISMEMBER -3 1 1 1 readonly fast @set
SMOVE 4 1 2 1 write fast @set
SPOP -2 1 1 1 write fast @set
SRANDMEMBER -2 1 1 1 readonly @set
SREM -3 1 1 1 write fast @set
SSCAN -3 1 1 1 readonly @set
SUNION -2 1 -1 1 readonly @set
SUNIONSTORE -3 1 -1 1 write denyoom @set
BZMPOP -5 0 0 0 write blocking movablekeys @sortedset
BZPOPMAX -3 1 -2 1 write noscript blocking fast @sortedset
BZPOPMIN -3 1 -2 1 write noscript blocking fast @sortedset
ZADD -4 1 1 1 write denyoom fast @sortedset
ZCARD 2 1 1 1 readonly fast @sortedset
ZCOUNT 4 1 1 1 readonly fast @sortedset
ZDIFF -3 0 0 0 readonly movablekeys @sortedset
ZDIFFSTORE -4 1 1 1 write denyoom movablekeys @sortedset
ZINCRBY 4 1 1 1 write denyoom fast @sortedset
ZINTER -3 0 0 0 readonly movablekeys @sortedset
ZINTERCARD -3 0 0 0 readonly movablekeys @sortedset
ZINTERSTORE -4 1 1 1 write denyoom movablekeys @sortedset
ZLEXCOUNT 4 1 1 1 readonly fast @sortedset
ZMPOP -4 0 0 0 write movablekeys @sortedset
ZMSCORE -3 1 1 1 readonly fast @sortedset
ZPOPMAX -2 1 1 1 write fast @sortedset
ZPOPMIN -2 1 1 1 write fast @sortedset
ZRANDMEMBER -2 1 1 1 readonly @sortedset
ZRANGE -4 1 1 1 readonly @sortedset
ZRANGEBYLEX -4 1 1 1 readonly @sortedset
ZRANGEBYSCORE -4 1 1 1 readonly @sortedset
ZRANGESTORE -5 1 2 1 write denyoom @sortedset
ZRANK 3 1 1 1 readonly fast @sortedset
ZREM -3 1 1 1 write fast @sortedset
ZREMRANGEBYLEX 4 1 1 1 write @sortedset
ZREMRANGEBYRANK 4 1 1 1 write @sortedset
ZREMRANGEBYSCORE 4 1 1 1 write @sortedset
ZREVRANGE -4 1 1 1 readonly @sortedset
ZREVRANGEBYLEX -4 1 1 1 readonly @sortedset
ZREVRANGEBYSCORE -4 1 1 1 readonly @sortedset
ZREVRANK 3 1 1 1 readonly fast @sortedset
ZSCAN -3 1 1 1 readonly @sortedset
ZSCORE 3 1 1 1 readonly fast @sortedset
ZUNION -3 0 0 0 readonly movablekeys @sortedset
ZUNIONSTORE -4 1 1 1 write denyoom movablekeys @sortedset
PSUBSCRIBE -2 0 0 0 pubsub noscript loading stale
PUBLISH 3 0 0 0 pubsub loading stale fast
PUBSUB -2 0 0 0
PUNSUBSCRIBE -1 0 0 0 pubsub noscript loading stale
SPUBLISH 3 1 1 1 pubsub loading stale fast
SSUBSCRIBE -2 1 -1 1 pubsub noscript loading stale
SUBSCRIBE -2 0 0 0 pubsub noscript loading stale
SUNSUBSCRIBE -1 1 -1 1 pubsub noscript loading stale
UNSUBSCRIBE -1 0 0 0 pubsub noscript loading stale
DISCARD 1 0 0 0 noscript loading stale fast allow_busy @transaction
EXEC 1 0 0 0 noscript loading stale skip_slowlog @transaction
MULTI 1 0 0 0 noscript loading stale fast allow_busy @transaction
UNWATCH 1 0 0 0 noscript loading stale fast allow_busy @transaction
WATCH -2 1 -1 1 noscript loading stale fast allow_busy @transaction
EVAL -3 0 0 0 noscript stale skip_monitor no_mandatory_keys movablekeys
EVAL_RO -3 0 0 0 readonly noscript stale skip_monitor no_mandatory_keys movablekeys
EVALSHA -3 0 0 0 noscript stale skip_monitor no_mandatory_keys movablekeys
EVALSHA_RO -3 0 0 0 readonly noscript stale skip_monitor no_mandatory_keys movablekeys
FCALL -3 0 0 0 noscript stale skip_monitor no_mandatory_keys movablekeys
FCALL_RO -3 0 0 0 readonly noscript stale skip_monitor no_mandatory_keys movablekeys
FUNCTION -2 0 0 0
SCRIPT -2 0 0 0
SESSION -2 0 0 0
AUTH -2 0 0 0 noscript loading stale fast no_auth allow_busy @connection
CLIENT -2 0 0 0
ECHO 2 0 0 0 loading stale fast @connection
HELLO -1 0 0 0 noscript loading stale fast no_auth allow_busy @connection
PING -1 0 0 0 fast @connection
QUIT -1 0 0 0 noscript loading stale fast no_auth allow_busy @connection
RESET 1 0 0 0 noscript loading stale fast no_auth allow_busy @connection
SELECT 2 0 0 0 loading stale fast @connection
ACL -2 0 0 0
BGREWRITEAOF 1 0 0 0 admin noscript no_async_loading
BGSAVE -1 0 0 0 admin noscript no_async_loading
COMMAND -1 0 0 0 loading stale @connection
CONFIG -2 0 0 0
DBSIZE 1 0 0 0 readonly fast @keyspace
DEBUG -2 0 0 0 admin noscript loading stale
FLUSHALL -1 0 0 0 write @keyspace @dangerous
FLUSHDB -1 0 0 0 write @keyspace @dangerous
INFO -1 0 0 0 loading stale @dangerous
LASTSAVE 1 0 0 0 loading stale fast @admin @dangerous
LATENCY -2 0 0 0
LOLWUT -1 0 0 0 readonly fast
MEMORY -2 0 0 0
MONITOR 1 0 0 0 admin noscript loading stale
ROLE 1 0 0 0 noscript loading stale fast @admin @dangerous
SAVE 1 0 0 0 admin noscript no_async_loading no_multi
SHUTDOWN -1 0 0 0 admin noscript loading stale no_multi allow_busy
SLOWLOG -2 0 0 0
SWAPDB 3 0 0 0 write fast @keyspace @dangerous
TIME 1 0 0 0 loading stale fast
"""

# The subcommands of the commands that are but their containers. They are read when asked
# for: no client needs them, and a server does so late.
SUBCOMMAND_TABLE = """
ACL|CAT -2 0 0 0 noscript loading stale
ACL|DELUSER -3 0 0 0 admin noscript loading stale
ACL|DRYRUN -4 0 0 0 admin noscript loading stale
ACL|GENPASS -2 0 0 0 noscript loading stale
ACL|GETUSER 3 0 0 0 admin noscript loading stale
ACL|HELP 2 0 0 0 loading stale
ACL|LIST 2 0 0 0 admin noscript loading stale
ACL|LOAD 2 0 0 0 admin noscript loading stale
ACL|LOG -2 0 0 0 admin noscript loading stale
ACL|SAVE 2 0 0 0 admin noscript loading stale
ACL|SETUSER -3 0 0 0 admin noscript loading stale
ACL|USERS 2 0 0 0 admin noscript loading stale
ACL|WHOAMI 2 0 0 0 noscript loading stale
CLIENT|CACHING 3 0 0 0 noscript loading stale @connection
CLIENT|GETNAME 2 0 0 0 noscript loading stale @connection
CLIENT|GETREDIR 2 0 0 0 noscript loading stale @connection
CLIENT|HELP 2 0 0 0 loading stale @connection
CLIENT|ID 2 0 0 0 noscript loading stale @connection
CLIENT|INFO 2 0 0 0 noscript loading stale @connection
CLIENT|KILL -3 0 0 0 admin noscript loading stale @connection
CLIENT|LIST -2 0 0 0 admin noscript loading stale @connection
CLIENT|NO-EVICT 3 0 0 0 admin noscript loading stale @connection
CLIENT|NO-TOUCH 3 0 0 0 noscript loading stale @connection
CLIENT|PAUSE -3 0 0 0 admin noscript loading stale @connection
CLIENT|REPLY 3 0 0 0 noscript loading stale @connection
CLIENT|SETINFO 4 0 0 0 noscript loading stale @connection
CLIENT|SETNAME 3 0 0 0 noscript loading stale @connection
CLIENT|TRACKING -3 0 0 0 noscript loading stale @connection
CLIENT|TRACKINGINFO 2 0 0 0 noscript loading stale @connection
CLIENT|UNBLOCK -3 0 0 0 admin noscript loading stale @connection
CLIENT|UNPAUSE 2 0 0 0 admin noscript loading stale @connection
COMMAND|COUNT 2 0 0 0 loading stale @connection
COMMAND|DOCS -2 0 0 0 loading stale @connection
COMMAND|GETKEYS -4 0 0 0 loading stale @connection
COMMAND|GETKEYSANDFLAGS -4 0 0 0 loading stale @connection
COMMAND|HELP 2 0 0 0 loading stale @connection
COMMAND|INFO -2 0 0 0 loading stale @connection
COMMAND|LIST -2 0 0 0 loading stale @connection
CONFIG|GET -3 0 0 0 admin noscript loading stale
CONFIG|HELP 2 0 0 0 loading stale
CONFIG|RESETSTAT 2 0 0 0 admin noscript loading stale
CONFIG|REWRITE 2 0 0 0 admin noscript loading stale
CONFIG|SET -4 0 0 0 admin noscript loading stale
FUNCTION|DELETE 3 0 0 0 write noscript @scripting
FUNCTION|DUMP 2 0 0 0 noscript @scripting
FUNCTION|FLUSH -2 0 0 0 write noscript @scripting
FUNCTION|HELP 2 0 0 0 loading stale @scripting
FUNCTION|KILL 2 0 0 0 noscript allow_busy @scripting
FUNCTION|LIST -2 0 0 0 noscript @scripting
FUNCTION|LOAD -3 0 0 0 write denyoom noscript @scripting
FUNCTION|RESTORE -3 0 0 0 write denyoom noscript @scripting
FUNCTION|STATS 2 0 0 0 noscript allow_busy @scripting
LATENCY|DOCTOR 2 0 0 0 admin noscript loading stale
LATENCY|GRAPH 3 0 0 0 admin noscript loading stale
LATENCY|HELP 2 0 0 0 loading stale
LATENCY|HISTOGRAM -2 0 0 0 admin noscript loading stale
LATENCY|HISTORY 3 0 0 0 admin noscript loading stale
LATENCY|LATEST 2 0 0 0 admin noscript loading stale
LATENCY|RESET -2 0 0 0 admin noscript loading stale
MEMORY|DOCTOR 2 0 0 0
MEMORY|HELP 2 0 0 0 loading stale
MEMORY|MALLOC-STATS 2 0 0 0
MEMORY|PURGE 2 0 0 0
MEMORY|STATS 2 0 0 0
MEMORY|USAGE -3 2 2 1 readonly
OBJECT|ENCODING 3 2 2 1 readonly @keyspace
OBJECT|FREQ 3 2 2 1 readonly @keyspace
OBJECT|HELP 2 0 0 0 loading stale @keyspace
OBJECT|IDLETIME 3 2 2 1 readonly @keyspace
OBJECT|REFCOUNT 3 2 2 1 readonly @keyspace
PUBSUB|CHANNELS -2 0 0 0 pubsub loading stale
PUBSUB|HELP 2 0 0 0 loading stale
PUBSUB|NUMPAT 2 0 0 0 pubsub loading stale
PUBSUB|NUMSUB -2 0 0 0 pubsub loading stale
PUBSUB|SHARDCHANNELS -2 0 0 0 pubsub loading stale
PUBSUB|SHARDNUMSUB -2 0 0 0 pubsub loading stale
SCRIPT|DEBUG 3 0 0 0 noscript @scripting
SCRIPT|EXISTS -3 0 0 0 noscript @scripting
SCRIPT|FLUSH -2 0 0 0 noscript @scripting
SCRIPT|HELP 2 0 0 0 loading stale @scripting
SCRIPT|KILL 2 0 0 0 noscript allow_busy @scripting
SCRIPT|LOAD 3 0 0 0 noscript stale @scripting
SESSION|BIND -7 0 0 0 noscript no_mandatory_keys movablekeys
SESSION|HELP 2 0 0 0 loading stale @scripting
SESSION|IDENTIFY 3 0 0 0 noscript @scripting
SESSION|LIST 2 0 0 0 noscript @scripting
SESSION|UNBIND -3 0 0 0 noscript @scripting
SLOWLOG|GET -2 0 0 0 admin loading stale
SLOWLOG|HELP 2 0 0 0 loading stale
SLOWLOG|LEN 2 0 0 0 admin loading stale
SLOWLOG|RESET 2 0 0 0 admin loading stale
"""
