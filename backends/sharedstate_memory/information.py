"""INFO: facts about the engine and its server, by sections."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

    from sharedstate_memory.engine import Engine

    Facts: TypeAlias = dict[str, int | str]

# Where the owner's facts (`Engine.info`) are shown; others are shown under Server.
_SECTION_OF_FACT = {
    "connected_clients": "clients",
    "maxclients": "clients",
    "total_connections_received": "stats",
    "total_net_input_bytes": "stats",
    "total_net_output_bytes": "stats",
    "rejected_connections": "stats",
}

_EVERYTHING = frozenset(("default", "all", "everything"))


def describe(engine: Engine, wanted: set[str]) -> str:
    """The sections that are wanted, all if none is named, as Redis writes them."""
    sections = {
        "server": _server(engine),
        "clients": _clients(engine),
        "memory": _memory(engine),
        "stats": _stats(engine),
        "replication": _replication(),
        "keyspace": _keyspace(engine),
    }
    for name, fact in engine.info.items():
        sections[_SECTION_OF_FACT.get(name, "server")][name] = fact
    shown = sections.keys() if not wanted or wanted & _EVERYTHING else wanted
    texts = [
        _write(name.capitalize(), facts)
        for name, facts in sections.items()
        if name in shown
    ]
    return "\r\n".join(texts)


def _write(title: str, facts: Facts) -> str:
    lines = [f"{name}:{fact}\r\n" for name, fact in facts.items()]
    return f"# {title}\r\n" + "".join(lines)


def _server(engine: Engine) -> Facts:
    uptime_s = (engine.now_ms - engine.started_at_ms) // 1000
    return {
        "redis_version": engine.redis_version,
        "sharedstate_version": _distribution_version(),
        "redis_mode": "standalone",
        "arch_bits": 64 if sys.maxsize > 2**32 else 32,
        "process_id": os.getpid(),
        "uptime_in_seconds": uptime_s,
        "uptime_in_days": uptime_s // 86400,
    }


def _distribution_version() -> str:
    from importlib import metadata  # here, because it takes milliseconds to import

    try:
        return metadata.version("sharedstate")
    except metadata.PackageNotFoundError:
        return "unknown"


def _clients(engine: Engine) -> Facts:
    return {
        "connected_clients": len(engine.sessions),
        "blocked_clients": len(engine.waits),
    }


def _memory(engine: Engine) -> Facts:
    import resource

    usage = resource.getrusage(resource.RUSAGE_SELF)
    # Kilobytes, but for macOS, where it is bytes.
    unit = 1 if sys.platform == "darwin" else 1024
    return {
        "used_memory_peak": usage.ru_maxrss * unit,
        "maxmemory": 0,
        "maxmemory_policy": "noeviction",
    }


def _stats(engine: Engine) -> Facts:
    return {
        "total_commands_processed": engine.processed,
        "expired_keys": engine.expired_keys,
        "evicted_keys": 0,
        "pubsub_channels": engine.channels.channel_count,
        "pubsub_patterns": engine.channels.pattern_count,
    }


def _replication() -> Facts:
    return {"role": "master", "connected_slaves": 0}


def _keyspace(engine: Engine) -> Facts:
    return {
        f"db{db.index}": f"keys={len(db.data)},expires={len(db.deadlines)},avg_ttl=0"
        for db in engine.databases
        if db.data
    }
