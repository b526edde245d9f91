"""Locks on every backend."""

from __future__ import annotations

from sharedstate.testing.lock_suite import LockSuite


class TestLock(LockSuite):
    """The shipped suite."""
