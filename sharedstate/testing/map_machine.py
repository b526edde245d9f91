"""A map against its model, a dict, under random calls through two handles.

One of the handles learns of a change of layout only when it meets it. Entries that are
given a short life are dead before the next call, and still lie on the store.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)

from sharedstate.structures.map import ABSENT
from sharedstate.testing.map_expiry_suite import LONG, store_time_ms, wait_until_due

if TYPE_CHECKING:
    from sharedstate.state import State
    from sharedstate.structures.map import Map

_SETTINGS = settings(
    max_examples=30,
    stateful_step_count=30,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)

_keys = st.sampled_from(["a", "b", "c", "ü", ""])
_values = (
    st.integers() | st.text(max_size=3) | st.none() | st.lists(st.booleans(), max_size=2)
)
_handles = st.sampled_from([0, 1])
_entries = st.dictionaries(_keys, _values, max_size=4)
_amounts = st.integers(-(2**40), 2**40)


def check_map_against_model(state: State) -> None:
    """Run random calls against a map of the state and a dict; they must agree."""

    class Machine(MapMachine):
        shared = state

    run_state_machine_as_test(Machine, settings=_SETTINGS)


class MapMachine(RuleBasedStateMachine):
    """The calls, and what must hold after each."""

    shared: State

    def __init__(self) -> None:
        super().__init__()
        self.maps: list[Map[str, Any]] = [self.shared.map("modelled") for _ in range(2)]
        self.maps[0].clear()
        self.model: dict[str, Any] = {}
        self.timed: set[str] = set()

    def _write(self, key: str, value: Any, *, timed: bool = False) -> None:
        self.model[key] = value
        (self.timed.add if timed else self.timed.discard)(key)

    def _forget(self, key: str) -> Any:
        self.timed.discard(key)
        return self.model.pop(key, ABSENT)

    @rule(handle=_handles, key=_keys, value=_values)
    def write(self, handle: int, key: str, value: Any) -> None:
        self.maps[handle][key] = value
        self._write(key, value)

    @rule(handle=_handles, key=_keys, value=_values)
    def write_with_ttl(self, handle: int, key: str, value: Any) -> None:
        self.maps[handle].set(key, value, ttl=LONG)
        self._write(key, value, timed=True)

    @rule(handle=_handles, entries=_entries)
    def write_short_lived(self, handle: int, entries: dict[str, Any]) -> None:
        self.maps[handle].set_many(entries, ttl=0.001)
        wait_until_due(self.shared, 0.001)
        for key in entries:
            self._forget(key)

    @rule(handle=_handles, key=_keys)
    def touch_briefly(self, handle: int, key: str) -> None:
        assert self.maps[handle].touch(key, 0.001) == (key in self.model)
        wait_until_due(self.shared, 0.001)
        self._forget(key)

    @rule(
        handle=_handles, key=_keys, value=_values, absent=st.booleans(), timed=st.booleans()
    )
    def write_if(
        self, handle: int, key: str, value: Any, absent: bool, timed: bool
    ) -> None:
        ttl = LONG if timed else None
        done = self.maps[handle].set(
            key, value, ttl=ttl, if_absent=absent, if_present=not absent
        )
        assert done == ((key in self.model) != absent)
        if done:
            self._write(key, value, timed=timed)

    @rule(handle=_handles, entries=_entries, timed=st.booleans())
    def write_many(self, handle: int, entries: dict[str, Any], timed: bool) -> None:
        self.maps[handle].set_many(entries, ttl=LONG if timed else None)
        for key, value in entries.items():
            self._write(key, value, timed=timed)

    @rule(handle=_handles, key=_keys)
    def read(self, handle: int, key: str) -> None:
        assert self.maps[handle].get(key, ABSENT) == self.model.get(key, ABSENT)
        assert (key in self.maps[handle]) == (key in self.model)

    @rule(handle=_handles, keys=st.lists(_keys))
    def read_many(self, handle: int, keys: list[str]) -> None:
        wanted = {key: self.model[key] for key in keys if key in self.model}
        assert self.maps[handle].get_many(keys) == wanted

    @rule(handle=_handles, key=_keys)
    def pop(self, handle: int, key: str) -> None:
        assert self.maps[handle].pop(key, ABSENT) == self._forget(key)

    @rule(handle=_handles)
    def pop_any(self, handle: int) -> None:
        if self.model:
            key, value = self.maps[handle].popitem()
            assert value == self._forget(key)
        else:
            with pytest.raises(KeyError):
                self.maps[handle].popitem()

    @rule(handle=_handles, keys=st.lists(_keys, unique=True))
    def delete_many(self, handle: int, keys: list[str]) -> None:
        assert self.maps[handle].delete_many(keys) == len(self.model.keys() & {*keys})
        for key in keys:
            self._forget(key)

    @rule(handle=_handles, key=_keys, value=_values)
    def set_default(self, handle: int, key: str, value: Any) -> None:
        expected = self.model.setdefault(key, value)
        assert self.maps[handle].setdefault(key, value) == expected

    @rule(handle=_handles, key=_keys, n=_amounts)
    def increment(self, handle: int, key: str, n: int) -> None:
        if self._is_small_number(key):
            self.model[key] = self.model.get(key, 0) + n
            assert self.maps[handle].increment(key, n) == self.model[key]

    @rule(handle=_handles, amounts=st.dictionaries(_keys, _amounts))
    def increment_many(self, handle: int, amounts: dict[str, int]) -> None:
        if all(map(self._is_small_number, amounts)):
            self.maps[handle].increment_many(amounts)
            for key, n in amounts.items():
                self.model[key] = self.model.get(key, 0) + n
        else:
            with pytest.raises((TypeError, OverflowError)):
                self.maps[handle].increment_many(amounts)

    @rule(handle=_handles, key=_keys, expected=_values, new=_values)
    def compare_and_set(self, handle: int, key: str, expected: Any, new: Any) -> None:
        done = self.maps[handle].compare_and_set(key, expected, new)
        assert done == (self.model.get(key, ABSENT) == expected)
        if done:
            self.model[key] = new

    @rule(handle=_handles, key=_keys, new=_values)
    def swap_what_is_there(self, handle: int, key: str, new: Any) -> None:
        current = self.model.get(key, ABSENT)
        assert self.maps[handle].compare_and_set(key, current, new)
        self.model[key] = new

    @rule(handle=_handles, key=_keys)
    def update_with(self, handle: int, key: str) -> None:
        self.model[key] = [self.model.get(key, "new")]
        result = self.maps[handle].update_with(key, lambda old: [old], default="new")
        assert result == self.model[key]

    @rule(handle=_handles, key=_keys)
    def touch(self, handle: int, key: str) -> None:
        assert self.maps[handle].touch(key, LONG) == (key in self.model)
        if key in self.model:
            self.timed.add(key)

    @rule(handle=_handles, key=_keys)
    def persist(self, handle: int, key: str) -> None:
        assert self.maps[handle].persist(key) == (key in self.timed)
        self.timed.discard(key)

    @rule(handle=_handles)
    def clear(self, handle: int) -> None:
        self.maps[handle].clear()
        self.model.clear()
        self.timed.clear()

    @invariant()
    def agrees_with_the_model(self) -> None:
        # Through the first handle only, so that the other one may lag behind.
        assert self.maps[0].copy() == self.model
        assert len(self.maps[0]) == len(self.model)
        for key in self.model:
            assert (self.maps[0].ttl(key) is not None) == (key in self.timed)

    @invariant()
    def lies_on_the_store_as_it_should(self) -> None:
        execute, key = self.shared.backend.execute, self.maps[0]._context.key
        data, timed, deadlines = key("data"), key("timed"), key("deadlines")
        if execute(("TYPE", data)) != b"string":
            assert execute(("EXISTS", timed, deadlines)) == 0
            return
        fields = {*execute(("HKEYS", timed))}
        scored = execute(("ZRANGE", deadlines, 0, -1, "WITHSCORES"))
        assert {*scored[::2]} <= fields
        last = int(float(scored[-1])) if len(scored) == 2 * len(fields) else -1
        ends = {execute(("PEXPIRETIME", each)) for each in (data, timed)}
        assert ends == {last} or last <= store_time_ms(self.shared)

    def _is_small_number(self, key: str) -> bool:
        value = self.model.get(key, 0)
        return type(value) is int and abs(value) < 2**62
