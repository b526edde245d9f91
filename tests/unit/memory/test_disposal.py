"""Freeing big values by slices."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

import pytest

from sharedstate_memory.disposal import Disposal
from sharedstate_memory.sorted_set import SortedSet

if TYPE_CHECKING:
    from sharedstate_memory.engine import Engine
    from sharedstate_memory.keyspace import Value
    from tests.unit.memory.conftest import Client


def _sorted_set(length: int) -> SortedSet:
    members = SortedSet()
    for number in range(length):
        members.set(b"%d" % number, number)
    return members


@pytest.mark.parametrize(
    "value",
    [
        {b"%d" % number: b"" for number in range(3000)},
        deque(b"%d" % number for number in range(3000)),
        {b"%d" % number for number in range(3000)},
        _sorted_set(3000),
    ],
    ids=["hash", "list", "set", "sorted set"],
)
def test_a_big_value_is_taken_apart(value: Any) -> None:
    disposal = Disposal()
    disposal.add(value)
    while disposal:
        before = len(value)
        disposal.run(budget_s=1e-9)
        assert before - len(value) <= 256
    assert len(value) <= 256


def test_what_is_inside_is_taken_apart_too() -> None:
    inner = {b"%d" % number: b"" for number in range(3000)}
    disposal = Disposal()
    data: dict[bytes, Value] = {b"k%d" % n: b"" for n in range(1000)}
    disposal.add_database(data | {b"inner": inner})
    disposal.run(budget_s=10)
    assert not disposal
    assert len(inner) <= 256


def test_big_values_of_removed_keys_are_freed_by_the_cron(
    client: Client, engine: Engine
) -> None:
    client("SADD s", *range(5000))
    client("RPUSH small a")
    members = engine.databases[0].data[b"s"]
    client("DEL s small")
    assert len(members) == 5000
    for _ in range(100):
        engine.cron()
    assert len(members) <= 256
