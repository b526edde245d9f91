"""What this package provides: `memory://`, the engine in the calling process.

The record is all that a process pays for until a URL asks for this backend.
"""

from __future__ import annotations

from sharedstate.errors import ConfigError
from sharedstate.hookspecs import BackendRecord, hookimpl

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sharedstate.backend import Backend
    from sharedstate.config import Settings


@hookimpl
def sharedstate_backends() -> list[BackendRecord]:
    """The engine, called directly."""
    return [
        BackendRecord(
            name="memory",
            summary="The data of one process: its threads share it, nobody else can.",
            schemes=("memory",),
            capabilities=frozenset(),
            create=_create,
        )
    ]


def _create(settings: Settings) -> Backend:
    from sharedstate_memory.backend import MemoryBackend

    if settings.address.path not in ("", "/"):
        raise ConfigError(
            f"expected memory:// or memory://name, got {settings}: it has no paths"
        )
    return MemoryBackend(settings)
