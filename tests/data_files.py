"""Files of persistence for tests: made by an engine, or command by command."""

from __future__ import annotations

import time
from pathlib import Path
from random import Random

from sharedstate_memory.engine import Engine
from sharedstate_memory.rdb.writer import snapshot
from sharedstate_server.aof.packing import pack_all

Words = tuple[bytes | str | int, ...]

LIBRARY = "#!lua name=shop\nredis.register_function('f', function() return 7 end)"
FAR_MS = 4_000_000_000_000
PAST_MS = 1_000_000_000_000

VARIED: list[Words] = [
    ("FUNCTION", "LOAD", LIBRARY),
    ("SET", "text", "v"),
    ("SET", "bytes", b"\xff\x00"),
    ("SET", b"\xfekey", "v"),
    ("SET", "timed", "v", "PXAT", FAR_MS),
    ("RPUSH", "list", "b", "a", "b"),
    ("SADD", "set", "n", "m"),
    ("ZADD", "zset", "1", "x", "2.5", "y", "inf", "t"),
    ("HSET", "hash", "f", "v", "g", "w"),
    ("PEXPIREAT", "hash", FAR_MS),
    ("SELECT", 3),
    ("SET", "other", "v"),
]
"""Something of every kind, in two databases."""


def encoded(words: Words) -> list[bytes]:
    """A command as bytes."""
    return [word if isinstance(word, bytes) else str(word).encode() for word in words]


def engine_with(commands: list[Words], now_ms: int | None = None) -> Engine:
    """An engine in which these were executed, at a time."""
    clock_ms = (lambda: int(time.time() * 1000)) if now_ms is None else (lambda: now_ms)
    engine = Engine(clock_ms=clock_ms, random=Random(0))
    session = engine.open_session(lambda reply: None)
    for words in commands:
        reply = session.execute(encoded(words))
        assert not hasattr(reply, "text"), f"{words}: {reply}"
    return engine


def snapshot_of(commands: list[Words], now_ms: int | None = None) -> bytes:
    """The snapshot of such an engine."""
    return b"".join(snapshot(engine_with(commands, now_ms)))


def log_of(commands: list[Words]) -> bytes:
    """The commands as they stand in a log."""
    return pack_all([encoded(words) for words in commands])


def write_log(folder: Path, *increments: bytes, base: bytes = b"") -> Path:
    """A log of these files in a folder, which is made. Returns its folder."""
    log = folder / "appendonlydir"
    log.mkdir(parents=True)
    lines = []
    if base:
        (log / "appendonly.aof.1.base.rdb").write_bytes(base)
        lines.append("file appendonly.aof.1.base.rdb seq 1 type b\n")
    for number, data in enumerate(increments, 1):
        name = f"appendonly.aof.{number}.incr.aof"
        (log / name).write_bytes(data)
        lines.append(f"file {name} seq {number} type i\n")
    (log / "appendonly.aof.manifest").write_text("".join(lines))
    return log


UNITS = [
    log_of([("SET", "a", "1")]),
    log_of([("MULTI",), ("SET", "b", "2"), ("RPUSH", "l", "x"), ("EXEC",)]),
    b"#TS:1700000000\r\n" + log_of([("SELECT", 1), ("SET", "c", "3")]),
]
LOG = b"".join(UNITS)
"""A log: a command, a transaction, and two commands that tell the time."""

_SELECT = len(b"#TS:1700000000\r\n" + log_of([("SELECT", 1)]))
_ENDS = [0, len(UNITS[0]), len(UNITS[0] + UNITS[1])]
END_OF_UNITS = [*_ENDS, _ENDS[-1] + _SELECT, len(LOG)]
"""Where this log may be cut without a loss but of what follows: behind each unit."""
