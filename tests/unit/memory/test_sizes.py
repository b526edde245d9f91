"""What is counted of memory: sums that hold, and what tables leave free."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import pytest

from sharedstate_memory.expiry import Buckets
from sharedstate_memory.sizes import DEADLINE, PLACE, size_of_entry, unevenness_of

if TYPE_CHECKING:
    from sharedstate_memory.engine import Engine
    from tests.unit.memory.conftest import Client


def recount(engine: Engine) -> int:
    """What all keys and deadlines cost, counted from nothing."""
    return sum(
        sum(size_of_entry(key, value) for key, value in db.data.items())
        + DEADLINE * len(db.deadlines)
        for db in engine.databases
    )


def test_what_is_counted_while_running_is_what_is_there(
    engine: Engine, client: Client
) -> None:
    random = Random(3)
    lines = (
        "SET {key} {long}",
        "APPEND {key} {word}",
        "PEXPIRE {key} 100000",
        "PERSIST {key}",
        "DEL {key}",
        "HSET h{key} {word} {long} f 1",
        "HDEL h{key} {word}",
        "RPUSH l{key} {word} {long}",
        "LPOP l{key}",
        "LSET l{key} 0 {long}",
        "SADD s{key} {word} {long}",
        "SPOP s{key}",
        "ZADD z{key} {number} {word} 3 {long}",
        "ZPOPMIN z{key}",
        "RENAME {key} k3",
        "SUNIONSTORE s1 s2 s3",
        "ZUNIONSTORE z1 2 z2 z3",
    )
    for _ in range(3000):
        client(
            random.choice(lines).format(
                key=f"k{random.randrange(6)}",
                word=f"w{random.randrange(20)}",
                long="x" * random.randrange(200),
                number=random.randrange(100),
            )
        )
    assert engine.used_bytes == recount(engine)
    client("FLUSHALL")
    while engine.disposals[0]:
        engine.cron()
    assert engine.used_bytes == 0


@pytest.mark.parametrize("count", [1000, 1365, 1366, 5000, 50_000])
def test_tables_are_counted_as_they_are(engine: Engine, count: int) -> None:
    db = engine.databases[0]
    db.data.update((b"%d" % number, b"") for number in range(count))
    expected = db.data.__sizeof__()
    told = PLACE * count + unevenness_of(engine.databases)
    assert told == pytest.approx(expected, rel=0.01)


def test_a_table_that_stays_big_does_not_count_for_ever(engine: Engine) -> None:
    db = engine.databases[0]
    db.data.update((b"%d" % number, b"") for number in range(100_000))
    for number in range(99_990):
        del db.data[b"%d" % number]
    assert db.data.__sizeof__() > 1_000_000
    assert unevenness_of(engine.databases) == 10 * PLACE // 2


@pytest.mark.parametrize("count", [1, 2, 16, 17, 100])
def test_buckets_of_any_size_hold_their_keys_until_they_go(count: int) -> None:
    buckets = Buckets()
    keys = [b"k%d" % number for number in range(count)]
    for key in keys:
        buckets.add(key, 1000)
    buckets.add(b"later", 100_000)
    assert buckets.first_key() in keys
    assert buckets.due_count(2000) == count
    for key in keys:
        assert buckets.has_due(2000)
        buckets.discard(key, 1000)
    assert not buckets.has_due(2000)
    assert buckets.first_key() == b"later"
    buckets.discard(b"later", 100_000)
    assert buckets.first_key() is None
