"""Scripts that do not end, on a server: the others are answered meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.unit.server.conftest import BareClient

Connect = Callable[[], "BareClient"]

BUSY = (
    b"-BUSY Redis is busy running a script."
    b" You can only call SCRIPT KILL or SHUTDOWN NOSAVE.\r\n"
)
KILLED = b"-ERR Script killed by user with SCRIPT KILL... script: "
LOOP = b'EVAL "while true do end" 0\r\n'


@pytest.fixture
def other(connect: Connect) -> BareClient:
    """A client of a server where scripts are soon called busy."""
    other = connect()
    other.send(b"CONFIG SET busy-reply-threshold 20\r\n")
    other.expect(b"+OK\r\n")
    return other


def wait_until_busy(other: BareClient) -> None:
    """Ask until the answer is that a script is busy."""
    while True:
        other.send(b"PING\r\n")
        if other.read_line() + b"\r\n" == BUSY:
            return


def test_others_are_told_and_may_kill_the_script(
    connect: Connect, other: BareClient
) -> None:
    client = connect()
    client.send(LOOP)
    wait_until_busy(other)
    other.send(b"GET a\r\nSCRIPT KILL\r\n")
    other.expect(BUSY + b"+OK\r\n")
    assert client.read_line().startswith(KILLED)
    client.send(b"PING\r\n")
    client.expect(b"+PONG\r\n")


def test_a_client_that_comes_meanwhile_is_answered(
    connect: Connect, other: BareClient
) -> None:
    client = connect()
    client.send(LOOP)
    wait_until_busy(other)
    late = connect()
    late.send(b"GET a\r\n")
    late.expect(BUSY)
    late.send(b"SCRIPT KILL\r\n")
    late.expect(b"+OK\r\n")
    assert client.read_line().startswith(KILLED)


def test_what_the_client_of_the_script_says_comes_after_it(
    connect: Connect, other: BareClient
) -> None:
    client = connect()
    client.send(LOOP + b"SET a 1\r\n")
    wait_until_busy(other)
    client.send(b"GET a\r\n")
    other.send(b"PING\r\nSCRIPT KILL\r\n")
    other.expect(BUSY + b"+OK\r\n")
    assert client.read_line().startswith(KILLED)
    client.expect(b"+OK\r\n$1\r\n1\r\n")


def test_a_script_goes_on_when_its_client_has_gone(
    connect: Connect, other: BareClient
) -> None:
    client = connect()
    client.send(LOOP)
    wait_until_busy(other)
    client.sock.close()
    other.send(b"PING\r\nSCRIPT KILL\r\n")
    other.expect(BUSY + b"+OK\r\n")
    other.send(b"PING\r\n")
    other.expect(b"+PONG\r\n")


def test_a_server_is_shut_down_in_spite_of_a_script(
    connect: Connect, other: BareClient
) -> None:
    client = connect()
    client.send(b"EVAL \"redis.call('set', 'a', 1) while true do end\" 0\r\n")
    wait_until_busy(other)
    other.send(b"SCRIPT KILL\r\n")
    assert other.read_line().startswith(b"-UNKILLABLE ")
    other.send(b"SHUTDOWN NOSAVE\r\n")
    assert other.read_to_end() == b""
    client.read_to_end()
