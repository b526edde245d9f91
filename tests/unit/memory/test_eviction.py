"""What goes when memory is short, and what is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sharedstate_memory.access_clocks import ClockedKeyspace
from sharedstate_memory.keyspace import Keyspace

from .recount import recount

if TYPE_CHECKING:
    from collections.abc import Callable

    from sharedstate_memory.engine import Engine

    from .conftest import Client, Clock

_VALUE = b"v" * 100


@pytest.fixture
def fill(client: Client, clock: Clock) -> Callable[[int], None]:
    """Sets some keys `k0`, `k1`, …, a millisecond after one another."""

    def set_keys(count: int) -> None:
        for number in range(count):
            clock.advance(1)
            client(f"SET k{number}", _VALUE)

    return set_keys


def limit(client: Client, engine: Engine, policy: str, *, to: float = 1.0) -> None:
    """Let memory be limited to a part of what is used now."""
    client(f"CONFIG SET maxmemory-policy {policy}")
    client(f"CONFIG SET maxmemory {int(engine.used_bytes * to)}")


def present(client: Client, numbers: range) -> int:
    return sum(client(f"EXISTS k{number}") for number in numbers)


def test_without_a_limit_nothing_goes(client: Client, engine: Engine) -> None:
    client("CONFIG SET maxmemory-policy allkeys-lru")
    client("SET k", _VALUE)
    assert client("EXISTS k") == 1
    assert engine.evicted_keys == 0


def test_what_needs_memory_is_refused_when_nobody_may_go(
    client: Client, engine: Engine, fill: Callable[[int], None]
) -> None:
    fill(10)
    limit(client, engine, "noeviction", to=0.5)
    assert client.refusal("SET more", _VALUE).startswith("OOM command not allowed")
    assert client.refusal("LPUSH list x").startswith("OOM")


def test_reading_and_deleting_go_on_when_memory_is_short(
    client: Client, engine: Engine, fill: Callable[[int], None]
) -> None:
    fill(10)
    limit(client, engine, "noeviction", to=0.95)
    assert client("GET k1") == _VALUE
    assert client("DEL k1") == 1
    assert client("SET k1 x") == b"OK"


def test_room_is_made_before_a_command(
    client: Client, engine: Engine, fill: Callable[[int], None]
) -> None:
    fill(100)
    limit(client, engine, "allkeys-random")
    for number in range(100):
        assert client(f"SET more{number}", _VALUE) == b"OK"
    assert engine.used_bytes < engine.eviction.limit_bytes * 1.05
    assert engine.evicted_keys >= 90


def test_who_was_not_asked_for_goes_first(
    client: Client, engine: Engine, clock: Clock, fill: Callable[[int], None]
) -> None:
    client("CONFIG SET maxmemory-policy allkeys-lru maxmemory-samples 10")
    fill(200)
    for number in range(100):
        clock.advance(1)
        client(f"GET k{number}")
    limit(client, engine, "allkeys-lru", to=0.6)
    client("SET one-more x")
    kept, lost = present(client, range(100)), present(client, range(100, 200))
    assert kept > 90
    assert lost < 30


def test_who_is_asked_for_seldom_goes_first(
    client: Client, engine: Engine, fill: Callable[[int], None]
) -> None:
    client("CONFIG SET maxmemory-policy allkeys-lfu maxmemory-samples 10")
    fill(200)
    for _ in range(30):
        for number in range(100):
            client(f"GET k{number}")
    limit(client, engine, "allkeys-lfu", to=0.6)
    client("SET one-more x")
    assert present(client, range(100)) > present(client, range(100, 200)) + 50


def test_use_is_forgotten_with_time(client: Client, engine: Engine, clock: Clock) -> None:
    client("CONFIG SET maxmemory-policy allkeys-lfu lfu-decay-time 1")
    client("SET k", _VALUE)
    for _ in range(500):
        client("GET k")
    before = client("OBJECT FREQ k")
    clock.advance(5 * 60_000)
    assert client("OBJECT FREQ k") == before - 5


def test_idle_time_is_told_under_lru(client: Client, clock: Clock) -> None:
    client("CONFIG SET maxmemory-policy allkeys-lru")
    client("SET k x")
    clock.advance(7500)
    assert client("OBJECT IDLETIME k") == 7
    assert client.refusal("OBJECT FREQ k").startswith("ERR An LFU maxmemory policy is not")


def test_looking_without_touching_leaves_no_trace(client: Client, clock: Clock) -> None:
    client("CONFIG SET maxmemory-policy allkeys-lru")
    client("SET k x")
    client("CLIENT NO-TOUCH ON")
    clock.advance(9000)
    client("GET k")
    assert client("OBJECT IDLETIME k") == 9
    client("CLIENT NO-TOUCH OFF")
    client("GET k")
    assert client("OBJECT IDLETIME k") == 0


@pytest.mark.parametrize(
    "policy", ["volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl"]
)
def test_only_keys_with_a_deadline_go(
    client: Client, engine: Engine, policy: str, fill: Callable[[int], None]
) -> None:
    fill(100)
    for number in range(50):
        client(f"EXPIRE k{number} {1000 + number}")
    limit(client, engine, policy, to=0.7)
    client("SET one-more x")
    assert present(client, range(50, 100)) == 50
    assert 0 < engine.evicted_keys < 50


def test_whose_deadline_is_nearest_goes_first(
    client: Client, engine: Engine, fill: Callable[[int], None]
) -> None:
    fill(60)
    for number in range(60):
        client(f"EXPIRE k{number} {100_000 - number}")
    limit(client, engine, "volatile-ttl", to=0.5)
    client("SET one-more x")
    client("PING")
    gone = engine.evicted_keys
    assert gone > 10
    assert present(client, range(60 - gone)) == 60 - gone


def test_a_write_is_refused_when_no_key_has_a_deadline(
    client: Client, engine: Engine, fill: Callable[[int], None]
) -> None:
    fill(20)
    limit(client, engine, "volatile-lru", to=0.5)
    assert client.refusal("SET more", _VALUE).startswith("OOM")
    assert present(client, range(20)) == 20


def test_an_evicted_key_breaks_a_watch(
    client: Client,
    engine: Engine,
    connect: Callable[[], Client],
    fill: Callable[[int], None],
) -> None:
    fill(30)
    watcher = connect()
    watcher("WATCH", *[f"k{number}" for number in range(30)])
    limit(client, engine, "allkeys-random", to=0.5)
    client("SET x y")
    watcher("MULTI")
    watcher("PING")
    assert not isinstance(watcher("EXEC"), list)


def test_an_eviction_is_an_effect_of_its_own(
    client: Client, engine: Engine, fill: Callable[[int], None]
) -> None:
    effects: list[list[bytes]] = []
    fill(30)
    engine.on_effect = lambda database, argv: effects.append(argv)
    limit(client, engine, "allkeys-random", to=0.9)
    client("GET k1")
    deleted = [argv for argv in effects if argv[0] == b"DEL"]
    assert len(deleted) == engine.evicted_keys > 0


def test_a_transaction_is_refused_as_a_whole(
    client: Client, engine: Engine, fill: Callable[[int], None]
) -> None:
    fill(10)
    client("MULTI")
    client("SET a", _VALUE)
    engine.settings.change([("maxmemory", str(engine.used_bytes // 2))])
    assert "OOM command not allowed" in client.refusal("EXEC")
    assert client("EXISTS a") == 0


def test_a_transaction_that_only_reads_is_not(
    client: Client, engine: Engine, fill: Callable[[int], None]
) -> None:
    fill(10)
    limit(client, engine, "noeviction", to=0.5)
    client("MULTI")
    client("GET k1")
    client("DEL k2")
    assert client("EXEC") == [_VALUE, 1]


def test_what_cannot_be_queued_for_want_of_memory_spoils_the_transaction(
    client: Client, engine: Engine, fill: Callable[[int], None]
) -> None:
    fill(10)
    limit(client, engine, "noeviction", to=0.5)
    client("MULTI")
    assert client.refusal("SET a", _VALUE).startswith("OOM")
    assert client.refusal("EXEC").startswith("EXECABORT")


def test_removed_data_counts_until_it_is_freed(client: Client, engine: Engine) -> None:
    client("SADD big", *range(50_000))
    full = engine.used_bytes
    client("UNLINK big")
    assert engine.used_bytes > full / 2
    while engine.used_bytes:
        engine.cron()


def test_removed_data_is_freed_before_a_key_has_to_go(
    client: Client, engine: Engine
) -> None:
    client("SET keep", _VALUE)
    client("SADD big", *range(5000))
    client("UNLINK big")
    limit(client, engine, "allkeys-lru", to=0.9)
    client("SET more x")
    assert client("EXISTS keep") == 1
    assert engine.evicted_keys == 0


def test_clocks_are_kept_only_while_the_policy_asks(client: Client, engine: Engine) -> None:
    assert type(engine.databases[0]) is Keyspace
    client("CONFIG SET maxmemory-policy allkeys-lru")
    assert type(engine.databases[0]) is ClockedKeyspace
    client("SET k x")
    client("CONFIG SET maxmemory-policy noeviction")
    assert type(engine.databases[0]) is Keyspace
    assert engine.used_bytes == recount(engine)


@pytest.mark.parametrize("policy", ["allkeys-lru", "allkeys-lfu"])
def test_clocks_are_counted_and_forgotten_with_their_keys(
    client: Client, engine: Engine, policy: str, fill: Callable[[int], None]
) -> None:
    client(f"CONFIG SET maxmemory-policy {policy}")
    fill(20)
    client("DEL k1 k2")
    client("RENAME k3 k4")
    client("COPY k5 fresh")
    db = engine.databases[0]
    assert set(db.clocks) <= set(db.data)
    client("FLUSHALL")
    while engine.used_bytes > 0:
        engine.cron()
    assert engine.used_bytes == 0
