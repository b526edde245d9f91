"""Counters under several workers at once: exact, and never over a bound."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from sharedstate.testing.racing import RACERS, Racers

if TYPE_CHECKING:
    from sharedstate.state import State

ROUNDS = 200
MOST = 2**63 - 1


def add_often(state: State, number: int) -> None:
    """Add one and another number, in all ways that add."""
    hits, weight = state.counter("hits"), state.float_counter("weight")
    for _ in range(ROUNDS):
        hits.add(1)
        hits += 2
        weight.add(0.5)


def sell_all(state: State, number: int, floor: int) -> int:
    """Take from the stock until there is nothing left; how many were taken."""
    stock, sold = state.counter("stock"), 0
    while stock.add(-1, minimum=floor) is not None:
        sold += 1
    return sold


def fill_up(state: State, number: int) -> int:
    """Add to the level up to the end of 64 bits; how often that worked."""
    level, filled = state.counter("level"), 0
    while level.add(1, maximum=MOST) is not None:
        filled += 1
    return filled


def draw_tickets(state: State, number: int) -> list[int]:
    """Draw tickets, by adding."""
    tickets = state.counter("tickets")
    return [tickets.get_and_add(1) for _ in range(ROUNDS)]


def swap_often(state: State, number: int) -> None:
    """Add one by comparing and setting, until it worked as often as there are rounds."""
    hits = state.counter("hits")
    for _ in range(ROUNDS // 4):
        seen = hits.value
        while not hits.compare_and_set(seen, seen + 1):
            seen = hits.value


def add_and_reset(state: State, number: int) -> int:
    """Add, and reset now and then; the sum of what the resets returned."""
    hits, taken = state.counter("hits"), 0
    for turn in range(ROUNDS):
        hits.add(1)
        if turn % 10 == number:
            taken += hits.reset()
    return taken


class CounterRaces:
    """Tests of counters with many workers."""

    @pytest.fixture(scope="class")
    @classmethod
    def racers(cls) -> Iterator[Racers]:
        """The workers, for all tests of the class."""
        with Racers() as racers:
            yield racers

    def test_no_addition_is_lost(self, shared_state: State, racers: Racers) -> None:
        racers.run(add_often, shared_state)
        assert shared_state.counter("hits").value == RACERS * ROUNDS * 3
        assert shared_state.float_counter("weight").value == RACERS * ROUNDS / 2

    @pytest.mark.parametrize("floor", [0, 2**60])
    def test_a_stock_is_never_oversold(
        self, shared_state: State, racers: Racers, floor: int
    ) -> None:
        shared_state.counter("stock").set(floor + 1000)
        assert sum(racers.run(sell_all, shared_state, floor)) == 1000
        assert shared_state.counter("stock").value == floor

    def test_a_level_is_filled_up_to_the_end_of_64_bits(
        self, shared_state: State, racers: Racers
    ) -> None:
        shared_state.counter("level").set(MOST - 500)
        assert sum(racers.run(fill_up, shared_state)) == 500
        assert shared_state.counter("level").value == MOST

    def test_every_ticket_is_drawn_once(self, shared_state: State, racers: Racers) -> None:
        drawn = [
            ticket for hand in racers.run(draw_tickets, shared_state) for ticket in hand
        ]
        assert sorted(drawn) == list(range(RACERS * ROUNDS))

    def test_no_swap_is_lost(self, shared_state: State, racers: Racers) -> None:
        racers.run(swap_often, shared_state)
        assert shared_state.counter("hits").value == RACERS * (ROUNDS // 4)

    def test_resets_lose_nothing(self, shared_state: State, racers: Racers) -> None:
        taken = sum(racers.run(add_and_reset, shared_state))
        assert taken + shared_state.counter("hits").value == RACERS * ROUNDS
