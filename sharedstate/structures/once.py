"""Once: a function that runs once for a name, and whose result all get.

    model = state.once("load").run(load_model, path)

    @state.once("migrate")
    def migrate() -> int: …

Who comes first runs it, on a lease that is renewed; the others wait, and are all called
when the result is there. If the function raises, that is raised where it ran, and the next
one who waits runs it. If the process dies, the next one does as well: at once where the
backend has sessions, and otherwise when the lease ends.

A run can be overtaken: its process was stopped for longer than the lease, or cut off, and
another one began. It then gets `LockLost`, and its result is dropped, by the number of its
run and in the script that would have written it. What it did besides has been done twice:
no lock prevents that. `once.lua` is the model.
"""

from __future__ import annotations

import json
from functools import partial, wraps
from threading import get_ident
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from sharedstate.errors import (
    BackendError,
    ConfigError,
    DeadlockError,
    LockLost,
    LockTimeout,
    NotDone,
    RunFailed,
    SharedStateError,
)
from sharedstate.news import time_to_wait
from sharedstate.structures.acquiring import acquire_lease
from sharedstate.structures.base import Structure
from sharedstate.structures.lock_options import MAX_TTL, terms_by
from sharedstate.structures.once_strategy import Done, OnceStrategy
from sharedstate.waiting import to_seconds
from sharedstate.watchdog import WATCHDOG

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import timedelta

    from sharedstate.leases import Lease
    from sharedstate.locking import LockInfo, LockTarget
    from sharedstate.structures.base import StructureContext

P = ParamSpec("P")
R = TypeVar("R")

_VALUE, _ERROR = b"v", b"e"


class Once(Structure):
    """What is run once for a name, by one process, and has a result for all.

    The result has to be a value of the serializer. It is kept for ever, or for
    `result_ttl`. With `keep_failures`, an exception is a result too: the others get
    `RunFailed`.
    """

    def __init__(self, context: StructureContext, options: Mapping[str, object]) -> None:
        super().__init__(context, options)
        given: dict[str, Any] = {**options, "find_deadlocks": False}
        self._kept_ms = _check_kept(given.pop("result_ttl", None))
        self._keeps_failures = bool(given.pop("keep_failures", False))
        self._result = context.key("result")

        def make(target: LockTarget, others: Mapping[str, object]) -> OnceStrategy:
            if others:
                raise ConfigError(
                    f"a once has no option {', '.join(others)}; it has ttl, result_ttl, "
                    f"keep_failures and serializer"
                )
            self._strategy = OnceStrategy(target)
            return self._strategy

        self._terms = terms_by(self, context, given, make)

    def run(
        self,
        function: Callable[..., R],
        *args: object,
        timeout: float | timedelta | None = None,
    ) -> R:
        """The result of `function(*args)`, run here now, or by another before.

        While another one runs it, waits for up to `timeout` seconds (None: for ever), and
        then raises `LockTimeout`. Raises what the function raises here; `LockLost` if this
        run was overtaken by another; `RunFailed` if a failure was kept;
        `SerializationError` for a result that cannot be shared, which then counts as a
        failure; `DeadlockError` if the function itself runs the same name.

        One round trip if there is a result, three to run, three to wait.
        """
        found = self._find()
        if found is not None:
            return self._read(found)  # type: ignore[no-any-return]
        self._check_not_running()
        leases: list[Lease] = []
        seconds = time_to_wait(timeout).remaining()
        if not acquire_lease(self._terms, seconds, leases.append, leases.remove):
            raise LockTimeout(self._why_not(timeout))
        (lease,) = leases
        if isinstance(lease.grant, Done):
            WATCHDOG.claim(lease)
            return self._read(lease.grant.result)  # type: ignore[no-any-return]
        try:
            result = function(*args)
            stored = self._context.serializer.dumps(result)
        except BaseException as error:
            self._fail(lease, error)
            raise
        if not self._finish(lease, _VALUE + stored):
            raise LockLost(
                f"the run of {self.name!r} was overtaken: its lease ended before it did, "
                f"and another one ran it. What this run returned was dropped; result() has "
                f"what counts"
            )
        return result

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """As a decorator: each call is `run(function, …)`. Whoever is first decides the
        arguments.
        """

        @wraps(function)
        def run_once(*args: P.args, **kwargs: P.kwargs) -> R:
            return self.run(partial(function, *args, **kwargs))

        return run_once

    def done(self) -> bool:
        """Whether there is a result, or a kept failure. One round trip."""
        return self._find() is not None

    def result(self) -> Any:
        """The result, without running or waiting. One round trip.

        Raises `NotDone` if there is none, `RunFailed` if a failure was kept.
        """
        found = self._find()
        if found is None:
            raise NotDone(
                f"{self.name!r} has no result: nobody has finished it, or it was reset, or "
                f"kept for a time only. run() runs it, or waits"
            )
        return self._read(found)

    def reset(self) -> bool:
        """Forget the result, so that it is run again; whether there was one. One round
        trip.

        A run that goes on at this moment is not disturbed: its result will count.
        """
        deleted: int = self._context.backend.execute(("DEL", self._result))
        return deleted == 1

    def info(self) -> LockInfo:
        """Who runs it now, since when, and who waits, in order. One round trip."""
        return self._strategy.inspect()

    def _find(self) -> bytes | None:
        found: bytes | None = self._context.backend.execute(("GET", self._result))
        return found

    def _read(self, found: bytes) -> Any:
        """The value of what is stored: the number of the run, the kind, and the bytes."""
        outcome = found[found.index(b" ") + 1 :]
        kind, data = outcome[:1], outcome[1:]
        if kind == _VALUE:
            return self._context.serializer.loads(data)
        error_type, reason = json.loads(data)
        raise RunFailed(
            f"the run of {self.name!r} failed with {error_type}: {reason}. That is kept; "
            f"reset() lets it be run again",
            error_type=error_type,
            reason=reason,
        )

    def _finish(self, lease: Lease, outcome: bytes) -> bool:
        """Write the outcome. The lease may have ended: what counts is that nobody
        followed."""
        WATCHDOG.claim(lease)
        try:
            return self._strategy.finish(lease.grant, outcome, self._kept_ms)
        except BaseException:
            WATCHDOG.let_run_out(lease)
            raise

    def _fail(self, lease: Lease, error: BaseException) -> None:
        """The function raised, which is what the caller hears. Let the next one run it."""
        try:
            if self._keeps_failures and isinstance(error, Exception):
                kind = type(error)
                described = (f"{kind.__module__}.{kind.__qualname__}", str(error))
                self._finish(lease, _ERROR + json.dumps(described).encode())
            elif WATCHDOG.claim(lease):
                self._release(lease)
        except SharedStateError as ours:
            error.add_note(f"Moreover, the next one cannot run it at once: {ours}")

    def _release(self, lease: Lease) -> None:
        try:
            self._strategy.release(lease.grant)
        except BackendError:
            WATCHDOG.let_run_out(lease)
            raise

    def _check_not_running(self) -> None:
        """A function that runs its own name would wait for itself."""
        terms, thread = self._terms, get_ident()
        for lease in list(WATCHDOG.held):
            theirs = lease.terms
            if (
                lease.thread == thread
                and theirs.place == terms.place
                and theirs.backend is terms.backend
            ):
                raise DeadlockError(
                    f"the function that runs {self.name!r} on this thread asked to run "
                    f"{self.name!r}: it would wait for itself"
                )

    def _why_not(self, timeout: object) -> str:
        who = "; ".join(
            f"pid {holder.pid} on {holder.host}, thread {holder.thread!r}"
            for holder in self.info().holders
        )
        return (
            f"{self.name!r} had no result within {timeout} s; it is run by "
            f"{who or 'nobody any more: try again'}"
        )


def _check_kept(result_ttl: Any) -> int | None:
    if result_ttl is None:
        return None
    seconds = to_seconds(result_ttl)
    if not 0.001 <= seconds <= MAX_TTL:
        raise ConfigError(
            f"expected a result_ttl from 0.001 s to {MAX_TTL:g} s, or None for ever, got "
            f"{result_ttl!r}"
        )
    return round(seconds * 1000)
