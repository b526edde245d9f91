"""Barriers on every backend."""

from __future__ import annotations

from sharedstate.testing.barrier_suite import BarrierSuite


class TestBarrier(BarrierSuite):
    """The shipped suite."""
