"""Expiry: exact for readers, and active for keys that nobody reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sharedstate_memory.expiry import BUCKET_BITS, ActiveExpiry, Buckets

if TYPE_CHECKING:
    from sharedstate_memory.engine import Engine
    from tests.unit.memory.conftest import Client, Clock

BUCKET_MS = 1 << BUCKET_BITS


def test_a_key_is_there_until_its_deadline(client: Client, clock: Clock) -> None:
    client("SET k v PX 100")
    clock.advance(99)
    assert client("GET k") == b"v"
    clock.advance(1)
    assert client("GET k") is None
    assert client("DBSIZE") == 0


@pytest.mark.parametrize(
    "line",
    ["GET k", "HGET k f", "INCR k", "EXISTS k", "TYPE k", "TTL k", "LPOP k", "KEYS *"],
)
def test_no_command_sees_an_expired_key(client: Client, clock: Clock, line: str) -> None:
    fresh = client(line)
    client("FLUSHALL")
    client("SET k 5 PX 100")
    clock.advance(100)
    assert client(line) == fresh


def test_lifetimes_are_told_in_both_units(client: Client, clock: Clock) -> None:
    client("SET k v")
    assert client("TTL k") == -1
    assert client("TTL none") == -2
    client("PEXPIRE k 1500")
    assert client("TTL k") == 2
    assert client("PTTL k") == 1500
    assert client("PEXPIRETIME k") == clock.now_ms + 1500
    assert client("EXPIRETIME k") == (clock.now_ms + 1500 + 500) // 1000
    assert client("PERSIST k") == 1
    assert client("PERSIST k") == 0


def test_a_deadline_in_the_past_removes_the_key(client: Client) -> None:
    client("SET k v")
    assert client("EXPIRE k -1") == 1
    assert client("EXISTS k") == 0
    assert client("EXPIRE k 10") == 0


@pytest.mark.parametrize(
    ("old", "condition", "new", "is_set"),
    [
        ("", "NX", "10", 1),
        ("10", "NX", "20", 0),
        ("", "XX", "10", 0),
        ("10", "XX", "20", 1),
        ("", "GT", "10", 0),
        ("10", "GT", "20", 1),
        ("10", "GT", "10", 0),
        ("", "LT", "10", 1),
        ("10", "LT", "5", 1),
        ("10", "LT", "20", 0),
        ("10", "XX LT", "5", 1),
    ],
)
def test_expire_conditions(
    client: Client, old: str, condition: str, new: str, is_set: int
) -> None:
    client("SET k v")
    if old:
        client("EXPIRE k", old)
    assert client(f"EXPIRE k {new} {condition}") == is_set


def test_expire_refuses_contradictions(client: Client) -> None:
    assert "NX and XX, GT or LT" in client.refusal("EXPIRE k 1 NX GT")
    assert "GT and LT options" in client.refusal("EXPIRE k 1 GT LT")
    assert client.refusal("EXPIRE k 1 no") == "ERR Unsupported option no"
    text = client.refusal("EXPIRE k 9223372036854775807")
    assert text == "ERR invalid expire time in 'expire' command"


def test_the_cron_removes_keys_that_nobody_reads(
    client: Client, engine: Engine, clock: Clock
) -> None:
    client("SET soon v PX 100")
    client("SET late v PX 100000")
    clock.advance(100 + BUCKET_MS)
    engine.cron()
    assert client("DBSIZE") == 1
    assert engine.expired_keys == 1


def test_the_cycle_keeps_to_its_budget(
    client: Client, engine: Engine, clock: Clock
) -> None:
    for number in range(100):
        client("SET", f"k{number}", "v", "PX", "100")
    clock.advance(100 + BUCKET_MS)
    ticks = iter(range(100))
    cycle = ActiveExpiry(engine.databases, timer=lambda: next(ticks))
    assert not cycle.run(clock.now_ms, 1)
    assert 0 < client("DBSIZE") < 100
    assert cycle.run(clock.now_ms, 100)
    assert client("DBSIZE") == 0


def test_a_renewed_lease_leaves_nothing_behind(
    client: Client, engine: Engine, clock: Clock
) -> None:
    client("SET lock token")
    for _ in range(1000):
        clock.advance(1000)
        client("PEXPIRE lock 30000")
    buckets = engine.databases[0].buckets
    client("PERSIST lock")
    assert not buckets.has_due(clock.now_ms + 10**9)


def test_the_clock_is_not_read_when_no_key_has_a_deadline(
    client: Client, clock: Clock
) -> None:
    reads = clock.reads
    client("SET k v")
    client("GET k")
    client("HSET h f v")
    client("INCR n")
    assert clock.reads == reads


def test_time_stands_still_within_a_transaction(client: Client, clock: Clock) -> None:
    client("SET k v PX 1")
    client("MULTI")
    for _ in range(5):
        client("GET k")
        client("TIME")
    reads = clock.reads
    client("EXEC")
    assert clock.reads == reads + 1


deadlines = st.dictionaries(
    st.integers(0, 30).map(lambda number: b"%d" % number), st.integers(0, 20 * BUCKET_MS)
)


@given(deadlines, st.lists(st.integers(0, 25 * BUCKET_MS), max_size=6))
def test_buckets_give_every_due_key_and_no_other(
    keys: dict[bytes, int], times: list[int]
) -> None:
    buckets = Buckets()
    for key, deadline_ms in keys.items():
        buckets.add(key, deadline_ms)
    for now_ms in sorted(times):
        found = set()
        while due := buckets.take_due(now_ms, 2):
            assert len(due) <= 2
            found.update(due)
            for key in due:
                buckets.discard(key, keys[key])
        over = (now_ms >> BUCKET_BITS) << BUCKET_BITS
        assert found == {key for key, deadline_ms in keys.items() if deadline_ms < over}
        keys = {key: at for key, at in keys.items() if key not in found}
