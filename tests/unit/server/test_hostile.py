"""What one client does must not harm the server, nor the others."""

from __future__ import annotations

import os
import socket
import struct
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sharedstate_server import turn
from sharedstate_server.listening import bind_unix, identify, unlink_socket
from sharedstate_server.server import Server

if TYPE_CHECKING:
    from tests.unit.server.conftest import BareClient

Connect = Callable[[], "BareClient"]


@pytest.fixture
def tcp_server() -> Iterator[tuple[Server, int]]:
    """A server on a TCP port, with a password."""
    server = Server(password="secret")
    port = server.listen_tcp("127.0.0.1", 0)
    thread = threading.Thread(target=server.run, kwargs={"catch_signals": False})
    thread.start()
    yield server, port
    server.request_stop()
    thread.join(20)
    assert not thread.is_alive()


def ask(port: int, data: bytes) -> bytes:
    """Send bytes, close our side, and return all that is answered."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as sock:
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        answer = b""
        while part := sock.recv(65536):
            answer += part
    return answer


# What a subscriber may leave lying by default.
_MESSAGES_LIMIT_BYTES = 32 * 1024 * 1024


def test_a_client_that_is_reset_before_it_is_accepted_harms_nobody() -> None:
    server = Server()
    port = server.listen_tcp("127.0.0.1", 0)
    early = socket.create_connection(("127.0.0.1", port))
    early.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    early.close()
    thread = threading.Thread(target=server.run, kwargs={"catch_signals": False})
    thread.start()
    try:
        assert ask(port, b"PING\r\n") == b"+PONG\r\n"
    finally:
        server.request_stop()
        thread.join(20)


def test_a_stranger_cannot_send_much_before_logging_in(
    tcp_server: tuple[Server, int],
) -> None:
    _, port = tcp_server
    big = b"*2\r\n$4\r\nECHO\r\n$20000\r\n" + b"x" * 20000 + b"\r\n"
    assert b"unauthenticated bulk length" in ask(port, big[:100])
    login = b"*2\r\n$4\r\nAUTH\r\n$6\r\nsecret\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=20) as sock:
        sock.sendall(login)
        assert sock.recv(100) == b"+OK\r\n"
        sock.sendall(big)
        assert sock.recv(8) == b"$20000\r\n"


def test_a_request_of_a_browser_executes_nothing(connect: Connect) -> None:
    browser, other = connect(), connect()
    browser.send(b"POST / HTTP/1.1\r\nHost: localhost\r\n\r\nSET pwned yes\r\n")
    assert b"no web server" in browser.read_to_end()
    other.send(b"EXISTS pwned\r\n")
    other.expect(b":0\r\n")


def test_a_reply_may_be_bigger_than_any_limit_for_messages(connect: Connect) -> None:
    client = connect()
    value = b"x" * (_MESSAGES_LIMIT_BYTES + 10)
    client.send(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%d\r\n%b\r\n" % (len(value), value))
    client.expect(b"+OK\r\n")
    client.send(b"GET k\r\nPING\r\n")
    client.expect(b"$%d\r\n%b\r\n+PONG\r\n" % (len(value), value))


def test_an_item_that_was_waited_for_may_be_as_big(connect: Connect) -> None:
    waiter, other = connect(), connect()
    item = b"x" * (_MESSAGES_LIMIT_BYTES + 8_000_000)
    waiter.send(b"BLPOP list 60\r\n")
    other.send(b"*3\r\n$5\r\nRPUSH\r\n$4\r\nlist\r\n$%d\r\n%b\r\n" % (len(item), item))
    other.expect(b":1\r\n")
    waiter.expect(b"*2\r\n$4\r\nlist\r\n$%d\r\n%b\r\n" % (len(item), item))


def test_a_subscriber_that_does_not_read_is_dropped_and_the_others_are_served(
    connect: Connect,
) -> None:
    lazy, keen, speaker = connect(), connect(), connect()
    speaker.send(b'CONFIG SET client-output-buffer-limit "pubsub 1000000 0 0"\r\n')
    speaker.expect(b"+OK\r\n")
    for client in (lazy, keen):
        client.send(b"SUBSCRIBE news\r\n")
        client.expect(b"*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n")
    text = b"y" * 300_000
    listeners = b":2\r\n"
    for _ in range(40):
        speaker.send(
            b"*3\r\n$7\r\nPUBLISH\r\n$4\r\nnews\r\n$%d\r\n%b\r\n" % (len(text), text)
        )
        keen.expect(
            b"*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$%d\r\n%b\r\n" % (len(text), text)
        )
        listeners = speaker.read(4)
    assert listeners == b":1\r\n"


def test_a_blocked_client_that_floods_is_not_read_from(
    connect: Connect, server: Server
) -> None:
    client, other = connect(), connect()
    client.send(b"BLPOP list 60\r\n" + b"PING\r\n" * 1000)
    client.sock.setblocking(False)
    sent = 0
    try:
        for _ in range(1000):
            sent += client.sock.send(b"PING\r\n" * 10_000)
    except BlockingIOError:
        # The kernel's buffers are full, and the server takes no more.
        assert sent < 20_000_000
    else:
        pytest.fail("the server took everything")
    client.sock.settimeout(20)
    other.send(b"RPUSH list x\r\n")
    other.expect(b":1\r\n")
    client.expect(b"*2\r\n$4\r\nlist\r\n$1\r\nx\r\n+PONG\r\n")


def test_a_blocked_client_that_goes_is_forgotten_although_commands_wait(
    connect: Connect,
) -> None:
    waiter, other = connect(), connect()
    waiter.send(b"BLPOP list 60\r\nPING\r\n")
    waiter.sock.close()
    while True:
        other.send(b"CLIENT LIST\r\n")
        size = int(other.read(1) and other.read_line())
        if other.read(size + 2).count(b"id=") == 1:
            break
    other.send(b"RPUSH list x\r\n")
    other.expect(b":1\r\n")


def test_what_was_sent_before_the_client_closed_its_side_is_executed(
    connect: Connect,
) -> None:
    client = connect()
    count = 4 * turn.COMMANDS_PER_TURN
    client.send(b"INCR n\r\n" * count)
    client.sock.shutdown(socket.SHUT_WR)
    assert client.read_to_end().endswith(b":%d\r\n" % count)


@pytest.mark.parametrize("last", [b"QUIT\r\n", b"*1\r\n!!\r\n"])
def test_nothing_is_executed_after_the_end(connect: Connect, last: bytes) -> None:
    client, other = connect(), connect()
    value = b"x" * 3_000_000
    client.send(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%d\r\n%b\r\n" % (len(value), value))
    client.expect(b"+OK\r\n")
    client.send(b"GET k\r\n" + last + b"SET after yes\r\n")
    client.expect(b"$%d\r\n%b\r\n" % (len(value), value))
    client.read_to_end()
    other.send(b"EXISTS after\r\n")
    other.expect(b":0\r\n")


def test_a_log_that_cannot_be_written_ends_nothing(
    server: Server, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full:
        def write(self, text: str) -> None:
            raise OSError("no space left on device")

    monkeypatch.setattr(sys, "stderr", Full())
    server.log("something")
    client = connect()
    client.send(b"PING\r\n")
    client.expect(b"+PONG\r\n")


def test_a_file_in_the_place_of_the_socket_is_not_touched(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("data")
    with pytest.raises(OSError, match="there is a file of that name"):
        bind_unix(str(precious))
    assert precious.read_text() == "data"


def test_a_socket_in_use_is_not_taken_and_a_dead_one_is(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    with bind_unix(path), pytest.raises(OSError, match="a server does already"):
        bind_unix(path)
    with bind_unix(path):
        assert os.stat(path).st_mode & 0o777 == 0o600


def test_an_ending_server_leaves_its_successors_socket_alone(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    bind_unix(path).close()
    former = identify(path)
    with bind_unix(path):
        unlink_socket(path, former)
        assert os.path.exists(path)
        unlink_socket(path, identify(path))
        assert not os.path.exists(path)
