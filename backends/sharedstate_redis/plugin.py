"""What this package provides: the schemes of a single Redis, and its options.

The record is all that a process pays for until a URL asks for this backend: redis-py
is imported by `create`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sharedstate.backend import Capability
from sharedstate.config import OptionSpec
from sharedstate.hookspecs import BackendRecord, hookimpl

if TYPE_CHECKING:
    from sharedstate.backend import Backend
    from sharedstate.config import Settings

_OPTIONS = {
    "database": OptionSpec(
        "int", None, "The database's number, where the path does not say it.", minimum=0
    ),
    "ca_file": OptionSpec(
        "path", None, "Certificates that may sign the server's (rediss)."
    ),
    "cert_file": OptionSpec("path", None, "This client's own certificate (rediss)."),
    "key_file": OptionSpec("path", None, "The key of cert_file (rediss)."),
    "check_hostname": OptionSpec(
        "bool", True, "Whether the certificate must bear the host's name (rediss)."
    ),
}


@hookimpl
def sharedstate_backends() -> list[BackendRecord]:
    """Redis, Valkey and other servers of the protocol, through redis-py."""
    return [
        BackendRecord(
            name="redis",
            summary="A Redis or Valkey server, through redis-py.",
            schemes=("redis", "rediss", "redis+unix"),
            capabilities=frozenset(
                {
                    Capability.PROCESSES,
                    Capability.MACHINES,
                    Capability.REPLICATION,
                    Capability.PERSISTENCE,
                }
            ),
            create=_create,
            options=_OPTIONS,
            requires={"redis": "redis"},
        )
    ]


def _create(settings: Settings) -> Backend:
    from .backend import RedisBackend
    from .opening import opener

    return RedisBackend(settings, opener(settings))
