"""Views against their models, under random calls, inside transactions and across.

The machines of maps and counters make the calls. Here they make them on views, and
transactions end in between: by a commit, after which the store has to agree with the model,
or by an error, after which the model goes back to what it was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import rule, run_state_machine_as_test

from sharedstate.errors import CounterOverflow
from sharedstate.testing.counter_machine import CounterMachine
from sharedstate.testing.map_expiry_suite import LONG, wait_until_due
from sharedstate.testing.map_machine import MapMachine, _entries, _handles, _keys

if TYPE_CHECKING:
    from sharedstate.state import State
    from sharedstate.structures.base import Structure
    from sharedstate.structures.counter import FloatCounter

_SETTINGS = settings(
    max_examples=100,
    stateful_step_count=40,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)

BRIEF = 0.001

_mostly = st.sampled_from([True, True, True, False])


class _Abort(Exception):
    """What ends a transaction without a commit."""


class _Open:
    """A transaction that is open for as long as a machine wants it."""

    def __init__(self, state: State, *structures: Structure) -> None:
        self._attempts = iter(state.transaction(*structures))
        self._attempt = next(self._attempts)
        self.views: Any = self._attempt.__enter__()

    def commit(self) -> None:
        assert not self._attempt.__exit__(None, None, None)
        assert next(self._attempts, None) is None, "a conflict that nobody has caused"

    def abort(self) -> None:
        assert not self._attempt.__exit__(_Abort, _Abort(), None)


def check_map_in_transactions(state: State) -> None:
    """Run random calls against views of a map and a dict; they must agree."""

    class Machine(MapInTransactions):
        shared = state

    run_state_machine_as_test(Machine, settings=_SETTINGS)


def check_counter_in_transactions(state: State) -> None:
    """Run random calls against views of a counter and an int; they must agree."""

    class Machine(CounterInTransactions):
        shared = state

    run_state_machine_as_test(Machine, settings=_SETTINGS)


class MapInTransactions(MapMachine):
    """The calls of `MapMachine` on two views of one map.

    Entries with a short life are alive until the commit, and dead after it.
    """

    agrees_with_the_model = None  # type: ignore[assignment]  # It would read everything.
    touch_briefly = None  # type: ignore[assignment]

    def __init__(self) -> None:
        super().__init__()
        self.plain = self.maps
        self.brief: set[str] = set()
        self._begin()

    def _begin(self) -> None:
        self.before = (dict(self.model), set(self.timed))
        self.open = _Open(self.shared, *self.plain)
        self.maps = self.open.views

    def _write(self, key: str, value: Any, *, timed: bool = False) -> None:
        super()._write(key, value, timed=timed)
        self.brief.discard(key)

    @rule(handle=_handles, entries=_entries)
    def write_short_lived(self, handle: int, entries: dict[str, Any]) -> None:
        self.maps[handle].set_many(entries, ttl=BRIEF)
        for key, value in entries.items():
            self._write(key, value, timed=True)
            self.brief.add(key)

    @rule(handle=_handles, key=_keys)
    def touch(self, handle: int, key: str) -> None:
        assert self.maps[handle].touch(key, LONG) == (key in self.model)
        if key in self.model:
            self.timed.add(key)
            self.brief.discard(key)

    @rule(handle=_handles, really=st.sampled_from([False, False, False, True]))
    def clear(self, handle: int, really: bool) -> None:
        if really:
            super().clear(handle)

    @rule(handle=_handles)
    def count(self, handle: int) -> None:
        assert len(self.maps[handle]) == len(self.model)

    @rule(handle=_handles)
    def read_all(self, handle: int) -> None:
        view = self.maps[handle]
        assert view.copy() == self.model
        assert sorted(view) == sorted(self.model)

    @rule(handle=_handles, key=_keys)
    def ask_for_lifetime(self, handle: int, key: str) -> None:
        if key in self.model:
            assert (self.maps[handle].ttl(key) is not None) == (key in self.timed)
        else:
            with pytest.raises(KeyError):
                self.maps[handle].ttl(key)

    @rule(commits=_mostly)
    def end_transaction(self, commits: bool) -> None:
        if commits:
            self._commit()
        else:
            self.open.abort()
            self.model, self.timed = self.before
        self.brief.clear()
        self._agree_on_the_store()
        self._begin()

    def _commit(self) -> None:
        self.open.commit()
        dead = self.brief & self.timed & self.model.keys()
        if dead:
            wait_until_due(self.shared, BRIEF)
        for key in dead:
            self._forget(key)

    def teardown(self) -> None:
        self.open.abort()

    def _agree_on_the_store(self) -> None:
        stored = self.plain[0]
        assert stored.copy() == self.model
        assert len(stored) == len(self.model)
        for key in self.model:
            assert (stored.ttl(key) is not None) == (key in self.timed)


class CounterInTransactions(CounterMachine):
    """The calls of `CounterMachine` on a view."""

    has_the_models_value = None  # type: ignore[assignment]  # It would always read first.

    def __init__(self) -> None:
        super().__init__()
        self.plain = self.counter
        self._begin()

    def _begin(self) -> None:
        self.before = self.model
        self.open = _Open(self.shared, self.plain)
        (self.counter,) = self.open.views

    @rule()
    def read(self) -> None:
        assert self.counter.value == self.model

    @rule(to=st.integers(-9, 9))
    def set_unread(self, to: int) -> None:
        self.counter.set(to)
        self.model = to

    @rule(commits=_mostly)
    def end_transaction(self, commits: bool) -> None:
        if commits:
            self.open.commit()
        else:
            self.open.abort()
            self.model = self.before
        assert self.plain.value == self.model
        self._begin()

    def teardown(self) -> None:
        self.open.abort()


_floats = st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from(
    [0.1, 0.2, -0.3, 1e-17, 1e-18, 5e-18, 1e300, -1e308, 2.0**63, 1 / 3]
)
_changes = st.tuples(
    st.sampled_from(["add", "subtract", "get_and_add", "compare_and_set", "reset", "set"]),
    _floats,
)


def check_floats_in_transactions(state: State) -> None:
    """Make the same changes through a view and through a handle; they must agree."""
    viewed, plain = state.float_counter("viewed"), state.float_counter("plain")

    @settings(_SETTINGS, max_examples=60)
    @given(st.lists(_changes, max_size=12), st.none() | _floats)
    def check(changes: list[tuple[str, float]], minimum: float | None) -> None:
        viewed.set(0)
        plain.set(0)

        def change_both(view: FloatCounter) -> None:
            for name, number in changes:
                assert _changed(view, name, number, minimum) == _changed(
                    plain, name, number, minimum
                )

        state.transaction(viewed).run(change_both)
        execute = state.backend.execute
        one, other = (
            execute(("GET", each._context.key("value"))) for each in (viewed, plain)
        )
        assert float(one) == float(other)

    check()


def _changed(
    counter: FloatCounter, name: str, number: float, minimum: float | None
) -> object:
    """The result of a change, or the kind of error that it raised."""
    try:
        if name in ("add", "subtract"):
            return getattr(counter, name)(number, minimum=minimum)
        if name == "compare_and_set":
            return counter.compare_and_set(counter.value, number)
        return getattr(counter, name)(number)
    except CounterOverflow as error:
        return type(error)
