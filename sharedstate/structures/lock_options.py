"""What a lock is made with: its options, checked, and the time-outs of its calls."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from sharedstate.errors import ConfigError
from sharedstate.leases import LeaseTerms
from sharedstate.locking import LockTarget
from sharedstate.waiting import to_seconds

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta

    from sharedstate.structures.base import StructureContext
    from sharedstate.structures.lock import Lock

MIN_TTL, MAX_TTL = 0.1, 365 * 24 * 3600.0
"""The shortest lease: three tries to renew it have to fit. The longest: a mistake."""

_FOREVER = float("inf")


def lease_terms(
    lock: Lock, context: StructureContext, options: dict[str, Any]
) -> LeaseTerms:
    """Check the options of a lock. What is left of them is the strategy's."""
    strategy, ttl = options.pop("strategy", None), options.pop("ttl", 30.0)
    renews, on_lost = options.pop("renew", True), options.pop("on_lost", None)
    options.pop("serializer", None)
    seconds = to_seconds(ttl)
    if not MIN_TTL <= seconds <= MAX_TTL:
        raise ConfigError(
            f"expected a ttl from {MIN_TTL:g} s to {MAX_TTL:g} s for the lock "
            f"{context.name!r}, got {ttl!r}"
        )
    if on_lost is not None and not callable(on_lost):
        raise ConfigError(f"expected on_lost to be callable, got {on_lost!r}")
    target = LockTarget(
        context.backend, context.name, context.prefix, round(seconds * 1000)
    )
    return LeaseTerms(
        context.name,
        context.state.lock_record(strategy).create(target, options),
        context.backend,
        ttl=seconds,
        renews=bool(renews),
        on_lost=None if on_lost is None else _call_back(lock, on_lost),
    )


def _call_back(lock: Lock, on_lost: Callable[[Lock], object]) -> Callable[[], object]:
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
