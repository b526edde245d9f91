"""What the log has makes the same data again: every family, several databases, scripts,
transactions, blocked clients, and time that passes in between.
"""

from __future__ import annotations

from collections import deque
from random import Random
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sharedstate_memory.effects import Effects
from sharedstate_memory.engine import Engine
from sharedstate_memory.sorted_set import SortedSet
from sharedstate_server.aof.folder import LogFolder
from sharedstate_server.aof.manifest import INCREMENT, LogFile, Manifest
from sharedstate_server.aof.reader import LogReader
from sharedstate_server.aof.writer import LogWriter

if TYPE_CHECKING:
    from pathlib import Path

START_MS = 1_700_000_000_000
LATER_MS = START_MS + 10**12

# {k} a key, {i} a small number, {t} milliseconds, {x} a fraction, {m} a member or field,
# {d} a database, {w} a side.
TEMPLATES = """
SET {k} {i}
SET {k} {i} PX {t}
SET {k} {i} EX 1 NX
SET {k} {m} XX KEEPTTL
SET {k} {m} GET PXAT 1
SETEX {k} 1 {i}
PSETEX {k} {t} {i}
SETNX {k} {i}
GETSET {k} {i}
GETDEL {k}
GETEX {k} PX {t}
GETEX {k} PERSIST
GETEX {k} PXAT 1
MSET {k} {i} {k} {i}
MSETNX {k} {i} {k} {i}
APPEND {k} {m}
SETRANGE {k} {i} {m}
INCR {k}
DECRBY {k} {i}
INCRBYFLOAT {k} {x}
SETBIT {k} {i} 1
BITOP NOT {k} {k}
BITFIELD {k} INCRBY u8 0 {i}
DEL {k} {k}
UNLINK {k}
RENAME {k} {k}
RENAMENX {k} {k}
COPY {k} {k}
COPY {k} {k} DB {d} REPLACE
MOVE {k} {d}
SWAPDB {d} {d}
SELECT {d}
FLUSHDB
FLUSHALL ASYNC
EXPIRE {k} 1
PEXPIRE {k} {t}
PEXPIRE {k} -1
PEXPIRE {k} {t} GT
PEXPIRE {k} {t} NX
PERSIST {k}
LPUSH {k} {m} {m}
RPUSH {k} {m} {i}
RPUSHX {k} {m}
LPOP {k}
RPOP {k} 2
LMOVE {k} {k} {w} {w}
RPOPLPUSH {k} {k}
LREM {k} 1 {m}
LSET {k} 0 {m}
LTRIM {k} 0 2
LINSERT {k} BEFORE {m} {i}
LMPOP 2 {k} {k} {w} COUNT 2
BLPOP {k} {k} 0.001
BRPOP {k} 0.001
BLMOVE {k} {k} {w} {w} 0.001
BLMPOP 0.001 1 {k} {w}
SADD {k} {m} {i} {i}
SREM {k} {m}
SPOP {k}
SPOP {k} 2
SMOVE {k} {k} {m}
SUNIONSTORE {k} {k} {k}
SINTERSTORE {k} {k} {k}
SDIFFSTORE {k} {k} {k}
SORT {k} BY nosort STORE {k}
SORT {k} ALPHA STORE {k}
SORT {k} BY w_* ALPHA LIMIT 0 2 STORE {k}
ZADD {k} {i} {m} {x} {i}
ZADD {k} INCR {x} {m}
ZADD {k} GT CH {i} {m}
ZINCRBY {k} {x} {m}
ZREM {k} {m}
ZPOPMIN {k}
ZPOPMAX {k} 2
ZMPOP 2 {k} {k} MIN
BZPOPMIN {k} 0.001
BZMPOP 0.001 1 {k} MAX
ZRANGESTORE {k} {k} 0 1
ZUNIONSTORE {k} 2 {k} {k} WEIGHTS 1 {x}
ZREMRANGEBYRANK {k} 0 0
HSET {k} {m} {i} {i} {m}
HSETNX {k} {m} {i}
HDEL {k} {m}
HINCRBY {k} {i} {i}
HINCRBYFLOAT {k} {i} {x}
HPEXPIRE {k} {t} FIELDS 1 {m}
HPEXPIRE {k} {t} FIELDS 2 {i} {m}
HEXPIRE {k} 0 FIELDS 1 {i}
HPERSIST {k} FIELDS 1 {m}
HGETALL {k}
GET {k}
PUBLISH {k} {m}
MULTI
EXEC
DISCARD
WATCH {k}
DEBUG POPULATE 2 {k}
FUNCTION FLUSH
""".strip().splitlines()

SCRIPTS = [
    "redis.call('SET', KEYS[1], ARGV[1], 'PX', 5) return redis.call('SPOP', KEYS[2])",
    "redis.call('INCRBYFLOAT', KEYS[1], '0.1') redis.call('RPUSH', KEYS[2], ARGV[1])",
    "redis.call('SELECT', 1) redis.call('SADD', KEYS[1], ARGV[1], 'x', 'y')"
    " redis.call('SPOP', KEYS[1])",
    "redis.call('DEL', KEYS[1]) error('oops')",
]
LIBRARY = (
    "#!lua name=lib\nredis.register_function('f', function(keys, args)"
    " return redis.call('SET', keys[1], args[1]) end)"
)

keys = st.sampled_from(["a", "b", "c", "w_1"])


def _fill(template: str, draw: Any) -> list[bytes]:
    pools = {
        "k": keys,
        "i": st.integers(0, 3).map(str),
        "t": st.integers(1, 40).map(str),
        "x": st.sampled_from(["0.1", "1.5", "-2", "3e2"]),
        "m": st.sampled_from(["x", "y", "1", "\xff"]),
        "d": st.sampled_from(["0", "1", "2"]),
        "w": st.sampled_from(["LEFT", "RIGHT"]),
    }
    words = [
        draw(pools[word[1]]) if word.startswith("{") else word for word in template.split()
    ]
    return [word.encode("latin-1") for word in words]


@st.composite
def commands(draw: Any) -> list[bytes]:
    number = draw(st.integers(0, len(TEMPLATES) + 8))
    if number < len(TEMPLATES):
        return _fill(TEMPLATES[number], draw)
    if number == len(TEMPLATES):
        return [b"FUNCTION", b"LOAD", b"REPLACE", LIBRARY.encode()]
    if number == len(TEMPLATES) + 1:
        return _fill("FCALL f 1 {k} {i}", draw)
    if number == len(TEMPLATES) + 2:
        return [*_fill("RESTORE {k} {t}", draw), b"", b"REPLACE"]
    script = draw(st.sampled_from(SCRIPTS)).encode()
    return [b"EVAL", script, b"2", *_fill("{k} {k} {i}", draw)]


class Logged:
    """An engine with a log, two clients, and a clock."""

    def __init__(self) -> None:
        self.now_ms = START_MS
        self.engine = Engine(clock_ms=lambda: self.now_ms, random=Random(1))
        self.engine.settings.load("enable-debug-command", ["yes"])
        self.log: list[list[bytes]] = []
        self.writer = LogWriter()
        self.engine.hand_effects_to(Effects(self._take, wants_messages=False))
        self.sessions = [self.engine.open_session(lambda reply: None) for _ in range(2)]
        self.dumper = self.engine.open_session(lambda reply: None)

    def _take(self, database: int, argv: list[bytes]) -> None:
        self.writer.take(database, argv)
        self.log.append(argv)

    def run(self, client: int, argv: list[bytes]) -> None:
        session = self.sessions[client]
        if argv[0] == b"RESTORE":
            # Of what is there, unless it is over by now.
            self.dumper.db = session.db
            payload: Any = self.dumper.execute([b"DUMP", argv[1]])
            argv[3] = payload or b""
        if session.wait is None:
            session.execute(argv)

    def wait(self, milliseconds: int) -> None:
        self.now_ms += milliseconds
        self.engine.expire_waits()
        self.engine.cron()


def replay(folder: Path, data: bytes, *, now_ms: int = LATER_MS) -> Engine:
    """An engine with what a log has."""
    name = "appendonly.aof.1.incr.aof"
    (folder / name).write_bytes(data)
    told: list[str] = []
    engine = Engine(clock_ms=lambda: now_ms, random=Random(2))
    reader = LogReader(
        LogFolder(str(folder), "appendonly.aof"),
        Manifest(None, (LogFile(name, 1, INCREMENT),)),
        engine,
        cuts_off=False,
        tell=told.append,
    )
    for _ in reader.load():
        pass
    assert told == []
    return engine


def contents(engine: Engine) -> list[object]:
    """Everything that a log must keep."""
    tables: list[object] = []
    for db in engine.databases:
        for key, value in db.data.items():
            fields = db.field_deadlines.get(key)
            deadlines = {} if fields is None else fields.scores()
            deadline = db.deadline_of(key) if key in db.deadlines else None
            tables.append((db.index, key, _plain(value), deadline, deadlines))
    libraries = {} if engine.functions is None else engine.functions.libraries
    tables.append({name: library.code for name, library in libraries.items()})
    return sorted(tables, key=repr)


def _plain(value: object) -> object:
    if isinstance(value, SortedSet):
        return sorted(value.scores().items())
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    if isinstance(value, dict):
        return sorted(value.items())
    return list(value) if isinstance(value, deque) else value


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    st.lists(
        st.tuples(st.integers(0, 1), commands(), st.sampled_from([0, 0, 0, 3, 300])),
        max_size=60,
    )
)
def test_a_replayed_log_makes_the_same_data(
    tmp_path: Path, steps: list[tuple[int, list[bytes], int]]
) -> None:
    logged = Logged()
    for client, argv, pause_ms in steps:
        logged.run(client, argv)
        if pause_ms:
            logged.wait(pause_ms)
    for session in logged.sessions:
        logged.engine.close_session(session)
    logged.writer.encode()
    copy = replay(tmp_path, logged.writer._buffer)
    assert contents(copy) == contents(logged.engine)
