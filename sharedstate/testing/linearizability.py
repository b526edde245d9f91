"""Is a history linearizable? A checker for what concurrent processes have seen.

    verdict = check(history, CounterModel())
    assert verdict.outcome is Outcome.LINEARIZABLE, verdict

A history is linearizable if its operations can be put in one order, such that each takes
effect at one instant between its call and its answer, and every answer is what a plain,
sequential object (the *model*) would have given in that order. A pending operation, which
was called and never answered, may take effect at any time after its call, or never.

The search. Of the calls that have not been ordered yet, the next can be any that was
made before the first answer among them: one called later comes later. Try one on the
model; if the model could have answered so, take the operation out of the history, and go
on with the rest from the model's new state; if nothing fits, put the last one back and
try another in its place. The history stands in a doubly linked list of calls and
answers, in which taking out and putting back are a few assignments. (Wing and Gong)

The same operations in another order often lead to the same state, and from there
everything would be searched anew. So pairs (set of operations that are ordered, state)
are remembered, and no pair is searched from twice. (Lowe)

It stays small by five more means, none of which changes the verdict:

- Objects are checked one by one, and so are parts of an object that have nothing to do
  with each other, such as the keys of a map: a history is linearizable if and only if
  each of its parts is. The model says what the parts are. (Horn and Kroening)
- Pending operations are kept apart and tried last, for most have never happened, and
  nothing has to be explained by them if it can be explained without.
- A pending operation that would change nothing is never tried.
- Of two that are pending and ask for the same, the one called first goes first: where
  the other one fits, it does too.
- A model may look at the whole history, and refuse early what it will contradict: the
  items of a queue, say, must have been put in the order in which they were got.

The problem is NP-complete (Gibbons and Korach), so the search has a limit, and then says
"unknown". A violation comes with what there is to see of it: how far the history can be
explained, the state there, and the operations that fit no more.

Sources:
- J. M. Wing, C. Gong: Testing and Verifying Concurrent Objects. J. Parallel and
  Distributed Computing 17 (1993).
- G. Lowe: Testing for Linearizability. Concurrency and Computation: Practice and
  Experience 29 (2017).
- A. Horn, D. Kroening: Faster Linearizability Checking via P-Compositionality. FORTE 2015.
- M. P. Herlihy, J. M. Wing: Linearizability: A Correctness Condition for Concurrent
  Objects. ACM TOPLAS 12 (1990).
- P. B. Gibbons, E. Korach: Testing Shared Memories. SIAM J. Computing 26 (1997).
- A. Athalye: porcupine, https://github.com/anishathalye/porcupine.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import StrEnum
from time import monotonic
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from .counterexample import Counterexample

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator, Sequence

    from .history import Operation

State = TypeVar("State", bound="Hashable")

MAX_STEPS = 5_000_000
"""Steps of a search before it gives up: some hundred bytes each for what is remembered."""

MAX_SECONDS = 30.0

_STEPS_BETWEEN_LOOKS = 4096
"""The clock is read once in so many steps."""


class Model(ABC, Generic[State]):
    """A sequential object: what an operation does to a state, and what it may answer.

    States are hashable and never changed: a step makes new ones.
    """

    @abstractmethod
    def initial(self) -> State:
        """The state before any operation."""

    @abstractmethod
    def step(self, state: State, operation: Operation) -> Iterable[State]:
        """The states in which the operation may leave the object if it happens in this
        one and has its result; none if it could not have that result.

        For a pending operation any result will do. To go by the operation's process or
        times is a mistake: which of two equal ones happened is not asked.
        """

    def part(self, operation: Operation) -> Hashable:
        """The part of the object that the operation is about. Parts are independent."""
        return None

    def informed_by(self, operations: Sequence[Operation]) -> Model[State]:
        """The model for these operations of one part. One that knows them all may refuse
        a step at once that could not be explained later; never one that could.
        """
        return self

    def describe(self, state: State) -> str:
        """A state, for a human."""
        return repr(state)


class Outcome(StrEnum):
    """What a check has found."""

    LINEARIZABLE = "linearizable"
    VIOLATION = "not linearizable"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome, and what it has cost. `str` tells it to a human."""

    outcome: Outcome
    operations: int
    """How many operations the history had."""
    pending: int
    """… and how many of them were never answered."""
    parts: int
    """In how many parts it was checked."""
    steps: int
    """How many times an operation was put behind others."""
    counterexample: Counterexample | None = None

    def __str__(self) -> str:
        text = (
            f"{self.outcome}: {self.operations} operations ({self.pending} pending) "
            f"in {self.parts} parts, {self.steps} steps"
        )
        if self.outcome is Outcome.UNKNOWN:
            text += "; the limit was reached: check shorter histories, or more parts"
        return text if self.counterexample is None else f"{text}\n{self.counterexample}"


def check(
    history: Iterable[Operation],
    model: Model[Any],
    *,
    max_steps: int = MAX_STEPS,
    max_seconds: float = MAX_SECONDS,
) -> Verdict:
    """Whether a history is linearizable, of objects that are all as the model is.

    The limits are those of the whole check. A violation in one part is the verdict even
    if another part was given up.
    """
    parts: dict[tuple[tuple[str, str], Hashable], list[Operation]] = {}
    for operation in history:
        key = (operation.target, model.part(operation))
        parts.setdefault(key, []).append(operation)
    budget = _Budget(max_steps, max_seconds)
    outcome, counterexample = Outcome.LINEARIZABLE, None
    # The short ones first: a violation that is easily found is not missed for a hard part.
    for (target, part), operations in sorted(parts.items(), key=lambda each: len(each[1])):
        search = _Search(operations, model, budget)
        try:
            if search.finds_an_order():
                continue
        except _GivenUp:
            outcome = Outcome.UNKNOWN
            break
        outcome = Outcome.VIOLATION
        counterexample = search.counterexample(target, part)
        break
    return Verdict(
        outcome,
        operations=sum(map(len, parts.values())),
        pending=sum(each.is_pending for part in parts.values() for each in part),
        parts=len(parts),
        steps=budget.steps,
        counterexample=counterexample,
    )


class _GivenUp(Exception):
    """The limit of a check is reached."""


class _Budget:
    """Counts the steps of a check, and ends it."""

    def __init__(self, max_steps: int, max_seconds: float) -> None:
        self.steps = 0
        self._max_steps = max_steps
        self._deadline = monotonic() + max_seconds

    def spend(self) -> None:
        """One step more. Raises `_GivenUp`."""
        self.steps += 1
        if self.steps > self._max_steps:
            raise _GivenUp
        if self.steps % _STEPS_BETWEEN_LOOKS == 0 and monotonic() > self._deadline:
            raise _GivenUp


class _Entry:
    """A call or an answer, in a doubly linked list in the order of time."""

    __slots__ = ("answer", "bit", "next", "operation", "place", "previous")

    def __init__(self, operation: Operation | None, place: int) -> None:
        self.operation: Any = operation
        self.place = place
        """How many events came before, of all."""
        self.bit = 0
        """Stands for the operation in a set of them."""
        self.answer: _Entry | None = None
        """Of a call that was answered: the answer's entry."""
        self.previous: Any = None
        self.next: Any = None

    def append(self, entry: _Entry) -> _Entry:
        """Put an entry behind this last one of a list. Returns that entry."""
        self.next, entry.previous = entry, self
        return entry

    def take_out(self) -> None:
        """Take a call out of its list, and its answer. They remember where they were."""
        self._unlink()
        if self.answer is not None:
            self.answer._unlink()

    def put_back(self) -> None:
        """Undo the last `take_out` that was not undone."""
        if self.answer is not None:
            self.answer._relink()
        self._relink()

    def _unlink(self) -> None:
        self.previous.next = self.next
        if self.next is not None:
            self.next.previous = self.previous

    def _relink(self) -> None:
        self.previous.next = self
        if self.next is not None:
            self.next.previous = self


class _Search:
    """The search for an order of the operations of one part."""

    def __init__(
        self, operations: Sequence[Operation], model: Model[Any], budget: _Budget
    ) -> None:
        self._operations = operations
        self._model = model.informed_by(operations)
        self._budget = budget
        self._answered, self._pending = _linked(operations)
        # The deepest point at which nothing fitted: what was in the way, what had been
        # ordered, and the state.
        self._barrier = _Entry(None, -1)
        self._explained: list[Operation] = []
        self._state: Any = None

    def finds_an_order(self) -> bool:
        """Whether there is one. Raises `_GivenUp`.

        `moves` is what may still be tried behind what is ordered. The stack holds for
        each ordered operation the state and the moves from before it.
        """
        state = self._model.initial()
        moves = self._moves(state)
        stack: list[tuple[_Entry, Any, Iterator[tuple[_Entry, Any]]]] = []
        done = done_pending = 0
        seen: set[tuple[int, int, int, Hashable]] = set()
        while self._answered.next is not None:
            for entry, following in moves:
                self._budget.spend()
                entry.take_out()
                if entry.answer is None:
                    done_pending ^= entry.bit
                else:
                    done ^= entry.bit
                if self._is_new(seen, done, done_pending, following):
                    stack.append((entry, state, moves))
                    state, moves = following, self._moves(following)
                    break
                done, done_pending = _without(entry, done, done_pending)
                entry.put_back()
            else:
                self._note_dead_end(state, stack)
                if not stack:
                    return False
                entry, state, moves = stack.pop()
                done, done_pending = _without(entry, done, done_pending)
                entry.put_back()
        return True

    def _moves(self, state: Any) -> Iterator[tuple[_Entry, Any]]:
        """The calls that can be next, each with the states that it can lead to.

        Between two of them the lists may change, but are then as they were before.
        """
        step = self._model.step
        entry = self._answered.next
        while entry.answer is not None:
            for following in step(state, entry.operation):
                yield entry, following
            entry = entry.next
        first_answer = entry.place
        asked: set[Hashable] = set()
        entry = self._pending.next
        while entry is not None and entry.place < first_answer:
            operation = entry.operation
            request = operation.name, operation.arguments
            if request not in asked:
                asked.add(request)
                for following in step(state, operation):
                    if following != state:
                        yield entry, following
            entry = entry.next

    def _is_new(
        self,
        seen: set[tuple[int, int, int, Hashable]],
        done: int,
        done_pending: int,
        state: Hashable,
    ) -> bool:
        """Whether this set of operations and state come for the first time.

        All answered operations before the first of the list are in the set, which makes
        its bits few: only those from there on are kept.
        """
        first = self._answered.next
        start = first.bit.bit_length() if first is not None else 0
        pair = (start, done >> start, done_pending, state)
        if pair in seen:
            return False
        seen.add(pair)
        return True

    def _note_dead_end(self, state: Any, stack: Sequence[tuple[_Entry, Any, Any]]) -> None:
        entry = self._answered.next
        while entry.answer is not None:
            entry = entry.next
        if entry.place > self._barrier.place:
            self._barrier = entry
            self._explained = [taken.operation for taken, _, _ in stack]
            self._state = state

    def counterexample(self, target: tuple[str, str], part: Hashable) -> Counterexample:
        """What there is to see, after no order was found."""
        explained = set(map(id, self._explained))
        barrier = self._barrier.operation
        unexplained = [
            operation
            for operation in self._operations
            if id(operation) not in explained
            and operation.called_at <= barrier.answered_at
            and not operation.is_pending
        ]
        return Counterexample(
            target=target,
            part=part,
            history=tuple(self._operations),
            explained=tuple(self._explained),
            state=self._model.describe(self._state),
            blocked=barrier,
            unexplained=tuple(unexplained),
        )


def _without(entry: _Entry, done: int, done_pending: int) -> tuple[int, int]:
    if entry.answer is None:
        return done, done_pending ^ entry.bit
    return done ^ entry.bit, done_pending


def _linked(operations: Sequence[Operation]) -> tuple[_Entry, _Entry]:
    """Two lists: of what was answered, calls and answers, and of the calls that are
    pending. Returns their heads, which stand before the first entries.

    At the same nanosecond calls come before answers, as if they had overlapped: clocks
    are not finer.
    """
    events: list[tuple[int, bool, int]] = []
    for number, operation in enumerate(operations):
        events.append((operation.called_at, False, number))
        if operation.answered_at is not None:
            events.append((operation.answered_at, True, number))
    answered = last_answered = _Entry(None, -1)
    pending = last_pending = _Entry(None, -1)
    bits = pending_bits = 1
    calls: dict[int, _Entry] = {}
    for place, (_, is_answer, number) in enumerate(sorted(events)):
        entry = _Entry(operations[number], place)
        if operations[number].is_pending:
            entry.bit, pending_bits = pending_bits, pending_bits << 1
            last_pending = last_pending.append(entry)
            continue
        last_answered = last_answered.append(entry)
        if is_answer:
            calls[number].answer = entry
        else:
            entry.bit, bits = bits, bits << 1
            calls[number] = entry
    return answered, pending
