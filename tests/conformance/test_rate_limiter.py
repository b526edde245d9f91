"""Rate limiters on every backend."""

from __future__ import annotations

from sharedstate.testing.rate_limiter_suite import RateLimiterSuite


class TestRateLimiter(RateLimiterSuite):
    """The shipped suite."""
