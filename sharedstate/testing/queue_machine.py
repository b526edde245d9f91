"""A queue against its model, a `deque` with a bound, under random calls."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from sharedstate.errors import QueueEmpty, QueueFull, QueueShutDown

if TYPE_CHECKING:
    from sharedstate.state import State

BOUND = 4

_SETTINGS = settings(
    max_examples=30,
    stateful_step_count=25,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)

_items = st.integers() | st.text(max_size=5) | st.none() | st.lists(st.booleans())
_counts = st.integers(1, 6)


def check_queue_against_model(state: State) -> None:
    """Run random calls against a queue of the state and a deque; they must agree."""

    class Machine(QueueMachine):
        shared = state

    run_state_machine_as_test(Machine, settings=_SETTINGS)


class QueueMachine(RuleBasedStateMachine):
    """The calls, and what must hold after each. None of them waits."""

    shared: State

    def __init__(self) -> None:
        super().__init__()
        self.shared.delete("queue", "modelled")
        self.queue = self.shared.queue("modelled", maxsize=BOUND)
        self.model: deque[Any] = deque()
        self.unfinished = 0
        self.shut = False

    @rule(item=_items)
    def put(self, item: Any) -> None:
        if self.shut:
            with pytest.raises(QueueShutDown):
                self.queue.put_nowait(item)
        elif len(self.model) == BOUND:
            with pytest.raises(QueueFull):
                self.queue.put_nowait(item)
        else:
            self.queue.put_nowait(item)
            self._was_put([item])

    @rule(items=st.lists(_items, min_size=1, max_size=6))
    def put_many(self, items: list[Any]) -> None:
        room = BOUND - len(self.model)
        if self.shut or not room:
            with pytest.raises(QueueShutDown if self.shut else QueueFull):
                self.queue.put_many(items, block=False)
        else:
            assert self.queue.put_many(items, block=False) == min(room, len(items))
            self._was_put(items[:room])

    @rule(n=_counts)
    def get_many(self, n: int) -> None:
        if self.model:
            wanted = [self.model.popleft() for _ in range(min(n, len(self.model)))]
            assert self.queue.get_many(n, block=False) == wanted
        else:
            with pytest.raises(QueueShutDown if self.shut else QueueEmpty):
                self.queue.get_many(n, block=False)

    @rule()
    def get(self) -> None:
        if self.model:
            assert self.queue.get_nowait() == self.model.popleft()
        else:
            with pytest.raises(QueueShutDown if self.shut else QueueEmpty):
                self.queue.get_nowait()

    @rule(count=_counts)
    def task_done(self, count: int) -> None:
        if count > self.unfinished:
            with pytest.raises(ValueError, match="too many times"):
                self.queue.task_done(count=count)
        else:
            self.queue.task_done(count=count)
            self.unfinished -= count

    @rule()
    def clear(self) -> None:
        assert self.queue.clear() == len(self.model)
        self._were_dropped()

    # Only now and then, for little happens afterwards.
    @precondition(lambda self: self.unfinished > 5)
    @rule(immediate=st.booleans())
    def shutdown(self, immediate: bool) -> None:
        self.queue.shutdown(immediate)
        self.shut = True
        if immediate:
            self._were_dropped()

    @invariant()
    def is_as_the_model(self) -> None:
        assert self.queue.peek_many(BOUND + 1) == list(self.model)
        assert self.queue.full() == (len(self.model) == BOUND)
        assert self.queue.join(timeout=0) == (self.unfinished == 0)
        assert self.queue.is_shutdown == self.shut

    def _was_put(self, items: list[Any]) -> None:
        self.model.extend(items)
        self.unfinished += len(items)

    def _were_dropped(self) -> None:
        # Tasks may have been reported as done before they were got.
        self.unfinished = max(0, self.unfinished - len(self.model))
        self.model.clear()
