"""Maps on every backend."""

from __future__ import annotations

from sharedstate.testing.map_suite import MapSuite


class TestMap(MapSuite):
    """The shipped suite."""
