"""`Once` on every backend."""

from __future__ import annotations

from sharedstate.testing.once_suite import OnceSuite


class TestOnce(OnceSuite):
    """The shipped suite."""
