"""What maps must do on every backend: many entries at once, and changes not lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from sharedstate.errors import CounterOverflow, NotANumber
from sharedstate.structures.map import ABSENT

if TYPE_CHECKING:
    from sharedstate.state import State

MANY = 2500
"""Entries: more than a script hands to one command."""


class MapChanges:
    """Tests of what a `Map` has beyond a dict, lifetimes aside."""

    def test_set_writes_and_says_so(self, shared_state: State) -> None:
        prices = shared_state.map("prices")
        assert prices.set("pear", 1) is True
        assert prices["pear"] == 1

    def test_set_if_absent_writes_once(self, shared_state: State) -> None:
        prices = shared_state.map("prices")
        assert prices.set("pear", 1, if_absent=True) is True
        assert prices.set("pear", 2, if_absent=True) is False
        assert prices["pear"] == 1

    def test_set_if_present_only_replaces(self, shared_state: State) -> None:
        prices = shared_state.map("prices")
        assert prices.set("pear", 1, if_present=True) is False
        prices["pear"] = 1
        assert prices.set("pear", 2, if_present=True) is True
        assert prices == {"pear": 2}

    def test_set_refuses_contradicting_conditions(self, shared_state: State) -> None:
        with pytest.raises(ValueError, match="got both"):
            shared_state.map("prices").set("pear", 1, if_absent=True, if_present=True)

    def test_get_many_returns_what_there_is_in_order(self, shared_state: State) -> None:
        prices = shared_state.map("prices")
        prices.update(pear=1, plum=None)
        found = prices.get_many(["plum", "fig", "pear", "plum"])
        assert list(found.items()) == [("plum", None), ("pear", 1)]
        assert prices.get_many([]) == {}

    def test_delete_many_counts_what_there_was(self, shared_state: State) -> None:
        prices = shared_state.map("prices")
        prices.update(pear=1, plum=2, fig=3)
        assert prices.delete_many(key for key in ("pear", "fig", "lime")) == 2
        assert prices.delete_many([]) == 0
        assert prices == {"plum": 2}

    def test_many_entries_go_at_once(self, shared_state: State) -> None:
        numbers = shared_state.map("numbers", key=int)
        numbers.set_many({number: str(number) for number in range(MANY)})
        assert numbers.get_many(range(MANY)) == numbers.copy()
        assert len(numbers) == MANY
        assert numbers.delete_many(range(MANY)) == MANY

    def test_set_many_writes_nothing_if_one_is_refused(self, shared_state: State) -> None:
        prices = shared_state.map("prices")
        with pytest.raises(TypeError):
            prices.set_many({"pear": 1, 5: 2})  # type: ignore[dict-item]
        assert not prices

    def test_compare_and_set_changes_what_is_as_expected(self, shared_state: State) -> None:
        prices = shared_state.map("prices")
        prices["pear"] = [1]
        assert not prices.compare_and_set("pear", [0], [2])
        assert prices.compare_and_set("pear", [1], [2])
        assert not prices.compare_and_set("plum", [1], [2])
        assert prices == {"pear": [2]}

    def test_compare_and_set_expects_and_leaves_nothing(self, shared_state: State) -> None:
        prices = shared_state.map("prices")
        assert prices.compare_and_set("pear", ABSENT, None)
        assert not prices.compare_and_set("pear", ABSENT, 2)
        assert not prices.compare_and_set("pear", 2, ABSENT)
        assert prices.compare_and_set("pear", None, ABSENT)
        assert prices.compare_and_set("pear", ABSENT, ABSENT)
        assert not prices

    def test_compare_and_set_compares_values_not_bytes(self, shared_state: State) -> None:
        table = shared_state.map("table")
        table.update(number=1, record={"a": 1, "b": 2})
        assert table.compare_and_set("number", 1.0, 2)
        assert table.compare_and_set("record", {"b": 2, "a": 1}, {})
        assert table == {"number": 2, "record": {}}

    def test_update_with_changes_a_part_of_a_value(self, shared_state: State) -> None:
        table = shared_state.map("table")
        table["user"] = {"tags": ["a"]}

        def tag(user: Any) -> Any:
            user["tags"].append("b")
            return user

        assert table.update_with("user", tag) == {"tags": ["a", "b"]}
        assert table["user"] == {"tags": ["a", "b"]}

    def test_update_with_starts_from_a_default(self, shared_state: State) -> None:
        table, default = shared_state.map("table"), [0]
        for expected in ([0, 1], [0, 1, 1]):
            assert (
                table.update_with("list", lambda old: [*old, 1], default=default)
                == expected
            )
        assert default == [0]

    def test_update_with_needs_an_entry_or_a_default(self, shared_state: State) -> None:
        with pytest.raises(KeyError, match="list"):
            shared_state.map("table").update_with("list", lambda old: old)

    def test_update_with_can_remove(self, shared_state: State) -> None:
        table = shared_state.map("table")
        table["a"] = 1
        assert table.update_with("a", lambda _: ABSENT) is ABSENT
        assert not table

    def test_update_with_runs_again_when_another_came_between(
        self, shared_state: State
    ) -> None:
        table, other = shared_state.map("table"), shared_state.map("table")
        table["a"] = 0
        seen: list[int] = []

        def add(value: int) -> int:
            seen.append(value)
            if len(seen) <= 3:
                other["a"] = value + 10
            return value + 1

        assert table.update_with("a", add) == 31
        assert seen == [0, 10, 20, 30]

    def test_increment_adds_to_whole_numbers(self, shared_state: State) -> None:
        words = shared_state.map("words")
        assert [
            words.increment("a"),
            words.increment("a", 5),
            words.increment("b", -2),
        ] == [
            1,
            6,
            -2,
        ]
        assert words == {"a": 6, "b": -2}

    def test_increment_refuses_what_is_no_whole_number(self, shared_state: State) -> None:
        words = shared_state.map("words")
        words.update(text="5", real=1.5, huge=2**70)
        for key in ("text", "real", "huge"):
            with pytest.raises(NotANumber, match=f"entry '{key}' of the map 'words'"):
                words.increment(key)
            with pytest.raises(NotANumber, match=f"entry '{key}' of the map 'words'"):
                words.increment_many({key: 1})
        for n in (True, 1.0, "1"):
            with pytest.raises(TypeError, match="amount as an int"):
                words.increment("new", n)  # type: ignore[arg-type]

    def test_increment_does_not_leave_64_bits(self, shared_state: State) -> None:
        words = shared_state.map("words")
        words["a"] = 2**63 - 2
        assert words.increment("a") == 2**63 - 1
        for use in (words.increment, lambda key: words.increment_many({key: 1})):
            with pytest.raises(CounterOverflow, match="range of 64 bits"):
                use("a")
        with pytest.raises(CounterOverflow):
            words.increment("b", 2**63)
        assert words == {"a": 2**63 - 1}

    def test_increment_many_adds_to_all(self, shared_state: State) -> None:
        words = shared_state.map("words")
        words.update(a=1, big=2**62)
        words.increment_many({"a": 2, "new": 5, "big": 2**61, "down": -(2**62)})
        words.increment_many({})
        assert words == {"a": 3, "new": 5, "big": 2**62 + 2**61, "down": -(2**62)}

    def test_increment_many_takes_many(self, shared_state: State) -> None:
        words = shared_state.map("words", key=int)
        amounts = {number: number + 1 for number in range(MANY)}
        for _ in range(2):
            words.increment_many(amounts)
        assert words == {number: 2 * (number + 1) for number in range(MANY)}

    @pytest.mark.parametrize("value", ["text", 2**63 - 1])
    def test_increment_many_adds_to_all_or_to_none(
        self, shared_state: State, value: object
    ) -> None:
        words = shared_state.map("words")
        before = {"a": 1, "big": 2**62, "bad": value}
        words.update(before)
        with pytest.raises((NotANumber, CounterOverflow), match="entry 'bad'"):
            words.increment_many({"new": 2**60, "a": 1, "big": 1, "bad": 1, "late": 1})
        assert words == before
