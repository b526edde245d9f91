"""A counter against its model, a plain `int`, under random calls."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)

from sharedstate.errors import BoundExceeded, CounterOverflow

if TYPE_CHECKING:
    from sharedstate.state import State

MOST = 2**63 - 1
LEAST = -(2**63)

_SETTINGS = settings(
    max_examples=30,
    stateful_step_count=25,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)

# Around everything at which an implementation may change its mind.
_EDGES = (0, 999_999_999_999_999, 2**53, 2**62, MOST, LEAST)
_numbers = st.builds(
    lambda edge, offset: max(LEAST, min(MOST, edge + offset)),
    st.sampled_from(_EDGES),
    st.integers(-3, 3),
)
_bounds = st.none() | _numbers


def check_counter_against_model(state: State) -> None:
    """Run random calls against a counter of the state and an `int`; they must agree."""

    class Machine(CounterMachine):
        shared = state

    run_state_machine_as_test(Machine, settings=_SETTINGS)


class CounterMachine(RuleBasedStateMachine):
    """The calls, and what must hold after each."""

    shared: State

    def __init__(self) -> None:
        super().__init__()
        self.counter = self.shared.counter("modelled")
        self.counter.set(0)
        self.model = 0

    @rule(n=_numbers)
    def add(self, n: int) -> None:
        after = self.model + n
        if LEAST <= after <= MOST:
            assert self.counter.add(n) == after
            self.model = after
        else:
            with pytest.raises(CounterOverflow):
                self.counter.add(n)

    @rule(n=_numbers, minimum=_bounds, maximum=_bounds)
    def add_within(self, n: int, minimum: int | None, maximum: int | None) -> None:
        after = self.model + n
        low = minimum is not None and after < minimum
        high = maximum is not None and after > maximum
        if low or high:
            with pytest.raises((BoundExceeded, CounterOverflow)):
                self.counter.add(n, minimum=minimum, maximum=maximum, on_bound="raise")
        elif LEAST <= after <= MOST:
            assert self.counter.add(n, minimum=minimum, maximum=maximum) == after
            self.model = after
        else:
            with pytest.raises(CounterOverflow):
                self.counter.add(n, minimum=minimum, maximum=maximum)

    @rule(expected=_numbers, new=_numbers)
    def compare_and_set(self, expected: int, new: int) -> None:
        assert self.counter.compare_and_set(expected, new) == (self.model == expected)
        if self.model == expected:
            self.model = new

    @rule(to=_numbers)
    def reset(self, to: int) -> None:
        assert self.counter.reset(to) == self.model
        self.model = to

    @invariant()
    def has_the_models_value(self) -> None:
        assert self.counter.value == self.model
