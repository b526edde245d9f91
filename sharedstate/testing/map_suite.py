"""What maps must do on every backend: here what they have of a dict, and their keys.

Changes that are not lost are in `map_changes_suite.py`, lifetimes in
`map_expiry_suite.py`, random calls against a dict in `map_machine.py`.
"""

from __future__ import annotations

import pickle
from collections.abc import MutableMapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import pytest

from sharedstate.backend import Capability
from sharedstate.errors import ConfigError, SerializationError
from sharedstate.testing.map_changes_suite import MapChanges
from sharedstate.testing.map_expiry_suite import MapExpiry
from sharedstate.testing.map_machine import check_map_against_model

if TYPE_CHECKING:
    from sharedstate.state import State

MANY = 2500
"""Entries: enough for several steps of an iteration, and chunks of a script."""


class _Colour(StrEnum):
    RED = "red"


class MapKeys:
    """Tests of the types of keys."""

    def test_keys_are_text_unless_told_otherwise(self, shared_state: State) -> None:
        prices = shared_state.map("prices")
        prices["pëar"] = 3
        assert list(prices) == ["pëar"]

    @pytest.mark.parametrize("keys", [(0, -5, 2**70), (b"", b"\x00\xff")])
    def test_keys_of_a_type_come_back_as_that_type(
        self, shared_state: State, keys: tuple[Any, ...]
    ) -> None:
        table = shared_state.map("table", key=type(keys[0]))
        table.update({key: str(key) for key in keys})
        assert table.copy() == {key: str(key) for key in keys}
        assert table.get_many(keys) == {key: str(key) for key in keys}
        assert all(key in table and table[key] == str(key) for key in keys)

    def test_any_key_that_can_be_stored_serves_by_asking(self, shared_state: State) -> None:
        table = shared_state.map("table", key=object)
        entries = {"a": 1, 5: 2, None: 3, (1, "b"): 4, b"c": 5, 1.5: 6}
        table.update(entries)
        assert table.copy() == entries
        assert table.pop((1, "b")) == 4

    def test_an_unhashable_key_is_refused(self, shared_state: State) -> None:
        with pytest.raises(TypeError, match="unhashable"):
            shared_state.map("table", key=object)[[1]] = 1

    @pytest.mark.parametrize(
        ("kind", "key"), [(str, 5), (str, b"a"), (int, "5"), (int, True), (bytes, "a")]
    )
    def test_a_key_of_a_wrong_type_is_refused(
        self, shared_state: State, kind: type[Any], key: object
    ) -> None:
        table = shared_state.map("table", key=kind)
        wanted = f"expected a key of type {kind.__name__}, got {type(key).__name__}"
        for use in (table.__getitem__, table.get, table.pop, table.__contains__):
            with pytest.raises(TypeError, match=wanted):
                use(key)
        with pytest.raises(TypeError, match=wanted):
            table[key] = 1
        with pytest.raises(TypeError, match=wanted):
            table.update({key: 1})

    def test_a_key_that_is_a_kind_of_text_is_that_text(self, shared_state: State) -> None:
        table = shared_state.map("table")
        table[_Colour.RED] = 1
        assert table["red"] == 1
        assert list(table) == ["red"]

    def test_a_key_that_cannot_be_read_back_says_so(self, shared_state: State) -> None:
        shared_state.map("table", key=bytes)[b"\xff"] = 1
        with pytest.raises(SerializationError, match="key of type str"):
            list(shared_state.map("table"))
        with pytest.raises(SerializationError, match="key of type int"):
            list(shared_state.map("table", key=int))

    def test_an_unknown_type_of_keys_is_refused(self, shared_state: State) -> None:
        with pytest.raises(ConfigError, match="key=str, int, bytes or object, got float"):
            shared_state.map("table", key=float)

    def test_an_unknown_option_is_refused(self, shared_state: State) -> None:
        with pytest.raises(ConfigError, match="unknown option of a map: size"):
            shared_state.structure("map", "table", size=5)


class MapSuite(MapKeys, MapChanges, MapExpiry):
    """Tests of `Map`. A backend's own test class inherits them."""

    def test_a_map_is_a_mutable_mapping(self, shared_state: State) -> None:
        assert isinstance(shared_state.map("prices"), MutableMapping)

    def test_a_new_map_is_empty(self, shared_state: State) -> None:
        prices = shared_state.map("prices")
        assert not prices
        assert (len(prices), list(prices), prices.copy()) == (0, [], {})

    def test_what_is_written_is_read(self, shared_state: State) -> None:
        prices = shared_state.map("prices")
        prices["pear"] = {"eur": [3, 0.5, None]}
        assert prices["pear"] == {"eur": [3, 0.5, None]}
        assert shared_state.map("prices")["pear"] == {"eur": [3, 0.5, None]}

    def test_a_missing_key_is_a_key_error(self, shared_state: State) -> None:
        prices = shared_state.map("prices")
        for use in (prices.__getitem__, prices.__delitem__, prices.pop, prices.ttl):
            with pytest.raises(KeyError, match="pear"):
                use("pear")

    def test_get_returns_the_value_or_a_default(self, shared_state: State) -> None:
        prices = shared_state.map("prices")
        prices["pear"] = None
        assert prices.get("pear", 5) is None
        assert prices.get("plum") is None
        assert prices.get("plum", 5) == 5

    def test_in_tells_whether_there_is_a_key(self, shared_state: State) -> None:
        prices = shared_state.map("prices")
        prices["pear"] = None
        assert "pear" in prices
        assert "plum" not in prices

    def test_del_removes_an_entry(self, shared_state: State) -> None:
        prices = shared_state.map("prices")
        prices.update(pear=1, plum=2)
        del prices["pear"]
        assert prices == {"plum": 2}

    def test_pop_removes_and_returns(self, shared_state: State) -> None:
        prices = shared_state.map("prices")
        prices["pear"] = 1
        assert prices.pop("pear") == 1
        assert prices.pop("pear", None) is None
        assert not prices

    def test_popitem_removes_any_entry_until_none_is_left(
        self, shared_state: State
    ) -> None:
        prices = shared_state.map("prices")
        prices.update(pear=1, plum=2)
        assert dict([prices.popitem(), prices.popitem()]) == {"pear": 1, "plum": 2}
        with pytest.raises(KeyError, match="empty"):
            prices.popitem()

    def test_setdefault_writes_only_what_is_missing(self, shared_state: State) -> None:
        prices = shared_state.map("prices")
        assert prices.setdefault("pear", [1]) == [1]
        assert prices.setdefault("pear", [2]) == [1]
        assert prices.setdefault("plum") is None
        assert prices.copy() == {"pear": [1], "plum": None}

    def test_update_takes_what_dict_update_takes(self, shared_state: State) -> None:
        prices = shared_state.map("prices")
        prices.update({"pear": 1})
        prices.update([("plum", 2)], fig=3)
        prices.update()
        prices.update(prices)
        assert prices == {"pear": 1, "plum": 2, "fig": 3}

    def test_clear_removes_everything(self, shared_state: State) -> None:
        prices = shared_state.map("prices")
        prices.update(pear=1, plum=2)
        prices.clear()
        assert not prices
        assert list(shared_state.names()) == []

    def test_the_bar_joins_maps_and_dicts(self, shared_state: State) -> None:
        left, right = shared_state.map("left"), shared_state.map("right")
        left.update(a=1, b=2)
        right.update(b=3)
        assert left | {"b": 0} == {"a": 1, "b": 0}
        assert {"b": 0, "c": 4} | left == {"a": 1, "b": 2, "c": 4}
        assert left | right == {"a": 1, "b": 3}
        with pytest.raises(TypeError):
            left | 5  # type: ignore[operator]

    def test_the_bar_in_place_changes_the_shared_map(self, shared_state: State) -> None:
        left = handle = shared_state.map("left")
        left["a"] = 1
        left |= {"b": 2}
        assert left is handle
        assert shared_state.map("left") == {"a": 1, "b": 2}

    def test_a_map_equals_what_has_the_same_entries(self, shared_state: State) -> None:
        left, right = shared_state.map("left"), shared_state.map("right")
        for each in (left, right):
            each.update(a=1, b=[2])
        assert left == {"b": [2], "a": 1} == right == left
        assert left != {"a": 1}
        assert left != shared_state.map("empty")

    def test_views_show_keys_values_and_entries(self, shared_state: State) -> None:
        prices = shared_state.map("prices")
        prices.update(pear=1, plum=2)
        assert prices.keys() == {"pear", "plum"}
        assert sorted(prices.values()) == [1, 2]
        assert sorted(prices.items()) == [("pear", 1), ("plum", 2)]
        assert len(prices.keys()) == len(prices.values()) == len(prices.items()) == 2
        assert 2 in prices.values()
        assert 3 not in prices.values()
        assert ("pear", 1) in prices.items()
        assert ("pear", 2) not in prices.items()

    def test_views_follow_the_map(self, shared_state: State) -> None:
        prices = shared_state.map("prices")
        items = prices.items()
        prices["pear"] = 1
        assert list(items) == [("pear", 1)]

    def test_a_large_map_is_iterated_completely_and_once(self, shared_state: State) -> None:
        numbers = shared_state.map("numbers", key=int)
        numbers.update({number: number * 2 for number in range(MANY)})
        assert sorted(numbers) == list(range(MANY))
        assert sorted(numbers.items()) == [(number, number * 2) for number in range(MANY)]

    def test_what_stays_is_told_though_the_map_changes(self, shared_state: State) -> None:
        numbers = shared_state.map("numbers", key=int)
        numbers.update(dict.fromkeys(range(MANY), 0))
        told: list[int] = []
        for number in numbers:
            told.append(number)
            if number % 2:
                del numbers[number]
            elif len(told) % 100 == 0:
                numbers[MANY + number] = 1
        assert len(told) == len({*told})
        assert {*range(0, MANY, 2)} <= {*told}

    def test_whole_numbers_of_any_size_are_values(self, shared_state: State) -> None:
        table = shared_state.map("table")
        table.update(small=-1, large=2**200, flag=True)
        assert table.copy() == {"small": -1, "large": 2**200, "flag": True}
        assert table["flag"] is True

    def test_a_handle_travels_with_its_options(self, shared_state: State) -> None:
        if Capability.PROCESSES not in shared_state.capabilities:
            pytest.skip("the backend lives in this process only, and so do its handles")
        numbers = shared_state.map("numbers", key=int)
        numbers[5] = "five"
        twin = pickle.loads(pickle.dumps(numbers))
        assert twin[5] == "five"
        assert list(twin) == [5]

    def test_a_repr_tells_the_name(self, shared_state: State) -> None:
        assert repr(shared_state.map("prices")).startswith("<Map 'prices' on ")

    def test_a_map_is_as_its_model_says(self, shared_state: State) -> None:
        check_map_against_model(shared_state)
