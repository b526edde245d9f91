"""Queues under several workers, on every backend."""

from __future__ import annotations

from sharedstate.testing.queue_races import QueueRaces


class TestQueueRaces(QueueRaces):
    """The shipped races."""
