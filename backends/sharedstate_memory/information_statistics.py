"""INFO's sections about what has happened so far: in all, by command, by error."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sharedstate_memory.engine import Engine
    from sharedstate_memory.information import Facts


def describe_totals(engine: Engine) -> Facts:
    """The counters of everything."""
    counts = engine.statistics
    return {
        **_describe_traffic(engine),
        "rejected_connections": counts.connections_rejected,
        "sync_full": 0,
        "sync_partial_ok": 0,
        "sync_partial_err": 0,
        **_describe_removals(engine),
        "keyspace_hits": sum(db.hits for db in engine.databases),
        "keyspace_misses": sum(db.misses for db in engine.databases),
        "pubsub_channels": engine.channels.channel_count,
        "pubsub_patterns": engine.channels.pattern_count,
        "pubsubshard_channels": engine.channels.shard_channel_count,
        "latest_fork_usec": 0,
        "total_forks": 0,
        "migrate_cached_sockets": 0,
        "slave_expires_tracked_keys": 0,
        "active_defrag_hits": 0,
        "active_defrag_misses": 0,
        "active_defrag_key_hits": 0,
        "active_defrag_key_misses": 0,
        "total_active_defrag_time": 0,
        "current_active_defrag_time": 0,
        **_describe_tracking(engine),
        "unexpected_error_replies": 0,
        "total_error_replies": sum(counts.errors.values()),
        "dump_payload_sanitizations": 0,
        "total_reads_processed": counts.reads,
        "total_writes_processed": counts.writes,
        "io_threaded_reads_processed": 0,
        "io_threaded_writes_processed": 0,
        "reply_buffer_shrinks": 0,
        "reply_buffer_expands": 0,
        **{f"acl_access_denied_{what}": counts.acl_denied[what] for what in _DENIED},
    }


_DENIED = ("auth", "cmd", "key", "channel")


def _describe_traffic(engine: Engine) -> Facts:
    counts = engine.statistics
    commands, received, sent = counts.per_second()
    return {
        "total_connections_received": counts.connections,
        "total_commands_processed": engine.processed,
        "instantaneous_ops_per_sec": round(commands),
        "total_net_input_bytes": counts.input_bytes,
        "total_net_output_bytes": counts.output_bytes,
        "total_net_repl_input_bytes": 0,
        "total_net_repl_output_bytes": 0,
        "instantaneous_input_kbps": f"{received / 1024:.2f}",
        "instantaneous_output_kbps": f"{sent / 1024:.2f}",
        "instantaneous_input_repl_kbps": "0.00",
        "instantaneous_output_repl_kbps": "0.00",
    }


def _describe_removals(engine: Engine) -> Facts:
    """Keys that went by themselves."""
    counts = engine.statistics
    return {
        "expired_keys": engine.expired_keys,
        "expired_stale_perc": f"{100 * counts.stale_share:.2f}",
        "expired_time_cap_reached_count": counts.expire_cap_reached,
        "expire_cycle_cpu_milliseconds": int(1000 * counts.expire_seconds),
        "evicted_keys": engine.evicted_keys,
        "evicted_clients": counts.clients_evicted,
        "total_eviction_exceeded_time": 0,
        "current_eviction_exceeded_time": 0,
    }


def _describe_tracking(engine: Engine) -> Facts:
    """What is remembered for client-side caching."""
    tracking = engine.tracking
    return {
        "tracking_total_keys": 0 if tracking is None else tracking.key_count,
        "tracking_total_items": 0 if tracking is None else tracking.item_count,
        "tracking_total_prefixes": 0 if tracking is None else tracking.prefix_count,
    }


def describe_commands(engine: Engine) -> Facts:
    """Of each command: calls, what they took, and how many were in vain."""
    return {
        f"cmdstat_{name.lower()}": f"calls={tally.calls},usec={int(tally.seconds * 1e6)},"
        f"usec_per_call={tally.seconds * 1e6 / (tally.calls or 1):.2f},"
        f"rejected_calls={tally.rejected},failed_calls={tally.failed}"
        for name, tally in engine.statistics.commands().items()
    }


def describe_errors(engine: Engine) -> Facts:
    """How often each code of an error was answered."""
    return {
        f"errorstat_{code.decode('latin-1')}": f"count={count}"
        for code, count in engine.statistics.errors.items()
    }


def describe_latencies(engine: Engine) -> Facts:
    """Of each command: within which time how many per cent of its calls were done."""
    if not engine.settings["latency-tracking"]:
        return {}
    wanted = engine.settings["latency-tracking-info-percentiles"]
    return {
        f"latency_percentiles_usec_{name.lower()}": ",".join(
            f"p{share:.15g}={histogram.percentile(share):.3f}" for share in wanted
        )
        for name, histogram in engine.statistics.histograms.items()
    }
