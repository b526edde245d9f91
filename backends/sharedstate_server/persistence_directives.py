"""The directives of what is kept on disk, as redis.conf has them.

One has no effect and is kept because files name it: `rdb-del-sync-files`. There are no
replicas.
"""

from __future__ import annotations

from sharedstate_memory.directive_kinds import Enum, SettingError
from sharedstate_memory.directive_lists import Snapshots
from sharedstate_memory.directives import BYTES, NATURAL, TEXT, YES_NO, Directive

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sharedstate_memory.directive_kinds import Value

_MEGABYTE = 1024 * 1024

REDIS_RULES = ((3600, 1), (300, 100), (60, 10000))
"""The rules of `save` that redis-server has if it is told none."""


def _check_file_name(value: Value) -> None:
    if "/" in value:
        raise SettingError("dbfilename can't be a path, just a filename")


def _check_log_name(value: Value) -> None:
    if "/" in value or not value:
        raise SettingError("appendfilename can't be a path, just a filename")


def _check_log_folder(value: Value) -> None:
    if "/" in value or value in ("", ".", ".."):
        raise SettingError("appenddirname can't be a path, just a dirname")


PERSISTENCE_DIRECTIVES = (
    Directive("save", Snapshots(), ()),
    Directive("appendonly", YES_NO, False),
    Directive("dbfilename", TEXT, "dump.rdb", is_protected=True, check=_check_file_name),
    Directive("rdbcompression", YES_NO, True),
    Directive("rdbchecksum", YES_NO, True, is_immutable=True),
    Directive("rdb-del-sync-files", YES_NO, False),
    Directive("rdb-save-incremental-fsync", YES_NO, True),
    Directive("stop-writes-on-bgsave-error", YES_NO, True),
    Directive("sanitize-dump-payload", Enum("no", "yes", "clients"), "no"),
    Directive(
        "appendfilename", TEXT, "appendonly.aof", is_immutable=True, check=_check_log_name
    ),
    Directive(
        "appenddirname", TEXT, "appendonlydir", is_immutable=True, check=_check_log_folder
    ),
    Directive("appendfsync", Enum("everysec", "always", "no"), "everysec"),
    Directive("no-appendfsync-on-rewrite", YES_NO, False),
    Directive("auto-aof-rewrite-percentage", NATURAL, 100),
    Directive("auto-aof-rewrite-min-size", BYTES, 64 * _MEGABYTE),
    Directive("aof-load-truncated", YES_NO, True),
    Directive("aof-use-rdb-preamble", YES_NO, True),
    Directive("aof-timestamp-enabled", YES_NO, False),
    Directive("aof-disable-auto-gc", YES_NO, False),
    Directive("aof-rewrite-incremental-fsync", YES_NO, True),
)


def saving_by_default() -> Directive:
    """The directive `save` of a server that saves unless it is told not to."""
    return Directive("save", Snapshots(), REDIS_RULES)
