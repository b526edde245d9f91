"""The backend contract, on every backend."""

from __future__ import annotations

from sharedstate.testing.backend_suite import BackendSuite


class TestBackend(BackendSuite):
    """The shipped suite."""
