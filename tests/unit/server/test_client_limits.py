"""Clients that hold too much, or are silent for too long, have to go."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from sharedstate_server import client_limits
from sharedstate_server.server import Server

if TYPE_CHECKING:
    from tests.unit.server.conftest import BareClient

Connect = Callable[[], "BareClient"]

_MEGABYTE = 1024 * 1024


def configure(client: BareClient, *words: str) -> None:
    line = " ".join(word if " " not in word else f'"{word}"' for word in words)
    client.send(f"CONFIG SET {line}\r\n".encode())
    client.expect(b"+OK\r\n")


def count_clients(client: BareClient) -> int:
    """How many clients are connected, the one that asks included."""
    client.send(b"CLIENT LIST\r\n")
    size = int(client.read_line()[1:])
    return client.read(size + 2).count(b"id=")


def wait_for_count(client: BareClient, wanted: int) -> None:
    """Wait until so many clients are left."""
    give_up_at = time.monotonic() + 20
    while count_clients(client) != wanted:
        assert time.monotonic() < give_up_at, "nobody was dropped"
        time.sleep(0.01)


def test_a_command_that_never_ends_is_bounded(connect: Connect) -> None:
    observer, greedy = connect(), connect()
    configure(observer, "client-query-buffer-limit", "1mb")
    greedy.send(b"*2\r\n$3\r\nGET\r\n$400000000\r\n")
    with pytest.raises(OSError, match=r"."):
        greedy.send(b"x" * 26_000_000)
    wait_for_count(observer, 1)


def test_a_word_is_no_longer_than_the_setting(connect: Connect) -> None:
    client, other = connect(), connect()
    configure(other, "proto-max-bulk-len", "1mb")
    client.send(b"*2\r\n$3\r\nGET\r\n$1048577\r\n")
    assert client.read_to_end() == b"-ERR Protocol error: invalid bulk length\r\n"


def test_normal_clients_have_a_limit_when_it_is_set(connect: Connect) -> None:
    observer, lazy = connect(), connect()
    value = b"x" * (8 * _MEGABYTE)
    observer.send(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%d\r\n%b\r\n" % (len(value), value))
    observer.expect(b"+OK\r\n")
    configure(observer, "client-output-buffer-limit", "normal 4mb 0 0")
    lazy.send(b"GET k\r\n")
    wait_for_count(observer, 1)


def test_a_soft_limit_may_be_exceeded_for_a_while(connect: Connect) -> None:
    observer, lazy = connect(), connect()
    value = b"x" * (8 * _MEGABYTE)
    observer.send(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%d\r\n%b\r\n" % (len(value), value))
    observer.expect(b"+OK\r\n")
    configure(observer, "client-output-buffer-limit", "normal 0 2mb 1")
    lazy.send(b"GET k\r\n")
    started = time.monotonic()
    wait_for_count(observer, 1)
    assert time.monotonic() - started > 0.9


def test_who_holds_the_most_goes_when_all_hold_too_much(
    connect: Connect, server: Server
) -> None:
    observer, modest, greedy = connect(), connect(), connect()
    value = b"x" * (6 * _MEGABYTE)
    observer.send(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%d\r\n%b\r\n" % (len(value), value))
    observer.expect(b"+OK\r\n")
    modest.send(b"*2\r\n$3\r\nGET\r\n$300000\r\n" + b"y" * 200_000)
    greedy.send(b"GET k\r\n")
    configure(observer, "maxmemory-clients", "2mb")
    wait_for_count(observer, 2)
    modest.send(b"y" * 100_000 + b"\r\n")
    modest.expect(b"$-1\r\n")
    assert server.engine.statistics.clients_evicted == 1


def test_what_waits_is_counted_once_however_often_it_is_asked_for(
    connect: Connect, server: Server
) -> None:
    waiter = connect()
    portion = b"$1\r\nk\r\n$5\r\nvalue\r\n" * 1000
    waiter.send(b"BLPOP list 0\r\n*60001\r\n$4\r\nMSET\r\n")
    for count in range(1, 31):
        # A blocked client is read from only as long as it sends little at a time.
        waiter.send(portion)
        wait_for_held(server, 4 + count * 6000)
    (client,) = server.clients()
    assert client.facts()["argv-mem"] == 4 + 30 * 6000
    started = time.perf_counter()
    assert {client.held_bytes for _ in range(1000)} == {4 + 30 * 6000}
    # Counting all of it anew takes a millisecond each time.
    assert time.perf_counter() - started < 0.5


def wait_for_held(server: Server, size: int) -> None:
    """Wait until the only client holds so many bytes of commands."""
    give_up_at = time.monotonic() + 20
    while [client.held_bytes for client in server.clients()] != [size]:
        assert time.monotonic() < give_up_at, "the bytes are not there"
        time.sleep(0.001)


def test_what_a_transaction_queues_is_held_by_its_client(
    connect: Connect, server: Server
) -> None:
    observer, greedy = connect(), connect()
    greedy.send(b"MULTI\r\n")
    value = b"x" * 50_000
    for _ in range(60):
        # Small commands, each of which is whole when it comes.
        greedy.send(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%d\r\n%b\r\n" % (len(value), value))
    assert greedy.read(5 + 60 * 9).endswith(b"+QUEUED\r\n")
    configure(observer, "maxmemory-clients", "2mb")
    wait_for_count(observer, 1)
    assert server.engine.statistics.clients_evicted == 1


def test_a_client_that_takes_a_long_reply_slowly_is_not_silent(connect: Connect) -> None:
    observer, slow = connect(), connect()
    value = b"x" * (4 * _MEGABYTE)
    observer.send(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%d\r\n%b\r\n" % (len(value), value))
    observer.expect(b"+OK\r\n")
    slow.send(b"GET k\r\n")
    configure(observer, "timeout", "1")
    parts = [slow.read(_MEGABYTE)]
    until = time.monotonic() + 2.5
    while time.monotonic() < until:
        parts.append(slow.read(100_000))
        time.sleep(0.1)
        observer.send(b"PING\r\n")
        observer.expect(b"+PONG\r\n")
    size = len(b"$4194304\r\n") + len(value) + 2
    parts.append(slow.read(size - sum(map(len, parts))))
    assert sum(map(len, parts)) == size


def test_a_client_that_must_stay_is_not_evicted(connect: Connect, server: Server) -> None:
    observer, precious = connect(), connect()
    value = b"x" * (6 * _MEGABYTE)
    observer.send(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%d\r\n%b\r\n" % (len(value), value))
    observer.expect(b"+OK\r\n")
    precious.send(b"CLIENT NO-EVICT ON\r\nGET k\r\n")
    precious.expect(b"+OK\r\n")
    configure(observer, "maxmemory-clients", "1mb")
    give_up_at = time.monotonic() + 20
    while server.engine.client_bytes < _MEGABYTE and time.monotonic() < give_up_at:
        time.sleep(0.01)
    precious.expect(b"$%d\r\n%b\r\n" % (len(value), value))


def test_a_silent_client_goes_and_a_waiting_one_stays(connect: Connect) -> None:
    observer, silent, waiting, listening = (connect() for _ in range(4))
    waiting.send(b"BLPOP list 0\r\n")
    listening.send(b"SUBSCRIBE news\r\n")
    listening.expect(b"*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n")
    configure(observer, "timeout", "1")
    wait_for_count(observer, 3)
    assert silent.read_to_end() == b""


def test_who_does_not_say_who_it_is_goes(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_limits, "STRANGER_SECONDS", 0.2)
    owner = connect()
    configure(owner, "requirepass", "secret")
    stranger = connect()
    assert stranger.read_to_end() == b""
    owner.send(b"PING\r\n")
    owner.expect(b"+PONG\r\n")


def test_what_a_client_holds_is_told(connect: Connect) -> None:
    observer, holder = connect(), connect()
    holder.send(b"*2\r\n$3\r\nGET\r\n$300000\r\n" + b"y" * 200_000)
    give_up_at = time.monotonic() + 20
    while time.monotonic() < give_up_at:
        observer.send(b"CLIENT LIST\r\n")
        text = observer.read(int(observer.read_line()[1:]) + 2)
        facts = [
            dict(fact.split(b"=", 1) for fact in line.split())
            for line in text.splitlines()
            if line
        ]
        if any(int(fact[b"qbuf"]) >= 200_000 for fact in facts):
            return
        time.sleep(0.01)
    raise AssertionError("nobody is told to hold anything")
