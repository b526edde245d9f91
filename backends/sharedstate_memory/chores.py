"""Chores: what is due in the background, in slices.

The owner calls them ten times a second or more often, and more often still while they are
behind: then small slices often are better for everybody than big ones seldom.
"""

from __future__ import annotations

from sharedstate_memory.disposal import BUDGET_S
from sharedstate_memory.expiry import ActiveExpiry
from sharedstate_memory.key_order import compact_order

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sharedstate_memory.engine import Engine

# Rates and samples are taken ten times a second, however often the chores come.
_MS_BETWEEN_COUNTS = 95


class Chores:
    """Active expiry, disposal, compaction, eviction and rates of one engine."""

    __slots__ = ("_counted_ms", "_engine", "_expiry", "expires_actively")

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._counted_ms = 0
        self._expiry = ActiveExpiry(engine.databases)
        self.expires_actively = True
        engine.settings.on_change("active-expire-effort", self._take_effort)
        self._take_effort()

    def _take_effort(self) -> None:
        self._expiry.effort = self._engine.settings["active-expire-effort"]

    def run(self, interval_s: float) -> None:
        """Do some of everything that is due, for at most a few milliseconds each. It
        comes every `interval_s`.
        """
        engine = self._engine
        now_ms = engine.now_ms
        if now_ms - self._counted_ms >= _MS_BETWEEN_COUNTS:
            self._counted_ms = now_ms
            engine.statistics.cron(now_ms)
        if engine.is_loading:
            return
        if engine.pause is None or engine.pause.end_if_over(now_ms):
            self._expire(now_ms, interval_s)
        engine.dispose(BUDGET_S)
        for database in engine.databases:
            if database.compaction is not None:
                compact_order(database, BUDGET_S)
        engine.eviction.cron()

    @property
    def is_behind(self) -> bool:
        """Whether expiry or compaction left something to do."""
        databases = self._engine.databases
        return self._expiry.is_behind or any(each.compaction for each in databases)

    def _expire(self, now_ms: int, interval_s: float) -> None:
        if not self.expires_actively:
            return
        engine = self._engine
        seconds = self._expiry.run_adaptively(now_ms, interval_s)
        statistics = engine.statistics
        statistics.note_stale(self._expiry.stale_share(now_ms) if seconds else 0.0)
        if seconds:
            statistics.expire_cap_reached += 1
            statistics.expire_seconds += seconds
            engine.latency.record("expire-cycle", int(seconds * 1000))
