"""The built-in server as a plugin: the schemes `local`, `server` and `server+unix`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sharedstate.backend import Capability
from sharedstate.config import OptionSpec
from sharedstate.hookspecs import BackendRecord, hookimpl
from sharedstate_server.durability import DEFAULT_LEVEL, LEVELS

if TYPE_CHECKING:
    from sharedstate.backend import Backend
    from sharedstate.config import Settings


def _open(settings: Settings) -> Backend:
    from sharedstate_server.backend import open_backend

    return open_backend(settings)


@hookimpl
def sharedstate_backends() -> list[BackendRecord]:
    """One server, by three ways to reach it."""
    return [
        BackendRecord(
            name="local",
            summary="A server started by connect(): private, or one for a folder.",
            schemes=("local",),
            capabilities=frozenset({Capability.PROCESSES, Capability.PERSISTENCE}),
            create=_open,
            options={
                "durability": OptionSpec(
                    "str",
                    DEFAULT_LEVEL,
                    "What a crash may take from local:///folder; any other server "
                    "keeps what its own settings say.",
                    choices=LEVELS,
                ),
                "linger": OptionSpec(
                    "duration",
                    5.0,
                    "How long a folder's server waits for the next program.",
                    minimum=0.0,
                ),
            },
        ),
        BackendRecord(
            name="server",
            summary="The built-in server, wherever it runs.",
            schemes=("server", "server+unix"),
            capabilities=frozenset(
                {Capability.PROCESSES, Capability.MACHINES, Capability.PERSISTENCE}
            ),
            create=_open,
            options={
                "db": OptionSpec(
                    "int", 0, "The database, for server+unix://path?db=1.", minimum=0
                )
            },
        ),
    ]
