"""The memory backend, against the shipped suite: all that a backend's own test needs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sharedstate import connect
from sharedstate.backend import Backend
from sharedstate.testing.backend_suite import BackendSuite


class TestMemoryBackend(BackendSuite):
    """The engine, called directly."""

    @pytest.fixture
    def backend(self) -> Iterator[Backend]:
        with connect("memory://") as state:
            yield state.backend
