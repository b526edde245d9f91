"""MONITOR."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from sharedstate_memory.replies import Status
from tests.unit.memory.conftest import START_MS

if TYPE_CHECKING:
    from sharedstate_memory.engine import Engine
    from tests.unit.memory.conftest import Client

Connect = Callable[[], "Client"]


@pytest.fixture
def monitor(connect: Connect) -> Client:
    """A client that is told of every command."""
    monitor = connect()
    assert monitor("MONITOR") == b"OK"
    return monitor


def told(monitor: Client) -> list[str]:
    """The lines so far without their times, and forgets them."""
    lines = [line.decode().partition(" ")[2] for line in monitor.delivered]
    monitor.delivered.clear()
    return lines


def test_commands_of_others_are_told(client: Client, monitor: Client) -> None:
    client.session.address = b"127.0.0.1:1234"
    client("SELECT 3")
    client("set k", b'a "b"\\\r\n\t\a\b\x00\xff')
    (_, line) = monitor.delivered
    assert isinstance(line, Status)
    time = f"{START_MS // 1000}.{START_MS % 1000:03}000"
    assert line.decode() == (
        f"{time} [3 127.0.0.1:1234] "
        r'"set" "k" "a \"b\"\\\r\n\t\a\b\x00\xff"'
    )


def test_the_address_on_a_unix_socket(client: Client, monitor: Client) -> None:
    client.session.address = b"/run/s:0"
    client("PING")
    assert told(monitor) == ['[0 unix:/run/s] "PING"']


@pytest.mark.parametrize(
    "line",
    ["NOSUCH", "GET", "CONFIG GET port", "CLIENT LIST", "DEBUG SLEEP 0", "SLOWLOG GET"],
)
def test_what_is_unknown_or_administration_is_not_told(
    client: Client, monitor: Client, line: str
) -> None:
    client(line)
    assert told(monitor) == []


def test_commands_that_fail_are_told(client: Client, monitor: Client) -> None:
    client("SET k v")
    client("LPUSH k v")
    assert told(monitor) == ['[0 ] "SET" "k" "v"', '[0 ] "LPUSH" "k" "v"']


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("AUTH secret", '"AUTH" "(redacted)"'),
        ("AUTH me secret", '"AUTH" "(redacted)" "(redacted)"'),
        (
            "HELLO 2 AUTH default secret SETNAME x",
            '"HELLO" "2" "AUTH" "(redacted)" "(redacted)" "SETNAME" "x"',
        ),
    ],
)
def test_passwords_are_not_told(
    client: Client, monitor: Client, line: str, shown: str
) -> None:
    client(line)
    assert told(monitor) == [f"[0 ] {shown}"]


def test_a_transaction_is_told_when_it_runs(client: Client, monitor: Client) -> None:
    client("MULTI")
    client("SET k v")
    client("EVAL", "redis.call('del', KEYS[1])", 1, "k")
    assert told(monitor) == ['[0 ] "MULTI"']
    client("EXEC")
    assert told(monitor) == [
        '[0 ] "SET" "k" "v"',
        """[0 ] "EVAL" "redis.call('del', KEYS[1])" "1" "k\"""",
        '[0 lua] "del" "k"',
        '[0 ] "EXEC"',
    ]


def test_a_script_s_commands_are_told_after_it(client: Client, monitor: Client) -> None:
    client("SELECT 2")
    client("EVAL", "redis.call('SET', KEYS[1], 1) redis.call('get', KEYS[1])", 1, "k")
    assert [line.partition("] ")[0] for line in told(monitor)] == [
        "[2 ",
        "[2 ",
        "[2 lua",
        "[2 lua",
    ]


def test_a_monitor_does_not_use_keys(client: Client, monitor: Client) -> None:
    for line in ("GET k", "SET k v", "PUBLISH c m", "EVAL return(1) 0"):
        assert monitor.refusal(line) == "ERR Replica can't interact with the keyspace"
    assert monitor("PING") == b"PONG"
    assert client("SET k v") == b"OK"


def test_reset_ends_monitoring(engine: Engine, client: Client, monitor: Client) -> None:
    assert monitor("RESET") == b"RESET"
    assert engine.monitors is None
    assert not engine.is_watchful
    client("PING")
    assert told(monitor) == []
    assert monitor("SET k v") == b"OK"


def test_a_closed_monitor_is_forgotten(
    engine: Engine, client: Client, monitor: Client
) -> None:
    engine.close_session(monitor.session)
    assert engine.monitors is None
    client("PING")
    assert monitor.delivered == []


def test_monitoring_does_not_begin_in_a_transaction(client: Client) -> None:
    client("MULTI")
    client("MONITOR")
    (refusal,) = client("EXEC")
    assert refusal.text == b"ERR MONITOR isn't allowed for DENY BLOCKING client"


def test_time_goes_on_for_the_one_who_is_told_of(
    client: Client, monitor: Client, engine: Engine
) -> None:
    # What is asked before a command must not hold the clock for the next.
    client("MULTI")
    client("PING")
    assert not engine.pending
