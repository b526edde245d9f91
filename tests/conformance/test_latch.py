"""Latches on every backend."""

from __future__ import annotations

from sharedstate.testing.latch_suite import LatchSuite


class TestLatch(LatchSuite):
    """The shipped suite."""
