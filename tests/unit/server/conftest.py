"""A server in a thread of the test, and bare connections to it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sharedstate_server.server import Server


class BareClient:
    """A socket that sends bytes as they are, and reads until it has what is expected."""

    def __init__(self, path: str) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(20)
        self.sock.connect(path)

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def read(self, size: int) -> bytes:
        """Exactly so many bytes; fewer if the server closes."""
        data = b""
        while len(data) < size:
            part = self.sock.recv(min(1 << 20, size - len(data)))
            if not part:
                break
            data += part
        return data

    def read_line(self) -> bytes:
        """Bytes up to a CRLF, which is read too."""
        line = b""
        while not line.endswith(b"\r\n"):
            line += self.read(1)
        return line[:-2]

    def expect(self, data: bytes) -> None:
        assert self.read(len(data)) == data

    def read_to_end(self) -> bytes:
        """Everything until the server closes."""
        data = b""
        while part := self.sock.recv(1 << 20):
            data += part
        return data


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server on `tmp_path/s`, its loop turning in a thread."""
    server = Server()
    server.listen_unix(str(tmp_path / "s"))
    thread = threading.Thread(target=server.run, kwargs={"catch_signals": False})
    thread.start()
    yield server
    server.request_stop()
    thread.join(20)
    assert not thread.is_alive()


@pytest.fixture
def connect(server: Server, tmp_path: Path) -> Iterator[Callable[[], BareClient]]:
    """Opens bare connections to the server."""
    clients: list[BareClient] = []

    def open_client() -> BareClient:
        clients.append(BareClient(str(tmp_path / "s")))
        return clients[-1]

    yield open_client
    for client in clients:
        client.sock.close()
