"""The lock strategies that come with sharedstate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sharedstate.errors import ConfigError
from sharedstate.hookspecs import LockRecord, hookimpl

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sharedstate.locking import LockStrategy, LockTarget


@hookimpl
def sharedstate_lock_strategies() -> list[LockRecord]:
    """The built-in strategies; the token lock is the default."""
    return [
        LockRecord("token", "One holder; whoever asks while it is free", _token),
        LockRecord("fair", "One holder; first come, first served", _fair),
        LockRecord("reentrant", "One thread, as often as it likes", _reentrant),
        LockRecord("readwrite", "Many readers or one writer: state.rwlock", _readwrite),
        LockRecord("several", "Several names, all or none: state.multilock", _several),
        LockRecord("redlock", "One holder, by a majority of several servers", _redlock),
    ]


def _token(target: LockTarget, options: Mapping[str, object]) -> LockStrategy:
    _refuse_options("token", options)
    from sharedstate_locks.token import TokenStrategy

    return TokenStrategy(target)


def _fair(target: LockTarget, options: Mapping[str, object]) -> LockStrategy:
    _refuse_options("fair", options)
    from sharedstate_locks.fair import FairStrategy

    return FairStrategy(target)


def _reentrant(target: LockTarget, options: Mapping[str, object]) -> LockStrategy:
    _refuse_options("reentrant", options)
    from sharedstate_locks.reentrant import ReentrantStrategy

    return ReentrantStrategy(target)


def _readwrite(target: LockTarget, options: Mapping[str, object]) -> LockStrategy:
    mode, others = options.get("mode"), {**options}
    others.pop("mode", None)
    _refuse_options("readwrite", others)
    from sharedstate_locks.readwrite import ReadWriteStrategy

    return ReadWriteStrategy(target, mode)


def _several(target: LockTarget, options: Mapping[str, object]) -> LockStrategy:
    from sharedstate_locks.several import create

    return create(target, options)


def _redlock(target: LockTarget, options: Mapping[str, object]) -> LockStrategy:
    from sharedstate_locks.redlock import create

    return create(target, options)


def _refuse_options(name: str, options: Mapping[str, object]) -> None:
    if options:
        raise ConfigError(
            f"the lock strategy {name!r} has no options, got {', '.join(options)}; a "
            f"lock's own options are strategy, ttl, renew, on_lost and find_deadlocks"
        )
