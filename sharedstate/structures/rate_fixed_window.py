"""The strategy "fixed_window": so many in each window of time, and then anew.

Time is cut into windows of a `period`, which begin at multiples of it since 1970 (a
period of 60 begins with each minute). Each has `limit` grants. Who finds the present one
full gets a place in the next that has room. This is how providers of interfaces often
count: use it to keep to somebody's quota that is counted so, and "gcra" otherwise.
"""

from __future__ import annotations

from typing import ClassVar

from sharedstate.structures.rate_strategy import Quota, RateStrategy
from sharedstate.structures.rate_windows import check_window
from sharedstate.structures.script_file import ScriptFile


class FixedWindow(RateStrategy):
    """At most `limit` in each window.

    Bound: in each of the windows that begin at multiples of the period, at most `limit`
    grants; so in any period at most `2 * limit`, when the end of one window and the
    beginning of the next are used up.

    The state is a hash: a number for the present window, and for each in which somebody
    has a place. It expires with the last of them.
    """

    scripts = ScriptFile(__file__, "rate_fixed_window.lua")
    parts: ClassVar[tuple[str, ...]] = ("windows",)

    def prepare(self, quota: Quota) -> tuple[int, tuple[int | float, ...]]:
        """The limit, and the period in microseconds."""
        limit = check_window(quota, "fixed_window")
        return limit, (quota.period_us, limit)
