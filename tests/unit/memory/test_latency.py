"""The latency monitor: events that took long, and what is told of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sharedstate_memory.latency import MAX_SAMPLES
from sharedstate_memory.replies import Verbatim

if TYPE_CHECKING:
    from sharedstate_memory.engine import Engine
    from tests.unit.memory.conftest import Client, Clock

START_S = 1_700_000_000


@pytest.fixture
def monitored(client: Client) -> Client:
    """A client of an engine that records whatever takes 5 ms."""
    client("CONFIG SET latency-monitor-threshold 5")
    return client


def test_nothing_is_recorded_until_it_is_wanted(engine: Engine, client: Client) -> None:
    engine.latency.record("command", 10_000)
    assert client("LATENCY LATEST") == []


def test_what_takes_less_than_the_threshold_is_no_event(
    engine: Engine, monitored: Client
) -> None:
    engine.latency.record("command", 4.9)
    engine.latency.record("loop-turn", 5)
    assert monitored("LATENCY LATEST") == [[b"loop-turn", START_S, 5, 5]]


def test_slow_commands_are_events_by_how_quick_they_should_be(
    engine: Engine, monitored: Client
) -> None:
    for line in ("GET k", "KEYS *"):
        engine.statistics.note_slow(monitored.session, line.encode().split(), 0.02)
    engine.statistics.note_slow(monitored.session, [b"SORT", b"k"], 0.001)
    assert monitored("LATENCY LATEST") == [
        [b"fast-command", START_S, 20, 20],
        [b"command", START_S, 20, 20],
    ]


def test_of_one_second_the_longest_counts(
    engine: Engine, monitored: Client, clock: Clock
) -> None:
    for milliseconds in (10, 30, 20):
        engine.latency.record("command", milliseconds)
    clock.advance(1000)
    engine.latency.record("command", 7)
    assert monitored("LATENCY HISTORY command") == [[START_S, 30], [START_S + 1, 7]]
    assert monitored("LATENCY LATEST") == [[b"command", START_S + 1, 7, 30]]


def test_the_latest_samples_are_kept(
    engine: Engine, monitored: Client, clock: Clock
) -> None:
    for number in range(MAX_SAMPLES + 10):
        engine.latency.record("command", 100 + number)
        clock.advance(1000)
    history = monitored("LATENCY HISTORY command")
    assert len(history) == MAX_SAMPLES
    assert history[-1] == [START_S + MAX_SAMPLES + 9, 100 + MAX_SAMPLES + 9]


def test_recording_lets_time_run_on(
    engine: Engine, monitored: Client, clock: Clock
) -> None:
    monitored("SET k v PX 100")
    engine.latency.record("command", 10)
    clock.advance(200)
    assert monitored("GET k") is None


def test_reset_forgets_events(engine: Engine, monitored: Client) -> None:
    for event in ("command", "loop-turn", "expire-cycle"):
        engine.latency.record(event, 10)
    assert monitored("LATENCY RESET command nothing") == 1
    assert monitored("LATENCY HISTORY command") == []
    assert monitored("LATENCY RESET") == 2
    assert monitored("LATENCY LATEST") == []


def test_a_graph_shows_heights_above_ages(
    engine: Engine, monitored: Client, clock: Clock
) -> None:
    for milliseconds in (10, 20, 40):
        engine.latency.record("command", milliseconds)
        clock.advance(60_000)
    text = monitored("LATENCY GRAPH command")
    assert isinstance(text, Verbatim)
    title, line, *rows = text.decode().split("\n")
    assert title == "command - high 40 ms, low 10 ms (all time high 40 ms)"
    assert line == "-" * 80
    assert rows == ["  #", "  |", " _|", "_||", "321", "mmm", ""]


def test_a_graph_of_equal_samples_is_flat(engine: Engine, monitored: Client) -> None:
    engine.latency.record("command", 10)
    assert monitored("LATENCY GRAPH command").decode().split("\n")[2:6] == [" "] * 3 + ["_"]


def test_there_is_no_graph_of_nothing(monitored: Client) -> None:
    refusal = monitored.refusal("LATENCY GRAPH nothing")
    assert refusal == "ERR No samples available for event 'nothing'"


def test_the_doctor_says_how_to_begin(client: Client) -> None:
    assert b"latency-monitor-threshold" in client("LATENCY DOCTOR")


def test_the_doctor_says_when_all_is_well(monitored: Client) -> None:
    assert monitored("LATENCY DOCTOR").startswith(b"Nothing has taken longer")


def test_the_doctor_sums_events_up_and_advises(
    engine: Engine, monitored: Client, clock: Clock
) -> None:
    for milliseconds in (10, 20, 30):
        engine.latency.record("command", milliseconds)
        clock.advance(2000)
    text = monitored("LATENCY DOCTOR").decode()
    assert (
        "1. command: 3 latency spikes (average 20ms, mean deviation 7ms, period 2.00 sec)."
        " Worst all time event 30ms." in text
    )
    assert "slowlog-log-slower-than 5000" in text


def test_wrong_numbers_of_words_are_refused(client: Client) -> None:
    for line, name in (
        ("LATENCY GRAPH", "latency|graph"),
        ("LATENCY LATEST x", "latency|latest"),
        ("LATENCY", "latency"),
    ):
        refusal = client.refusal(line)
        assert refusal == f"ERR wrong number of arguments for '{name}' command"


def test_a_histogram_of_a_command_with_subcommands_has_all_of_them(
    engine: Engine, client: Client
) -> None:
    for line in (b"CONFIG GET x", b"CONFIG SET x y", b"GET x"):
        engine.statistics.note_slow(client.session, line.split(), 0.001)
    found = client("LATENCY HISTOGRAM config nothing")
    assert found.keys() == {b"config|get", b"config|set"}
    assert client("LATENCY HISTOGRAM config|set").keys() == {b"config|set"}
    assert len(client("LATENCY HISTOGRAM")) == 3
