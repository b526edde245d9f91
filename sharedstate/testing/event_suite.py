"""What events must do on every backend: as `threading.Event`, and for many processes."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from sharedstate.backend import Capability
from sharedstate.errors import ConfigError
from sharedstate.news import wait_for_news
from sharedstate.structures.event import _SetSince
from sharedstate.testing.background import (
    SECONDS,
    Interrupted,
    in_background,
    interrupted_in,
    listeners,
    wait_until,
)
from sharedstate.testing.processes import run_in_workers
from sharedstate.waiting import Deadline

if TYPE_CHECKING:
    from sharedstate.state import State

SHORT = 0.05


def wait_for_event(event: Any) -> bool:
    """Wait for an event, in a worker."""
    woken: bool = event.wait(SECONDS)
    return woken


def waiting(event: Any) -> int:
    """How many wait for an event, one of the standard library or ours."""
    if isinstance(event, threading.Event):
        return len(event._cond._waiters)  # type: ignore[attr-defined]
    return listeners(event)


class EventTwin:
    """The same assertions hold for `threading.Event` and for ours."""

    @pytest.fixture(params=["threading", "shared"])
    def event(self, request: pytest.FixtureRequest, shared_state: State) -> Any:
        """Each kind of event in turn."""
        return (
            threading.Event() if request.param == "threading" else shared_state.event("a")
        )

    def test_it_is_clear_until_it_is_set(self, event: Any) -> None:
        assert event.is_set() is False
        for _ in range(2):
            assert event.set() is None
            assert event.is_set() is True
        for _ in range(2):
            assert event.clear() is None
            assert event.is_set() is False

    @pytest.mark.parametrize("timeout", [None, 0, -1, SHORT])
    def test_who_comes_when_it_is_set_does_not_wait(
        self, event: Any, timeout: float | None
    ) -> None:
        event.set()
        assert event.wait(timeout) is True
        assert event.wait(timeout=timeout) is True

    @pytest.mark.parametrize("timeout", [0, -1, -0.5, float("-inf"), SHORT])
    def test_who_waits_in_vain_gives_up_in_time(self, event: Any, timeout: float) -> None:
        assert event.wait(timeout) is False
        wait_until(lambda: waiting(event) == 0)

    def test_a_set_wakes_all_who_wait(self, event: Any) -> None:
        sleeping = [in_background(lambda: event.wait(SECONDS)) for _ in range(5)]
        wait_until(lambda: waiting(event) == 5)
        event.set()
        assert [each.result(SECONDS) for each in sleeping] == [True] * 5

    def test_a_set_that_is_cleared_at_once_wakes_who_waited(self, event: Any) -> None:
        for _ in range(5):
            sleeping = [in_background(lambda: event.wait(SECONDS)) for _ in range(3)]
            wait_until(lambda: waiting(event) == 3)
            event.set()
            event.clear()
            assert [each.result(SECONDS) for each in sleeping] == [True] * 3
            assert event.wait(0) is False

    @pytest.mark.parametrize("timeout", ["soon", object()])
    def test_what_is_no_time_is_a_type_error(self, event: Any, timeout: Any) -> None:
        with pytest.raises(TypeError):
            event.wait(timeout)


class EventSharing:
    """What only ours does."""

    def test_all_handles_of_a_name_are_one_event(self, shared_state: State) -> None:
        shared_state.event("a").set()
        assert shared_state.event("a").is_set()
        assert not shared_state.event("b").is_set()

    def test_a_time_may_be_a_timedelta(self, shared_state: State) -> None:
        assert not shared_state.event("a").wait(timedelta(milliseconds=20))

    def test_options_are_errors(self, shared_state: State) -> None:
        with pytest.raises(ConfigError, match="no options, got ttl"):
            shared_state.structure("event", "a", ttl=5)

    def test_one_message_wakes_all(self, shared_state: State) -> None:
        event = shared_state.event("a")
        news = event._context.key("news")
        with shared_state.backend.subscribe([news]) as subscription:
            event.set()
            event.set()
            assert subscription.get(SECONDS) is not None
            assert subscription.get(SHORT) is None

    def test_waiting_leaves_nothing_on_the_store(self, shared_state: State) -> None:
        event = shared_state.event("a")
        assert not event.wait(SHORT)
        assert list(shared_state.names()) == []
        wait_until(lambda: listeners(event) == 0)

    def test_an_interrupted_waiter_leaves_nothing_behind(self, shared_state: State) -> None:
        event = shared_state.event("a")
        with pytest.raises(Interrupted), interrupted_in("get"):
            event.wait()
        wait_until(lambda: listeners(event) == 0)
        event.set()
        assert event.wait(SECONDS)

    def test_who_missed_the_message_learns_of_a_set_by_its_number(
        self, shared_state: State
    ) -> None:
        event = shared_state.event("a")
        event.set()
        event.clear()
        _, generation = event._read()
        since = _SetSince(event, generation)
        assert wait_for_news(event._context, since, Deadline(SHORT)) is None
        event.set()
        event.clear()
        # Nothing will be published: only the number tells.
        assert wait_for_news(event._context, since, Deadline(SECONDS)) is True

    def test_the_number_rises_over_a_loss_of_the_key(self, shared_state: State) -> None:
        event = shared_state.event("a")
        event.set()
        event.clear()
        _, before = event._read()
        shared_state.delete("event", "a")
        event.set()
        assert event._read()[1] > before

    def test_a_cleared_event_is_forgotten_in_the_end(self, shared_state: State) -> None:
        event = shared_state.event("a")
        lifetime = ("PTTL", event._context.key("state"))
        event.set()
        assert shared_state.backend.execute(lifetime) == -1
        event.clear()
        assert shared_state.backend.execute(lifetime) > 3600_000
        event.set()
        assert shared_state.backend.execute(lifetime) == -1

    def test_workers_are_woken(self, shared_state: State) -> None:
        if Capability.PROCESSES not in shared_state.capabilities:
            pytest.skip("other processes cannot reach this backend")
        event = shared_state.event("a")
        working = in_background(lambda: run_in_workers(wait_for_event, event, workers=2))
        wait_until(lambda: listeners(event) == 2)
        event.set()
        event.clear()
        assert working.result(SECONDS) == [True, True]


class EventSuite(EventTwin, EventSharing):
    """Tests of `Event`. A backend's own test class inherits them."""
