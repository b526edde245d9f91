"""What a server process tells of itself, and that it is so."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from sharedstate.testing.servers import BuiltInServer
from sharedstate_memory.information_memory import peak_resident_bytes
from sharedstate_server import process_facts


@pytest.fixture(scope="module")
def server() -> Iterator[BuiltInServer]:
    with BuiltInServer() as server:
        yield server


@pytest.fixture
def client(server: BuiltInServer) -> Iterator[redis.Redis]:
    with redis.Redis(port=server.port) as client:
        yield client


def test_the_process_takes_what_the_system_says() -> None:
    resident = process_facts.resident_bytes()
    assert 1_000_000 < resident <= 1.1 * peak_resident_bytes()


def test_where_the_system_does_not_tell_the_peak_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(process_facts, "_STATM", "/nothing/here")
    assert process_facts.resident_bytes() == peak_resident_bytes()


def test_memory_that_is_free_is_given_back() -> None:
    process_facts.give_back_memory()


def test_a_server_tells_of_its_process(client: redis.Redis, server: BuiltInServer) -> None:
    facts = client.info("everything")
    assert facts["process_id"] == server.pid
    assert facts["multiplexing_api"] in ("epoll", "poll")
    assert facts["used_memory_rss"] > facts["used_memory_interpreter"] / 2
    assert facts["used_memory_rss"] > 1_000_000
    assert facts["maxclients"] == 10_000
    assert os.path.exists(facts["executable"])


def test_traffic_is_counted(client: redis.Redis) -> None:
    client.ping()
    before = client.info("stats")
    client.set("k", "x" * 10_000)
    client.get("k")
    after = client.info("stats")
    for name in ("total_net_input_bytes", "total_net_output_bytes"):
        assert after[name] - before[name] >= 10_000
    for name in ("total_reads_processed", "total_writes_processed"):
        assert after[name] - before[name] >= 3
    assert after["total_commands_processed"] - before["total_commands_processed"] == 3
    assert after["total_connections_received"] >= 1


def test_clients_are_counted_at_once(client: redis.Redis, server: BuiltInServer) -> None:
    before = client.info("clients")["connected_clients"]
    with redis.Redis(port=server.port) as other:
        other.ping()
        assert client.info("clients")["connected_clients"] == before + 1


def test_purging_and_the_time_of_a_server(client: redis.Redis) -> None:
    assert client.memory_purge()
    times = {client.time()[1] % 1000 for _ in range(20)}
    assert len(times) > 1


def test_commands_that_take_long_are_logged_and_recorded(client: redis.Redis) -> None:
    client.config_set("latency-monitor-threshold", 1)
    client.config_set("slowlog-log-slower-than", 1000)
    client.eval("local n = 0 for i = 1, 3e6 do n = n + i end return n", 0)
    assert client.slowlog_get(1)[0]["command"].startswith(b"EVAL ")
    assert b"command" in [event[0] for event in client.latency_latest()]
    client.config_set("latency-monitor-threshold", 0)
    client.config_set("slowlog-log-slower-than", 10_000)


def test_histograms_follow_the_calls(server: BuiltInServer) -> None:
    client: Any = redis.Redis(port=server.port, protocol=3)
    with client:
        client.config_resetstat()
        for _ in range(500):
            client.set("k", "v")
        facts = client.info("commandstats")["cmdstat_set"]
        histogram = client.execute_command("LATENCY", "HISTOGRAM", "set")[b"set"]
    assert facts["calls"] == histogram[b"calls"] == 500
    assert facts["usec"] > 0
    assert [*histogram[b"histogram_usec"].values()][-1] == 500
