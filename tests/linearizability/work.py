"""What a worker of a run does with data: random operations on maps, counters and queues.

All workers turn to the same few structures at the same time: to another kind in each
slice of the clock, so that as many of them as possible meet. What is put and set differs
in every operation, which makes histories tell more and quicker to check. `lock_work.py`
has what they do with locks.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

from sharedstate.errors import (
    BackendError,
    CommandError,
    QueueEmpty,
    QueueFull,
)
from sharedstate.state import State
from sharedstate.structures.map import ABSENT
from sharedstate.testing.history import NOT_DONE, UNKNOWN, Recorder

MAXSIZE = 4
"""Of the bounded queue. The other one has no bound, and is kept short all the same."""

_SLICE_NS = 40_000_000
_RECOVERY_SECONDS = 0.005

# A server says so while it starts or ends: nothing happened.
_PASSING = ("LOADING", "BUSY", "MISCONF")


_MAP_OPERATIONS = (
    *("get", "get", "set", "delete", "pop", "set_if_absent", "increment"),
    *("compare_and_set", "compare_and_set"),
)


class DataWorker:
    """Operates on a state. One for each process or thread."""

    def __init__(self, state: State, recorder: Recorder, seed: int) -> None:
        self.state = state
        self.recorder = recorder
        self.random = random.Random(seed)
        self._count = 0
        self._operate: dict[str, Callable[[], Any]] = {
            "map": self.operate_map,
            "counter": self.operate_counter,
            "queue": self.operate_queue,
        }
        self.map = state.map("m", key=str)
        self.counters = [state.counter(f"c{number}") for number in range(2)]
        self.queues = [state.queue("short"), state.queue("bounded", maxsize=MAXSIZE)]

    def run(self, is_over: Callable[[], bool], kinds: tuple[str, ...]) -> None:
        """Operate on structures of these kinds until it is over."""
        while not is_over():
            kind = kinds[time.monotonic_ns() // _SLICE_NS % len(kinds)]
            answer = self._operate[kind]()
            if answer is UNKNOWN or answer is NOT_DONE:
                # The store is not there: asking at once again would only fill the file.
                time.sleep(_RECOVERY_SECONDS)

    def fresh(self) -> str:
        """A value that no other operation has."""
        self._count += 1
        return f"{self.recorder.process}.{self._count}"

    def call(
        self,
        target: tuple[str, str],
        name: str,
        arguments: tuple[Any, ...],
        function: Callable[[], Any],
        **in_doubt: Any,
    ) -> Any:
        """Record a call, of which a server that starts or ends may say "not now"."""

        def call() -> Any:
            try:
                return function()
            except CommandError as error:
                if error.code not in _PASSING:
                    raise
                raise BackendError(str(error)) from error

        return self.recorder.call(target, name, arguments, call, **in_doubt)

    # A kind each.

    def operate_map(self) -> Any:
        """One operation on a key, or on a number."""
        shared = self.map
        key, value = f"k{self.random.randrange(3)}", self.fresh()
        name = self.random.choice(_MAP_OPERATIONS)
        if name == "compare_and_set":
            return self.swap(key, value)
        if name == "increment":
            n = self.random.randint(1, 3)
            return self.call(("map", "m"), name, ("n", n), self._adding_to_map(n))
        words, function = {
            "get": ((key,), lambda: shared.get(key)),
            "set": ((key, value), lambda: shared.set_many({key: value})),
            "pop": ((key,), lambda: shared.pop(key, None)),
            "delete": ((key,), lambda: shared.delete_many([key]) == 1),
            "set_if_absent": (
                (key, value),
                lambda: shared.set(key, value, if_absent=True),
            ),
        }[name]
        return self.call(("map", "m"), name, words, function)

    def _adding_to_map(self, n: int) -> Callable[[], Any]:
        if self.random.random() < 0.5:
            return lambda: self.map.increment("n", n)
        return lambda: self.map.update_with("n", lambda old: old + n, default=0)

    def swap(self, key: str, value: str) -> Any:
        """Read a key, and change it if it is as it was read."""
        target = ("map", "m")
        seen = self.call(target, "get", (key,), lambda: self.map.get(key))
        if seen is UNKNOWN or seen is NOT_DONE:
            return seen
        new = value if self.random.random() < 0.8 else None
        return self.call(
            target,
            "compare_and_set",
            (key, seen, new),
            lambda: self.map.compare_and_set(key, _absent(seen), _absent(new)),
        )

    def operate_counter(self) -> Any:
        """One operation on one of the counters; they stay between 0 and some hundred."""
        counter = self.random.choice(self.counters)
        target = ("counter", counter.name)
        name = self.random.choice(("get", "add", "add", "add_within", "swap", "reset"))
        if name == "get":
            return self.call(target, "get", (), lambda: counter.value)
        if name == "add":
            n = self.random.randint(1, 5)
            return self.call(target, "add", (n,), lambda: self.add(counter, n))
        if name == "add_within":
            n = -self.random.randint(1, 20)
            return self.call(target, name, (n, 0, None), lambda: counter.add(n, minimum=0))
        if name == "reset":
            to = self.random.randrange(50)
            return self.call(target, "reset", (to,), lambda: counter.reset(to))
        seen = self.call(target, "get", (), lambda: counter.value)
        if seen is UNKNOWN or seen is NOT_DONE:
            return seen
        new = self.random.randrange(100)
        return self.call(
            target,
            "compare_and_set",
            (seen, new),
            lambda: counter.compare_and_set(seen, new),
        )

    def add(self, counter: Any, n: int) -> int:
        """Add to a counter."""
        total: int = counter.add(n)
        return total

    def operate_queue(self) -> Any:
        """One operation on one of the queues: more gets than puts keep it short."""
        queue = self.random.choice(self.queues)
        target = ("queue", queue.name)
        if self.random.random() < 0.45:
            item = self.fresh()
            return self.call(target, "put", (item,), lambda: _put(queue, item))
        timeout = self.random.choice((0.0, 0.0, 0.02))
        return self.call(target, "get", (), lambda: self.get(queue, timeout))

    def get(self, queue: Any, timeout: float) -> Any:
        """Get an item, or None."""
        try:
            return queue.get(timeout=timeout)
        except QueueEmpty:
            return None


def _absent(value: Any) -> Any:
    return ABSENT if value is None else value


def _put(queue: Any, item: str) -> bool:
    try:
        queue.put(item, block=False)
    except QueueFull:
        return False
    return True
