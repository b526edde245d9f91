"""What a lock is made with: its options, checked, and the time-outs of its calls."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from sharedstate.backend import Capability
from sharedstate.errors import ConfigError
from sharedstate.leases import LeaseTerms
from sharedstate.locking import LockTarget
from sharedstate.waiting import to_seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import timedelta

    from sharedstate.locking import LockStrategy
    from sharedstate.structures.base import StructureContext
    from sharedstate.structures.lock import Lock

MIN_TTL, MAX_TTL = 0.1, 365 * 24 * 3600.0
"""The shortest lease: three tries to renew it have to fit. The longest: a mistake."""

_FOREVER = float("inf")


def lease_terms(
    lock: Lock, context: StructureContext, options: dict[str, Any]
) -> LeaseTerms:
    """Check the options of a lock. What is left of them is the strategy's."""
    record = context.state.lock_record(options.pop("strategy", None))
    return terms_by(lock, context, options, record.create)


def terms_by(
    lock: Any,
    context: StructureContext,
    options: dict[str, Any],
    make_strategy: Callable[[LockTarget, Mapping[str, object]], LockStrategy],
) -> LeaseTerms:
    """The same for a strategy that is made with what is left of the options."""
    ttl = options.pop("ttl", 30.0)
    renews, on_lost = options.pop("renew", True), options.pop("on_lost", None)
    options.pop("serializer", None)
    seconds = to_seconds(ttl)
    if not MIN_TTL <= seconds <= MAX_TTL:
        raise ConfigError(
            f"expected a ttl from {MIN_TTL:g} s to {MAX_TTL:g} s for the "
            f"{context.kind} {context.name!r}, got {ttl!r}"
        )
    if on_lost is not None and not callable(on_lost):
        raise ConfigError(f"expected on_lost to be callable, got {on_lost!r}")
    finds_deadlocks = _finds_deadlocks(context, options.pop("find_deadlocks", None))
    target = LockTarget(
        context.backend,
        context.name,
        context.prefix,
        round(seconds * 1000),
        waits_key=context.state.common_key("waits") if finds_deadlocks else None,
    )
    return LeaseTerms(
        target,
        make_strategy(target, options),
        renews=bool(renews),
        on_lost=None if on_lost is None else _call_back(lock, on_lost),
    )


def _finds_deadlocks(context: StructureContext, wanted: object) -> bool:
    """Whether deadlocks are looked for where the store knows who is alive: by default."""
    if wanted and Capability.SESSIONS not in context.backend.capabilities:
        raise ConfigError(
            f"expected a backend with the capability 'sessions' for the lock "
            f"{context.name!r} with find_deadlocks=True (local:// or server://), got "
            f"{context.state.describe()}"
        )
    return wanted is None or bool(wanted)


def _call_back(lock: Any, on_lost: Callable[[Any], object]) -> Callable[[], object]:
    """Call `on_lost` with the handle, without keeping the handle alive for it."""
    reference = weakref.ref(lock)

    def call() -> None:
        handle = reference()
        if handle is not None:
            on_lost(handle)

    return call


def check_timeout(blocking: bool, timeout: float | timedelta | None) -> float:
    """The seconds to wait, with the checks of `threading.Lock.acquire`."""
    if timeout is None:
        timeout = -1
    seconds = to_seconds(timeout)
    if not blocking:
        if seconds != -1:
            raise ValueError("can't specify a timeout for a non-blocking call")
        return 0.0
    if seconds == -1:
        return _FOREVER
    if not seconds >= 0:
        raise ValueError(f"timeout value must be a non-negative number, got {timeout!r}")
    return seconds
