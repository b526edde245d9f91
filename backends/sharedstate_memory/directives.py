"""The engine's directives: names, kinds and defaults, as redis.conf of Redis 7.0 has them.

What is listed here is what an engine has without sockets and processes. Some have no
effect in it: the limits of encodings, which it does not have, are kept and shown because
programs set them and read them back; those of persistence can be read, and refuse what
would need a file.
"""

from __future__ import annotations

from sharedstate_memory.directive_kinds import (
    INT_MAX,
    LONG_MAX,
    UNSIGNED_LONG_MAX,
    Boolean,
    Enum,
    Events,
    Integer,
    Kind,
    Memory,
    MemoryOrPercent,
    SettingError,
)
from sharedstate_memory.directive_lists import Percentiles, Snapshots

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from sharedstate_memory.directive_kinds import Value


def _accept(value: Value) -> None:
    """Most directives take whatever their kind takes."""


def _refuse_files(value: Value) -> None:
    """Nothing is kept on disk: say so, rather than let somebody rely on it."""
    if value:
        raise SettingError("this server keeps nothing on disk: persistence is not there")


class Directive:
    """A line of the table."""

    __slots__ = (
        "check",
        "default",
        "is_immutable",
        "is_protected",
        "kind",
        "name",
        "names",
    )

    def __init__(
        self,
        name: str,
        kind: Kind,
        default: Value,
        *aliases: str,
        is_immutable: bool = False,
        is_protected: bool = False,
        check: Callable[[Value], None] = _accept,
    ) -> None:
        self.name = name
        self.names = (name, *aliases)
        self.kind = kind
        self.default = default
        self.is_immutable = is_immutable
        self.is_protected = is_protected
        self.check = check
        """Raises `SettingError` for a value that the kind allows, and we do not."""


POLICIES = (
    "volatile-lru",
    "volatile-lfu",
    "volatile-random",
    "volatile-ttl",
    "allkeys-lru",
    "allkeys-lfu",
    "allkeys-random",
    "noeviction",
)

TEXT = Kind()
YES_NO = Boolean()
NATURAL = Integer()
POSITIVE = Integer(1)
LONG = Integer(0, LONG_MAX)
BYTES = Memory()

DIRECTIVES = (
    Directive("databases", POSITIVE, 16, is_immutable=True),
    # Memory and eviction.
    Directive("maxmemory", Memory(0, UNSIGNED_LONG_MAX), 0),
    Directive("maxmemory-clients", MemoryOrPercent(), 0),
    Directive("maxmemory-policy", Enum(*POLICIES), "noeviction"),
    Directive("maxmemory-samples", POSITIVE, 5),
    Directive("maxmemory-eviction-tenacity", Integer(0, 100), 10),
    Directive("lfu-log-factor", NATURAL, 10),
    Directive("lfu-decay-time", NATURAL, 1),
    Directive("lazyfree-lazy-eviction", YES_NO, False),
    Directive("lazyfree-lazy-expire", YES_NO, False),
    Directive("lazyfree-lazy-server-del", YES_NO, False),
    Directive("lazyfree-lazy-user-del", YES_NO, False),
    Directive("lazyfree-lazy-user-flush", YES_NO, False),
    Directive("active-expire-effort", Integer(1, 10), 1),
    Directive("tracking-table-max-keys", LONG, 1_000_000),
    Directive("proto-max-bulk-len", Memory(1024 * 1024), 512 * 1024 * 1024),
    # What is told of it.
    Directive("notify-keyspace-events", Events(), ""),
    Directive("slowlog-log-slower-than", Integer(-1, LONG_MAX), 10_000),
    Directive("slowlog-max-len", LONG, 128),
    Directive("latency-monitor-threshold", LONG, 0),
    Directive("latency-tracking", YES_NO, True),
    Directive("latency-tracking-info-percentiles", Percentiles(), (50.0, 99.0, 99.9)),
    # Persistence.
    Directive("save", Snapshots(), (), check=_refuse_files),
    Directive("appendonly", YES_NO, False, check=_refuse_files),
    # Users.
    Directive("requirepass", TEXT, ""),
    Directive("aclfile", TEXT, "", is_immutable=True),
    Directive("acllog-max-len", LONG, 128),
    Directive("acl-pubsub-default", Enum("allchannels", "resetchannels"), "resetchannels"),
    Directive("enable-debug-command", Enum("no", "yes", "local"), "no", is_immutable=True),
    # Scripts.
    Directive("busy-reply-threshold", LONG, 5000, "lua-time-limit"),
    # Encodings.
    Directive("activerehashing", YES_NO, True),
    Directive("hash-max-listpack-entries", LONG, 512, "hash-max-ziplist-entries"),
    Directive("hash-max-listpack-value", BYTES, 64, "hash-max-ziplist-value"),
    Directive("list-max-listpack-size", Integer(-INT_MAX - 1), -2, "list-max-ziplist-size"),
    Directive("list-compress-depth", NATURAL, 0),
    Directive("set-max-intset-entries", LONG, 512),
    Directive("zset-max-listpack-entries", LONG, 128, "zset-max-ziplist-entries"),
    Directive("zset-max-listpack-value", BYTES, 64, "zset-max-ziplist-value"),
    Directive("hll-sparse-max-bytes", BYTES, 3000),
    Directive("stream-node-max-bytes", BYTES, 4096),
    Directive("stream-node-max-entries", LONG, 100),
)
