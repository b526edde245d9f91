"""The strategy "sliding_window": never more than so many in any window, wherever it begins.

The moment of each grant of the last period is remembered, so the bound is exact, and
costs memory for each. Who asks for more than is left gets the moment at which enough of
the oldest have left the window.
"""

from __future__ import annotations

from typing import ClassVar

from sharedstate.structures.rate_strategy import Quota, RateStrategy
from sharedstate.structures.rate_windows import check_window
from sharedstate.structures.script_file import ScriptFile

MAX_LIMIT = 10_000
"""The largest limit: about 100 bytes are kept for each grant."""


class SlidingWindow(RateStrategy):
    """At most `limit` in any window of a `period`.

    Bound: in any stretch of `period` seconds, one end included, at most `limit` grants.

    The state is a sorted set with an entry for each grant of the last period and each place
    that is taken. It expires a period after the last.
    """

    scripts = ScriptFile(__file__, "rate_sliding_window.lua")
    parts: ClassVar[tuple[str, ...]] = ("log", "log_meta")

    def prepare(self, quota: Quota) -> tuple[int, tuple[int | float, ...]]:
        """The limit, and the period in microseconds."""
        limit = check_window(quota, "sliding_window", MAX_LIMIT)
        return limit, (quota.period_us, limit)
