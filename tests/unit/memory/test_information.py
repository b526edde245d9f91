"""INFO: sections, their choice, and the owner's facts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sharedstate_memory.information_memory import human
from sharedstate_memory.replies import Verbatim

if TYPE_CHECKING:
    from collections.abc import Callable

    from sharedstate_memory.engine import Engine
    from tests.unit.memory.conftest import Client, Clock

USUAL = [
    "Server",
    "Clients",
    "Memory",
    "Persistence",
    "Stats",
    "Replication",
    "CPU",
    "Modules",
    "Errorstats",
    "Cluster",
    "Keyspace",
]
DETAILED = ["Commandstats", "Latencystats"]


def sections(client: Client, *names: str) -> list[str]:
    lines = client("INFO", *names).decode().splitlines()
    return [line[2:] for line in lines if line.startswith("# ")]


def fact(client: Client, name: str) -> str:
    lines: list[str] = client("INFO everything").decode().splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line)[name]


def test_the_usual_sections_are_shown_unless_others_are_named(client: Client) -> None:
    assert sections(client) == sections(client, "default") == USUAL
    assert sections(client, "server", "default") == USUAL


def test_everything_has_the_detailed_sections_too(client: Client) -> None:
    assert sections(client, "all") == sections(client, "everything")
    assert set(sections(client, "all")) == {*USUAL, *DETAILED}


def test_sections_are_chosen_by_name_in_any_case_and_once(client: Client) -> None:
    assert sections(client, "KEYSPACE", "cluster", "keyspace") == ["Cluster", "Keyspace"]
    assert sections(client, "commandstats", "default")[-4] == "Commandstats"
    assert client("INFO nothing") == b""


def test_sections_are_separated_by_an_empty_line(client: Client) -> None:
    client("SET k v")
    assert client("INFO cluster keyspace") == (
        b"# Cluster\r\ncluster_enabled:0\r\n\r\n"
        b"# Keyspace\r\ndb0:keys=1,expires=0,avg_ttl=0\r\n"
    )


def test_the_reply_is_text_for_people(client: Client) -> None:
    assert isinstance(client("INFO"), Verbatim)


def test_the_owners_facts_take_the_place_of_the_engines(
    client: Client, engine: Engine
) -> None:
    engine.info["tcp_port"] = 1234
    engine.owner_facts = lambda: {"Clients": {"maxclients": 7, "special": "yes"}}
    assert fact(client, "tcp_port") == "1234"
    assert fact(client, "maxclients") == "7"
    assert b"special:yes" in client("INFO clients")
    assert b"special" not in client("INFO server")


def test_the_owner_is_not_asked_for_sections_that_nobody_wants(
    client: Client, engine: Engine
) -> None:
    calls: list[int] = []

    def facts() -> dict[str, dict[str, int | str]]:
        calls.append(1)
        return {}

    engine.owner_facts = facts
    client("INFO nothing")
    assert calls == []


def test_keyspace_tells_keys_deadlines_and_their_mean(client: Client) -> None:
    client("SET a 1")
    client("SET b 1 PX 1000")
    client("SET c 1 PX 3000")
    client("SELECT 2")
    client("SET d 1")
    assert client("INFO keyspace").decode().splitlines()[1:] == [
        "db0:keys=3,expires=2,avg_ttl=2000",
        "db2:keys=1,expires=0,avg_ttl=0",
    ]


def test_hits_and_misses_are_counted(client: Client) -> None:
    client("SET k v")
    client("GET k")
    client("GET nothing")
    client("EXISTS k nothing")
    assert fact(client, "keyspace_hits") == "2"
    assert fact(client, "keyspace_misses") == "2"


def test_expired_keys_are_counted(client: Client, clock: Clock) -> None:
    client("SET k v PX 10")
    clock.advance(11)
    client("GET k")
    assert fact(client, "expired_keys") == "1"


def test_changes_are_counted_as_unsaved(client: Client) -> None:
    client("SET k v")
    client("DEL k")
    assert fact(client, "rdb_changes_since_last_save") == "2"


def test_clients_are_counted_by_what_they_do(
    client: Client, connect: Callable[[], Client]
) -> None:
    connect()("BLPOP nothing 0")
    connect()("BLPOP nothing 100")
    assert fact(client, "connected_clients") == "3"
    assert fact(client, "blocked_clients") == "2"
    assert fact(client, "clients_in_timeout_table") == "1"


def test_subscriptions_are_counted(client: Client, connect: Callable[[], Client]) -> None:
    listener = connect()
    listener("SUBSCRIBE a b")
    listener("PSUBSCRIBE x*")
    listener("SSUBSCRIBE s")
    assert fact(client, "pubsub_channels") == "2"
    assert fact(client, "pubsub_patterns") == "1"
    assert fact(client, "pubsubshard_channels") == "1"


def test_who_it_is_stays_the_same(client: Client, clock: Clock) -> None:
    run, replication = fact(client, "run_id"), fact(client, "master_replid")
    clock.advance(90_000)
    assert fact(client, "run_id") == run != replication
    assert len(run) == len(replication) == 40
    assert fact(client, "uptime_in_seconds") == "90"


def test_the_limit_of_memory_is_told(client: Client) -> None:
    client("CONFIG SET maxmemory 100mb maxmemory-policy allkeys-lru")
    assert fact(client, "maxmemory") == "104857600"
    assert fact(client, "maxmemory_human") == "100.00M"
    assert fact(client, "maxmemory_policy") == "allkeys-lru"


def test_bytes_are_written_in_the_biggest_unit() -> None:
    assert [human(count) for count in (0, 1023, 1024, 1536, 5 * 1024**2, 3 * 1024**3)] == [
        "0B",
        "1023B",
        "1.00K",
        "1.50K",
        "5.00M",
        "3.00G",
    ]


def test_microseconds_come_from_the_owners_clock(client: Client, engine: Engine) -> None:
    assert client("TIME") == [b"1700000000", b"0"]
    engine._clock_us = lambda: 1_700_000_000_000_789
    assert client("TIME") == [b"1700000000", b"789"]
    # Time stands still within a unit.
    engine._clock_us = lambda: 1_700_000_000_005_000
    assert client("TIME") == [b"1700000000", b"999"]


def test_lolwut_draws_and_tells_the_version(client: Client, engine: Engine) -> None:
    text = client("LOLWUT")
    assert isinstance(text, Verbatim)
    assert text.rpartition(b" ver. ")[2].rstrip() == client.engine.redis_version.encode()
    picture = client("LOLWUT VERSION 5 10 3").split(b"\n")[:3]
    assert [len(row) for row in picture] == [10, 10, 10]
    assert client("LOLWUT") != client("LOLWUT")
    refusal = client.refusal("LOLWUT VERSION x")
    assert refusal == "ERR value is not an integer or out of range"


def test_scripts_and_functions_are_counted(client: Client) -> None:
    client("EVAL", "return 1", 0)
    both = "redis.register_function('f', f) redis.register_function('g', f)"
    client("FUNCTION LOAD", f"#!lua name=mine\nlocal function f() end {both}")
    assert fact(client, "number_of_cached_scripts") == "1"
    assert fact(client, "number_of_functions") == "2"
    assert fact(client, "number_of_libraries") == "1"
    assert int(fact(client, "used_memory_vm_total")) > int(fact(client, "used_memory_lua"))
