"""Every public name of every structure that can be fenced: what writes, and what reads.

The suite of fencing goes through all of it, and a test compares it with what the classes
have, so that a new method cannot be forgotten: it has to be put on one side or the other.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sharedstate.structures.counter import Counter, FloatCounter
from sharedstate.structures.map import Map
from sharedstate.structures.queue import Queue

if TYPE_CHECKING:
    from sharedstate.state import State

NEITHER = frozenset(
    {
        "__class_getitem__",
        "__init__",
        "__init_subclass__",
        "__reduce__",
        "__repr__",
        "__subclasshook__",
        "name",
    }
)
"""Public names that do not go to the store."""


class Call:
    """A call of a method, to be made on one handle or another."""

    def __init__(self, name: str, *arguments: Any, **options: Any) -> None:
        self.name = name
        self.arguments = arguments
        self.options = options

    def on(self, handle: Any, **further: Any) -> Any:
        """Make the call; what is returned, or "self" for the handle itself."""
        method = getattr(handle, self.name)
        if not callable(method):
            return method
        result = method(*self.arguments, **self.options, **further)
        return "self" if result is handle else result

    def takes_fence(self, kind: type) -> bool:
        """Whether the method has `fence=`, or passes all options on to one that has it."""
        method = getattr(kind, self.name)
        names = inspect.signature(method).parameters if callable(method) else ()
        return "fence" in names or "options" in names

    def __repr__(self) -> str:
        options = [f"{name}={value!r}" for name, value in self.options.items()]
        shown = [getattr(value, "__name__", repr(value)) for value in self.arguments]
        return f"{self.name}({', '.join(shown + options)})"


class Case:
    """A structure in one state: how it is made, and what is to be called on it."""

    def __init__(
        self,
        label: str,
        kind: type,
        make: Callable[[State, str], Any],
        writes: list[Call],
        reads: list[Call],
    ) -> None:
        self.label = label
        self.kind = kind
        self.make = make
        self.writes = writes
        self.reads = reads

    def __repr__(self) -> str:
        return self.label


def public_names(kind: type) -> set[str]:
    """What a class has that a program may call, without what every object has."""
    found = set()
    for base in kind.__mro__[:-1]:
        for name, value in vars(base).items():
            is_method = callable(value) or isinstance(
                value, (property, classmethod, staticmethod)
            )
            is_private = name.startswith("_") and not name.endswith("__")
            if is_method and not is_private:
                found.add(name)
    return found


def another(handle: Any) -> Any:
    """Another handle of the same structure."""
    return handle._context.state.structure(handle._context.kind, handle.name)


def snapshot(handle: Any) -> dict[str, tuple[bytes, int]]:
    """All keys of a structure: their values and when they expire."""
    context = handle._context
    execute = context.state.backend.execute
    start = f"{context.prefix}:"
    keys, cursor = set(), b"0"
    while True:
        cursor, found = execute(("SCAN", cursor, "MATCH", f"{start}*", "COUNT", 500))
        keys.update(found)
        if cursor == b"0":
            break
    return {
        key.decode().removeprefix(start): (
            execute(("DUMP", key)),
            execute(("PEXPIRETIME", key)),
        )
        for key in keys
    }


def plus_one(value: int) -> int:
    """One more: for `update_with`."""
    return value + 1


def _plain_map(state: State, name: str) -> Map[str, Any]:
    made: Map[str, Any] = state.map(name)
    made["a"] = 1
    return made


def _timed_map(state: State, name: str) -> Map[str, Any]:
    made: Map[str, Any] = state.map(name)
    made.set("a", 1, ttl=1000)
    return made


def _counter(state: State, name: str) -> Counter:
    made = state.counter(name)
    made.set(10)
    return made


def _float_counter(state: State, name: str) -> FloatCounter:
    made = state.float_counter(name)
    made.set(1.5)
    return made


def _queue(state: State, name: str) -> Queue[int]:
    """Two items, and one that was got and is not done."""
    made: Queue[int] = state.queue(name)
    made.put_many([1, 2, 3])
    made.get()
    return made


_MAP_WRITES = [
    Call("__delitem__", "a"),
    Call("__ior__", {"a": 2, "b": 3}),
    Call("__setitem__", "a", 2),
    Call("clear"),
    Call("compare_and_set", "a", 1, 2),
    Call("delete_many", ["a", "b"]),
    Call("increment", "a", 5),
    Call("increment_many", {"a": 5, "b": 6}),
    Call("pop", "a"),
    Call("popitem"),
    Call("set", "a", 2),
    Call("set", "a", 2, ttl=500),
    Call("set", "b", 2, if_absent=True),
    Call("set", "a", 2, if_present=True),
    Call("set_many", {"a": 2, "b": 3}),
    Call("set_many", {"a": 2, "b": 3}, ttl=500),
    Call("setdefault", "b", 2),
    Call("touch", "a", 500),
    Call("update", {"a": 2}, b=3),
    Call("update_with", "a", plus_one),
]

_PERSIST = Call("persist", "a")

_MAP_READS = [
    Call("__contains__", "a"),
    Call("__eq__", {"a": 1}),
    Call("__getitem__", "a"),
    Call("__iter__"),
    Call("__len__"),
    Call("__or__", {}),
    Call("__ror__", {}),
    Call("copy"),
    Call("get", "a"),
    Call("get_many", ["a"]),
    Call("items"),
    Call("keys"),
    Call("ttl", "a"),
    Call("values"),
]


def _number_writes(start: float, n: float) -> list[Call]:
    return [
        Call("__iadd__", n),
        Call("__isub__", n),
        Call("add", n),
        Call("add", n, maximum=100),
        Call("compare_and_set", start, n),
        Call("get_and_add", n),
        Call("reset", n),
        Call("set", n),
        Call("subtract", n),
        Call("subtract", n, minimum=-100),
    ]


_QUEUE_WRITES = [
    Call("clear"),
    Call("get"),
    Call("get_many", 2),
    Call("get_nowait"),
    Call("put", 4),
    Call("put_many", [4, 5]),
    Call("put_nowait", 4),
    Call("shutdown"),
    Call("shutdown", immediate=True),
    Call("task_done"),
]

_QUEUE_READS = [
    Call("empty"),
    Call("full"),
    Call("is_shutdown"),
    Call("join", timeout=0),
    Call("maxsize"),
    Call("peek"),
    Call("peek_many", 2),
    Call("qsize"),
]

CASES = [
    Case("plain map", Map, _plain_map, _MAP_WRITES, _MAP_READS),
    Case("timed map", Map, _timed_map, [*_MAP_WRITES, _PERSIST], _MAP_READS),
    Case(
        "counter",
        Counter,
        _counter,
        _number_writes(10, 3),
        [Call("__int__"), Call("__index__"), Call("value")],
    ),
    Case(
        "float counter",
        FloatCounter,
        _float_counter,
        _number_writes(1.5, 0.25),
        [Call("__float__"), Call("value")],
    ),
    Case("queue", Queue, _queue, _QUEUE_WRITES, _QUEUE_READS),
]

WITHOUT_KEYWORD = frozenset(
    {
        "__delitem__",
        "__iadd__",
        "__ior__",
        "__isub__",
        "__setitem__",
        "pop",
        "popitem",
        "setdefault",
        "update",
    }
)
"""What writes and has no `fence=`: operators, and methods whose arguments are a dict's."""
