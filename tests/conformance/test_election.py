"""Leader elections on every backend."""

from __future__ import annotations

from sharedstate.testing.election_suite import ElectionSuite


class TestElection(ElectionSuite):
    """The shipped suite."""
