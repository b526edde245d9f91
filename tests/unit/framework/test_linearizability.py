"""The checker accepts what some order explains, and rejects everything else."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations, permutations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sharedstate.testing.history import UNKNOWN, Operation
from sharedstate.testing.linear_lock_models import (
    FenceModel,
    LockModel,
    ReadWriteLockModel,
    SemaphoreModel,
    with_lapses,
)
from sharedstate.testing.linear_models import (
    CounterModel,
    MapModel,
    QueueModel,
    UnknownOperation,
)
from sharedstate.testing.linearizability import Model, Outcome, check

Word = tuple[Any, ...]


def op(start: int, end: int | None, name: str, *words: Any, to: Any = None) -> Operation:
    """An operation from `start` to `end`, or pending. Its process does not matter."""
    result = UNKNOWN if end is None else to
    return Operation(f"p{start}", ("object", "o"), name, words, result, start, end)


def accepts(model: Model[Any], *history: Operation) -> bool:
    """Whether the checker accepts a history, in whichever order it is given."""
    outcomes = {check(one, model).outcome for one in (history, history[::-1])}
    (outcome,) = outcomes
    assert outcome is not Outcome.UNKNOWN
    return outcome is Outcome.LINEARIZABLE


# One after the other.


def test_nothing_and_nothing_but_pending_operations_are_accepted() -> None:
    assert accepts(CounterModel())
    assert accepts(CounterModel(), op(1, None, "add", 1), op(2, None, "get"))


def test_a_stale_read_is_rejected() -> None:
    write = op(1, 2, "set", "k", "new")
    assert accepts(MapModel(), write, op(3, 4, "get", "k", to="new"))
    assert not accepts(MapModel(), write, op(3, 4, "get", "k"))


def test_a_read_of_what_nobody_wrote_is_rejected() -> None:
    assert not accepts(MapModel(), op(1, 2, "get", "k", to="ghost"))


def test_a_read_from_the_future_is_rejected() -> None:
    early = op(1, 2, "get", "k", to="v")
    assert not accepts(MapModel(), early, op(3, 4, "set", "k", "v"))
    assert not accepts(MapModel(), early, op(3, None, "set", "k", "v"))


def test_what_was_seen_is_not_unseen_again() -> None:
    # Both reads lie within the write; but the first has seen it.
    write = op(1, 10, "set", "k", "new")
    reads = op(2, 3, "get", "k", to="new"), op(4, 5, "get", "k")
    assert not accepts(MapModel(), write, *reads)
    assert accepts(MapModel(), write, reads[0], op(3, 5, "get", "k"))


def test_two_readers_agree_on_the_order_of_two_writes() -> None:
    writes = op(1, 10, "set", "k", "a"), op(1, 10, "set", "k", "b")
    first = op(2, 3, "get", "k", to="a"), op(4, 5, "get", "k", to="b")
    again = op(6, 7, "get", "k", to="a")
    assert accepts(MapModel(), *writes, *first)
    assert not accepts(MapModel(), *writes, *first, again)


def test_operations_at_the_same_instant_may_be_in_either_order() -> None:
    assert accepts(MapModel(), op(1, 2, "set", "k", "v"), op(2, 3, "get", "k"))


# The map.


def test_keys_are_parts_and_each_has_to_be_explained() -> None:
    history = [op(2 * n, 2 * n + 1, "set", n % 4, n) for n in range(40)]
    verdict = check(history, MapModel())
    assert (verdict.outcome, verdict.parts) == (Outcome.LINEARIZABLE, 4)
    assert not accepts(MapModel(), *history, op(100, 101, "get", 3, to=35))


def test_objects_are_checked_apart() -> None:
    one, other = (
        Operation("p", ("counter", name), "add", (1,), 1, start, start + 1)
        for name, start in (("a", 1), ("b", 3))
    )
    verdict = check([one, other], CounterModel())
    assert (verdict.outcome, verdict.parts) == (Outcome.LINEARIZABLE, 2)


def test_only_one_sets_what_was_absent() -> None:
    won = op(1, 10, "set_if_absent", "k", "a", to=True)
    other = op(1, 10, "set_if_absent", "k", "b", to=True)
    assert not accepts(MapModel(), won, other)
    assert accepts(MapModel(), won, op(1, 10, "set_if_absent", "k", "b", to=False))
    assert accepts(MapModel(), won, other, op(1, 10, "delete", "k", to=True))


def test_only_one_deletes_and_only_what_is_there() -> None:
    write = op(1, 2, "set", "k", "v")
    deletes = [op(3, 10, "delete", "k", to=True), op(3, 10, "delete", "k", to=True)]
    assert accepts(MapModel(), write, deletes[0], op(3, 10, "delete", "k", to=False))
    assert not accepts(MapModel(), write, *deletes)
    assert not accepts(MapModel(), write, op(3, 4, "pop", "k"))
    assert accepts(MapModel(), write, op(3, 4, "pop", "k", to="v"))


def test_compare_and_set_tells_what_was_there() -> None:
    write = op(1, 2, "set", "k", "a")
    swap = op(3, 9, "compare_and_set", "k", "a", "b", to=True)
    assert accepts(MapModel(), write, swap, op(10, 11, "get", "k", to="b"))
    assert not accepts(
        MapModel(), write, swap, op(4, 9, "compare_and_set", "k", "a", "c", to=True)
    )
    assert not accepts(
        MapModel(), write, op(3, 4, "compare_and_set", "k", "a", 1, to=False)
    )
    assert accepts(MapModel(), op(1, 2, "compare_and_set", "k", None, 1, to=True))


def test_two_increments_do_not_return_the_same() -> None:
    both = op(1, 9, "increment", "k", 1, to=1), op(1, 9, "increment", "k", 1, to=1)
    assert not accepts(MapModel(), *both)
    assert accepts(MapModel(), both[0], op(1, 9, "increment", "k", 1, to=2))


# The counter.


def test_a_lost_update_is_rejected() -> None:
    adds = [op(1, 9, "add", 1, to=1), op(1, 9, "add", 1, to=2)]
    assert accepts(CounterModel(), *adds, op(10, 11, "get", to=2))
    assert not accepts(CounterModel(), *adds, op(10, 11, "get", to=1))


def test_an_operation_that_was_done_twice_is_rejected() -> None:
    assert not accepts(CounterModel(), op(1, 2, "add", 1, to=1), op(3, 4, "get", to=2))


def test_bounds_hold() -> None:
    stock = op(1, 2, "set", 1)
    sold = op(3, 9, "add_within", -1, 0, None, to=0)
    assert accepts(CounterModel(), stock, sold, op(3, 9, "add_within", -1, 0, None))
    assert not accepts(
        CounterModel(), stock, sold, op(3, 9, "add_within", -1, 0, None, to=-1)
    )
    assert not accepts(CounterModel(), stock, op(3, 9, "add_within", -1, 0, None))
    assert not accepts(CounterModel(), stock, op(3, 9, "add_within", 1, None, 1, to=2))


def test_compare_and_set_of_a_counter_happens_once() -> None:
    swap = op(1, 9, "compare_and_set", 0, 5, to=True)
    assert accepts(CounterModel(), swap, op(1, 9, "compare_and_set", 0, 6, to=False))
    assert not accepts(CounterModel(), swap, op(1, 9, "compare_and_set", 0, 6, to=True))
    assert accepts(CounterModel(), swap, op(10, 11, "reset", 0, to=5))
    assert not accepts(CounterModel(), swap, op(10, 11, "reset", 0, to=0))


# The queue.


def put(start: int, end: int | None, item: object, to: bool = True) -> Operation:
    return op(start, end, "put", item, to=to)


def test_items_come_out_in_the_order_of_their_puts() -> None:
    puts = put(1, 2, "a"), put(3, 4, "b")
    right = op(5, 6, "get", to="a"), op(7, 8, "get", to="b")
    assert accepts(QueueModel(), *puts, *right)
    assert not accepts(QueueModel(), *puts, op(5, 6, "get", to="b"))
    both = op(5, 6, "get", to="b"), op(7, 8, "get", to="a")
    assert not accepts(QueueModel(), *puts, *both)
    assert accepts(QueueModel(), put(1, 4, "a"), put(2, 3, "b"), *both)
    # Gets that overlap tell nothing of the order, whichever was answered later.
    overlap = op(5, 9, "get", to="b"), op(6, 8, "get", to="a")
    assert accepts(QueueModel(), *puts, *overlap)
    assert accepts(QueueModel(), put(1, 2, "b"), put(3, 4, "a"), *overlap)


def test_an_item_is_got_once_and_only_if_it_was_put() -> None:
    got = op(3, 4, "get", to="a")
    assert not accepts(QueueModel(), got)
    assert accepts(QueueModel(), put(1, 2, "a"), got)
    assert not accepts(QueueModel(), put(1, 2, "a"), got, op(3, 9, "get", to="a"))


def test_a_lost_item_is_noticed() -> None:
    assert not accepts(QueueModel(), put(1, 2, "a"), op(3, 4, "get"))
    assert not accepts(
        QueueModel(), put(1, 2, "a"), put(3, 4, "b"), op(5, 6, "get", to="b")
    )


def test_a_full_queue_takes_no_more() -> None:
    first = put(1, 2, "a")
    assert accepts(QueueModel(1), first, put(3, 4, "b", to=False))
    assert not accepts(QueueModel(1), first, put(3, 4, "b"))
    assert not accepts(QueueModel(2), first, put(3, 4, "b", to=False))
    assert not accepts(QueueModel(), first, op(3, 4, "qsize", to=0))


def test_a_get_without_an_answer_may_have_taken_an_item() -> None:
    puts = put(1, 2, "a"), put(3, 4, "b")
    got = op(7, 8, "get", to="b")
    assert accepts(QueueModel(), *puts, op(5, None, "get"), got)
    assert not accepts(QueueModel(), *puts, op(9, None, "get"), got)
    assert not accepts(QueueModel(), *puts, op(5, None, "get"), op(7, 8, "get"))


# Pending operations.


def test_a_pending_operation_may_have_happened_or_not() -> None:
    pending = op(1, None, "add", 1)
    assert accepts(CounterModel(), pending, op(5, 6, "get", to=False))
    assert accepts(CounterModel(), pending, op(5, 6, "get", to=1))
    assert not accepts(CounterModel(), pending, op(5, 6, "get", to=2))


def test_a_pending_operation_may_happen_late_but_once() -> None:
    pending = op(1, None, "add", 1)
    reads = op(5, 6, "get", to=0), op(7, 8, "get", to=1)
    assert accepts(CounterModel(), pending, *reads)
    assert not accepts(CounterModel(), pending, *reads, op(9, 10, "get", to=0))


def test_of_equal_pending_operations_as_many_as_needed_happen() -> None:
    pending = [op(n, None, "add", 1) for n in range(1, 40)]
    assert accepts(CounterModel(), *pending, op(50, 51, "get", to=39))
    assert not accepts(CounterModel(), *pending, op(50, 51, "get", to=40))
    assert not accepts(CounterModel(), *pending, op(20, 21, "get", to=30))
    verdict = check([*pending, op(50, 51, "get", to=40)], CounterModel())
    assert verdict.steps < 100


# What is held.


def hold(start: int, end: int | None, name: str, to: Any) -> Operation:
    return op(start, end, "acquire", name, to=to)


def release(start: int, end: int | None, name: str, to: bool = True) -> Operation:
    return op(start, end, "release", name, to=to)


def test_two_holders_are_rejected() -> None:
    first, second = hold(1, 2, "a", 1), hold(3, 4, "b", 2)
    assert not accepts(LockModel(), first, second)
    assert accepts(LockModel(), first, release(2, 3, "a"), second)
    assert not accepts(LockModel(), first, release(5, 6, "a"), second)


def test_a_token_that_does_not_rise_is_rejected() -> None:
    first = hold(1, 2, "a", 7), release(3, 4, "a")
    assert accepts(LockModel(), *first, hold(5, 6, "b", 9))
    assert not accepts(LockModel(), *first, hold(5, 6, "b", 7))
    assert not accepts(LockModel(), *first, hold(5, 6, "b", 3))


def test_a_free_lock_is_not_refused() -> None:
    assert not accepts(LockModel(), hold(1, 2, "a", False))
    assert accepts(LockModel(may_refuse_early=True), hold(1, 2, "a", False))
    assert accepts(LockModel(), hold(1, 2, "a", 1), hold(3, 4, "b", False))


def test_a_lease_ends_at_its_deadline_and_not_before() -> None:
    first, late = hold(10, 12, "a", 1), hold(105, 111, "b", 2)
    assert accepts(LockModel(), *with_lapses([first, late], 100))
    early = hold(105, 109, "b", 2)
    assert not accepts(LockModel(), *with_lapses([first, early], 100))
    # Unless its process was killed.
    ends = with_lapses([first, early], 100, lambda each: 50)
    assert accepts(LockModel(), *ends)


def test_who_lost_its_lease_learns_of_it() -> None:
    grants = hold(10, 12, "a", 1), hold(120, 121, "b", 2)
    lost = *grants, release(130, 131, "a", to=False), release(132, 133, "b")
    assert accepts(LockModel(), *with_lapses(lost, 100))
    ignored = *grants, release(130, 131, "a"), release(132, 133, "b")
    assert not accepts(LockModel(), *with_lapses(ignored, 100))


def test_a_release_without_an_answer_leaves_the_rest_to_the_lease() -> None:
    history = hold(10, 12, "a", 1), release(20, None, "a")
    assert accepts(LockModel(), *history, hold(25, 26, "b", 2))
    refused = hold(30, 31, "b", False), hold(109, 111, "b", 2)
    assert accepts(LockModel(), *with_lapses([*history, *refused], 100))
    early = refused[0], hold(32, 33, "b", 2), hold(34, 35, "c", 3)
    assert not accepts(LockModel(), *with_lapses([*history, *early], 100))


def test_a_hold_that_was_released_has_not_lapsed_before() -> None:
    grants = hold(10, 12, "a", 1), hold(120, 121, "b", 2)
    history = [*grants, release(130, 131, "a"), release(140, 141, "b")]
    assert [
        each.arguments for each in with_lapses(history, 100) if each.name == "lapse"
    ] == []
    assert not accepts(LockModel(), *with_lapses(history, 100))


def test_a_pending_acquisition_may_hold_the_lock() -> None:
    history = hold(1, None, "a", None), hold(3, 4, "b", False)
    assert accepts(LockModel(), *with_lapses(history, 100))
    assert accepts(LockModel(), *with_lapses([history[0], hold(3, 4, "b", 1)], 100))
    seen = *history, hold(5, 6, "c", 1)
    assert not accepts(LockModel(), *with_lapses(seen, 100))


def test_readers_share_and_a_writer_is_alone() -> None:
    def ask(start: int, end: int, kind: str, name: str, to: Any) -> Operation:
        return op(start, end, f"acquire_{kind}", name, to=to)

    readers = ask(1, 2, "read", "a", 1), ask(3, 4, "read", "b", 2)
    assert accepts(ReadWriteLockModel(), *readers)
    assert not accepts(ReadWriteLockModel(), *readers, ask(5, 6, "write", "c", 3))
    assert accepts(ReadWriteLockModel(), *readers, ask(5, 6, "write", "c", False))
    freed = release(5, 6, "a"), release(7, 8, "b"), ask(9, 10, "write", "c", 3)
    assert accepts(ReadWriteLockModel(), *readers, *freed)
    assert not accepts(ReadWriteLockModel(), *readers, *freed[1:])
    late = ask(13, 14, "read", "d", 4)
    assert not accepts(ReadWriteLockModel(), *readers, *freed, late)
    downgrade = op(11, 12, "downgrade", "c", to=True)
    assert accepts(ReadWriteLockModel(), *readers, *freed, downgrade, late)


def test_tokens_rise_with_every_grant() -> None:
    def ask(start: int, kind: str, name: str, to: int) -> list[Operation]:
        grant = op(start, start + 1, f"acquire_{kind}", name, to=to)
        return [grant, release(start + 2, start + 3, name)]

    write, model = ask(1, "write", "a", 5), ReadWriteLockModel()
    assert accepts(model, *write, *ask(5, "read", "b", 6), *ask(9, "read", "c", 7))
    assert not accepts(model, *write, *ask(5, "read", "b", 6), *ask(9, "read", "c", 6))
    assert accepts(model, *write, *ask(5, "write", "b", 6))
    assert not accepts(model, *write, *ask(5, "write", "b", 5))
    assert not accepts(model, *write, *ask(5, "read", "b", 4))


def test_a_downgrade_without_an_answer_may_have_ended_the_hold() -> None:
    write = op(1, 2, "acquire_write", "a", to=1)
    downgrade = op(3, None, "downgrade", "a")
    for kind in ("read", "write"):
        other = op(5, 6, f"acquire_{kind}", "b", to=2)
        lapsing = with_lapses([write, downgrade, other], 100)
        assert accepts(ReadWriteLockModel(), *lapsing)
        assert not accepts(ReadWriteLockModel(), *with_lapses([write, other], 100))
    failed = op(3, 4, "downgrade", "a", to=True), op(5, 6, "acquire_write", "b", to=2)
    assert not accepts(ReadWriteLockModel(), write, *failed)


def test_no_more_permits_are_held_than_there_are() -> None:
    def ask(start: int, end: int, name: str, n: int, to: Any = True) -> Operation:
        return op(start, end, "acquire", name, n, to=to)

    two = ask(1, 2, "a", 1), ask(3, 4, "b", 1)
    third = ask(7, 8, "c", 1)
    assert accepts(SemaphoreModel(2), *two, ask(7, 8, "c", 1, to=False))
    assert not accepts(SemaphoreModel(2), *two, third)
    assert not accepts(SemaphoreModel(2), two[0], ask(3, 4, "b", 2))
    assert accepts(SemaphoreModel(2), *two, release(5, 6, "a"), third)
    assert accepts(SemaphoreModel(2), *two, op(5, 6, "resize", 3), third)
    assert not accepts(SemaphoreModel(2), *two, release(5, 6, "x"))
    assert accepts(SemaphoreModel(2), *with_lapses([two[0], two[1], third], 5))


def test_a_late_holders_write_is_refused() -> None:
    writes = op(1, 2, "write", 5, "x", to=True), op(3, 4, "write", 4, "y", to=False)
    assert accepts(FenceModel(), *writes, op(5, 6, "read", to="x"))
    assert not accepts(FenceModel(), *writes, op(5, 6, "read", to="y"))
    assert not accepts(FenceModel(), writes[0], op(3, 4, "write", 4, "y", to=True))


# The checker itself.


def test_an_operation_that_the_model_does_not_know_is_a_mistake() -> None:
    with pytest.raises(UnknownOperation, match="does not know p1: multiply"):
        check([op(1, 2, "multiply", 2)], CounterModel())


def test_a_search_that_reaches_its_limit_says_so() -> None:
    history = [op(1, 99, "set", "k", n) for n in range(12)]
    history.append(op(100, 101, "get", "k", to="nothing that was set"))
    verdict = check(history, MapModel(), max_steps=1000)
    assert verdict.outcome is Outcome.UNKNOWN
    assert "the limit was reached" in str(verdict)
    assert check(history, MapModel(), max_seconds=0).outcome is Outcome.UNKNOWN
    assert check(history, MapModel()).outcome is Outcome.VIOLATION


def test_an_order_that_leads_to_the_same_state_is_not_searched_again() -> None:
    # 10! orders, and 2 ** 10 sets of operations.
    history = [op(1, 99, "add_within", 1, None, -1) for _ in range(10)]
    history.append(op(100, 101, "get", to=1))
    verdict = check(history, CounterModel())
    assert verdict.outcome is Outcome.VIOLATION
    assert verdict.steps <= 10 * 2**10


def test_a_long_history_needs_no_recursion_and_few_steps() -> None:
    history = [op(n, n + 3, "add", 1, to=n) for n in range(1, 20_001)]
    verdict = check(history, CounterModel())
    assert verdict.outcome is Outcome.LINEARIZABLE
    assert verdict.steps <= 4 * 20_000


def test_a_violation_tells_how_far_the_history_can_be_explained() -> None:
    history = [op(n * 10, n * 10 + 5, "add", 1, to=n) for n in range(1, 30)]
    twice = op(312, 330, "add", 1, to=30)
    history += [op(311, 320, "add", 1, to=30), twice, op(340, 350, "get", to=30)]
    example = check(history, CounterModel()).counterexample
    assert example is not None
    assert example.blocked is twice
    assert example.unexplained == (twice,)
    assert len(example.explained) == 30
    assert example.state == "30"
    until = [each for each in history if each.called_at < 330]
    assert check(until[:-1], CounterModel()).outcome is Outcome.LINEARIZABLE
    text = str(example)
    assert "! p312: add(1) -> 30" in text
    (line,) = [line for line in text.splitlines() if line.endswith("] !")]
    assert line.startswith("p312: add(1) -> 30")


# Against a search that tries everything.


def try_everything(history: Sequence[Operation], model: Model[Any]) -> bool:
    """Whether a history is linearizable, by all orders of all sets of what happened."""
    pending = [each for each in history if each.is_pending]
    answered = [each for each in history if not each.is_pending]
    return any(
        leads_anywhere(order, model)
        for count in range(len(pending) + 1)
        for happened in combinations(pending, count)
        for order in permutations([*answered, *happened])
        if is_in_time(order)
    )


def is_in_time(order: Sequence[Operation]) -> bool:
    return not any(
        later.answered_at is not None and later.answered_at < earlier.called_at
        for earlier, later in combinations(order, 2)
    )


def leads_anywhere(order: Sequence[Operation], model: Model[Any]) -> bool:
    states: Iterable[Any] = [model.initial()]
    for operation in order:
        states = [after for state in states for after in model.step(state, operation)]
    return bool(states)


def histories(operations: st.SearchStrategy[Word]) -> st.SearchStrategy[list[Operation]]:
    """Up to five operations, each a name, its arguments and a result, at any times."""
    times = st.integers(1, 12)

    def at(word: Word, one: int, other: int, is_pending: bool) -> Operation:
        *called, result = word
        end = None if is_pending else max(one, other)
        return op(min(one, other), end, *called, to=result)

    pending = st.integers(0, 3).map(lambda number: number == 0)
    return st.lists(st.builds(at, operations, times, times, pending), max_size=5)


KEYS = st.sampled_from(["k", "l"])
VALUES = st.sampled_from([None, 1, 2])
MAP = st.one_of(
    st.tuples(st.just("get"), KEYS, VALUES),
    st.tuples(st.just("set"), KEYS, st.sampled_from([1, 2]), st.none()),
    st.tuples(st.just("delete"), KEYS, st.booleans()),
    st.tuples(st.just("compare_and_set"), KEYS, VALUES, VALUES, st.booleans()),
)
NUMBERS = st.integers(0, 3)
COUNTER = st.one_of(
    st.tuples(st.just("get"), NUMBERS),
    st.tuples(st.just("add"), st.integers(1, 2), NUMBERS),
    st.tuples(st.just("compare_and_set"), NUMBERS, NUMBERS, st.booleans()),
)
ITEMS = st.integers(1, 4)
QUEUE = st.one_of(
    st.tuples(st.just("get"), st.none() | ITEMS),
    st.tuples(st.just("put"), ITEMS, st.sampled_from([True, True, False])),
    st.tuples(st.just("qsize"), st.integers(0, 2)),
)
HOLDS = st.sampled_from(["a", "b", "c"])
LOCK = st.one_of(
    st.tuples(st.just("acquire"), HOLDS, st.sampled_from([False, 1, 2])),
    st.tuples(st.just("release"), HOLDS, st.booleans()),
)

SIDES = st.one_of(
    st.tuples(st.just("acquire_read"), HOLDS, st.sampled_from([False, 1, 2])),
    st.tuples(st.just("acquire_write"), HOLDS, st.sampled_from([False, 1, 2])),
    st.tuples(st.just("downgrade"), HOLDS, st.booleans()),
    st.tuples(st.just("release"), HOLDS, st.booleans()),
)
PERMITS = st.one_of(
    st.tuples(st.just("acquire"), HOLDS, st.integers(1, 2), st.sampled_from([False, 1, 2])),
    st.tuples(st.just("release"), HOLDS, st.booleans()),
)

_SETTINGS = settings(max_examples=400, deadline=None, database=None)


@_SETTINGS
@given(histories(MAP))
def test_it_agrees_with_all_orders_of_a_map(history: list[Operation]) -> None:
    assert accepts(MapModel(), *history) == all(
        try_everything([each for each in history if each.arguments[0] == key], MapModel())
        for key in ("k", "l")
    )


@_SETTINGS
@given(histories(COUNTER))
def test_it_agrees_with_all_orders_of_a_counter(history: list[Operation]) -> None:
    assert accepts(CounterModel(), *history) == try_everything(history, CounterModel())


@_SETTINGS
@given(histories(QUEUE), st.integers(0, 2))
def test_it_agrees_with_all_orders_of_a_queue(
    history: list[Operation], maxsize: int
) -> None:
    model = QueueModel(maxsize)
    assert accepts(model, *history) == try_everything(history, model)


@_SETTINGS
@given(histories(LOCK))
def test_it_agrees_with_all_orders_of_a_lock(history: list[Operation]) -> None:
    agree_with_all_orders(history, LockModel())
    agree_with_all_orders(history, LockModel(may_refuse_early=True))


@_SETTINGS
@given(histories(SIDES))
def test_it_agrees_with_all_orders_of_a_read_write_lock(history: list[Operation]) -> None:
    agree_with_all_orders(history, ReadWriteLockModel())


@_SETTINGS
@given(histories(PERMITS))
def test_it_agrees_with_all_orders_of_a_semaphore(history: list[Operation]) -> None:
    agree_with_all_orders(history, SemaphoreModel(2))


def agree_with_all_orders(history: list[Operation], model: Model[Any]) -> None:
    # Of each acquisition one: two of the same name are a mistake of the history.
    names = [each.arguments[0] for each in history if each.name.startswith("acquire")]
    history = history if len(set(names)) == len(names) else history[:1]
    assert accepts(model, *history) == try_everything(history, model)
    # A lapse is an operation more, and so there must be fewer of the others.
    lapsing = with_lapses(history[:3], 3)
    assert accepts(model, *lapsing) == try_everything(lapsing, model)
