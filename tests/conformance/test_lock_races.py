"""Locks under several workers, on every backend."""

from __future__ import annotations

from sharedstate.testing.lock_races import LockRaces


class TestLockRaces(LockRaces):
    """The token lock, which is the default."""


class TestFairLockRaces(LockRaces):
    """The fair lock."""

    strategy = "fair"
