"""Events on every backend."""

from __future__ import annotations

from sharedstate.testing.event_suite import EventSuite


class TestEvent(EventSuite):
    """The shipped suite."""
