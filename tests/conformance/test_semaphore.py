"""Semaphores on every backend, and those of `threading` by the same tests."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from sharedstate.testing.semaphore_suite import SemaphoreSuite, SemaphoreTwins


class TestSemaphore(SemaphoreSuite):
    """The shipped suite."""


class TestSemaphoreOfThreading(SemaphoreTwins):
    """What we have in common is what the standard library does."""

    @pytest.fixture
    def make(self) -> Callable[..., Any]:
        return threading.Semaphore

    @pytest.fixture
    def bounded(self) -> Callable[..., Any]:
        return threading.BoundedSemaphore
