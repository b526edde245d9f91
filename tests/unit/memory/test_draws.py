"""Elements at random out of big containers."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from sharedstate_memory.draws import MAX_KEPT, WALKED_LENGTH, Draws

if TYPE_CHECKING:
    from sharedstate_memory.engine import Engine
    from tests.unit.memory.conftest import Client

BIG = 2 * WALKED_LENGTH


def members(start: int, stop: int) -> set[bytes]:
    return {b"%d" % number for number in range(start, stop)}


@pytest.fixture
def draws(engine: Engine) -> Draws:
    return Draws(engine)


@pytest.mark.parametrize("length", [8, BIG])
def test_every_element_is_as_likely_as_the_next(draws: Draws, length: int) -> None:
    elements = members(0, length)
    rounds = 50
    counts = Counter(draws.one(elements) for _ in range(rounds * length))
    assert counts.keys() == elements
    # The sum of squares is about as much as its number of degrees of freedom.
    chi_square = sum((count - rounds) ** 2 for count in counts.values()) / rounds
    assert chi_square < length + 6 * (2 * length) ** 0.5


@pytest.mark.parametrize("count", [0, 1, 5, 100, BIG - 1, BIG, BIG + 1])
def test_different_elements_are_different(draws: Draws, count: int) -> None:
    elements = members(0, BIG)
    drawn = draws.different(elements, count)
    assert len(drawn) == len(set(drawn)) == min(count, BIG)
    assert elements >= set(drawn)


@pytest.mark.parametrize("count", [0, 1, 5, 3 * BIG])
def test_repeated_elements_are_as_many_as_asked_for(draws: Draws, count: int) -> None:
    elements = members(0, BIG)
    drawn = draws.repeated(elements, count)
    assert len(drawn) == count
    assert elements >= set(drawn)
    assert draws.repeated(set(), count) == []


def test_what_has_gone_since_a_draw_is_passed_over(draws: Draws) -> None:
    elements = members(0, BIG)
    draws.one(elements)
    elements -= members(0, BIG // 2)
    assert all(draws.one(elements) in elements for _ in range(BIG))


def test_what_is_new_gets_its_share_at_once_if_it_is_much(draws: Draws) -> None:
    elements = members(0, BIG)
    draws.one(elements)
    new = members(BIG, 2 * BIG)
    elements |= new
    drawn = [draws.one(elements) for _ in range(20)]
    assert new & set(drawn)


def test_draws_of_few_containers_are_kept(draws: Draws) -> None:
    for number in range(3 * MAX_KEPT):
        draws.one(members(number, number + BIG))
    assert len(draws._drawn) == MAX_KEPT


def test_a_big_set_is_popped_to_the_last_member(client: Client) -> None:
    everything = members(0, BIG)
    client.session.execute([b"SADD", b"s", *everything])
    popped = [client("SPOP s") for _ in range(BIG)]
    assert len(popped) == len(set(popped)) == BIG
    assert client("SPOP s") is None
    assert client("EXISTS s") == 0
