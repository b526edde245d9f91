"""Known sequences of changes: what a worker of a crash test does, step by step.

Step n of a kind is always the same operation, so that the state after n steps is known
without a store. Every step changes the state into one that it never was before: the state
that a store has after a crash tells how many steps it has kept, if it is a prefix at all.

    structures     maps (with lifetimes too), counters and queues, one step a call
    commands       raw commands on every type, to be sent in batches
    transactions   MULTI/EXEC over several keys, one step each

`Model` is a sequence without a store; `Performer` performs its operations, and observes
the state in the form in which the model has it.
"""

from __future__ import annotations

from collections import deque
from copy import deepcopy
from typing import Any, Self

from sharedstate.state import State

Operation = tuple[Any, ...]
"""The name of a method of the performer, and its arguments."""

KINDS = ("structures", "commands", "transactions")

FIELDS = 64
"""Maps, hashes and sorted sets have so many members, which are written again and again."""

KEPT_ITEMS = 4
"""Nothing is taken from a queue or list that has no more items."""

TTL_SECONDS = 36_000.0


class Model:
    """The state after `steps` steps of a kind."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.steps = 0
        self.numbers: dict[str, int] = {}
        self.tables: dict[str, dict[str, int]] = {}
        self.rows: dict[str, deque[int]] = {}

    def copy(self) -> Self:
        """The same state, on its own."""
        return deepcopy(self)

    @property
    def state(self) -> dict[str, Any]:
        """All that a store should hold; what is empty is not there."""
        everything = {**self.numbers, **self.tables, **self.rows}
        return {name: value for name, value in everything.items() if value}

    def advance(self, to: int) -> None:
        """Take steps until there are so many."""
        while self.steps < to:
            self.step()

    def step(self) -> Operation:
        """Take the next step. Returns the operation that it is."""
        number = self.steps
        self.steps += 1
        if self.kind == "structures":
            return self._step_of_structures(number)
        if self.kind == "commands":
            return self._step_of_commands(number)
        return self._step_of_transactions(number)

    def _step_of_structures(self, number: int) -> Operation:
        turn, phase = divmod(number, 8)
        field = str(turn % FIELDS)
        if phase == 0:
            return self._set("map", field, number)
        if phase in (2, 4):
            self._add("unfinished", 1)
            return self._append("queue", number)
        if phase == 3 and turn % 3 == 0:
            return self._remove("map", field)
        if phase in (5, 7) and len(self._row("queue")) > KEPT_ITEMS:
            return self._pop("queue")
        if phase == 6:
            return self._set("lease", field, number)
        self._add("counter", phase)
        return "add_counter", phase

    def _step_of_commands(self, number: int) -> Operation:
        turn, phase = divmod(number, 8)
        field = str(turn % FIELDS)
        if phase == 0:
            return self._append("list", number)
        if phase in (2, 3):
            return self._set("hash" if phase == 2 else "scores", field, number)
        if phase == 4:
            self.numbers["string"] = number
            return "set_string", number
        if phase == 5 and len(self._row("list")) > KEPT_ITEMS:
            return self._pop("list")
        if phase == 6 and turn % 3 == 0:
            return self._remove("hash", field)
        self._add("total", phase)
        return "add_total", phase

    def _step_of_transactions(self, number: int) -> Operation:
        field = str(number % FIELDS)
        self.numbers["left"] = self.numbers["right"] = number
        self._append("journal", number)
        journal = self._row("journal")
        is_long = len(journal) > KEPT_ITEMS
        if is_long:
            journal.popleft()
        self._set("ledger", field, number)
        return "commit", number, field, is_long

    def _row(self, name: str) -> deque[int]:
        return self.rows.setdefault(name, deque())

    def _add(self, name: str, amount: int) -> None:
        self.numbers[name] = self.numbers.get(name, 0) + amount

    def _set(self, name: str, field: str, number: int) -> Operation:
        self.tables.setdefault(name, {})[field] = number
        return f"set_{name}", field, number

    def _remove(self, name: str, field: str) -> Operation:
        self.tables[name].pop(field)
        return f"remove_{name}", field

    def _append(self, name: str, number: int) -> Operation:
        self._row(name).append(number)
        return f"append_{name}", number

    def _pop(self, name: str) -> Operation:
        return f"pop_{name}", self._row(name).popleft()


class WrongReply(AssertionError):
    """The store was reached and answered, and the answer is not what it should be."""


class Performer:
    """Performs the operations of one worker's sequence on a store.

    Its names on the store begin with the worker's name, which no other worker uses.
    """

    def __init__(self, state: State, worker: str) -> None:
        self._state = state
        self._worker = worker
        self._map = state.map(f"{worker}-map")
        self._lease = state.map(f"{worker}-lease")
        self._counter = state.counter(f"{worker}-counter")
        self._queue = state.queue(f"{worker}-queue")
        self._execute = state.backend.execute

    def perform(self, operation: Operation) -> None:
        """One operation. Raises `BackendError` as the structure does, `WrongReply`."""
        name, *arguments = operation
        getattr(self, f"_{name}")(*arguments)

    def perform_batch(self, operations: list[Operation]) -> None:
        """Operations of the kind `commands`, in one round trip."""
        self._state.backend.execute_many([self._command(each) for each in operations])

    def observe(self, kind: str) -> dict[str, Any]:
        """What the store holds of a kind of sequence, as `Model.state` has it."""
        observed = getattr(self, f"_observe_{kind}")()
        return {name: value for name, value in observed.items() if value}

    def key(self, name: str) -> str:
        """The key of a raw value."""
        return f"raw:{{{self._worker}}}:{name}"

    # Structures.

    def _set_map(self, field: str, number: int) -> None:
        self._map[field] = number

    def _remove_map(self, field: str) -> None:
        del self._map[field]

    def _set_lease(self, field: str, number: int) -> None:
        self._lease.set(field, number, ttl=TTL_SECONDS)

    def _add_counter(self, amount: int) -> None:
        self._counter.add(amount)

    def _append_queue(self, number: int) -> None:
        self._queue.put(number)

    def _pop_queue(self, number: int) -> None:
        _expect(number, self._queue.get_nowait())

    def _observe_structures(self) -> dict[str, Any]:
        queue = f"ss:{{queue:{self._worker}-queue}}"
        items = self._execute(("LRANGE", f"{queue}:items", 0, -1))
        return {
            "map": dict(self._map),
            "lease": dict(self._lease),
            "counter": self._counter.value,
            "queue": deque(int(item) for item in items),
            "unfinished": int(self._execute(("HGET", f"{queue}:meta", "unfinished")) or 0),
        }

    # Commands.

    def _command(self, operation: Operation) -> tuple[Any, ...]:
        name, *arguments = operation
        return {
            "append_list": ("RPUSH", self.key("list"), *arguments),
            "pop_list": ("LPOP", self.key("list")),
            "set_hash": ("HSET", self.key("hash"), *arguments),
            "remove_hash": ("HDEL", self.key("hash"), *arguments),
            "set_scores": ("ZADD", self.key("scores"), *reversed(arguments)),
            "set_string": ("SET", self.key("string"), *arguments, "EX", int(TTL_SECONDS)),
            "add_total": ("INCRBY", self.key("total"), *arguments),
        }[name]

    def _observe_commands(self) -> dict[str, Any]:
        ask = self._execute
        scores = ask(("ZRANGE", self.key("scores"), 0, -1, "WITHSCORES"))
        string = ask(("GET", self.key("string")))
        observed: dict[str, Any] = {
            "list": deque(map(int, ask(("LRANGE", self.key("list"), 0, -1)))),
            "hash": _table(ask(("HGETALL", self.key("hash")))),
            "scores": _table(scores),
            "total": int(ask(("GET", self.key("total"))) or 0),
        }
        return observed if string is None else {**observed, "string": int(string)}

    # Transactions.

    def _commit(self, number: int, field: str, is_long: bool) -> None:
        commands: list[tuple[Any, ...]] = [
            ("SET", self.key("left"), number),
            ("RPUSH", self.key("journal"), number),
            ("HSET", self.key("ledger"), field, number),
            ("SET", self.key("right"), number),
        ]
        if is_long:
            commands.append(("LPOP", self.key("journal")))
        self._state.backend.transact(commands)

    def _observe_transactions(self) -> dict[str, Any]:
        ask = self._execute
        left, right = ask(("GET", self.key("left"))), ask(("GET", self.key("right")))
        return {
            **({} if left is None else {"left": int(left)}),
            **({} if right is None else {"right": int(right)}),
            "journal": deque(map(int, ask(("LRANGE", self.key("journal"), 0, -1)))),
            "ledger": _table(ask(("HGETALL", self.key("ledger")))),
        }


def _table(reply: list[bytes]) -> dict[str, int]:
    """A flat reply of fields and numbers, scores among them."""
    pairs = zip(reply[::2], reply[1::2], strict=True)
    return {field.decode(): int(float(value)) for field, value in pairs}


def _expect(wanted: object, got: object) -> None:
    if wanted != got:
        raise WrongReply(f"expected {wanted!r}, got {got!r}")
