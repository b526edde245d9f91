"""INFO's sections about the server as a whole: who it is, whom it serves, what it holds.

What is asked of an engine that has no replicas, no cluster, no modules and no files is
answered as Redis answers when it has none of them.
"""

from __future__ import annotations

import os
import sys

from sharedstate import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sharedstate_memory.engine import Engine
    from sharedstate_memory.information import Facts
    from sharedstate_memory.keyspace import Keyspace

# The clock of accesses is 24 bits of seconds.
_LRU_CLOCK_MASK = (1 << 24) - 1

_NO_REPLICATION_ID = "0" * 40

# A mean over so many deadlines is told as the mean of all.
_DEADLINES_LOOKED_AT = 1000


def describe_server(engine: Engine) -> Facts:
    """Which program this is, since when, and where."""
    now_ms = engine.now_ms
    uptime_s = (now_ms - engine.started_at_ms) // 1000
    system = os.uname()
    return {
        "redis_version": engine.redis_version,
        "redis_git_sha1": "00000000",
        "redis_git_dirty": 0,
        "redis_build_id": "0",
        "sharedstate_version": __version__,
        "python_version": ".".join(map(str, sys.version_info[:3])),
        "redis_mode": "standalone",
        "os": f"{system.sysname} {system.release} {system.machine}",
        "arch_bits": 64 if sys.maxsize > 2**32 else 32,
        "monotonic_clock": "POSIX clock_gettime",
        "multiplexing_api": "none",
        "process_id": os.getpid(),
        "process_supervised": "no",
        "run_id": _identity(engine, "run"),
        "tcp_port": 0,
        "server_time_usec": engine.now_us,
        "uptime_in_seconds": uptime_s,
        "uptime_in_days": uptime_s // 86400,
        "hz": 10,
        "configured_hz": 10,
        "lru_clock": now_ms // 1000 & _LRU_CLOCK_MASK,
        "executable": sys.executable,
        "config_file": "",
        "io_threads_active": 0,
    }


def _identity(engine: Engine, purpose: str) -> str:
    """A number of 40 digits that no other engine has, and that stays. It is not drawn, so
    that asking for it changes nothing of what chance brings.
    """
    from hashlib import sha1  # here, because INFO is rare and starting is not

    facts = f"{purpose} {os.getpid()} {engine.started_at_ms} {id(engine)}"
    return sha1(facts.encode(), usedforsecurity=False).hexdigest()


def describe_clients(engine: Engine) -> Facts:
    """Who is there."""
    sessions = engine.sessions.values()
    return {
        "connected_clients": len(sessions),
        "cluster_connections": 0,
        "maxclients": 0,
        "client_recent_max_input_buffer": 0,
        "client_recent_max_output_buffer": 0,
        "blocked_clients": len(engine.waits),
        "tracking_clients": sum(session.tracking is not None for session in sessions),
        "pubsub_clients": sum(session.is_subscribed for session in sessions),
        "watching_clients": sum(bool(session.watched) for session in sessions),
        "clients_in_timeout_table": engine.waits.timed_count,
        "total_watched_keys": sum(len(db.watchers) for db in engine.databases),
        "total_blocking_keys": sum(len(db.waiters) for db in engine.databases),
    }


def describe_persistence(engine: Engine) -> Facts:
    """What is on disk: nothing, as long as the engine lives in memory alone."""
    return {
        "loading": 0,
        "async_loading": 0,
        "current_cow_peak": 0,
        "current_cow_size": 0,
        "current_cow_size_age": 0,
        "current_fork_perc": "0.00",
        "current_save_keys_processed": 0,
        "current_save_keys_total": 0,
        "rdb_changes_since_last_save": sum(db.dirty for db in engine.databases),
        "rdb_bgsave_in_progress": 0,
        "rdb_last_save_time": engine.started_at_ms // 1000,
        "rdb_last_bgsave_status": "ok",
        "rdb_last_bgsave_time_sec": -1,
        "rdb_current_bgsave_time_sec": -1,
        "rdb_saves": 0,
        "rdb_last_cow_size": 0,
        "rdb_last_load_keys_expired": 0,
        "rdb_last_load_keys_loaded": 0,
        "aof_enabled": 0,
        "aof_rewrite_in_progress": 0,
        "aof_rewrite_scheduled": 0,
        "aof_last_rewrite_time_sec": -1,
        "aof_current_rewrite_time_sec": -1,
        "aof_last_bgrewrite_status": "ok",
        "aof_rewrites": 0,
        "aof_rewrites_consecutive_failures": 0,
        "aof_last_write_status": "ok",
        "aof_last_cow_size": 0,
        "module_fork_in_progress": 0,
        "module_fork_last_cow_size": 0,
    }


def describe_replication(engine: Engine) -> Facts:
    """What it is to others: a primary without replicas."""
    return {
        "role": "master",
        "connected_slaves": 0,
        "master_failover_state": "no-failover",
        "master_replid": _identity(engine, "replication"),
        "master_replid2": _NO_REPLICATION_ID,
        "master_repl_offset": 0,
        "second_repl_offset": -1,
        "repl_backlog_active": 0,
        "repl_backlog_size": 0,
        "repl_backlog_first_byte_offset": 0,
        "repl_backlog_histlen": 0,
    }


def describe_cpu(engine: Engine) -> Facts:
    """How long the processor worked for this process."""
    import resource  # here, because starting does without it

    own = resource.getrusage(resource.RUSAGE_SELF)
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    thread = resource.getrusage(getattr(resource, "RUSAGE_THREAD", resource.RUSAGE_SELF))
    return {
        "used_cpu_sys": f"{own.ru_stime:.6f}",
        "used_cpu_user": f"{own.ru_utime:.6f}",
        "used_cpu_sys_children": f"{children.ru_stime:.6f}",
        "used_cpu_user_children": f"{children.ru_utime:.6f}",
        "used_cpu_sys_main_thread": f"{thread.ru_stime:.6f}",
        "used_cpu_user_main_thread": f"{thread.ru_utime:.6f}",
    }


def describe_modules(engine: Engine) -> Facts:
    """Which modules of Redis are loaded: there are none."""
    return {}


def describe_cluster(engine: Engine) -> Facts:
    """Whether this is a node of a cluster."""
    return {"cluster_enabled": 0}


def describe_keyspace(engine: Engine) -> Facts:
    """How many keys each database has."""
    return {
        f"db{db.index}": f"keys={len(db.data)},expires={len(db.deadlines)},"
        f"avg_ttl={_mean_ttl_ms(db, engine.now_ms)}"
        for db in engine.databases
        if db.data
    }


def _mean_ttl_ms(db: Keyspace, now_ms: int) -> int:
    from itertools import islice

    looked_at = [*islice(db.deadlines.values(), _DEADLINES_LOOKED_AT)]
    if not looked_at:
        return 0
    return max(sum(looked_at) // len(looked_at) - now_ms, 0)
