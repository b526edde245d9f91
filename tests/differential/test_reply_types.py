"""Every type of a reply, byte by byte as Redis sends it: DEBUG PROTOCOL on both servers."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from sharedstate.testing.servers import BuiltInServer, RedisServer, StoreServer

TYPES = (
    "string integer double null array set map attrib push verbatim true false bignum"
    " STRING nothing"
)


@pytest.fixture(scope="module")
def servers(redis_is_installed: None) -> Iterator[tuple[StoreServer, StoreServer]]:
    """Both servers, willing to debug."""
    ours = BuiltInServer("--set", "enable-debug-command=local")
    with ours, RedisServer("--enable-debug-command", "local") as theirs:
        yield ours, theirs


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("name", TYPES.split())
def test_a_type_has_the_bytes_that_redis_sends(
    servers: tuple[StoreServer, StoreServer], name: str, protocol: int
) -> None:
    ours, theirs = (answer(server, name, protocol) for server in servers)
    assert ours == theirs


def answer(server: StoreServer, name: str, protocol: int) -> bytes:
    """The bytes between the answers to two commands."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as sock:
        line = f"HELLO {protocol}\r\nECHO begin\r\nDEBUG PROTOCOL {name}\r\nECHO end\r\n"
        sock.sendall(line.encode())
        received = b""
        while not received.endswith(b"$3\r\nend\r\n"):
            received += sock.recv(65536)
    return received.partition(b"$5\r\nbegin\r\n")[2]
