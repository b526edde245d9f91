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
    """The token lock, which is the default."""
    return [
        LockRecord(
            name="token",
            summary="One holder on one store, by SET NX PX, with a fencing number.",
            create=_token,
        )
    ]


def _token(target: LockTarget, options: Mapping[str, object]) -> LockStrategy:
    if options:
        raise ConfigError(
            f"the lock strategy 'token' has no options, got {', '.join(options)}; a "
            f"lock's own options are strategy, ttl, renew and on_lost"
        )
    from sharedstate_locks.token import TokenStrategy

    return TokenStrategy(target)
