"""Messages among replies, and clients that are held back or closed, over a socket."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.unit.server.conftest import BareClient

Connect = Callable[[], BareClient]

INVALIDATE_K = b">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n"


@pytest.fixture
def caching(connect: Connect) -> BareClient:
    """A client of RESP3 that tracks what it reads."""
    client = connect()
    client.send(b"HELLO 3\r\n")
    while client.read_line() != b"modules":
        pass
    client.expect(b"*0\r\n")
    client.send(b"CLIENT TRACKING ON\r\n")
    client.expect(b"+OK\r\n")
    return client


def test_in_a_pipeline_a_message_follows_the_reply_that_made_it(
    caching: BareClient,
) -> None:
    caching.send(b"GET k\r\nSET k 1\r\nGET k\r\nPING\r\nDEL k\r\nPING\r\n")
    caching.expect(
        b"_\r\n+OK\r\n" + INVALIDATE_K + b"$1\r\n1\r\n+PONG\r\n"
        b":1\r\n" + INVALIDATE_K + b"+PONG\r\n"
    )


def test_the_changes_of_others_arrive(caching: BareClient, connect: Connect) -> None:
    caching.send(b"GET k\r\n")
    caching.expect(b"_\r\n")
    other = connect()
    other.send(b"SET k 1\r\n")
    other.expect(b"+OK\r\n")
    caching.expect(INVALIDATE_K)


def test_a_message_to_oneself_follows_the_reply(caching: BareClient) -> None:
    caching.send(b"SUBSCRIBE c\r\nPUBLISH c 1\r\nMULTI\r\nPUBLISH c 2\r\nEXEC\r\n")
    caching.expect(
        b">3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n"
        b":1\r\n>3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\n1\r\n"
        b"+OK\r\n+QUEUED\r\n"
        b"*1\r\n:1\r\n>3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\n2\r\n"
    )


def test_what_waits_for_a_pause_keeps_its_order(connect: Connect) -> None:
    pausing, client = connect(), connect()
    pausing.send(b"CLIENT PAUSE 10000 WRITE\r\n")
    pausing.expect(b"+OK\r\n")
    client.send(b"PING\r\nINCR n\r\nINCR n\r\nGET n\r\n")
    client.expect(b"+PONG\r\n")
    pausing.send(b"GET n\r\nCLIENT UNPAUSE\r\n")
    pausing.expect(b"$-1\r\n+OK\r\n")
    client.expect(b":1\r\n:2\r\n$1\r\n2\r\n")


def test_a_pause_ends_in_time(connect: Connect) -> None:
    client = connect()
    client.send(b"CLIENT PAUSE 30\r\nPING\r\nPING\r\n")
    client.expect(b"+OK\r\n+PONG\r\n+PONG\r\n")


def test_who_quits_in_a_pause_is_let_go_after_it(connect: Connect) -> None:
    client = connect()
    client.send(b"CLIENT PAUSE 30\r\nQUIT\r\nPING\r\n")
    assert client.read_to_end() == b"+OK\r\n+OK\r\n"


def test_others_are_killed(connect: Connect) -> None:
    client, other = connect(), connect()
    other.send(b"CLIENT ID\r\n")
    number = other.read_line()[1:]
    client.send(b"CLIENT KILL ID " + number + b"\r\nPING\r\n")
    client.expect(b":1\r\n+PONG\r\n")
    assert other.read_to_end() == b""


@pytest.mark.parametrize(
    ("line", "reply"),
    [(b"CLIENT KILL TYPE normal SKIPME no", b":1\r\n"), (b"CLIENT KILL %s", b"+OK\r\n")],
)
def test_who_kills_itself_gets_the_reply_and_nothing_more(
    connect: Connect, line: bytes, reply: bytes
) -> None:
    client = connect()
    client.send(b"CLIENT INFO\r\n")
    size = int(client.read_line()[1:])
    address = client.read(size + 2).split()[1].removeprefix(b"addr=")
    client.send(line.replace(b"%s", address) + b"\r\nPING\r\nPING\r\n")
    assert client.read_to_end() == reply


def test_a_blocked_client_is_killed(connect: Connect) -> None:
    client, other = connect(), connect()
    other.send(b"CLIENT ID\r\n")
    number = other.read_line()[1:]
    other.send(b"BLPOP l 0\r\n")
    client.send(b"CLIENT LIST ID " + number + b"\r\n")
    while b" flags=b" not in client.read(int(client.read_line()[1:]) + 2):
        client.send(b"CLIENT LIST ID " + number + b"\r\n")
    client.send(b"CLIENT KILL ID " + number + b"\r\n")
    client.expect(b":1\r\n")
    assert other.read_to_end() == b""


def test_a_transaction_that_is_too_big_is_refused(connect: Connect) -> None:
    client = connect()
    client.send(b"CONFIG SET client-query-buffer-limit 1mb\r\nMULTI\r\n")
    client.expect(b"+OK\r\n+OK\r\n")
    command = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$100000\r\n" + b"x" * 100_000 + b"\r\n"
    for _ in range(10):
        client.send(command)
        client.expect(b"+QUEUED\r\n")
    client.send(command)
    assert client.read_line().startswith(b"-ERR the transaction is too big")
    client.send(b"EXEC\r\nGET k\r\n")
    assert client.read_line().startswith(b"-EXECABORT")
    client.expect(b"$-1\r\n")


def test_what_others_do_is_monitored(connect: Connect) -> None:
    monitor, client = connect(), connect()
    monitor.send(b"MONITOR\r\n")
    monitor.expect(b"+OK\r\n")
    client.send(b"SET k 'a b'\r\n")
    client.expect(b"+OK\r\n")
    line = monitor.read_line()
    assert line.endswith(b'] "SET" "k" "a b"')
    assert b" [0 unix:/" in line


@pytest.mark.parametrize(
    ("line", "reply"),
    [
        (b"SUBSCRIBE c", b"*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n"),
        (b"MONITOR", b"+OK\r\n"),
    ],
)
def test_who_does_not_read_its_messages_is_dropped(
    connect: Connect, line: bytes, reply: bytes
) -> None:
    listener, client = connect(), connect()
    client.send(b"CONFIG SET client-output-buffer-limit 'pubsub 1mb 0 0'\r\n")
    client.expect(b"+OK\r\n")
    listener.send(line + b"\r\n")
    listener.expect(reply)
    message = b"x" * 100_000
    command = b"*3\r\n$7\r\nPUBLISH\r\n$1\r\nc\r\n$100000\r\n" + message + b"\r\n"
    for _ in range(50):
        client.send(command)
        client.read_line()
    heard = listener.read_to_end()
    assert 0 < heard.count(message) < 50


def test_the_last_command_of_others_is_listed(connect: Connect) -> None:
    client, other = connect(), connect()
    other.send(b"PING\r\nget k\r\n")
    other.expect(b"+PONG\r\n$-1\r\n")
    client.send(b"CLIENT LIST\r\n")
    lines = client.read(int(client.read_line()[1:]) + 2).splitlines()
    assert b" cmd=client|list " in lines[0]
    assert b" cmd=get " in lines[1]
