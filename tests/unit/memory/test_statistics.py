"""What is counted of commands and errors, and what is bounded."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

import pytest

from sharedstate_memory.histogram import Histogram
from sharedstate_memory.statistics import (
    MAX_ERROR_CODES,
    MAX_SPELLINGS,
    SAMPLES_PER_TICK,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from sharedstate_memory.engine import Engine
    from tests.unit.memory.conftest import Client, Clock


def section(client: Client, name: str) -> dict[str, str]:
    """The facts of a section of INFO."""
    lines = client("INFO", name).decode().splitlines()[1:]
    return dict(line.split(":", 1) for line in lines)


def test_calls_are_counted_whatever_the_spelling(client: Client) -> None:
    for line in ("GET k", "get k", "gEt k"):
        client(line)
    assert section(client, "commandstats")["cmdstat_get"].startswith("calls=3,")


def test_a_refusal_before_running_is_rejected_and_one_while_running_failed(
    client: Client,
) -> None:
    client("SET k v")
    client("LPUSH k")
    client("LPUSH k a")
    facts = section(client, "commandstats")
    assert facts["cmdstat_lpush"].startswith("calls=1,")
    assert facts["cmdstat_lpush"].endswith("rejected_calls=1,failed_calls=1")


def test_subcommands_are_counted_by_themselves(client: Client) -> None:
    client("CONFIG GET maxmemory")
    client("CONFIG SET nothing 1")
    client("CONFIG GET")
    client("CONFIG WHAT")
    client("CONFIG")
    facts = section(client, "commandstats")
    assert facts["cmdstat_config|get"].startswith("calls=1,")
    assert facts["cmdstat_config|get"].endswith("rejected_calls=1,failed_calls=0")
    assert facts["cmdstat_config|set"].endswith("rejected_calls=0,failed_calls=1")
    assert facts["cmdstat_config"].startswith("calls=0,")
    assert "cmdstat_config|what" not in facts


def test_command_without_a_subcommand_is_counted(client: Client) -> None:
    client("COMMAND")
    client("COMMAND COUNT")
    facts = section(client, "commandstats")
    assert facts["cmdstat_command"].startswith("calls=1,")
    assert facts["cmdstat_command|count"].startswith("calls=1,")


def test_commands_of_a_transaction_are_counted_when_they_run(client: Client) -> None:
    client("MULTI")
    client("CONFIG GET maxmemory")
    client("INCR n")
    client("DISCARD")
    client("MULTI")
    client("CONFIG GET maxmemory")
    client("INCR n")
    client("EXEC")
    facts = section(client, "commandstats")
    assert facts["cmdstat_incr"].startswith("calls=1,")
    assert facts["cmdstat_config|get"].startswith("calls=1,")
    assert facts["cmdstat_multi"].startswith("calls=2,")


def test_unknown_commands_are_errors_and_nothing_else(client: Client) -> None:
    client("NOTHING")
    assert section(client, "errorstats") == {"errorstat_ERR": "count=1"}
    assert section(client, "commandstats").keys() == {"cmdstat_info"}


def test_errors_are_counted_by_code(client: Client) -> None:
    client("SET k v")
    client("LPUSH k a")
    client("LPUSH k a")
    client("EVALSHA abc 0")
    facts = section(client, "errorstats")
    assert facts["errorstat_WRONGTYPE"] == "count=2"
    assert facts["errorstat_NOSCRIPT"] == "count=1"
    assert section(client, "stats")["total_error_replies"] == "3"


def test_reset_lets_all_counts_begin_again(client: Client, clock: Clock) -> None:
    client("SET k v PX 1")
    client("GET nothing")
    client("LPUSH")
    clock.advance(2)
    client("GET k")
    client("CONFIG RESETSTAT")
    facts = section(client, "stats")
    for name in ("expired_keys", "keyspace_misses", "total_error_replies"):
        assert facts[name] == "0"
    assert section(client, "commandstats").keys() == {
        "cmdstat_config|resetstat",
        "cmdstat_info",
    }


def test_rates_are_means_over_the_last_ticks(
    engine: Engine, client: Client, clock: Clock
) -> None:
    engine.cron()
    for _ in range(100):
        client("PING")
    engine.statistics.input_bytes += 2048
    clock.advance(1000)
    engine.cron()
    facts = section(client, "stats")
    assert facts["instantaneous_ops_per_sec"] == "100"
    assert facts["instantaneous_input_kbps"] == "2.00"


def test_odd_spellings_do_not_pile_up(engine: Engine) -> None:
    statistics = engine.statistics
    for number in range(MAX_SPELLINGS + 1):
        bits = f"{number:012b}"
        spelling = "".join("x" if bit == "0" else "X" for bit in bits)
        statistics.calls[spelling.encode()] += 1
    statistics.calls[b"gEt"] += 2
    engine.cron()
    assert dict(statistics.calls) == {b"GET": 2}


def test_names_that_are_no_commands_are_forgotten(engine: Engine) -> None:
    engine.statistics.seconds[b"x" * 1000] += 1.0
    engine.cron()
    assert not engine.statistics.seconds


def test_codes_of_errors_are_bounded(engine: Engine) -> None:
    errors = engine.statistics.errors
    for number in range(2 * MAX_ERROR_CODES):
        errors[b"E%d" % number] += 1
    engine.cron()
    assert len(errors) <= MAX_ERROR_CODES
    assert errors[b"OTHER"] == MAX_ERROR_CODES + 1
    assert sum(errors.values()) == 2 * MAX_ERROR_CODES


# Histograms.


def test_a_window_measures_so_many_commands_and_closes(
    engine: Engine, client: Client
) -> None:
    statistics = engine.statistics
    client("CONFIG SET slowlog-log-slower-than -1")
    assert statistics.slow_threshold_s < 0
    for _ in range(SAMPLES_PER_TICK):
        statistics.note_slow(client.session, [b"get", b"k"], 0.001)
    assert statistics.slow_threshold_s == inf
    assert statistics.histograms["GET"].samples == SAMPLES_PER_TICK
    engine.cron()
    assert statistics.slow_threshold_s < 0


def test_histograms_can_be_switched_off(engine: Engine, client: Client) -> None:
    client("CONFIG SET latency-tracking no")
    assert engine.statistics.slow_threshold_s == 0.01
    assert client("INFO latencystats") == b"# Latencystats\r\n"


def test_latencystats_tell_the_percentiles_that_are_set(
    engine: Engine, client: Client
) -> None:
    for _ in range(20):
        engine.statistics.note_slow(client.session, [b"GET", b"k"], 0.0001)
    client("CONFIG SET latency-tracking-info-percentiles", "50 99.9")
    (fact,) = section(client, "latencystats").values()
    assert fact.startswith("p50=")
    assert ",p99.9=" in fact
    assert 100 <= float(fact.rpartition("=")[2]) <= 120


@pytest.mark.parametrize("microseconds", [1, 2, 3, 50, 1000, 12_345, 5_000_000])
def test_a_percentile_is_right_to_a_fifth(microseconds: int) -> None:
    histogram = Histogram()
    for _ in range(100):
        histogram.add(microseconds / 1e6)
    assert microseconds <= histogram.percentile(99) <= 1.2 * microseconds


def test_half_of_the_durations_are_within_the_median() -> None:
    histogram = Histogram()
    for microseconds in range(1, 1001):
        histogram.add(microseconds / 1e6)
    assert 500 <= histogram.percentile(50) <= 600
    assert 999 <= histogram.percentile(100) <= 1200


def test_a_histogram_of_powers_adds_up_to_all_calls(engine: Engine, client: Client) -> None:
    for microseconds in (1, 3, 3, 700):
        engine.statistics.note_slow(client.session, [b"GET", b"k"], microseconds / 1e6)
    found = client("LATENCY HISTOGRAM get")[b"get"]
    assert found == {b"calls": 4, b"histogram_usec": {1: 1, 4: 3, 1024: 4}}


def test_a_sampled_histogram_is_scaled_to_the_calls(engine: Engine, client: Client) -> None:
    engine.statistics.calls[b"GET"] += 1000
    for microseconds in (3, 3, 3, 700):
        engine.statistics.note_slow(client.session, [b"GET", b"k"], microseconds / 1e6)
    found = client("LATENCY HISTOGRAM get")[b"get"]
    assert found == {b"calls": 1000, b"histogram_usec": {4: 750, 1024: 1000}}


def test_unknown_commands_have_no_histogram(engine: Engine, client: Client) -> None:
    engine.statistics.note_slow(client.session, [b"NOTHING"], 1.0)
    engine.statistics.note_slow(client.session, [b"CONFIG", b"WHAT"], 1.0)
    assert engine.statistics.histograms == {}


def test_memorys_peak_is_kept(engine: Engine, client: Client) -> None:
    client("SET k", b"x" * 10_000)
    engine.cron()
    client("DEL k")
    facts = section(client, "memory")
    assert int(facts["used_memory_peak"]) >= 10_000
    assert int(facts["used_memory"]) < 10_000


def test_sessions_of_several_clients_add_to_the_same_counts(
    connect: Callable[[], Client],
) -> None:
    for _ in range(3):
        connect()("INCR n")
    assert section(connect(), "commandstats")["cmdstat_incr"].startswith("calls=3,")


def test_keys_left_overdue_are_told_as_a_share(engine: Engine, client: Client) -> None:
    db = engine.databases[0]
    for number in range(100):
        client(f"SET key{number} v PX {1000 if number < 40 else 100_000}")
    assert db.buckets.due_count(engine.now_ms + 2000) == 40
    assert section(client, "stats")["expired_stale_perc"] == "0.00"
    engine.statistics.note_stale(0.4)
    assert section(client, "stats")["expired_stale_perc"] == "2.00"
    engine.cron()
    assert section(client, "stats")["expired_stale_perc"] == "1.90"
