"""Queues on every backend."""

from __future__ import annotations

from sharedstate.testing.queue_suite import QueueSuite


class TestQueue(QueueSuite):
    """The shipped suite."""
