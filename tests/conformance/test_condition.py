"""Conditions on every backend, and that of `threading` by the same tests."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from sharedstate.testing.condition_suite import ConditionSuite, ConditionTwins


class TestCondition(ConditionSuite):
    """The shipped suite."""


class TestConditionOfThreading(ConditionTwins):
    """What we have in common is what the standard library does."""

    @pytest.fixture
    def make(self) -> Callable[[], Any]:
        return threading.Condition
