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
        BrokenBarrierError,
        CommandError,
        ConfigError,
        Conflict,
        ConsistencyError,
        CounterOverflow,
        DeadlockError,
        IndeterminateError,
        LockError,
        LockLost,
        LockNotOwned,
        LockTimeout,
        NotANumber,
        NotDone,
        NotSupported,
        OutOfMemory,
        PermitNotHeld,
        PluginError,
        QueueEmpty,
        QueueFull,
        QueueShutDown,
        RunFailed,
        SerializationError,
        SharedStateError,
        StaleToken,
        UpgradeError,
        WorkerError,
    )
    from sharedstate.pool import WorkerExit, WorkerPool
    from sharedstate.state import State
    from sharedstate.structures.barrier import Barrier
    from sharedstate.structures.condition import Condition
    from sharedstate.structures.counter import Counter, FloatCounter
    from sharedstate.structures.election import LeaderElection
    from sharedstate.structures.event import Event
    from sharedstate.structures.latch import CountDownLatch
    from sharedstate.structures.lock import Lock
    from sharedstate.structures.map import ABSENT, Map
    from sharedstate.structures.once import Once
    from sharedstate.structures.queue import Queue
    from sharedstate.structures.rate_limiter import RateLimiter
    from sharedstate.structures.semaphore import BoundedSemaphore, Semaphore

__version__ = "0.1.0"

__all__ = [
    "ABSENT",
    "Backend",
    "BackendError",
    "BackendTimeout",
    "Barrier",
    "BoundExceeded",
    "BoundedSemaphore",
    "BrokenBarrierError",
    "Capability",
    "CommandError",
    "Condition",
    "ConfigError",
    "Conflict",
    "ConsistencyError",
    "CountDownLatch",
    "Counter",
    "CounterOverflow",
    "DeadlockError",
    "Event",
    "FloatCounter",
    "IndeterminateError",
    "LeaderElection",
    "Lock",
    "LockError",
    "LockLost",
    "LockNotOwned",
    "LockTimeout",
    "Map",
    "NotANumber",
    "NotDone",
    "NotSupported",
    "Once",
    "OutOfMemory",
    "PermitNotHeld",
    "PluginError",
    "Queue",
    "QueueEmpty",
    "QueueFull",
    "QueueShutDown",
    "RateLimiter",
    "RunFailed",
    "Semaphore",
    "SerializationError",
    "Settings",
    "SharedStateError",
    "StaleToken",
    "State",
    "UpgradeError",
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
    "Barrier": "sharedstate.structures.barrier",
    "BoundedSemaphore": "sharedstate.structures.semaphore",
    "Capability": "sharedstate.backend",
    "Condition": "sharedstate.structures.condition",
    "CountDownLatch": "sharedstate.structures.latch",
    "Counter": "sharedstate.structures.counter",
    "Event": "sharedstate.structures.event",
    "FloatCounter": "sharedstate.structures.counter",
    "LeaderElection": "sharedstate.structures.election",
    "Lock": "sharedstate.structures.lock",
    "Map": "sharedstate.structures.map",
    "Once": "sharedstate.structures.once",
    "Queue": "sharedstate.structures.queue",
    "RateLimiter": "sharedstate.structures.rate_limiter",
    "Semaphore": "sharedstate.structures.semaphore",
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
