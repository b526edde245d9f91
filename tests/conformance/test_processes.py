"""Handles in processes, on every backend that processes can share."""

from __future__ import annotations

import pytest

from sharedstate.testing.process_suite import ProcessSuite


@pytest.mark.parametrize("store_url", ["local", "server", "redis"], indirect=True)
class TestProcesses(ProcessSuite):
    """The shipped suite."""
