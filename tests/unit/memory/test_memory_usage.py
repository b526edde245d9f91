"""MEMORY: what keys take, and what is told of memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sharedstate_memory.replies import Verbatim
from sharedstate_memory.sizes import estimate_of, size_of, size_of_entry
from sharedstate_memory.sorted_set import SortedSet

if TYPE_CHECKING:
    from sharedstate_memory.engine import Engine
    from tests.unit.memory.conftest import Client


def test_usage_of_a_key_is_what_is_counted_for_it(client: Client, engine: Engine) -> None:
    client("SET k", b"x" * 1000)
    assert client("MEMORY USAGE k") == size_of_entry(b"k", b"x" * 1000) == engine.used_bytes
    client("PEXPIRE k 1000")
    assert client("MEMORY USAGE k") == engine.used_bytes


def test_usage_of_a_hash_has_the_deadlines_of_its_fields(
    client: Client, engine: Engine
) -> None:
    client("HSET h a 1 b 2")
    client("HPEXPIRE h 1000 FIELDS 1 a")
    assert client("MEMORY USAGE h") == engine.used_bytes


def test_usage_of_nothing_is_null(client: Client) -> None:
    assert client("MEMORY USAGE nothing") is None


@pytest.mark.parametrize("samples", ["", "SAMPLES 0", "SAMPLES 3", "samples 1000"])
def test_usage_of_equal_elements_is_exact_however_few_are_looked_at(
    client: Client, engine: Engine, samples: str
) -> None:
    for number in range(100):
        client(f"RPUSH list item{number:03}")
    assert client("MEMORY USAGE list", *samples.split()) == engine.used_bytes


@pytest.mark.parametrize(
    "words", ["SAMPLES", "SAMPLES -1", "FOO 1", "SAMPLES 1 FOO", "COUNT"]
)
def test_bad_options_are_a_syntax_error(client: Client, words: str) -> None:
    assert client.refusal(f"MEMORY USAGE k {words}") == "ERR syntax error"


def test_samples_are_a_number(client: Client) -> None:
    refusal = client.refusal("MEMORY USAGE k SAMPLES x")
    assert refusal == "ERR value is not an integer or out of range"


def test_an_estimate_of_equal_elements_is_their_size() -> None:
    names = [b"member%03d" % number for number in range(50)]
    values = (
        set(names),
        dict.fromkeys(names, b"value"),
        SortedSet(dict.fromkeys(names, 1.0)),
        b"string",
    )
    for value in values:
        assert estimate_of(value, 5) == estimate_of(value, 0) == size_of(value)


def test_statistics_add_up(client: Client, engine: Engine) -> None:
    client("SET a 1")
    client("SELECT 3")
    client("SET b 2 EX 100")
    facts = client("MEMORY STATS")
    assert facts[b"keys.count"] == 2
    assert facts[b"dataset.bytes"] + facts[b"overhead.total"] == facts[b"total.allocated"]
    assert facts[b"peak.allocated"] >= facts[b"total.allocated"]
    assert facts[b"db.3"][b"overhead.hashtable.expires"] > 0
    assert facts[b"db.0"][b"overhead.hashtable.expires"] == 0
    assert facts[b"fragmentation"] == 1.0


def test_the_doctor_wants_some_data_to_judge_by(client: Client) -> None:
    text = client("MEMORY DOCTOR")
    assert isinstance(text, Verbatim)
    assert text.startswith(b"There is too little data")


def test_the_doctor_sees_a_past_peak(client: Client, engine: Engine) -> None:
    client("SET k", b"x" * 6_000_000)
    assert client("MEMORY DOCTOR").startswith(b"Nothing about memory is unusual")
    client("SET other", b"x" * 6_000_000)
    client("MEMORY DOCTOR")
    client("DEL other")
    assert b"Peak:" in client("MEMORY DOCTOR")


def test_the_doctor_sees_fragmentation_and_big_buffers(
    client: Client, engine: Engine
) -> None:
    client("SET k", b"x" * 6_000_000)
    engine.owner_facts = lambda: {
        "Memory": {"used_memory_rss": 60_000_000, "used_memory_interpreter": 20_000_000}
    }
    engine.client_bytes = 10_000_000
    text = client("MEMORY DOCTOR")
    assert b"Fragmentation:" in text
    assert b"Clients:" in text


def test_purging_asks_the_owner(client: Client, engine: Engine) -> None:
    calls: list[int] = []
    engine.on_purge = lambda: calls.append(1)
    assert client("MEMORY PURGE") == b"OK"
    assert calls == [1]


def test_the_allocator_tells_what_it_handed_out(client: Client) -> None:
    assert b"Blocks handed out" in client("MEMORY MALLOC-STATS")


def test_the_room_in_big_tables_is_counted(client: Client, engine: Engine) -> None:
    client("DEBUG POPULATE 1")  # Refused: it needs a setting.
    assert engine.overhead_bytes() == 0
    for number in range(700):
        client(f"SET key{number} v")
    db = engine.databases[0]
    expected = db.data.__sizeof__()
    counted = engine.used_bytes - sum(
        size_of_entry(key, value) for key, value in db.data.items()
    )
    assert counted == 0
    assert abs(engine.overhead_bytes()) < expected
