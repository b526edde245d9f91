"""Directives that are kept and shown, and change nothing: those of Redis's own insides.

Configuration files and programs name them, so they must be known. One that asks for what
this server does not do (a replica, a cluster) refuses the value that would ask for it,
and takes the others.
"""

from __future__ import annotations

from sharedstate_memory.directive_kinds import (
    LONG_MAX,
    UNSIGNED_LONG_MAX,
    Enum,
    Integer,
    Memory,
    SettingError,
)
from sharedstate_memory.directive_lists import Choices, Words
from sharedstate_memory.directives import (
    LONG,
    NATURAL,
    POSITIVE,
    TEXT,
    YES_NO,
    Directive,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from sharedstate_memory.directive_kinds import Value

_MEGABYTE = 1024 * 1024
_PORT = Integer(0, 65535)


def _refuse(reason: str) -> Callable[[Value], None]:
    def check(value: Value) -> None:
        if value:
            raise SettingError(reason)

    return check


_NO_REPLICATION = _refuse("this server has no replicas: replication is not there")
_NO_CLUSTER = _refuse("this server is none of a cluster: cluster mode is not there")
_NO_DEFRAGMENTATION = _refuse("memory is Python's to arrange: there is no defragmentation")


def _check_host_name(value: Value) -> None:
    if not all(one.isascii() and (one.isalnum() or one in "-.") for one in value):
        raise SettingError(
            "Hostnames may only contain alphanumeric characters, hyphens or dots"
        )


def _check_primary(value: Value) -> None:
    words = tuple(word.lower() for word in value)
    if words not in ((), ("no", "one")):
        _NO_REPLICATION(words)


def _check_shutdown(value: Value) -> None:
    words = set(value.split())
    if {"save", "nosave"} <= words:
        raise SettingError("shutdown options SAVE and NOSAVE can't be used simultaneously")


_SHUTDOWN = Choices("default", "save", "nosave", "now", "force")

_REPLICATION = (
    Directive("replicaof", Words(), (), "slaveof", is_immutable=True, check=_check_primary),
    Directive("masterauth", TEXT, ""),
    Directive("masteruser", TEXT, ""),
    Directive(
        "min-replicas-to-write", NATURAL, 0, "min-slaves-to-write", check=_NO_REPLICATION
    ),
    Directive("min-replicas-max-lag", NATURAL, 10, "min-slaves-max-lag"),
    Directive("replica-serve-stale-data", YES_NO, True, "slave-serve-stale-data"),
    Directive("replica-read-only", YES_NO, True, "slave-read-only"),
    Directive("replica-lazy-flush", YES_NO, False, "slave-lazy-flush"),
    Directive("replica-ignore-maxmemory", YES_NO, True, "slave-ignore-maxmemory"),
    Directive("replica-ignore-disk-write-errors", YES_NO, False),
    Directive("replica-announced", YES_NO, True),
    Directive("replica-announce-ip", TEXT, "", "slave-announce-ip"),
    Directive("replica-announce-port", _PORT, 0, "slave-announce-port"),
    Directive("replica-priority", NATURAL, 100, "slave-priority"),
    Directive("repl-backlog-size", Memory(1), _MEGABYTE),
    Directive("repl-backlog-ttl", LONG, 3600),
    Directive("repl-disable-tcp-nodelay", YES_NO, False),
    Directive("repl-diskless-load", Enum("disabled", "on-empty-db", "swapdb"), "disabled"),
    Directive("repl-diskless-sync", YES_NO, True),
    Directive("repl-diskless-sync-delay", NATURAL, 5),
    Directive("repl-diskless-sync-max-replicas", NATURAL, 0),
    Directive("repl-ping-replica-period", POSITIVE, 10, "repl-ping-slave-period"),
    Directive("repl-timeout", POSITIVE, 60),
    Directive(
        "propagation-error-behavior",
        Enum("ignore", "panic", "panic-on-replicas"),
        "ignore",
    ),
)

_CLUSTER = (
    Directive("cluster-enabled", YES_NO, False, is_immutable=True, check=_NO_CLUSTER),
    Directive("cluster-config-file", TEXT, "nodes.conf", is_immutable=True),
    Directive("cluster-port", _PORT, 0, is_immutable=True),
    Directive("cluster-node-timeout", LONG, 15000),
    Directive("cluster-migration-barrier", NATURAL, 1),
    Directive("cluster-allow-reads-when-down", YES_NO, False),
    Directive("cluster-allow-pubsubshard-when-down", YES_NO, True),
    Directive("cluster-allow-replica-migration", YES_NO, True),
    Directive("cluster-require-full-coverage", YES_NO, True),
    Directive("cluster-replica-no-failover", YES_NO, False, "cluster-slave-no-failover"),
    Directive(
        "cluster-replica-validity-factor", NATURAL, 10, "cluster-slave-validity-factor"
    ),
    Directive("cluster-link-sendbuf-limit", Memory(0, UNSIGNED_LONG_MAX), 0),
    Directive("cluster-announce-ip", TEXT, ""),
    Directive("cluster-announce-hostname", TEXT, "", check=_check_host_name),
    Directive("cluster-announce-port", _PORT, 0),
    Directive("cluster-announce-tls-port", _PORT, 0),
    Directive("cluster-announce-bus-port", _PORT, 0),
    Directive(
        "cluster-preferred-endpoint-type", Enum("ip", "hostname", "unknown-endpoint"), "ip"
    ),
)

_INSIDES = (
    Directive("bind-source-addr", TEXT, ""),
    Directive("socket-mark-id", Integer(0, 2**32 - 1), 0, is_immutable=True),
    Directive("io-threads", Integer(1, 128), 1, is_immutable=True),
    Directive("io-threads-do-reads", YES_NO, False, is_immutable=True),
    Directive("server_cpulist", TEXT, "", is_immutable=True),
    Directive("bio_cpulist", TEXT, "", is_immutable=True),
    Directive("bgsave_cpulist", TEXT, "", is_immutable=True),
    Directive("aof_rewrite_cpulist", TEXT, "", is_immutable=True),
    Directive("set-proc-title", YES_NO, True, is_immutable=True),
    Directive("proc-title-template", TEXT, "{title} {listen-addr} {server-mode}"),
    Directive("shutdown-on-sigint", _SHUTDOWN, "default", check=_check_shutdown),
    Directive("shutdown-on-sigterm", _SHUTDOWN, "default", check=_check_shutdown),
    Directive("shutdown-timeout", NATURAL, 10),
    Directive("always-show-logo", YES_NO, False, is_immutable=True),
    Directive("disable-thp", YES_NO, True, is_immutable=True),
    Directive("jemalloc-bg-thread", YES_NO, True),
    Directive("ignore-warnings", TEXT, ""),
    Directive("crash-memcheck-enabled", YES_NO, True),
    Directive("enable-module-command", Enum("no", "yes", "local"), "no", is_immutable=True),
    Directive("activedefrag", YES_NO, False, check=_NO_DEFRAGMENTATION),
    Directive("active-defrag-cycle-min", Integer(1, 99), 1),
    Directive("active-defrag-cycle-max", Integer(1, 99), 25),
    Directive("active-defrag-threshold-lower", Integer(0, 1000), 10),
    Directive("active-defrag-threshold-upper", Integer(0, 1000), 100),
    Directive("active-defrag-ignore-bytes", Memory(1), 100 * _MEGABYTE),
    Directive("active-defrag-max-scan-fields", Integer(1, LONG_MAX), 1000),
    Directive("tls-cluster", YES_NO, False, check=_NO_CLUSTER),
    Directive("tls-replication", YES_NO, False, check=_NO_REPLICATION),
    Directive("tls-client-cert-file", TEXT, ""),
    Directive("tls-client-key-file", TEXT, ""),
    Directive("tls-client-key-file-pass", TEXT, ""),
    Directive("tls-session-cache-size", NATURAL, 20480),
    Directive("tls-session-cache-timeout", NATURAL, 300),
)

KEPT_DIRECTIVES = (*_REPLICATION, *_CLUSTER, *_INSIDES)
