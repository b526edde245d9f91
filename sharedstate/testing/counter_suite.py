"""What counters must do on every backend."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

import pytest

from sharedstate.errors import BoundExceeded, ConfigError, CounterOverflow, NotANumber
from sharedstate.testing.counter_machine import check_counter_against_model

if TYPE_CHECKING:
    from sharedstate.state import State

MOST = 2**63 - 1
LEAST = -(2**63)

# 2^53 is where doubles stop to be exact, and 10^15 where the script changes its way.
EDGES = (0, 10**14, 10**15, 2**53, MOST - 4, LEAST + 4, -(2**53), -(10**15), -(10**14))


class FloatCounterSuite:
    """Tests of `FloatCounter`."""

    def test_a_float_counter_starts_at_zero(self, shared_state: State) -> None:
        assert shared_state.float_counter("weight").value == 0.0

    def test_a_float_counter_adds_and_subtracts(self, shared_state: State) -> None:
        weight = shared_state.float_counter("weight")
        assert [weight.add(1.5), weight.add(2), weight.subtract(0.25)] == [1.5, 3.5, 3.25]
        assert float(weight) == weight.value == 3.25

    def test_a_float_counter_adds_what_has_an_exponent(self, shared_state: State) -> None:
        assert shared_state.float_counter("weight").add(1e-7) == 1e-7

    def test_a_float_counter_keeps_its_bounds(self, shared_state: State) -> None:
        weight = shared_state.float_counter("weight")
        weight.set(1.0)
        assert weight.add(0.5, maximum=1.25) is None
        assert weight.add(0.25, maximum=1.25) == 1.25
        assert weight.subtract(2.0, minimum=0.0) is None
        with pytest.raises(BoundExceeded):
            weight.subtract(2.0, minimum=0.0, on_bound="raise")
        assert weight.value == 1.25

    def test_a_refused_bound_leaves_a_new_float_counter_unset(
        self, shared_state: State
    ) -> None:
        assert shared_state.float_counter("weight").add(2.0, maximum=1.0) is None
        assert list(shared_state.names()) == []

    def test_get_and_add_of_floats_returns_the_old_value(self, shared_state: State) -> None:
        weight = shared_state.float_counter("weight")
        weight.set(0.1)
        assert weight.get_and_add(0.2) == 0.1

    def test_floats_are_compared_and_set(self, shared_state: State) -> None:
        weight = shared_state.float_counter("weight")
        assert weight.compare_and_set(0.0, 0.1)
        assert weight.add(0.2) == weight.value
        assert not weight.compare_and_set(0.1, 9.0)
        assert weight.compare_and_set(weight.value, 9.0)

    def test_reset_of_a_float_counter_returns_the_old_value(
        self, shared_state: State
    ) -> None:
        weight = shared_state.float_counter("weight")
        weight.add(2.5)
        assert weight.reset() == 2.5
        assert weight.value == 0.0

    @pytest.mark.parametrize("amount", [float("nan"), float("inf")])
    def test_a_float_counter_refuses_what_is_not_finite(
        self, shared_state: State, amount: float
    ) -> None:
        with pytest.raises(ValueError, match="finite"):
            shared_state.float_counter("weight").add(amount)

    def test_a_float_counter_refuses_text(self, shared_state: State) -> None:
        with pytest.raises(TypeError, match="expected the amount as a float or int"):
            shared_state.float_counter("weight").add("1.5")  # type: ignore[call-overload]


class CounterSuite(FloatCounterSuite):
    """Tests of `Counter` and `FloatCounter`. A backend's own test class inherits them."""

    def test_a_counter_starts_at_zero(self, shared_state: State) -> None:
        hits = shared_state.counter("hits")
        assert (hits.value, int(hits)) == (0, 0)

    def test_add_returns_the_new_value(self, shared_state: State) -> None:
        hits = shared_state.counter("hits")
        assert [hits.add(), hits.add(5), hits.add(-2), hits.add(0)] == [1, 6, 4, 4]

    def test_subtract_returns_the_new_value(self, shared_state: State) -> None:
        hits = shared_state.counter("hits")
        assert [hits.subtract(), hits.subtract(5)] == [-1, -6]

    def test_handles_of_one_name_share_one_value(self, shared_state: State) -> None:
        shared_state.counter("hits").add(3)
        assert shared_state.counter("hits").value == 3
        assert shared_state.counter("misses").value == 0

    def test_get_and_add_returns_the_old_value(self, shared_state: State) -> None:
        hits = shared_state.counter("hits")
        hits.set(MOST - 1)
        assert hits.get_and_add(1) == MOST - 1
        assert hits.value == MOST

    def test_in_place_addition_changes_the_shared_value(self, shared_state: State) -> None:
        hits = handle = shared_state.counter("hits")
        hits += 5
        hits -= 2
        assert hits is handle
        assert shared_state.counter("hits").value == 3

    def test_a_counter_serves_as_an_index(self, shared_state: State) -> None:
        hits = shared_state.counter("hits")
        hits.set(2)
        assert "abc"[hits] == "c"

    def test_reset_returns_the_old_value(self, shared_state: State) -> None:
        hits = shared_state.counter("hits")
        assert hits.reset(7) == 0
        assert hits.reset() == 7
        assert hits.value == 0

    def test_compare_and_set_sets_what_is_as_expected(self, shared_state: State) -> None:
        hits = shared_state.counter("hits")
        assert hits.compare_and_set(0, MOST)
        assert not hits.compare_and_set(MOST - 1, 1)
        assert hits.compare_and_set(MOST, LEAST)
        assert hits.value == LEAST

    @pytest.mark.parametrize("start", EDGES)
    def test_a_bound_holds_exactly_at_any_height(
        self, shared_state: State, start: int
    ) -> None:
        stock = shared_state.counter("stock")
        stock.set(start)
        assert stock.add(2, maximum=start + 1) is None
        assert stock.add(-2, minimum=start - 1) is None
        assert stock.value == start
        assert stock.add(2, maximum=start + 2) == start + 2
        assert stock.add(-4, minimum=start - 2) == start - 2

    def test_a_bound_refuses_with_an_error_if_asked(self, shared_state: State) -> None:
        stock = shared_state.counter("stock")
        assert stock.add(3, maximum=3, on_bound="raise") == 3
        with pytest.raises(BoundExceeded, match="'stock' out of its bounds"):
            stock.add(1, maximum=3, on_bound="raise")
        assert stock.value == 3

    def test_both_bounds_hold_at_once(self, shared_state: State) -> None:
        level = shared_state.counter("level")
        results = [level.add(n, minimum=-1, maximum=1) for n in (2, -2, 1, 1, -2, -1)]
        assert results == [None, None, 1, None, -1, None]

    def test_bounds_may_lie_beyond_64_bits(self, shared_state: State) -> None:
        level = shared_state.counter("level")
        assert level.add(1, minimum=-(2**70), maximum=2**70) == 1
        assert level.add(1, minimum=2**70) is None

    @pytest.mark.parametrize("amount", [1, 2**60])
    def test_a_refused_bound_leaves_a_new_counter_unset(
        self, shared_state: State, amount: int
    ) -> None:
        assert shared_state.counter("stock").add(amount, maximum=0) is None
        assert list(shared_state.names()) == []

    def test_beyond_64_bits_is_beyond_a_bound(self, shared_state: State) -> None:
        level = shared_state.counter("level")
        level.set(MOST)
        assert level.add(1, maximum=MOST) is None
        assert level.value == MOST

    @pytest.mark.parametrize("bounds", [{}, {"minimum": 0}])
    def test_overflow_is_an_error_and_changes_nothing(
        self, shared_state: State, bounds: dict[str, Any]
    ) -> None:
        level = shared_state.counter("level")
        level.set(MOST)
        with pytest.raises(CounterOverflow, match="range of 64 bits") as caught:
            level.add(1, **bounds)
        assert isinstance(caught.value, OverflowError)
        assert level.value == MOST

    def test_an_amount_beyond_64_bits_is_an_overflow(self, shared_state: State) -> None:
        with pytest.raises(CounterOverflow):
            shared_state.counter("level").add(2**63)

    def test_a_value_beyond_64_bits_is_not_set(self, shared_state: State) -> None:
        level = shared_state.counter("level")
        for change in (level.set, level.reset, lambda to: level.compare_and_set(0, to)):
            with pytest.raises(CounterOverflow):
                change(2**63)
        assert level.value == 0

    @pytest.mark.parametrize("amount", [True, 1.0, "1", None])
    def test_what_is_no_whole_number_is_refused(
        self, shared_state: State, amount: Any
    ) -> None:
        hits = shared_state.counter("hits")
        for change in (hits.add, hits.subtract, hits.set, hits.reset, hits.get_and_add):
            with pytest.raises(TypeError, match="as an int"):
                change(amount)

    def test_bounds_are_checked_too(self, shared_state: State) -> None:
        hits = shared_state.counter("hits")
        with pytest.raises(TypeError, match="expected the minimum as an int, got float"):
            hits.add(1, minimum=0.5)  # type: ignore[call-overload]
        with pytest.raises(ValueError, match="on_bound"):
            hits.add(1, minimum=0, on_bound="ignore")  # type: ignore[call-overload]

    def test_foreign_text_is_not_counted_with(self, shared_state: State) -> None:
        hits = shared_state.counter("hits")
        shared_state.backend.execute(("SET", hits._key, b"many"))
        with pytest.raises(NotANumber):
            hits.add(1)
        with pytest.raises(NotANumber):
            hits.add(1, maximum=5)
        with pytest.raises(NotANumber, match="found b'many'"):
            _ = hits.value

    def test_a_counter_has_no_options(self, shared_state: State) -> None:
        with pytest.raises(ConfigError, match="counter has no options, got step"):
            shared_state.structure("counter", "hits", step=2)

    def test_a_handle_travels(self, shared_state: State) -> None:
        from sharedstate.backend import Capability

        if Capability.PROCESSES not in shared_state.capabilities:
            pytest.skip("the backend lives in this process only, and so do its handles")
        hits = shared_state.counter("hits")
        hits.add(2)
        assert pickle.loads(pickle.dumps(hits)).add(1) == 3

    def test_a_counter_is_as_its_model_says(self, shared_state: State) -> None:
        check_counter_against_model(shared_state)
