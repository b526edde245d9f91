"""The conformance suite of transactions: over maps and counters, on any backend.

    class TestTransactions(TransactionSuite):
        pass

It takes the fixture `shared_state`.
"""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

import pytest

from sharedstate.errors import (
    Conflict,
    NotSupported,
    StaleToken,
)
from sharedstate.fencing import Fence, fencing
from sharedstate.structures.map import ABSENT
from sharedstate.testing.background import Interrupted, interrupted_in
from sharedstate.testing.map_expiry_suite import LONG, wait_until_due
from sharedstate.testing.transaction_view_suite import Stop, Views, sell, stock_and_sold

if TYPE_CHECKING:
    from sharedstate.state import State
    from sharedstate.structures.counter import Counter
    from sharedstate.structures.map import Map

TOTAL = 100


class RunningTransactions:
    """The ways to run one, and what they leave."""

    def test_a_function_is_run_and_its_result_returned(self, shared_state: State) -> None:
        stock, sold = stock_and_sold(shared_state)
        assert shared_state.transaction(stock, sold).run(sell) == 1
        assert shared_state.transaction(stock, sold).run(sell, "apple", n=2) == 3
        assert (stock["apple"], sold.value) == (0, 3)

    def test_a_decorated_function_is_given_the_views_first(
        self, shared_state: State
    ) -> None:
        stock, sold = stock_and_sold(shared_state)
        decorated = shared_state.transaction(stock, sold)(sell)
        assert decorated.__name__ == "sell"
        assert decorated("apple", n=2) == 2
        assert decorated() == 3

    def test_a_block_is_run_until_it_committed(self, shared_state: State) -> None:
        stock, sold = stock_and_sold(shared_state)
        numbers = []
        for attempt in shared_state.transaction(stock, sold):
            with attempt as (stock_now, sold_now):
                numbers.append(attempt.number)
                sell(stock_now, sold_now)
                if attempt.number < 3:
                    sold.add(10)
        assert numbers == [1, 2, 3]
        assert (stock["apple"], sold.value) == (2, 21)

    def test_nothing_is_seen_before_the_end(self, shared_state: State) -> None:
        stock, sold = stock_and_sold(shared_state)

        def look(stock_now: Map[str, Any], sold_now: Counter) -> tuple[int, int]:
            sell(stock_now, sold_now)
            assert (stock_now["apple"], sold_now.value) == (2, 1)
            return stock["apple"], sold.value

        assert shared_state.transaction(stock, sold).run(look) == (3, 0)
        assert (stock["apple"], sold.value) == (2, 1)

    def test_an_error_writes_nothing_and_is_raised(self, shared_state: State) -> None:
        stock, sold = stock_and_sold(shared_state)
        calls = []

        def fail(stock: Map[str, Any], sold: Counter) -> None:
            calls.append(sell(stock, sold))
            raise Stop

        with pytest.raises(Stop):
            shared_state.transaction(stock, sold).run(fail)
        assert calls == [1]
        assert (stock["apple"], sold.value) == (3, 0)

    def test_an_error_in_a_block_ends_the_loop(self, shared_state: State) -> None:
        stock, sold = stock_and_sold(shared_state)

        def clear() -> None:
            for attempt in shared_state.transaction(stock, sold):
                with attempt as (stock_now, _):
                    stock_now.clear()
                    raise Stop

        with pytest.raises(Stop):
            clear()
        assert stock["apple"] == 3

    def test_what_is_written_unread_costs_no_conflict(self, shared_state: State) -> None:
        sold = shared_state.counter("sold")
        for attempt in shared_state.transaction(sold, attempts=1):
            with attempt as (sold_now,):
                sold_now.set(5)
                sold.set(7)
        assert sold.value == 5

    def test_two_handles_of_one_structure_see_each_other(self, shared_state: State) -> None:
        one, other = shared_state.map("m"), shared_state.map("m", key=bytes)

        def write(one: Map[str, Any], other: Map[bytes, Any]) -> None:
            one["a"] = 1
            other[b"b"] = other[b"a"] + 1

        shared_state.transaction(one, other).run(write)
        assert one.copy() == {"a": 1, "b": 2}

    def test_an_interrupt_leaves_nothing_behind(self, shared_state: State) -> None:
        stock, sold = stock_and_sold(shared_state)

        def add_without_end(sold: Counter) -> None:
            while True:
                sold.add(1)

        def sell_without_end(stock: Map[str, Any], sold: Counter) -> None:
            sell(stock, sold)
            add_without_end(sold)

        with interrupted_in("add_without_end"), pytest.raises(Interrupted):
            shared_state.transaction(stock, sold).run(sell_without_end)
        assert (stock["apple"], sold.value) == (3, 0)
        # Were a watch left on a connection, the next transaction on it would fail.
        sold.add(5)
        for _ in range(3):
            shared_state.transaction(stock, sold, attempts=1).run(sell)
        assert (stock["apple"], sold.value) == (0, 8)


class Conflicts:
    """What happens when others come between."""

    def test_a_change_of_what_was_read_is_noticed(self, shared_state: State) -> None:
        stock, sold = stock_and_sold(shared_state)
        calls = []

        def sell_late(stock_now: Map[str, Any], sold_now: Counter) -> int:
            calls.append(stock_now["apple"])
            if len(calls) == 1:
                stock["apple"] = 1
            return sell(stock_now, sold_now)

        assert shared_state.transaction(stock, sold).run(sell_late) == 1
        assert calls == [3, 1]
        assert (stock["apple"], sold.value) == (0, 1)

    def test_a_change_of_another_key_or_a_lifetime_is_noticed(
        self, shared_state: State
    ) -> None:
        stock, sold = stock_and_sold(shared_state)
        disturb = [
            lambda: stock.update(pear=1),
            lambda: stock.touch("apple", LONG),
            lambda: stock.persist("apple"),
            stock.clear,
        ]
        seen = []
        for attempt in shared_state.transaction(stock, sold):
            with attempt as (stock_now, sold_now):
                seen.append((len(stock_now), stock_now.get("apple")))
                sold_now.add(1)
                if disturb:
                    disturb.pop(0)()
        assert seen == [(1, 3), (2, 3), (2, 3), (2, 3), (0, None)]
        assert sold.value == 1

    def test_so_many_conflicts_are_raised(self, shared_state: State) -> None:
        stock, sold = stock_and_sold(shared_state)
        calls = []

        def lose(stock_now: Map[str, Any], sold_now: Counter) -> None:
            sell(stock_now, sold_now)
            calls.append(sold.add(100))

        with pytest.raises(Conflict, match="tried 4 times") as caught:
            shared_state.transaction(stock, sold, attempts=4).run(lose)
        assert calls == [100, 200, 300, 400]
        assert stock["apple"] == 3
        error = pickle.loads(pickle.dumps(caught.value))
        assert str(error) == str(caught.value)
        assert (error.attempts, error.structures) == (
            4,
            ("the map 'stock'", "the counter 'sold'"),
        )

    def test_after_the_timeout_nothing_is_tried_again(self, shared_state: State) -> None:
        sold = shared_state.counter("sold")

        def add_twice(sold_now: Counter) -> None:
            sold_now.add(1)
            sold.add(1)

        transaction = shared_state.transaction(sold, attempts=10**6, timeout=0.02)
        with pytest.raises(Conflict) as caught:
            transaction.run(add_twice)
        assert 1 <= caught.value.attempts < 10**6
        assert sold.value == caught.value.attempts

    def test_a_timeout_of_zero_is_one_attempt(self, shared_state: State) -> None:
        sold = shared_state.counter("sold")
        with pytest.raises(Conflict, match="tried once"):
            shared_state.transaction(sold, timeout=0).run(
                lambda sold_now: (sold_now.add(1), sold.add(1))
            )

    def test_what_was_read_was_there_at_one_moment(self, shared_state: State) -> None:
        left, right = shared_state.counter("left"), shared_state.counter("right")
        left.set(TOTAL)
        seen = []
        for attempt in shared_state.transaction(left, right):
            with attempt as (left_now, right_now):
                before = left_now.value
                if attempt.number == 1:
                    left.set(0)
                    right.set(TOTAL)
                seen.append(before + right_now.value)
        assert seen == [2 * TOTAL, TOTAL]

    def test_an_error_over_what_never_was_is_not_believed(
        self, shared_state: State
    ) -> None:
        left, right = shared_state.counter("left"), shared_state.counter("right")
        left.set(TOTAL)
        calls = []

        def check(left_now: Counter, right_now: Counter) -> int:
            calls.append(left_now.value)
            if len(calls) == 1:
                left.set(0)
                right.set(TOTAL)
            assert calls[-1] + right_now.value == TOTAL
            return right_now.value

        assert shared_state.transaction(left, right).run(check) == TOTAL
        assert calls == [TOTAL, 0]

    def test_an_error_that_never_ends_is_a_conflict_in_the_end(
        self, shared_state: State
    ) -> None:
        left, right = shared_state.counter("left"), shared_state.counter("right")

        def fail(left_now: Counter, right_now: Counter) -> None:
            _ = left_now.value
            left.add(1)
            raise ValueError(right_now.value)

        with pytest.raises(Conflict) as caught:
            shared_state.transaction(left, right, attempts=3).run(fail)
        assert isinstance(caught.value.__context__, ValueError)

    def test_write_skew_is_prevented(self, shared_state: State) -> None:
        on_call = shared_state.map("on call")
        on_call.update(ann=True, bob=True)

        def leave(on_call: Map[str, bool], who: str) -> bool:
            if sum(on_call.values()) < 2:
                return False
            on_call[who] = False
            return True

        def leave_late(on_call_now: Map[str, bool]) -> bool:
            if sum(on_call_now.values()) == 2:
                # The other one reads the same, and is quicker.
                assert shared_state.transaction(on_call).run(leave, "bob")
            return leave(on_call_now, "ann")

        assert not shared_state.transaction(on_call).run(leave_late)
        assert on_call.copy() == {"ann": True, "bob": False}

    def test_the_end_of_a_lifetime_is_a_conflict(self, shared_state: State) -> None:
        leases = shared_state.map("leases")
        leases["endless"] = True
        leases.set("a", "mine", ttl=0.05)
        seen = []
        for attempt in shared_state.transaction(leases):
            with attempt as (leases_now,):
                seen.append(leases_now.get("a"))
                wait_until_due(shared_state, 0.05)
                # Time stands still in an attempt.
                assert leases_now.get("a") == seen[-1]
                leases_now["b"] = seen[-1]
        assert seen in (["mine", None], [None])
        assert leases.copy() == {"endless": True, "b": None}

    def test_a_loop_left_after_a_conflict_warns(self, shared_state: State) -> None:
        sold = shared_state.counter("sold")

        def leave_by_return() -> None:
            for attempt in shared_state.transaction(sold):
                with attempt as (sold_now,):
                    sold_now.add(1)
                    sold.add(1)
                    return

        with pytest.warns(RuntimeWarning, match="nothing was written"):
            leave_by_return()


class FencedTransactions:
    """Handles that carry fencing tokens carry them in transactions too."""

    def test_a_stale_token_writes_nothing(self, shared_state: State) -> None:
        stock, sold = stock_and_sold(shared_state)
        older, newer = (Fence("l", token, "ss:{lock:l}") for token in (1, 2))
        with fencing(older, stock):
            assert shared_state.transaction(stock, sold).run(sell) == 1
            shared_state.map("stock").set("apple", 9, fence=newer)
            with pytest.raises(StaleToken) as caught:
                shared_state.transaction(stock, sold).run(sell)
        assert (caught.value.token, caught.value.highest) == (1, 2)
        assert (stock["apple"], sold.value) == (9, 1)

    def test_a_token_is_recorded_by_the_commit(self, shared_state: State) -> None:
        stock, sold = stock_and_sold(shared_state)
        older, newer = (Fence("l", token, "ss:{lock:l}") for token in (1, 2))
        with fencing(older, sold):
            with fencing(newer, stock):
                shared_state.transaction(stock, sold).run(sell)
            with pytest.raises(StaleToken):
                stock.set("apple", 1, fence=older)
            sold.add(1)

    def test_a_token_that_the_store_lost_is_recorded_again(
        self, shared_state: State
    ) -> None:
        stock, sold = stock_and_sold(shared_state)
        older, newer = (Fence("l", token, "ss:{lock:l}") for token in (1, 2))
        with fencing(newer, stock):
            shared_state.backend.execute(("DEL", stock._context.key("fence")))
            shared_state.transaction(stock, sold).run(sell)
        with pytest.raises(StaleToken):
            stock.set("apple", 1, fence=older)

    def test_a_fenced_map_may_have_lifetimes(self, shared_state: State) -> None:
        stock, _ = stock_and_sold(shared_state)
        with fencing(Fence("l", 1, "ss:{lock:l}"), stock):
            shared_state.transaction(stock).run(lambda stock: stock.touch("apple", LONG))
        assert stock.ttl("apple") is not None

    def test_views_are_not_fenced_themselves(self, shared_state: State) -> None:
        stock, _ = stock_and_sold(shared_state)
        fence = Fence("l", 1, "ss:{lock:l}")
        with pytest.raises(NotSupported, match="outside"):
            shared_state.transaction(stock).run(
                lambda stock: stock.set("apple", ABSENT is None, fence=fence)
            )
        assert stock["apple"] == 3


class TransactionSuite(RunningTransactions, Conflicts, Views, FencedTransactions):
    """Everything above."""
