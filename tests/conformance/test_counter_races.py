"""Counters under several workers, on every backend."""

from __future__ import annotations

from sharedstate.testing.counter_races import CounterRaces


class TestCounterRaces(CounterRaces):
    """The shipped races."""
