"""Logs that pass between our server and a real redis-server."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest

from sharedstate.testing.background import wait_until
from sharedstate_server.aof.units import units_of
from tests.interop.test_snapshots import contents, fill
from tests.unit.server.saving import SECONDS, Saving
from tests.unit.server.started import OURS, REDIS, WAIT_SECONDS, client

pytestmark = pytest.mark.usefixtures("redis_is_installed")

FOLDER = "appendonlydir"
LOGGING = ("--appendonly", "yes", "--save", "")


def names(folder: Path) -> list[str]:
    """The files of the log, as the manifest has them."""
    text = (folder / FOLDER / "appendonly.aof.manifest").read_text()
    return [line.split()[1] for line in text.splitlines()]


def change(server: Saving) -> None:
    """What stands behind the base: a bit of everything, some of it in one piece."""
    one = server.client
    one.set("later", "v", ex=100_000)
    one.rpush("list:3", "x", "y")
    one.lpop("list:2000", 100)
    one.spop("set:2000", 50)
    one.zpopmin("zset:2000", 10)
    one.hincrbyfloat("hash:3", "f1", 0.5)
    pipeline = one.pipeline()
    pipeline.incrbyfloat("number", 1.5).expire("list:3", 100_000).delete("text")
    pipeline.execute()
    one.eval("redis.call('SET', KEYS[1], 1) return redis.call('INCR', KEYS[1])", 1, "s")
    one.set("gone", "v", px=1)
    wait_until(lambda: not one.exists("gone"), SECONDS)


@pytest.mark.parametrize("preamble", ["yes", "no"])
@pytest.mark.parametrize(("writer", "reader"), [(OURS, REDIS), (REDIS, OURS)])
def test_a_log_of_one_is_loaded_by_the_other(
    tmp_path: Path, writer: tuple[str, ...], reader: tuple[str, ...], preamble: str
) -> None:
    words = (*LOGGING, "--aof-use-rdb-preamble", preamble)
    with Saving(tmp_path, *words, program=writer) as server:
        fill(server)
        server.client.bgrewriteaof()
        wait_until(lambda: "2.base" in names(tmp_path)[0], SECONDS)
        change(server)
        before = contents(server)
        assert server.end() == 0
    with Saving(tmp_path, *words, program=reader) as server:
        assert contents(server) == before
        assert server.client.fcall("f", 0) == 7
        server.client.set("behind", "1")
        before = contents(server)
        assert server.end() == 0
    # And back again, with what was written behind it.
    with Saving(tmp_path, *words, program=writer) as server:
        assert contents(server) == before


@pytest.mark.parametrize("preamble", ["yes", "no"])
def test_redis_check_aof_accepts_what_we_write(tmp_path: Path, preamble: str) -> None:
    words = (*LOGGING, "--aof-use-rdb-preamble", preamble, "--aof-timestamp-enabled", "yes")
    with Saving(tmp_path, *words) as server:
        fill(server)
        server.client.bgrewriteaof()
        wait_until(lambda: "2.base" in names(tmp_path)[0], SECONDS)
        change(server)
        assert server.end() == 0
    ended = subprocess.run(
        ["redis-check-aof", f"{FOLDER}/appendonly.aof.manifest"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=WAIT_SECONDS,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout
    assert "All AOF files and manifest are valid" in ended.stdout


def test_a_log_that_redis_left_torn_is_loaded(tmp_path: Path) -> None:
    with Saving(tmp_path, *LOGGING, program=REDIS) as server:
        server.client.set("a", "1")
        server.client.pipeline().set("b", "2").set("c", "3").execute()
        assert server.end() == 0
    path = tmp_path / FOLDER / names(tmp_path)[-1]
    path.write_bytes(path.read_bytes()[:-5])
    with Saving(tmp_path, *LOGGING) as server:
        assert server.client.keys() == ["a"]


# Each line is a turn; `;` separates its commands. What comes of chance or of time is the
# same for both, or is made so below.
TURNS = """
SET k v EX 100
SET k v PX 100000 NX
SET k v EXAT 33177117420
SET n 5 KEEPTTL
GETSET k w
GETDEL k
SETEX k 100 v
PSETEX k 100000 v
GETEX k PERSIST
GETEX k EX 50
GETEX k PXAT 1
SET k v
GETEX k
EXPIRE k 100
EXPIRE k 100 NX
EXPIREAT k 33177117420
PEXPIREAT k 33177117420000
PERSIST k
EXPIRE k -1
MSET a 1 b 2
MSETNX a 1 c 2
MSETNX x 1 y 2
INCR a
DECRBY a 5
INCRBYFLOAT a 1.5
INCRBYFLOAT f 0.1
APPEND s xyz
SETRANGE s 1 Q
SETBIT bits 7 1
BITOP NOT dest bits
BITFIELD bits INCRBY u8 0 3
BITFIELD bits GET u8 0
DEL a b nokey
DEL nokey
UNLINK x
RPUSH l a b c d e f g h
LPUSHX nol a
LPOP l
RPOP l 2
LMOVE l m LEFT RIGHT
BLMOVE l m LEFT RIGHT 1
BLPOP nol l 1
BRPOP l 1
RPUSH l a b c d e f g h
LMPOP 2 nol l LEFT COUNT 2
BLMPOP 1 1 l RIGHT COUNT 1
LREM l 1 nonono
LSET l 0 zz
LTRIM l 0 3
LINSERT l BEFORE zz yy
SADD st one
SPOP st
SADD st a
SMOVE st st2 a
SUNIONSTORE st3 st2
SINTERSTORE st3 st2 nost
ZADD z 1 a 2 b 3 c 4 d 5 e
ZADD z NX 1 a
ZADD z INCR 1.5 a
ZADD z XX GT CH 10 a
ZINCRBY z 0.1 a
ZPOPMIN z
ZPOPMAX z 1
BZPOPMIN z 1
ZADD z 1 a 2 b 3 c 4 d 5 e
ZMPOP 1 z MIN COUNT 2
BZMPOP 1 1 z MAX
ZRANGESTORE z2 z 0 -1
ZUNIONSTORE z3 2 z z2
ZREM z nomem
HSET h f 1 g 2
HSETNX h f 2
HINCRBY h f 2
HINCRBYFLOAT h f 1.5
HDEL h nof
COPY h h2
COPY h h2
COPY h h3 DB 3
MOVE h2 2
RENAME h h9
RENAMENX h9 h8
SORT l ALPHA STORE sorted
SELECT 4
SET k v
SWAPDB 4 5
FLUSHDB
FLUSHDB ASYNC
SELECT 0
PUBLISH c m
SPUBLISH c m
GET k
MULTI; SET a 1; GET a; EXEC
MULTI; SET a 1; SET b 2; SELECT 3; SET c 3; EXEC
SELECT 0
MULTI; GET a; EXEC
MULTI; PUBLISH c m; SET a 1; EXEC
MULTI; EXPIRE a 100; SADD st9 a; SPOP st9; EXEC
EVAL "redis.call('set',KEYS[1],1) redis.call('incr',KEYS[1])" 1 sk
EVAL "redis.call('set',KEYS[1],1) return 1" 1 sk
EVAL "return 1" 0
EVAL "redis.call('sadd',KEYS[1],'a') redis.call('spop',KEYS[1])" 1 sk2
SCRIPT LOAD "return 1"
SCRIPT FLUSH
FUNCTION LOAD "#!lua name=l\\nredis.register_function('f', function(k) redis.call('set',k[1],1) return redis.call('incr',k[1]) end)"
FCALL f 1 fk
FUNCTION DELETE l
FUNCTION FLUSH
FLUSHALL
FLUSHALL SYNC
""".strip().splitlines()  # noqa: E501 - one line, one turn


def _words(text: str) -> list[str]:
    return [word.replace("\\n", "\n") for word in shlex.split(text)]


def _log_of(folder: Path, program: tuple[str, ...]) -> list[list[list[bytes]]]:
    """What a server writes to its log, turn by turn."""
    folder.mkdir()
    turns = []
    words = (*LOGGING, "--appendfsync", "always")
    with Saving(folder, *words, program=program):
        one = client(path=folder / "s", single_connection_client=True)
        offset = 0
        for turn in TURNS:
            for command in re.split("; ", turn):
                _ask(one, _words(command))
            path = folder / FOLDER / "appendonly.aof.1.incr.aof"
            with path.open("rb") as file:
                units = list(units_of(file, offset))
            offset = units[-1].end if units else offset
            turns.append([argv for unit in units for argv in unit.commands])
    return turns


def _ask(one: Any, words: list[str]) -> None:
    """Send a command as it is, and read its reply: redis-py knows better otherwise."""
    connection = one.connection
    connection.send_command(*words)
    connection.read_response()


def _alike(commands: list[list[bytes]]) -> list[bytes]:
    """A turn's effects, without what depends on the time at which it was."""
    lines = [b" ".join(argv) for argv in commands]
    return [re.sub(rb"\b1[78]\d{11}\b", b"TIME", line) for line in lines]


def test_what_is_logged_is_what_redis_logs(tmp_path: Path) -> None:
    ours = _log_of(tmp_path / "ours", OURS)
    theirs = _log_of(tmp_path / "theirs", REDIS)
    found = dict(zip(TURNS, map(_alike, ours), strict=True))
    expected = dict(zip(TURNS, map(_alike, theirs), strict=True))
    assert found == expected
