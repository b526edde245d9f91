"""A turn: all are read from, then what came is processed, then all replies leave."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sharedstate_server.server import Server
from sharedstate_server.turn import COMMANDS_PER_TURN
from tests.unit.server.conftest import BareClient


class Turning:
    """A server whose loop turns when it is told to."""

    def __init__(self, folder: Path) -> None:
        self.server = Server()
        self._path = str(folder / "t")
        self.server.listen_unix(self._path)
        self.clients: list[BareClient] = []

    def connect(self) -> BareClient:
        before = self.server.client_count
        client = BareClient(self._path)
        self.clients.append(client)
        while self.server.client_count == before:
            self.turn()
        return client

    def turn(self) -> None:
        self.server.loop.turn()

    def value(self, key: bytes) -> object:
        return self.server.engine.databases[0].data.get(key)


@pytest.fixture
def turning(tmp_path: Path) -> Iterator[Turning]:
    turning = Turning(tmp_path)
    yield turning
    for client in turning.clients:
        client.sock.close()
    turning.server.loop.soon(turning.server.stop)
    turning.server.run(catch_signals=False)


def test_who_is_ended_by_a_command_of_the_same_turn_executes_nothing_more(
    turning: Turning,
) -> None:
    killer, victim = turning.connect(), turning.connect()
    victim.send(b"CLIENT ID\r\n")
    turning.turn()
    number = victim.read_line()[1:]
    turning.turn()  # Nobody is ready any more, so that who speaks first comes first.
    killer.send(b"CLIENT KILL ID %b\r\n" % number)
    victim.send(b"SET k v\r\n")
    turning.turn()
    killer.expect(b":1\r\n")
    assert turning.value(b"k") is None


def test_when_the_slice_is_over_the_rest_waits_and_nothing_more_is_read(
    turning: Turning, monkeypatch: pytest.MonkeyPatch
) -> None:
    clients = [turning.connect() for _ in range(20)]
    monkeypatch.setattr(turning.server.loop, "is_over_time", lambda: True)
    for client in clients:
        client.send(b"INCR n\r\n")
    counts = []
    for _ in range(3):
        turning.turn()
        counts.append(turning.value(b"n"))
        # Whoever has been answered asks for more, and is not let in before the others.
        clients[0].send(b"INCR late\r\n")
        assert turning.value(b"late") is None
    assert counts == [b"8", b"16", b"20"]
    turning.turn()
    assert turning.value(b"late") == b"3"


def test_an_exception_costs_its_client_only(
    turning: Turning, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = turning.connect(), turning.connect()
    connection = turning.server.clients()[0]

    def fail(data: bytes) -> list[list[bytes]]:
        raise RuntimeError("a mistake")

    monkeypatch.setattr(connection, "_parse", fail)
    first.send(b"PING\r\n")
    second.send(b"PING\r\n")
    turning.turn()
    second.expect(b"+PONG\r\n")
    assert first.read_to_end() == b""


@pytest.mark.parametrize("guarded", [False, True])
def test_a_run_of_one_command_is_counted_and_refused_one_by_one(
    turning: Turning, *, guarded: bool
) -> None:
    if guarded:
        turning.server.engine.settings.load("maxmemory", ["1gb"])
    client = turning.connect()
    client.send(b"CONFIG RESETSTAT\r\nRPUSH list a b\r\n")
    turning.turn()
    client.expect(b"+OK\r\n:2\r\n")
    client.send(_pack(b"SADD", b"list", b"x") * 2 + _pack(b"SADD", b"set", b"x") * 2)
    turning.turn()
    refused = b"-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"
    client.expect(refused * 2 + b":1\r\n:0\r\n")
    statistics = turning.server.engine.statistics.commands()["SADD"]
    assert (statistics.calls, statistics.failed) == (4, 2)


def test_a_run_with_a_wrong_count_of_words_refuses_only_that(turning: Turning) -> None:
    client = turning.connect()
    client.send(_pack(b"INCR", b"n") + _pack(b"INCR") + _pack(b"INCR", b"n"))
    turning.turn()
    wrong = b"-ERR wrong number of arguments for 'incr' command\r\n"
    client.expect(b":1\r\n" + wrong + b":2\r\n")


def test_a_run_serves_who_waits_for_its_keys_at_once(turning: Turning) -> None:
    waiter, pusher = turning.connect(), turning.connect()
    waiter.send(_pack(b"BLPOP", b"list", b"0"))
    turning.turn()
    pusher.send(_pack(b"RPUSH", b"list", b"x") * COMMANDS_PER_TURN)
    turning.turn()
    # The first push was taken away before the second came.
    pusher.expect(b":1\r\n" + b"".join(b":%d\r\n" % n for n in range(1, COMMANDS_PER_TURN)))
    waiter.expect(b"*2\r\n$4\r\nlist\r\n$1\r\nx\r\n")


def _pack(*words: bytes) -> bytes:
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(w), w) for w in words)
