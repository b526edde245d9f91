"""Maps under several workers at once: nothing lost, nothing twice, in either layout."""

from __future__ import annotations

from collections.abc import Iterator
from time import sleep
from typing import TYPE_CHECKING, Any

import pytest

from sharedstate.structures.map import ABSENT
from sharedstate.structures.map_update import PATIENCE
from sharedstate.testing.racing import RACERS, Racers

if TYPE_CHECKING:
    from sharedstate.state import State
    from sharedstate.structures.map import Map

ROUNDS = 200
CONTESTED = 40
"""Rounds of what contends for one entry, where every loser has to try again."""
LONG = 1000.0


def count(state: State, number: int) -> None:
    """Count words, one by one and many at once."""
    words = state.map("words")
    for turn in range(ROUNDS):
        words.increment("the")
        words.increment_many({"the": 1, f"word {turn % 7}": 1})


def change_nested(state: State, number: int) -> None:
    """Change a part of one value, which all contend for."""
    table = state.map("table")

    def add(value: Any) -> Any:
        value["total"] += 1
        value["by"].append(number)
        return value

    for _ in range(CONTESTED):
        table.update_with("shared", add, default={"total": 0, "by": []})


def change_slowly(state: State, number: int) -> int:
    """Change one value again and again, one racer slowly, until that one is done.

    Returns how often the function ran.
    """
    table, runs = state.map("table"), 0

    def add(value: int) -> int:
        nonlocal runs
        runs += 1
        if number == 0:
            sleep(0.01)
        return value + 1

    if number == 0:
        for _ in range(3):
            table.update_with("shared", add, default=0)
        table["done"] = True
    while "done" not in table:
        table.update_with("shared", add, default=0)
    return runs


def swap(state: State, number: int) -> None:
    """Add one by comparing and setting."""
    table = state.map("table")
    for _ in range(CONTESTED):
        while True:
            seen = table.get("n", ABSENT)
            if table.compare_and_set("n", seen, 1 if seen is ABSENT else seen + 1):
                break


def take_known(state: State, number: int) -> list[int]:
    """Pop all keys, in the same order as everybody."""
    jobs = state.map("jobs", key=int)
    return [key for key in range(ROUNDS) if jobs.pop(key, None) is not None]


def take_any(state: State, number: int) -> list[int]:
    """Take entries until there is none."""
    jobs, taken = state.map("jobs", key=int), []
    while True:
        try:
            taken.append(jobs.popitem()[0])
        except KeyError:
            return taken


def claim(state: State, number: int) -> list[tuple[int, bool]]:
    """Claim all keys; whose each is, and whether the other way to claim worked."""
    owners, claims = state.map("owners", key=int), state.map("claims", key=int)
    return [
        (owners.setdefault(key, number), claims.set(key, number, if_absent=True))
        for key in range(ROUNDS)
    ]


def write_while_changing_layout(state: State, number: int) -> None:
    """Write entries of one's own while another one uses the first ttl of the map."""
    for turn in range(ROUNDS // 10):
        table: Map[str, int] = state.map(f"table {turn}")
        for key in range(10):
            table[f"{number}/{key}"] = key
            if key == number and number in (3, 4):
                table.set(f"timed {number}", 1, ttl=LONG)


def use_while_clearing(state: State, number: int) -> None:
    """All kinds of calls, on few keys, while the map is cleared again and again."""
    table = state.map("table")
    for turn in range(ROUNDS):
        key = str(turn % 3)
        if number == 0 and turn % 5 == 0:
            table.clear()
        elif turn % 2:
            table.set(key, turn, ttl=0.001 if turn % 3 else LONG)
        else:
            table[key] = turn
        assert table.get(key) is None or key in "012"
        table.increment(f"count {number}")
        table.pop(key, None)
        assert 0 <= len(table) <= 3 + RACERS


class MapRaces:
    """Tests of maps with many workers."""

    @pytest.fixture(scope="class")
    @classmethod
    def racers(cls) -> Iterator[Racers]:
        """The workers, for all tests of the class."""
        with Racers() as racers:
            yield racers

    @pytest.mark.parametrize("timed", [False, True])
    def test_no_count_is_lost(
        self, shared_state: State, racers: Racers, timed: bool
    ) -> None:
        words = shared_state.map("words")
        if timed:
            words.set("the", 0, ttl=LONG)
        racers.run(count, shared_state)
        assert words["the"] == RACERS * ROUNDS * 2
        assert sum(words.values()) == RACERS * ROUNDS * 3

    def test_no_nested_change_is_lost(self, shared_state: State, racers: Racers) -> None:
        racers.run(change_nested, shared_state)
        shared = shared_state.map("table")["shared"]
        assert shared["total"] == RACERS * CONTESTED
        assert sorted(shared["by"]) == sorted([*range(RACERS)] * CONTESTED)

    def test_a_slow_change_gets_its_turn(self, shared_state: State, racers: Racers) -> None:
        runs = racers.run(change_slowly, shared_state)
        assert runs[0] <= 3 * 5 * PATIENCE

    def test_no_swap_is_lost(self, shared_state: State, racers: Racers) -> None:
        racers.run(swap, shared_state)
        assert shared_state.map("table")["n"] == RACERS * CONTESTED

    @pytest.mark.parametrize("take", [take_known, take_any])
    @pytest.mark.parametrize("ttl", [None, LONG])
    def test_every_entry_is_taken_once(
        self, shared_state: State, racers: Racers, take: Any, ttl: float | None
    ) -> None:
        jobs = shared_state.map("jobs", key=int)
        jobs.set_many(dict.fromkeys(range(ROUNDS), "job"), ttl=ttl)
        taken = [key for hand in racers.run(take, shared_state) for key in hand]
        assert sorted(taken) == list(range(ROUNDS))
        assert not jobs

    def test_every_key_has_one_owner(self, shared_state: State, racers: Racers) -> None:
        seen = racers.run(claim, shared_state)
        claims = shared_state.map("claims", key=int)
        for key in range(ROUNDS):
            assert len({hand[key][0] for hand in seen}) == 1
            winners = [number for number, hand in enumerate(seen) if hand[key][1]]
            assert winners == [claims[key]]

    def test_nothing_is_lost_when_the_layout_changes(
        self, shared_state: State, racers: Racers
    ) -> None:
        racers.run(write_while_changing_layout, shared_state)
        wanted = {f"{number}/{key}": key for number in range(RACERS) for key in range(10)}
        for turn in range(ROUNDS // 10):
            table = shared_state.map(f"table {turn}").copy()
            assert table == wanted | {"timed 3": 1, "timed 4": 1}

    def test_a_map_may_be_cleared_in_the_middle_of_use(
        self, shared_state: State, racers: Racers
    ) -> None:
        racers.run(use_while_clearing, shared_state)
        table = shared_state.map("table")
        table.clear()
        assert list(shared_state.names()) == []
        table["a"] = 1
        assert table == {"a": 1}
