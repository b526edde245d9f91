"""Locks of several names on every backend."""

from __future__ import annotations

from sharedstate.testing.multilock_suite import MultiLockRaces, MultiLockSuite


class TestMultiLock(MultiLockSuite):
    """The shipped suite."""


class TestMultiLockRaces(MultiLockRaces):
    """The shipped races."""
