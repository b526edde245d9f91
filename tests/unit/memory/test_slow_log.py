"""The slow log: what is kept of commands that took long."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from sharedstate_memory.slow_log import redact, shorten

if TYPE_CHECKING:
    from sharedstate_memory.engine import Engine
    from tests.unit.memory.conftest import Client, Clock


def note(client: Client, line: str, seconds: float = 1.0) -> None:
    """Have a command noted as one that took so long."""
    client.engine.statistics.note_slow(client.session, line.encode().split(), seconds)


def logged(client: Client) -> list[Any]:
    """The words of the entries, newest first."""
    return [entry[3] for entry in client("SLOWLOG GET -1")]


def test_an_entry_tells_when_how_long_what_and_who(client: Client, clock: Clock) -> None:
    client.session.address = b"127.0.0.1:1234"
    client("CLIENT SETNAME bob")
    clock.advance(5000)
    note(client, "GET k", 0.0123)
    assert client("SLOWLOG GET") == [
        [0, 1_700_000_005, 12_300, [b"GET", b"k"], b"127.0.0.1:1234", b"bob"]
    ]


def test_the_newest_entries_come_first_ten_unless_more_are_wanted(client: Client) -> None:
    for number in range(12):
        note(client, f"GET {number}")
    assert len(client("SLOWLOG GET")) == 10
    assert [entry[0] for entry in client("SLOWLOG GET 3")] == [11, 10, 9]
    assert len(client("SLOWLOG GET -1")) == client("SLOWLOG LEN") == 12
    assert client("SLOWLOG GET 0") == []


def test_reset_forgets_the_entries_and_numbers_go_on(client: Client) -> None:
    note(client, "GET a")
    client("SLOWLOG RESET")
    assert client("SLOWLOG LEN") == 0
    note(client, "GET b")
    assert client("SLOWLOG GET")[0][0] == 1


@pytest.mark.parametrize("count", ["-2", "x", "1.5"])
def test_a_count_is_a_number_of_entries(client: Client, count: str) -> None:
    refusal = client.refusal(f"SLOWLOG GET {count}")
    assert refusal == "ERR count should be greater than or equal to -1"


def test_too_many_words_are_refused(client: Client) -> None:
    assert client.refusal("SLOWLOG GET 1 2") == (
        "ERR unknown subcommand or wrong number of arguments for 'GET'. Try SLOWLOG HELP."
    )
    assert "slowlog|len" in client.refusal("SLOWLOG LEN 1")


def test_the_threshold_is_a_setting(client: Client) -> None:
    client("CONFIG SET slowlog-log-slower-than 5000")
    note(client, "GET quick", 0.004)
    note(client, "GET slow", 0.005)
    assert logged(client) == [[b"GET", b"slow"]]
    client("CONFIG SET slowlog-log-slower-than -1")
    note(client, "GET slower", 10.0)
    assert len(logged(client)) == 1
    client("CONFIG SET slowlog-log-slower-than 0")
    note(client, "GET all", 0.0)
    assert len(logged(client)) == 2


def test_the_length_is_a_setting(client: Client) -> None:
    for number in range(5):
        note(client, f"GET {number}")
    client("CONFIG SET slowlog-max-len 2")
    assert logged(client) == [[b"GET", b"4"], [b"GET", b"3"]]
    note(client, "GET 5")
    assert logged(client) == [[b"GET", b"5"], [b"GET", b"4"]]
    client("CONFIG SET slowlog-max-len 0")
    note(client, "GET 6")
    assert logged(client) == []


def test_exec_is_not_logged_but_what_it_runs_is(client: Client) -> None:
    client("CONFIG SET slowlog-log-slower-than 0")
    client("SLOWLOG RESET")
    client("MULTI")
    client("SET k v")
    client("GET k")
    client("EXEC")
    note(client, "EXEC")
    assert logged(client) == [[b"GET", b"k"], [b"SET", b"k", b"v"]]


def test_noting_lets_time_run_on(client: Client, engine: Engine, clock: Clock) -> None:
    client("SET k v PX 100")
    note(client, "GET k")
    clock.advance(200)
    assert client("GET k") is None


def test_of_many_words_the_first_are_kept() -> None:
    assert shorten([b"w"] * 32) == [b"w"] * 32
    assert shorten([b"w"] * 40) == [*[b"w"] * 31, b"... (9 more arguments)"]


def test_of_long_words_the_beginning_is_kept() -> None:
    assert shorten([b"x" * 128]) == [b"x" * 128]
    assert shorten([b"x" * 130]) == [b"x" * 128 + b"... (2 more bytes)"]


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("AUTH pass", "AUTH *"),
        ("auth bob pass", "auth * *"),
        ("HELLO 3 AUTH bob pass SETNAME x", "HELLO 3 AUTH * * SETNAME x"),
        ("HELLO 3", "HELLO 3"),
        ("ACL SETUSER bob on >pass", "ACL SETUSER * * *"),
        ("ACL LIST", "ACL LIST"),
        ("CONFIG SET requirepass pass", "CONFIG SET requirepass *"),
        ("CONFIG SET maxmemory 1 MasterAuth x", "CONFIG SET maxmemory 1 MasterAuth *"),
        ("CONFIG GET requirepass", "CONFIG GET requirepass"),
        ("MIGRATE h 1 k 0 9 AUTH pass KEYS a", "MIGRATE h 1 k 0 9 AUTH * KEYS a"),
        ("MIGRATE h 1 k 0 9 AUTH2 bob pass", "MIGRATE h 1 k 0 9 AUTH2 * *"),
        ("SET AUTH pass", "SET AUTH pass"),
        ("HELLO 3 AUTH", "HELLO 3 AUTH"),
    ],
)
def test_passwords_are_blotted_out(line: str, shown: str) -> None:
    words = [b"(redacted)" if word == b"*" else word for word in shown.encode().split()]
    assert redact(line.encode().split()) == words
