"""Maps under several workers, on every backend."""

from __future__ import annotations

from sharedstate.testing.map_races import MapRaces


class TestMapRaces(MapRaces):
    """The shipped races."""
