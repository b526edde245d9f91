"""Every exception that sharedstate raises, one for each thing a caller can do about it.

All of them are `SharedStateError`. Where the standard library has an exception for
the same situation, ours is also one of those, so that a program that moves over from
`queue.Queue` or `threading.Lock` keeps its `except` clauses.

    SharedStateError
    ├── ConfigError (ValueError)          the program or its configuration is wrong
    ├── PluginError                       a plugin is broken, missing or ambiguous
    ├── NotSupported (NotImplementedError) this backend cannot do that
    ├── BackendError (ConnectionError)    the store was not reached; nothing happened
    │   ├── BackendTimeout (TimeoutError) … within the time that was allowed
    │   └── IndeterminateError            sent, but unanswered: it may have happened
    ├── CommandError                      the store was reached, and refused
    │   └── OutOfMemory (MemoryError)     … because its memory limit is reached
    ├── ConsistencyError                  done, but confirmed by too few replicas
    ├── SerializationError (ValueError)   a value cannot travel and come back equal
    ├── BoundExceeded (ValueError)        a counter would leave its bounds
    ├── CounterOverflow (OverflowError)   a number would not fit the store's
    ├── NotANumber (TypeError)            what is stored there cannot be added to
    ├── LockError (RuntimeError)
    │   ├── LockNotOwned                  released by one who does not hold it
    │   │   └── PermitNotHeld (ValueError) … permits of a bounded semaphore
    │   ├── LockTimeout (TimeoutError)    not granted within the time given
    │   ├── LockLost                      the lease ended while it was held
    │   ├── UpgradeError                  a reader wants to write, and would block itself
    │   ├── DeadlockError                 a wait that could never end
    │   └── StaleToken                    a write came from a holder that others followed
    ├── BrokenBarrierError (threading's)  a barrier will not let its parties pass
    ├── RunFailed (RuntimeError)          what was to run once has failed, and stays so
    ├── NotDone (LookupError)             what is to run once has not been done yet
    ├── Conflict                          a transaction lost to others too often
    ├── QueueEmpty (queue.Empty)
    ├── QueueFull (queue.Full)
    ├── QueueShutDown                     also `queue.ShutDown` where Python has it
    └── WorkerError (RuntimeError)        workers of a pool died more than is allowed
"""

from __future__ import annotations

import queue
import sys
import threading


class SharedStateError(Exception):
    """The root of every exception of this package."""


class ConfigError(SharedStateError, ValueError):
    """An option, a URL or a file of the configuration is wrong.

    The message names what came, where it came from, and what is known.
    """


class PluginError(SharedStateError):
    """A plugin is missing, failed to load, or shares its name with another one."""


class NotSupported(SharedStateError, NotImplementedError):
    """The backend lacks a capability that the call needs."""


class BackendError(SharedStateError, ConnectionError):
    """The store could not be reached. The operation did not happen."""


class BackendTimeout(BackendError, TimeoutError):
    """The store did not answer in time an operation that changes nothing."""


class IndeterminateError(BackendError):
    """The connection broke after a change was sent and before it was answered.

    The change may or may not have happened, and was not sent again. Read the state to
    find out, or repeat the operation if doing it twice is harmless.
    """


class CommandError(SharedStateError):
    """The store understood the command and refused it.

    `code` is the first word of the refusal, as the Redis protocol has it: `ERR`,
    `WRONGTYPE`, `NOSCRIPT`, `NOAUTH`, …
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.code = message.partition(" ")[0]

    @staticmethod
    def from_reply(message: str) -> CommandError:
        """The exception for an error reply: `OutOfMemory` for `-OOM`, else this."""
        kind = OutOfMemory if message.startswith("OOM ") else CommandError
        return kind(message)


class OutOfMemory(CommandError, MemoryError):
    """The store's memory limit is reached and nothing may be evicted."""


class ConsistencyError(SharedStateError):
    """A change was made, but confirmed by fewer replicas than were asked for."""

    def __init__(self, message: str, *, wanted: int, got: int) -> None:
        super().__init__(message)
        self.wanted = wanted
        self.got = got

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild_consistency_error, (str(self), self.wanted, self.got)


def _rebuild_consistency_error(message: str, wanted: int, got: int) -> ConsistencyError:
    return ConsistencyError(message, wanted=wanted, got=got)


class SerializationError(SharedStateError, ValueError):
    """A value cannot be stored so that it comes back equal, or cannot be read back."""


class BoundExceeded(SharedStateError, ValueError):
    """The change would take a counter out of the bounds that the call gave."""


class CounterOverflow(SharedStateError, OverflowError):
    """A number would leave the range of 64 bits, or of a float. Nothing was changed."""


class NotANumber(SharedStateError, TypeError):
    """What is stored cannot be counted with: it is not a number, or not a whole one."""


class Conflict(SharedStateError):
    """A transaction was tried as often as it may be: others came between each time.

    Nothing was written. `attempts` is how often it was tried, and `structures` says over
    what.
    """

    def __init__(
        self, message: str, *, attempts: int = 0, structures: tuple[str, ...] = ()
    ) -> None:
        super().__init__(message)
        self.attempts = attempts
        self.structures = structures

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild_conflict, (str(self), self.attempts, self.structures)


def _rebuild_conflict(message: str, attempts: int, structures: tuple[str, ...]) -> Conflict:
    return Conflict(message, attempts=attempts, structures=structures)


class LockError(SharedStateError, RuntimeError):
    """A lock was used in a way that its state does not allow."""


class LockNotOwned(LockError):
    """The lock is not held by the one who wants to release or renew it."""


class PermitNotHeld(LockNotOwned, ValueError):
    """A bounded semaphore was released more often than this handle has acquired it."""


class LockTimeout(LockError, TimeoutError):
    """The lock was not granted within the time given. The message names the holder."""


class LockLost(LockError):
    """The lease ended while the lock was held: another may have held it since."""


class UpgradeError(LockError):
    """A thread that reads under a read-write lock asked to write: it would block itself."""


class DeadlockError(LockError):
    """Waiting would never end: the lock's owner waits, in the end, for this thread.

    The message names each process, lock and place. Nothing was acquired.
    """


class StaleToken(LockError):
    """A fenced write was refused, and changed nothing: a later holder has come before it.

    `lock` is the name of the lock, `token` what the write carried, `highest` the token
    that the structure has seen.
    """

    def __init__(self, message: str, *, lock: str, token: int, highest: int) -> None:
        super().__init__(message)
        self.lock = lock
        self.token = token
        self.highest = highest

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild_stale_token, (str(self), self.lock, self.token, self.highest)


def _rebuild_stale_token(message: str, lock: str, token: int, highest: int) -> StaleToken:
    return StaleToken(message, lock=lock, token=token, highest=highest)


class BrokenBarrierError(SharedStateError, threading.BrokenBarrierError):
    """The barrier is broken, or was broken or reset while this party waited."""


class RunFailed(SharedStateError, RuntimeError):
    """The function of a `Once` raised, here or elsewhere, and its failure is kept.

    `error_type` is the qualified name of what it raised, and `reason` its message.
    """

    def __init__(self, message: str, *, error_type: str = "", reason: str = "") -> None:
        super().__init__(message)
        self.error_type = error_type
        self.reason = reason

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild_run_failed, (str(self), self.error_type, self.reason)


def _rebuild_run_failed(message: str, error_type: str, reason: str) -> RunFailed:
    return RunFailed(message, error_type=error_type, reason=reason)


class NotDone(SharedStateError, LookupError):
    """A `Once` has no result yet, or none any more."""


class QueueEmpty(SharedStateError, queue.Empty):
    """Nothing to get, at once or within the time given."""


class QueueFull(SharedStateError, queue.Full):
    """No room to put, at once or within the time given."""


if sys.version_info >= (3, 13):
    from queue import ShutDown as _StandardShutDown
else:

    class _StandardShutDown(Exception):
        """Stands in for `queue.ShutDown`, which came with Python 3.13."""


class QueueShutDown(SharedStateError, _StandardShutDown):
    """The queue was shut down: no more puts, and nothing left to get."""


class WorkerError(SharedStateError, RuntimeError):
    """Workers of a pool ended in a way that the pool was not allowed to mend."""
