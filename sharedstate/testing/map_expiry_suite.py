"""What maps must do on every backend: entries with a lifetime.

A test never waits for an entry to be due by sleeping: it asks the store for its time.
"""

from __future__ import annotations

from datetime import timedelta
from time import sleep
from typing import TYPE_CHECKING, Any

import pytest

from sharedstate.errors import CommandError
from sharedstate.structures.base import StructureContext
from sharedstate.structures.map import ABSENT, Map

if TYPE_CHECKING:
    from collections.abc import Callable

    from sharedstate.state import State

LONG = 1000.0
"""Seconds: longer than any test."""


def store_time_ms(state: State) -> int:
    """The store's time."""
    seconds, microseconds = state.backend.execute(("TIME",))
    return int(seconds) * 1000 + int(microseconds) // 1000


def wait_until_due(state: State, ttl: float) -> None:
    """Wait until everything that was given so many seconds up to now is over."""
    deadline = store_time_ms(state) + int(ttl * 1000) + 1
    while store_time_ms(state) <= deadline:
        sleep(0.001)


def parts(handle: Map[Any, Any], state: State) -> list[str]:
    """Which of a map's keys are on the store."""
    names = ("data", "timed", "deadlines")
    key = handle._context.key
    return [name for name in names if state.backend.execute(("EXISTS", key(name)))]


class _Recorder:
    """A backend that notes what is asked of another one."""

    def __init__(self, backend: Any) -> None:
        self._backend = backend
        self.calls: list[str] = []

    def execute(self, command: Any) -> Any:
        self.calls.append(command[0])
        return self._backend.execute(command)

    def run_script(self, script: Any, keys: Any, arguments: Any = ()) -> Any:
        self.calls.append(script.name)
        return self._backend.run_script(script, keys, arguments)


def recorded_map(state: State, name: str) -> tuple[Map[str, Any], list[str]]:
    """A handle, and the list of the commands and scripts that it executes."""
    recorder: Any = _Recorder(state.backend)
    context = state.map(name)._context
    place = StructureContext(
        state=state,
        backend=recorder,
        kind="map",
        name=name,
        prefix=context.prefix,
        serializer=context.serializer,
    )
    return Map(place, {}), recorder.calls


# Each operation, for the tests that try all of them on an entry "k".
_READS: dict[str, Callable[[Map[str, Any]], object]] = {
    "get": lambda m: m.get("k", "missing"),
    "in": lambda m: "k" in m,
    "len": len,
    # Not list(), which asks for the length first.
    "iter": set,
    "items": lambda m: dict(m.items()),
    "get_many": lambda m: m.get_many(["k"]),
    "copy": lambda m: m.copy(),
}
_WRITES: dict[str, Callable[[Map[str, Any]], object]] = {
    "pop": lambda m: m.pop("k", "missing"),
    "setdefault": lambda m: m.setdefault("k", 5),
    "increment": lambda m: m.increment("k", 5),
    "increment_many": lambda m: m.increment_many({"k": 5}),
    "delete_many": lambda m: m.delete_many(["k"]),
    "if_absent": lambda m: m.set("k", 5, if_absent=True),
    "if_present": lambda m: m.set("k", 5, if_present=True),
    "compare_and_set": lambda m: m.compare_and_set("k", ABSENT, 5),
    "update_with": lambda m: m.update_with("k", lambda v: v + 1, default=4),
    "touch": lambda m: m.touch("k", LONG),
    "persist": lambda m: m.persist("k"),
    "set": lambda m: m.set("k", 5),
}


class MapExpiry:
    """Tests of the lifetimes of a map's entries."""

    def test_an_entry_has_no_lifetime_unless_given_one(self, shared_state: State) -> None:
        cache = shared_state.map("cache")
        cache["a"] = 1
        assert cache.ttl("a") is None
        cache.set("b", 1, ttl=LONG)
        assert cache.ttl("a") is None

    @pytest.mark.parametrize("ttl", [LONG, int(LONG), timedelta(seconds=LONG)])
    def test_ttl_tells_the_seconds_left(
        self, shared_state: State, ttl: float | timedelta
    ) -> None:
        cache = shared_state.map("cache")
        cache.set("a", 1, ttl=ttl)
        left = cache.ttl("a")
        assert left is not None
        assert LONG - 60 < left <= LONG

    def test_writing_again_ends_the_lifetime_given_before(
        self, shared_state: State
    ) -> None:
        cache = shared_state.map("cache")
        for write in (
            lambda: cache.__setitem__("a", 2),
            lambda: cache.set("a", 2),
            lambda: cache.set_many({"a": 2}),
            lambda: cache.set("a", 2, if_present=True),
        ):
            cache.set("a", 1, ttl=LONG)
            write()
            assert cache.ttl("a") is None

    def test_changing_a_value_keeps_its_lifetime(self, shared_state: State) -> None:
        cache = shared_state.map("cache")
        cache.set("a", 1, ttl=LONG)
        cache.increment("a")
        cache.increment_many({"a": 1})
        assert cache.compare_and_set("a", 3, 4)
        assert cache.update_with("a", lambda value: value + 1) == 5
        assert cache.setdefault("a", 9) == 5
        assert cache.ttl("a") is not None

    def test_touch_and_persist_change_the_lifetime_alone(self, shared_state: State) -> None:
        cache = shared_state.map("cache")
        cache["a"] = 1
        assert cache.persist("a") is False
        assert cache.touch("a", LONG) is True
        assert cache.ttl("a") is not None
        assert cache.persist("a") is True
        assert cache.ttl("a") is None
        assert cache == {"a": 1}

    def test_touch_and_persist_need_an_entry(self, shared_state: State) -> None:
        cache = shared_state.map("cache")
        assert (cache.touch("a", LONG), cache.persist("a")) == (False, False)
        assert parts(cache, shared_state) == []

    def test_many_entries_get_one_lifetime(self, shared_state: State) -> None:
        cache = shared_state.map("cache", key=int)
        cache.set_many(dict.fromkeys(range(2500), "x"), ttl=LONG)
        assert len(cache) == len(cache.copy()) == len(cache.get_many(range(2500))) == 2500
        assert cache.ttl(2499) is not None
        cache.set_many(dict.fromkeys(range(2500), "y"))
        assert cache.ttl(2499) is None
        assert cache.delete_many(range(2500)) == 2500

    @pytest.mark.parametrize("ttl", [0, -1, 0.0, timedelta(0), float("nan"), float("inf")])
    def test_a_lifetime_must_be_positive_and_finite(
        self, shared_state: State, ttl: float | timedelta
    ) -> None:
        cache = shared_state.map("cache")
        cache["a"] = 1
        for use in (
            lambda: cache.set("a", 2, ttl=ttl),
            lambda: cache.set_many({"a": 2}, ttl=ttl),
            lambda: cache.touch("a", ttl),
        ):
            with pytest.raises(ValueError, match="expected ttl of more than 0"):
                use()
        assert cache["a"] == 1

    @pytest.mark.parametrize("ttl", ["5", True, b"5"])
    def test_a_lifetime_must_be_a_number(self, shared_state: State, ttl: Any) -> None:
        with pytest.raises(TypeError, match="ttl in seconds or as timedelta"):
            shared_state.map("cache").set("a", 1, ttl=ttl)

    @pytest.mark.parametrize("keep", [True, False])
    @pytest.mark.parametrize("operation", [*_READS, *_WRITES])
    def test_an_entry_that_is_due_is_seen_by_no_method(
        self, shared_state: State, operation: str, keep: bool
    ) -> None:
        # Whatever a method does after an entry is due, it does as if it never had been.
        call = {**_READS, **_WRITES}[operation]
        cache, model = shared_state.map("cache"), shared_state.map("model")
        if keep:
            cache["other"] = model["other"] = 1
            model.set("third", 1, ttl=LONG)
            cache.set("third", 1, ttl=LONG)
        cache.set("k", 7, ttl=0.001)
        wait_until_due(shared_state, 0.001)
        assert call(cache) == call(model)
        assert cache.copy() == model.copy()
        assert len(cache) == len(model)
        assert {k: cache.ttl(k) is None for k in cache} == {
            k: model.ttl(k) is None for k in model
        }

    def test_popitem_finds_what_is_alive_among_the_dead(self, shared_state: State) -> None:
        cache = shared_state.map("cache")
        cache.set_many({f"dead {number}": 0 for number in range(100)}, ttl=0.001)
        cache.update(a=1)
        cache.set("b", 2, ttl=LONG)
        wait_until_due(shared_state, 0.001)
        assert dict([cache.popitem(), cache.popitem()]) == {"a": 1, "b": 2}
        with pytest.raises(KeyError):
            cache.popitem()
        assert parts(cache, shared_state) == []

    def test_the_dead_do_not_pile_up(self, shared_state: State) -> None:
        cache = shared_state.map("cache")
        cache["keep"] = 0
        cache.set_many({f"dead {number}": 0 for number in range(100)}, ttl=0.001)
        wait_until_due(shared_state, 0.001)
        for number in range(10):
            cache.set(f"alive {number}", 1, ttl=LONG)
        stored = shared_state.backend.execute(("HLEN", cache._context.key("timed")))
        assert stored == len(cache) == 11

    def test_a_map_without_lifetimes_is_one_hash(self, shared_state: State) -> None:
        plain = shared_state.map("plain")
        plain.update(a=1, b=2)
        plain.pop("a")
        plain.setdefault("c", 3)
        plain.compare_and_set("c", 3, 4)
        assert parts(plain, shared_state) == ["data"]
        assert shared_state.backend.execute(("TYPE", plain._context.key("data"))) == b"hash"

    def test_a_map_left_alone_expires_as_a_whole(self, shared_state: State) -> None:
        cache = shared_state.map("cache")
        cache["a"] = 1
        cache.set("b", 2, ttl=0.002)
        cache.touch("a", 0.001)
        wait_until_due(shared_state, 0.002)
        assert parts(cache, shared_state) == []

    def test_an_entry_without_end_keeps_the_map(self, shared_state: State) -> None:
        cache = shared_state.map("cache")
        cache.set("a", 1, ttl=0.5)
        cache.set("b", 2, ttl=LONG)
        cache.persist("b")
        for part in parts(cache, shared_state):
            key = cache._context.key(part)
            assert shared_state.backend.execute(("PTTL", key)) == -1

    def test_an_emptied_map_is_plain_again(self, shared_state: State) -> None:
        cache = shared_state.map("cache")
        for empty in (
            lambda: cache.__delitem__("a"),
            lambda: cache.pop("a"),
            lambda: cache.popitem(),
            lambda: cache.clear(),
            lambda: cache.delete_many(["a"]),
            lambda: cache.compare_and_set("a", 1, ABSENT),
        ):
            cache.set("a", 1, ttl=LONG)
            empty()
            assert parts(cache, shared_state) == []
            cache["a"] = 2
            assert parts(cache, shared_state) == ["data"]

    def test_leftovers_of_an_evicted_map_do_not_come_back(
        self, shared_state: State
    ) -> None:
        # A store that evicts may take the marker, and leave what it stood for.
        cache = shared_state.map("cache")
        cache.set_many({"old": 1, "new": 1}, ttl=LONG)
        shared_state.backend.execute(("DEL", cache._context.key("data")))
        assert cache == {}
        cache["new"] = 2
        cache.set("newer", 3, ttl=LONG)
        assert cache == {"new": 2, "newer": 3}
        assert cache.ttl("new") is None

    def test_handles_follow_each_change_of_layout(self, shared_state: State) -> None:
        one, other = shared_state.map("cache"), shared_state.map("cache")
        for _ in range(3):
            other["a"] = 1
            one.set("b", 2, ttl=LONG)
            assert other["a"] == 1
            assert other.copy() == {"a": 1, "b": 2}
            other.clear()
            one["a"] = 3
            assert other["a"] == 3
            one.clear()

    def test_an_iteration_goes_on_when_the_layout_changes(
        self, shared_state: State
    ) -> None:
        numbers = shared_state.map("numbers", key=int)
        numbers.update(dict.fromkeys(range(2500), 0))
        told: list[int] = []
        for number in numbers:
            if not told:
                shared_state.map("numbers", key=int).set(0, 1, ttl=LONG)
            told.append(number)
        assert sorted(told) == list(range(2500))

    @pytest.mark.parametrize("timed", [False, True])
    @pytest.mark.parametrize("operation", [*_READS, *_WRITES])
    def test_an_operation_is_one_round_trip_in_either_layout(
        self, shared_state: State, operation: str, timed: bool
    ) -> None:
        cache, calls = recorded_map(shared_state, "cache")
        cache["other"] = 1
        if timed:
            cache.set("b", 1, ttl=LONG)
        calls.clear()
        {**_READS, **_WRITES}[operation](cache)
        assert len(calls) == (2 if operation == "update_with" else 1)

    def test_a_plain_map_needs_no_scripts_to_be_read_and_written(
        self, shared_state: State
    ) -> None:
        plain, calls = recorded_map(shared_state, "plain")
        plain.update(k=1)
        plain["a"] = plain["k"]
        for read in _READS.values():
            read(plain)
        plain.increment("k")
        del plain["k"]
        assert all(call.isupper() for call in calls)

    def test_a_handle_learns_the_layout_once(self, shared_state: State) -> None:
        cache, calls = recorded_map(shared_state, "cache")
        shared_state.map("cache").set("k", 1, ttl=LONG)
        assert [cache["k"], cache["k"]] == [1, 1]
        assert calls == ["HGET", "map.hget", "map.hget"]
        shared_state.map("cache").clear()
        calls.clear()
        assert ["k" in cache, "k" in cache] == [False, False]
        assert calls == ["map.hexists", "HEXISTS"]

    def test_what_is_not_a_map_is_refused(self, shared_state: State) -> None:
        table = shared_state.map("table")
        shared_state.backend.execute(("LPUSH", table._context.key("data"), "x"))
        for use in (lambda: table["a"], lambda: table.set("a", 1), lambda: len(table)):
            with pytest.raises(CommandError, match="wrong kind of value"):
                use()
