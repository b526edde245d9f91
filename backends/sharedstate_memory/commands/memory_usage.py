"""MEMORY: what data takes, and what the process does."""

from __future__ import annotations

from sharedstate_memory.commands.arguments import Options, parse_integer
from sharedstate_memory.commands.registry import command
from sharedstate_memory.information_memory import (
    overhead_bytes,
    peak_bytes,
    percent,
    process_bytes,
    ratio,
    used_bytes,
)
from sharedstate_memory.replies import OK, SYNTAX_ERROR, CommandFailure, Verbatim
from sharedstate_memory.sizes import DEADLINE, KEY, PLACE, estimate_of, size_of_entry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sharedstate_memory.engine import Engine
    from sharedstate_memory.replies import Reply
    from sharedstate_memory.session import Session

_USUAL_SAMPLES = 5

# Below this much, ratios say nothing.
_SMALL_BYTES = 5 * 1024 * 1024

# What makes the doctor speak.
_HIGH_PEAK_RATIO = 1.5
_HIGH_FRAGMENTATION = 1.4
_HIGH_CLIENT_BYTES = 200 * 1024


@command("MEMORY|USAGE")
def usage(session: Session, argv: list[bytes]) -> Reply:
    """How many bytes a key and its value take, judged by so many of its elements; by all
    of them for 0.
    """
    samples = _USUAL_SAMPLES
    options = Options(argv, 3)
    for name in options:
        if name != b"SAMPLES" or not options.left:
            raise CommandFailure(SYNTAX_ERROR)
        samples = parse_integer(options.value())
        if samples < 0:
            raise CommandFailure(SYNTAX_ERROR)
    key, db = argv[2], session.db
    value = db.find(key)
    if value is None:
        return None
    deadline_bytes = DEADLINE if key in db.deadlines else 0
    if key in db.field_deadlines:
        deadline_bytes += size_of_entry(key, db.field_deadlines[key])
    return KEY + len(key) + deadline_bytes + estimate_of(value, samples)


@command("MEMORY|STATS")
def stats(session: Session, argv: list[bytes]) -> Reply:
    """What memory is used for."""
    engine = session.engine
    resident, explained = process_bytes(engine)
    used, peak, overhead = used_bytes(engine), peak_bytes(engine), overhead_bytes(engine)
    keys = sum(len(db.data) for db in engine.databases)
    scripts, functions = engine.scripts, engine.functions
    fragmentation = ratio(resident, explained)
    return {
        b"peak.allocated": peak,
        b"total.allocated": used,
        b"startup.allocated": 0,
        b"replication.backlog": 0,
        b"clients.slaves": 0,
        b"clients.normal": engine.client_bytes,
        b"cluster.links": 0,
        b"aof.buffer": 0,
        b"lua.caches": 0 if scripts is None else scripts.used_bytes(),
        b"functions.caches": 0 if functions is None else functions.used_bytes(),
        **_describe_databases(engine),
        b"overhead.total": overhead,
        b"keys.count": keys,
        b"keys.bytes-per-key": used // keys if keys else 0,
        b"dataset.bytes": used - overhead,
        b"dataset.percentage": percent(used - overhead, used),
        b"peak.percentage": percent(used, peak),
        b"allocator.allocated": explained,
        b"allocator.active": explained,
        b"allocator.resident": resident,
        b"allocator-fragmentation.ratio": 1.0,
        b"allocator-fragmentation.bytes": 0,
        b"allocator-rss.ratio": fragmentation,
        b"allocator-rss.bytes": resident - explained,
        b"rss-overhead.ratio": 1.0,
        b"rss-overhead.bytes": 0,
        b"fragmentation": fragmentation,
        b"fragmentation.bytes": resident - explained,
    }


def _describe_databases(engine: Engine) -> dict[Reply, Reply]:
    return {
        b"db.%d" % db.index: {
            b"overhead.hashtable.main": PLACE * len(db.data),
            b"overhead.hashtable.expires": DEADLINE * len(db.deadlines),
            b"overhead.hashtable.slot-to-keys": 0,
        }
        for db in engine.databases
        if db.data
    }


@command("MEMORY|DOCTOR")
def doctor(session: Session, argv: list[bytes]) -> Reply:
    """What is unusual about memory, in words."""
    engine = session.engine
    used = used_bytes(engine)
    if used < _SMALL_BYTES:
        return Verbatim(
            b"There is too little data to judge by: up to some megabytes, the interpreter"
            b" takes more than the data does.\n"
        )
    findings = _find_unusual(engine, used)
    if not findings:
        return Verbatim(b"Nothing about memory is unusual.\n")
    lines = [b" * " + finding for finding in findings]
    return Verbatim(b"This is unusual:\n\n" + b"\n".join(lines) + b"\n")


def _find_unusual(engine: Engine, used: int) -> list[bytes]:
    findings = []
    if ratio(peak_bytes(engine), used) > _HIGH_PEAK_RATIO:
        findings.append(
            b"Peak: there was much more data before. The process keeps some of the memory"
            b" that was freed, and uses it for new data; MEMORY PURGE gives back what can"
            b" be given back."
        )
    if ratio(*process_bytes(engine)) > _HIGH_FRAGMENTATION:
        findings.append(
            b"Fragmentation: the process takes much more than the data does. What was"
            b" freed lies scattered between what is still used."
        )
    if engine.client_bytes > _HIGH_CLIENT_BYTES * max(len(engine.sessions), 1):
        findings.append(
            b"Clients: their buffers are big. Some send much at a time, or do not read"
            b" their replies: CLIENT LIST tells which (omem)."
        )
    return findings


@command("MEMORY|PURGE")
def purge(session: Session, argv: list[bytes]) -> Reply:
    """Give memory that is free back to the system, as far as it can be."""
    if session.engine.on_purge is not None:
        session.engine.on_purge()
    return OK


@command("MEMORY|MALLOC-STATS")
def allocator_stats(session: Session, argv: list[bytes]) -> Reply:
    """What the interpreter's allocator has handed out."""
    import sys

    blocks = sys.getallocatedblocks()
    resident, _ = process_bytes(session.engine)
    return Verbatim(
        b"Blocks handed out by the interpreter's allocator: %d\n"
        b"Bytes of memory taken by the process: %d\n" % (blocks, resident)
    )
