"""Locks of each kind on every backend."""

from __future__ import annotations

from sharedstate.testing.fair_suite import FairLockSuite
from sharedstate.testing.lock_suite import LockSuite
from sharedstate.testing.reentrant_suite import ReentrantLockSuite
from sharedstate.testing.rwlock_suite import RWLockSuite


class TestLock(LockSuite):
    """The token lock, which is the default."""


class TestFairLock(FairLockSuite):
    """The fair lock."""


class TestReentrantLock(ReentrantLockSuite):
    """The reentrant lock."""


class TestRWLock(RWLockSuite):
    """The read-write lock."""
