"""Clients on their way in: what fails there harms nobody else."""

from __future__ import annotations

import errno
import socket
import threading
from collections.abc import Iterator

import pytest

from sharedstate_server import gate
from sharedstate_server.server import Server
from sharedstate_server.server_log import ServerLog


class Logged:
    """A server on a TCP port, and what it logs."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        log = ServerLog(lambda line, level: self.lines.append(line))
        log.set_level("debug")
        self.server = Server(log=log)
        self.port = self.server.listen_tcp("127.0.0.1", 0)
        self.thread = threading.Thread(
            target=self.server.run, kwargs={"catch_signals": False}
        )

    def is_serving(self) -> bool:
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as sock:
            sock.sendall(b"PING\r\n")
            return sock.recv(100) == b"+PONG\r\n"


@pytest.fixture
def logged() -> Iterator[Logged]:
    logged = Logged()
    logged.thread.start()
    yield logged
    logged.server.request_stop()
    logged.thread.join(20)
    assert not logged.thread.is_alive()


@pytest.mark.parametrize("seconds", ["0", "1", "300", "100000", "2147483647"])
def test_clients_are_served_however_long_keep_alive_is(
    logged: Logged, seconds: str
) -> None:
    logged.server.engine.settings.load("tcp-keepalive", [seconds])
    assert logged.is_serving()


def test_a_socket_that_refuses_its_options_is_a_client_lost(
    logged: Logged, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(sock: socket.socket, seconds: int) -> None:
        monkeypatch.undo()
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(gate, "keep_alive", refuse)
    with socket.create_connection(("127.0.0.1", logged.port), timeout=20) as lost:
        assert lost.recv(100) == b""
    assert logged.is_serving()
    text = "".join(logged.lines)
    assert "lost on its way in" in text
    assert "Traceback" not in text


def test_who_is_one_too_many_is_told_so(logged: Logged) -> None:
    logged.server.engine.settings.load("maxclients", ["1"])
    logged.server.gate._admission._follow()
    with socket.create_connection(("127.0.0.1", logged.port), timeout=20) as first:
        first.sendall(b"PING\r\n")
        assert first.recv(100) == b"+PONG\r\n"
        with socket.create_connection(("127.0.0.1", logged.port), timeout=20) as second:
            assert b"max number of clients" in second.recv(100)
