"""While a script does not end, the others are served, and it can be ended."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from sharedstate_server.server import Server
from sharedstate_server.turn import COMMANDS_PER_TURN

if TYPE_CHECKING:
    from tests.unit.server.conftest import BareClient

Connect = Callable[[], "BareClient"]

_BUSY = b"-BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN"
_ENDLESS = b"EVAL 'while true do end' 0\r\n"


@pytest.fixture
def other(server: Server, connect: Connect) -> BareClient:
    """A client of a server in which a script is busy soon."""
    client = connect()
    client.send(b"CONFIG SET busy-reply-threshold 20\r\n")
    client.expect(b"+OK\r\n")
    return client


def wait_until_busy(client: BareClient) -> None:
    client.send(b"GET k\r\n")
    while not client.read_line().startswith(_BUSY):
        client.send(b"GET k\r\n")


def kill(client: BareClient) -> None:
    client.send(b"SCRIPT KILL\r\n")
    client.expect(b"+OK\r\n")


def begin(runner: BareClient, before: bytes = b"", after: bytes = b"") -> None:
    runner.send(before + _ENDLESS + after)


def test_the_replies_of_the_runner_come_in_order(
    connect: Connect, other: BareClient
) -> None:
    runner = connect()
    begin(runner, b"ECHO a\r\n", b"ECHO b\r\n")
    wait_until_busy(other)
    kill(other)
    runner.expect(b"$1\r\na\r\n")
    assert runner.read_line().startswith(b"-ERR Script killed")
    runner.expect(b"$1\r\nb\r\n")


def test_a_runner_that_has_gone_leaves_its_script_to_be_killed(
    connect: Connect, other: BareClient
) -> None:
    runner = connect()
    begin(runner)
    wait_until_busy(other)
    runner.sock.close()
    wait_until_busy(other)
    kill(other)
    other.send(b"PING\r\n")
    other.expect(b"+PONG\r\n")


def test_a_script_of_a_transaction_can_be_killed(
    connect: Connect, other: BareClient
) -> None:
    runner = connect()
    begin(runner, b"MULTI\r\n", b"SET k v\r\nEXEC\r\n")
    wait_until_busy(other)
    kill(other)
    runner.expect(b"+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n")
    assert runner.read_line().startswith(b"-ERR Script killed")
    runner.expect(b"+OK\r\n")


def test_a_script_that_a_pause_held_back_can_be_killed(
    connect: Connect, server: Server, other: BareClient
) -> None:
    runner = connect()
    other.send(b"CLIENT PAUSE 50 ALL\r\n")
    other.expect(b"+OK\r\n")
    begin(runner, after=b"PING\r\n")
    give_up_at = time.monotonic() + 20
    # Whoever asks before the pause is over has to wait until the script is.
    while server.engine.busy is None:
        assert time.monotonic() < give_up_at, "the script does not run"
        time.sleep(0.01)
    kill(other)
    assert runner.read_line().startswith(b"-ERR Script killed")
    runner.expect(b"+PONG\r\n")


def test_others_come_and_go_and_long_pipelines_are_answered(
    connect: Connect, other: BareClient
) -> None:
    begin(connect())
    wait_until_busy(other)
    newcomer, leaver = connect(), connect()
    leaver.send(b"QUIT\r\n")
    assert leaver.read_to_end() == b"+OK\r\n"
    newcomer.send(b"PING\r\n" * (2 * COMMANDS_PER_TURN))
    assert newcomer.read_line().startswith(_BUSY)
    kill(other)
    lines = {newcomer.read_line()[:5] for _ in range(2 * COMMANDS_PER_TURN - 1)}
    assert lines <= {b"-BUSY", b"+PONG"}


def test_the_time_of_blocked_clients_is_over_when_the_script_is(
    connect: Connect, other: BareClient
) -> None:
    waiter = connect()
    waiter.send(b"BLPOP list 0.03\r\n")
    begin(connect())
    wait_until_busy(other)
    kill(other)
    waiter.expect(b"*-1\r\n")


def test_only_what_saves_nothing_shuts_a_busy_server_down(
    connect: Connect, server: Server, other: BareClient
) -> None:
    runner = connect()
    runner.send(b'EVAL \'redis.call("SET", "k", 1) while true do end\' 0\r\n')
    wait_until_busy(other)
    other.send(b"SHUTDOWN\r\nSCRIPT KILL\r\n")
    assert other.read_line().startswith(_BUSY)
    assert other.read_line().startswith(b"-UNKILLABLE")
    other.send(b"SHUTDOWN NOSAVE\r\n")
    assert other.read_to_end() == b""
