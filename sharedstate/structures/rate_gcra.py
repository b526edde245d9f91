"""The strategy "gcra": grants are spread evenly, and some may come at once.

The generic cell rate algorithm of ATM networks keeps one number, the moment at which all
that was granted would have come if it had come evenly, one each `period / limit`. A grant
is due unless that moment is more than `burst` grants ahead. It is a token bucket of
`burst` tokens, filled at a constant rate, without anybody who fills it.

Source: ITU-T I.371, annex A; https://en.wikipedia.org/wiki/Generic_cell_rate_algorithm
"""

from __future__ import annotations

from typing import ClassVar

from sharedstate.errors import ConfigError
from sharedstate.structures.rate_strategy import Quota, RateStrategy
from sharedstate.structures.script_file import ScriptFile

_MOST_US = 1e15
"""So many microseconds (31 years) scripts count exactly, with room for many who wait."""


class Gcra(RateStrategy):
    """At most `burst` at once, and `limit` in a period from then on.

    Bound: in any stretch of `t` seconds, ends included, at most `burst + limit * t /
    period` grants; so in any period at most `burst + limit`. Without a `burst`, it is the
    `limit` (rounded down, at least 1). With a burst of 1, no two grants are closer than
    `period / limit`.

    The state is one string, which expires when the limiter was idle.
    """

    scripts = ScriptFile(__file__, "rate_gcra.lua")
    parts: ClassVar[tuple[str, ...]] = ("gcra", "gcra_holes")

    def prepare(self, quota: Quota) -> tuple[int, tuple[int | float, ...]]:
        """The burst, and the interval between grants in microseconds."""
        burst = max(1, int(quota.limit)) if quota.burst is None else quota.burst
        interval = quota.period * 1e6 / quota.limit
        if interval * burst > _MOST_US:
            raise ConfigError(
                f"expected a burst that comes back within 30 years, got limit="
                f"{quota.limit:g}, period={quota.period:g} and burst={burst} for the rate "
                f"limiter {quota.name!r}"
            )
        return burst, (interval, burst)
