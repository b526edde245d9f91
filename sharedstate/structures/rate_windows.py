"""What the strategies that count in windows ask of a quota."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sharedstate.errors import ConfigError

if TYPE_CHECKING:
    from sharedstate.structures.rate_strategy import Quota


def check_window(quota: Quota, strategy: str, most: int = 10**9) -> int:
    """The limit as a whole number of grants a window. Raises `ConfigError`."""
    if quota.burst is not None:
        raise ConfigError(
            f"the strategy {strategy!r} has no burst: all of its limit may come at once. "
            f"Leave burst={quota.burst} out, or take the strategy 'gcra'"
        )
    if not 1 <= quota.limit <= most or quota.limit != int(quota.limit):
        raise ConfigError(
            f"expected a whole limit from 1 to {most:,} with the strategy {strategy!r}, "
            f"got {quota.limit:g}; 'gcra' takes any"
        )
    return int(quota.limit)
