"""Deadlocks of locks, on every backend that finds them."""

from __future__ import annotations

from sharedstate.testing.deadlock_suite import DeadlockOptions, DeadlockSuite


class TestDeadlocks(DeadlockSuite):
    """The shipped suite."""


class TestDeadlockOptions(DeadlockOptions):
    """What is said where there is none."""
