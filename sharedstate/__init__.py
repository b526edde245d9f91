"""Share state between processes: maps, counters, queues and locks over any backend.

    import sharedstate

    state = sharedstate.connect()          # local://: nothing to start, nothing to set up
    hits = state.counter("hits")
    hits.add(1)

The names below are imported when they are first used (PEP 562), so that a program pays
at its start only for what it needs.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sharedstate.backend import Backend, Capability
    from sharedstate.config import Settings
    from sharedstate.connecting import connect
    from sharedstate.errors import (
        BackendError,
        BackendTimeout,
        BoundExceeded,
        CommandError,
        ConfigError,
        ConsistencyError,
        CounterOverflow,
        IndeterminateError,
        LockError,
        LockLost,
        LockNotOwned,
        LockTimeout,
        NotANumber,
        NotSupported,
        OutOfMemory,
        PluginError,
        QueueEmpty,
        QueueFull,
        QueueShutDown,
        SerializationError,
        SharedStateError,
        WorkerError,
    )
    from sharedstate.pool import WorkerExit, WorkerPool
    from sharedstate.state import State
    from sharedstate.structures.counter import Counter, FloatCounter
    from sharedstate.structures.lock import Lock
    from sharedstate.structures.map import ABSENT, Map
    from sharedstate.structures.queue import Queue

__version__ = "0.1.0"

__all__ = [
    "ABSENT",
    "Backend",
    "BackendError",
    "BackendTimeout",
    "BoundExceeded",
    "Capability",
    "CommandError",
    "ConfigError",
    "ConsistencyError",
    "Counter",
    "CounterOverflow",
    "FloatCounter",
    "IndeterminateError",
    "Lock",
    "LockError",
    "LockLost",
    "LockNotOwned",
    "LockTimeout",
    "Map",
    "NotANumber",
    "NotSupported",
    "OutOfMemory",
    "PluginError",
    "Queue",
    "QueueEmpty",
    "QueueFull",
    "QueueShutDown",
    "SerializationError",
    "Settings",
    "SharedStateError",
    "State",
    "WorkerError",
    "WorkerExit",
    "WorkerPool",
    "__version__",
    "connect",
]

# Where a public name lives; every other one is an exception.
_HOMES = {
    "ABSENT": "sharedstate.structures.map",
    "Backend": "sharedstate.backend",
    "Capability": "sharedstate.backend",
    "Counter": "sharedstate.structures.counter",
    "FloatCounter": "sharedstate.structures.counter",
    "Lock": "sharedstate.structures.lock",
    "Map": "sharedstate.structures.map",
    "Queue": "sharedstate.structures.queue",
    "Settings": "sharedstate.config",
    "State": "sharedstate.state",
    "WorkerExit": "sharedstate.pool",
    "WorkerPool": "sharedstate.pool",
    "connect": "sharedstate.connecting",
}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value: object = getattr(import_module(_HOMES.get(name, "sharedstate.errors")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
