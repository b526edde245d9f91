"""The lock suite by the strategy `redlock`, on five servers of each kind.

What cannot apply is left out by name. Who waits stands in no line, so nobody is counted,
shown or called: who waits asks again by itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from sharedstate.errors import ConfigError
from sharedstate.state import State
from sharedstate.testing.background import (
    SECONDS,
    Interrupted,
    in_background,
    interrupted_in,
)
from sharedstate.testing.lock_races import LockRaces
from sharedstate.testing.lock_suite import LockSuite
from sharedstate.testing.plugin import fresh_namespace
from sharedstate.testing.redlock_state import connect_with_servers
from sharedstate.testing.servers import BuiltInServer, RedisServer, StoreServer

KINDS: dict[str, tuple[type[StoreServer], ...]] = {
    "five of redis": (RedisServer,) * 5,
    "five of ours": (BuiltInServer,) * 5,
    "three and two": (RedisServer,) * 3 + (BuiltInServer,) * 2,
}


@pytest.fixture(scope="module", params=KINDS)
def servers(
    request: pytest.FixtureRequest, redis_is_installed: None
) -> Iterator[list[str]]:
    """The URLs of five servers, for all tests of this module."""
    with ExitStack() as running:
        kinds = KINDS[request.param]
        yield [running.enter_context(kind()).url for kind in kinds]


@pytest.fixture
def shared_state(servers: list[str]) -> Iterator[State]:
    """A state whose locks are granted by a majority of the servers."""
    namespace = fresh_namespace()
    with connect_with_servers(
        servers[0], servers, namespace=namespace, retry_delay=0.02
    ) as state:
        yield state


class TestRedlock(LockSuite):
    """The shipped suite, where it applies."""

    # Nobody is counted as waiting, or called.
    test_a_waiter_is_woken_by_the_release = None  # type: ignore[assignment]
    test_one_waiter_after_another_comes_in = None  # type: ignore[assignment]
    test_taking_a_lock_away_wakes_a_waiter = None  # type: ignore[assignment]
    test_a_wake_up_that_was_lost_delays_and_no_more = None  # type: ignore[assignment]
    test_closing_the_state_loses_what_a_session_held = None  # type: ignore[assignment]
    test_a_waiter_whose_line_was_evicted_stands_in_it_again = None  # type: ignore[assignment]

    # They change a key of the token lock; tests/unit/plugins/test_redlock.py has the like.
    test_the_token_rises_though_the_last_one_was_evicted = None  # type: ignore[assignment]
    test_the_token_rises_though_the_stores_clock_is_behind_it = None  # type: ignore[assignment]

    def test_an_interrupted_waiter_leaves_nothing_behind(self, shared_state: State) -> None:
        lock, other = shared_state.lock("a"), shared_state.lock("a")
        with lock:
            with pytest.raises(Interrupted), interrupted_in("wait"):
                other.acquire()
            assert lock.owned()
        assert not other.owned()
        assert lock.acquire(blocking=False)
        lock.release()

    def test_a_waiter_comes_in_after_the_release(self, shared_state: State) -> None:
        lock, other = shared_state.lock("a"), shared_state.lock("a")
        lock.acquire()
        waiting = in_background(other.acquire)
        lock.release()
        assert waiting.result(SECONDS)
        other.release()

    def test_wrong_options_are_errors(self, shared_state: State) -> None:
        with pytest.raises(ConfigError, match=r"unknown option 'tll' .* mean 'ttl'"):
            shared_state.lock("a", tll=5)


class TestRedlockRaces(LockRaces):
    """The shipped races, where they apply."""

    # Nobody is counted as waiting.
    test_a_killed_waiter_holds_nobody_up = None  # type: ignore[assignment]
    test_a_waiter_that_was_stopped_is_served_when_it_goes_on = None  # type: ignore[assignment]
    test_who_stands_behind_the_killed_is_served = None  # type: ignore[assignment]
    test_a_stopped_waiter_that_is_handed_the_lock_does_not_keep_it = None  # type: ignore[assignment]

    # Votes are bound to no session, wherever the state itself is kept.
    test_a_stopped_holder_keeps_its_lock_while_its_session_is_open = None  # type: ignore[assignment]
    test_a_killed_holders_lock_passes_on_before_its_lease_ends = None  # type: ignore[assignment]
