"""Transactions under several workers at once: nothing lost, nothing seen by halves."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from sharedstate.errors import Conflict
from sharedstate.testing.racing import RACERS, Racers
from sharedstate.testing.victims import Victim

if TYPE_CHECKING:
    from sharedstate.state import State
    from sharedstate.structures.counter import Counter
    from sharedstate.structures.map import Map

ACCOUNTS = [f"account {number}" for number in range(6)]
START = 50
TRANSFERS = 60
PATIENT = 100_000
"""Attempts that no race uses up: what is tested is that what commits is right."""


def move(accounts: Map[str, int], moves: Counter, source: str, to: str, n: int) -> bool:
    """A transaction: move money if there is enough of it."""
    if accounts[source] < n:
        return False
    accounts[source] -= n
    accounts[to] = accounts[to] + n
    moves.add(1)
    return True


def audit(accounts: Map[str, int], moves: Counter) -> tuple[int, int, int]:
    """A transaction that only reads: the sum, the least, and how many moves there were."""
    values = [accounts[name] for name in ACCOUNTS]
    return sum(values), min(values), moves.value


def move_often(state: State, number: int) -> tuple[int, list[tuple[int, int, int]]]:
    """Make transfers, one worker in four audits; how many were made, and the audits."""
    random = Random(number)
    accounts, moves = state.map("accounts"), state.counter("moves")
    transaction = state.transaction(accounts, moves, attempts=PATIENT)
    if number % 4 == 0:
        return 0, [transaction.run(audit) for _ in range(TRANSFERS)]
    made = 0
    for _ in range(TRANSFERS):
        source, to = random.sample(ACCOUNTS, 2)
        made += transaction.run(move, source, to, random.randint(1, START))
    return made, []


def add_with_few_attempts(state: State, number: int) -> tuple[int, int]:
    """Add by transactions that may fail: how many were made, and how many failed."""
    total = state.counter("total")
    transaction = state.transaction(total, attempts=2)
    failed = 0
    for _ in range(TRANSFERS):
        try:
            transaction.run(lambda total: total.set(total.value + 1))
        except Conflict:
            failed += 1
    return TRANSFERS - failed, failed


def claim_leases(state: State, number: int) -> list[int]:
    """Claim numbers for a short time, in a map with lifetimes; what was claimed."""
    leases, mine = state.map("leases", key=int), []
    transaction = state.transaction(leases, attempts=PATIENT)

    def claim(leases: Map[int, int]) -> int:
        free = next(n for n in range(10**6) if n not in leases)
        leases.set(free, number, ttl=1000)
        return free

    for _ in range(TRANSFERS // 6):
        mine.append(transaction.run(claim))
    return mine


def stand_in_the_middle(pipe: Any, state: State) -> None:
    """Read and write in a transaction, say so, and never come to its end."""
    accounts, moves = state.map("accounts"), state.counter("moves")

    def stand(accounts: Map[str, int], moves: Counter) -> None:
        move(accounts, moves, ACCOUNTS[0], ACCOUNTS[1], 10)
        pipe.send("read")
        pipe.recv()

    state.transaction(accounts, moves).run(stand)


def open_bank(state: State) -> tuple[Map[str, int], Counter]:
    """Accounts with some money, and a count of moves."""
    accounts, moves = state.map("accounts"), state.counter("moves")
    accounts.update(dict.fromkeys(ACCOUNTS, START))
    return accounts, moves


class TransactionRaces:
    """Tests of transactions with many workers."""

    @pytest.fixture(scope="class")
    @classmethod
    def racers(cls) -> Iterator[Racers]:
        """The workers, for all tests of the class."""
        with Racers() as racers:
            yield racers

    def test_money_is_neither_made_nor_lost(
        self, shared_state: State, racers: Racers
    ) -> None:
        accounts, moves = open_bank(shared_state)
        results = racers.run(move_often, shared_state)
        assert sum(accounts.values()) == len(ACCOUNTS) * START
        assert min(accounts.values()) >= 0
        assert moves.value == sum(made for made, _ in results) > 0
        audits = [audit for _, audits in results for audit in audits]
        assert len(audits) == TRANSFERS * RACERS // 4
        for total, least, _ in audits:
            assert total == len(ACCOUNTS) * START
            assert least >= 0

    def test_what_failed_was_not_done_and_what_did_not_was(
        self, shared_state: State, racers: Racers
    ) -> None:
        results = racers.run(add_with_few_attempts, shared_state)
        assert shared_state.counter("total").value == sum(made for made, _ in results)

    def test_no_number_is_claimed_twice(self, shared_state: State, racers: Racers) -> None:
        claimed = [n for mine in racers.run(claim_leases, shared_state) for n in mine]
        assert sorted(claimed) == list(range(RACERS * (TRANSFERS // 6)))
        assert len(shared_state.map("leases", key=int)) == len(claimed)


class TransactionDeaths:
    """What is left by a process that dies in a transaction. For backends of processes."""

    def test_a_process_killed_before_its_commit_leaves_nothing(
        self, shared_state: State
    ) -> None:
        accounts, moves = open_bank(shared_state)
        with Victim(stand_in_the_middle, shared_state) as victim:
            assert victim.receive() == "read"
            victim.kill()
        assert accounts.copy() == dict.fromkeys(ACCOUNTS, START)
        assert moves.value == 0
        # Nobody is held up by it.
        transaction = shared_state.transaction(accounts, moves, attempts=1)
        assert transaction.run(move, ACCOUNTS[0], ACCOUNTS[1], 10)

    def test_a_process_that_was_stopped_finds_out(self, shared_state: State) -> None:
        accounts, moves = open_bank(shared_state)
        with Victim(stand_in_the_middle, shared_state) as victim:
            assert victim.receive() == "read"
            victim.stop()
            accounts[ACCOUNTS[0]] = 5
            victim.resume()
            victim.pipe.send("go on")
            # It tries again, finds too little, and comes to the same place.
            assert victim.receive() == "read"
        assert accounts[ACCOUNTS[0]] == 5
        assert moves.value == 0
