"""Looks for garbage stay short, and what comes and goes leaves no garbage in cycles."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from sharedstate_server import garbage
from sharedstate_server.connection import Connection
from sharedstate_server.garbage import keep_looks_short
from sharedstate_server.server import Server

if TYPE_CHECKING:
    from tests.unit.server.conftest import BareClient

Connect = Callable[[], "BareClient"]


@pytest.fixture
def restored_collector() -> Iterator[None]:
    """Puts back what a test changes of the collector, which is the whole process's."""
    callbacks = gc.callbacks.copy()
    yield
    gc.callbacks[:] = callbacks
    gc.unfreeze()
    gc.enable()


@pytest.mark.usefixtures("restored_collector")
def test_what_made_a_look_long_is_not_looked_at_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    keep_looks_short()
    data = [[number] for number in range(1000)]
    monkeypatch.setattr(garbage, "LONG_SECONDS", 10.0)
    gc.collect()
    assert gc.is_tracked(data)
    frozen = gc.get_freeze_count()
    monkeypatch.setattr(garbage, "LONG_SECONDS", 0.0)
    gc.collect()
    assert gc.get_freeze_count() >= frozen + len(data)


@pytest.mark.parametrize(
    "said",
    [
        b"PING\r\n",
        b"HELLO 3\r\nCLIENT TRACKING ON\r\nGET k\r\n",
        b"SUBSCRIBE news\r\nPING\r\n",
        b"WATCH k\r\nMULTI\r\nGET k\r\n",
        b"MONITOR\r\n",
        b"BLPOP list 0.001\r\nBLPOP list 0\r\n",
        b'EVAL \'return redis.call("get", "k")\' 0\r\n',
        b"QUIT\r\n",
        b"*1\r\nnonsense\r\n",
    ],
)
@pytest.mark.usefixtures("restored_collector")
def test_a_connection_that_is_closed_leaves_no_cycle(
    connect: Connect, server: Server, said: bytes
) -> None:
    gc.collect()
    gc.disable()
    clients = [connect() for _ in range(10)]
    for client in clients:
        client.send(said)
        client.read(1)
        client.sock.close()
    other = connect()
    give_up_at = time.monotonic() + 20
    while server.client_count > 1 and time.monotonic() < give_up_at:
        other.send(b"PING\r\n")
        other.expect(b"+PONG\r\n")
    # One may still be held by the loop, which has served it last.
    kept = sum(type(each) is Connection for each in gc.get_objects())
    assert kept <= 1 + len([other])
