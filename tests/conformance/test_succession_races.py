"""Semaphores, conditions, elections and `Once` under several workers, on every backend."""

from __future__ import annotations

from sharedstate.testing.succession_races import SuccessionRaces


class TestSuccessionRaces(SuccessionRaces):
    """The shipped races."""
