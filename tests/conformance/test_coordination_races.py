"""Broadcasts and rates under several workers, on every backend."""

from __future__ import annotations

from sharedstate.testing.coordination_races import CoordinationRaces


class TestCoordinationRaces(CoordinationRaces):
    """The shipped races."""
