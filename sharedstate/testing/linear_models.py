"""Sequential models of maps, counters and queues, for `linearizability.check`.

What the operations of a history are called, what their arguments and results are:

    map       get(key) -> value or None       pop(key) -> value or None
              set(key, value)                 delete(key) -> whether it was there
              set_if_absent(key, value) -> whether it was set
              compare_and_set(key, expected or None, new or None) -> whether it was set
              increment(key, n) -> the new value
    counter   get() -> value                  add(n) -> new value   set(value)
              reset(to) -> value from before  compare_and_set(expected, new) -> whether
              add_within(n, minimum or None, maximum or None) -> new value or None
    queue     put(item) -> whether there was room     get() -> item or None
              qsize() -> number

None stands for what is not there, so that no value and no item is None. Models of what is
held, such as locks, are in `linear_lock_models.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .linearizability import Model

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Sequence

    from .history import Operation


_FOREVER = float("inf")


class UnknownOperation(ValueError):
    """A history has an operation that its model does not know."""


class SteppingModel(Model[Any]):
    """A model whose operations are methods, and happen in one way.

    The method of an operation's name gets the state and the arguments, and returns the
    next state and the result.
    """

    def step(self, state: Any, operation: Operation) -> Iterable[Any]:
        """The next state, if the method's result is the one that the operation had."""
        method: Callable[..., tuple[Any, Any]] | None
        method = getattr(self, f"do_{operation.name}", None)
        if method is None:
            raise UnknownOperation(f"{type(self).__name__} does not know {operation}")
        following, result = method(state, *operation.arguments)
        if operation.is_pending or result == operation.result:
            return (following,)
        return ()


class MapModel(SteppingModel):
    """A map: each of its keys is an object of its own, with a value or None."""

    def initial(self) -> Hashable:
        """Nothing is there."""
        return None

    def part(self, operation: Operation) -> Hashable:
        """The key."""
        key: Hashable = operation.arguments[0]
        return key

    def do_get(self, value: Any, key: Hashable) -> tuple[Any, Any]:
        """The value."""
        return value, value

    def do_set(self, value: Any, key: Hashable, new: Hashable) -> tuple[Any, Any]:
        """Another value, whatever it was."""
        return new, None

    def do_pop(self, value: Any, key: Hashable) -> tuple[Any, Any]:
        """Remove the value, and return it."""
        return None, value

    def do_delete(self, value: Any, key: Hashable) -> tuple[Any, Any]:
        """Remove the value."""
        return None, value is not None

    def do_set_if_absent(self, value: Any, key: Hashable, new: Hashable) -> tuple[Any, Any]:
        """A value where there was none."""
        return (new, True) if value is None else (value, False)

    def do_compare_and_set(
        self, value: Any, key: Hashable, expected: Hashable, new: Hashable
    ) -> tuple[Any, Any]:
        """Another value, if it was the expected one."""
        return (new, True) if value == expected else (value, False)

    def do_increment(self, value: Any, key: Hashable, n: int) -> tuple[Any, Any]:
        """Add to the number, which is 0 if there is none."""
        return (value or 0) + n, (value or 0) + n


class CounterModel(SteppingModel):
    """A counter: a whole number."""

    def initial(self) -> int:
        """Nothing has been counted."""
        return 0

    def do_get(self, value: int) -> tuple[int, Any]:
        """The number."""
        return value, value

    def do_add(self, value: int, n: int) -> tuple[int, Any]:
        """Add, and return the new number."""
        return value + n, value + n

    def do_add_within(
        self, value: int, n: int, minimum: int | None, maximum: int | None
    ) -> tuple[int, Any]:
        """Add, unless that would leave the bounds."""
        new = value + n
        if (minimum is not None and new < minimum) or (
            maximum is not None and new > maximum
        ):
            return value, None
        return new, new

    def do_set(self, value: int, new: int) -> tuple[int, Any]:
        """Another number, whatever it was."""
        return new, None

    def do_reset(self, value: int, to: int) -> tuple[int, Any]:
        """Another number; returns the one from before."""
        return to, value

    def do_compare_and_set(self, value: int, expected: int, new: int) -> tuple[int, Any]:
        """Another number, if it was the expected one."""
        return (new, True) if value == expected else (value, False)


class QueueModel(SteppingModel):
    """A queue: its items, the oldest first.

    Items that were put at the same time may stand in either order until they are got,
    and the search would learn late that it has chosen wrongly, all the later the longer
    the queue is. If all items differ, the gets tell much of it before (`_ItemFacts`).
    """

    def __init__(self, maxsize: int = 0) -> None:
        self._maxsize = maxsize
        self._facts: _ItemFacts | None = None

    def initial(self) -> tuple[Hashable, ...]:
        """No items."""
        return ()

    def informed_by(self, operations: Sequence[Operation]) -> QueueModel:
        """A model that knows what became of each item, if all items differ."""
        model = QueueModel(self._maxsize)
        items = [each.arguments[0] for each in operations if each.name == "put"]
        if len(set(items)) == len(items):
            model._facts = _ItemFacts(items, operations)
        return model

    def step(self, state: Any, operation: Operation) -> Iterable[Any]:
        """As the method; but not what the rest of the history contradicts."""
        if self._facts is not None and self._facts.contradict(state, operation):
            return ()
        return super().step(state, operation)

    def do_put(
        self, items: tuple[Hashable, ...], item: Hashable
    ) -> tuple[tuple[Hashable, ...], Any]:
        """An item more at the end, if there is room."""
        if self._maxsize and len(items) >= self._maxsize:
            return items, False
        return (*items, item), True

    def do_get(self, items: tuple[Hashable, ...]) -> tuple[tuple[Hashable, ...], Any]:
        """Take the first item."""
        return (items[1:], items[0]) if items else (items, None)

    def do_qsize(self, items: tuple[Hashable, ...]) -> tuple[tuple[Hashable, ...], Any]:
        """How many there are."""
        return items, len(items)


class _ItemFacts:
    """What a history tells of items that all differ: when each was got, if it was."""

    def __init__(self, items: Sequence[Hashable], operations: Sequence[Operation]) -> None:
        gets = [each for each in operations if each.name == "get"]
        self._answered: dict[Hashable, tuple[float, float]] = {
            each.result: (each.called_at, each.answered_at)
            for each in gets
            if each.answered_at is not None
        }
        self._times = dict(self._answered)
        if not any(each.is_pending for each in gets):
            # What was not got stays for ever.
            for item in items:
                self._times.setdefault(item, (_FOREVER, _FOREVER))
        self._is_length_seen = any(
            each.name == "qsize" or (each.name == "put" and each.result is False)
            for each in operations
        )

    def contradict(self, state: Sequence[Hashable], operation: Operation) -> bool:
        """Whether the operation must not happen in this state, or need not happen."""
        if operation.name == "put":
            (item,) = operation.arguments
            if self._is_needless(item, operation):
                return True
            # It would stand behind one that is surely got later.
            last = self._times.get(item, (0, _FOREVER))[1]
            return any(self._times.get(one, (0, 0))[0] > last for one in state)
        # Whose answer got the item, has it: a get without an answer has not.
        return operation.is_pending and bool(state) and state[0] in self._answered

    def _is_needless(self, item: Hashable, operation: Operation) -> bool:
        """Whether a put may as well not have happened: nobody has seen it or its item,
        and there is nothing that it could explain.
        """
        is_unseen = operation.is_pending and item not in self._answered
        return is_unseen and not self._is_length_seen
