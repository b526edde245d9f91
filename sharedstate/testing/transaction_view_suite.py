"""The part of the suite of transactions that is about views."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

import pytest

import sharedstate
from sharedstate.errors import (
    BoundExceeded,
    CounterOverflow,
    NotANumber,
    SharedStateError,
)
from sharedstate.testing.map_expiry_suite import LONG, wait_until_due
from sharedstate.testing.transaction_machine import (
    check_counter_in_transactions,
    check_floats_in_transactions,
    check_map_in_transactions,
)

if TYPE_CHECKING:
    from sharedstate.state import State
    from sharedstate.structures.counter import Counter
    from sharedstate.structures.map import Map


class Stop(Exception):
    """What a function under test raises."""


def stock_and_sold(state: State) -> tuple[Map[str, Any], Counter]:
    """A map with an entry, and a counter."""
    stock, sold = state.map("stock"), state.counter("sold")
    stock["apple"] = 3
    return stock, sold


def sell(stock: Map[str, Any], sold: Counter, name: str = "apple", n: int = 1) -> int:
    """A transaction: one is taken, the other counts it."""
    if stock[name] < n:
        raise Stop
    stock.increment(name, -n)
    return sold.add(n)


class Views:
    """Views are the structures, inside of a transaction."""

    def test_a_map_agrees_with_a_dict(self, shared_state: State) -> None:
        check_map_in_transactions(shared_state)

    def test_a_counter_agrees_with_an_int(self, shared_state: State) -> None:
        check_counter_in_transactions(shared_state)

    def test_a_counter_of_floats_agrees_with_another(self, shared_state: State) -> None:
        check_floats_in_transactions(shared_state)

    def test_views_are_of_the_same_types(self, shared_state: State) -> None:
        stock, sold = stock_and_sold(shared_state)
        weight = shared_state.float_counter("w")

        def types(*views: object) -> list[type]:
            return [type(view) for view in views]

        transaction = shared_state.transaction(stock, sold, weight)
        assert transaction.run(types) == [type(stock), type(sold), type(weight)]

    def test_errors_are_those_of_the_structures(self, shared_state: State) -> None:
        stock, sold = stock_and_sold(shared_state)
        stock["word"] = "x"

        def err(stock: Map[str, Any], sold: Counter) -> None:
            with pytest.raises(KeyError):
                stock["none"]
            with pytest.raises(KeyError):
                del stock["none"]
            with pytest.raises(KeyError):
                stock.update_with("none", str)
            with pytest.raises(NotANumber):
                stock.increment("word")
            with pytest.raises(CounterOverflow):
                stock.increment("apple", 2**63 - 1)
            with pytest.raises(NotANumber, match="'word'"):
                stock.increment_many({"apple": 1, "word": 1})
            with pytest.raises(BoundExceeded):
                sold.add(-1, minimum=0, on_bound="raise")
            assert sold.add(-1, minimum=0) is None
            with pytest.raises(CounterOverflow):
                sold.add(2**63)
            with pytest.raises(TypeError):
                stock[1] = 1  # type: ignore[index]

        shared_state.transaction(stock, sold).run(err)
        assert stock.copy() == {"apple": 3, "word": "x"}
        assert sold.value == 0

    def test_a_key_of_another_kind_is_refused(self, shared_state: State) -> None:
        stock, sold = stock_and_sold(shared_state)
        shared_state.backend.execute(("DEL", stock._context.key("data")))
        shared_state.backend.execute(("LPUSH", stock._context.key("data"), "x"))
        for function in (
            lambda stock, sold: stock.get("a"),
            lambda stock, sold: stock.update(a=1),
        ):
            with pytest.raises(SharedStateError, match="WRONGTYPE"):
                shared_state.transaction(stock, sold).run(function)

    def test_popitem_empties_a_map(self, shared_state: State) -> None:
        numbers = shared_state.map("numbers", key=int)
        numbers.set_many({number: number for number in range(1200)})

        def drain(numbers: Map[int, int]) -> dict[int, int]:
            numbers[5000] = 5000
            taken = {}
            while numbers:
                key, value = numbers.popitem()
                taken[key] = value
            with pytest.raises(KeyError):
                numbers.popitem()
            return taken

        taken = shared_state.transaction(numbers).run(drain)
        assert taken == {number: number for number in [*range(1200), 5000]}
        assert len(numbers) == 0

    @pytest.mark.parametrize("ttl", [None, LONG])
    def test_a_large_map_is_gone_over_once(
        self, shared_state: State, ttl: float | None
    ) -> None:
        numbers = shared_state.map("numbers", key=int)
        numbers.set_many({number: number for number in range(3000)}, ttl=ttl)

        def change(numbers: Map[int, int]) -> tuple[list[int], int]:
            del numbers[0]
            numbers[1] = -1
            numbers[3000] = 3000
            return sorted(numbers.values()), len(numbers)

        values, length = shared_state.transaction(numbers).run(change)
        assert values == [-1, *range(2, 3001)]
        assert length == 3000
        assert sorted(numbers.values()) == values

    @pytest.mark.parametrize("ttl", [None, LONG])
    def test_many_entries_are_written_in_one_step(
        self, shared_state: State, ttl: float | None
    ) -> None:
        numbers = shared_state.map("numbers", key=int)
        numbers[-1] = -1

        def write(numbers: Map[int, int]) -> None:
            numbers.clear()
            numbers.set_many({number: number for number in range(60_000)}, ttl=ttl)

        shared_state.transaction(numbers).run(write)
        assert len(numbers) == 60_000
        assert numbers[59_999] == 59_999
        assert (numbers.ttl(59_999) is None) == (ttl is None)

    def test_lifetimes_begin_with_the_commit(self, shared_state: State) -> None:
        leases = shared_state.map("leases")
        leases.set("old", 0, ttl=LONG)

        def write(leases: Map[str, int]) -> float | None:
            leases.set("brief", 1, ttl=0.001)
            leases.set("long", 2, ttl=LONG)
            wait_until_due(shared_state, 0.001)
            assert leases["brief"] == 1
            assert leases.touch("old", 2 * LONG)
            return leases.ttl("brief")

        assert shared_state.transaction(leases).run(write) == 0.001
        wait_until_due(shared_state, 0.001)
        assert leases.copy() == {"old": 0, "long": 2}
        assert (leases.ttl("old") or 0) > LONG >= (leases.ttl("long") or 0) > 0

    def test_a_change_of_a_value_leaves_its_lifetime_alone(
        self, shared_state: State
    ) -> None:
        kept = shared_state.map("kept")
        kept.set_many(dict.fromkeys("abcd", 1), ttl=LONG)

        def change(kept: Map[str, int]) -> None:
            kept.set_many(dict.fromkeys("efgh", 1), ttl=LONG)
            for one, two, three, four in ("abcd", "efgh"):
                kept.increment(one)
                kept.increment_many({two: 1})
                assert kept.compare_and_set(three, 1, 2)
                kept.update_with(four, lambda value: value + 1)
            assert all(kept.ttl(key) for key in kept)
            kept["a"] = 2
            assert kept.ttl("a") is None

        shared_state.transaction(kept).run(change)
        assert kept.copy() == dict.fromkeys("abcdefgh", 2)
        assert {key for key in kept if kept.ttl(key) is None} == {"a"}

    @pytest.mark.parametrize("ttl", [None, LONG])
    def test_what_was_removed_is_gone_and_may_come_again(
        self, shared_state: State, ttl: float | None
    ) -> None:
        stock = shared_state.map("stock")
        stock.set_many({"a": 1, "b": 2, "c": 3}, ttl=ttl)

        def remove(stock: Map[str, int]) -> None:
            del stock["a"]
            assert stock.pop("b") == 2
            assert "a" not in stock
            assert stock.get_many("abc") == {"c": 3}
            stock["a"] = 4
            assert (stock.copy(), len(stock)) == ({"a": 4, "c": 3}, 2)

        shared_state.transaction(stock).run(remove)
        assert stock.copy() == {"a": 4, "c": 3}

    @pytest.mark.parametrize("ttl", [None, LONG])
    def test_a_cleared_map_begins_anew(
        self, shared_state: State, ttl: float | None
    ) -> None:
        stock = shared_state.map("stock")
        stock.set_many({"a": 1, "b": 2}, ttl=ttl)

        def renew(stock: Map[str, int]) -> None:
            stock.clear()
            assert (stock.get("a"), len(stock), list(stock)) == (None, 0, [])
            stock["b"] = 3
            stock.set("c", 4, ttl=LONG)

        shared_state.transaction(stock).run(renew)
        assert stock.copy() == {"b": 3, "c": 4}
        assert stock.ttl("b") is None
        shared_state.transaction(stock).run(lambda stock: stock.clear())
        assert list(shared_state.names()) == []

    def test_the_dead_are_not_seen(self, shared_state: State) -> None:
        leases = shared_state.map("leases")
        leases.set_many({"a": 1, "b": 2}, ttl=0.001)
        leases["c"] = 3
        wait_until_due(shared_state, 0.001)

        def look(leases: Map[str, int]) -> tuple[object, ...]:
            return len(leases), list(leases), leases.get("a"), leases.pop("b", None)

        assert shared_state.transaction(leases).run(look) == (1, ["c"], None, None)

    def test_bounds_hold_and_are_included(self, shared_state: State) -> None:
        sold = shared_state.counter("sold")
        sold.set(3)

        def add(sold: Counter) -> list[int | None]:
            return [
                sold.add(-4, minimum=0),
                sold.add(-3, minimum=0),
                sold.add(7, maximum=7),
                sold.add(1, maximum=7),
                sold.add(2**63 - 1, maximum=2**63 - 1),
                sold.add(-(2**63), minimum=-(2**63)),
            ]

        results = shared_state.transaction(sold).run(add)
        assert results == [None, 0, 7, None, None, 7 - 2**63]

    def test_what_adds_to_a_counter_leaves_its_expiry_alone(
        self, shared_state: State
    ) -> None:
        sold = shared_state.counter("sold")
        key, execute = sold._context.key("value"), shared_state.backend.execute
        execute(("SET", key, 1, "EX", 1000))
        shared_state.transaction(sold).run(lambda sold: sold.add(1))
        assert execute(("TTL", key)) > 0
        shared_state.transaction(sold).run(lambda sold: (sold.set(1), sold.add(1)))
        assert execute(("TTL", key)) == -1

    def test_a_view_ends_with_its_attempt(self, shared_state: State) -> None:
        stock, sold = stock_and_sold(shared_state)
        kept = shared_state.transaction(stock, sold).run(lambda *views: views)
        for use in (lambda: kept[0]["apple"], lambda: kept[0].clear(), kept[1].reset):
            with pytest.raises(SharedStateError, match="is over"):
                use()

    def test_a_view_stays_where_it_is(self, shared_state: State) -> None:
        stock, _ = stock_and_sold(shared_state)

        def travel(stock: Map[str, Any]) -> str:
            with pytest.raises(TypeError, match="cannot travel"):
                pickle.dumps(stock)
            with pytest.raises(ValueError, match="views"):
                shared_state.transaction(stock)
            return repr(stock)

        assert "in a transaction" in shared_state.transaction(stock).run(travel)

    def test_only_maps_and_counters_of_one_state_are_taken(
        self, shared_state: State
    ) -> None:
        stock, sold = stock_and_sold(shared_state)
        with pytest.raises(ValueError, match="got none"):
            shared_state.transaction()
        foreign: object
        for foreign in (shared_state.queue("q"), {}, "stock"):
            with pytest.raises(TypeError, match="expected maps and counters"):
                shared_state.transaction(stock, foreign)
        with sharedstate.connect("memory://") as other:
            with pytest.raises(ValueError, match="of one state"):
                shared_state.transaction(stock, other.counter("sold"))
            with pytest.raises(ValueError, match="of one state"):
                other.transaction(stock, sold)

    def test_bounds_that_make_no_sense_are_refused(self, shared_state: State) -> None:
        sold = shared_state.counter("sold")
        for attempts in (0, -1, True, 1.5):
            with pytest.raises(ValueError, match="attempts of 1 or more"):
                shared_state.transaction(sold, attempts=attempts)  # type: ignore[arg-type]
        for timeout in (-1, float("nan")):
            with pytest.raises(ValueError, match="timeout in seconds"):
                shared_state.transaction(sold, timeout=timeout)

    def test_names_with_a_common_tag_are_as_good(self, shared_state: State) -> None:
        stock, sold = shared_state.map("{shop}stock"), shared_state.counter("{shop}sold")
        stock["apple"] = 3
        assert shared_state.transaction(stock, sold).run(sell) == 1
        assert set(shared_state.names()) == {
            ("map", "{shop}stock"),
            ("counter", "{shop}sold"),
        }
        assert shared_state.delete("map", "{shop}stock")
        assert list(shared_state.names()) == [("counter", "{shop}sold")]
