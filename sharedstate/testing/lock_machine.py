"""A lock against its model, the number of the handle that holds it, under random calls."""

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

from sharedstate.errors import LockLost, LockNotOwned

if TYPE_CHECKING:
    from sharedstate.state import State

HANDLES = 3

_SETTINGS = settings(
    max_examples=25,
    stateful_step_count=20,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)

_handles = st.integers(0, HANDLES - 1)


def check_lock_against_model(state: State) -> None:
    """Run random calls against handles of one lock; they must do as the model says."""

    class Machine(LockMachine):
        shared = state

    run_state_machine_as_test(Machine, settings=_SETTINGS)


class LockMachine(RuleBasedStateMachine):
    """The calls, and what must hold after each. None of them waits."""

    shared: State

    def __init__(self) -> None:
        super().__init__()
        self.shared.delete("lock", "modelled")
        self.handles = [self.shared.lock("modelled", ttl=600) for _ in range(HANDLES)]
        self.holder: int | None = None
        self.unaware: set[int] = set()
        self.last_token = 0

    @rule(number=_handles)
    def acquire(self, number: int) -> None:
        granted = self.handles[number].acquire(blocking=False)
        assert granted == (self.holder is None)
        if granted:
            self.holder = number
            self.unaware.discard(number)
            assert self.handles[number].token > self.last_token
            self.last_token = self.handles[number].token

    @rule(number=_handles)
    def release(self, number: int) -> None:
        if self.holder == number:
            self.handles[number].release()
            self.holder = None
        else:
            # One that lost the lock unawares learns of it, once.
            error = LockLost if number in self.unaware else LockNotOwned
            self.unaware.discard(number)
            with pytest.raises(error):
                self.handles[number].release()

    @rule(number=_handles)
    def take_away(self, number: int) -> None:
        assert self.handles[number].force_release() == (self.holder is not None)
        if self.holder is not None:
            self.unaware.add(self.holder)
            self.holder = None

    @rule()
    def renew(self) -> None:
        if self.holder is not None:
            self.handles[self.holder].renew()

    @invariant()
    def is_as_the_model(self) -> None:
        info = self.handles[0].info()
        assert (info.fencing, info.waiters) == (self.last_token, 0)
        assert len(info.holders) == (self.holder is not None)
        for number, handle in enumerate(self.handles):
            assert handle.owned() == (number == self.holder or number in self.unaware)

    def teardown(self) -> None:
        """Let no lease be renewed after the test."""
        for number in self.unaware | {self.holder} - {None}:
            if number is not None:
                self.release(number)
