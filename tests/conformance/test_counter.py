"""Counters on every backend."""

from __future__ import annotations

from sharedstate.testing.counter_suite import CounterSuite


class TestCounter(CounterSuite):
    """The shipped suite."""
